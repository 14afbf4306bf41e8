//! A chart with numbered axes and a quiet grid, the frame of every picture that has axes.

use super::{
    ink::Ink,
    picture::{Anchor, Canvas, Drawn, text_style},
    scale,
};
use plotters::{
    coord::ranged1d::{DefaultFormatting, KeyPointHint},
    prelude::{
        AreaSeries, Cartesian2d, ChartBuilder, ChartContext, DrawingAreaErrorKind, LineSeries,
        PathElement, Ranged, SVGBackend,
    },
    style::{
        Color, TRANSPARENT,
        text_anchor::{HPos, Pos, VPos},
    },
};
use std::ops::Range;

/// A chart with linear axes.
pub(super) type Chart<'a, 'b> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<LinearAxis, LinearAxis>>;

/// An axis that numbers exactly the ticks it was given.
pub(super) struct LinearAxis {
    ends: Range<f64>,
    ticks: Vec<f64>,
}

impl Ranged for LinearAxis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.ends.start) / (self.ends.end - self.ends.start);
        let pixels = f64::from(limit.1 - limit.0) * share;
        limit.0 + if pixels.is_finite() { pixels.round() as i32 } else { 0 }
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.ends.clone()
    }
}

/// Ends, ticks and labels of both axes.
pub(super) struct Axes<'f> {
    pub(super) x: Range<f64>,
    pub(super) x_ticks: Vec<f64>,
    pub(super) x_label: &'f dyn Fn(f64) -> String,
    pub(super) y_ticks: Vec<f64>,
    pub(super) y_label: &'f dyn Fn(f64) -> String,
}

/// Space left of a chart for the numbers of its axis.
pub(super) const LEFT: u32 = 58;
/// Space below a chart for the numbers of its axis.
const BELOW: u32 = 26;

impl Axes<'_> {
    /// Draws the axes and gives the chart to draw into.
    pub(super) fn chart<'a, 'b>(
        &self,
        canvas: &'a Canvas<'b>,
    ) -> Result<Chart<'a, 'b>, DrawingAreaErrorKind<std::io::Error>> {
        let x = LinearAxis { ends: self.x.clone(), ticks: self.x_ticks.clone() };
        let y = LinearAxis { ends: scale::ends(&self.y_ticks), ticks: self.y_ticks.clone() };
        let mut chart = ChartBuilder::on(canvas)
            .margin_top(8)
            .margin_right(24)
            .x_label_area_size(BELOW)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(x, y)?;
        let below = text_style(Ink::Muted, Anchor::Centre).pos(Pos::new(HPos::Center, VPos::Top));
        chart
            .configure_mesh()
            .x_labels(100)
            .y_labels(100)
            .light_line_style(TRANSPARENT)
            .bold_line_style(Ink::Grid.stand_in())
            .axis_style(Ink::Muted.stand_in())
            .x_label_style(below)
            .y_label_style(text_style(Ink::Muted, Anchor::Right))
            .x_label_formatter(&|v| (self.x_label)(*v))
            .y_label_formatter(&|v| (self.y_label)(*v))
            .draw()?;
        Ok(chart)
    }
}

/// Fills from zero up to the points.
pub(super) fn fill(chart: &mut Chart<'_, '_>, points: &[(f64, f64)], ink: Ink) -> Drawn {
    let colour = ink.stand_in().filled();
    chart.draw_series(AreaSeries::new(points.iter().copied(), 0.0, colour.color)).map(|_| ())
}

/// Connects the points.
pub(super) fn line(
    chart: &mut Chart<'_, '_>,
    points: &[(f64, f64)],
    ink: Ink,
    width: u32,
) -> Drawn {
    let style = ink.stand_in().stroke_width(width);
    chart.draw_series(LineSeries::new(points.iter().copied(), style)).map(|_| ())
}

/// Connects two points of the chart, beneath everything that follows.
pub(super) fn guide(chart: &Chart<'_, '_>, from: (f64, f64), to: (f64, f64)) -> Drawn {
    let style = Ink::Guide.stand_in().stroke_width(1);
    chart.plotting_area().draw(&PathElement::new(vec![from, to], style))
}
