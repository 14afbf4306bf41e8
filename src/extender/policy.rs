//! Settings of the extender.

use crate::time::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// Who may use GPU nodes, and how careful to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Taint keys that mark GPU nodes.
    pub gpu_taints: BTreeSet<String>,
    /// Pods of these namespaces may go anywhere.
    pub exempt_namespaces: BTreeSet<String>,
    /// Namespaces that say nothing are kept off tainted GPU nodes, nodes nobody knows are refused. Otherwise
    /// both pass.
    pub is_strict: bool,
    /// Pods that ask for no GPU are kept off GPU nodes.
    pub refuses_squatters: bool,
    /// After a reboot, what a node says of its GPUs is doubted for at most so long.
    pub reboot_doubt: Millis,
    /// A node takes pods only once it has been ready for so long.
    pub settle: Millis,
    /// A node ready for less than this comes last among equals.
    pub fresh: Millis,
    /// All nodes come and go with demand, or none does: the fullest node first, whatever jobs to come could use of
    /// it. `None` = node by node, as its label or the controller says.
    pub elastic: Option<bool>,
    /// By GPU model: price of a GPU-hour, in thousandths of that of models that are not named.
    pub prices_milli: BTreeMap<String, u32>,
    /// Conditions that say, when true, that a GPU is broken.
    pub unhealthy_conditions: BTreeSet<String>,
}

impl Default for Policy {
    /// Permissive to namespaces, no squatters, 5 minutes of doubt after a reboot.
    fn default() -> Self {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            gpu_taints: set(&[
                "nvidia.com/gpu",
                "amd.com/gpu",
                "gpu.intel.com/xe",
                "habana.ai/gaudi",
            ]),
            exempt_namespaces: set(&["kube-system", "gpu-operator", "prewarm"]),
            is_strict: false,
            refuses_squatters: true,
            reboot_doubt: Millis::from_mins(5),
            settle: Millis::ZERO,
            fresh: Millis::from_secs(30),
            elastic: None,
            prices_milli: BTreeMap::new(),
            unhealthy_conditions: set(&["GPUUnhealthy", "GpuUnhealthy", "GpuHardwareFailure"]),
        }
    }
}
