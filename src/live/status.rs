//! What a GpuPool's status says: figures of the last look and conditions a person understands. Pure.

use super::{
    acting::Acting,
    gpu_pool::{Budget, GpuPoolStatus, LastDecision, Mode, PoolCondition, SignalStatus},
    look::{Autoscaler, Finding, PoolLook},
    signals::SignalKey,
};
use crate::{
    decision_log::{explain_signal, instant, span},
    engine::{PoolReport, SignalReport},
    guard::ladder::Rung,
    time::{Millis, Timestamp},
};
use std::collections::BTreeMap;

/// Everything the status of one pool is made from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The instant.
    pub now: Timestamp,
    /// The pool.
    pub pool: &'a PoolLook,
    /// What was decided.
    pub report: &'a PoolReport,
    /// What cluster-autoscaler says.
    pub autoscaler: &'a Autoscaler,
    /// Odd things about this pool.
    pub findings: &'a [&'a Finding],
    /// What is wrong with signals.
    pub troubles: &'a BTreeMap<SignalKey, String>,
    /// How far decisions reach, after the kill switch.
    pub mode: Mode,
    /// What came of carrying them out.
    pub acting: &'a Acting,
    /// The last decision that did something.
    pub last_decision: Option<&'a LastDecision>,
}

/// The status to show. Transition times are kept from `before` where a condition did not change.
pub fn status(facts: &Facts<'_>, before: Option<&GpuPoolStatus>) -> GpuPoolStatus {
    let (report, pool) = (facts.report, facts.pool);
    let seen = &report.observed;
    let replicas = pool.target.as_ref().and_then(|target| target.deployment.replicas);
    GpuPoolStatus {
        observed_generation: pool.generation,
        conditions: conditions(facts, before.map_or(&[], |before| &before.conditions)),
        replicas: replicas.and_then(|replicas| u32::try_from(replicas).ok()).unwrap_or_default(),
        ready: seen.usable_nodes,
        warming: seen.requested_nodes + seen.warming_nodes,
        pending_gpus: pool.pending_gpus,
        demand_gpus: (seen.running_milli + seen.waiting_milli).div_ceil(1000),
        target_replicas: report.target_nodes,
        held_nodes: pool.nodes.iter().filter(|node| node.hold_until.is_some()).count() as u32,
        lead_time_p50: whole_seconds(seen.lead_median),
        lead_time_p90: whole_seconds(seen.lead_p90),
        active_strategy: report.selected.name.clone(),
        budget: Budget {
            credit_node_hours: credit_hours(report),
            allowed_nodes: report.guarded.allowed_nodes,
        },
        signals: report.signals.iter().map(|signal| signal_status(facts, signal)).collect(),
        last_decision: facts.last_decision.cloned(),
    }
}

fn signal_status(facts: &Facts<'_>, signal: &SignalReport) -> SignalStatus {
    let pool = format!("{}/{}", facts.pool.namespace, facts.pool.name);
    let trouble = facts.troubles.get(&SignalKey::new(&pool, &signal.name)).cloned();
    let told = trouble.unwrap_or_else(|| explain_signal(signal));
    SignalStatus {
        name: signal.name.clone(),
        state: format!("{:?}", signal.state),
        value: signal.value,
        gpus: signal.asks_milli.div_ceil(1000),
        lead_minutes: signal.study.map(|study| i64::from(study.lag_minutes)),
        message: clipped(&told),
    }
}

/// To a tenth of an hour: a status that changes with every look is written with every look.
fn credit_hours(report: &PoolReport) -> f64 {
    let hours = report.guarded.credit_node_ms as f64 / 3_600_000.0;
    (hours * 10.0).round() / 10.0 + 0.0
}

fn whole_seconds(time: Millis) -> String {
    span(Millis((time.0 + 500) / 1000 * 1000))
}

fn conditions(facts: &Facts<'_>, before: &[PoolCondition]) -> Vec<PoolCondition> {
    let made = [
        ("TargetFound", target_found(facts)),
        ("SettingsValid", settings_valid(facts)),
        ("Actuating", actuating(facts)),
        ("Limited", limited(facts)),
        ("NodesOnTime", nodes_on_time(facts)),
        ("Trusted", trusted(facts)),
        ("SignalsRead", signals_read(facts)),
        ("AutoscalerSeen", autoscaler_seen(facts)),
    ];
    made.into_iter()
        .map(|(kind, (is_true, reason, message))| {
            let status = if is_true { "True" } else { "False" };
            let same = before.iter().find(|old| old.kind == kind && old.status == status);
            PoolCondition {
                kind: kind.to_owned(),
                status: status.to_owned(),
                reason,
                message,
                last_transition_time: same
                    .map_or_else(|| instant(facts.now), |old| old.last_transition_time.clone()),
                observed_generation: facts.pool.generation,
            }
        })
        .collect()
}

