//! What a reader must know of the history before trusting the figures.

use super::gather::{History, Read, told};
use crate::{
    history::{Actual, actual, demand_gpu_hours, lost_pods},
    prometheus::Survey,
    time::{Millis, Timestamp},
    world::Setup,
};

/// A profile of the week needs two of them.
const TWO_WEEKS: Millis = Millis::from_hours(14 * 24);

/// More than this, and something is not as it seems.
const MOST_OFF: f64 = 0.05;

/// One sentence or two per caveat, in a fixed order.
pub(super) fn caveats(read: &Read, history: &History, setup: &Setup) -> Vec<String> {
    let mut said = Vec::new();
    said.extend(shorter(read));
    said.extend(holes(read));
    said.extend(lost(read, history));
    said.extend(checked(read, history));
    said.extend(left_out(history));
    said.extend(lead_times(history, setup));
    said.push(limits(history, setup));
    said.extend(other_resources(&read.survey));
    said.extend(guessed_away(&read.survey));
    said.extend(unscored(history, setup));
    said.extend(read.remarks.iter().map(|(remark, times)| format!("{remark} ({times} queries)")));
    said
}

fn hours(span: Millis) -> String {
    format!("{:.1} h", span.as_hours())
}

fn shorter(read: &Read) -> Option<String> {
    let span = read.window.span();
    let is_cut = read.window.from > read.asked.from;
    let kept = if is_cut {
        "Prometheus has no older data (its retention is 15 days by default); "
    } else {
        ""
    };
    (is_cut || span < TWO_WEEKS).then(|| {
        let less = if span < TWO_WEEKS {
            ", which is too short to learn a weekly profile from (two weeks or more)"
        } else {
            ""
        };
        format!("{kept}{:.1} days are looked at{less}.", span.as_hours() / 24.0)
    })
}

fn holes(read: &Read) -> Option<String> {
    let holes = read.scrapes.holes();
    let total: i64 = holes.iter().map(|(from, until)| (*until - *from).0).sum();
    (!holes.is_empty()).then(|| {
        format!(
            "Nothing was scraped for {} altogether ({} holes): what began and ended there is not in the figures.",
            hours(Millis(total)),
            holes.len()
        )
    })
}

fn lost(read: &Read, history: &History) -> Option<String> {
    let (low, high) = lost_pods(&history.pods, &read.scrapes);
    (high > 0).then(|| {
        format!(
            "An estimated {low} to {high} pods lived and died between two scrapes (every {}) and are not in \
             the figures.",
            read.scrapes.interval
        )
    })
}

/// The pods, one by one, should add up to what the metrics show of them together.
fn checked(read: &Read, history: &History) -> Option<String> {
    let shown = read.demand.filter(|&hours| hours > 0.0)?;
    let found = demand_gpu_hours(&history.pods, read.window);
    let off = found / shown - 1.0;
    (off.abs() > MOST_OFF).then(|| {
        format!(
            "The pods that were recovered asked for {found:.0} GPU-hours, the metrics show {shown:.0}: \
             {:.0} % {} than there should be. Look at holes in the data, and at --gpu-resource.",
            off.abs() * 100.0,
            if off > 0.0 { "more" } else { "less" }
        )
    })
}

fn left_out(history: &History) -> Option<String> {
    let (given_up, foreign) = (history.recovered.given_up, history.recovered.foreign_nodes);
    let mut parts = Vec::new();
    if given_up > 0 {
        parts.push(format!(
            "{given_up} pods went without ever having been seen on a node; neither `actual` nor the policies \
             have them"
        ));
    }
    if foreign > 0 {
        parts.push(format!(
            "{foreign} nodes with GPUs belong to no --pool, nor do the pods on them"
        ));
    }
    (!parts.is_empty()).then(|| format!("{}.", parts.join("; ")))
}

fn lead_times(history: &History, setup: &Setup) -> Vec<String> {
    let pools = setup.pools.iter().zip(&history.recovered.leads);
    pools
        .map(|(pool, leads)| {
            let (nodes, boots, machines) = told(leads);
            let (name, lead) = (&pool.name, pool.lead_time);
            let (ready, warm) = (lead.provisioning.mean.as_secs_f64(), lead.warm_up.mean.as_secs_f64());
            let times = format!("Nodes of {name} take {ready:.0} s until Ready and {warm:.0} s more");
            match (nodes, boots) {
                (_, 1..) if machines == boots => {
                    format!("{times}: learned from {nodes} nodes and the Machines of {machines}.")
                }
                (0 | 1, _) => format!(
                    "{times}: assumed, for too few of them came up in this time (--provisioning, --warm-up)."
                ),
                (_, 0) => format!(
                    "{times}: learned from {nodes} nodes, but how long they take until they register is \
                     assumed (--provisioning)."
                ),
                _ => format!(
                    "{times}: learned from {nodes} nodes; how long they took until they registered is \
                     estimated from {boots} pods that waited for them."
                ),
            }
        })
        .collect()
}

fn limits(history: &History, setup: &Setup) -> String {
    let pool = |pool: &crate::model::Pool| {
        let most = pool.max_nodes.map_or_else(|| "any".to_owned(), |most| most.to_string());
        format!("{} {} to {most}", pool.name, pool.min_nodes)
    };
    let pools: Vec<String> = setup.pools.iter().map(pool).collect();
    let guessed =
        if history.is_guessed { "; pools are guessed from the nodes (--pool)" } else { "" };
    let asked = if history.asked_for.is_empty() { "were" } else { "were or were asked for" };
    format!(
        "Policies may have as many nodes as there {asked} at the fewest and the most ({}; --min-nodes, --max-nodes){guessed}.",
        pools.join(", ")
    )
}

fn other_resources(survey: &Survey) -> Option<String> {
    let read = survey.source.resource.replace("\\.", ".");
    let others: Vec<String> = survey
        .found
        .resources
        .iter()
        .filter(|(name, _)| !read.split('|').any(|read| read == name.as_str()))
        .map(|(name, pods)| format!("{name} (up to {pods} containers a day)"))
        .collect();
    // A pattern of the user's may well take them.
    let is_plain = read.chars().all(|c| c.is_ascii_alphanumeric() || "_./-|".contains(c));
    (is_plain && !others.is_empty()).then(|| {
        format!("Not looked at: pods that ask for {} (--gpu-resource).", others.join(", "))
    })
}

fn guessed_away(survey: &Survey) -> Vec<String> {
    let missing = survey.found.missing(survey.source.metric);
    missing
        .iter()
        .map(|missing| {
            format!("{} is not there ({}): {}.", missing.metric, missing.what_for, missing.remedy)
        })
        .collect()
}

/// Whether the scored time is like the rest.
fn unscored(history: &History, setup: &Setup) -> Option<String> {
    let mean =
        |happened: &Actual, span: Millis| happened.busy_gpu_hours / span.as_hours().max(1e-9);
    let before = actual(&history.recovered, Timestamp::ZERO, setup.score_from);
    let after = actual(&history.recovered, setup.score_from, setup.end);
    let before = mean(&before, setup.score_from - Timestamp::ZERO);
    let after = mean(&after, setup.end - setup.score_from);
    let ratio = after / before;
    (before > 0.0 && !(0.5..=2.0).contains(&ratio)).then(|| {
        format!(
            "In the scored time {after:.1} GPUs were in use on average, before it {before:.1}: what was learned \
             there fits less than usual."
        )
    })
}
