//! How long jobs wait: for each policy the share of the jobs that waited longer than a time.

use super::{
    super::{PolicyPictures, Report, reading},
    axes::{Axes, Chart, guide, line},
    ink::{Ink, Look},
    legend::{self, Entry, Swatch, marker},
    picture::{Anchor, Canvas, Drawn, Screen, Words, picture, write},
    scale,
};

/// Times that get a tick, in seconds.
const TICKS: [(f64, &str); 14] = [
    (1.0, "1 s"),
    (3.0, "3 s"),
    (10.0, "10 s"),
    (30.0, "30 s"),
    (60.0, "1 min"),
    (180.0, "3 min"),
    (600.0, "10 min"),
    (1800.0, "30 min"),
    (3600.0, "1 h"),
    (10_800.0, "3 h"),
    (36_000.0, "10 h"),
    (86_400.0, "1 d"),
    (345_600.0, "4 d"),
    (2_592_000.0, "30 d"),
];
/// Those that remain on a narrow screen.
const NARROW_TICKS: [&str; 6] = ["1 s", "10 s", "1 min", "10 min", "1 h", "10 h"];
/// Points of a curve.
const POINTS: usize = 240;

/// A policy's curve: seconds (as logarithm) and share in per cent.
struct Curve<'a> {
    name: &'a str,
    look: Look,
    waits_ms: &'a [i64],
}

impl Curve<'_> {
    /// Per cent of the jobs that waited longer.
    fn share(&self, seconds: f64) -> f64 {
        let limit = (seconds * 1000.0) as i64;
        let longer = self.waits_ms.len() - self.waits_ms.partition_point(|wait| *wait <= limit);
        100.0 * longer as f64 / self.waits_ms.len().max(1) as f64
    }
}

/// The picture of all policies.
pub(in super::super) fn waits(
    words: &Words,
    report: &Report,
    pictures: &[PolicyPictures],
) -> String {
    let mut curves: Vec<Curve<'_>> = pictures
        .iter()
        .filter(|p| !p.waits_ms.is_empty())
        .map(|p| Curve { name: &p.name, look: look(report, &p.name), waits_ms: &p.waits_ms })
        .collect();
    curves.sort_by(|a, b| b.share(60.0).total_cmp(&a.share(60.0)));
    let entries: Vec<Entry> = curves
        .iter()
        .map(|c| Entry { swatch: Swatch::Policy(c.look), text: entry_text(report, c.name) })
        .collect();
    let below = |screen: Screen| legend::height(&entries, screen.width() as i32 - 8);
    picture(
        words,
        |screen| (366 + below(screen)) as u32,
        |canvas, screen| {
            write(canvas, "share of jobs", (4, 10), Ink::Muted, Anchor::Left)?;
            let (_, rest) = canvas.split_vertically(22);
            let (plot, rest) = rest.split_vertically(304);
            draw(&plot, screen, &curves, report.settings.lead_time_seconds)?;
            let middle = screen.width() as i32 / 2;
            write(&rest, "wait longer than", (middle, 8), Ink::Muted, Anchor::Centre)?;
            legend::draw(&rest, &entries, (4, 28), screen.width() as i32 - 8)
        },
    )
}

fn entry_text(report: &Report, name: &str) -> String {
    let policy = report.policies.iter().find(|p| p.name == name);
    let until = policy.and_then(reading::until);
    until.map_or_else(|| name.to_owned(), |until| format!("{name} ({until})"))
}

/// The look of a policy, by its place in the report.
pub(super) fn look(report: &Report, name: &str) -> Look {
    let place = report.policies.iter().position(|p| p.name == name);
    Look::of(place.unwrap_or(report.policies.len()))
}

fn draw(canvas: &Canvas<'_>, screen: Screen, curves: &[Curve<'_>], lead_seconds: f64) -> Drawn {
    let longest = curves.iter().filter_map(|c| c.waits_ms.last()).max().copied().unwrap_or(0);
    let end = (longest as f64 / 1000.0).max(600.0) * 1.05;
    let most = curves.iter().map(|c| c.share(1.0)).fold(0.0, f64::max);
    let y_ticks = scale::ticks(most, 4);
    let shown: Vec<(f64, &str)> = TICKS
        .into_iter()
        .filter(|(s, text)| *s < end && (screen == Screen::Wide || NARROW_TICKS.contains(text)))
        .map(|(s, text)| (s.log10(), text))
        .collect();
    let x_label = |at: f64| {
        let tick = shown.iter().find(|(tick, _)| (tick - at).abs() < 1e-9);
        tick.map_or(String::new(), |(_, text)| (*text).to_owned())
    };
    let y_label = |tick: f64| format!("{} %", scale::amount(tick, &y_ticks));
    let axes = Axes {
        x: 0.0..end.log10(),
        x_ticks: shown.iter().map(|(at, _)| *at).collect(),
        x_label: &x_label,
        y_ticks: y_ticks.clone(),
        y_label: &y_label,
    };
    let mut chart = axes.chart(canvas)?;
    lead_time(canvas, &chart, lead_seconds, end, scale::ends(&y_ticks).end)?;
    for curve in curves {
        one(canvas, &mut chart, curve, end)?;
    }
    Ok(())
}

fn lead_time(
    canvas: &Canvas<'_>,
    chart: &Chart<'_, '_>,
    seconds: f64,
    end: f64,
    top: f64,
) -> Drawn {
    if !(seconds > 1.0 && seconds < end) {
        return Ok(());
    }
    let x = seconds.log10();
    guide(chart, (x, 0.0), (x, top))?;
    let (left, high) = chart.backend_coord(&(x, top));
    // Coordinates of a chart count from the whole picture, those of a canvas from its own corner.
    let high = high - canvas.get_pixel_range().1.start;
    write(canvas, "lead time", (left + 6, high + 8), Ink::Muted, Anchor::Left)
}

fn one(canvas: &Canvas<'_>, chart: &mut Chart<'_, '_>, curve: &Curve<'_>, end: f64) -> Drawn {
    let at = |n: usize| end.log10() * n as f64 / POINTS as f64;
    let points: Vec<(f64, f64)> =
        (0..=POINTS).map(|n| (at(n), curve.share(10_f64.powf(at(n))))).collect();
    line(chart, &points, Ink::Line(curve.look), 2)?;
    for seconds in [3.0_f64, 60.0, 300.0] {
        let (x, y) = chart.backend_coord(&(seconds.log10(), curve.share(seconds)));
        marker(canvas, curve.look, (x, y - canvas.get_pixel_range().1.start), 4)?;
    }
    Ok(())
}
