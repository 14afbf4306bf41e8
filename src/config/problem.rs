//! What is wrong with a file: every problem at once, each with line, field and what to do.

use std::fmt;

/// One problem of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, counted from 1; 0 = unknown.
    pub line: u64,
    /// The field, for example `pools[0].minNodes`; empty for the file itself.
    pub path: String,
    /// What must be, and what was found.
    pub message: String,
}

/// All problems of one file, by line. Prints one line each:
/// `simulations/x.yaml:12: pools[0].minNodes: must be <= maxNodes (4), got 9`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file as the user named it.
    pub file: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.problems.iter().enumerate() {
            if nth > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.file)?;
            if problem.line > 0 {
                write!(f, ":{}", problem.line)?;
            }
            if !problem.path.is_empty() {
                write!(f, ": {}", problem.path)?;
            }
            write!(f, ": {}", problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The candidate that was probably meant by `word`, if one is near enough: at most a third of its
/// letters wrong, upper and lower case, `-` and `_` not counting.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let word = plain(word);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.len().max(word.len()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean X?`, or what there is to choose from.
pub(super) fn hint(word: &str, candidates: &[&str]) -> String {
    match closest(word, candidates.iter().copied()) {
        Some(candidate) => format!("; did you mean `{candidate}`?"),
        None => format!("; known: {}", candidates.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_finds_what_was_meant() {
        let keys = ["minNodes", "maxNodes", "price"];
        assert_eq!(closest("minNode", keys), Some("minNodes"));
        assert_eq!(closest("max_nodes", keys), Some("maxNodes"));
        assert_eq!(closest("pirce", keys), Some("price"));
        assert_eq!(closest("seed", keys), None);
    }

    #[test]
    fn each_problem_is_one_line_with_file_line_and_field() {
        let problem = |line, path: &str| Problem {
            line,
            path: path.to_owned(),
            message: "must be <= maxNodes (4), got 9".to_owned(),
        };
        let problems = Problems {
            file: "x.yaml".to_owned(),
            problems: vec![problem(12, "pools[0].minNodes"), problem(0, "")],
        };
        assert_eq!(
            problems.to_string(),
            "x.yaml:12: pools[0].minNodes: must be <= maxNodes (4), got 9\n\
             x.yaml: must be <= maxNodes (4), got 9"
        );
    }
}
