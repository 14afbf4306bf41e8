//! Rules that foretell shapes of jobs, hour by hour.

use prewarm::{
    forecast::shape_mix::ShapeMix,
    time::{Millis, Timestamp},
};
use std::{fmt, iter};

/// Hours that are foretold.
pub(crate) const AHEAD: usize = 6;
/// Of each forecast, so much is spread evenly over so many shapes: what was never seen is possible.
const FLOOR: f64 = 0.01;
const SHAPES: f64 = 256.0;
/// Arrivals after which all counts are halved: a rule that knows no time. Others are compared with it.
const REMEMBERED: u32 = 20_000;

/// A way to foretell shapes, with its settings. Half-lives in hours, 0 = nothing fades.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Rule {
    /// All counts so far.
    All,
    /// All counts, halved after so many arrivals.
    Halved { after: u32 },
    /// Counts that fade with time.
    Fading { half_life: u32 },
    /// Counts that fade with time, shrunk towards another such rule.
    Recent { half_life: u32, pseudo: u32, towards: u32 },
    /// Counts of the same hours of day, shrunk towards counts of all hours (`None` = the mean of spans). `weekend`:
    /// which day of seven is the first of two that are kept apart; `None` = all days are alike.
    ByHour { weekend: Option<usize>, half_life: u32, pseudo: u32, towards: Option<u32> },
    /// The mean of what is said by counts that fade fast and slowly, each shrunk towards the slower one before it.
    Spans { pseudo: u32 },
    /// What the extender and the simulator do.
    Built,
    /// Some of the others, weighted by past loss to this power, of which so much is shared evenly each hour.
    Experts { rate: f64, share: f64 },
}

impl Rule {
    pub(crate) fn family(self) -> &'static str {
        match self {
            Self::All => "all so far",
            Self::Halved { after } if after == REMEMBERED => "halved at 20,000",
            Self::Halved { .. } => "halved by number",
            Self::Fading { .. } => "fading with time",
            Self::Recent { .. } => "recent, shrunk",
            Self::ByHour { weekend: None, .. } => "hour of day",
            Self::ByHour { .. } => "hour and weekend",
            Self::Spans { .. } => "mean of spans",
            Self::Built => "as built",
            Self::Experts { .. } => "experts",
        }
    }

    pub(crate) fn forecaster(self, shapes: usize) -> Box<dyn Forecaster> {
        let counts = |half_life: u32| Tally::new(shapes, half_life, u32::MAX);
        match self {
            Self::All => Box::new(counts(0)),
            Self::Halved { after } => Box::new(Tally::new(shapes, 0, after)),
            Self::Fading { half_life } => Box::new(counts(half_life)),
            Self::Recent { half_life, pseudo, towards } => {
                let (near, far) = (counts(half_life), Box::new(counts(towards)));
                Box::new(Shrunk { near, far, pseudo: f64::from(pseudo) })
            }
            Self::ByHour { weekend, half_life, pseudo, towards } => {
                let near = Slots { slots: vec![counts(half_life); 48], weekend };
                let far: Box<dyn Forecaster> = match towards {
                    Some(half_life) => Box::new(counts(half_life)),
                    None => Self::Spans { pseudo: 3 }.forecaster(shapes),
                };
                Box::new(Shrunk { near, far, pseudo: f64::from(pseudo) })
            }
            Self::Spans { pseudo } => {
                Box::new(Spans { spans: SPANS.map(counts), pseudo: f64::from(pseudo) })
            }
            Self::Built => Box::new(Built { mix: ShapeMix::default(), shapes }),
            Self::Experts { rate, share } => {
                let experts = EXPERTS.iter().map(|rule| rule.forecaster(shapes));
                let experts: Vec<_> = experts.collect();
                let (weights, said) = (vec![0.0; experts.len()], Vec::new());
                Box::new(Panel { experts, said, weights, rate, share })
            }
        }
    }
}

/// Half-lives of [`Rule::Spans`], slowest first.
const SPANS: [u32; 7] = [0, 720, 168, 72, 24, 6, 1];

const EXPERTS: [Rule; 8] = [
    Rule::All,
    Rule::Fading { half_life: 6 },
    Rule::Fading { half_life: 24 },
    Rule::Fading { half_life: 72 },
    Rule::Fading { half_life: 168 },
    Rule::Fading { half_life: 720 },
    Rule::ByHour { weekend: None, half_life: 336, pseudo: 300, towards: Some(0) },
    Rule::ByHour { weekend: None, half_life: 336, pseudo: 1000, towards: Some(72) },
];

