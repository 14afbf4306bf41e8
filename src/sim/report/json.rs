//! The document for programs: `prewarm simulate --output json`.

use super::Report;

/// The report as indented JSON with a newline at its end. Keys come in a fixed order; a figure that is
/// not finite is written as `null`, so that every reader can parse the document.
#[expect(clippy::missing_panics_doc, reason = "the message says why it cannot")]
pub fn json(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report)
        .expect("a report has string keys only, and writing to memory cannot fail");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::{super::invented, *};

    #[test]
    fn the_document_names_its_schema_and_ends_with_a_newline() {
        let text = json(&invented::report());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema"], "prewarm.report/v1");
        assert!(text.ends_with("}\n"));
        assert_eq!(text, json(&invented::report()));
    }

    #[test]
    fn caveats_are_a_list_of_sentences() {
        let value = |report| serde_json::from_str::<serde_json::Value>(&json(&report)).unwrap();
        let said = "3 jobs fit no pool and wait to the end.";
        assert_eq!(value(invented::report())["caveats"], serde_json::json!([said]));
        assert_eq!(value(invented::empty_report())["caveats"], serde_json::json!([]));
    }

    #[test]
    fn figures_that_are_not_finite_become_null() {
        let mut report = invented::report();
        report.policies[0].node_hours = f64::NAN;
        report.policies[0].wait_seconds.max = f64::INFINITY;
        report.policies[0].gap_closed.k20 = Some(f64::NEG_INFINITY);
        let value: serde_json::Value = serde_json::from_str(&json(&report)).unwrap();
        let policy = &value["policies"][0];
        assert!(policy["node_hours"].is_null());
        assert!(policy["wait_seconds"]["max"].is_null());
        assert!(policy["gap_closed"]["20"].is_null());
    }

    #[test]
    fn a_complete_run_does_not_mention_being_partial() {
        let value: serde_json::Value = serde_json::from_str(&json(&invented::report())).unwrap();
        assert!(value.get("partial").is_none());
        assert!(value["policies"][0].get("until_hours").is_none());
    }
}
