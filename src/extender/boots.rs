//! Which nodes have started anew without word from their GPUs since.
//!
//! After a reboot the kubelet shows the devices it remembers from before; pods that are sent there fail for
//! good (kubernetes #125579). The doubt ends when feature discovery or the device plugin is heard of again, or
//! by time, see [`super::Policy::reboot_doubt`].

use crate::time::Timestamp;
use std::collections::BTreeMap;

/// What is remembered of nodes.
#[derive(Clone, Debug, Default)]
pub struct Boots {
    nodes: BTreeMap<String, Boot>,
}

#[derive(Clone, Debug)]
struct Boot {
    id: String,
    proof: (String, u64),
    doubted: Option<Timestamp>,
}

impl Boots {
    /// A node was seen at `now`. `id`: `status.nodeInfo.bootID`; `stamp`: whatever its feature discovery writes
    /// anew each time (`nvidia.com/gfd.timestamp`); `gpus`: allocatable. Since when it is in doubt.
    pub fn note(
        &mut self,
        node: &str,
        id: &str,
        stamp: &str,
        gpus: u64,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let proof = (stamp.to_owned(), gpus);
        let Some(known) = self.nodes.get_mut(node) else {
            let boot = Boot { id: id.to_owned(), proof, doubted: None };
            self.nodes.insert(node.to_owned(), boot);
            return None;
        };
        let has_rebooted = known.id != id && !known.id.is_empty() && !id.is_empty();
        if has_rebooted {
            known.doubted = Some(now);
        } else if proof != known.proof && gpus > 0 {
            known.doubted = None;
        }
        if !id.is_empty() {
            id.clone_into(&mut known.id);
        }
        known.proof = proof;
        known.doubted
    }

    /// A node is gone.
    pub fn forget(&mut self, node: &str) {
        self.nodes.remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reboot_is_doubted_until_there_is_word_of_the_gpus() {
        let mut boots = Boots::default();
        let mut note = |id, stamp, gpus, at| boots.note("n", id, stamp, gpus, Timestamp(at));
        assert_eq!(note("a", "1", 8, 0), None);
        assert_eq!(note("a", "1", 8, 1), None);
        assert_eq!(note("b", "1", 8, 2), Some(Timestamp(2)));
        assert_eq!(note("b", "1", 8, 3), Some(Timestamp(2)));
        assert_eq!(note("b", "1", 0, 4), Some(Timestamp(2)));
        assert_eq!(note("b", "1", 8, 5), None);
        assert_eq!(note("c", "1", 8, 6), Some(Timestamp(6)));
        assert_eq!(note("c", "2", 8, 7), None);
        assert_eq!(note("", "2", 8, 8), None);
        assert_eq!(note("c", "2", 8, 9), None);
    }
}
