//! The page for a Prometheus that has not what is needed.

use super::day;
use crate::{
    history::{Need, Presence, Window},
    prometheus::{Client, Survey, Wanted},
};
use std::fmt::Write;

/// Whether there is what a history needs. A resource that the user names need not look like a GPU.
pub(super) fn is_enough(survey: &Survey, wanted: &Wanted) -> bool {
    let missing = survey.found.missing(survey.source.metric);
    missing.iter().all(|missing| missing.need != Need::Must)
        && (wanted.resource.is_some() || !survey.found.resources.is_empty())
}

/// What there is, what is missing, and what to do.
pub(super) fn page(client: &Client, survey: &Survey, window: Window) -> String {
    let mut text = String::new();
    let mut line = |words: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        writeln!(text, "{words}").ok();
    };
    let (url, from, until) = (client.url(), day(window.from), day(window.until));
    line(format_args!("No history of GPU pods in {url} from {from} to {until}.\n"));
    let missing = survey.found.missing(survey.source.metric);
    let all_missing = survey.found.series.values().all(|&series| series == 0);
    for (need, head) in
        [(Need::Must, "Needed, and not there:"), (Need::Should, "Useful, and not there:")]
    {
        let such: Vec<&Presence> = missing.iter().filter(|missing| missing.need == need).collect();
        if such.is_empty() {
            continue;
        }
        line(format_args!("{head}"));
        let mut remedies: Vec<&str> = Vec::new();
        for missing in such {
            line(format_args!("  {:<40} {}", missing.metric, missing.what_for));
            if !remedies.contains(&missing.remedy) {
                remedies.push(missing.remedy);
            }
        }
        for remedy in remedies {
            line(format_args!("  -> {remedy}"));
        }
        line(format_args!(""));
    }
    let there: Vec<String> = survey
        .found
        .series
        .iter()
        .filter(|(_, series)| **series > 0)
        .map(|(metric, series)| format!("{metric} ({series} series)"))
        .collect();
    if !there.is_empty() {
        line(format_args!("There: {}.", there.join(", ")));
    }
    let resources: Vec<&str> = survey.found.resources.keys().map(String::as_str).collect();
    match resources.as_slice() {
        [] if !all_missing => line(format_args!(
            "No pod asks for a GPU in this time. Look at another time (--until, --since), or name the resource \
             (--gpu-resource REGEX, as the metric writes it)."
        )),
        [] => line(format_args!(
            "If the metrics are there, but older or in another place: --since, --until, --prometheus-tenant."
        )),
        names => line(format_args!(
            "Resources that pods ask for: {}; read was `{}` (--gpu-resource).",
            names.join(", "),
            survey.source.resource
        )),
    }
    text
}
