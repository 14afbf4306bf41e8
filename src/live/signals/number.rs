//! What the answer to a signal's query says.

use crate::{
    model::ReadValue,
    promql::{Answer, Remark},
    time::{Millis, Timestamp},
};

/// A value, and what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// For the engine.
    pub value: ReadValue,
    /// For people.
    pub trouble: Option<String>,
}

/// The one number that an instant query of a signal has to give. One that comes from a part of the data only is
/// none: it would be too small.
pub fn number(answer: Answer) -> Number {
    let doubts: Vec<String> = doubts(&answer.remarks);
    if !doubts.is_empty() {
        return Number { value: ReadValue::Absent, trouble: Some(doubts.join("; ")) };
    }
    let series = answer.data.into_series();
    let values: Vec<f64> =
        series.iter().filter_map(|one| one.points.last()).map(|point| point.value).collect();
    let value = ReadValue::of(&values);
    Number { value, trouble: trouble(value, &values) }
}

fn trouble(value: ReadValue, values: &[f64]) -> Option<String> {
    match (value, values) {
        (ReadValue::Units(_), _) => None,
        (ReadValue::Absent, _) => {
            Some("the query gives nothing; if that means zero, add `or vector(0)`".to_owned())
        }
        (ReadValue::Absurd, [absurd]) => {
            Some(format!("the query gives {absurd}, which is no number of anything"))
        }
        (ReadValue::Absurd, several) => Some(format!(
            "the query gives {} series and has to give one: put `sum( )` or `max( )` around it",
            several.len()
        )),
    }
}

fn doubts(remarks: &[Remark]) -> Vec<String> {
    remarks.iter().filter(|remark| remark.is_doubt()).map(ToString::to_string).collect()
}

/// Values of the past, `every` so long one from `from` on, until `until`. A series of several is none.
pub fn past(
    answer: Answer,
    (from, until): (Timestamp, Timestamp),
    every: Millis,
) -> Vec<Option<f64>> {
    let steps = ((until - from).0.max(0) / every.0.max(1)) as usize + 1;
    let mut values = vec![None; steps];
    let series = answer.data.into_series();
    let [only] = series.as_slice() else { return values };
    for point in only.finite().filter(|point| point.value >= 0.0) {
        let place = (point.at - from).0.div_euclid(every.0.max(1));
        if let Some(value) = usize::try_from(place).ok().and_then(|place| values.get_mut(place)) {
            *value = Some(point.value);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::parse;

    fn of(body: &str) -> Number {
        number(parse(body.as_bytes()).unwrap())
    }

    fn vector(values: &[&str], more: &str) -> String {
        let series = values.iter().enumerate().map(|(nth, value)| {
            format!(r#"{{"metric":{{"n":"{nth}"}},"value":[1700000000,"{value}"]}}"#)
        });
        let series = series.collect::<Vec<_>>().join(",");
        let data = format!(r#"{{"resultType":"vector","result":[{series}]}}"#);
        format!(r#"{{"status":"success"{more},"data":{data}}}"#)
    }

    #[test]
    fn one_number_that_is_not_negative_is_a_reading() {
        for (text, units) in [("7", 7.0), ("0", 0.0), ("1.5e3", 1500.0)] {
            let found = of(&vector(&[text], ""));
            assert_eq!(found, Number { value: ReadValue::Units(units), trouble: None });
        }
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"4"]}}"#;
        assert_eq!(of(scalar).value, ReadValue::Units(4.0));
    }

    #[test]
    fn anything_else_is_told() {
        let cases = [
            (&[][..], ReadValue::Absent, "or vector(0)"),
            (&["1", "2", "3"], ReadValue::Absurd, "3 series"),
            (&["NaN"], ReadValue::Absurd, "NaN"),
            (&["+Inf"], ReadValue::Absurd, "inf"),
            (&["-1"], ReadValue::Absurd, "-1"),
        ];
        for (values, value, word) in cases {
            let found = of(&vector(values, ""));
            assert_eq!(found.value, value, "{values:?}");
            assert!(found.trouble.as_ref().unwrap().contains(word), "{found:?}");
        }
    }

    #[test]
    fn a_number_from_a_part_of_the_data_is_none() {
        let found = of(&vector(&["7"], r#","warnings":["store 2 did not answer"]"#));
        assert_eq!(found.value, ReadValue::Absent);
        assert!(found.trouble.unwrap().contains("store 2 did not answer"));
        // What is only said for information changes nothing.
        assert_eq!(of(&vector(&["7"], r#","infos":["x"]"#)).value, ReadValue::Units(7.0));
    }

    #[test]
    fn values_of_the_past_stand_at_their_steps() {
        let body = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},
            "values":[[1000,"1"],[1060,"NaN"],[1180,"4"],[1240,"-2"]]}]}}"#;
        let window = (Timestamp::from_secs(1000), Timestamp::from_secs(1240));
        let found = past(parse(body.as_bytes()).unwrap(), window, Millis::from_mins(1));
        assert_eq!(found, [Some(1.0), None, None, Some(4.0), None]);
    }
}
