//! `supply`: how many nodes a provider could deliver, as the `SkyPilot` project records it.
//!
//! `{"metadata": {"gap_seconds": 600, ...}, "data": [4, 4, 0, 1, ...]}`: from `i * gap_seconds` on, for
//! one gap, at most `data[i]` nodes. Becomes windows for
//! [`crate::model::Pool::supply`], counted from the start of the simulation; after the last value nothing limits.

use super::{ImportError, json};
use crate::model::SupplyLimit;
use crate::sim::watch::Watch;
use crate::time::{Millis, Timestamp};
use serde::Deserialize;
use std::{
    io::{BufRead, BufReader},
    path::Path,
};

const FORM: &str = "{\"metadata\": {\"gap_seconds\": seconds}, \"data\": [nodes, ...]}";

/// Longest gap between two values, 10 years.
const LONGEST_GAP_SECS: f64 = 315_360_000.0;

#[derive(Deserialize)]
struct Recorded {
    metadata: Metadata,
    data: Vec<u32>,
}

#[derive(Deserialize)]
struct Metadata {
    gap_seconds: f64,
}

/// The windows, equal neighbours merged. `file` is the name for messages.
///
/// # Errors
/// [`ImportError::Line`] if the text is not of this form, [`ImportError::File`] if the gap is no span.
pub fn read_supply(input: &mut dyn BufRead, file: &str) -> Result<Vec<SupplyLimit>, ImportError> {
    let recorded: Recorded =
        serde_json::from_reader(input).map_err(|error| json::error(file, error, FORM))?;
    let gap_secs = recorded.metadata.gap_seconds;
    if !(0.001..=LONGEST_GAP_SECS).contains(&gap_secs) {
        return Err(ImportError::File {
            file: file.to_owned(),
            problem: format!("gap_seconds is {gap_secs}"),
            remedy: "give the seconds between two values, more than 0".to_owned(),
        });
    }
    let gap = Millis((gap_secs * 1000.0).round() as i64);
    Ok(windows(&recorded.data, gap))
}

/// The same from a file, plain or gzipped.
pub fn read_supply_file(path: &Path, watch: &dyn Watch) -> Result<Vec<SupplyLimit>, ImportError> {
    let name = path.display().to_string();
    let (text, _) = super::open::text(&name, super::open::open(path, watch)?)?;
    read_supply(&mut BufReader::new(text), &name)
}

fn windows(data: &[u32], gap: Millis) -> Vec<SupplyLimit> {
    let mut windows: Vec<SupplyLimit> = Vec::new();
    for (i, &nodes) in data.iter().enumerate() {
        let from = Timestamp::ZERO + gap * i as i64;
        let until = from + gap;
        match windows.last_mut() {
            Some(last) if last.nodes == nodes => last.until = until,
            _ => windows.push(SupplyLimit { from, until, nodes }),
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supply(text: &str) -> Result<Vec<SupplyLimit>, String> {
        read_supply(&mut text.as_bytes(), "s.json").map_err(|error| error.to_string())
    }

    #[test]
    fn equal_neighbours_are_one_window() {
        let text =
            "{\"metadata\": {\"gap_seconds\": 600, \"zone\": \"a\"}, \"data\": [4, 4, 0, 1]}";
        let windows: Vec<_> =
            supply(text).unwrap().iter().map(|w| (w.from.0, w.until.0, w.nodes)).collect();
        assert_eq!(
            windows,
            [(0, 1_200_000, 4), (1_200_000, 1_800_000, 0), (1_800_000, 2_400_000, 1)]
        );
    }

    #[test]
    fn a_wrong_gap_or_value_is_an_error_with_its_line() {
        let gap = supply("{\"metadata\": {\"gap_seconds\": 0}, \"data\": []}").unwrap_err();
        assert!(gap.starts_with("s.json: gap_seconds is 0: give"), "{gap}");
        let value = supply("{\"metadata\": {\"gap_seconds\": 1},\n\"data\": [-1]}").unwrap_err();
        assert!(
            value.starts_with("s.json:2: invalid value: integer `-1`, expected u32"),
            "{value}"
        );
    }
}
