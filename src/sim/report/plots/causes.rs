//! What waiting was for: one bar for each policy, cut into causes.

use super::{
    super::{PolicyReport, Report, format, reading},
    ink::Ink,
    legend::{self, Entry, Swatch},
    picture::{Anchor, Canvas, Drawn, Screen, Words, fitted, picture, text_width, write},
};
use crate::world::WaitCause;
use plotters::{prelude::Rectangle, style::Color};

/// Height of a policy's name and bar.
const ROW: i32 = 44;

/// The causes that occur in this report, each with its place among all causes.
pub(in super::super) fn causes_present(report: &Report) -> Vec<(u8, &'static str)> {
    let occurs = |key: &str| report.policies.iter().any(|p| hours(p, key) > 0.0);
    let all = WaitCause::ALL.iter().enumerate().map(|(at, cause)| (at as u8, cause.key()));
    all.filter(|(_, key)| occurs(key)).collect()
}

fn hours(policy: &PolicyReport, key: &str) -> f64 {
    policy.waiting_by_cause.get(key).copied().filter(|h| h.is_finite() && *h > 0.0).unwrap_or(0.0)
}

/// The picture of all policies.
pub(in super::super) fn causes(words: &Words, report: &Report) -> String {
    let present = causes_present(report);
    let entry = |(at, key): &(u8, &str)| Entry {
        swatch: Swatch::Fill(Ink::Cause(*at)),
        text: reading::cause(key),
    };
    let entries: Vec<Entry> = present.iter().map(entry).collect();
    let above = |screen: Screen| legend::height(&entries, screen.width() as i32 - 8) + 6;
    picture(
        words,
        |screen| (above(screen) + ROW * report.policies.len().max(1) as i32 + 4) as u32,
        |canvas, screen| {
            legend::draw(canvas, &entries, (4, 0), screen.width() as i32 - 8)?;
            let total = |p: &PolicyReport| present.iter().map(|(_, key)| hours(p, key)).sum();
            let most = report.policies.iter().map(total).fold(0.0, f64::max);
            for (place, policy) in report.policies.iter().enumerate() {
                let top = above(screen) + ROW * place as i32;
                bar(canvas, screen, policy, &present, (top, most, total(policy)))?;
            }
            Ok(())
        },
    )
}

fn bar(
    canvas: &Canvas<'_>,
    screen: Screen,
    policy: &PolicyReport,
    present: &[(u8, &'static str)],
    (top, most, total): (i32, f64, f64),
) -> Drawn {
    let full = f64::from(screen.width() as i32 - 124);
    let name = fitted(&policy.name, screen.width() as i32 - 8);
    write(canvas, &name, (4, top + 11), Ink::Text, Anchor::Left)?;
    let mut done = 0.0;
    let x = |hours: f64| 4 + (full * hours / most.max(f64::MIN_POSITIVE)).round() as i32;
    for (at, key) in present {
        let own = hours(policy, key);
        let (left, right) = (x(done), x(done + own));
        done += own;
        // A hair of page between neighbours tells them apart without their colours.
        let right = if right > left + 3 { right - 1 } else { right };
        if right > left {
            let corners = [(left, top + 21), (right, top + 39)];
            canvas.draw(&Rectangle::new(corners, Ink::Cause(*at).stand_in().filled()))?;
            let middle = (i32::midpoint(left, right), top + 30);
            let text = inscription(key, own / total, right - left);
            write(canvas, &text, middle, Ink::OnBar, Anchor::Centre)?;
        }
    }
    let text = format!("{} GPU-h", format::amount(total));
    let left = (x(done) + 6).min(screen.width() as i32 - 4 - text_width(&text));
    write(canvas, &text, (left, top + 30), Ink::Muted, Anchor::Left)
}

/// What fits into a piece of a bar: cause and share, the share alone, or nothing.
fn inscription(key: &str, share: f64, width: i32) -> String {
    let share = format::percent(share);
    let full = format!("{} {share}", reading::cause(key));
    [full, share].into_iter().find(|text| text_width(text) + 6 <= width).unwrap_or_default()
}
