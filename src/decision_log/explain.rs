//! One decision about one pool, as a person would explain it.

use super::Entry;
use crate::{
    engine::{PoolReport, Settings},
    time::Millis,
};
use std::fmt::Write;

/// Explains what was decided about pool number `pool` and why, in a few sentences.
pub fn explain(entry: &Entry, settings: &Settings, pool: usize) -> Option<String> {
    let report = entry.decision.why.get(pool)?;
    let name = &settings.pools.get(pool)?.pool.name;
    let mut text = format!(
        "Pool {name}, {} after the start of the log's clock (line {}):\n\n",
        in_words(Millis(entry.now.0)),
        entry.line
    );
    for sentence in [
        outcome(report),
        seen(report),
        waiting(report),
        strategy(report),
        ahead(report),
        guards(report),
        removal(report),
    ] {
        if !sentence.is_empty() {
            // Writing to a string cannot fail.
            writeln!(text, "- {sentence}").ok();
        }
    }
    Some(text)
}

fn outcome(report: &PoolReport) -> String {
    let gone = report.scale_down.nodes.len();
    let target = report.target_nodes;
    match (report.create, gone) {
        (0, 0) => format!("Nothing to do: the pool stays at {}.", nodes(target)),
        (create, 0) => {
            format!("{} asked for; the pool will have {}.", nodes(create), nodes(target))
        }
        (_, gone) => {
            format!("{} removed; the pool will have {}.", nodes(gone as u32), nodes(target))
        }
    }
}

fn seen(report: &PoolReport) -> String {
    let seen = &report.observed;
    let mut text = format!(
        "Seen: {} usable ({} idle), {} booting, {} waiting for the GPU driver; {} GPUs in use.",
        nodes(seen.usable_nodes),
        seen.idle_nodes,
        seen.requested_nodes,
        seen.warming_nodes,
        gpus(seen.running_milli)
    );
    if seen.requested_nodes + seen.warming_nodes > 0 {
        write!(
            text,
            " Within {} (the median lead time) {:.1} of those on their way are expected, at least {} \
             with 95 % certainty.",
            in_words(seen.lead_median),
            seen.ready_mean,
            seen.ready_p05
        )
        .ok();
    }
    if seen.stuck_nodes > 0 {
        write!(
            text,
            " {} took longer than 99 of 100 do and no longer count.",
            nodes(seen.stuck_nodes)
        )
        .ok();
    }
    text
}

fn waiting(report: &PoolReport) -> String {
    let firm = &report.firm;
    if report.observed.waiting_milli == 0 {
        return format!(
            "Nothing waits; {} GPUs are or will be free, {} of them whole and empty.",
            gpus(firm.spare_milli),
            nodes(firm.spare_nodes)
        );
    }
    let mut text = format!("Work for {} GPUs waits: ", gpus(report.observed.waiting_milli));
    match firm.nodes {
        0 => text.push_str("it fits on what is free or on its way."),
        needed => {
            write!(text, "beyond what is free or on its way it needs {}.", nodes(needed)).ok();
        }
    }
    if firm.unplaced_units > 0 {
        write!(text, " For {} of the waiting units no pool may grow.", firm.unplaced_units).ok();
    }
    text
}

fn strategy(report: &PoolReport) -> String {
    let chosen = &report.selected;
    let basis = match chosen.days {
        0 => "the one to start with, before any day was replayed".to_owned(),
        1 => "by the replay of one day".to_owned(),
        days => format!("by the replay of {days} days"),
    };
    format!(
        "Strategy: `{}`, {basis}; a waiting GPU-hour counts {} GPU-hours.",
        chosen.name, chosen.kappa
    )
}

fn ahead(report: &PoolReport) -> String {
    let wanted = &report.speculative;
    let mut sources = Vec::new();
    if wanted.spare_nodes > 0 {
        sources.push(format!("the strategy wants {} empty", nodes(wanted.spare_nodes)));
    }
    if wanted.spare_milli > 0 {
        sources.push(format!("the strategy wants {} GPUs free", gpus(wanted.spare_milli)));
    }
    if wanted.floor_nodes > 0 {
        sources.push(format!("the strategy wants {} in all", nodes(wanted.floor_nodes)));
    }
    if wanted.scheduled_nodes > 0 {
        sources.push(format!("the schedule wants {} in all", nodes(wanted.scheduled_nodes)));
    }
    if wanted.signal_nodes > 0 {
        sources.push(format!("outside signals want {} empty", nodes(wanted.signal_nodes)));
    }
    if sources.is_empty() {
        return "Nothing is wanted ahead of demand.".to_owned();
    }
    format!(
        "Ahead of demand: {}; for that {} would have to be asked for.",
        sources.join(", "),
        nodes(wanted.wanted_nodes)
    )
}

fn guards(report: &PoolReport) -> String {
    let guarded = &report.guarded;
    let mut text = format!(
        "Guards: a reactive controller would have {}; the ledger holds {:.1} node-hours; {}.",
        nodes(guarded.shadow_nodes),
        guarded.credit_node_ms as f64 / 3_600_000.0,
        guarded.rung
    );
    for cause in &guarded.causes {
        write!(text, " {cause}").ok();
    }
    for binding in &guarded.bindings {
        write!(text, " {binding}.").ok();
    }
    text
}

fn removal(report: &PoolReport) -> String {
    let down = &report.scale_down;
    if report.observed.idle_nodes == 0 {
        return String::new();
    }
    let after = if down.idle_timeout == Millis::MAX {
        "No node goes now".to_owned()
    } else {
        format!("A node that is not needed goes after {} idle", in_words(down.idle_timeout))
    };
    match down.shed {
        0 => format!("{after}."),
        shed => format!("{after}; {} because the ledger is used up.", nodes(shed)),
    }
}

fn nodes(count: u32) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}

fn gpus(milli: u64) -> String {
    let whole = milli / 1000;
    if milli.is_multiple_of(1000) {
        whole.to_string()
    } else {
        format!("{:.1}", milli as f64 / 1e3)
    }
}

/// `2 d 03:04:05`, `9 min`, `40 s`.
fn in_words(span: Millis) -> String {
    let secs = span.0 / 1000;
    let (days, clock) = (secs / 86_400, secs % 86_400);
    if days > 0 || clock >= 3600 {
        let (hours, mins, secs) = (clock / 3600, clock / 60 % 60, clock % 60);
        let days = if days > 0 { format!("{days} d ") } else { String::new() };
        return format!("{days}{hours:02}:{mins:02}:{secs:02}");
    }
    match (secs / 60, secs % 60) {
        (0, secs) => format!("{secs} s"),
        (mins, 0) => format!("{mins} min"),
        (mins, secs) => format!("{mins} min {secs} s"),
    }
}
