//! Which nodes are a pool: by rules of the user, or guessed from labels.

use super::node::NodeLife;
use crate::model::MAX_DEVICES;
use std::{collections::BTreeMap, str::FromStr};
use thiserror::Error;

/// A pool: its nodes have so many GPUs and these labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRule {
    /// Unique name.
    pub name: String,
    /// GPUs of a node.
    pub gpus: u32,
    /// Labels a node must have, as kube-state-metrics writes their names.
    pub labels: Vec<(String, String)>,
}

/// Why a text is no rule.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`{text}`: {problem}: write NAME=GPUS or NAME=GPUS:LABEL=VALUE,..., for example a100=8:cluster-api/accelerator=a100"
)]
pub struct RuleFault {
    text: String,
    problem: String,
}

impl FromStr for PoolRule {
    type Err = RuleFault;

    fn from_str(text: &str) -> Result<Self, RuleFault> {
        let fault =
            |problem: &str| RuleFault { text: text.to_owned(), problem: problem.to_owned() };
        let (name, rest) = text.split_once('=').ok_or_else(|| fault("there is no `=`"))?;
        if name.trim().is_empty() {
            return Err(fault("the name is empty"));
        }
        let (gpus, labels) = rest.split_once(':').unwrap_or((rest, ""));
        let gpus = gpus.parse().ok().filter(|gpus| (1..=MAX_DEVICES).contains(gpus));
        let gpus = gpus.ok_or_else(|| fault(&format!("GPUs of a node are 1 to {MAX_DEVICES}")))?;
        let pairs = labels.split(',').filter(|pair| !pair.is_empty());
        let labels = pairs.map(|pair| {
            let (label, value) =
                pair.split_once('=').ok_or_else(|| fault("a label has no value"))?;
            Ok((Self::written(label.trim()), value.trim().to_owned()))
        });
        Ok(Self { name: name.trim().to_owned(), gpus, labels: labels.collect::<Result<_, _>>()? })
    }
}

impl std::fmt::Display for PoolRule {
    /// As it is typed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.name, self.gpus)?;
        for (nth, (label, value)) in self.labels.iter().enumerate() {
            write!(f, "{}{label}={value}", if nth == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

impl PoolRule {
    /// A label as kube-state-metrics writes it: `cluster-api/accelerator` as `cluster_api_accelerator`.
    pub fn written(label: &str) -> String {
        let label = label.strip_prefix("label_").unwrap_or(label);
        label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
    }

    fn takes(&self, node: &NodeLife) -> bool {
        node.gpus == self.gpus
            && self.labels.iter().all(|(name, value)| node.labels.get(name) == Some(value))
    }
}

/// The pool of each node, by place among the rules; the first that takes it. `None` = no rule does.
pub fn assign(rules: &[PoolRule], nodes: &[NodeLife]) -> Vec<Option<usize>> {
    nodes.iter().map(|node| rules.iter().position(|rule| rule.takes(node))).collect()
}

/// Labels that tell kinds of GPU nodes apart, the best first.
const TELLING: [&str; 4] = [
    "cluster_api_accelerator",
    "nvidia_com_gpu_product",
    "node_kubernetes_io_instance_type",
    "karpenter_sh_nodepool",
];

/// A rule for every kind of node that is there: by the first telling label that all nodes have, and by the
/// number of GPUs. The kind with most nodes comes first.
pub fn guess(nodes: &[NodeLife]) -> Vec<PoolRule> {
    let label = TELLING.into_iter().find(|label| {
        !nodes.is_empty() && nodes.iter().all(|node| node.labels.contains_key(*label))
    });
    let mut kinds: BTreeMap<(String, u32), u32> = BTreeMap::new();
    for node in nodes {
        let value = label.and_then(|label| node.labels.get(label)).cloned().unwrap_or_default();
        *kinds.entry((value, node.gpus)).or_default() += 1;
    }
    let mut kinds: Vec<((String, u32), u32)> = kinds.into_iter().collect();
    kinds.sort_by_key(|((_, _), nodes)| std::cmp::Reverse(*nodes));
    let mut rules: Vec<PoolRule> = Vec::new();
    for ((value, gpus), _) in kinds {
        let stem = if value.is_empty() { "gpu".to_owned() } else { value.clone() };
        let is_taken = |name: &str| rules.iter().any(|rule| rule.name == name);
        let name =
            if is_taken(&stem) || value.is_empty() { format!("{stem}-{gpus}") } else { stem };
        let labels = label.filter(|_| !value.is_empty()).map(|label| (label.to_owned(), value));
        rules.push(PoolRule { name, gpus, labels: labels.into_iter().collect() });
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn node(gpus: u32, labels: &[(&str, &str)]) -> NodeLife {
        NodeLife {
            name: "n".to_owned(),
            gpus,
            resource: "nvidia_com_gpu".to_owned(),
            created: Timestamp::ZERO,
            gone: None,
            ready: None,
            gpu_ready: None,
            machine: None,
            labels: labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect(),
        }
    }

    #[test]
    fn rules_are_read_and_refused() {
        let rule: PoolRule = "a100=8:cluster-api/accelerator=a100,zone=x".parse().unwrap();
        assert_eq!((rule.name.as_str(), rule.gpus), ("a100", 8));
        assert_eq!(rule.labels[0], ("cluster_api_accelerator".to_owned(), "a100".to_owned()));
        assert_eq!(rule.to_string().parse(), Ok(rule));
        for wrong in ["a100", "=8", "a=0", "a=x", "a=8:zone"] {
            assert!(
                wrong.parse::<PoolRule>().unwrap_err().to_string().contains("NAME=GPUS"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn kinds_are_told_apart_by_the_label_that_all_have() {
        let (a, b) = ([("cluster_api_accelerator", "a100")], [("cluster_api_accelerator", "t4")]);
        let nodes = [node(4, &b), node(8, &a), node(8, &a), node(4, &a)];
        let rules = guess(&nodes);
        let names: Vec<(&str, u32)> =
            rules.iter().map(|rule| (rule.name.as_str(), rule.gpus)).collect();
        assert_eq!(names, [("a100", 8), ("a100-4", 4), ("t4", 4)]);
        assert_eq!(assign(&rules, &nodes), [Some(2), Some(0), Some(0), Some(1)]);
        let bare = guess(&[node(8, &[]), node(8, &a)]);
        assert_eq!(bare, [PoolRule { name: "gpu-8".to_owned(), gpus: 8, labels: vec![] }]);
        assert!(guess(&[]).is_empty());
    }
}
