//! Devices that DRA drivers publish, by node.

use crate::model::object::{GpuSlices, ResourceSlice};
use std::collections::BTreeMap;

/// What is seen of the newest generation of a driver's pool.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    generation: i64,
    /// Slices there should be.
    expected: u32,
    slices: u32,
    devices: u32,
}

/// Devices by node: of each driver's pool the newest generation counts, older slices are on their way out.
pub(in crate::live) fn slices<'a>(
    all: impl Iterator<Item = &'a ResourceSlice>,
) -> BTreeMap<&'a str, GpuSlices> {
    let mut newest: BTreeMap<(&str, &str, &str), Seen> = BTreeMap::new();
    for slice in all.filter(|slice| slice.driver.starts_with("gpu.")) {
        let Some(node) = slice.node.as_deref() else { continue };
        let seen = newest.entry((node, &slice.driver, &slice.pool)).or_default();
        if slice.generation > seen.generation {
            *seen = Seen { generation: slice.generation, ..Seen::default() };
        }
        if slice.generation == seen.generation {
            seen.expected = slice.slices;
            seen.slices += 1;
            seen.devices = seen.devices.saturating_add(slice.devices);
        }
    }
    let mut nodes: BTreeMap<&str, GpuSlices> = BTreeMap::new();
    for ((node, driver, _), seen) in newest {
        let first = || GpuSlices { driver: driver.to_owned(), devices: 0, is_complete: true };
        let known = nodes.entry(node).or_insert_with(first);
        known.devices = known.devices.saturating_add(seen.devices);
        known.is_complete &= seen.slices >= seen.expected;
    }
    nodes
}
