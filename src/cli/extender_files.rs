//! The files that flags of the extender name: policy and certificates.

use crate::live::extender::{PolicySource, policy_file::PolicyError, tls::TlsFiles};
use anyhow::bail;
use std::path::PathBuf;

/// The policy that a flag names; without one everything is as by default.
pub(super) fn policy(path: Option<&PathBuf>) -> anyhow::Result<PolicySource> {
    let Some(path) = path else { return Ok(PolicySource::default()) };
    PolicySource::read(path).map_err(|error| match error {
        // The cause is told once, and known as one: where the file is not there, a hint follows.
        PolicyError::File { path, source } => {
            anyhow::Error::new(source).context(path.display().to_string())
        }
        other @ PolicyError::Content { .. } => other.into(),
    })
}

/// The certificates that three flags name; `prefix` is what the flags begin with.
pub(super) fn tls_files(
    prefix: &str,
    certificate: Option<&PathBuf>,
    key: Option<&PathBuf>,
    client_ca: Option<&PathBuf>,
) -> anyhow::Result<Option<TlsFiles>> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            client_ca: client_ca.cloned(),
        })),
        (None, None) if client_ca.is_none() => Ok(None),
        _ => bail!(
            "--{prefix}tls-cert and --{prefix}tls-key go together, --{prefix}client-ca needs both"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extender::Policy;

    #[test]
    fn a_missing_policy_is_told_once() {
        let fault = format!("{:#}", policy(Some(&PathBuf::from("nowhere.yaml"))).unwrap_err());
        assert!(fault.starts_with("nowhere.yaml: "), "{fault}");
        assert_eq!(fault.matches("os error").count(), 1, "{fault}");
        assert_eq!(policy(None).unwrap().policy(), &Policy::default());
    }

    #[test]
    fn certificates_come_whole_or_not_at_all() {
        let path = PathBuf::from("x");
        assert!(tls_files("", None, None, None).unwrap().is_none());
        assert!(tls_files("", Some(&path), Some(&path), None).unwrap().is_some());
        assert!(tls_files("", Some(&path), None, None).is_err());
        assert!(tls_files("", None, None, Some(&path)).is_err());
    }
}