type Said = (bool, String, String);

fn said(is_true: bool, reason: &str, message: impl Into<String>) -> Said {
    (is_true, reason.to_owned(), message.into())
}

fn target_found(facts: &Facts<'_>) -> Said {
    let wanted = facts.pool.spec.target_ref.as_ref();
    let name = wanted.map_or(&facts.pool.name, |wanted| &wanted.name);
    match &facts.pool.target {
        Some(target) => {
            said(true, "Found", format!("MachineDeployment {}", target.deployment.meta.key()))
        }
        None => said(
            false,
            "NotFound",
            format!(
                "there is no MachineDeployment {name} in namespace {}; set spec.targetRef.name",
                facts.pool.namespace
            ),
        ),
    }
}

fn settings_valid(facts: &Facts<'_>) -> Said {
    let Some(first) = facts.findings.first() else {
        return said(true, "Valid", "settings and annotations are consistent");
    };
    let all: Vec<&str> = facts.findings.iter().map(|finding| finding.message.as_str()).collect();
    (false, first.reason.to_owned(), clipped(&all.join("; ")))
}

fn actuating(facts: &Facts<'_>) -> Said {
    match facts.mode {
        Mode::Off => said(false, "Off", "nothing is decided for this pool"),
        Mode::Shadow => {
            said(false, "Shadow", "decisions are recorded and shown, nothing is written")
        }
        Mode::Advise => said(false, "Advise", "decisions are shown as Events, nothing is written"),
        Mode::Active => {
            let acting = facts.acting;
            (acting.is_acting, acting.reason.clone(), clipped(&acting.message))
        }
    }
}

fn limited(facts: &Facts<'_>) -> Said {
    let bindings = &facts.report.guarded.bindings;
    let Some(first) = bindings.first() else {
        return said(false, "WithinLimits", "no limit makes a difference");
    };
    let all: Vec<String> = bindings.iter().map(|binding| binding.limit.to_string()).collect();
    (true, format!("{:?}", first.limit), format!("held back by {}", all.join(" and ")))
}

fn nodes_on_time(facts: &Facts<'_>) -> Said {
    match facts.report.observed.stuck_nodes {
        0 => said(true, "OnTime", "nodes on their way are within the time nodes take"),
        stuck => said(
            false,
            "Stuck",
            format!(
                "{stuck} nodes take too long and are not counted on any more: look at Machines that did not \
                 register and at GPU drivers of Nodes without all their GPUs"
            ),
        ),
    }
}

fn trusted(facts: &Facts<'_>) -> Said {
    let guarded = &facts.report.guarded;
    let causes: Vec<String> = guarded.causes.iter().map(ToString::to_string).collect();
    let is_trusted = guarded.rung == Rung::Normal;
    let reason = format!("{:?}", guarded.rung);
    let message = format!("{}. {}", guarded.rung, causes.join(" "));
    (is_trusted, reason, message.trim_end().to_owned())
}

fn signals_read(facts: &Facts<'_>) -> Said {
    let of_pool = format!("{}/{}", facts.pool.namespace, facts.pool.name);
    let of_it = facts.troubles.iter().filter(|(key, _)| key.pool == of_pool);
    let all: Vec<String> = of_it.map(|(key, trouble)| format!("{}: {trouble}", key.name)).collect();
    match facts.pool.spec.signals.len() {
        0 => said(true, "None", "the pool has no signals"),
        _ if all.is_empty() => said(true, "Read", "all signals are read"),
        _ => said(false, "Trouble", clipped(&all.join("; "))),
    }
}

fn autoscaler_seen(facts: &Facts<'_>) -> Said {
    match facts.autoscaler {
        Autoscaler::Absent => said(
            false,
            "Absent",
            "no status of cluster-autoscaler: it is not there, or its status ConfigMap cannot be read",
        ),
        Autoscaler::Unreadable(why) => said(false, "Unreadable", clipped(why)),
        Autoscaler::Running { at, .. } if facts.now - *at > Millis::from_mins(10) => said(
            false,
            "Stale",
            format!(
                "cluster-autoscaler wrote its status last at {}; if it runs, raise its --kube-client-qps \
                 and --kube-client-burst",
                instant(*at)
            ),
        ),
        Autoscaler::Running { .. } => said(true, "Running", "cluster-autoscaler writes its status"),
    }
}

/// Conditions hold at most 32,768 characters; a tenth of it is more than anybody reads.
fn clipped(message: &str) -> String {
    const MOST: usize = 3000;
    match message.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} ...", &message[..end]),
        None => message.to_owned(),
    }
}
