//! What countable things are counted in.
//!
//! GPUs that can be shared are counted in thousandths ("milli"), as Kubernetes counts CPU.

/// One whole GPU in thousandths.
pub const GPU_MILLI: u32 = 1000;

/// GPU-milliseconds times 1000 (milli-GPU-milliseconds) as GPU-hours.
pub fn gpu_hours(milli_gpu_ms: i128) -> f64 {
    milli_gpu_ms as f64 / (f64::from(GPU_MILLI) * 3_600_000.0)
}

/// Node-milliseconds as node-hours.
pub fn node_hours(node_ms: i128) -> f64 {
    node_ms as f64 / 3_600_000.0
}
