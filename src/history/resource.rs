//! Names of resources, as metrics write them and as Kubernetes does.

/// The name a container asks under: `nvidia.com/gpu` for `nvidia_com_gpu`, `nvidia.com/mig-1g.10gb` for
/// `nvidia_com_mig_1g_10gb`. kube-state-metrics writes every character that no label can have as `_`, which
/// cannot be undone in general; what is not recognised stays as it is.
pub fn original_name(written: &str) -> String {
    if written.contains('/') {
        return written.to_owned();
    }
    let Some((vendor, rest)) = written.split_once("_com_") else { return written.to_owned() };
    let Some(profile) = rest.strip_prefix("mig_") else { return format!("{vendor}.com/{rest}") };
    // 1g_10gb, 1g_10gb_me, 1c_2g_20gb: dots where numbers meet.
    format!("{vendor}.com/mig-{}", profile.replace('_', "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_resources_get_their_names_back() {
        for (written, name) in [
            ("nvidia_com_gpu", "nvidia.com/gpu"),
            ("nvidia_com_mig_1g_10gb", "nvidia.com/mig-1g.10gb"),
            ("nvidia_com_mig_1g_10gb_me", "nvidia.com/mig-1g.10gb.me"),
            ("amd_com_gpu", "amd.com/gpu"),
            ("nvidia.com/gpu", "nvidia.com/gpu"),
            ("gpu", "gpu"),
        ] {
            assert_eq!(original_name(written), name);
        }
    }
}
