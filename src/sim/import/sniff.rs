//! The first bytes of a file, and what they say about it.

use super::table::shortened;

/// The first bytes of a (decompressed) file, enough for its header.
pub(super) struct Head<'a> {
    text: std::borrow::Cow<'a, str>,
}

/// How a format is recognised.
#[derive(Clone, Copy)]
pub(super) enum Sign {
    /// The header has all these columns.
    Columns(&'static [&'static str]),
    /// Something else about the first bytes.
    Head(fn(&Head<'_>) -> bool),
}

impl Sign {
    pub(super) fn is_seen(self, head: &Head<'_>) -> bool {
        match self {
            Self::Columns(names) => head.has_columns(names),
            Self::Head(looks_like) => looks_like(head),
        }
    }
}

impl<'a> Head<'a> {
    /// A byte order mark is left out.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        Self { text: String::from_utf8_lossy(bytes) }
    }

    /// Nothing but blanks and line ends.
    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// The text, cut somewhere.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The first line that is not blank; in a headerless file the first row.
    pub(super) fn first_line(&self) -> &str {
        self.text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
    }

    /// The fields of the first line, unquoted, split at `|` if there is one, else at `,`.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        let line = self.first_line();
        let delimiter = if line.contains('|') { '|' } else { ',' };
        line.split(delimiter).map(|field| field.trim().trim_matches('"').trim())
    }

    /// Does the first line have all these fields?
    pub(super) fn has_columns(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.columns().any(|column| column == *name))
    }

    /// The start of the first line, for messages.
    pub(super) fn quoted(&self) -> String {
        shortened(self.first_line())
    }
}
