//! Axes: round steps that cover the values, and how their ticks read.

use super::super::format::Scale;

/// Round values from zero (or `from`) upwards that cover `most`, about `wanted` of them. The last tick
/// is the end of the axis; an axis without extent gets one of length 1.
pub(super) fn ticks(most: f64, wanted: usize) -> Vec<f64> {
    ticks_between(0.0, most, wanted)
}

/// Round values that enclose `least..most`.
pub(super) fn ticks_between(least: f64, most: f64, wanted: usize) -> Vec<f64> {
    let least = if least.is_finite() { least } else { 0.0 };
    let most = if most.is_finite() && most > least { most } else { least + 1.0 };
    let rough = (most - least) / wanted.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .map(|round| round * power)
        .into_iter()
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power);
    let first = (least / step).floor();
    let end = (most / step - 1e-9).ceil();
    let count = (end - first).max(1.0) as usize;
    (0..=count).map(|n| (first + n as f64) * step).collect()
}

/// The ends of an axis with these ticks.
pub(super) fn ends(ticks: &[f64]) -> std::ops::Range<f64> {
    match (ticks.first(), ticks.last()) {
        (Some(&first), Some(&last)) if last > first => first..last,
        _ => 0.0..1.0,
    }
}

/// How a tick of an axis of amounts reads: no more decimals than the steps need.
pub(super) fn amount(tick: f64, ticks: &[f64]) -> String {
    let step = match ticks {
        [first, second, ..] => second - first,
        _ => 1.0,
    };
    let most = ends(ticks).end;
    match step {
        _ if most >= 1e5 && step >= 1e3 => format!("{}k", amount(tick / 1e3, &[0.0, step / 1e3])),
        s if s >= 0.999 && (s - s.round()).abs() < 1e-6 => Scale::whole([tick]).show(tick),
        s if s >= 0.0999 => format!("{tick:.1}"),
        s if s >= 0.00999 => format!("{tick:.2}"),
        _ => format!("{tick:.3}"),
    }
}

/// Steps of a time axis in hours: minutes, hours, days, weeks.
const TIME_STEPS: [f64; 20] = [
    1.0 / 60.0,
    1.0 / 12.0,
    1.0 / 6.0,
    0.25,
    0.5,
    1.0,
    2.0,
    3.0,
    4.0,
    6.0,
    12.0,
    24.0,
    48.0,
    96.0,
    168.0,
    336.0,
    672.0,
    1344.0,
    4032.0,
    8064.0,
];

/// Ticks within a span of hours, at most `most` of them, on whole steps of time.
pub(super) fn time_ticks(from: f64, until: f64, most: usize) -> Vec<f64> {
    let span = until - from;
    let fits = |step: &&f64| span / **step <= most as f64;
    let step = TIME_STEPS.iter().find(fits).copied().unwrap_or_else(|| span.max(1.0));
    let first = (from / step - 1e-9).ceil();
    let count = ((until / step + 1e-9).floor() - first).max(0.0) as usize;
    (0..=count.min(most + 1)).map(|n| (first + n as f64) * step).collect()
}

/// How an instant reads: `day 7`, `12d 6h`, `12d 6:30`.
pub(super) fn instant(hours: f64, ticks: &[f64]) -> String {
    let step = match ticks {
        [first, second, ..] => second - first,
        _ => 24.0,
    };
    let minutes = (hours * 60.0).round() as i64;
    let (days, hour, minute) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    match step {
        s if s >= 23.9 => format!("day {days}"),
        s if s >= 0.99 => format!("{days}d {hour}h"),
        _ => format!("{days}d {hour}:{minute:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        assert_eq!(ticks(870.0, 4), [0.0, 250.0, 500.0, 750.0, 1000.0]);
        assert_eq!(ticks(0.0, 2), [0.0, 0.5, 1.0]);
        assert_eq!(ticks(f64::NAN, 2), [0.0, 0.5, 1.0]);
        assert_eq!(
            ticks_between(83_900.0, 97_800.0, 4),
            [80_000.0, 85_000.0, 90_000.0, 95_000.0, 100_000.0]
        );
    }

    #[test]
    fn times_tick_on_whole_days_or_hours() {
        assert_eq!(
            time_ticks(0.0, 1248.0, 8),
            (0..8).map(|w| f64::from(w) * 168.0).collect::<Vec<_>>()
        );
        assert_eq!(time_ticks(293.5, 301.5, 4), [294.0, 296.0, 298.0, 300.0]);
        assert!(!time_ticks(0.0, 0.0, 4).is_empty());
    }

    #[test]
    fn instants_read_by_their_step() {
        assert_eq!(instant(168.0, &[0.0, 168.0]), "day 7");
        assert_eq!(instant(294.0, &[294.0, 296.0]), "12d 6h");
        assert_eq!(instant(294.5, &[294.0, 294.5]), "12d 6:30");
    }
}
