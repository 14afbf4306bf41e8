//! Why a node is refused. kube-scheduler counts nodes by the exact text ("3 GPU driver not ready"), so there are
//! few, and no names or numbers in them.

/// The namespace's policy keeps it off tainted GPU nodes.
pub const NAMESPACE: &str = "namespace not allowed on GPU nodes";
/// The namespace's toleration annotations cannot be read.
pub const MALFORMED: &str = "namespace has an invalid toleration annotation";
/// It would take CPU and memory that GPU jobs need.
pub const SQUATTER: &str = "pod requests no GPU";
/// The node is going.
pub const LEAVING: &str = "node is being removed";
/// No GPU is allocatable yet.
pub const DRIVER: &str = "GPU driver not ready";
/// The driver is being replaced.
pub const UPGRADE: &str = "GPU driver upgrade in progress";
/// The driver could not be replaced.
pub const UPGRADE_FAILED: &str = "GPU driver upgrade failed";
/// GPUs are being partitioned anew.
pub const MIG: &str = "MIG reconfiguration in progress";
/// GPUs could not be partitioned.
pub const MIG_FAILED: &str = "MIG reconfiguration failed";
/// The node has started anew; what it says of its GPUs may be from before.
pub const REBOOTED: &str = "GPU state not confirmed after a reboot";
/// A device is broken.
pub const HEALTH: &str = "GPU unhealthy";
/// It became ready only now.
pub const SETTLING: &str = "GPU node is settling";
/// Devices published for DRA are not complete.
pub const DRA: &str = "GPU devices not published";
/// It offers GPUs under other names: another MIG profile, or whole GPUs.
pub const RESOURCE: &str = "node offers no such GPU resource";
/// Another model.
pub const MODEL: &str = "GPU model not acceptable";
/// GPUs too small.
pub const MEMORY: &str = "GPU memory too small";
/// Another NVLink domain.
pub const CLIQUE: &str = "not in the wanted NVLink domain";
/// Kept for another gang.
pub const RESERVED: &str = "NVLink domain reserved";
/// Nothing is known of it (only where unknown nodes are refused).
pub const UNKNOWN: &str = "node unknown to prewarm";

/// All reasons.
pub const ALL: [&str; 19] = [
    NAMESPACE,
    MALFORMED,
    SQUATTER,
    LEAVING,
    DRIVER,
    UPGRADE,
    UPGRADE_FAILED,
    MIG,
    MIG_FAILED,
    REBOOTED,
    HEALTH,
    SETTLING,
    DRA,
    RESOURCE,
    MODEL,
    MEMORY,
    CLIQUE,
    RESERVED,
    UNKNOWN,
];
