//! What users write: scenario files, as serde sees them, checked and turned into `model` values.
