//! Which namespaces may use GPU nodes: by our own label, else by the annotations of the admission plugin
//! `PodTolerationRestriction`.
//!
//! Source: kubernetes `plugin/pkg/admission/podtolerationrestriction` (an empty whitelist restricts nothing),
//! `k8s.io/api/core/v1` `Toleration.ToleratesTaint`.

use super::{Policy, reason};
use crate::model::object::{Taint, Toleration};

/// The value of one of the annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Listed {
    /// It is not there.
    #[default]
    NotSet,
    /// It is not a list of tolerations.
    Malformed,
    /// What it lists.
    These(Vec<Toleration>),
}

/// What a namespace says about GPU nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Label `prewarm.dev/gpu-access`: `allowed` or `denied`; it decides where it is there.
    pub access: Option<bool>,
    /// `scheduler.alpha.kubernetes.io/defaultTolerations`.
    pub defaults: Listed,
    /// `scheduler.alpha.kubernetes.io/tolerationsWhitelist`.
    pub whitelist: Listed,
}

impl Namespace {
    /// Why its pods may not use a node with these GPU taints; `None` = they may.
    pub(super) fn refusal(&self, taints: &[Taint], policy: &Policy) -> Option<&'static str> {
        match self.access {
            Some(true) => return None,
            Some(false) => return Some(reason::NAMESPACE),
            None => {}
        }
        if taints.is_empty() {
            return None;
        }
        let covers = |list: &[Toleration]| {
            taints.iter().all(|taint| list.iter().any(|toleration| tolerates(toleration, taint)))
        };
        match (&self.defaults, &self.whitelist) {
            (Listed::Malformed, _) | (_, Listed::Malformed) => Some(reason::MALFORMED),
            (Listed::These(defaults), _) if covers(defaults) => None,
            (_, Listed::These(whitelist)) => {
                (!whitelist.is_empty() && !covers(whitelist)).then_some(reason::NAMESPACE)
            }
            (_, Listed::NotSet) => policy.is_strict.then_some(reason::NAMESPACE),
        }
    }
}

/// Whether the toleration covers the taint.
pub(super) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    toleration.effect.is_none_or(|effect| effect == taint.effect)
        && match toleration.key.as_str() {
            "" => toleration.exists,
            key => key == taint.key && (toleration.exists || toleration.value == taint.value),
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::Effect;

    fn taint() -> Taint {
        Taint { key: "nvidia.com/gpu".into(), value: "present".into(), effect: Effect::NoSchedule }
    }

    fn key(key: &str) -> Toleration {
        Toleration { key: key.into(), exists: true, ..Toleration::default() }
    }

    fn refused(namespace: &Namespace, is_strict: bool) -> bool {
        let policy = Policy { is_strict, ..Policy::default() };
        namespace.refusal(&[taint()], &policy).is_some()
    }

    #[test]
    fn tolerations_match_as_in_the_api() {
        let value = |value: &str| Toleration {
            exists: false,
            value: value.into(),
            ..key("nvidia.com/gpu")
        };
        assert!(tolerates(&key("nvidia.com/gpu"), &taint()));
        assert!(tolerates(&key(""), &taint()));
        assert!(!tolerates(&Toleration::default(), &taint()));
        assert!(!tolerates(&key("amd.com/gpu"), &taint()));
        assert!(tolerates(&value("present"), &taint()));
        assert!(!tolerates(&value("absent"), &taint()));
        let other = Toleration { effect: Some(Effect::NoExecute), ..key("nvidia.com/gpu") };
        assert!(!tolerates(&other, &taint()));
    }

    #[test]
    fn a_namespace_that_says_nothing_is_judged_by_strictness() {
        assert!(!refused(&Namespace::default(), false));
        assert!(refused(&Namespace::default(), true));
    }

    #[test]
    fn the_label_goes_before_the_annotations() {
        let denied = Namespace {
            access: Some(false),
            defaults: Listed::These(vec![key("")]),
            ..Namespace::default()
        };
        assert!(refused(&denied, false));
        let allowed =
            Namespace { access: Some(true), whitelist: Listed::Malformed, ..Namespace::default() };
        assert!(!refused(&allowed, true));
    }

    #[test]
    fn an_empty_whitelist_restricts_nothing_and_a_malformed_one_everything() {
        let with = |whitelist| Namespace { whitelist, ..Namespace::default() };
        assert!(!refused(&with(Listed::These(Vec::new())), true));
        assert!(refused(&with(Listed::Malformed), false));
        assert!(refused(&with(Listed::These(vec![key("cpu")])), false));
        assert!(!refused(&with(Listed::These(vec![key("cpu"), key("nvidia.com/gpu")])), true));
        let both = Namespace {
            defaults: Listed::These(vec![key("nvidia.com/gpu")]),
            ..with(Listed::These(vec![key("cpu")]))
        };
        assert!(!refused(&both, true));
    }
}
