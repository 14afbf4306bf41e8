//! What users write: scenario files, checked and turned into plain validated values.
//!
//! A file is read into a tree that remembers lines (`node`), then walked by readers that collect
//! every problem instead of stopping at the first (`reader`, [`problem`]). What comes out has no
//! trace of YAML left and needs no further checks.

pub mod duration;
mod node;
pub mod problem;
pub mod quantity;
mod reader;
pub mod scenario;

pub use duration::parse_duration;
pub use problem::{Problem, Problems, closest};
