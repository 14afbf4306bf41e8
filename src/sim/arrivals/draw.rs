//! Random streams by name, and the draws all generators share.
//!
//! `ChaCha8` with a key made of the seed and the source's name, and one stream number per purpose: its
//! output is specified, so a scenario gives the same jobs with every version of the libraries. FNV-1a
//! makes the name a number; it is fixed for ever, unlike the standard library's hasher.

use crate::{
    config::scenario::{RunTime, Template},
    model::Shape,
    time::{Millis, Timestamp},
};
use rand_chacha::{ChaCha8Rng, rand_core::Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, Exp1, StandardNormal};

/// Nothing runs shorter.
const SHORTEST: Millis = Millis::from_secs(1);

/// What a stream is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    When = 0,
    Who = 1,
    What = 2,
    HowLong = 3,
    HowMany = 4,
    Whether = 5,
    Gaps = 6,
}

/// The streams of one source.
#[derive(Clone, Copy)]
pub(super) struct Streams<'a> {
    pub(super) seed: u64,
    pub(super) source: &'a str,
}

impl Streams<'_> {
    pub(super) fn of(self, purpose: Purpose) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&fnv1a(self.source.bytes()).to_le_bytes());
        key[16..24].copy_from_slice(&fnv1a(self.source.bytes().rev()).to_le_bytes());
        let mut stream = ChaCha8Rng::from_seed(key);
        stream.set_stream(purpose as u64);
        stream
    }
}

/// Fowler, Noll and Vo, 64 bits, variant 1a.
fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Even in `[0, 1)`, 53 bits.
pub(super) fn unit(stream: &mut ChaCha8Rng) -> f64 {
    (stream.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Even in `0..count`; `count` is far below 2^53, so the bias is too.
pub(super) fn index(stream: &mut ChaCha8Rng, count: usize) -> usize {
    ((unit(stream) * count as f64) as usize).min(count.saturating_sub(1))
}

/// Exponential with a mean of so many milliseconds.
pub(super) fn exponential(stream: &mut ChaCha8Rng, mean_ms: f64) -> f64 {
    let one: f64 = Exp1.sample(stream);
    one * mean_ms
}

/// Failures before the first success: geometric from 0 with the given mean.
pub(super) fn geometric(stream: &mut ChaCha8Rng, mean: f64) -> u32 {
    if mean <= 0.0 {
        return 0;
    }
    // P(X >= k) = q^k with q = mean / (1 + mean); by inversion.
    let q = mean / (1.0 + mean);
    ((1.0 - unit(stream)).ln() / q.ln()).floor().min(1e6) as u32
}

/// Who, what and how long, for one source.
pub(super) struct Picker<'a> {
    template: &'a Template,
    end: Timestamp,
    who: ChaCha8Rng,
    what: ChaCha8Rng,
    how_long: ChaCha8Rng,
    total_weight: f64,
}

impl<'a> Picker<'a> {
    pub(super) fn new(template: &'a Template, streams: Streams<'_>, end: Timestamp) -> Self {
        Self {
            template,
            end,
            who: streams.of(Purpose::Who),
            what: streams.of(Purpose::What),
            how_long: streams.of(Purpose::HowLong),
            total_weight: template.shapes.iter().map(|(_, weight)| weight).sum(),
        }
    }

    pub(super) fn owner(&mut self) -> &'a str {
        let owners = &self.template.owners;
        owners.get(index(&mut self.who, owners.len())).map_or("", String::as_str)
    }

    pub(super) fn shape(&mut self) -> &'a Shape {
        let mut left = unit(&mut self.what) * self.total_weight;
        let shapes = &self.template.shapes;
        for (shape, weight) in shapes {
            left -= weight;
            if left < 0.0 {
                return shape;
            }
        }
        // Rounding can leave a sliver above the last weight.
        let last = shapes.iter().rev().find(|(_, weight)| *weight > 0.0).or_else(|| shapes.last());
        &last.expect("a checked template has at least one shape").0
    }

    pub(super) fn run_time(&mut self) -> Millis {
        let stream = &mut self.how_long;
        let (drawn, max) = match self.template.run_time {
            RunTime::Fixed(span) => return span,
            RunTime::Forever => return Millis(self.end.0) + Millis::from_hours(1),
            RunTime::LogNormal { median, sigma, max } => {
                let normal: f64 = StandardNormal.sample(stream);
                (median.0 as f64 * (sigma * normal).exp(), max)
            }
            RunTime::Exponential { mean, max } => (exponential(stream, mean.0 as f64), max),
            RunTime::Uniform { from, to } => {
                (from.0 as f64 + unit(stream) * (to - from).0 as f64, to)
            }
        };
        // Whole seconds, as in the traces; the cast saturates.
        Millis((drawn / 1000.0).round() as i64 * 1000).min(max).max(SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(source: &str, purpose: Purpose) -> u64 {
        Streams { seed: 7, source }.of(purpose).next_u64()
    }

    #[test]
    fn names_and_purposes_have_streams_of_their_own() {
        assert_eq!(stream("a", Purpose::When), stream("a", Purpose::When));
        assert_ne!(stream("a", Purpose::When), stream("b", Purpose::When));
        assert_ne!(stream("a", Purpose::When), stream("a", Purpose::Who));
        assert_ne!(stream("ab", Purpose::When), stream("ba", Purpose::When));
    }

    #[test]
    fn the_name_hash_is_the_published_one() {
        // Test vectors of the FNV authors.
        assert_eq!(fnv1a(b"a".iter().copied()), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar".iter().copied()), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn geometric_draws_have_their_mean() {
        let mut stream = Streams { seed: 1, source: "g" }.of(Purpose::HowMany);
        let draws: Vec<_> = (0..20_000).map(|_| f64::from(geometric(&mut stream, 4.0))).collect();
        // Standard deviation sqrt(4 * 5) = 4.5, of the mean 0.032.
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        assert!((mean - 4.0).abs() < 0.13, "{mean}");
        assert_eq!(geometric(&mut stream, 0.0), 0);
    }
}
