//! Odd things, one line each.

use crate::live::look::Finding;
use std::collections::BTreeSet;

/// Most of one look: somebody has to read them.
const MOST: usize = 200;

/// Something odd about a pool or the cluster, before it is known which number the pool has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Note {
    pub(super) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    pub(super) fn bad_annotation(message: impl Into<String>) -> Self {
        Self::new("BadAnnotation", message)
    }

    pub(super) fn bad_setting(message: impl Into<String>) -> Self {
        Self::new("BadSetting", message)
    }
}

/// All of one look, in order, no two the same.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeSet<Finding>);

impl Findings {
    pub(super) fn add(&mut self, pool: Option<usize>, note: Note) {
        self.0.insert(Finding { pool, reason: note.reason, message: note.message });
    }

    pub(super) fn into_lines(self) -> Vec<Finding> {
        self.0.into_iter().take(MOST).collect()
    }
}