/// All rules with all settings.
pub(crate) fn rules() -> Vec<Rule> {
    let mut rules = vec![Rule::All, Rule::Halved { after: REMEMBERED }, Rule::Built];
    rules.extend([250, 1000, 4000].map(|after| Rule::Halved { after }));
    let half_lives = [6, 24, 72, 168, 720];
    rules.extend(half_lives.map(|half_life| Rule::Fading { half_life }));
    for pseudo in [3, 10, 30, 100, 300, 1000] {
        for towards in [0, 720, 168, 72] {
            for half_life in [1, 3, 6, 12, 24, 72] {
                if towards == 0 || half_life < towards {
                    rules.push(Rule::Recent { half_life, pseudo, towards });
                }
            }
        }
        for towards in [Some(0), Some(720), Some(168), Some(72), None] {
            for half_life in [0, 336] {
                for weekend in iter::once(None).chain((0..7).map(Some)) {
                    rules.push(Rule::ByHour { weekend, half_life, pseudo, towards });
                }
            }
        }
    }
    rules.extend([1, 3, 10, 30, 100].map(|pseudo| Rule::Spans { pseudo }));
    for rate in [1.0, 0.3, 0.1, 0.03, 0.01] {
        rules.extend([0.0, 0.01, 0.1, 0.3].map(|share| Rule::Experts { rate, share }));
    }
    rules
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |half_life: u32| match half_life {
            0 => "all".to_owned(),
            hours => format!("{hours} h"),
        };
        match *self {
            Self::All | Self::Built => Ok(()),
            Self::Halved { after } => write!(out, "after {after}"),
            Self::Fading { half_life } => write!(out, "{}", span(half_life)),
            Self::Recent { half_life, pseudo, towards } => {
                write!(out, "{}, {pseudo} of {}", span(half_life), span(towards))
            }
            Self::ByHour { weekend, half_life, pseudo, towards } => {
                let towards = towards.map_or_else(|| "spans".to_owned(), span);
                write!(out, "{}, {pseudo} of {towards}", span(half_life))?;
                weekend.map_or(Ok(()), |day| write!(out, ", from day {day}"))
            }
            Self::Spans { pseudo } => write!(out, "{pseudo} of the slower"),
            Self::Experts { rate, share } => write!(out, "rate {rate}, share {share}"),
        }
    }
}

/// Learns hour by hour.
pub(crate) trait Forecaster {
    /// What came within this hour.
    fn note(&mut self, hour: usize, arrived: &[f64]);

    /// Counts, on whatever scale, of what comes from the beginning of this hour on.
    fn expected(&self, hour: usize) -> Vec<f64>;
}

#[derive(Clone)]
struct Tally {
    counts: Vec<f64>,
    kept: f64,
    halved_at: f64,
    /// Hours up to here have faded.
    faded: usize,
}

impl Tally {
    fn new(shapes: usize, half_life: u32, halved_at: u32) -> Self {
        let kept = if half_life > 0 { 0.5_f64.powf(1.0 / f64::from(half_life)) } else { 1.0 };
        Self { counts: vec![0.0; shapes], kept, halved_at: f64::from(halved_at), faded: 0 }
    }
}

impl Forecaster for Tally {
    fn note(&mut self, hour: usize, arrived: &[f64]) {
        let kept = self.kept.powi((hour - self.faded) as i32);
        self.faded = hour;
        for (count, new) in self.counts.iter_mut().zip(arrived) {
            *count = *count * kept + new;
        }
        if self.counts.iter().sum::<f64>() >= self.halved_at {
            self.counts.iter_mut().for_each(|count| *count /= 2.0);
        }
    }

    fn expected(&self, _: usize) -> Vec<f64> {
        self.counts.clone()
    }
}

/// Counts by hour of day, of two kinds of days if there are.
struct Slots {
    slots: Vec<Tally>,
    weekend: Option<usize>,
}

impl Slots {
    fn slot(&self, hour: usize) -> usize {
        let is_weekend = self.weekend.is_some_and(|day| (hour / 24 + 7 - day) % 7 < 2);
        hour % 24 + 24 * usize::from(is_weekend)
    }
}

impl Forecaster for Slots {
    fn note(&mut self, hour: usize, arrived: &[f64]) {
        let slot = self.slot(hour);
        self.slots[slot].note(hour, arrived);
    }

    fn expected(&self, hour: usize) -> Vec<f64> {
        let slots = (hour..hour + AHEAD).map(|hour| &self.slots[self.slot(hour)].counts);
        slots.fold(vec![0.0; self.slots[0].counts.len()], |sum, slot| added(&sum, slot, 1.0))
    }
}

