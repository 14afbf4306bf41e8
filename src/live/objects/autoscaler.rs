//! What cluster-autoscaler says of itself: ConfigMap `cluster-autoscaler-status`, key `status`, YAML since
//! its version 1.30.

use crate::live::look::Autoscaler;
use k8s_openapi::api::core::v1::ConfigMap;
use serde::Deserialize;

/// Longest status that is read: some thousand node groups.
const LONGEST: usize = 4 << 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    time: String,
    #[serde(default)]
    node_groups: Option<Vec<Group>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    #[serde(default)]
    scale_up: Option<ScaleUp>,
}

#[derive(Debug, Deserialize)]
struct ScaleUp {
    #[serde(default)]
    status: Option<String>,
}

/// What the ConfigMap tells.
pub fn autoscaler(map: &ConfigMap) -> Autoscaler {
    let status = map.data.as_ref().and_then(|data| data.get("status"));
    status.map_or_else(
        || Autoscaler::Unreadable("it has no key `status`".to_owned()),
        |status| autoscaler_status(status),
    )
}

/// What the text under `status` tells.
pub fn autoscaler_status(text: &str) -> Autoscaler {
    if text.len() > LONGEST {
        return Autoscaler::Unreadable(format!("it is longer than {LONGEST} bytes"));
    }
    let status: Status = match serde_saphyr::from_str(text) {
        Ok(status) => status,
        Err(error) => {
            let first = error.to_string().lines().next().unwrap_or_default().to_owned();
            return Autoscaler::Unreadable(first);
        }
    };
    let Some(at) = go_time(&status.time) else {
        return Autoscaler::Unreadable(format!("its time {:?} is no time", status.time));
    };
    let groups = status.node_groups.unwrap_or_default();
    let in_state = |state: &str| {
        let is = |group: &&Group| {
            group.scale_up.as_ref().and_then(|up| up.status.as_deref()) == Some(state)
        };
        let mut names: Vec<String> =
            groups.iter().filter(is).map(|group| group.name.clone()).collect();
        names.sort();
        names
    };
    Autoscaler::Running { at, requests: in_state("InProgress"), backed_off: in_state("Backoff") }
}

/// Go's `time.String()`: `2026-11-21 07:14:34.049756834 +0000 UTC`, or RFC 3339.
fn go_time(text: &str) -> Option<crate::time::Timestamp> {
    let mut words = text.split_whitespace();
    let (day, clock, offset) = (words.next()?, words.next(), words.next());
    match (clock, offset) {
        (Some(clock), Some(offset)) => super::instant(&format!("{day}T{clock}{offset}")),
        _ => super::instant(day),
    }
}
