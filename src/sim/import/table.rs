//! Rows of a delimited file, column by name, without allocating a row.
//!
//! Accepts a byte order mark, CRLF and blank lines. A row with too few or too many fields is an error
//! with its line.

use super::error::ImportError;
use crate::sim::watch::Watch;
use csv::ByteRecord;
use std::io::Read;

/// Rows between two looks at the watch.
const ROWS_PER_LOOK: u64 = 8192;

/// Longest piece of a wrong value that is quoted.
const QUOTED: usize = 40;

/// A delimited file being read.
pub(super) struct Table<'a, R> {
    file: &'a str,
    reader: csv::Reader<R>,
    columns: Vec<String>,
    record: ByteRecord,
    rows: u64,
    /// The reader counts a line when it meets its LF; with CRLF that is one row late.
    late_lines: u64,
}

/// Place of a column; get it once, before the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column(usize);

/// One row of a [`Table`].
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    file: &'a str,
    columns: &'a [String],
    record: &'a ByteRecord,
    line: u64,
}

impl<'a, R: Read> Table<'a, R> {
    /// Reads the header. `delimiter` is `,` or, for `sacct -P`, which knows no quotes, `|`.
    pub(super) fn with_header(file: &'a str, input: R, delimiter: u8) -> Result<Self, ImportError> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .quoting(delimiter != b'|')
            .from_reader(input);
        let header = reader.byte_headers().map_err(|error| read_error(file, error))?;
        let columns: Vec<String> = header
            .iter()
            .map(|name| {
                String::from_utf8_lossy(name).trim_start_matches('\u{feff}').trim().to_owned()
            })
            .collect();
        if columns.iter().all(String::is_empty) {
            return Err(ImportError::File {
                file: file.to_owned(),
                problem: "the file is empty".to_owned(),
                remedy: "give a file with a header line".to_owned(),
            });
        }
        let late_lines = u64::from(reader.position().line() < 2);
        Ok(Self { file, reader, columns, record: ByteRecord::new(), rows: 0, late_lines })
    }

    /// A file without header whose columns are known.
    pub(super) fn without_header(file: &'a str, input: R, delimiter: u8, columns: &[&str]) -> Self {
        let reader =
            csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(input);
        let columns = columns.iter().map(|&name| name.to_owned()).collect();
        Self { file, reader, columns, record: ByteRecord::new(), rows: 0, late_lines: 0 }
    }

    /// Names of the columns, in order.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// A column that may be absent.
    pub(super) fn column(&self, name: &str) -> Option<Column> {
        self.columns.iter().position(|column| column == name).map(Column)
    }

    /// A column that must be there.
    pub(super) fn need(&self, name: &str) -> Result<Column, ImportError> {
        self.column(name).ok_or_else(|| {
            let known = self.columns.iter().map(String::as_str);
            let hint = crate::config::closest(name, known)
                .map_or_else(String::new, |near| format!(" (is `{near}` meant to be it?)"));
            ImportError::Value {
                file: self.file.to_owned(),
                line: 1,
                column: name.to_owned(),
                found: shortened(&self.columns.join(",")),
                remedy: format!(
                    "the header has no column `{name}`{hint}; add it or name the format"
                ),
            }
        })
    }

    /// The next row; `None` at the end.
    pub(super) fn next_row(&mut self, watch: &dyn Watch) -> Result<Option<Row<'_>>, ImportError> {
        if self.rows.is_multiple_of(ROWS_PER_LOOK) && watch.cancelled() {
            return Err(ImportError::Cancelled { file: self.file.to_owned() });
        }
        self.rows += 1;
        let more = self.reader.read_byte_record(&mut self.record);
        if !more.map_err(|error| read_error(self.file, error))? {
            return Ok(None);
        }
        let line = self.record.position().map_or(0, csv::Position::line) + self.late_lines;
        if self.rows == 1 && !self.reader.has_headers() {
            self.late_lines = u64::from(self.reader.position().line() < 2);
        }
        Ok(Some(Row { file: self.file, columns: &self.columns, record: &self.record, line }))
    }
}

