//! Metadata, bounded: nobody can make the controller keep a megabyte of text an object.

use crate::{
    model::object::{Meta, Owner, Strings},
    time::Timestamp,
};
use kube::core::ObjectMeta;

/// Longest value that is kept whole; what decides anything is shorter.
pub(super) const LONGEST_VALUE: usize = 4096;
/// The whole object once more, as text.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Metadata with the annotations that are asked for, values clipped at [`LONGEST_VALUE`] bytes.
pub(super) fn meta(object: ObjectMeta, keeps: impl Fn(&str) -> bool) -> Meta {
    let owner = object.owner_references.unwrap_or_default().into_iter();
    let owner = owner.filter(|owner| owner.controller == Some(true)).map(|owner| Owner {
        kind: owner.kind,
        name: owner.name,
        uid: owner.uid,
    });
    let annotations = object.annotations.unwrap_or_default().into_iter();
    let annotations = annotations.filter(|(key, _)| key != LAST_APPLIED && keeps(key)).map(clip);
    Meta {
        namespace: object.namespace.unwrap_or_default(),
        name: object.name.unwrap_or_default(),
        uid: object.uid.unwrap_or_default(),
        resource_version: object.resource_version.unwrap_or_default(),
        created: object
            .creation_timestamp
            .map_or(Timestamp::ZERO, |at| Timestamp(at.0.as_millisecond())),
        is_deleting: object.deletion_timestamp.is_some(),
        labels: object.labels.unwrap_or_default(),
        annotations: annotations.collect::<Strings>(),
        owner: owner.into_iter().next(),
    }
}

fn clip((key, mut value): (String, String)) -> (String, String) {
    if value.len() > LONGEST_VALUE {
        value.truncate(value.floor_char_boundary(LONGEST_VALUE));
    }
    (key, value)
}
