//! The comparison for the terminal: at most [`WIDTH`] columns of plain text, the best value of each
//! figure marked with `*`, the clairvoyant reference set apart below the policies that compete.

use super::{
    PolicyReport, Report,
    columns::{COLUMNS, Cell, Column, Role, role},
    engine, format, past, reading,
};
use comfy_table::{CellAlignment, Table, presets};

/// Widest line of the table.
const WIDTH: usize = 100;
/// Longest piece of a policy's name on one line; what the figures leave of [`WIDTH`].
const NAME_WIDTH: usize = 23;
/// Invisible marks around a best value, without width: they become colour or nothing.
const BEST: [&str; 2] = ["\u{2062}", "\u{2063}"];

/// The table as plain text, ends with a newline.
pub fn table(report: &Report) -> String {
    text(report).replace(BEST[0], "").replace(BEST[1], "")
}

/// As [`table`], with the best values in bold green for terminals that understand ANSI codes.
pub fn table_in_colour(report: &Report) -> String {
    text(report).replace(BEST[0], "\u{1b}[1;32m").replace(BEST[1], "\u{1b}[0m")
}

fn text(report: &Report) -> String {
    let mut lines = heading(report);
    lines.push(String::new());
    lines.extend(comparison(report));
    lines.push(String::new());
    lines.extend(accounts(report));
    lines.extend(past_lines(report));
    lines.extend(notes(report).iter().flat_map(|note| wrapped(&printable(note), WIDTH)));
    let mut text = String::new();
    for line in lines {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn heading(report: &Report) -> Vec<String> {
    let facts: Vec<String> = reading::circumstances(report)
        .into_iter()
        .map(|(name, value)| format!("{}: {value}", name.to_lowercase()))
        .collect();
    let pools: Vec<String> = report.settings.pools.iter().map(reading::pool).collect();
    let mut lines = wrapped(&printable(&report.scenario), WIDTH);
    lines.extend(wrapped(&printable(&facts.join(" | ")), WIDTH));
    if !pools.is_empty() {
        let word = if pools.len() == 1 { "pool" } else { "pools, preferred first" };
        lines.extend(wrapped(&printable(&format!("{word}: {}", pools.join("; "))), WIDTH));
    }
    lines.extend(reading::partial_warning(report).iter().flat_map(|w| wrapped(w, WIDTH)));
    lines
}

fn comparison(report: &Report) -> Vec<String> {
    let columns: Vec<&Column> = COLUMNS.iter().filter(|c| c.in_terminal).collect();
    let cells: Vec<Vec<Cell>> = columns.iter().map(|c| c.cells(report)).collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let heads = columns.iter().map(|c| format!("{}\n{} ", c.head[0], c.head[1]));
    table.set_header(std::iter::once("\npolicy".to_owned()).chain(heads));
    let row = |at: usize| {
        let figures = cells.iter().map(move |column| marked(&column[at]));
        std::iter::once(name(&report.policies[at])).chain(figures)
    };
    let (apart, among): (Vec<usize>, Vec<usize>) =
        (0..report.policies.len()).partition(|&at| role(&report.policies[at]) == Role::Reference);
    table.add_rows(among.iter().map(|&at| row(at)));
    if !apart.is_empty() {
        table.add_row(["for reference:"]);
        table.add_rows(apart.iter().map(|&at| row(at)));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if at > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut lines: Vec<String> = table.lines().collect();
    let rule = lines.iter().map(|line| visible_width(line.trim_end())).max().unwrap_or(0);
    lines.insert(2.min(lines.len()), "─".repeat(rule));
    lines
}

fn name(policy: &PolicyReport) -> String {
    let mut lines = pieces(&printable(&policy.name), NAME_WIDTH);
    if let Some(until) = reading::until(policy) {
        lines.push(format!("  ({until})"));
    }
    lines.join("\n")
}

fn marked(cell: &Cell) -> String {
    if cell.is_best {
        format!("{}{}*{}", BEST[0], cell.text, BEST[1])
    } else {
        format!("{} ", cell.text)
    }
}

/// What the engine did, if it was run; ends with an empty line.
fn accounts(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for account in engine::accounts(report) {
        lines.extend(wrapped(&printable(&format!("{}:", account.title)), WIDTH));
        let followed = account.followed_in_short().map(|followed| ("followed", followed));
        for (what, value) in
            account.facts.iter().map(|(what, value)| (*what, value.clone())).chain(followed)
        {
            let fact = wrapped(&printable(&format!("{what}: {value}")), WIDTH - 4);
            let indents = std::iter::once("  ").chain(std::iter::repeat("    "));
            lines.extend(fact.iter().zip(indents).map(|(line, indent)| format!("{indent}{line}")));
        }
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines
}

/// What would have been saved, and the settings to begin with; ends with an empty line.
fn past_lines(report: &Report) -> Vec<String> {
    let Some(found) = &report.past else { return Vec::new() };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let money = found.gpu_hour_price.map(|_| past::MONEY);
    table.set_header(past::HEADS.into_iter().chain(money));
    for row in past::rows(found) {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if at > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut lines = vec!["Against what really happened:".to_owned()];
    lines.extend(table.lines());
    lines.extend(wrapped(&past::explanation(found), WIDTH));
    lines.extend(past::asked_for(found).iter().flat_map(|said| wrapped(&printable(said), WIDTH)));
    lines.push(String::new());
    if !found.settings.is_empty() {
        lines.push("Settings to begin with (in Shadow nothing is written):".to_owned());
        let texts: Vec<String> = found.settings.join("---\n").lines().map(printable).collect();
        lines.extend(texts.iter().map(|line| format!("  {line}")));
        lines.push(String::new());
    }
    lines
}

fn notes(report: &Report) -> Vec<String> {
    let mut notes = vec![reading::finding(report)];
    notes.extend(reading::other_kappas(report));
    notes.extend(report.caveats.iter().map(|caveat| format!("! {caveat}")));
    notes.push(
        "* best of its column. κ: what a waiting GPU-hour costs in GPU-hours; cost = node-hours at \
         their price + κ x waiting GPU-h / GPUs per node; gap: share of the way from reactive to \
         clairvoyant."
            .to_owned(),
    );
    if report.policies.iter().any(|policy| !policy.engine.is_empty()) {
        notes.push(
            "– no such figure: a policy for one κ (after the @) has a cost and a gap at that κ only."
                .to_owned(),
        );
    }
    notes.push(String::new());
    if report.bounds.node_hours_lower > 0.0 {
        let bound = format::amount(report.bounds.node_hours_lower);
        notes.push(format!(
            "Lower bound without any waiting: {bound} node-hours (fragmentation ignored)."
        ));
    }
    notes.extend(causes(report));
    notes.push(rows("Rows skipped", &report.trace.skipped));
    notes
}

/// Waiting by cause under reactive (or the first policy) and under the cheapest one.
fn causes(report: &Report) -> Vec<String> {
    let base = reading::reactive(report).or_else(|| report.policies.first());
    let best = reading::cheapest(report, super::columns::Kappa::K20);
    let best = best.filter(|best| base.is_none_or(|base| base.name != best.name));
    base.into_iter().chain(best).filter_map(cause_line).collect()
}

fn cause_line(policy: &PolicyReport) -> Option<String> {
    let total: f64 = policy.waiting_by_cause.values().sum();
    if total <= 0.0 {
        return None;
    }
    let mut shares: Vec<(&str, f64)> =
        policy.waiting_by_cause.iter().map(|(&key, hours)| (key, hours / total)).collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    let parts: Vec<String> = shares
        .iter()
        .filter(|(_, share)| *share >= 0.000_5)
        .map(|(key, share)| format!("{} {}", reading::cause(key), format::percent(*share)))
        .collect();
    Some(format!("Waiting under {}: {}.", printable(&policy.name), parts.join(", ")))
}

fn rows(what: &str, counts: &std::collections::BTreeMap<&'static str, u64>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(key, n)| format!("{} ({})", reading::row_reason(key), format::count(*n)))
        .collect();
    match parts.as_slice() {
        [] => format!("{what}: none."),
        parts => format!("{what}: {}.", parts.join(", ")),
    }
}

/// Without control characters: names come from files and must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || BEST.concat().contains(c) { '?' } else { c })
        .collect()
}

/// Pieces of at most `width` characters, cut after a comma where that is possible.
fn pieces(name: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for part in name.split_inclusive(',') {
        if !line.trim().is_empty() && line.chars().count() + part.chars().count() > width {
            lines.push(std::mem::replace(&mut line, "  ".to_owned()));
        }
        for c in part.chars() {
            if line.chars().count() >= width {
                lines.push(std::mem::replace(&mut line, "  ".to_owned()));
            }
            line.push(c);
        }
    }
    lines.push(line);
    lines
}

/// The words of a text on lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').flat_map(|word| pieces_of_word(word, width)) {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

fn pieces_of_word(word: &str, width: usize) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    letters.chunks(width).map(|piece| piece.iter().collect()).collect()
}

fn visible_width(line: &str) -> usize {
    line.chars().filter(|c| !BEST.concat().contains(*c)).count()
}

#[cfg(test)]
mod tests;
