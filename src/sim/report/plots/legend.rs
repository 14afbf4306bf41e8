//! What the inks of a picture mean, written into the picture itself; and the markers of policies.

use super::{
    ink::{Ink, Look},
    picture::{Anchor, Canvas, Drawn, fitted, text_width, write},
};
use plotters::{
    prelude::{Circle, PathElement, Polygon, Rectangle},
    style::Color,
};

/// Height of a row.
pub(super) const ROW: i32 = 22;
const SWATCH: i32 = 34;
const GAP: i32 = 18;

/// How an entry is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Swatch {
    Line(Ink),
    Fill(Ink),
    Policy(Look),
}

/// A swatch and what it stands for.
pub(super) struct Entry {
    pub(super) swatch: Swatch,
    pub(super) text: String,
}

/// Where each entry goes: offset from the left, row. The last row plus one is the height in rows.
fn places(entries: &[Entry], width: i32) -> Vec<(i32, i32)> {
    let widths: Vec<i32> =
        entries.iter().map(|e| SWATCH + text_width(&e.text).min(width - SWATCH) + GAP).collect();
    let is_long = widths.iter().sum::<i32>() > 2 * width;
    // Many entries stand in columns of equal width, few simply follow one another.
    let cell = if is_long { widths.iter().copied().max().unwrap_or(width) } else { 0 };
    let columns = if cell > 0 { (width / cell).max(1) } else { i32::MAX };
    let (mut left, mut row, mut column) = (0, 0, 0);
    let mut places = Vec::new();
    for own in widths {
        if (left > 0 && left + own - GAP > width) || column >= columns {
            (left, row, column) = (0, row + 1, 0);
        }
        places.push((left, row));
        left += own.max(cell);
        column += 1;
    }
    places
}

/// Height of the legend at this width.
pub(super) fn height(entries: &[Entry], width: i32) -> i32 {
    places(entries, width).last().map_or(0, |(_, row)| (row + 1) * ROW)
}

/// Draws the legend with its upper left corner at a place of the canvas.
pub(super) fn draw(canvas: &Canvas<'_>, entries: &[Entry], at: (i32, i32), width: i32) -> Drawn {
    for (entry, (left, row)) in entries.iter().zip(places(entries, width)) {
        let (x, y) = (at.0 + left, at.1 + row * ROW + ROW / 2);
        swatch(canvas, entry.swatch, (x, y))?;
        let text = fitted(&entry.text, width - SWATCH);
        write(canvas, &text, (x + SWATCH, y), Ink::Text, Anchor::Left)?;
    }
    Ok(())
}

fn swatch(canvas: &Canvas<'_>, swatch: Swatch, (x, y): (i32, i32)) -> Drawn {
    let stroke = |ink: Ink, width| {
        let ends = vec![(x, y), (x + 27, y)];
        canvas.draw(&PathElement::new(ends, ink.stand_in().stroke_width(width)))
    };
    match swatch {
        Swatch::Line(ink) => stroke(ink, 2),
        Swatch::Fill(ink) => {
            let corners = [(x, y - 7), (x + 27, y + 7)];
            canvas.draw(&Rectangle::new(corners, ink.stand_in().filled()))
        }
        Swatch::Policy(look) => {
            stroke(Ink::Line(look), 2)?;
            marker(canvas, look, (x + 13, y), 5)
        }
    }
}

/// The marker of a policy: disc, square, triangle, diamond or cross.
pub(super) fn marker(canvas: &Canvas<'_>, look: Look, (x, y): (i32, i32), r: i32) -> Drawn {
    let colour = Ink::Line(look).stand_in();
    let polygon = |corners: Vec<(i32, i32)>| canvas.draw(&Polygon::new(corners, colour.filled()));
    match look.marker {
        0 => canvas.draw(&Circle::new((x, y), r, colour.filled())),
        1 => polygon(vec![(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]),
        2 => polygon(vec![(x, y - r - 1), (x + r + 1, y + r), (x - r - 1, y + r)]),
        3 => polygon(vec![(x, y - r - 2), (x + r + 2, y), (x, y + r + 2), (x - r - 2, y)]),
        _ => {
            let bar =
                |from, to| canvas.draw(&PathElement::new(vec![from, to], colour.stroke_width(3)));
            bar((x - r, y - r), (x + r, y + r))?;
            bar((x - r, y + r), (x + r, y - r))
        }
    }
}
