//! The share of a job that sits on one node.

use crate::model::{MAX_NODES, Pool, Shape};
use serde::{Deserialize, Serialize};

/// What one node must give. `devices` distinct devices, `milli` thousandths of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Part {
    /// Devices.
    pub devices: u32,
    /// Of each device, 1..=1000.
    pub milli: u16,
    /// Milli-CPU.
    pub cpu_milli: u32,
    /// MiB.
    pub memory_mib: u32,
}

impl Part {
    /// Thousandths of GPUs in all.
    pub fn demand_milli(&self) -> u32 {
        self.devices * u32::from(self.milli)
    }

    /// What a node must have in one piece (see [`super::Room::largest_piece`]) to hold it.
    pub fn least_piece(&self) -> u32 {
        if self.is_whole() { self.devices * 1000 } else { u32::from(self.milli) }
    }

    /// Asks for whole devices.
    pub fn is_whole(&self) -> bool {
        self.milli == 1000
    }
}

/// How a job of this shape spreads over nodes of the pool: each worker on one node, or, if it is
/// larger than a node, on whole nodes and one more for the remainder. Largest parts first. `None` if
/// the pool's nodes can never hold it (other model, resource, labels, or too little CPU or memory).
pub fn split(shape: &Shape, pool: &Pool) -> Option<Vec<Part>> {
    if !accepts(shape, pool) || !is_possible(shape, pool) {
        return None;
    }
    let worker = split_worker(shape, pool.gpus_per_node);
    if !worker.iter().all(|part| holds(pool, part)) {
        return None;
    }
    let workers = shape.workers as usize;
    let mut parts = Vec::with_capacity(worker.len() * workers);
    for part in &worker {
        parts.extend(std::iter::repeat_n(*part, workers));
    }
    Some(parts)
}

/// Asks for something, and for no more than the largest pool there may be.
fn is_possible(shape: &Shape, pool: &Pool) -> bool {
    let most = u128::from(MAX_NODES) * u128::from(pool.gpus_per_node);
    let asked = u128::from(shape.workers) * u128::from(shape.gpus);
    asked > 0 && asked <= most && (1..=1000).contains(&shape.gpu_milli)
}

fn accepts(shape: &Shape, pool: &Pool) -> bool {
    let model = shape.gpu_models.is_empty()
        || pool.gpu_model.is_empty()
        || shape.gpu_models.contains(&pool.gpu_model);
    let labels = shape.node_selector.iter().all(|wanted| pool.labels.contains(wanted));
    shape.resource == pool.resource && model && labels
}

fn holds(pool: &Pool, part: &Part) -> bool {
    pool.cpu_milli.is_none_or(|cpu| part.cpu_milli <= cpu)
        && pool.memory_mib.is_none_or(|memory| part.memory_mib <= memory)
}

/// Whole nodes, then the remainder; CPU and memory in proportion, rounded up.
fn split_worker(shape: &Shape, gpus_per_node: u32) -> Vec<Part> {
    let portion = |amount: u32, devices: u32| {
        (u64::from(amount) * u64::from(devices)).div_ceil(u64::from(shape.gpus)) as u32
    };
    let part = |devices: u32| Part {
        devices,
        milli: shape.gpu_milli,
        cpu_milli: portion(shape.cpu_milli, devices),
        memory_mib: portion(shape.memory_mib, devices),
    };
    let whole_nodes = shape.gpus / gpus_per_node;
    let remainder = shape.gpus % gpus_per_node;
    let mut parts = vec![part(gpus_per_node); whole_nodes as usize];
    if remainder > 0 {
        parts.push(part(remainder));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(shape: &Shape) -> Vec<u32> {
        split(shape, &Pool::new("p", 8)).unwrap().iter().map(|part| part.devices).collect()
    }

    #[test]
    fn a_job_larger_than_a_node_takes_whole_nodes_and_a_remainder() {
        assert_eq!(devices(&Shape::whole_gpus(20)), [8, 8, 4]);
        assert_eq!(devices(&Shape::whole_gpus(16)), [8, 8]);
        assert_eq!(devices(&Shape::whole_gpus(3)), [3]);
    }

    #[test]
    fn workers_do_not_share_a_part() {
        assert_eq!(devices(&Shape { workers: 3, ..Shape::whole_gpus(4) }), [4, 4, 4]);
        assert_eq!(devices(&Shape { workers: 2, ..Shape::whole_gpus(9) }), [8, 8, 1, 1]);
    }

    #[test]
    fn cpu_and_memory_follow_the_gpus() {
        let shape = Shape { cpu_milli: 1000, memory_mib: 10, ..Shape::whole_gpus(12) };
        let parts = split(&shape, &Pool::new("p", 8)).unwrap();
        assert_eq!((parts[0].cpu_milli, parts[1].cpu_milli), (667, 334));
        assert_eq!((parts[0].memory_mib, parts[1].memory_mib), (7, 4));
    }

    #[test]
    fn a_pool_of_another_model_resource_or_label_never_holds_it() {
        let pool = Pool { gpu_model: "T4".into(), ..Pool::new("p", 8) };
        let wants = |models: &[&str]| Shape {
            gpu_models: models.iter().map(|&m| m.to_owned()).collect(),
            ..Shape::whole_gpus(1)
        };
        assert!(split(&wants(&["A100", "T4"]), &pool).is_some());
        assert!(split(&wants(&[]), &pool).is_some());
        assert!(split(&wants(&["A100"]), &pool).is_none());
        let mig = Shape { resource: "nvidia.com/mig-1g.10gb".into(), ..Shape::whole_gpus(1) };
        assert!(split(&mig, &pool).is_none());
        let zone = Shape { node_selector: vec![("zone".into(), "a".into())], ..wants(&[]) };
        assert!(split(&zone, &pool).is_none());
    }

    #[test]
    fn too_much_cpu_for_any_node_is_never_held() {
        let pool = Pool { cpu_milli: Some(4000), ..Pool::new("p", 8) };
        assert!(split(&Shape { cpu_milli: 4001, ..Shape::whole_gpus(1) }, &pool).is_none());
        assert!(split(&Shape { cpu_milli: 8000, ..Shape::whole_gpus(16) }, &pool).is_some());
    }
}
