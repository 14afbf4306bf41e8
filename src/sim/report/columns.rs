//! Which figures are compared, how each is written, and which value of each is the best.
//!
//! What knows the future, the clairvoyant policy and the best in hindsight, is a reference and never the
//! best of anything. Neither is a policy whose run was cut short, for its figures cover less time than those of the others. A
//! policy tuned to one kappa (`adaptive@20`) has a cost and a closed gap at that kappa only.

use super::{
    ByKappa, PolicyReport, Report,
    format::{self, Scale},
};

/// What a waiting GPU-hour costs, in GPU-hours: the fixed set of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kappa {
    K5,
    K20,
    K100,
}

impl Kappa {
    pub(super) const fn value(self) -> u32 {
        match self {
            Self::K5 => 5,
            Self::K20 => 20,
            Self::K100 => 100,
        }
    }

    pub(super) fn of<T: Copy>(self, figures: &ByKappa<T>) -> T {
        match self {
            Self::K5 => figures.k5,
            Self::K20 => figures.k20,
            Self::K100 => figures.k100,
        }
    }
}

/// What a policy is in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Takes part.
    Competitor,
    /// Knows the future.
    Reference,
    /// Is no policy: what really happened.
    Past,
    /// Was interrupted.
    Partial,
}

pub(super) fn role(policy: &PolicyReport) -> Role {
    if policy.until_hours.is_some() {
        return Role::Partial;
    }
    match family(&policy.name) {
        "clairvoyant" | "best-fixed" => Role::Reference,
        "actual" => Role::Past,
        _ => Role::Competitor,
    }
}

/// The name without settings: `watermark` of `watermark:0.2,idle=30m`.
pub(super) fn family(name: &str) -> &str {
    name.split([':', ',', '@']).next().unwrap_or(name)
}

/// Whether the figures at `kappa` of this policy mean anything.
pub(super) fn is_meant_for(policy: &PolicyReport, kappa: Kappa) -> bool {
    let own = policy.name.rsplit_once('@').and_then(|(_, own)| own.parse::<u32>().ok());
    own.is_none_or(|own| own == kappa.value())
}

/// How the values of a column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Amount,
    Whole,
    Seconds,
    Share,
}

/// Which end of a column is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Better {
    Less,
    More,
}

/// One figure by which policies are compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// Two lines of heading.
    pub(super) head: [&'static str; 2],
    /// What it is, for readers of the page.
    pub(super) hint: &'static str,
    /// Also in the table of the terminal.
    pub(super) in_terminal: bool,
    unit: Unit,
    better: Better,
    value: fn(&PolicyReport) -> Option<f64>,
}

const fn column(
    head: [&'static str; 2],
    hint: &'static str,
    unit: Unit,
    value: fn(&PolicyReport) -> Option<f64>,
) -> Column {
    Column { head, hint, in_terminal: true, unit, better: Better::Less, value }
}

const fn page_only(column: Column) -> Column {
    Column { in_terminal: false, ..column }
}

const fn more_is_better(column: Column) -> Column {
    Column { better: Better::More, ..column }
}

/// Every figure, in the order shown: what decides first, for narrow screens show no more.
pub(super) const COLUMNS: [Column; 15] = [
    column(["node-", "hours"], "billed, from request to termination", Unit::Amount, |p| {
        Some(p.node_hours)
    }),
    column(["mean", "wait"], "over all scored jobs", Unit::Seconds, |p| Some(p.wait_seconds.mean)),
    column(["p95", "wait"], "95 % of the jobs waited at most this long", Unit::Seconds, |p| {
        Some(p.wait_seconds.p95)
    }),
    column(["cost", "κ = 20"], COST_HINT, Unit::Amount, |p| cost(p, Kappa::K20)),
    more_is_better(column(["gap", "κ = 20"], GAP_HINT, Unit::Share, |p| gap(p, Kappa::K20))),
    more_is_better(column(["gap", "κ = 100"], GAP_HINT, Unit::Share, |p| gap(p, Kappa::K100))),
    column(["waiting", "GPU-h"], "GPUs asked for by waiting jobs × time", Unit::Amount, |p| {
        Some(p.waiting_gpu_hours)
    }),
    column(
        ["idle", "GPUs"],
        "share of usable GPU-hours in which nothing ran",
        Unit::Share,
        idle_share,
    ),
    column(["node", "starts"], "nodes requested", Unit::Whole, |p| Some(p.node_starts as f64)),
    page_only(column(["wasted", "starts"], "nodes on which nothing ever ran", Unit::Whole, |p| {
        Some(p.wasted_starts as f64)
    })),
    page_only(column(
        ["p99", "wait"],
        "99 % of the jobs waited at most this long",
        Unit::Seconds,
        |p| Some(p.wait_seconds.p99),
    )),
    page_only(column(["jobs waiting", "> 60 s"], "number of jobs", Unit::Whole, |p| {
        Some(p.jobs_waiting_over_60s as f64)
    })),
    page_only(column(["cost", "κ = 5"], COST_HINT, Unit::Amount, |p| cost(p, Kappa::K5))),
    page_only(column(["cost", "κ = 100"], COST_HINT, Unit::Amount, |p| cost(p, Kappa::K100))),
    page_only(more_is_better(column(["gap", "κ = 5"], GAP_HINT, Unit::Share, |p| {
        gap(p, Kappa::K5)
    }))),
];

const COST_HINT: &str = "node-hours at their price + κ × waiting GPU-hours ÷ GPUs per node";
const GAP_HINT: &str = "0 % = as costly as reactive, 100 % = as cheap as clairvoyant";

fn idle_share(policy: &PolicyReport) -> Option<f64> {
    let usable = policy.idle_gpu_hours + policy.busy_gpu_hours;
    (usable > 0.0).then(|| policy.idle_gpu_hours / usable)
}

fn cost(policy: &PolicyReport, kappa: Kappa) -> Option<f64> {
    is_meant_for(policy, kappa).then(|| kappa.of(&policy.cost))
}

fn gap(policy: &PolicyReport, kappa: Kappa) -> Option<f64> {
    kappa.of(&policy.gap_closed).filter(|_| is_meant_for(policy, kappa))
}

/// One value as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) is_best: bool,
}