impl<'a> Row<'a> {
    /// The bytes of a field, without surrounding blanks.
    pub(super) fn bytes(&self, column: Column) -> &'a [u8] {
        self.record.get(column.0).unwrap_or_default().trim_ascii()
    }

    /// The text of a field; invalid UTF-8 is an error.
    pub(super) fn text(&self, column: Column) -> Result<&'a str, ImportError> {
        std::str::from_utf8(self.bytes(column))
            .map_err(|_| self.wrong(column, "write the file as UTF-8"))
    }

    /// The text of a column that may be absent; empty if it is.
    pub(super) fn text_or_empty(&self, column: Option<Column>) -> Result<&'a str, ImportError> {
        column.map_or(Ok(""), |column| self.text(column))
    }

    /// A number; NaN and infinity are errors. `meaning` says what is meant, for the message.
    pub(super) fn number(&self, column: Column, meaning: &str) -> Result<f64, ImportError> {
        let text = self.text(column)?;
        text.parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .ok_or_else(|| self.wrong(column, &format!("{meaning} is a number")))
    }

    /// An integer within a range. A fast path for plain digits.
    pub(super) fn integer(
        &self,
        column: Column,
        range: std::ops::RangeInclusive<i64>,
        meaning: &str,
    ) -> Result<i64, ImportError> {
        digits(self.bytes(column))
            .or_else(|| self.text(column).ok()?.parse().ok())
            .filter(|integer| range.contains(integer))
            .ok_or_else(|| {
                let (least, most) = (range.start(), range.end());
                self.wrong(column, &format!("{meaning} is a whole number from {least} to {most}"))
            })
    }

    /// An error about this field.
    pub(super) fn wrong(&self, column: Column, remedy: &str) -> ImportError {
        ImportError::Value {
            file: self.file.to_owned(),
            line: self.line(),
            column: self.columns.get(column.0).cloned().unwrap_or_default(),
            found: shortened(&String::from_utf8_lossy(self.bytes(column))),
            remedy: remedy.to_owned(),
        }
    }

    /// Line of the file at which the row starts; the first is 1.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }
}

/// Up to 18 digits, nothing else.
fn digits(bytes: &[u8]) -> Option<i64> {
    if bytes.is_empty() || bytes.len() > 18 || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(bytes.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

/// So much of a text that a message stays one readable line.
pub(super) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn read_error(file: &str, error: csv::Error) -> ImportError {
    let file = file.to_owned();
    let line = error.position().map_or(0, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(source) => ImportError::Read { file, source },
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => ImportError::Value {
            file,
            line,
            column: "row".to_owned(),
            found: format!("{len} fields"),
            remedy: format!("the header has {expected_len}; complete or remove the row"),
        },
        other => ImportError::File {
            file,
            problem: format!("line {line} cannot be read ({other:?})"),
            remedy: "give a delimited text file".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_and_crlf_are_accepted() {
        let text = "\u{feff}a,b\r\n1, 2 \r\n";
        let mut table = Table::with_header("x.csv", text.as_bytes(), b',').unwrap();
        let (a, b) = (table.need("a").unwrap(), table.need("b").unwrap());
        let row = table.next_row(&()).unwrap().unwrap();
        assert_eq!(
            (row.integer(a, 0..=9, "a").unwrap(), row.text(b).unwrap(), row.line()),
            (1, "2", 2)
        );
        assert!(table.next_row(&()).unwrap().is_none());
    }

    #[test]
    fn errors_name_file_line_column_what_was_found_and_what_to_do() {
        let mut table = Table::with_header("x.csv", "a\n7\nseven\n".as_bytes(), b',').unwrap();
        let a = table.need("a").unwrap();
        table.next_row(&()).unwrap();
        let row = table.next_row(&()).unwrap().unwrap();
        let error = row.integer(a, 0..=9, "a").unwrap_err().to_string();
        assert_eq!(error, "x.csv:3: a: found `seven`: a is a whole number from 0 to 9");
    }

    #[test]
    fn a_missing_column_is_an_error_with_a_hint() {
        let table = Table::with_header("x.csv", "submit,gpus\n".as_bytes(), b',').unwrap();
        let error = table.need("gpu").unwrap_err().to_string();
        assert!(error.contains("x.csv:1: gpu") && error.contains("is `gpus` meant"), "{error}");
    }

    #[test]
    fn a_short_row_and_an_empty_file_are_errors() {
        let mut table = Table::with_header("x.csv", "a,b\n1\n".as_bytes(), b',').unwrap();
        let error = table.next_row(&()).err().unwrap().to_string();
        assert_eq!(
            error,
            "x.csv:2: row: found `1 fields`: the header has 2; complete or remove the row"
        );
        let empty = Table::with_header("x.csv", "".as_bytes(), b',').err().unwrap().to_string();
        assert!(empty.contains("the file is empty"), "{empty}");
    }
}
