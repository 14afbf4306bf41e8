//! What waiting costs and what nodes cost: each policy a point, the Pareto front as a stair.

use super::{
    super::{
        PolicyReport, Report,
        columns::{Kappa, Role, role},
        reading,
    },
    axes::{Axes, Chart, guide},
    ink::Ink,
    labels::{self, Rect},
    legend::marker,
    picture::{Anchor, Canvas, Drawn, Screen, Words, picture, text_width, write},
    scale,
    waits::look,
};
use plotters::{
    prelude::{DrawingAreaErrorKind, PathElement},
    style::Color,
};

/// The picture of all policies that ran to their end.
pub(in super::super) fn frontier(words: &Words, report: &Report) -> String {
    let policies: Vec<&PolicyReport> = report
        .policies
        .iter()
        .filter(|p| role(p) != Role::Partial && point(p).0.is_finite() && point(p).1.is_finite())
        .collect();
    picture(
        words,
        |screen| if screen == Screen::Wide { 480 } else { 520 },
        |canvas, screen| draw(canvas, screen, report, &policies),
    )
}

fn point(policy: &PolicyReport) -> (f64, f64) {
    (policy.node_hours, policy.waiting_gpu_hours)
}

/// The points that no other point beats in both figures, from few node-hours to many.
fn pareto(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut front: Vec<(f64, f64)> = Vec::new();
    for point in points {
        if front.last().is_none_or(|last| point.1 < last.1) {
            front.push(point);
        }
    }
    front
}

fn draw(canvas: &Canvas<'_>, screen: Screen, report: &Report, policies: &[&PolicyReport]) -> Drawn {
    write(canvas, "waiting GPU-hours", (4, 10), Ink::Muted, Anchor::Left)?;
    let (_, rest) = canvas.split_vertically(22);
    let height = rest.dim_in_pixel().1 as i32;
    let (plot, foot) = rest.split_vertically(height - 24);
    let middle = screen.width() as i32 / 2;
    write(
        &foot,
        "node-hours (axis does not start at zero)",
        (middle, 8),
        Ink::Muted,
        Anchor::Centre,
    )?;
    let reach =
        |of: fn(f64, f64) -> f64, start: f64| policies.iter().map(|p| p.node_hours).fold(start, of);
    let (least, most) = (reach(f64::min, f64::MAX).min(reach(f64::max, 0.0)), reach(f64::max, 0.0));
    let room = ((most - least) * 0.04).max(most * 0.002);
    let wanted = if screen == Screen::Wide { 7 } else { 3 };
    let x_ticks = scale::ticks_between((least - room).max(0.0), most + room, wanted);
    let y_most = policies.iter().map(|p| p.waiting_gpu_hours).fold(0.0, f64::max);
    let y_ticks = scale::ticks(y_most * 1.04, 5);
    let x_label = |tick: f64| scale::amount(tick, &x_ticks);
    let y_label = |tick: f64| scale::amount(tick, &y_ticks);
    let axes = Axes {
        x: scale::ends(&x_ticks),
        x_ticks: x_ticks.clone(),
        x_label: &x_label,
        y_ticks: y_ticks.clone(),
        y_label: &y_label,
    };
    let chart = axes.chart(&plot)?;
    let ends = (scale::ends(&x_ticks).end, scale::ends(&y_ticks).end);
    let front = stair(&chart, policies, ends)?;
    let mut lines: Vec<[(i32, i32); 2]> = front.windows(2).map(|w| [w[0], w[1]]).collect();
    lines.extend(equal_cost(&chart, report, ends)?);
    points(&plot, &chart, (report, policies), &lines)
}

/// Draws the Pareto front: everything right of or above this stair is beaten by a policy on it. Its
/// corners, in the pixels of the picture.
fn stair(
    chart: &Chart<'_, '_>,
    policies: &[&PolicyReport],
    ends: (f64, f64),
) -> Result<Vec<(i32, i32)>, DrawingAreaErrorKind<std::io::Error>> {
    let competitors = policies.iter().filter(|p| role(p) == Role::Competitor);
    let front = pareto(competitors.map(|p| point(p)).collect());
    let (Some(first), Some(last)) = (front.first(), front.last()) else {
        return Ok(Vec::new());
    };
    let mut corners = vec![(first.0, ends.1)];
    for pair in front.windows(2) {
        corners.extend([pair[0], (pair[1].0, pair[0].1)]);
    }
    corners.extend([*last, (ends.0, last.1)]);
    let pixels = corners.iter().map(|corner| chart.backend_coord(corner)).collect();
    let style = Ink::Usable.stand_in().stroke_width(2);
    chart.plotting_area().draw(&PathElement::new(corners, style))?;
    Ok(pixels)
}

