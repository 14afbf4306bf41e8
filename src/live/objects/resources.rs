//! Amounts of resources.

use crate::{
    config::quantity::{parse_quantity, parse_whole},
    model::object::Resources,
};
use std::collections::BTreeMap;

/// Amounts as the API writes them.
pub(super) type Amounts = BTreeMap<String, String>;

/// CPU, memory and extended resources (whose names have a domain); what cannot be read counts as nothing.
pub(super) fn resources(amounts: &Amounts) -> Resources {
    let mut read = Resources::default();
    for (name, amount) in amounts {
        match name.as_str() {
            "cpu" => read.cpu_milli = milli(amount),
            "memory" => read.memory_bytes = parse_whole(amount).unwrap_or_default(),
            extended if extended.contains('/') => {
                let whole = parse_whole(amount).unwrap_or_default();
                read.extended.insert(name.clone(), whole);
            }
            _ => {}
        }
    }
    read
}

fn milli(amount: &str) -> u64 {
    parse_quantity(amount).map_or(0, |cpus| (cpus * 1000.0 - 1e-6).ceil().max(0.0) as u64)
}

/// Adds, saturating.
pub(super) fn add(sum: &mut Resources, more: &Resources) {
    merge(sum, more, u64::saturating_add);
}

/// The larger of each.
pub(super) fn larger(sum: &mut Resources, other: &Resources) {
    merge(sum, other, u64::max);
}

fn merge(sum: &mut Resources, other: &Resources, with: impl Fn(u64, u64) -> u64) {
    sum.cpu_milli = with(sum.cpu_milli, other.cpu_milli);
    sum.memory_bytes = with(sum.memory_bytes, other.memory_bytes);
    for (name, &amount) in &other.extended {
        let known = sum.extended.entry(name.clone()).or_default();
        *known = with(*known, amount);
    }
}
