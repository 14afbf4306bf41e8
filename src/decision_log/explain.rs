//! One decision about one pool, as a person would explain it: what was done and why, what was wanted
//! and not allowed, what was seen, and when it will look again.

mod signals;

pub use signals::sentence as explain_signal;

use super::{Entry, instant, span};
use crate::{
    engine::{Decision, PoolReport, Settings},
    guard::limits::{Binding, Limit},
    time::{Millis, Timestamp},
};
use serde::Serialize;
use std::fmt;

/// The last sentence of an explanation says so if nothing but an event leads to the next look.
const NO_ALARM: &str = "Next look: when something changes.";

/// An explanation: sentences in the order of importance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Name of the pool.
    pub pool: String,
    /// Line of the log.
    pub line: u64,
    /// When, as people write it.
    pub at: String,
    /// What was done, and why.
    pub sentences: Vec<String>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Pool {} at {} (line {} of the log)\n", self.pool, self.at, self.line)?;
        self.sentences.iter().try_for_each(|sentence| writeln!(f, "- {sentence}"))
    }
}

/// Explains what was decided about pool number `pool` and why; `None` if there is no such pool.
pub fn explain(entry: &Entry, settings: &Settings, pool: usize) -> Option<Explanation> {
    let mut explanation = explain_decision(entry.now, &entry.decision, settings, pool)?;
    explanation.line = entry.line;
    Some(explanation)
}

/// Explains a decision that was just made and is in no log (line 0).
pub fn explain_decision(
    now: Timestamp,
    decision: &Decision,
    settings: &Settings,
    pool: usize,
) -> Option<Explanation> {
    let report = decision.why.get(pool)?;
    let name = &settings.pools.get(pool)?.pool.name;
    let mut sentences = vec![Some(outcome(report)), Some(waiting(report)), Some(ahead(report))];
    sentences.extend(report.signals.iter().map(|signal| Some(signals::sentence(signal))));
    sentences.extend([
        held_back(report),
        distrust(report),
        Some(strategy(report)),
        Some(ledger(report)),
        idle(report),
        Some(seen(report)),
        Some(next_look(now, decision.wake_at)),
    ]);
    Some(Explanation {
        pool: name.clone(),
        line: 0,
        at: instant(now),
        sentences: sentences.into_iter().flatten().collect(),
    })
}

/// What was done.
fn outcome(report: &PoolReport) -> String {
    let gone = report.scale_down.nodes.len() as u32;
    let target = nodes(report.target_nodes);
    match (report.create, gone) {
        (0, 0) => format!("Nothing was done: the pool stays at {target}."),
        (0, gone) => format!("Removed {}; the pool then has {target}.", idle_nodes(gone)),
        (create, _) => {
            let reasons = reasons_to_create(report).join(", ");
            format!("Asked for {}: {reasons}. The pool then has {target}.", nodes(create))
        }
    }
}

