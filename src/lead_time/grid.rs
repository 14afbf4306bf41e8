//! The grid of durations: bin `k` holds those in `(5 k, 5 (k + 1)]` seconds, up to half an hour.

use crate::time::Millis;

/// Width of a bin. Twice as wide blurs stages of a minute; half as wide doubles the work for nothing, as
/// decisions come every 10 s or more.
pub const BIN: Millis = Millis::from_secs(5);
/// Bins of a stage. A stage of more than half an hour is out of sight: its node earns no credit.
pub const BINS: usize = 360;
/// Upper edge of the last bin.
pub const GRID_END: Millis = Millis(BIN.0 * BINS as i64);

/// The bin of a duration; the first one for zero and less, `None` beyond the grid.
pub(super) fn bin_of(duration: Millis) -> Option<usize> {
    if duration > GRID_END {
        return None;
    }
    // Upper edges belong to their bin.
    Some(duration.0.saturating_sub(1).max(0) as usize / BIN.0 as usize)
}

/// How many bins a span is long, with fraction; from 0 to far beyond the grid, never NaN.
pub(super) fn in_bins(span: Millis) -> f64 {
    span.0.max(0) as f64 / BIN.0 as f64
}

/// The span of so many bins, rounded to the millisecond.
pub(super) fn span_of(bins: f64) -> Millis {
    Millis((bins * BIN.0 as f64).round() as i64)
}

/// The value at `x` between those at whole positions; the first and the last value outside of them.
/// Zero for an empty list.
pub(super) fn interpolate(values: &[f64], x: f64) -> f64 {
    let Some(&last) = values.last() else { return 0.0 };
    if x <= 0.0 {
        return values[0];
    }
    let below = x as usize;
    let Some(&upper) = values.get(below.saturating_add(1)) else { return last };
    let lower = values[below];
    lower + (upper - lower) * (x - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upper_edge_belongs_to_its_bin() {
        let bins = [-7_000, 0, 1, 5_000, 5_001, 1_800_000, 1_800_001].map(|ms| bin_of(Millis(ms)));
        assert_eq!(bins, [Some(0), Some(0), Some(0), Some(0), Some(1), Some(359), None]);
        assert_eq!(bin_of(Millis::MAX), None);
        assert_eq!(bin_of(Millis(i64::MIN)), Some(0));
    }

    #[test]
    fn interpolation_holds_the_ends() {
        let values = [1.0, 3.0, 4.0];
        let read = [-1.0, 0.0, 0.5, 1.5, 2.0, 1e300].map(|x| interpolate(&values, x));
        let expected = [1.0, 1.0, 2.0, 3.5, 4.0, 4.0];
        assert!(read.iter().zip(expected).all(|(r, e)| (r - e).abs() < 1e-12), "{read:?}");
    }
}
