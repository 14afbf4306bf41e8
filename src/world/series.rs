//! Means over equal bins of time.

use super::outcome::Series;
use crate::time::{Millis, Timestamp};

/// What is true of all pools together between two changes, in thousandths of a GPU.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Level {
    pub(super) demand: u64,
    pub(super) usable: u64,
    pub(super) warming: u64,
    pub(super) waiting: u64,
}

/// Sums levels over bins.
#[derive(Debug)]
pub(super) struct Recorder {
    bin: Millis,
    end: Timestamp,
    sums: Vec<[i128; 4]>,
}

impl Recorder {
    pub(super) fn new(bin: Millis, end: Timestamp) -> Self {
        let bins = (end.0.max(0) + bin.0 - 1) / bin.0;
        Self { bin, end, sums: vec![[0; 4]; bins as usize] }
    }

    /// The level held from `from` until `until`.
    pub(super) fn add(&mut self, from: Timestamp, until: Timestamp, level: Level) {
        let values = [level.demand, level.usable, level.warming, level.waiting].map(i128::from);
        let mut at = from.0.max(0);
        while at < until.0 {
            let bin = at / self.bin.0;
            let stop = ((bin + 1) * self.bin.0).min(until.0);
            let Some(sums) = self.sums.get_mut(bin as usize) else { return };
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += value * i128::from(stop - at);
            }
            at = stop;
        }
    }

    pub(super) fn finish(self) -> Series {
        let widths = (0..self.sums.len() as i64)
            .map(|bin| ((bin + 1) * self.bin.0).min(self.end.0) - bin * self.bin.0);
        let column = |which: usize| {
            self.sums
                .iter()
                .zip(widths.clone())
                .map(|(sums, width)| (sums[which] as f64 / (1000.0 * width as f64)) as f32)
                .collect()
        };
        Series {
            bin: self.bin,
            demand_gpus: column(0),
            usable_gpus: column(1),
            warming_gpus: column(2),
            waiting_gpus: column(3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_shared_between_the_bins_it_spans() {
        let mut recorder = Recorder::new(Millis(100), Timestamp(250));
        recorder.add(Timestamp(50), Timestamp(225), Level { demand: 4000, ..Level::default() });
        let series = recorder.finish();
        assert_eq!(series.demand_gpus, [2.0, 4.0, 2.0]);
        assert_eq!(series.waiting_gpus, [0.0; 3]);
    }
}
