//! What the figures say, in sentences: the finding, what was run, what was left out.
//!
//! Wording only; which figure is best is decided by the same rules as in [`super::columns`].

use super::{
    PolicyReport, Report,
    columns::{self, Kappa, Role},
    format,
};

/// The competitor with the least cost at `kappa`; the first of several.
pub(super) fn cheapest(report: &Report, kappa: Kappa) -> Option<&PolicyReport> {
    let cost = |policy: &PolicyReport| kappa.of(&policy.cost);
    report
        .policies
        .iter()
        .filter(|p| columns::role(p) == Role::Competitor && columns::is_meant_for(p, kappa))
        .filter(|p| cost(p).is_finite())
        .reduce(|best, p| if cost(p) < cost(best) { p } else { best })
}

/// The policy that only reacts, if it ran to the end.
pub(super) fn reactive(report: &Report) -> Option<&PolicyReport> {
    report.policies.iter().find(|p| p.name == "reactive" && columns::role(p) == Role::Competitor)
}

/// The main finding in one sentence, at kappa 20.
pub(super) fn finding(report: &Report) -> String {
    if report.policies.is_empty() {
        return "No policy was run.".to_owned();
    }
    if report.policies.iter().all(|p| p.scored_jobs == 0) {
        return "No job was submitted in the scored window, so there is nothing to compare."
            .to_owned();
    }
    let Some(best) = cheapest(report, Kappa::K20) else {
        return "No policy ran to its end, so none can be called the cheapest.".to_owned();
    };
    let opening = "At a waiting GPU-hour worth 20 GPU-hours,";
    match reactive(report) {
        None => format!(
            "{opening} {} is cheapest: jobs wait {} on average, for {} node-hours.",
            best.name,
            format::span(best.wait_seconds.mean),
            format::amount(best.node_hours),
        ),
        Some(reactive) if reactive.name == best.name => format!(
            "{opening} reactive is cheapest: no other policy that was run earns back the nodes it \
             adds. Jobs wait {} on average.",
            format::span(reactive.wait_seconds.mean),
        ),
        Some(reactive) => format!("{opening} {}", against(best, reactive)),
    }
}

fn against(best: &PolicyReport, reactive: &PolicyReport) -> String {
    format!(
        "{} is cheapest: {} below reactive. Jobs wait {} on average instead of {}, for {}.",
        best.name,
        format::percent(saving(best.cost.k20, reactive.cost.k20)),
        format::span(best.wait_seconds.mean),
        format::span(reactive.wait_seconds.mean),
        more_or_fewer(best.node_hours, reactive.node_hours),
    )
}

fn more_or_fewer(node_hours: f64, than: f64) -> String {
    match -saving(node_hours, than) {
        change if change.abs() < 0.000_5 => "as many node-hours".to_owned(),
        change if change > 0.0 => format!("{} more node-hours", format::percent(change)),
        change => format!("{} fewer node-hours", format::percent(-change)),
    }
}

fn saving(cost: f64, than: f64) -> f64 {
    if than > 0.0 { 1.0 - cost / than } else { 0.0 }
}

/// Which policy is cheapest where waiting is worth less, and where it is worth more.
pub(super) fn other_kappas(report: &Report) -> Option<String> {
    if report.policies.iter().all(|p| p.scored_jobs == 0) {
        return None;
    }
    let low = cheapest(report, Kappa::K5)?;
    let high = cheapest(report, Kappa::K100)?;
    Some(format!("Cheapest at 5: {}; at 100: {}.", low.name, high.name))
}

/// Set if the run was interrupted: what that means for the figures.
pub(super) fn partial_warning(report: &Report) -> Option<String> {
    let is_partial = report.partial || report.policies.iter().any(|p| p.until_hours.is_some());
    is_partial.then(|| {
        "PARTIAL: the run was interrupted. Policies marked so cover less time; their figures do not \
         compare with the others."
            .to_owned()
    })
}

/// How far a policy came, if it was cut short.
pub(super) fn until(policy: &PolicyReport) -> Option<String> {
    policy.until_hours.map(|hours| format!("partial, to {}", format::span(hours * 3600.0)))
}

