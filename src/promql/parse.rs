//! The JSON of an answer. Keys may come in any order, unknown ones are skipped; nothing is buffered twice.

use super::{Answer, Data, Labels, Point, Remark, Series};
use crate::time::Timestamp;
use serde::{
    Deserialize,
    de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{collections::BTreeMap, fmt};
use thiserror::Error;

/// Why bytes are not the answer to a query.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AnswerFault {
    /// No JSON, or JSON of something else.
    #[error("not an answer of the Prometheus API: {0}")]
    NotAnAnswer(String),
    /// The server answered that it could not.
    #[error("{kind}: {message}")]
    Refused {
        /// `errorType`, such as `bad_data`, `execution`, `timeout`.
        kind: String,
        /// `error`.
        message: String,
    },
    /// A sample's instant is outside of the years 1970 to 2242.
    #[error("a sample is at {0} s of the Unix epoch, which cannot be")]
    Instant(String),
}

/// The end of the year 2242 in seconds; later instants are nonsense, and sums of earlier ones do not overflow.
const LAST_SECOND: f64 = 8.6e9;

/// Reads an answer.
pub fn parse(bytes: &[u8]) -> Result<Answer, AnswerFault> {
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| AnswerFault::NotAnAnswer(error.to_string()))?;
    if document.status != "success" {
        return Err(AnswerFault::Refused {
            kind: document.error_type.unwrap_or_else(|| "error".to_owned()),
            message: document.error.unwrap_or_default(),
        });
    }
    let wrong = |what: &str| AnswerFault::NotAnAnswer(what.to_owned());
    let Some(body) = document.data else { return Err(wrong("`data` is missing")) };
    let mut remarks: Vec<Remark> = document.warnings.into_iter().map(Remark::Warning).collect();
    remarks.extend(document.infos.into_iter().map(Remark::Info));
    if document.is_partial {
        remarks.push(Remark::Partial);
    }
    let items = body.result.0;
    let data = match body.result_type.as_str() {
        "vector" => Data::Vector(series(items, &mut remarks)?),
        "matrix" => Data::Matrix(series(items, &mut remarks)?),
        "scalar" => Data::Scalar(scalar(&items)?),
        "string" => match items.into_iter().nth(1) {
            Some(Item::Text(text)) => Data::Text(text),
            _ => return Err(wrong("a string without text")),
        },
        other => return Err(wrong(&format!("unknown resultType `{}`", short(other)))),
    };
    Ok(Answer { data, remarks })
}

fn scalar(items: &[Item]) -> Result<Point, AnswerFault> {
    match items {
        [Item::Number(at), Item::Text(value)] => Ok(Point {
            at: instant(*at)?,
            value: value.parse().map_err(|_| {
                AnswerFault::NotAnAnswer(format!("`{}` is no number", short(value)))
            })?,
        }),
        _ => Err(AnswerFault::NotAnAnswer("a scalar that is no pair".to_owned())),
    }
}

/// Series by their labels: those that came twice are joined, points put in order.
fn series(items: Vec<Item>, remarks: &mut Vec<Remark>) -> Result<Vec<Series>, AnswerFault> {
    let mut by_labels: BTreeMap<Labels, Vec<Point>> = BTreeMap::new();
    let (mut doubled, mut disordered, mut histograms) = (0, 0, 0);
    for item in items {
        let Item::Series(raw) = item else {
            return Err(AnswerFault::NotAnAnswer("a series that is no object".to_owned()));
        };
        histograms += u64::from(raw.has_histogram);
        let mut labels = raw.labels;
        labels.retain(|_, value| !value.is_empty());
        let points = raw
            .points
            .into_iter()
            .map(|pair| Ok(Point { at: instant(pair.at)?, value: pair.value }));
        let points = points.collect::<Result<Vec<_>, AnswerFault>>()?;
        match by_labels.entry(labels) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(points);
            }
            std::collections::btree_map::Entry::Occupied(mut taken) => {
                doubled += 1;
                taken.get_mut().extend(points);
            }
        }
    }
    let made = by_labels.into_iter().map(|(labels, mut points)| {
        disordered += put_in_order(&mut points);
        Series { labels, points }
    });
    let made = made.collect();
    let counted = [
        (doubled, Remark::Duplicates(doubled)),
        (disordered, Remark::OutOfOrder(disordered)),
        (histograms, Remark::Histograms(histograms)),
    ];
    remarks.extend(counted.into_iter().filter(|(n, _)| *n > 0).map(|(_, remark)| remark));
    Ok(made)
}