/// Draws the line along which every point costs as much as the cheapest policy at kappa 20; only
/// where a node-hour has one price and a node one size. Its ends, in the pixels of the picture.
fn equal_cost(
    chart: &Chart<'_, '_>,
    report: &Report,
    ends: (f64, f64),
) -> Result<Option<[(i32, i32); 2]>, DrawingAreaErrorKind<std::io::Error>> {
    let [pool] = report.settings.pools.as_slice() else { return Ok(None) };
    let best = reading::cheapest(report, Kappa::K20);
    let (Some(best), true) = (best, pool.price > 0.0 && pool.gpus_per_node > 0) else {
        return Ok(None);
    };
    let (x, y) = point(best);
    let slope = 20.0 / f64::from(pool.gpus_per_node) / pool.price;
    let start = chart.x_range().start;
    let x_at = |height: f64| x + (y - height) * slope;
    let y_at = |width: f64| y + (x - width) / slope;
    let from = if x_at(ends.1) >= start { (x_at(ends.1), ends.1) } else { (start, y_at(start)) };
    let to = if x_at(0.0) <= ends.0 { (x_at(0.0), 0.0) } else { (ends.0, y_at(ends.0)) };
    guide(chart, from, to)?;
    Ok(Some([chart.backend_coord(&from), chart.backend_coord(&to)]))
}

/// Small rectangles along a line, for names to keep off it.
fn along(from: (i32, i32), to: (i32, i32), top: i32) -> Vec<Rect> {
    let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()) / 6 + 1;
    (0..=steps)
        .map(|n| {
            let x = from.0 + (to.0 - from.0) * n / steps;
            let y = from.1 + (to.1 - from.1) * n / steps - top;
            Rect { left: x - 2, top: y - 2, right: x + 2, bottom: y + 2 }
        })
        .collect()
}

fn points(
    canvas: &Canvas<'_>,
    chart: &Chart<'_, '_>,
    (report, policies): (&Report, &[&PolicyReport]),
    lines: &[[(i32, i32); 2]],
) -> Drawn {
    let top = canvas.get_pixel_range().1.start;
    let on_canvas = |p: &&PolicyReport| {
        let (x, y) = chart.backend_coord(&point(p));
        (x, y - top)
    };
    let at: Vec<(i32, i32)> = policies.iter().map(on_canvas).collect();
    let widths: Vec<i32> = policies.iter().map(|p| text_width(&p.name)).collect();
    let (x, y) = chart.plotting_area().get_pixel_range();
    let frame = Rect { left: x.start, top: y.start - top, right: x.end + 20, bottom: y.end - top };
    let obstacles: Vec<Rect> = lines.iter().flat_map(|&[from, to]| along(from, to, top)).collect();
    for ((policy, point), place) in
        policies.iter().zip(&at).zip(labels::places(&at, &widths, &obstacles, frame))
    {
        if let Some(place) = place {
            label(canvas, &policy.name, *point, place)?;
        }
        marker(canvas, look(report, &policy.name), *point, 5)?;
    }
    Ok(())
}

fn label(canvas: &Canvas<'_>, name: &str, point: (i32, i32), place: Rect) -> Drawn {
    let middle = i32::midpoint(place.top, place.bottom);
    let near = (point.0.clamp(place.left, place.right), point.1.clamp(place.top, place.bottom));
    let (dx, dy) = (near.0 - point.0, near.1 - point.1);
    if dx * dx + dy * dy > 15 * 15 {
        let style = Ink::Muted.stand_in().stroke_width(1);
        canvas.draw(&PathElement::new(vec![point, near], style))?;
    }
    write(canvas, name, (place.left, middle), Ink::Text, Anchor::Left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_holds_what_nothing_beats() {
        let points = vec![(3.0, 1.0), (1.0, 5.0), (2.0, 6.0), (2.0, 2.0), (4.0, 1.0)];
        assert_eq!(pareto(points), [(1.0, 5.0), (2.0, 2.0), (3.0, 1.0)]);
        assert_eq!(pareto(Vec::new()), []);
        assert_eq!(pareto(vec![(1.0, 1.0); 3]), [(1.0, 1.0)]);
    }
}
