//! What is asked, in pieces of time.

use super::{facts::Facts, query::Part, source::Source};
use crate::time::{Millis, Timestamp};
use std::{collections::BTreeMap, sync::Arc};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What.
    pub part: Part,
    /// When.
    pub window: Window,
    /// Of which nodes, as a regular expression; empty = not only of some.
    pub nodes: Arc<str>,
}

impl Question {
    /// Windows shorter than this are not cut further.
    const SHORTEST: Millis = Millis::from_mins(5);

    /// A table of all.
    pub fn new(part: Part, window: Window) -> Self {
        Self { part, window, nodes: Arc::from("") }
    }

    /// PromQL, to be evaluated at the end of the window.
    pub fn text(&self, source: &Source) -> String {
        self.part.text(source, (self.window.span().0 / 1000).max(1), &self.nodes)
    }

    /// The same in two pieces, if it can be cut.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let half = Millis(self.window.span().0 / 2000 * 1000);
        let middle = self.window.until - half;
        (half >= Self::SHORTEST).then(|| {
            let Window { from, until } = self.window;
            [Window { from, until: middle }, Window { from: middle, until }]
                .map(|window| Self { window, ..self.clone() })
        })
    }
}

/// All questions about a window, oldest first.
pub fn questions(source: &Source, window: Window, piece: Millis) -> Vec<Question> {
    let (often, daily) = Part::of(source.metric);
    let of = |parts: &'static [Part], piece: Millis| {
        let windows = window.pieces(piece).into_iter();
        windows.flat_map(move |window| parts.iter().map(move |&part| Question::new(part, window)))
    };
    let mut all: Vec<Question> = of(often, piece).chain(of(daily, DAY)).collect();
    all.sort_by_key(|question| (question.window.until, question.part));
    all
}

/// What is asked when the rest is known: how the nodes that were registered within the window became Ready.
/// Samples of all nodes would be many, and those of old nodes tell nothing.
pub fn questions_of_nodes(facts: &Facts, window: Window) -> Vec<Question> {
    let mut by_day: BTreeMap<i64, Vec<(&str, Timestamp)>> = BTreeMap::new();
    for (name, node) in &facts.nodes {
        let created = node.created.filter(|&at| window.from < at && at < window.until);
        if let Some(created) = created.filter(|_| !node.gpus.is_empty()) {
            by_day.entry(created.0.div_euclid(DAY.0)).or_default().push((name, created));
        }
    }
    let groups = by_day.values().flat_map(|nodes| nodes.chunks(MOST_NODES));
    let question = |nodes: &[(&str, Timestamp)]| {
        let names: Vec<String> = nodes.iter().map(|(name, _)| literally(name)).collect();
        let created = nodes.iter().map(|(_, created)| *created);
        let (first, last) = (created.clone().min()?, created.max()?);
        let window = Window { from: first, until: window.until.min(last + LONGEST_BOOT) };
        Some(Question { part: Part::NodeReady, window, nodes: names.join("|").into() })
    };
    groups.filter_map(question).collect()
}

const DAY: Millis = Millis::from_hours(24);
/// Names in one query.
const MOST_NODES: usize = 50;
/// A node that is not Ready by then is not looked at any further.
const LONGEST_BOOT: Millis = Millis::from_hours(1);

/// A regular expression that matches this text.
fn literally(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.chars().flat_map(|c| (!is_plain(c)).then_some('\\').into_iter().chain([c])).collect()
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
        let question = Question::new(Part::Said, window(0, 21_601));
        let [first, second] = question.halves().unwrap();
        assert_eq!(first.window.until, second.window.from);
        assert_eq!((first.window.from, second.window.until), (Timestamp(0), question.window.until));
        assert_eq!(first.window.span().0 % 1000, 0);
        let short = Question { window: window(0, 599), ..question };
        assert_eq!(short.halves(), None);
    }
}