struct Shrunk<T> {
    near: T,
    far: Box<dyn Forecaster>,
    pseudo: f64,
}

impl<T: Forecaster> Forecaster for Shrunk<T> {
    fn note(&mut self, hour: usize, arrived: &[f64]) {
        self.near.note(hour, arrived);
        self.far.note(hour, arrived);
    }

    fn expected(&self, hour: usize) -> Vec<f64> {
        added(&self.near.expected(hour), &shares(&self.far.expected(hour)), self.pseudo)
    }
}

struct Spans {
    spans: [Tally; SPANS.len()],
    pseudo: f64,
}

impl Forecaster for Spans {
    fn note(&mut self, hour: usize, arrived: &[f64]) {
        self.spans.iter_mut().for_each(|span| span.note(hour, arrived));
    }

    fn expected(&self, _: usize) -> Vec<f64> {
        let mut slower = vec![0.0; self.spans[0].counts.len()];
        let mut sum = slower.clone();
        for span in &self.spans {
            slower = shares(&added(&span.counts, &slower, self.pseudo));
            sum = added(&sum, &slower, 1.0);
        }
        sum
    }
}

struct Built {
    mix: ShapeMix<usize>,
    shapes: usize,
}

impl Forecaster for Built {
    fn note(&mut self, hour: usize, arrived: &[f64]) {
        for (shape, &count) in arrived.iter().enumerate() {
            (0..count as u64).for_each(|_| self.mix.note(shape, start(hour)));
        }
    }

    fn expected(&self, hour: usize) -> Vec<f64> {
        let mut expected = vec![0.0; self.shapes];
        for (shape, weight) in self.mix.clone().news(start(hour)).unwrap_or_default() {
            expected[shape] = weight as f64;
        }
        expected
    }
}

fn start(hour: usize) -> Timestamp {
    Timestamp::ZERO + Millis::from_hours(hour as i64)
}

struct Panel {
    experts: Vec<Box<dyn Forecaster>>,
    /// What they said of this hour.
    said: Vec<Vec<f64>>,
    /// Logarithms to base 2.
    weights: Vec<f64>,
    rate: f64,
    share: f64,
}

impl Forecaster for Panel {
    fn note(&mut self, hour: usize, arrived: &[f64]) {
        for (weight, said) in self.weights.iter_mut().zip(&self.said) {
            *weight -= self.rate * loss(said, arrived, |_| 1.0);
        }
        let all = self.plain();
        let shared = self.share / all.len() as f64;
        self.weights =
            all.iter().map(|weight| (weight * (1.0 - self.share) + shared).log2()).collect();
        self.experts.iter_mut().for_each(|expert| expert.note(hour, arrived));
        self.said = self.experts.iter().map(|one| told(&one.expected(hour + 1))).collect();
    }

    fn expected(&self, hour: usize) -> Vec<f64> {
        let said = self.experts.iter().map(|expert| shares(&expert.expected(hour)));
        let said: Vec<Vec<f64>> = said.collect();
        let none = vec![0.0; said[0].len()];
        said.iter().zip(self.plain()).fold(none, |sum, (one, weight)| added(&sum, one, weight))
    }
}

impl Panel {
    /// Weights that sum up to 1.
    fn plain(&self) -> Vec<f64> {
        let best = self.weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = self.weights.iter().map(|weight| (weight - best).exp2()).collect();
        shares(&weights)
    }
}

fn added(one: &[f64], other: &[f64], times: f64) -> Vec<f64> {
    one.iter().zip(other).map(|(one, other)| one + other * times).collect()
}

fn shares(counts: &[f64]) -> Vec<f64> {
    let sum: f64 = counts.iter().sum();
    counts.iter().map(|count| if sum > 0.0 { count / sum } else { 0.0 }).collect()
}

/// The probability of each shape, never nought.
pub(crate) fn told(counts: &[f64]) -> Vec<f64> {
    let of = |share: &f64| share * (1.0 - FLOOR) + FLOOR / SHAPES;
    shares(counts).iter().map(of).collect()
}

/// Bits of all that arrived.
pub(crate) fn loss(told: &[f64], arrived: &[f64], weight: impl Fn(usize) -> f64) -> f64 {
    let of = |shape: usize| match arrived[shape] {
        0.0 => 0.0,
        count => -count * told[shape].log2() * weight(shape),
    };
    (0..told.len()).map(of).sum()
}
