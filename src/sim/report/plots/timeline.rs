//! Demand, usable, warming and waiting GPUs over time: two panels, one above the other.
//!
//! However long the run, a picture has at most [`MOST_POINTS`] points: means over equal stretches of
//! time, but the highest value for waiting, whose short peaks are what one looks for.

use super::{
    super::PolicyPictures,
    axes::{Axes, fill, line},
    ink::Ink,
    legend::{self, Entry, Swatch},
    picture::{Anchor, Canvas, Drawn, Screen, Words, picture, write},
    scale,
};
use crate::world::Series;
use std::ops::Range;

/// Points across a picture; twice as many cannot be told apart and double the size of the page.
const MOST_POINTS: usize = 300;
/// Below this many, values are drawn as steps, as they were measured.
const FEW_POINTS: usize = 100;
/// Width of the zoom in hours.
const ZOOM_HOURS: f64 = 8.0;

/// A stretch of bins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Window(pub(in super::super) Range<usize>);

impl Window {
    /// Everything that any of the policies has.
    pub(in super::super) fn whole(pictures: &[PolicyPictures]) -> Self {
        Self(0..pictures.iter().map(|p| bins(&p.series)).max().unwrap_or(0))
    }
}

/// The stretch of a few hours with the most waiting; `None` if there is none or nothing waits.
pub(in super::super) fn worst_window(series: &Series) -> Option<Window> {
    let bins = bins(series);
    let hours = series.bin.as_hours();
    if bins < 2 || hours <= 0.0 {
        return None;
    }
    let length = ((ZOOM_HOURS / hours).round() as usize).clamp(1, bins);
    let waiting = |bin: usize| finite(series.waiting_gpus.get(bin));
    let mut sum: f64 = (0..length).map(waiting).sum();
    let mut best = (sum, 0);
    for first in 1..=bins - length {
        sum += waiting(first + length - 1) - waiting(first - 1);
        if sum > best.0 + 1e-9 {
            best = (sum, first);
        }
    }
    (best.0 > 1e-9).then(|| Window(best.1..best.1 + length))
}

fn bins(series: &Series) -> usize {
    series.demand_gpus.len().max(series.usable_gpus.len())
}

fn finite(value: Option<&f32>) -> f64 {
    value.copied().filter(|v| v.is_finite()).map_or(0.0, f64::from)
}

/// Pictures of several policies over the same stretch of time, on the same scales.
pub(in super::super) struct Timeline {
    window: Window,
    gpus: Vec<f64>,
    waiting: Vec<f64>,
}

impl Timeline {
    /// Scales that fit all the policies.
    pub(in super::super) fn new(pictures: &[PolicyPictures], window: Window) -> Self {
        let points: Vec<Points> = pictures.iter().map(|p| Points::of(&p.series, &window)).collect();
        let most = |of: fn(&Points) -> &[(f64, f64)]| {
            points.iter().flat_map(of).fold(0.0, |most: f64, (_, value)| most.max(*value))
        };
        let capacity = most(|p| &p.warming).max(most(|p| &p.demand));
        Self {
            window,
            gpus: scale::ticks(capacity, 5),
            waiting: scale::ticks(most(|p| &p.waiting), 3),
        }
    }

    /// Time that one point of the picture stands for, in seconds.
    pub(in super::super) fn seconds_a_point(&self, series: &Series) -> f64 {
        series.bin.as_secs_f64() * stride(self.window.0.len()) as f64
    }

    /// The picture of one policy.
    pub(in super::super) fn draw(&self, words: &Words, series: &Series) -> String {
        let points = Points::of(series, &self.window);
        picture(words, height, |canvas, screen| self.panels(canvas, screen, &points, series))
    }

    fn panels(
        &self,
        canvas: &Canvas<'_>,
        screen: Screen,
        points: &Points,
        series: &Series,
    ) -> Drawn {
        let width = screen.width() as i32 - 8;
        let (upper, lower) = canvas.split_vertically(height(screen) as i32 - 146);
        let entries = entries();
        let used = legend::height(&entries, width);
        legend::draw(&upper, &entries, (4, 0), width)?;
        write(&upper, "GPUs", (4, used + 12), Ink::Muted, Anchor::Left)?;
        let (_, upper) = upper.split_vertically(used + 20);
        let x = self.hours(series);
        let most = if screen == Screen::Wide { 8 } else { 4 };
        let x_ticks = scale::time_ticks(x.start, x.end, most);
        let x_label = |hours: f64| scale::instant(hours, &x_ticks);
        let panel = |y_ticks: &[f64],
                     canvas: &Canvas<'_>,
                     draw: &dyn Fn(&mut super::axes::Chart<'_, '_>) -> Drawn| {
            let y_label = |tick: f64| scale::amount(tick, y_ticks);
            let axes = Axes {
                x: x.clone(),
                x_ticks: x_ticks.clone(),
                x_label: &x_label,
                y_ticks: y_ticks.to_vec(),
                y_label: &y_label,
            };
            draw(&mut axes.chart(canvas)?)
        };
        panel(&self.gpus, &upper, &|chart| {
            fill(chart, &points.warming, Ink::WarmingFill)?;
            fill(chart, &points.usable, Ink::UsableFill)?;
            line(chart, &points.usable, Ink::Usable, 1)?;
            line(chart, &points.demand, Ink::Demand, 2)
        })?;
        write(&lower, "GPUs that waiting jobs ask for", (4, 10), Ink::Muted, Anchor::Left)?;
        let (_, lower) = lower.split_vertically(20);
        panel(&self.waiting, &lower, &|chart| {
            fill(chart, &points.waiting, Ink::WaitingFill)?;
            line(chart, &points.waiting, Ink::Waiting, 2)
        })
    }

