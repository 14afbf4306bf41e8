//! Which nodes come and go with demand, and who says so. Such a node can be given back once it is empty; a *fixed*
//! node is paid for whether it is used or not.

use crate::model::object::Node;

/// Label of a Node: `"true"` = it comes and goes, `"false"` = it stays. Anything else says nothing.
pub(super) const ELASTIC: &str = "prewarm.dev/elastic";

/// Who says whether a node comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElasticBy {
    /// The setting, for all nodes.
    Policy,
    /// The node's label.
    Node,
    /// The controller: its pool is scaled.
    Controller,
    /// Nobody; then it stays.
    Nobody,
}

impl ElasticBy {
    /// As one word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Node => "node",
            Self::Controller => "controller",
            Self::Nobody => "nobody",
        }
    }
}

/// Whether the node comes and goes, and who says so: the setting before the node's own label, that before the
/// controller (`is_scaled`). People who write a label know more than limits tell.
pub(super) fn elasticity(setting: Option<bool>, node: &Node, is_scaled: bool) -> (bool, ElasticBy) {
    let label = node.meta.labels.get(ELASTIC).map(String::as_str);
    match (setting, label) {
        (Some(is_elastic), _) => (is_elastic, ElasticBy::Policy),
        (None, Some("true")) => (true, ElasticBy::Node),
        (None, Some("false")) => (false, ElasticBy::Node),
        (None, _) if is_scaled => (true, ElasticBy::Controller),
        (None, _) => (false, ElasticBy::Nobody),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_counts_before_the_label_and_that_before_the_controller() {
        let told = |setting, label: &str, is_scaled| {
            let mut node = Node::default();
            node.meta.labels.insert(ELASTIC.into(), label.into());
            elasticity(setting, &node, is_scaled)
        };
        assert_eq!(told(Some(false), "true", true), (false, ElasticBy::Policy));
        assert_eq!(told(Some(true), "false", false), (true, ElasticBy::Policy));
        assert_eq!(told(None, "false", true), (false, ElasticBy::Node));
        assert_eq!(told(None, "true", false), (true, ElasticBy::Node));
        assert_eq!(told(None, "yes", true), (true, ElasticBy::Controller));
        assert_eq!(told(None, "yes", false), (false, ElasticBy::Nobody));
    }
}
