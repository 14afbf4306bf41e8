//! Objects of one kind by key, kept true to a watch that can begin anew.

use std::collections::{BTreeMap, BTreeSet};

/// Objects of one kind.
///
/// A watch that begins anew lists everything: until the list is complete the old picture stands, then what
/// was not listed is gone.
#[derive(Clone, Debug)]
pub(in crate::live) struct Store<T> {
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
    pub(in crate::live) fn put(&mut self, key: String, value: T) {
        if let Some(listed) = &mut self.listed {
            listed.insert(key.clone());
        }
        self.all.insert(key, value);
    }

    pub(in crate::live) fn remove(&mut self, key: &str) -> Option<T> {
        if let Some(listed) = &mut self.listed {
            listed.remove(key);
        }
        self.all.remove(key)
    }

    pub(in crate::live) fn restart(&mut self) {
        self.listed = Some(BTreeSet::new());
    }

    /// The list is complete; what it did not have.
    pub(in crate::live) fn sync(&mut self) -> Vec<T> {
        self.is_synced = true;
        let Some(listed) = self.listed.take() else { return Vec::new() };
        self.all.extract_if(.., |key, _| !listed.contains(key)).map(|(_, gone)| gone).collect()
    }

    /// Keys that the list which has begun has not told so far; they go when it is complete.
    pub(in crate::live) fn unlisted(&self) -> Vec<String> {
        let Some(listed) = &self.listed else { return Vec::new() };
        self.all.keys().filter(|key| !listed.contains(*key)).cloned().collect()
    }

    pub(in crate::live) const fn is_synced(&self) -> bool {
        self.is_synced
    }

    pub(in crate::live) fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        self.all.get_mut(key)
    }

    pub(in crate::live) fn get(&self, key: &str) -> Option<&T> {
        self.all.get(key)
    }

    /// The key itself, which lives as long as the store is not changed.
    pub(in crate::live) fn key(&self, key: &str) -> Option<&str> {
        self.all.get_key_value(key).map(|(key, _)| key.as_str())
    }

    pub(in crate::live) fn iter(&self) -> impl Iterator<Item = (&String, &T)> {
        self.all.iter()
    }

    pub(in crate::live) fn values(&self) -> impl Iterator<Item = &T> {
        self.all.values()
    }

    pub(in crate::live) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.all.values_mut()
    }

    pub(in crate::live) fn retain(&mut self, keeps: impl FnMut(&String, &mut T) -> bool) {
        self.all.retain(keeps);
    }
}
