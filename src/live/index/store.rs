//! Objects of one kind by key, kept true to a watch that can begin anew.

use std::collections::{BTreeMap, BTreeSet};

/// Objects of one kind.
///
/// A watch that begins anew lists everything: until the list is complete the old picture stands, then what
/// was not listed is gone.
#[derive(Clone, Debug)]
pub(super) struct Store<T> {
    all: BTreeMap<String, T>,
    listed: Option<BTreeSet<String>>,
    is_synced: bool,
}

impl<T> Default for Store<T> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), listed: None, is_synced: false }
    }
}

impl<T> Store<T> {
    pub(super) fn put(&mut self, key: String, value: T) {
        if let Some(listed) = &mut self.listed {
            listed.insert(key.clone());
        }
        self.all.insert(key, value);
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<T> {
        if let Some(listed) = &mut self.listed {
            listed.remove(key);
        }
        self.all.remove(key)
    }

    pub(super) fn restart(&mut self) {
        self.listed = Some(BTreeSet::new());
    }

    /// The list is complete; what it did not have.
    pub(super) fn sync(&mut self) -> Vec<T> {
        self.is_synced = true;
        let Some(listed) = self.listed.take() else { return Vec::new() };
        self.all.extract_if(.., |key, _| !listed.contains(key)).map(|(_, gone)| gone).collect()
    }

    pub(super) const fn is_synced(&self) -> bool {
        self.is_synced
    }

    pub(super) fn get(&self, key: &str) -> Option<&T> {
        self.all.get(key)
    }

    /// The key itself, which lives as long as the store is not changed.
    pub(super) fn key(&self, key: &str) -> Option<&str> {
        self.all.get_key_value(key).map(|(key, _)| key.as_str())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &T)> {
        self.all.iter()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.all.values()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.all.values_mut()
    }

    pub(super) fn retain(&mut self, keeps: impl FnMut(&String, &mut T) -> bool) {
        self.all.retain(keeps);
    }
}