/// How many of the new nodes each reason accounts for.
fn reasons_to_create(report: &PoolReport) -> Vec<String> {
    let speculative = report.guarded.allowed_nodes.min(report.create);
    let base = report.create - speculative;
    let firm = report.firm.nodes.min(base);
    let parts = [
        (firm, "for waiting work"),
        (base - firm, "because a reactive controller, or the pool's minimum, would have as many"),
        (speculative, "ahead of demand"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    parts.map(|(count, why)| format!("{count} {why}")).collect()
}

/// What waits, and what it needs.
fn waiting(report: &PoolReport) -> String {
    let firm = &report.firm;
    if report.observed.waiting_milli == 0 {
        return match firm.spare_milli {
            0 => "Nothing waits, and no GPU is or will be free.".to_owned(),
            spare => format!(
                "Nothing waits; {} are free or will be, among them {}.",
                gpus(spare),
                empty_nodes(firm.spare_nodes)
            ),
        };
    }
    let work = format!("Work for {} waits", gpus(report.observed.waiting_milli));
    let need = match firm.nodes {
        0 => "it fits on what is free or on its way".to_owned(),
        needed => format!("beyond what is free or on its way it needs {}", nodes(needed)),
    };
    match firm.unplaced_units {
        0 => format!("{work}: {need}."),
        units => format!(
            "{work}: {need}. Jobs or gangs without a place, because no pool that suits them may grow: \
             {units}."
        ),
    }
}

/// What is wanted ahead of demand, and by whom.
fn ahead(report: &PoolReport) -> String {
    let wanted = &report.speculative;
    let sources = [
        (wanted.spare_nodes > 0)
            .then(|| format!("the strategy wants {} to spare", empty_nodes(wanted.spare_nodes))),
        (wanted.spare_milli > 0)
            .then(|| format!("the strategy wants {} to spare", gpus(wanted.spare_milli))),
        (wanted.floor_nodes > 0)
            .then(|| format!("the strategy wants {} in all", nodes(wanted.floor_nodes))),
        (wanted.scheduled_nodes > 0)
            .then(|| format!("the schedule wants {} in all", nodes(wanted.scheduled_nodes))),
        (wanted.signal_nodes > 0)
            .then(|| format!("outside signals want {} to spare", empty_nodes(wanted.signal_nodes))),
    ];
    let sources: Vec<String> = sources.into_iter().flatten().collect();
    if sources.is_empty() && report.selected.kappa <= 1.0 {
        return "Ahead of demand: nothing, because waiting costs no more than idling.".to_owned();
    }
    if sources.is_empty() {
        return "Ahead of demand: nothing is wanted.".to_owned();
    }
    let missing = match wanted.wanted_nodes {
        0 => "that is there already, or is no more than what waiting work brings".to_owned(),
        1 => "for that 1 more node was wanted".to_owned(),
        missing => format!("for that {missing} more nodes were wanted"),
    };
    format!("Ahead of demand: {}; {missing}.", sources.join(", "))
}

/// What was wanted and not allowed, and by which limit.
fn held_back(report: &PoolReport) -> Option<String> {
    let (guarded, wanted) = (&report.guarded, report.speculative.wanted_nodes);
    let mut parts: Vec<String> = guarded.bindings.iter().map(limit).collect();
    if parts.is_empty() && wanted > guarded.allowed_nodes {
        let allowed = guarded.allowed_nodes;
        let why = "because of the caution below";
        parts.push(format!("{allowed} of {wanted} nodes ahead of demand allowed, {why}"));
    }
    (!parts.is_empty()).then(|| format!("Held back: {}.", parts.join("; ")))
}

fn limit(binding: &Binding) -> String {
    let Binding { limit, wanted, allowed } = binding;
    let what = match limit {
        Limit::DownStep | Limit::RecentUp | Limit::MinHold => "nodes to remove",
        Limit::TotalBudget => "nodes to ask for",
        _ => "nodes ahead of demand",
    };
    format!("{allowed} of {wanted} {what} allowed, because of {limit}")
}

/// Why what is seen or forecast is not trusted.
fn distrust(report: &PoolReport) -> Option<String> {
    let guarded = &report.guarded;
    if guarded.causes.is_empty() {
        return None;
    }
    let causes: Vec<String> = guarded.causes.iter().map(ToString::to_string).collect();
    Some(format!("Caution: {}. {}", guarded.rung, causes.join(" ")))
}

/// Which strategy, and on what grounds.
fn strategy(report: &PoolReport) -> String {
    let chosen = &report.selected;
    let basis = match chosen.days {
        0 => "the one to start with: no day has been replayed yet".to_owned(),
        1 => "chosen by replaying one day with every candidate".to_owned(),
        days => format!("chosen by replaying {days} days with every candidate"),
    };
    let kappa = (chosen.kappa * 100.0).round() / 100.0;
    format!(
        "Strategy: `{}`, {basis}; a waiting GPU-hour costs as much as {kappa} GPU-hours.",
        chosen.name
    )
}

/// What speculation may still cost.
fn ledger(report: &PoolReport) -> String {
    let guarded = &report.guarded;
    format!(
        "Guards: a reactive controller would have {}; {:.1} node-hours of credit are left for more.",
        nodes(guarded.shadow_nodes),
        guarded.credit_node_ms as f64 / 3_600_000.0
    )
}

/// When idle nodes go.
fn idle(report: &PoolReport) -> Option<String> {
    let down = &report.scale_down;
    if report.observed.idle_nodes == 0 {
        return None;
    }
    let rule = match down.idle_timeout {
        Millis::MAX => "no idle node goes now".to_owned(),
        Millis::ZERO => "a node that is not needed goes at once".to_owned(),
        after => format!("a node that is not needed goes after {}", about(after)),
    };
    Some(match down.shed {
        0 => format!("Idle nodes: {rule}."),
        shed => format!("Idle nodes: {rule}; {shed} went because the credit is used up."),
    })
}

/// What there was.
fn seen(report: &PoolReport) -> String {
    let seen = &report.observed;
    let there = format!(
        "Seen: {} usable ({} idle), {} booting, {} waiting for the GPU driver; {} in use.",
        nodes(seen.usable_nodes),
        seen.idle_nodes,
        seen.requested_nodes,
        seen.warming_nodes,
        gpus(seen.running_milli)
    );
    let on_their_way = match seen.requested_nodes + seen.warming_nodes {
        0 => String::new(),
        _ => format!(
            " Of those on their way {:.1} are expected within {} (the median lead time), at least {} with \
             95 % certainty.",
            seen.ready_mean,
            about(seen.lead_median),
            seen.ready_p05
        ),
    };
    let stuck = match seen.stuck_nodes {
        0 => String::new(),
        stuck => format!(" Not counted on, slower than 99 of 100: {}.", nodes(stuck)),
    };
    there + &on_their_way + &stuck
}

/// When it looks again.
fn next_look(now: Timestamp, wake_at: Timestamp) -> String {
    match wake_at {
        Timestamp::NEVER => NO_ALARM.to_owned(),
        at => format!("Next look: {} later, or before if something changes.", about(at - now)),
    }
}

/// A minute and more to the second.
fn about(time: Millis) -> String {
    let is_long = time >= Millis::from_mins(1);
    span(if is_long { Millis((time.0 + 500) / 1000 * 1000) } else { time })
}

fn nodes(count: u32) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}

fn empty_nodes(count: u32) -> String {
    if count == 1 { "1 empty node".to_owned() } else { format!("{count} empty nodes") }
}

fn idle_nodes(count: u32) -> String {
    if count == 1 { "1 idle node".to_owned() } else { format!("{count} idle nodes") }
}

fn gpus(milli: u64) -> String {
    match milli {
        1000 => "1 GPU".to_owned(),
        whole if whole.is_multiple_of(1000) => format!("{} GPUs", whole / 1000),
        part => format!("{:.2} GPUs", part as f64 / 1000.0),
    }
}

#[cfg(test)]
mod tests;
