//! The tables of the page: the comparison, the settings, the rows that were read.

use super::super::{
    PolicyReport, PoolSummary, Report,
    columns::{COLUMNS, Cell, Column, Role, role},
    engine, format, past, reading,
};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Every figure of every policy; those that know the future in a body of their own.
pub(super) fn comparison(report: &Report) -> Markup {
    // A column without any figure only takes room.
    let (columns, cells): (Vec<&Column>, Vec<Vec<Cell>>) = COLUMNS
        .iter()
        .map(|column| (column, column.cells(report)))
        .filter(|(_, cells)| cells.iter().any(|cell| cell.text != format::NONE))
        .unzip();
    let (apart, among): (Vec<usize>, Vec<usize>) =
        (0..report.policies.len()).partition(|&at| role(&report.policies[at]) == Role::Reference);
    let rows = |places: &[usize]| {
        html! {
            @for &at in places {
                tr {
                    th scope="row" { (name(&report.policies[at])) }
                    @for column in &cells { (figure(&column[at])) }
                }
            }
        }
    };
    html! {
        section #comparison {
            h2 { "Comparison" }
            @if report.policies.is_empty() { p { "No policy was run." } } @else {
                div.scroll tabindex="0" role="region" aria-label="Comparison of policies, scrolls sideways" {
                    table {
                        thead { tr {
                            th scope="col" { "policy" }
                            @for column in &columns {
                                th scope="col" { (column.head[0]) br; (column.head[1].replace(' ', "\u{a0}")) }
                            }
                        } }
                        tbody { (rows(&among)) }
                        @if !apart.is_empty() {
                            tbody.apart {
                                tr { th.group scope="rowgroup" colspan=(columns.len() + 1) {
                                    span { "For reference: knows the future, cannot be had" }
                                } }
                                (rows(&apart))
                            }
                        }
                    }
                }
                p.hint { "The table scrolls sideways." }
                p.note {
                    span.star aria-hidden="true" { "★" }
                    " marks the best value of a column. κ (kappa) is what a waiting GPU-hour costs, \
                     in GPU-hours; the cost is node-hours at their price + κ × waiting GPU-hours ÷ \
                     GPUs per node. A dash: no figure, because the gap is too small to share out or \
                     the policy is tuned to another κ."
                    @if report.bounds.node_hours_lower > 0.0 {
                        " Without any waiting, no policy could need fewer than "
                        (format::amount(report.bounds.node_hours_lower)) " node-hours."
                    }
                }
                details {
                    summary { "What the columns mean" }
                    dl.meanings {
                        @for column in &columns {
                            div { dt {
                                (column.head[0]) @if !column.head[0].ends_with('-') { " " } (column.head[1])
                            } dd { (column.hint) } }
                        }
                    }
                }
            }
        }
    }
}

fn name(policy: &PolicyReport) -> Markup {
    html! {
        @for part in policy.name.split_inclusive(',') { (part) wbr; }
        @if let Some(until) = reading::until(policy) { span.partial { " (" (until) ")" } }
    }
}

fn figure(cell: &Cell) -> Markup {
    html! {
        @if cell.is_best {
            td.best {
                span.star aria-hidden="true" { "★" } (cell.text) span.unseen { " (best)" }
            }
        } @else {
            td { (cell.text) }
        }
    }
}

/// What would have been saved, where it is known what happened, and the settings to begin with.
pub(super) fn past(report: &Report) -> Markup {
    let Some(found) = &report.past else { return html! {} };
    let money = found.gpu_hour_price.map(|_| past::MONEY);
    html! {
        section #past {
            h2 { "Against what really happened" }
            div.scroll tabindex="0" role="region" aria-label="Savings, scrolls sideways" {
                table {
                    thead { tr { @for head in past::HEADS.into_iter().chain(money) {
                        th scope="col" { (head) }
                    } } }
                    tbody { @for row in past::rows(found) {
                        tr { @for (at, cell) in row.iter().enumerate() {
                            @if at == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                        } }
                    } }
                }
            }
            p.note { (past::explanation(found)) }
            @for said in past::asked_for(found) { p.note { (said) } }
            @if !found.settings.is_empty() {
                h3 { "Settings to begin with" }
                p { "In Shadow nothing is written." }
                @for settings in &found.settings { pre { (settings) } }
            }
        }
    }
}

