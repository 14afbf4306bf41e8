//! What annotations of a MachineDeployment say of its nodes, and what is wrong with them.
//!
//! Source: cluster-autoscaler 1.36, `cloudprovider/clusterapi` (scale from zero).

use super::findings::Note;
use crate::{
    config::quantity::{parse_mib, parse_milli_cpu},
    live::objects::CapiKeys,
    model::{
        MAX_NODES,
        object::{Effect, MachineDeployment, Strings, Taint},
    },
};

const PREFIX: &str = "capacity.cluster-autoscaler.kubernetes.io/";

/// What a node will have, as declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) resource: Option<String>,
    pub(super) gpus: Option<u32>,
    pub(super) dra_driver: Option<String>,
    pub(super) cpu_milli: Option<u32>,
    pub(super) memory_mib: Option<u32>,
    pub(super) labels: Strings,
    pub(super) taints: Vec<Taint>,
}

impl Declared {
    pub(super) fn read(deployment: &MachineDeployment, notes: &mut Vec<Note>) -> Self {
        let annotations = &deployment.meta.annotations;
        let text = |name: &str| annotations.get(&format!("{PREFIX}{name}")).map(String::as_str);
        let mut labels = deployment.template_labels.clone();
        labels.extend(pairs(text("labels").unwrap_or_default()));
        let mut taints = deployment.template_taints.clone();
        taints.extend(text("taints").unwrap_or_default().split(',').filter_map(taint));
        let gpus = read(text("gpu-count"), "gpu-count", "a whole number", notes, |text| {
            text.parse::<u32>().ok().filter(|&gpus| gpus > 0)
        });
        Self {
            resource: text("gpu-type").filter(|name| !name.is_empty()).map(str::to_owned),
            gpus,
            dra_driver: text("dra-driver").filter(|name| !name.is_empty()).map(str::to_owned),
            cpu_milli: read(text("cpu"), "cpu", "a quantity", notes, parse_milli_cpu),
            memory_mib: read(text("memory"), "memory", "a quantity", notes, parse_mib),
            labels,
            taints,
        }
    }

    /// Whether anything here says that the nodes have GPUs.
    pub(super) fn has_gpus(&self) -> bool {
        self.resource.is_some()
            || self.gpus.is_some()
            || self.dra_driver.is_some()
            || self.labels.contains_key(super::pools::ACCELERATOR)
    }
}

fn read<T>(
    text: Option<&str>,
    name: &str,
    wanted: &str,
    notes: &mut Vec<Note>,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let text = text?;
    let value = parse(text.trim());
    if value.is_none() {
        let shown = shorten(text);
        notes.push(Note::bad_annotation(format!("{PREFIX}{name}: {shown:?} is not {wanted}")));
    }
    value
}

/// `k1=v1,k2=v2`.
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    let pair = |one: &str| {
        let (key, value) = one.trim().split_once('=')?;
        (!key.is_empty()).then(|| (key.to_owned(), value.to_owned()))
    };
    text.split(',').filter_map(pair)
}

/// `key=value:Effect` or `key:Effect`.
fn taint(text: &str) -> Option<Taint> {
    let (name, effect) = text.trim().rsplit_once(':')?;
    let (key, value) = name.split_once('=').unwrap_or((name, ""));
    let effect = match effect {
        "NoSchedule" => Effect::NoSchedule,
        "NoExecute" => Effect::NoExecute,
        _ => return None,
    };
    Some(Taint { key: key.to_owned(), value: value.to_owned(), effect })
}

/// Node group limits of cluster-autoscaler: (min, max) if it is one of its groups, or what is wrong.
///
/// A missing minimum is 0, a missing maximum or one of 0 is no node group.
pub(super) fn node_group(
    deployment: &MachineDeployment,
    keys: &CapiKeys,
) -> Result<Option<(u32, u32)>, String> {
    let (min_key, max_key) = (keys.min_size(), keys.max_size());
    let number = |key: &String| match deployment.meta.annotations.get(key) {
        None => Ok(0),
        Some(text) => text.parse::<i32>().map_err(|_| {
            let shown = shorten(text);
            format!("{key}: {shown:?} is not an integer")
        }),
    };
    let (min, max) = (number(&min_key)?, number(&max_key)?);
    if min < 0 || max < 0 {
        return Err(format!("{min_key}: {min}, {max_key}: {max}: negative"));
    }
    if min > max {
        return Err(format!("{min_key}: {min} is above {max_key}: {max}"));
    }
    let clip = |size: i32| u32::try_from(size).unwrap_or_default().min(MAX_NODES);
    Ok((max > 0).then(|| (clip(min), clip(max))))
}

/// Both annotations are there, whatever they say.
pub(super) fn is_annotated(deployment: &MachineDeployment, keys: &CapiKeys) -> bool {
    let annotations = &deployment.meta.annotations;
    annotations.contains_key(&keys.min_size()) && annotations.contains_key(&keys.max_size())
}

pub(super) fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}
