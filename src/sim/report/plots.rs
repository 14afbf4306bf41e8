//! The pictures of the page as inline SVG.
//!
//! Each picture is drawn twice, for a wide and for a narrow screen, because text that shrinks with its
//! picture cannot be read on a telephone; the style sheet shows one of the two. Colours are names of
//! CSS variables, so that a picture follows the page into dark mode.

mod axes;
mod causes;
mod frontier;
mod ink;
mod labels;
mod legend;
mod picture;
mod scale;
mod timeline;
mod waits;

pub(super) use causes::{causes, causes_present};
pub(super) use frontier::frontier;
pub(super) use picture::Words;
pub(super) use timeline::{Timeline, Window, worst_window};
pub(super) use waits::waits;
