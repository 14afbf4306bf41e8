//! `managedFields`: who set which field last (server-side apply, "Field management").

use super::{
    super::{object, write::Change},
    fields::{Fields, compare, field},
    shape::Shape,
};
use serde_json::{Value, json};

/// What nobody manages.
const SYSTEM: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "managedFields",
];

/// One entry of `managedFields`.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) manager: String,
    pub(crate) is_apply: bool,
    api_version: String,
    subresource: String,
    time: Option<String>,
    pub(crate) fields: Fields,
}

impl Entry {
    /// The entry of the one who makes this change.
    pub(crate) fn of(change: &Change<'_>, is_apply: bool) -> Self {
        Self {
            manager: change.call.manager.clone(),
            is_apply,
            api_version: change.view.api_version(),
            subresource: change.call.target.subresource.clone().unwrap_or_default(),
            time: None,
            fields: Fields::default(),
        }
    }

    fn read(json: &Value) -> Self {
        let text = |field: &str| json[field].as_str().unwrap_or_default().to_owned();
        Self {
            manager: text("manager"),
            is_apply: json["operation"] == "Apply",
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: json["time"].as_str().map(str::to_owned),
            fields: Fields::read(&json["fieldsV1"]),
        }
    }

    fn json(&self) -> Value {
        let operation = if self.is_apply { "Apply" } else { "Update" };
        let mut entry = json!({"manager": self.manager, "operation": operation,
            "apiVersion": self.api_version, "fieldsType": "FieldsV1", "fieldsV1": self.fields.json()});
        if !self.subresource.is_empty() {
            entry["subresource"] = self.subresource.as_str().into();
        }
        if let Some(time) = &self.time {
            entry["time"] = time.as_str().into();
        }
        entry
    }

    pub(crate) fn is_same_manager(&self, other: &Self) -> bool {
        (&self.manager, self.is_apply, &self.api_version, &self.subresource)
            == (&other.manager, other.is_apply, &other.api_version, &other.subresource)
    }

    /// As conflicts name it.
    pub(crate) fn printed(&self) -> String {
        let printed = match self.subresource.as_str() {
            "" => format!("{:?}", self.manager),
            subresource => format!("{:?} with subresource {subresource:?}", self.manager),
        };
        match &self.time {
            _ if self.is_apply => printed,
            None => format!("{printed} using {}", self.api_version),
            Some(time) => format!("{printed} using {} at {time}", self.api_version),
        }
    }

    /// The same, seen through a subresource of another version.
    pub(crate) fn printed_as(mut self, api_version: &str) -> String {
        api_version.clone_into(&mut self.api_version);
        self.time = None;
        self.printed()
    }
}

pub(crate) fn read_all(object: &Value) -> Vec<Entry> {
    object["metadata"]["managedFields"].as_array().into_iter().flatten().map(Entry::read).collect()
}

/// Writes the entries back, those without fields left out.
pub(crate) fn write_all(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    entries.sort_by(|a, b| {
        let order = |entry: &Entry| (!entry.is_apply, entry.time.clone(), entry.manager.clone());
        order(a).cmp(&order(b))
    });
    if entries.is_empty() {
        object::remove_meta(object, "managedFields");
    } else {
        let entries: Value = entries.iter().map(Entry::json).collect();
        object::set_meta(object, "managedFields", entries);
    }
}

/// An object without what nobody manages.
pub(crate) fn manageable(object: &Value) -> Value {
    let mut kept = object.clone();
    if let Some(map) = kept.as_object_mut() {
        map.remove("apiVersion");
        map.remove("kind");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|key, _| !SYSTEM.contains(&key.as_str()));
            if metadata.is_empty() {
                map.remove("metadata");
            }
        }
    }
    kept
}

/// How values of this resource merge.
pub(crate) fn shape<'a>(change: &'a Change<'_>) -> Shape<'a> {
    match &change.view.version.schema {
        Some(schema) => Shape::Schema(&schema.root),
        None => Shape::Named(""),
    }
}

/// Writes down who made the difference between `old` and `new`.
pub(crate) fn updated(change: &Change<'_>, old: Option<&Value>, new: &mut Value) {
    let before = old.map_or_else(|| json!({}), manageable);
    let difference = compare(shape(change), &before, &manageable(new));
    let mut changed = difference.changed;
    // The parts of an object are structures that nobody owns.
    let structures = if change.view.resource.is_custom {
        &["metadata"][..]
    } else {
        &["metadata", "spec", "status"]
    };
    for part in structures {
        if let Some(fields) = changed.below.get_mut(&field(part)) {
            fields.is_own &= fields.below.is_empty();
        }
    }
    let mut entries = old.map(read_all).unwrap_or_default();
    for entry in &mut entries {
        let mut left = entry.fields.clone();
        left.subtract(&difference.gone);
        let mut entry_own = Entry::of(change, false);
        entry_own.time.clone_from(&entry.time);
        if !entry.is_same_manager(&entry_own) {
            left.subtract(&changed);
        }
        entry.fields = left;
    }
    if !changed.below.is_empty() {
        add(&mut entries, Entry { fields: changed, ..Entry::of(change, false) }, change);
    }
    write_all(new, entries);
}

/// Adds fields to the entry of their manager.
fn add(entries: &mut Vec<Entry>, mut own: Entry, change: &Change<'_>) {
    own.time = Some(object::time(change.view.now));
    match entries.iter_mut().find(|entry| entry.is_same_manager(&own)) {
        Some(entry) => {
            entry.fields.unite(&own.fields);
            entry.time = own.time;
        }
        None => entries.push(own),
    }
}

/// Replaces the fields of the entry of an applying manager.
pub(crate) fn set_applied(entries: &mut Vec<Entry>, mut own: Entry, change: &Change<'_>) {
    let earlier = entries.iter().position(|entry| entry.is_same_manager(&own));
    own.time = Some(object::time(change.view.now));
    match earlier {
        Some(at) if entries[at].fields == own.fields => {}
        Some(at) => entries[at] = own,
        None => entries.push(own),
    }
}

/// Whoever else owns the field at a dotted path.
pub(crate) fn other_owner(object: &Value, manager: &str, path: &str) -> Option<Entry> {
    let path: Vec<_> = path.split('.').filter(|part| !part.is_empty()).map(field).collect();
    let owns = |entry: &Entry| entry.manager != manager && entry.fields.contains(&path);
    read_all(object).into_iter().find(owns)
}