/// What was run, as pairs of a name and a value.
pub(super) fn circumstances(report: &Report) -> Vec<(&'static str, String)> {
    let (trace, settings) = (&report.trace, &report.settings);
    let scored = report.policies.iter().map(|p| p.scored_jobs).max().unwrap_or(0);
    let from = settings.score_from_hours.min(trace.span_hours);
    vec![
        (
            "Jobs",
            format!(
                "{} of {} rows; {} in the scored window",
                format::count(trace.gpu_jobs),
                format::count(trace.jobs),
                format::count(scored),
            ),
        ),
        ("Span", format::span(trace.span_hours * 3600.0)),
        (
            "Scored",
            format!(
                "from {} to {}",
                format::span(from * 3600.0),
                format::span(trace.span_hours * 3600.0)
            ),
        ),
        ("Lead time", format::span(settings.lead_time_seconds)),
        ("Placement", settings.placement.clone()),
    ]
}

/// One pool in a line.
pub(super) fn pool(pool: &super::PoolSummary) -> String {
    let model = match pool.gpu_model.as_str() {
        "" => String::new(),
        model => format!(" {model}"),
    };
    let most = pool.max_nodes.map_or_else(|| "no maximum".to_owned(), |n| format!("max {n}"));
    format!(
        "{} ({} GPUs{model} a node, min {}, {most})",
        pool.name, pool.gpus_per_node, pool.min_nodes
    )
}

/// A reason for leaving a row out, or what was done to it, in words.
pub(super) fn row_reason(key: &str) -> String {
    match key {
        "no_gpu" => "no GPU asked for".to_owned(),
        "zero_duration" => "run time of zero".to_owned(),
        "negative_duration" => "end before start".to_owned(),
        "no_submit_time" => "no submit time".to_owned(),
        "no_duration" => "neither run time nor end".to_owned(),
        "not_a_job" => "not a job".to_owned(),
        other => format::words(other),
    }
}

/// Short name of a cause of waiting.
pub(super) fn cause(key: &str) -> String {
    match key {
        "lead" => "lead time".to_owned(),
        "max" => "pool maximum".to_owned(),
        other => format::words(other),
    }
}

/// What a cause of waiting means.
pub(super) fn cause_meaning(key: &str) -> &'static str {
    match key {
        "lead" => "the nodes are on their way",
        "fragmentation" => "enough GPUs are free, but not in one place",
        "max" => "the pool has all the nodes it may have",
        "stock_out" => "the provider has no nodes",
        "undecided" => "nothing has been asked for yet",
        "unplaceable" => "no pool can run the job, or its gang is incomplete",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::{super::invented, *};

    #[test]
    fn the_finding_compares_the_cheapest_with_reactive() {
        let mut report = invented::report();
        for policy in &mut report.policies {
            policy.cost.k20 = 200.0;
        }
        let best = report.policies.iter_mut().find(|p| p.name == "watermark:0.2").unwrap();
        best.cost.k20 = 150.0;
        best.node_hours = 110.0;
        best.wait_seconds.mean = 37.0;
        let reactive = report.policies.iter_mut().find(|p| p.name == "reactive").unwrap();
        reactive.node_hours = 100.0;
        reactive.wait_seconds.mean = 118.0;
        assert_eq!(
            finding(&report),
            "At a waiting GPU-hour worth 20 GPU-hours, watermark:0.2 is cheapest: 25 % below \
             reactive. Jobs wait 37 s on average instead of 118 s, for 10 % more node-hours."
        );
    }

    #[test]
    fn the_finding_says_when_reacting_is_enough() {
        let mut report = invented::report();
        report.policies.retain(|p| p.name == "reactive" || p.name == "clairvoyant");
        assert!(finding(&report).contains("reactive is cheapest"));
    }

    #[test]
    fn without_jobs_or_policies_there_is_no_winner() {
        let mut report = invented::report();
        report.policies.iter_mut().for_each(|p| p.scored_jobs = 0);
        assert!(finding(&report).contains("nothing to compare"));
        assert_eq!(other_kappas(&report), None);
        report.policies.clear();
        assert_eq!(finding(&report), "No policy was run.");
    }

    #[test]
    fn a_policy_for_another_kappa_does_not_win() {
        let mut report = invented::report();
        report.policies[3].name = "adaptive@100".to_owned();
        report.policies[3].cost.k20 = 0.5;
        report.policies[3].cost.k100 = 0.5;
        assert_ne!(cheapest(&report, Kappa::K20).unwrap().name, "adaptive@100");
        assert_eq!(cheapest(&report, Kappa::K100).unwrap().name, "adaptive@100");
    }
}
