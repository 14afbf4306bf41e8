//! Objects by kind, namespace and name, under one revision that grows with every change (API concepts,
//! "Resource versions"). Objects are kept as compact JSON with the labels and fields that selectors ask
//! for beside them, so that a list of 150,000 pods parses nothing.

use super::{
    history::{Event, Forgotten, History},
    object,
};
use axum::body::Bytes;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;

/// Namespace (empty for cluster-scoped objects) and name.
pub(crate) type Key = (String, String);

/// Labels, or fields by path.
pub(crate) type Pairs = BTreeMap<String, String>;

/// One object at one revision.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) revision: u64,
    /// Compact JSON in the storage version.
    pub(crate) json: Bytes,
    pub(crate) labels: Pairs,
    /// What field selectors may ask for.
    pub(crate) fields: Pairs,
}

impl Stored {
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or_default()
    }
}

/// All objects of one kind.
#[derive(Debug)]
pub(crate) struct Table {
    objects: BTreeMap<Key, Arc<Stored>>,
    pub(crate) history: History,
    /// Tells watches that something changed.
    pub(crate) changed: watch::Sender<u64>,
}

/// Objects of one namespace or all, with what they are called.
pub(crate) type Found = Vec<(Key, Arc<Stored>)>;

impl Table {
    fn new(history_limit: usize) -> Self {
        let (changed, _) = watch::channel(0);
        Self { objects: BTreeMap::new(), history: History::new(history_limit), changed }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Stored>> {
        self.objects.get(key)
    }

    /// Objects from `start` on, in order.
    pub(crate) fn list(&self, namespace: Option<&str>, start: &Key) -> Found {
        let inside = |key: &Key| namespace.is_none_or(|wanted| key.0 == wanted);
        let objects = self.objects.range(start.clone()..).take_while(|(key, _)| inside(key));
        objects.map(|(key, stored)| (key.clone(), Arc::clone(stored))).collect()
    }

    /// The same as it was at an earlier revision.
    pub(crate) fn list_at(
        &self,
        revision: u64,
        namespace: Option<&str>,
        start: &Key,
    ) -> Result<Found, Forgotten> {
        let mut undone: BTreeMap<&Key, Option<&Arc<Stored>>> = BTreeMap::new();
        for event in self.history.back_to(revision)? {
            undone.insert(&event.key, event.previous.as_ref());
        }
        let mut found = self.list(namespace, start);
        if undone.is_empty() {
            return Ok(found);
        }
        found.retain(|(key, _)| !undone.contains_key(key));
        let wanted = |key: &Key| key >= start && namespace.is_none_or(|name| key.0 == name);
        let earlier = undone.into_iter().filter(|(key, _)| wanted(key));
        found.extend(earlier.filter_map(|(key, stored)| Some((key.clone(), Arc::clone(stored?)))));
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }
}

/// All tables and the revision.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) revision: u64,
    history_limit: usize,
    tables: BTreeMap<String, Table>,
    names_given: u64,
}

impl Store {
    pub(crate) fn new(history_limit: usize) -> Self {
        Self { revision: 1, history_limit, tables: BTreeMap::new(), names_given: 0 }
    }

    pub(crate) fn table(&mut self, name: &str) -> &mut Table {
        let limit = self.history_limit;
        self.tables.entry(name.to_owned()).or_insert_with(|| Table::new(limit))
    }

    pub(crate) fn get(&self, table: &str, key: &Key) -> Option<&Arc<Stored>> {
        self.tables.get(table)?.get(key)
    }

    /// Stores `value` under a new revision, which becomes its resourceVersion.
    pub(crate) fn put(&mut self, table: &str, key: Key, value: &mut Value, fields: Pairs) {
        let stored = self.stamp(value, fields);
        let table = self.table(table);
        let previous = table.objects.insert(key.clone(), Arc::clone(&stored));
        let revision = stored.revision;
        table.history.push(Event { revision, key, previous, object: stored, deleted: false });
        table.changed.send_replace(revision);
    }

    /// Removes an object; `last` is how it last was.
    pub(crate) fn remove(&mut self, table: &str, key: &Key, last: &mut Value, fields: Pairs) {
        let stored = self.stamp(last, fields);
        let table = self.table(table);
        let previous = table.objects.remove(key);
        let (revision, key) = (stored.revision, key.clone());
        table.history.push(Event { revision, key, previous, object: stored, deleted: true });
        table.changed.send_replace(revision);
    }

    fn stamp(&mut self, value: &mut Value, fields: Pairs) -> Arc<Stored> {
        self.revision += 1;
        object::set_meta(value, "resourceVersion", self.revision.to_string().into());
        let (revision, labels) = (self.revision, object::labels(value));
        let json = Bytes::from(value.to_string());
        Arc::new(Stored { revision, json, labels, fields })
    }

    /// Forgets all past changes.
    pub(crate) fn compact(&mut self) {
        let revision = self.revision;
        self.tables.values_mut().for_each(|table| table.history.compact(revision));
    }

    /// Keys of every object in a namespace, by table.
    pub(crate) fn inside(&self, namespace: &str) -> Vec<(String, Key)> {
        let of = |(name, table): (&String, &Table)| {
            let keys = table.objects.keys().filter(|key| key.0 == namespace);
            keys.map(|key| (name.clone(), key.clone())).collect::<Vec<_>>()
        };
        self.tables.iter().flat_map(of).collect()
    }

    /// An identifier that no other object of this API has; the same in every run.
    pub(crate) fn new_uid(&mut self) -> String {
        self.names_given += 1;
        let mixed = mix(self.names_given);
        let (high, low) = (mixed >> 32, mixed & 0xffff);
        format!("{high:08x}-{low:04x}-4000-8000-{:012x}", self.names_given)
    }

    /// Five letters and digits without vowels, as `generateName` appends.
    pub(crate) fn new_suffix(&mut self) -> String {
        const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
        self.names_given += 1;
        let mut rest = mix(self.names_given);
        let mut suffix = String::new();
        for _ in 0..5 {
            suffix.push(char::from(LETTERS[(rest % 27) as usize]));
            rest /= 27;
        }
        suffix
    }
}

/// Neighbouring numbers to numbers far apart (finaliser of splitmix64, Steele et al. 2014).
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
