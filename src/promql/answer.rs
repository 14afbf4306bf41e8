//! What a query comes to.

use crate::time::Timestamp;
use std::collections::BTreeMap;

/// Names and values, by name. An empty value is an absent label.
pub type Labels = BTreeMap<String, String>;

/// A value at an instant of the Unix epoch. It can be NaN or infinite; stale samples never get here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// How much.
    pub value: f64,
}

/// A series: who, and what at which instants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Who.
    pub labels: Labels,
    /// What, ascending in time, one value an instant. A step without a value is absent.
    pub points: Vec<Point>,
}

impl Series {
    /// The value of a label; empty if it has none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The last value that is a number.
    pub fn last(&self) -> Option<f64> {
        self.finite().last().map(|point| point.value)
    }

    /// The points whose values are numbers: neither NaN nor infinite.
    pub fn finite(&self) -> impl Iterator<Item = Point> + '_ {
        self.points.iter().copied().filter(|point| point.value.is_finite())
    }
}

/// The values of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// One point a series.
    Vector(Vec<Series>),
    /// Several points a series.
    Matrix(Vec<Series>),
    /// One number.
    Scalar(Point),
    /// A text.
    Text(String),
}

impl Data {
    /// The series of a vector or matrix; a scalar is a series without labels.
    pub fn into_series(self) -> Vec<Series> {
        match self {
            Self::Vector(series) | Self::Matrix(series) => series,
            Self::Scalar(point) => vec![Series { labels: Labels::new(), points: vec![point] }],
            Self::Text(_) => Vec::new(),
        }
    }
}

/// What the server says besides the values. None of it may be swallowed: a warning can mean that a part of the
/// data is missing (Thanos, Mimir, remote read).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remark {
    /// A warning of the server.
    Warning(String),
    /// An information of the server.
    Info(String),
    /// The server says that only a part of its stores answered.
    Partial,
    /// So many series came more than once; their points were joined.
    Duplicates(u64),
    /// So many points were out of order or of one instant; the last of an instant counts.
    OutOfOrder(u64),
    /// So many native histograms were left out.
    Histograms(u64),
}

impl Remark {
    /// Whether values may be missing or wrong.
    pub const fn is_doubt(&self) -> bool {
        !matches!(self, Self::Info(_))
    }
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Warning(text) => write!(f, "warning of the server: {text}"),
            Self::Info(text) => write!(f, "the server says: {text}"),
            Self::Partial => f.write_str("partial response: not all stores answered"),
            Self::Duplicates(n) => write!(f, "{n} series came more than once and were joined"),
            Self::OutOfOrder(n) => write!(f, "{n} points were out of order or doubled"),
            Self::Histograms(n) => write!(f, "{n} native histograms were left out"),
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The values.
    pub data: Data,
    /// What was said besides.
    pub remarks: Vec<Remark>,
}
