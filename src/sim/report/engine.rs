//! What the engine did, in words: which strategy was followed when, what speculation earned and spent,
//! and which limits bound how often; for the best in hindsight, which candidate it was.
//!
//! Wording only, the same for the terminal and the page.

use super::{
    ActiveStrategy, EngineReport, LedgerReport, PolicyReport, Report,
    columns::{Kappa, family, is_meant_for},
    format,
};
use std::collections::BTreeMap;

/// Strategies of a time line that are shown where room is short.
const SHOWN: usize = 6;

/// What was done under one policy about one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// Policy, and the pool if there are several.
    pub(super) title: String,
    /// Name and value, in the order shown.
    pub(super) facts: Vec<(&'static str, String)>,
    /// Which strategy was followed, in order of time; empty for the best in hindsight.
    pub(super) followed: Vec<String>,
}

impl Account {
    /// The time line in one sentence, without its middle if it is long.
    pub(super) fn followed_in_short(&self) -> Option<String> {
        let (all, count) = (&self.followed, self.followed.len());
        match count {
            0 => None,
            _ if count <= SHOWN => Some(all.join("; ")),
            _ => {
                let (first, last) = (all[..SHOWN - 2].join("; "), all[count - 2..].join("; "));
                Some(format!("{first}; ... {} more ...; {last}", count - SHOWN))
            }
        }
    }
}

/// All accounts in the order of the policies; none if no policy has any.
pub(super) fn accounts(report: &Report) -> Vec<Account> {
    let of = |policy: &PolicyReport| -> Vec<Account> {
        let is_alone = policy.engine.len() == 1;
        policy.engine.iter().map(|pool| account(policy, pool, is_alone)).collect()
    };
    report.policies.iter().flat_map(of).collect()
}

fn account(policy: &PolicyReport, pool: &EngineReport, is_alone: bool) -> Account {
    let title =
        if is_alone { policy.name.clone() } else { format!("{}, pool {}", policy.name, pool.pool) };
    let mut facts: Vec<(&str, String)> = own_cost(policy).into_iter().collect();
    if family(&policy.name) == "best-fixed" {
        let was = pool.active.first().map(|active| active.strategy.clone());
        facts.extend(was.map(|was| ("the best of the candidates in hindsight", was)));
        return Account { title, facts, followed: Vec::new() };
    }
    facts.push(("credit for nodes ahead of demand", credit(&pool.ledger)));
    facts.push(("limits that bound a decision", limits(&pool.limits_bound)));
    let followed = pool.active.iter().map(from).collect();
    Account { title, facts, followed }
}

/// Cost and gap at the kappa the policy is for.
fn own_cost(policy: &PolicyReport) -> Option<(&'static str, String)> {
    let mut meant = [Kappa::K5, Kappa::K20, Kappa::K100]
        .into_iter()
        .filter(|&kappa| is_meant_for(policy, kappa));
    let (Some(kappa), None) = (meant.next(), meant.next()) else { return None };
    let cost = format::amount(kappa.of(&policy.cost));
    let gap = kappa.of(&policy.gap_closed);
    let gap =
        gap.map(|gap| format!(", gap closed {}", format::whole_percent(gap))).unwrap_or_default();
    Some(("cost at its own kappa", format!("{cost} at κ = {}{gap}", kappa.value())))
}

fn from(active: &ActiveStrategy) -> String {
    let strategy = &active.strategy;
    if active.from_hours <= 0.0 {
        return format!("first {strategy}");
    }
    format!("from {} {strategy}", format::span(active.from_hours * 3600.0))
}

/// The account of the whole run; what was there at the start follows from the rest.
fn credit(ledger: &LedgerReport) -> String {
    let LedgerReport { earned_node_hours, spent_node_hours, credit_node_hours, shadow_node_hours } =
        *ledger;
    format!(
        "{} node-hours at the start, {} earned, {} spent, {} left; over the whole run a reactive \
         controller would have used {}",
        format::amount(credit_node_hours + spent_node_hours - earned_node_hours),
        format::amount(earned_node_hours),
        format::amount(spent_node_hours),
        format::amount(credit_node_hours),
        format::amount(shadow_node_hours),
    )
}

fn limits(bound: &BTreeMap<String, u64>) -> String {
    if bound.is_empty() {
        return "none".to_owned();
    }
    let mut bound: Vec<(&String, &u64)> = bound.iter().collect();
    bound.sort_by(|a, b| b.1.cmp(a.1));
    let parts =
        bound.iter().map(|(limit, times)| format!("{limit} ({} ×)", format::count(**times)));
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{super::invented, *};

    #[test]
    fn the_account_is_told_in_words() {
        let accounts = accounts(&invented::with_engine());
        let adaptive = &accounts[0];
        assert_eq!(adaptive.title, "adaptive@20");
        let facts: Vec<&str> = adaptive.facts.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(
            facts,
            [
                "900 at κ = 20, gap closed 40 %",
                "8.00 node-hours at the start, 30.0 earned, 33.0 spent, 5.00 left; over the whole run a \
                 reactive controller would have used 200",
                "the credit for nodes ahead of demand (1,200 ×), the step limit (3 ×)",
            ]
        );
        assert_eq!(
            adaptive.followed_in_short().unwrap(),
            "first reactive,idle=5m; from 36.0 h watermark:0.1,idle=10m"
        );
    }

    #[test]
    fn the_best_in_hindsight_is_named() {
        let accounts = accounts(&invented::with_engine());
        let (what, which) = accounts[1].facts.last().unwrap();
        assert_eq!(
            (*what, which.as_str()),
            ("the best of the candidates in hindsight", "headroom:2nodes")
        );
        assert_eq!(accounts[1].followed_in_short(), None);
    }

    #[test]
    fn of_a_long_time_line_the_ends_are_shown() {
        let followed = (0..9).map(|at| at.to_string()).collect();
        let account = Account { title: String::new(), facts: Vec::new(), followed };
        assert_eq!(account.followed_in_short().unwrap(), "0; 1; 2; 3; ... 3 more ...; 7; 8");
    }
}
