//! From objects of the API to what the extender's snapshot takes.

use crate::{
    extender::{Listed, Namespace, Seen, Taken},
    live::objects::{CapiKeys, Facts},
    model::{
        NVIDIA_GPU,
        object::{Effect, GpuSlices, Node, Strings, Toleration},
    },
    readiness::{Expected, is_gpu_resource, readiness},
};
use kube::core::{Object, object::NotUsed};
use serde::Deserialize;

const DEFAULTS: &str = "scheduler.alpha.kubernetes.io/defaultTolerations";
const WHITELIST: &str = "scheduler.alpha.kubernetes.io/tolerationsWhitelist";
/// Our own label: `allowed` or `denied`.
const ACCESS: &str = "prewarm.dev/gpu-access";

/// What a namespace says, by its labels and annotations.
pub fn namespace(name: &str, labels: &Strings, annotations: &Strings) -> Namespace {
    let listed = |key| annotations.get(key).map_or(Listed::NotSet, |text| listed(text));
    Namespace {
        name: name.to_owned(),
        access: match labels.get(ACCESS).map(String::as_str) {
            Some("allowed") => Some(true),
            Some("denied") => Some(false),
            _ => None,
        },
        defaults: listed(DEFAULTS),
        whitelist: listed(WHITELIST),
    }
}

impl Facts for Namespace {
    type Spec = NotUsed;
    type Status = NotUsed;

    fn facts(object: Object<NotUsed, NotUsed>, _keys: &CapiKeys) -> Self {
        let metadata = object.metadata;
        let told = namespace(
            &metadata.name.unwrap_or_default(),
            &metadata.labels.unwrap_or_default(),
            &metadata.annotations.unwrap_or_default(),
        );
        for (annotation, listed) in [(DEFAULTS, &told.defaults), (WHITELIST, &told.whitelist)] {
            if *listed == Listed::Malformed {
                let why = "no list of tolerations: pods of this namespace are kept off GPU nodes";
                tracing::warn!(namespace = told.name, annotation, "{why}");
            }
        }
        told
    }
}

#[derive(Deserialize)]
struct RawToleration {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    operator: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    effect: Option<String>,
}

/// A JSON array of tolerations. Empty text is an empty list, as upstream.
fn listed(text: &str) -> Listed {
    if text.is_empty() {
        return Listed::These(Vec::new());
    }
    let read: Result<Option<Vec<RawToleration>>, _> = serde_json::from_str(text);
    let tolerations = read
        .ok()
        .map(Option::unwrap_or_default)
        .and_then(|raw| raw.into_iter().map(toleration).collect::<Option<Vec<Toleration>>>());
    tolerations.map_or(Listed::Malformed, Listed::These)
}

fn toleration(raw: RawToleration) -> Option<Toleration> {
    let effect = match raw.effect.as_deref() {
        None | Some("") => None,
        Some("NoSchedule") => Some(Effect::NoSchedule),
        Some("PreferNoSchedule") => Some(Effect::PreferNoSchedule),
        Some("NoExecute") => Some(Effect::NoExecute),
        Some(_) => return None,
    };
    let exists = match raw.operator.as_deref() {
        None | Some("" | "Equal") => false,
        Some("Exists") => true,
        // Compares numbers (Kubernetes 1.35), which taints of GPU nodes are not: it covers none of them.
        Some("Lt" | "Gt") => return Some(Toleration::default()),
        Some(_) => return None,
    };
    let text = Option::unwrap_or_default;
    Some(Toleration { key: text(raw.key), exists, value: text(raw.value), effect })
}

/// What the Node object, its pods and its devices by DRA tell. Whoever knows more (Machine, expected GPUs,
/// reboots, prices) changes the fields.
pub fn seen<'a>(node: &'a Node, pods: Vec<&'a Taken>, slices: Option<&'a GpuSlices>) -> Seen<'a> {
    let gpus = node.capacity.extended.iter().filter(|(name, _)| is_gpu_resource(name));
    let (resource, count) = gpus
        .max_by_key(|&(_, &count)| count)
        .map_or((NVIDIA_GPU, 0), |(name, &count)| (name.as_str(), count));
    let expected = Expected { gpus: u32::try_from(count).unwrap_or(u32::MAX), resource };
    Seen {
        node,
        readiness: readiness(None, Some(node), expected, slices, false),
        ready_since: None,
        rebooted: None,
        slices,
        pods,
        is_to_go: false,
        is_scaled: false,
        price_milli: 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(whitelist: &str) -> Listed {
        let annotations = [(WHITELIST.to_owned(), whitelist.to_owned())].into();
        namespace("n", &Strings::new(), &annotations).whitelist
    }

    #[test]
    fn annotations_are_read_as_upstream_reads_them() {
        assert_eq!(of(""), Listed::These(Vec::new()));
        assert_eq!(of("[]"), Listed::These(Vec::new()));
        assert_eq!(of("null"), Listed::These(Vec::new()));
        assert_eq!(of("{"), Listed::Malformed);
        assert_eq!(of("{}"), Listed::Malformed);
        assert_eq!(of(r#"[{"key":"a","effect":"Never"}]"#), Listed::Malformed);
        assert_eq!(of(r#"[{"key":"a","operator":"Like"}]"#), Listed::Malformed);
        let number = of(r#"[{"key":"nvidia.com/gpu","operator":"Lt","value":"5"}]"#);
        assert_eq!(number, Listed::These(vec![Toleration::default()]), "it covers nothing");
        let one = of(r#"[{"key":"nvidia.com/gpu","operator":"Exists","effect":"NoSchedule"}]"#);
        let expected = Toleration {
            key: "nvidia.com/gpu".into(),
            exists: true,
            effect: Some(Effect::NoSchedule),
            ..Toleration::default()
        };
        assert_eq!(one, Listed::These(vec![expected]));
        let unset = namespace("n", &[(ACCESS.into(), "denied".into())].into(), &Strings::new());
        assert_eq!((unset.access, unset.whitelist), (Some(false), Listed::NotSet));
    }
}
