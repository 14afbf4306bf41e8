//! A picture: its two renditions, its words for those who cannot see it, and text within it.

use super::ink::{Ink, recolour};
use plotters::{
    coord::Shift,
    prelude::{DrawingArea, IntoDrawingArea, IntoFont, SVGBackend, Text, TextStyle},
    style::{
        Color,
        text_anchor::{HPos, Pos, VPos},
    },
};

/// Size of all text in a picture, in units of the picture. The style sheet says the same; a wide
/// picture is shown at 80 % or more of its size, so this is 11 px on the screen at least.
const TEXT_SIZE: f64 = 14.0;
/// The library divides sizes by this when it writes SVG.
const SIZE_DIVISOR: f64 = 1.24;
/// Mean width of a letter as a share of the text size, on the safe side for a sans-serif face.
const LETTER_WIDTH: f64 = 0.6;

/// Where pictures are drawn.
pub(super) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// The outcome of drawing.
pub(super) type Drawn = Result<
    (),
    plotters::drawing::DrawingAreaErrorKind<
        <SVGBackend<'static> as plotters::prelude::DrawingBackend>::ErrorType,
    >,
>;

/// For which screen a picture is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Screen {
    Wide,
    Narrow,
}

impl Screen {
    /// Width of the picture.
    pub(super) const fn width(self) -> u32 {
        match self {
            Self::Wide => 920,
            Self::Narrow => 360,
        }
    }

    const fn class(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
        }
    }
}

/// A picture in words.
#[derive(Clone, Debug)]
pub(in super::super) struct Words {
    /// Unique on the page, letters and dashes only.
    pub(in super::super) id: String,
    /// What the picture is.
    pub(in super::super) title: String,
    /// What there is to see in it.
    pub(in super::super) desc: String,
}

/// Both renditions of a picture as HTML.
pub(super) fn picture(
    words: &Words,
    height: impl Fn(Screen) -> u32,
    draw: impl Fn(&Canvas<'_>, Screen) -> Drawn,
) -> String {
    let rendition = |screen| rendition(words, screen, height(screen), &draw);
    [Screen::Wide, Screen::Narrow].map(rendition).concat()
}

fn rendition(
    words: &Words,
    screen: Screen,
    height: u32,
    draw: &impl Fn(&Canvas<'_>, Screen) -> Drawn,
) -> String {
    let mut svg = String::new();
    let canvas = SVGBackend::with_string(&mut svg, (screen.width(), height)).into_drawing_area();
    let drawn = draw(&canvas, screen).and_then(|()| canvas.present());
    drop(canvas);
    match (drawn, svg.split_once('>')) {
        (Ok(()), Some((_, body))) => opening(words, screen, height) + &tidied(body),
        _ => format!("<p class=\"{}\">This picture could not be drawn.</p>", screen.class()),
    }
}

fn opening(words: &Words, screen: Screen, height: u32) -> String {
    let (class, width) = (screen.class(), screen.width());
    let id = format!("{}-{class}", words.id);
    format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-labelledby=\"{id}-t\" aria-describedby=\"{id}-d\"><title id=\"{id}-t\">{}</title>\
         <desc id=\"{id}-d\">{}</desc>",
        escaped(&words.title),
        escaped(&words.desc),
    )
}

/// Face and size of text come from the style sheet; opaque is the default.
fn tidied(body: &str) -> String {
    let size = format!(" font-size=\"{}\"", TEXT_SIZE * SIZE_DIVISOR / SIZE_DIVISOR);
    recolour(body)
        .replace(" font-family=\"sans-serif\"", "")
        .replace(&size, "")
        .replace(" opacity=\"1\"", "")
        .replace(" \"/>\n", "\"/>\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Where text stands relative to its anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Left,
    Centre,
    Right,
}

/// The one style of text, in an ink, vertically centred on its anchor.
pub(super) fn text_style(ink: Ink, anchor: Anchor) -> TextStyle<'static> {
    let horizontal = match anchor {
        Anchor::Left => HPos::Left,
        Anchor::Centre => HPos::Center,
        Anchor::Right => HPos::Right,
    };
    ("sans-serif", TEXT_SIZE * SIZE_DIVISOR)
        .into_font()
        .color(&ink.stand_in().to_rgba())
        .pos(Pos::new(horizontal, VPos::Center))
}

/// Writes text with its anchor at a place of the canvas.
pub(super) fn write(
    canvas: &Canvas<'_>,
    text: &str,
    at: (i32, i32),
    ink: Ink,
    anchor: Anchor,
) -> Drawn {
    canvas.draw(&Text::new(text.to_owned(), at, text_style(ink, anchor)))
}

/// Estimated width of a text.
pub(super) fn text_width(text: &str) -> i32 {
    (text.chars().count() as f64 * TEXT_SIZE * LETTER_WIDTH).ceil() as i32
}

/// A text that fits the width, cut with an ellipsis if it must be.
pub(super) fn fitted(text: &str, width: i32) -> String {
    if text_width(text) <= width {
        return text.to_owned();
    }
    let room = (f64::from(width) / (TEXT_SIZE * LETTER_WIDTH)).floor() as usize;
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}
