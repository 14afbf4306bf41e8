//! What countable things are counted in.
//!
//! GPUs that can be shared are counted in thousandths ("milli"), as Kubernetes counts CPU.

/// One whole GPU in thousandths.
pub const GPU_MILLI: u32 = 1000;

/// More than any pool has of anything, in whatever unit it is counted; sums of millions of such amounts still
/// fit 64 bits.
pub(crate) const MOST: i64 = 1 << 40;

/// Whether a kept amount can be one.
pub(crate) fn is_amount(found: i64) -> bool {
    (-MOST..=MOST).contains(&found)
}

/// Whether a kept weight or sum can be one: finite, not below zero.
pub(crate) fn is_mass(found: f64) -> bool {
    (0.0..=1e15).contains(&found)
}

/// GPU-milliseconds times 1000 (milli-GPU-milliseconds) as GPU-hours.
pub fn gpu_hours(milli_gpu_ms: i128) -> f64 {
    milli_gpu_ms as f64 / (f64::from(GPU_MILLI) * 3_600_000.0)
}

/// Node-milliseconds as node-hours.
pub fn node_hours(node_ms: i128) -> f64 {
    node_ms as f64 / 3_600_000.0
}
