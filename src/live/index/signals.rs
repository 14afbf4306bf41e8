//! Outside signals as the engine takes them.

use super::{capacity::shorten, findings::Note};
use crate::{
    engine::{MOST_SIGNALS, SignalSettings},
    live::gpu_pool::SignalQuery,
    time::Millis,
};

/// Largest number of GPUs for a unit, as there.
const MOST_GPUS: f64 = 10_000.0;

/// What can be used of them; of two with one name the first.
pub(super) fn settings(queries: &[SignalQuery], notes: &mut Vec<Note>) -> Vec<SignalSettings> {
    let mut all: Vec<SignalSettings> = Vec::new();
    for query in queries {
        let fault = if all.len() == MOST_SIGNALS {
            Some(format!("there are more than {MOST_SIGNALS}"))
        } else if all.iter().any(|known| known.name == query.name) {
            Some("the name is there twice".to_owned())
        } else if !(0.0..=MOST_GPUS).contains(&query.gpus_per_unit) {
            Some(format!("gpusPerUnit is {}, not from 0 to {MOST_GPUS}", query.gpus_per_unit))
        } else {
            None
        };
        match fault {
            None => all.push(SignalSettings {
                name: query.name.clone(),
                source: query.promql.clone(),
                gpus_per_unit: query.gpus_per_unit,
                lead: (query.lead_seconds > 0)
                    .then(|| Millis::from_secs(i64::from(query.lead_seconds))),
                max_gpus: query.max_gpus,
            }),
            Some(fault) => notes.push(Note::bad_setting(format!(
                "signals {:?}: {fault}; it is left out",
                shorten(&query.name)
            ))),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, gpus_per_unit: f64) -> SignalQuery {
        SignalQuery {
            name: name.to_owned(),
            promql: "q".to_owned(),
            gpus_per_unit,
            lead_seconds: 0,
            max_gpus: None,
        }
    }

    #[test]
    fn what_cannot_be_used_is_left_out_and_named() {
        let queries = [
            query("queue", 2.0),
            SignalQuery { lead_seconds: 90, max_gpus: Some(8), ..query("users", 0.5) },
            query("queue", 3.0),
            query("nan", f64::NAN),
            query("below", -1.0),
        ];
        let mut notes = Vec::new();
        let found = settings(&queries, &mut notes);
        let names: Vec<&str> = found.iter().map(|signal| signal.name.as_str()).collect();
        assert_eq!(names, ["queue", "users"]);
        assert_eq!((found[0].gpus_per_unit, found[0].lead), (2.0, None));
        assert_eq!((found[1].lead, found[1].max_gpus), (Some(Millis::from_secs(90)), Some(8)));
        let told: Vec<&str> = notes.iter().map(|note| note.message.as_str()).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        for (told, words) in told.iter().zip(["there twice", "NaN", "-1"]) {
            assert!(told.contains(words) && told.contains("left out"), "{told}");
        }
    }

    #[test]
    fn there_are_at_most_as_many_as_the_schema_allows() {
        let queries: Vec<SignalQuery> = (0..18).map(|nth| query(&format!("s{nth}"), 1.0)).collect();
        let mut notes = Vec::new();
        assert_eq!((settings(&queries, &mut notes).len(), notes.len()), (MOST_SIGNALS, 2));
    }
}
