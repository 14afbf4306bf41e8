//! Annotations that are written as well as read.

/// On a Node: our hold on it ends then (RFC 3339).
pub const HOLD_UNTIL: &str = "prewarm.dev/hold-until";
/// On a Node: we cordoned it.
pub const CORDONED: &str = "prewarm.dev/cordoned";
/// On a Node, `true`: cluster-autoscaler does not remove it.
pub const SCALE_DOWN_DISABLED: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";
/// On a Pod, a duration: cluster-autoscaler does not see it before.
pub const DELAY: &str = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay";
/// On a Pod: we wrote the delay.
pub const DELAY_IS_OURS: &str = "prewarm.dev/pod-scale-up-delay";
