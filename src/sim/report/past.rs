//! What policies would have saved, in words: the same cells for the terminal and the page.

use super::{AskedForReport, Interval, PastReport, columns, format};

/// Headings of the cells of [`rows`].
pub(super) const HEADS: [&str; 4] =
    ["policy", "GPU-h saved", "waiting GPU-h saved", "worth, GPU-h"];

/// What stands in its own column if a price is known.
pub(super) const MONEY: &str = "money saved";

/// One row a policy that could have been had.
pub(super) fn rows(past: &PastReport) -> Vec<Vec<String>> {
    let savings = past
        .savings
        .iter()
        .filter(|saving| !matches!(columns::family(&saving.policy), "clairvoyant" | "best-fixed"));
    savings
        .map(|saving| {
            let worth = format!("κ {}: {}", saving.kappa, cell(saving.worth_gpu_hours));
            let figures = [cell(saving.gpu_hours), cell(saving.waiting_gpu_hours), worth];
            let money = saving.money.map(cell);
            std::iter::once(saving.policy.clone()).chain(figures).chain(money).collect()
        })
        .collect()
}

/// What the figures are, and what they are not.
pub(super) fn explanation(past: &PastReport) -> String {
    let sure = if past.savings.iter().any(|saving| saving.gpu_hours.low.is_some()) {
        format!("In brackets: where 90 % lie if the {} scored days are drawn anew.", past.days)
    } else {
        "Too few days for an interval.".to_owned()
    };
    format!(
        "Actual is what the metrics show; policies are simulated on the same pods. A negative figure is more \
         than was used. Worth: GPU-hours + κ x waiting GPU-hours. {sure} What the simulation leaves out is not in the interval: compare `actual` with \
         the policy you run (reactive or cluster-autoscaler) to see how far the two worlds are apart."
    )
}

/// A sentence for each MachineDeployment.
pub(super) fn asked_for(past: &PastReport) -> Vec<String> {
    let sentence = |asked: &AskedForReport| {
        format!(
            "MachineDeployment {} ({}) was asked for {} to {} nodes and raised by {} altogether: {:.0} node-hours \
             from request to removal, in the whole time.",
            asked.machine_deployment,
            asked.pool,
            asked.least_nodes,
            asked.most_nodes,
            asked.raised_by_nodes,
            asked.node_hours
        )
    };
    past.asked_for.iter().map(sentence).collect()
}

/// One scale for all three figures.
fn cell(interval: Interval) -> String {
    let figures = [Some(interval.mid), interval.low, interval.high];
    let scale = format::Scale::fitting(figures.into_iter().flatten());
    let mid = scale.show(interval.mid);
    match (interval.low, interval.high) {
        (Some(low), Some(high)) => format!("{mid} [{}; {}]", scale.show(low), scale.show(high)),
        _ => mid,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::SavingReport, *};

    #[test]
    fn intervals_are_shown_and_references_left_out() {
        let interval = Interval { mid: 120.0, low: Some(-80.0), high: Some(160.4) };
        let saving = |policy: &str| SavingReport {
            policy: policy.to_owned(),
            kappa: 20.0,
            gpu_hours: interval,
            waiting_gpu_hours: Interval { mid: 1.0, low: None, high: None },
            worth_gpu_hours: interval,
            money: Some(interval.times(2.0)),
        };
        let savings = vec![saving("reactive"), saving("clairvoyant")];
        let past = PastReport {
            days: 11,
            gpu_hour_price: Some(2.0),
            savings,
            asked_for: vec![],
            settings: vec![],
        };
        let rows = rows(&past);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0][1], "120 [-80; 160]");
        assert_eq!(rows[0][2], "1.00");
        assert_eq!(rows[0][4], "240 [-160; 321]");
    }
}
