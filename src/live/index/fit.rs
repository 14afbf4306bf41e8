//! Which pools can hold a pod, and the shape that says so to the engine.
//!
//! The engine knows resource, size, model and labels. It knows no taints, and it would split a pod larger
//! than a node over several, which pods cannot be. Where it would accept more pools than hold the pod, the
//! shape is pinned to the first that does; that the pod could move on to the others is lost then.

use super::{pods::Fit, pools::Plan, shapes::Shapes, tuning::POOL_LABEL};
use crate::{
    engine::PoolSettings,
    model::{
        Shape,
        object::{Pod, Taint, Toleration},
    },
    packing::split,
};

/// Labels that every node has and no pool declares.
const EVERYWHERE: [&str; 4] =
    ["kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/arch"];

/// Where a pod fits.
pub(super) fn fit(
    pod: &Pod,
    plans: &[Plan<'_>],
    pools: &[PoolSettings],
    shapes: &mut Shapes,
) -> Fit {
    let holding: Vec<usize> = (0..plans.len()).filter(|&pool| holds(&plans[pool], pod)).collect();
    let Some(&home) = holding.first() else { return Fit::default() };
    let mut shape = shape(pod, &plans[home], plans, &holding);
    let accepts = |shape: &Shape, pool: &PoolSettings| split(shape, &pool.pool).is_some();
    let is_exact = pools
        .iter()
        .enumerate()
        .all(|(pool, settings)| accepts(&shape, settings) == holding.contains(&pool));
    if !is_exact {
        shape.node_selector.push((POOL_LABEL.to_owned(), plans[home].key.clone()));
        shape.node_selector.sort();
    }
    if !accepts(&shape, &pools[home]) {
        return Fit::default();
    }
    Fit { home: Some((home, shapes.number(shape))) }
}

/// The shape of a pod that runs on a node of `pool`, pinned to it; `None` if it takes nothing of what
/// the pool counts.
pub(super) fn shape_on(
    pod: &Pod,
    pool: usize,
    plans: &[Plan<'_>],
    pools: &[PoolSettings],
) -> Option<Shape> {
    let pin = (POOL_LABEL.to_owned(), plans[pool].key.clone());
    let shape = Shape {
        node_selector: vec![pin],
        gpu_models: Vec::new(),
        ..shape(pod, &plans[pool], plans, &[pool])
    };
    (shape.gpus > 0 && split(&shape, &pools[pool].pool).is_some()).then_some(shape)
}

fn holds(plan: &Plan<'_>, pod: &Pod) -> bool {
    let hardware = &plan.hardware;
    let gpus = pod.requests.extended.get(&hardware.resource).copied().unwrap_or_default();
    let fits = |asked: u64, has: Option<u32>| has.is_none_or(|has| asked <= u64::from(has));
    (1..=u64::from(hardware.gpus)).contains(&gpus)
        && fits(pod.requests.cpu_milli, hardware.cpu_milli)
        && fits(mib(pod.requests.memory_bytes), hardware.memory_mib)
        && has_model(plan, pod)
        && pod.node_selector.iter().all(|(key, value)| has_label(plan, key, value))
        && hardware.taints.iter().all(|taint| is_tolerated(taint, &pod.tolerations))
}

fn has_model(plan: &Plan<'_>, pod: &Pod) -> bool {
    let models = &plan.hardware.models;
    pod.gpu_models.is_empty()
        || models.is_empty()
        || pod.gpu_models.iter().any(|model| models.contains(model))
}

fn has_label(plan: &Plan<'_>, key: &str, value: &str) -> bool {
    let known = plan.hardware.labels.get(key);
    known.map_or_else(|| EVERYWHERE.contains(&key), |known| known == value)
}

fn is_tolerated(taint: &Taint, tolerations: &[Toleration]) -> bool {
    tolerations.iter().any(|one| {
        let effect = one.effect.is_none_or(|effect| effect == taint.effect);
        let key = one.key == taint.key || (one.key.is_empty() && one.exists);
        effect && key && (one.exists || one.value == taint.value)
    })
}

fn shape(pod: &Pod, home: &Plan<'_>, plans: &[Plan<'_>], holding: &[usize]) -> Shape {
    let resource = &home.hardware.resource;
    let gpus = pod.requests.extended.get(resource).copied().unwrap_or_default();
    let mut gpu_models = Vec::new();
    if !pod.gpu_models.is_empty() {
        gpu_models.extend(holding.iter().map(|&pool| plans[pool].hardware.model()));
        gpu_models.retain(|model| !model.is_empty());
        gpu_models.sort();
        gpu_models.dedup();
    }
    let known = pod.node_selector.iter().filter(|(key, _)| !EVERYWHERE.contains(&key.as_str()));
    Shape {
        priority: pod.priority,
        workers: 1,
        gpus: u32::try_from(gpus).unwrap_or(u32::MAX),
        gpu_milli: 1000,
        cpu_milli: u32::try_from(pod.requests.cpu_milli).unwrap_or(u32::MAX),
        memory_mib: u32::try_from(mib(pod.requests.memory_bytes)).unwrap_or(u32::MAX),
        resource: resource.clone(),
        gpu_models,
        node_selector: known.map(|(key, value)| (key.clone(), value.clone())).collect(),
    }
}

/// Started MiB.
const fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}