/// What the engine did, if it was run.
pub(super) fn engine(report: &Report) -> Markup {
    let accounts = engine::accounts(report);
    html! {
        @if !accounts.is_empty() {
            section #engine {
                h2 { "What the engine did" }
                @for account in &accounts {
                    h3 { (account.title) }
                    dl.meanings {
                        @for (what, value) in &account.facts {
                            div { dt { (what) } dd { (value) } }
                        }
                        @if !account.followed.is_empty() {
                            div { dt { "strategies followed" } dd { ol { @for step in &account.followed {
                                li { (step) }
                            } } } }
                        }
                    }
                }
            }
        }
    }
}

/// What the comparison was run with.
pub(super) fn settings(report: &Report) -> Markup {
    let settings = &report.settings;
    html! {
        section {
            h2 { "Settings" }
            dl.facts {
                div { dt { "Placement" } dd { (settings.placement) } }
                div { dt { "Decisions every" } dd { (format::span(settings.decision_seconds)) } }
                div { dt { "Seed" } dd { (settings.seed) } }
                div { dt { "Scored from" } dd { (format::span(settings.score_from_hours * 3600.0)) } }
            }
            @if settings.pools.is_empty() { p { "No pools." } } @else { (pools(&settings.pools)) }
        }
    }
}

fn pools(pools: &[PoolSummary]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Pools, scrolls sideways" {
            table {
                caption { "Pools, in order of preference" }
                thead { tr {
                    @for head in ["pool", "GPUs per node", "GPU model", "price per hour", "min nodes", "max nodes", "provisioning", "warm-up"] {
                        th scope="col" { (head) }
                    }
                } }
                tbody { @for pool in pools { tr {
                    th scope="row" { (pool.name) }
                    td { (pool.gpus_per_node) }
                    td { @if pool.gpu_model.is_empty() { "any" } @else { (pool.gpu_model) } }
                    td { (format::amount(pool.price)) }
                    td { (pool.min_nodes) }
                    td { (pool.max_nodes.map_or_else(|| "none".to_owned(), |n| n.to_string())) }
                    td { (format::span(pool.provisioning_seconds)) }
                    td { (format::span(pool.warm_up_seconds)) }
                } } }
            }
        }
    }
}

/// What became of the rows of the trace.
pub(super) fn rows(report: &Report) -> Markup {
    let trace = &report.trace;
    html! {
        section {
            h2 { "Rows of the trace" }
            p { (format::count(trace.jobs)) " rows were read and " (format::count(trace.gpu_jobs)) " of them take part." }
            (reasons("Left out", &trace.skipped))
            (reasons("Taken after a correction", &trace.adjusted))
        }
    }
}

fn reasons(what: &str, counts: &BTreeMap<&'static str, u64>) -> Markup {
    html! {
        @if counts.is_empty() { p { (what) ": none." } } @else {
            table.small {
                caption { (what) }
                thead { tr { th scope="col" { "reason" } th scope="col" { "rows" } } }
                tbody { @for (key, rows) in counts { tr {
                    th scope="row" { (reading::row_reason(key)) }
                    td { (format::count(*rows)) }
                } } }
            }
        }
    }
}

/// The figures behind the bars: waiting GPU-hours by cause.
pub(super) fn causes(report: &Report, present: &[(u8, &'static str)]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Waiting by cause, scrolls sideways" {
            table {
                caption { "Waiting GPU-hours by cause" }
                thead { tr {
                    th scope="col" { "policy" }
                    @for (_, key) in present { th scope="col" { (reading::cause(key)) } }
                } }
                tbody { @for policy in &report.policies { tr {
                    th scope="row" { (name(policy)) }
                    @for (_, key) in present {
                        td { (policy.waiting_by_cause.get(key).map_or_else(|| format::NONE.to_owned(), |h| format::amount(*h))) }
                    }
                } } }
            }
        }
    }
}