impl Column {
    /// The cells of this column, one for each policy. Values that read the same are equally good; if
    /// all competitors read the same, none is marked.
    pub(super) fn cells(&self, report: &Report) -> Vec<Cell> {
        let values: Vec<Option<f64>> =
            report.policies.iter().map(|p| (self.value)(p).filter(|v| v.is_finite())).collect();
        let texts = self.texts(&values);
        let competitors: Vec<usize> = (0..values.len())
            .filter(|&at| values[at].is_some() && role(&report.policies[at]) == Role::Competitor)
            .collect();
        let best = competitors.iter().copied().reduce(|a, b| self.better_of(a, b, &values));
        let is_contested =
            best.is_some_and(|best| competitors.iter().any(|&at| texts[at] != texts[best]));
        let is_best = |at: usize| {
            is_contested
                && competitors.contains(&at)
                && best.is_some_and(|best| texts[at] == texts[best])
        };
        let marks: Vec<bool> = (0..texts.len()).map(is_best).collect();
        texts.into_iter().zip(marks).map(|(text, is_best)| Cell { text, is_best }).collect()
    }

    fn better_of(&self, a: usize, b: usize, values: &[Option<f64>]) -> usize {
        let (Some(of_a), Some(of_b)) = (values[a], values[b]) else { return a };
        let is_b_better = match self.better {
            Better::Less => of_b < of_a,
            Better::More => of_b > of_a,
        };
        if is_b_better { b } else { a }
    }

    fn texts(&self, values: &[Option<f64>]) -> Vec<String> {
        let present = || values.iter().copied().flatten();
        let scale = match self.unit {
            Unit::Whole => Scale::whole(present()),
            _ => Scale::fitting(present()),
        };
        let show = |value: f64| match self.unit {
            Unit::Amount | Unit::Whole => scale.show(value),
            Unit::Seconds => format::span(value),
            Unit::Share => format::whole_percent(value),
        };
        values.iter().map(|v| v.map_or_else(|| format::NONE.to_owned(), show)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::invented, *};

    fn best_of(report: &Report, head: [&str; 2]) -> Vec<String> {
        let column = COLUMNS.iter().find(|c| c.head == head).unwrap();
        let cells = column.cells(report);
        let names = report.policies.iter().zip(cells);
        names.filter(|(_, cell)| cell.is_best).map(|(p, _)| p.name.clone()).collect()
    }

    #[test]
    fn the_reference_is_never_the_best() {
        let report = invented::report();
        for column in &COLUMNS {
            for (policy, cell) in report.policies.iter().zip(column.cells(&report)) {
                assert!(!(cell.is_best && policy.name == "clairvoyant"), "{:?}", column.head);
            }
        }
    }

    #[test]
    fn the_least_cost_is_the_best_and_a_tie_is_shared() {
        let mut report = invented::report();
        for (at, policy) in report.policies.iter_mut().enumerate() {
            policy.cost.k20 = 1000.0 + at as f64;
        }
        let names: Vec<String> = report.policies.iter().map(|p| p.name.clone()).collect();
        assert_eq!(best_of(&report, ["cost", "κ = 20"]), [names[0].clone()]);
        report.policies[1].cost.k20 = 1000.2;
        assert_eq!(best_of(&report, ["cost", "κ = 20"]), [names[0].clone(), names[1].clone()]);
    }

    #[test]
    fn nothing_is_marked_where_all_are_equal() {
        let mut report = invented::report();
        for policy in &mut report.policies {
            policy.node_starts = 7;
        }
        assert!(best_of(&report, ["node", "starts"]).is_empty());
    }

    #[test]
    fn a_policy_for_one_kappa_counts_at_that_kappa_only() {
        let mut report = invented::report();
        report.policies[1].name = "adaptive@5".to_owned();
        report.policies[1].cost = ByKappa { k5: 1.0, k20: 1.0, k100: 1.0 };
        assert_eq!(best_of(&report, ["cost", "κ = 5"]), ["adaptive@5"]);
        assert!(!best_of(&report, ["cost", "κ = 20"]).contains(&"adaptive@5".to_owned()));
    }

    #[test]
    fn the_best_in_hindsight_is_a_reference() {
        let mut report = invented::report();
        report.policies[1].name = "best-fixed@20".to_owned();
        report.policies[1].cost.k20 = 1.0;
        assert_eq!(role(&report.policies[1]), Role::Reference);
        assert_ne!(best_of(&report, ["cost", "κ = 20"]), ["best-fixed@20"]);
    }

    #[test]
    fn a_run_cut_short_is_not_the_best() {
        let mut report = invented::report();
        report.policies[2].node_hours = 1.0;
        report.policies[2].until_hours = Some(2.0);
        assert!(!best_of(&report, ["node-", "hours"]).contains(&report.policies[2].name));
    }
}
