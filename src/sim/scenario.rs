//! Scenario files from disk: read, checked, and with every name in them known to exist.

use super::expect;
use crate::config::{
    Problems,
    scenario::{Demand, Scenario, parse},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why a scenario cannot be run.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("{}: cannot read the scenario", path.display())]
    Read {
        /// As the user named it.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file says something that cannot be.
    #[error(transparent)]
    Invalid(#[from] Problems),
}

/// Reads and checks a scenario file. Trace files it names are not opened: see [`trace_files`].
pub fn load(path: &Path) -> Result<Scenario, ScenarioError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
    Ok(check(&path.display().to_string(), &text)?)
}

/// Checks the text of a scenario file, the metrics of its expectations included.
pub fn check(file: &str, text: &str) -> Result<Scenario, Problems> {
    let scenario = parse(file, text)?;
    let problems = expect::unknown_metrics(&scenario.expect);
    if problems.is_empty() {
        Ok(scenario)
    } else {
        Err(Problems { file: file.to_owned(), problems })
    }
}

/// The trace files a scenario takes demand from, where they are seen from the caller's folder.
pub fn trace_files(scenario: &Scenario, scenario_path: &Path) -> Vec<PathBuf> {
    let folder = scenario_path.parent().unwrap_or_else(|| Path::new(""));
    let files = scenario.arrivals.iter().filter_map(|source| match &source.demand {
        Demand::Trace(file) => Some(folder.join(file)),
        _ => None,
    });
    files.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::scenario::Comparison, model::Job, sim::arrivals};

    const HEAD: &str = "end: 1d\npools: [{name: a}]\npolicies: [reactive]\n\
                        arrivals: [{name: t, trace: data/jobs.csv.gz}]\n";

    #[test]
    fn trace_files_are_relative_to_the_scenario() {
        let scenario = check("x.yaml", HEAD).unwrap();
        let files = trace_files(&scenario, Path::new("simulations/x.yaml"));
        assert_eq!(files, [Path::new("simulations/data/jobs.csv.gz")]);
    }

    #[test]
    fn a_metric_that_does_not_exist_is_found_before_the_run() {
        let text =
            format!("{HEAD}expect:\n- {{policy: reactive, metric: wait_second.mean, below: 1}}\n");
        let error = check("x.yaml", &text).unwrap_err().to_string();
        assert_eq!(
            error,
            "x.yaml:6: expect: unknown metric \"wait_second.mean\"; \
             did you mean \"wait_seconds.mean\"?"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("no/such.yaml")).unwrap_err();
        assert_eq!(error.to_string(), "no/such.yaml: cannot read the scenario");
    }

    /// The scenarios that ship with the repository, by path.
    fn shipped() -> Vec<(PathBuf, Scenario)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("simulations");
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<_> =
            entries.filter(|path| path.extension().is_some_and(|ext| ext == "yaml")).collect();
        paths.sort();
        let loaded = paths.into_iter().map(|path| match load(&path) {
            Ok(scenario) => (path, scenario),
            Err(error) => panic!("{error}"),
        });
        loaded.collect()
    }

    #[test]
    fn shipped_scenarios_are_valid_small_and_expect_something() {
        let scenarios = shipped();
        assert!(scenarios.len() >= 10, "{}", scenarios.len());
        for (path, scenario) in &scenarios {
            let shown = path.display();
            let text = fs::read_to_string(path).unwrap();
            assert!(text.starts_with("# ") && text.contains("# Look for: "), "{shown}");
            assert!(!scenario.expect.is_empty() && !scenario.policies.is_empty(), "{shown}");
            let jobs = arrivals::of_scenario(scenario).jobs.len();
            assert!((1..=10_000).contains(&jobs), "{shown}: {jobs} jobs");
        }
    }

    #[test]
    fn the_readme_lists_every_shipped_scenario() {
        let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("simulations/README.md");
        let readme = fs::read_to_string(readme).unwrap();
        for (path, scenario) in shipped() {
            let row = format!("| `{}` |", scenario.name);
            assert!(readme.contains(&row), "{} is not in the table", path.display());
        }
    }

    #[test]
    fn the_expected_numbers_of_scored_jobs_are_what_the_sources_give() {
        for (path, scenario) in shipped() {
            let trace = arrivals::of_scenario(&scenario);
            let is_scored = |job: &&Job| !job.is_preexisting() && job.submit >= scenario.score_from;
            let scored = trace.jobs.iter().filter(is_scored).count() as f64;
            for expected in &scenario.expect {
                let holds = match (expected.metric.as_str(), expected.comparison) {
                    ("scored_jobs", Comparison::Within(by)) => {
                        (scored - expected.value).abs() <= by
                    }
                    ("scored_jobs", _) => (scored - expected.value).abs() < 0.5,
                    _ => true,
                };
                assert!(holds, "{}:{}: {scored}", path.display(), expected.line);
            }
        }
    }
}
