//! What following a signal would have lost: the mean pinball loss, at the level that is kept ready, of "demand will
//! rise by this much".

use super::Form;
use crate::{forecast::pinball::pinball, units::GPU_MILLI};

/// Steps of the grid on which other GPUs for each unit are tried, each a quarter of a doubling: from a 64th to 64
/// times those of the settings.
const GRID: i32 = 24;

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

    /// Mean loss of the best constant: the quantile of the rises.
    pub fn constant(&self) -> f64 {
        let mut rises: Vec<i64> = self.minutes().map(|(_, _, rise)| rise).collect();
        if rises.is_empty() {
            return 0.0;
        }
        let rank = ((rises.len() as f64 * self.level).ceil() as usize).clamp(1, rises.len()) - 1;
        let quantile = *rises.select_nth_unstable(rank).1 as f64;
        self.mean(|_, _| quantile)
    }

    /// Mean loss of a form.
    pub fn loss(&self, word: Word, form: Form) -> f64 {
        self.mean(|units, demand| word.rise(form, units, demand))
    }

    /// The form that loses less, and what it loses; of equal ones the smaller.
    pub fn better_form(&self, word: Word) -> (Form, f64) {
        let [level, additional] = [Form::Level, Form::Additional].map(|form| self.loss(word, form));
        if additional < level { (Form::Additional, additional) } else { (Form::Level, level) }
    }

    /// The GPUs for each unit with which the better form loses least, and what it loses.
    pub fn best_word(&self, word: Word) -> (Word, f64) {
        let base = if word.gpus_per_unit > 0.0 { word.gpus_per_unit } else { 1.0 };
        let other = |step: i32| Word {
            gpus_per_unit: short(base * 2.0_f64.powf(f64::from(step) / 4.0)),
            ..word
        };
        let tried = (-GRID..=GRID).map(|step| {
            let word = other(step);
            (word, self.better_form(word).1)
        });
        let start = (word, f64::INFINITY);
        tried.fold(start, |best, next| if next.1 < best.1 { next } else { best })
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
