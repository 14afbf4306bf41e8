//! At which lag two series move together: the maximum of the correlation of the changes of a signal with the rises of
//! demand.
//!
//! Falls of demand are left out: jobs that run equally long end as long after a queue was emptied, at a lag that
//! has nothing to do with their coming.
//!
//! Changes are those of five minutes: over one minute the noise of a level hides its course, and over longer times
//! the peak gets blunt. They have no mean worth subtracting. Of each its square root counts, with its sign, because
//! demand comes in bursts and one large one would outweigh a week. A signal leads if the correlation at some lag
//! ahead is higher than at every lag that is not, by more than chance explains; what is a copy of demand with noise
//! would otherwise lead by a minute every other time. Chance is told by the products themselves: few large ones
//! (bursts that met once) say less than many small ones.
//!
//! Source of the standard error: White (1980), A heteroskedasticity-consistent covariance matrix estimator.

/// Lags looked at, in minutes: the signal behind demand, and ahead of it.
pub const BEHIND: i32 = 30;
/// See [`BEHIND`].
pub const AHEAD: i32 = 60;

/// Minutes over which changes are taken.
const CHANGE: usize = 5;

/// Standard errors that count as more than chance.
const ERRORS: f64 = 2.0;

/// By how much the signal leads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lag {
    /// By how many minutes it moves before demand does; zero and less: it does not.
    pub minutes: i32,
    /// Correlation at that lag; that of a shifted copy of demand is some 0.7, as falls are left out.
    pub correlation: f64,
}

/// The best lag of `values` ahead of `demand`, both by the minute.
pub fn best(values: &[Option<f64>], demand: &[i64]) -> Lag {
    let value = |at: usize| Some(root(values[at]? - values[at.checked_sub(CHANGE)?]?));
    let moved: Vec<Option<f64>> = (0..values.len()).map(value).collect();
    let upward =
        |at: usize| Some(root((demand[at] - demand[at.checked_sub(CHANGE)?]).max(0) as f64));
    let rose: Vec<Option<f64>> = (0..demand.len()).map(upward).collect();
    let at = |minutes| matched(&moved, &rose, minutes);
    let behind = (-BEHIND..=0).rev().map(at).reduce(higher);
    let ahead = (1..=AHEAD).map(at).reduce(higher);
    let (behind, ahead) = (behind.unwrap_or_default(), ahead.unwrap_or_default());
    let chance = ERRORS * ahead.error;
    let leads = ahead.correlation > behind.correlation.max(0.0) + chance;
    let Match { minutes, correlation, .. } = if leads { ahead } else { behind };
    Lag { minutes, correlation }
}

/// How well both agree at a lag.
#[derive(Clone, Copy, Debug, Default)]
struct Match {
    minutes: i32,
    correlation: f64,
    /// Standard error of the correlation if there were none.
    error: f64,
}

fn root(change: f64) -> f64 {
    change.abs().sqrt().copysign(change)
}

/// Of equal ones the first.
fn higher(a: Match, b: Match) -> Match {
    if b.correlation > a.correlation { b } else { a }
}

fn matched(moved: &[Option<f64>], rose: &[Option<f64>], minutes: i32) -> Match {
    let (behind, ahead) = ((-minutes).max(0) as usize, minutes.max(0) as usize);
    let pairs = moved.iter().skip(behind).zip(rose.iter().skip(ahead));
    let (mut both, mut one, mut other, mut products) = (0.0, 0.0, 0.0, 0.0);
    for (&moved, &rose) in pairs {
        let (Some(x), Some(y)) = (moved, rose) else { continue };
        both += x * y;
        one += x * x;
        other += y * y;
        products += x * x * y * y;
    }
    let scale = f64::sqrt(one * other);
    if scale > 0.0 {
        // Changes overlap: only one in so many is news.
        let error = f64::sqrt(CHANGE as f64 * products) / scale;
        Match { minutes, correlation: both / scale, error }
    } else {
        Match { minutes, ..Match::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A burst of 8 GPUs at each of these minutes, gone ten minutes later.
    fn bursts(at: &[usize], length: usize) -> Vec<i64> {
        let is_in = |minute| at.iter().any(|&from| (from..from + 10).contains(&minute));
        (0..length).map(|minute| if is_in(minute) { 8000 } else { 0 }).collect()
    }

    fn signal(demand: &[i64], shift: i64) -> Vec<Option<f64>> {
        let value = |at: i64| usize::try_from(at).ok().and_then(|at| demand.get(at)).copied();
        let length = demand.len() as i64;
        (0..length).map(|at| Some(value(at + shift).unwrap_or(0) as f64)).collect()
    }

    const TIMES: [usize; 9] = [40, 97, 131, 198, 260, 333, 370, 431, 502];

    #[test]
    fn a_shifted_copy_has_its_shift() {
        // With nine bursts less than the time over which changes are taken is not told from none.
        let demand = bursts(&TIMES, 600);
        for shift in [5, 7, 25, 59, 0, -1, -12, -30] {
            let found = best(&signal(&demand, shift), &demand);
            assert_eq!(i64::from(found.minutes), shift);
            assert!(found.correlation > 0.6, "{found:?}");
        }
    }

    #[test]
    fn what_met_once_does_not_lead() {
        let demand = bursts(&TIMES, 600);
        // One burst 12 minutes before one of demand's.
        let once = signal(&bursts(&[186], 600), 0);
        assert!(best(&once, &demand).minutes <= 0);
        let constant = vec![Some(3.0); 600];
        assert_eq!(best(&constant, &demand), Lag { minutes: 0, correlation: 0.0 });
        assert!(best(&[], &[]).minutes <= 0);
    }

    #[test]
    fn equally_long_jobs_end_at_no_lag() {
        let demand: Vec<i64> = bursts(&TIMES, 600);
        // A queue: there for eight minutes, gone when its jobs come, which run for ten.
        let is_queued = |at: usize| TIMES.iter().any(|&from| (from - 8..from).contains(&at));
        let queue: Vec<Option<f64>> =
            (0..600).map(|at| Some(if is_queued(at) { 1.0 } else { 0.0 })).collect();
        assert_eq!(best(&queue, &demand).minutes, 8);
    }

    #[test]
    fn gaps_are_left_out() {
        let demand = bursts(&TIMES, 600);
        let mut values = signal(&demand, 9);
        values[120..180].fill(None);
        assert_eq!(best(&values, &demand).minutes, 9);
    }
}