/// Ascending, one point an instant; how many were not so.
fn put_in_order(points: &mut Vec<Point>) -> u64 {
    let wrong = points.windows(2).filter(|pair| pair[0].at >= pair[1].at).count() as u64;
    if wrong > 0 {
        points.sort_by_key(|point| point.at);
        let mut kept: Vec<Point> = Vec::with_capacity(points.len());
        for point in points.drain(..) {
            match kept.last_mut() {
                Some(last) if last.at == point.at => *last = point,
                _ => kept.push(point),
            }
        }
        *points = kept;
    }
    wrong
}

fn instant(seconds: f64) -> Result<Timestamp, AnswerFault> {
    if !(0.0..LAST_SECOND).contains(&seconds) {
        return Err(AnswerFault::Instant(seconds.to_string()));
    }
    Ok(Timestamp((seconds * 1000.0).round() as i64))
}

/// Enough of a foreign text for a message.
fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

#[derive(Deserialize)]
struct Document {
    status: String,
    #[serde(default)]
    data: Option<Body>,
    #[serde(default, rename = "errorType")]
    error_type: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default, deserialize_with = "texts")]
    warnings: Vec<String>,
    #[serde(default, deserialize_with = "texts")]
    infos: Vec<String>,
    /// VictoriaMetrics says so when storage nodes are down.
    #[serde(default, rename = "isPartial")]
    is_partial: bool,
}

/// A list that may be null.
fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Option::<Vec<String>>::deserialize(from).map(Option::unwrap_or_default)
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Items,
}

/// The elements of `result`, whatever they are: the type may be named after them.
struct Items(Vec<Item>);

enum Item {
    Number(f64),
    Text(String),
    Series(RawSeries),
}

#[derive(Default)]
struct RawSeries {
    labels: Labels,
    points: Vec<Pair>,
    has_histogram: bool,
}

/// An instant in seconds and a value that is written as a text.
struct Pair {
    at: f64,
    value: f64,
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // `null` is an empty result for some servers.
        Option::<Vec<Item>>::deserialize(from).map(|items| Self(items.unwrap_or_default()))
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Item;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a series, a number or a text")
            }
            fn visit_f64<E>(self, number: f64) -> Result<Item, E> {
                Ok(Item::Number(number))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Item, E> {
                Ok(Item::Number(number as f64))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Item, E> {
                Ok(Item::Number(number as f64))
            }
            fn visit_str<E>(self, text: &str) -> Result<Item, E> {
                Ok(Item::Text(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Item, A::Error> {
                raw_series(map).map(Item::Series)
            }
        }
        from.deserialize_any(Any)
    }
}

fn raw_series<'de, A: MapAccess<'de>>(mut map: A) -> Result<RawSeries, A::Error> {
    let mut series = RawSeries::default();
    while let Some(key) = map.next_key::<String>()? {
        match key.as_str() {
            "metric" => series.labels = map.next_value()?,
            "value" => series.points.push(map.next_value()?),
            "values" => series.points.extend(map.next_value::<Vec<Pair>>()?),
            "histogram" | "histograms" => {
                series.has_histogram = true;
                map.next_value::<IgnoredAny>()?;
            }
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }
    Ok(series)
}

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Two;
        impl<'de> Visitor<'de> for Two {
            type Value = Pair;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a pair of an instant and a value as text")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Pair, A::Error> {
                let missing = || de::Error::custom("a sample is a pair");
                let at = pair.next_element()?.ok_or_else(missing)?;
                let Value(value) = pair.next_element()?.ok_or_else(missing)?;
                match pair.next_element::<IgnoredAny>()? {
                    None => Ok(Pair { at, value }),
                    Some(_) => Err(missing()),
                }
            }
        }
        from.deserialize_seq(Two)
    }
}

/// `"8"`, `"NaN"`, `"+Inf"`.
struct Value(f64);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number as text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
                let wrong = || E::custom(format_args!("`{}` is no number", short(text)));
                text.parse().map(Value).map_err(|_| wrong())
            }
        }
        from.deserialize_str(Text)
    }
}
