//! What following a signal would have lost: the mean pinball loss, at the level that is kept ready, of "demand will
//! rise by this much".
//!
//! A signal is followed beside a strategy that keeps something ready anyway, and the larger of both counts. So it is
//! judged beside a constant, the one that suits it best, against the best constant alone. What knows where demand
//! will be in ten minutes knows nothing of the ups and downs until then; those are the constant's.

use super::Form;
use crate::{forecast::pinball::pinball, units::GPU_MILLI};

/// Steps of the grid on which other GPUs for each unit are tried, each half a doubling: from a 64th to 64 times
/// those of the settings.
const GRID: i32 = 12;

/// Quantiles of the rises that are tried as constants beside a signal, and zero.
const BESIDE: [f64; 3] = [0.5, 0.8, 0.9];

/// What the units of a signal stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Word {
    /// GPUs for each.
    pub gpus_per_unit: f64,
    /// Never more GPUs than these.
    pub max_gpus: Option<u32>,
}

impl Word {
    /// Thousandths of GPUs by which demand is said to rise above `demand`.
    pub fn rise(self, form: Form, units: f64, demand: i64) -> f64 {
        let whole = f64::from(GPU_MILLI);
        let said = units * self.gpus_per_unit * whole;
        let rise = match form {
            Form::Additional => said,
            Form::Level => (said - demand as f64).max(0.0),
        };
        self.max_gpus.map_or(rise, |max| rise.min(f64::from(max) * whole))
    }
}

/// Judges by what came.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    /// Of the pinball loss, 0..1.
    pub level: f64,
    /// The signal; minutes without a value do not count.
    pub values: &'a [Option<f64>],
    /// Demand, in thousandths of GPUs.
    pub demand: &'a [i64],
    /// By how much it rose.
    pub rises: &'a [i64],
}

impl Judge<'_> {
    /// (value, demand, rise) where there is a value.
    fn minutes(&self) -> impl Iterator<Item = (f64, i64, i64)> + '_ {
        let known = self.values.iter().zip(self.demand).zip(self.rises);
        known.filter_map(|((value, &demand), &rise)| Some(((*value)?, demand, rise)))
    }

    /// Constants worth trying, the best one by itself first.
    pub fn constants(&self) -> Vec<f64> {
        let mut rises: Vec<i64> = self.minutes().map(|(_, _, rise)| rise).collect();
        rises.sort_unstable();
        let levels = [self.level].into_iter().chain(BESIDE);
        let at = |level: f64| (rises.len() as f64 * level).ceil() as usize;
        let quantile = |level| Some(*rises.get(at(level).saturating_sub(1))? as f64);
        let mut constants: Vec<f64> = levels.filter_map(quantile).chain([0.0]).collect();
        constants.dedup();
        constants
    }

    /// Mean loss of a constant by itself.
    pub fn constant(&self, constant: f64) -> f64 {
        self.mean(|_, _| constant)
    }

    /// Mean loss of a form beside the constant that suits it best.
    fn loss(&self, word: Word, form: Form, constants: &[f64]) -> f64 {
        let beside = constants.iter().map(|&constant| {
            self.mean(|units, demand| word.rise(form, units, demand).max(constant))
        });
        beside.fold(f64::INFINITY, f64::min)
    }

    /// The form that loses less, and what it loses; of equal ones the smaller.
    pub fn better_form(&self, word: Word, constants: &[f64]) -> (Form, f64) {
        let [level, additional] =
            [Form::Level, Form::Additional].map(|form| self.loss(word, form, constants));
        if additional < level { (Form::Additional, additional) } else { (Form::Level, level) }
    }

    /// The GPUs for each unit with which the better form loses least, and what it loses.
    pub fn best_word(&self, word: Word, constants: &[f64]) -> (Word, f64) {
        let base = if word.gpus_per_unit > 0.0 { word.gpus_per_unit } else { 1.0 };
        let tried = (-GRID..=GRID).map(|step| {
            let factor = 2.0_f64.powf(f64::from(step) / 2.0);
            let word = Word { gpus_per_unit: short(base * factor), ..word };
            (word, self.better_form(word, constants).1)
        });
        tried.fold((word, f64::INFINITY), |best, next| if next.1 < best.1 { next } else { best })
    }

    fn mean(&self, bound: impl Fn(f64, i64) -> f64) -> f64 {
        let (mut sum, mut count) = (0.0, 0_u32);
        for (units, demand, rise) in self.minutes() {
            sum += pinball(self.level, rise as f64, bound(units, demand));
            count += 1;
        }
        sum / f64::from(count.max(1))
    }
}

/// Two significant digits: nobody reads more.
fn short(value: f64) -> f64 {
    let scale = 10_f64.powi(1 - value.log10().floor() as i32);
    (value * scale).round() / scale
}
