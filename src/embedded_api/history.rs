//! What watches look back on: the last changes of one kind of object, in order of revision. A client that
//! asks for what is forgotten is told so (410 Expired) and has to list again.

use super::store::{Key, Stored};
use std::{collections::VecDeque, sync::Arc};

/// One change of one object.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) revision: u64,
    pub(crate) key: Key,
    /// As it was before; `None` for a new one.
    pub(crate) previous: Option<Arc<Stored>>,
    /// As it is now, or last was if it is deleted.
    pub(crate) object: Arc<Stored>,
    pub(crate) deleted: bool,
}

/// Changes asked for are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forgotten;

#[derive(Debug)]
pub(crate) struct History {
    events: VecDeque<Event>,
    limit: usize,
    /// Revision of the newest change that is forgotten.
    newest_forgotten: u64,
    /// Revision up to which the past was given up by order.
    compacted: u64,
}

impl History {
    pub(crate) fn new(limit: usize) -> Self {
        Self { events: VecDeque::new(), limit, newest_forgotten: 0, compacted: 0 }
    }

    pub(crate) fn push(&mut self, event: Event) {
        if self.events.len() >= self.limit {
            self.forget_oldest();
        }
        self.events.push_back(event);
    }

    fn forget_oldest(&mut self) {
        if let Some(event) = self.events.pop_front() {
            self.newest_forgotten = event.revision;
        }
    }

    /// Forgets everything up to `revision`, the current one.
    pub(crate) fn compact(&mut self, revision: u64) {
        while !self.events.is_empty() {
            self.forget_oldest();
        }
        self.compacted = revision;
    }

    /// The oldest revision from which a new watch can start.
    pub(crate) fn oldest(&self) -> u64 {
        self.newest_forgotten.max(self.compacted)
    }

    /// Changes after `revision`, for a client that has seen all up to it.
    pub(crate) fn after(&self, revision: u64) -> Result<impl Iterator<Item = &Event>, Forgotten> {
        if revision < self.newest_forgotten {
            return Err(Forgotten);
        }
        let start = self.events.partition_point(|event| event.revision <= revision);
        Ok(self.events.range(start..))
    }

    /// Changes after `revision`, newest first, for going back to it.
    pub(crate) fn back_to(&self, revision: u64) -> Result<impl Iterator<Item = &Event>, Forgotten> {
        if revision < self.oldest() {
            return Err(Forgotten);
        }
        Ok(self.events.iter().rev().take_while(move |event| event.revision > revision))
    }
}
