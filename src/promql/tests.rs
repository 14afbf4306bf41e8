use super::*;
use crate::time::Timestamp;
use proptest::prelude::*;

const VECTOR: &str = r#"{"status":"success","data":{"resultType":"vector","result":[
    {"metric":{"node":"b","zone":""},"value":[1792065600.5,"24"]},
    {"metric":{"node":"a"},"value":[1792065600,"+Inf"]}]}}"#;

const MATRIX: &str = r#"{"status":"success","isPartial":false,"data":{"resultType":"matrix","result":[
    {"metric":{"a":"b\u00e9","c":""},"values":[[1,"1"],[2.5,"NaN"],[3,"-Inf"]]},
    {"metric":{},"values":[],"histograms":[[1,{"count":"2","buckets":[[0,"1","2","3"]]}]]}]},"warnings":["w"]}"#;

fn answer(text: &str) -> Answer {
    parse(text.as_bytes()).unwrap()
}

fn of_matrix(series: &str) -> Answer {
    answer(&format!(
        r#"{{"data":{{"result":[{series}],"resultType":"matrix"}},"status":"success"}}"#
    ))
}

#[test]
fn a_vector_is_ordered_and_an_empty_label_is_none() {
    let Data::Vector(series) = answer(VECTOR).data else { panic!("a vector") };
    assert_eq!(series[0].label("node"), "a");
    assert!(series[0].points[0].value.is_infinite());
    assert_eq!(series[0].last(), None, "an infinite value is no number");
    assert_eq!(series[1].points[0].at, Timestamp(1_792_065_600_500));
    assert_eq!(series[1].labels.len(), 1);
}

#[test]
fn a_series_that_comes_twice_is_joined_and_told() {
    let doubled = of_matrix(
        r#"{"metric":{"a":"b"},"values":[[1,"1"],[3,"3"]]},{"metric":{"a":"b"},"values":[[2,"2"],[3,"4"]]}"#,
    );
    assert_eq!(doubled.remarks[0], Remark::Duplicates(1));
    assert!(matches!(doubled.remarks[1], Remark::OutOfOrder(n) if n > 0));
    let series = doubled.data.into_series();
    let values: Vec<f64> = series[0].points.iter().map(|point| point.value).collect();
    assert_eq!(values, vec![1.0, 2.0, 4.0]);
}

#[test]
fn histograms_are_left_out_and_told() {
    let told = of_matrix(r#"{"metric":{},"histograms":[[1,{"count":"2"}]],"values":[[1,"NaN"]]}"#);
    assert_eq!(told.remarks, [Remark::Histograms(1)]);
    assert_eq!(told.data.into_series()[0].finite().count(), 0);
}

#[test]
fn warnings_infos_and_partial_answers_are_kept() {
    let text = VECTOR.replacen(
        '{',
        r#"{"warnings":["one store is down"],"infos":["might not be a counter"],"isPartial":true,"#,
        1,
    );
    let remarks = answer(&text).remarks;
    assert_eq!(remarks.len(), 3);
    assert_eq!(remarks.iter().filter(|remark| remark.is_doubt()).count(), 2);
}

#[test]
fn scalars_and_texts_are_no_series() {
    let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[10,"NaN"]}}"#;
    assert!(matches!(answer(scalar).data, Data::Scalar(point) if point.value.is_nan()));
    let text = r#"{"status":"success","data":{"resultType":"string","result":[10,"x"]}}"#;
    assert_eq!(answer(text).data, Data::Text("x".to_owned()));
}

#[test]
fn what_is_no_answer_is_refused() {
    let fault = |text: &str| parse(text.as_bytes()).unwrap_err();
    assert_eq!(
        fault(r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#),
        AnswerFault::Refused { kind: "timeout".to_owned(), message: "query timed out".to_owned() }
    );
    for wrong in [
        "<html>",
        "",
        "{}",
        r#"{"status":"success"}"#,
        r#"{"status":"success","data":{"resultType":"matrix","result":[[1,"2"]]}}"#,
        r#"{"status":"success","data":{"resultType":"scalar","result":["1","2"]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"x"]}]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"value":[1,"2",3]}]}}"#,
        r#"{"status":"success","data":{"resultType":"tensor","result":[]}}"#,
    ] {
        assert!(matches!(fault(wrong), AnswerFault::NotAnAnswer(_)), "{wrong}");
    }
    for at in ["-1", "1e300", "8700000000"] {
        let text = VECTOR.replace("1792065600.5", at);
        assert!(matches!(fault(&text), AnswerFault::Instant(_)), "{at}");
    }
}

#[test]
fn strings_are_quoted_and_names_checked() {
    assert_eq!(in_quotes("a\"b\\c\nd"), r#""a\"b\\c\nd""#);
    assert!(is_label_name("exported_pod") && is_label_name("_9"));
    assert!(!is_label_name("") && !is_label_name("9a") && !is_label_name("a-b"));
}

proptest! {
    /// Whatever a few bytes of an answer turn into, reading ends and says something.
    #[test]
    fn changed_bytes_do_no_harm(changes in prop::collection::vec((0..VECTOR.len(), any::<u8>()), 1..6)) {
        let mut bytes = VECTOR.as_bytes().to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        if let Ok(answer) = parse(&bytes) {
            for series in answer.data.into_series() {
                prop_assert!(series.points.windows(2).all(|pair| pair[0].at < pair[1].at));
            }
        }
    }

    /// Nor pieces of an answer that are missing, doubled or in another place.
    #[test]
    fn moved_pieces_do_no_harm(moves in prop::collection::vec((0..MATRIX.len(), 0..40_usize, 0..MATRIX.len()), 1..5)) {
        let mut bytes = MATRIX.as_bytes().to_vec();
        for (from, length, to) in moves {
            let from = from.min(bytes.len());
            let piece = bytes[from..bytes.len().min(from + length)].to_vec();
            if to % 3 == 0 {
                bytes.drain(from..from + piece.len());
            }
            let to = to.min(bytes.len());
            bytes.splice(to..to, piece);
        }
        if let Ok(answer) = parse(&bytes) {
            for series in answer.data.into_series() {
                prop_assert!(series.points.windows(2).all(|pair| pair[0].at < pair[1].at));
                prop_assert!(series.labels.values().all(|value| !value.is_empty()));
            }
        }
    }

    /// Random bytes are no answer.
    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(parse(&bytes).is_err());
    }
}