    fn hours(&self, series: &Series) -> Range<f64> {
        let bin = series.bin.as_hours();
        let ends = self.window.0.start as f64 * bin..self.window.0.end as f64 * bin;
        if ends.end > ends.start { ends } else { 0.0..1.0 }
    }
}

fn height(screen: Screen) -> u32 {
    match screen {
        Screen::Wide => 420,
        Screen::Narrow => 450,
    }
}

fn entries() -> [Entry; 4] {
    [
        (Swatch::Line(Ink::Demand), "demand (running + waiting)"),
        (Swatch::Fill(Ink::UsableFill), "usable GPUs"),
        (Swatch::Fill(Ink::WarmingFill), "on their way"),
        (Swatch::Fill(Ink::WaitingFill), "waiting"),
    ]
    .map(|(swatch, text)| Entry { swatch, text: text.to_owned() })
}

fn stride(bins: usize) -> usize {
    bins.div_ceil(MOST_POINTS).max(1)
}

/// What is drawn, as hours and GPUs. `warming` stands on top of `usable`.
#[derive(Default)]
struct Points {
    demand: Vec<(f64, f64)>,
    usable: Vec<(f64, f64)>,
    warming: Vec<(f64, f64)>,
    waiting: Vec<(f64, f64)>,
}

impl Points {
    fn of(series: &Series, window: &Window) -> Self {
        let mut points = Self::default();
        let end = window.0.end.min(bins(series));
        let stride = stride(window.0.len());
        let are_few = window.0.len() / stride <= FEW_POINTS;
        for first in (window.0.start..end).step_by(stride) {
            let bins = first..(first + stride).min(end);
            let mean = |values: &[f32]| {
                bins.clone().map(|bin| finite(values.get(bin))).sum::<f64>() / bins.len() as f64
            };
            let most = |values: &[f32]| {
                bins.clone().map(|bin| finite(values.get(bin))).fold(0.0, f64::max)
            };
            let hours = [bins.start, bins.end].map(|bin| bin as f64 * series.bin.as_hours());
            let usable = mean(&series.usable_gpus);
            let mut push = |to: fn(&mut Self) -> &mut Vec<(f64, f64)>, value: f64| {
                let to = to(&mut points);
                if are_few {
                    to.extend([(hours[0], value), (hours[1], value)]);
                } else {
                    to.push((f64::midpoint(hours[0], hours[1]), value));
                }
            };
            push(|p| &mut p.demand, mean(&series.demand_gpus));
            push(|p| &mut p.usable, usable);
            push(|p| &mut p.warming, usable + mean(&series.warming_gpus));
            push(|p| &mut p.waiting, most(&series.waiting_gpus));
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Millis;

    fn waiting(values: &[f32], bin: Millis) -> Series {
        Series {
            bin,
            demand_gpus: vec![1.0; values.len()],
            waiting_gpus: values.to_vec(),
            ..Series::default()
        }
    }

    #[test]
    fn the_worst_window_holds_the_most_waiting() {
        let mut values = vec![0.0; 100];
        values[40] = 5.0;
        values[44] = 5.0;
        values[90] = 9.0;
        let window = worst_window(&waiting(&values, Millis::from_hours(1))).unwrap();
        assert_eq!(window, Window(37..45));
    }

    #[test]
    fn without_waiting_there_is_no_worst_window() {
        assert_eq!(worst_window(&waiting(&[0.0; 50], Millis::from_hours(1))), None);
        assert_eq!(worst_window(&Series::default()), None);
    }

    #[test]
    fn a_long_run_keeps_its_peaks_of_waiting() {
        let mut values = vec![0.0; 100_000];
        values[77_777] = 13.0;
        let series = waiting(&values, Millis::from_mins(1));
        let points = Points::of(&series, &Window(0..100_000));
        assert!(points.waiting.len() <= MOST_POINTS);
        assert!(points.waiting.iter().any(|(_, gpus)| (*gpus - 13.0).abs() < 1e-6));
    }
}
