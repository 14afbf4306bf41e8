//! Traces of other tools, read into [`crate::model::Trace`].

mod error;
mod table;

pub use error::ImportError;
