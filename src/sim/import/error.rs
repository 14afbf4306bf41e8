//! Why a trace cannot be read. One line each: file, line, column, what was found, what to do.

use std::io;
use thiserror::Error;

/// Why a trace cannot be read.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The file cannot be opened or read.
    #[error("{file}: cannot read")]
    Read {
        /// As the user named it.
        file: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file as a whole is not what it should be (empty, no known header, cut off).
    #[error("{file}: {problem}: {remedy}")]
    File {
        /// As the user named it.
        file: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// One value is not what it should be.
    #[error("{file}:{line}: {column}: found `{found}`: {remedy}")]
    Value {
        /// As the user named it.
        file: String,
        /// Line of the file, the first is 1.
        line: u64,
        /// Name of the column or field.
        column: String,
        /// The text found, shortened.
        found: String,
        /// What is meant to stand there.
        remedy: String,
    },
    /// One line is not what it should be, in a file without columns.
    #[error("{file}:{line}: {problem}: {remedy}")]
    Line {
        /// As the user named it.
        file: String,
        /// Line of the file, the first is 1.
        line: u64,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// The caller asked to stop.
    #[error("{file}: interrupted while reading")]
    Cancelled {
        /// As the user named it.
        file: String,
    },
}
