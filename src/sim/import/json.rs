//! Errors of `serde_json` as one line with file and line.

use super::ImportError;
use serde_json::error::Category;

/// What went wrong, where, and what to do.
pub(super) fn error(file: &str, error: serde_json::Error, form: &str) -> ImportError {
    at_line(file, error.line() as u64, error, form)
}

/// The same for a file with one document a line, which counts its lines itself.
pub(super) fn at_line(file: &str, line: u64, error: serde_json::Error, form: &str) -> ImportError {
    let file = file.to_owned();
    let remedy = match error.classify() {
        Category::Io => return ImportError::Read { file, source: error.into() },
        Category::Eof => "the file is cut off here; fetch it again whole".to_owned(),
        Category::Syntax | Category::Data => format!("the format is {form}"),
    };
    let place = format!(" at line {} column {}", error.line(), error.column());
    let problem = error.to_string().replace(&place, &format!(" (character {})", error.column()));
    ImportError::Line { file, line, problem, remedy }
}
