//! What is asked, in pieces of time.

use super::{query::Part, source::Source};
use crate::time::{Millis, Timestamp};

/// A span of time: after `from`, up to `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// Not in it.
    pub from: Timestamp,
    /// In it.
    pub until: Timestamp,
}

impl Window {
    /// Its length.
    pub fn span(self) -> Millis {
        self.until - self.from
    }

    /// Pieces of at most `step`, cut at its multiples: other windows over the same time have the same pieces.
    pub fn pieces(self, step: Millis) -> Vec<Self> {
        let step = step.0.max(1000);
        let mut pieces = Vec::new();
        let mut from = self.from;
        while from < self.until {
            let until = self.until.min(Timestamp((from.0.div_euclid(step) + 1) * step));
            pieces.push(Self { from, until });
            from = until;
        }
        pieces
    }
}

/// One query: a table over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// What.
    pub part: Part,
    /// When.
    pub window: Window,
}

impl Question {
    /// Windows shorter than this are not cut further.
    const SHORTEST: Millis = Millis::from_mins(5);

    /// PromQL, to be evaluated at the end of the window.
    pub fn text(&self, source: &Source) -> String {
        self.part.text(source, (self.window.span().0 / 1000).max(1))
    }

    /// The same in two pieces, if it can be cut.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let half = Millis(self.window.span().0 / 2000 * 1000);
        let middle = self.window.until - half;
        (half >= Self::SHORTEST).then(|| {
            let Window { from, until } = self.window;
            [Window { from, until: middle }, Window { from: middle, until }]
                .map(|window| Self { window, ..*self })
        })
    }
}

/// All questions about a window, oldest first.
pub fn questions(source: &Source, window: Window, piece: Millis) -> Vec<Question> {
    let (often, daily) = Part::of(source.metric);
    let of = |parts: &[Part], piece: Millis| {
        let windows = window.pieces(piece).into_iter();
        let parts = parts.to_vec();
        windows.flat_map(move |window| {
            parts.clone().into_iter().map(move |part| Question { part, window })
        })
    };
    let mut all: Vec<Question> =
        of(&often, piece).chain(of(&daily, Millis::from_hours(24))).collect();
    all.sort_by_key(|question| (question.window.until, question.part));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: i64, until: i64) -> Window {
        Window { from: Timestamp::from_secs(from), until: Timestamp::from_secs(until) }
    }

    #[test]
    fn pieces_touch_and_cover_the_window() {
        let pieces = window(100, 100_000).pieces(Millis::from_hours(6));
        assert_eq!(pieces.first().map(|piece| piece.from), Some(Timestamp::from_secs(100)));
        assert_eq!(pieces.last().map(|piece| piece.until), Some(Timestamp::from_secs(100_000)));
        assert!(pieces.windows(2).all(|pair| pair[0].until == pair[1].from));
        assert!(pieces.iter().all(|piece| piece.span() <= Millis::from_hours(6)));
        let later = window(50_000, 120_000).pieces(Millis::from_hours(6));
        assert!(later.contains(&pieces[3]), "the same time is asked for in the same pieces");
    }

    #[test]
    fn halves_are_the_whole_and_very_short_windows_have_none() {
        let question = Question { part: Part::Created, window: window(0, 21_601) };
        let [first, second] = question.halves().unwrap();
        assert_eq!(first.window.until, second.window.from);
        assert_eq!((first.window.from, second.window.until), (Timestamp(0), question.window.until));
        assert_eq!(first.window.span().0 % 1000, 0);
        let short = Question { window: window(0, 599), ..question };
        assert_eq!(short.halves(), None);
    }
}
