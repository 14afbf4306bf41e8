//! Values as people type them on a command line. Every error says what was found and what is meant.

use crate::{
    config::parse_duration,
    model::{MAX_DEVICES, Pool},
    time::{Millis, Timestamp},
};

/// A span such as `90s`, `5m`, `1h30m`; a bare number is seconds.
pub(super) fn span(text: &str) -> Result<Millis, String> {
    if let Ok(secs) = text.parse::<u32>() {
        return Ok(Millis::from_secs(i64::from(secs)));
    }
    parse_duration(text)
        .ok_or_else(|| format!("`{text}` is not a span of time: write 300s, 5m or 1h30m"))
}

/// An instant of a decision log: a span since second 0 of its clock, or a date with offset.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    let civil = text.parse::<jiff::Timestamp>().map(|at| Timestamp(at.as_millisecond()));
    civil.or_else(|_| span(text).map(|span| Timestamp::ZERO + span)).map_err(|_| {
        format!("`{text}` is no instant: write 26h, 1d2h30m, or a date with offset as 2026-03-02T08:55:00Z")
    })
}

/// An instant of the Unix epoch: a date, with or without time; without offset in `zone`.
#[cfg(feature = "prometheus")]
pub(super) fn date(text: &str, zone: &jiff::tz::TimeZone) -> Result<Timestamp, String> {
    let civil = || {
        let date = text.parse::<jiff::civil::DateTime>().ok()?;
        date.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
    };
    let at = text.parse::<jiff::Timestamp>().ok().or_else(civil);
    at.map(|at| Timestamp(at.as_millisecond())).ok_or_else(|| {
        format!("`{text}` is no date: write 2026-03-02, 2026-03-02T08:55 or 2026-03-02T08:55:00Z")
    })
}

/// Where scoring starts: an instant (`240h`) or a share of the run (`40%`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ScoreFrom {
    /// So long after second 0.
    At(Timestamp),
    /// So much of the run, 0..=1.
    Share(f64),
}

impl ScoreFrom {
    /// Unless said otherwise, the first quarter warms up.
    pub(super) const DEFAULT: Self = Self::Share(0.25);

    /// The instant in a run that ends at `end`.
    pub(super) fn within(self, end: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Share(share) => Timestamp((end.0 as f64 * share).round() as i64),
        }
    }
}

impl std::str::FromStr for ScoreFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(percent) = text.strip_suffix('%') else {
            return Ok(Self::At(Timestamp::ZERO + span(text)?));
        };
        match percent.trim().parse::<f64>() {
            Ok(percent) if (0.0..100.0).contains(&percent) => Ok(Self::Share(percent / 100.0)),
            _ => Err(format!("`{text}` is not a share of the run: write 0% to 99%")),
        }
    }
}

/// A pool as `NAME=GPUS[:MODEL]`, for example `a100=8:A100`.
pub(super) fn pool(text: &str) -> Result<Pool, String> {
    let wrong =
        |what: &str| format!("`{text}`: {what}: write NAME=GPUS[:MODEL], for example a100=8:A100");
    let (name, rest) = text.split_once('=').ok_or_else(|| wrong("there is no `=`"))?;
    let (gpus, model) = rest.split_once(':').unwrap_or((rest, ""));
    if name.trim().is_empty() {
        return Err(wrong("the name is empty"));
    }
    let gpus = gpus_per_node(gpus).map_err(|why| wrong(&why))?;
    Ok(Pool { gpu_model: model.to_owned(), ..Pool::new(name, gpus) })
}

/// GPUs on one node.
pub(super) fn gpus_per_node(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(gpus) if (1..=MAX_DEVICES).contains(&gpus) => Ok(gpus),
        _ => Err(format!("`{text}` is not a number of GPUs per node (1 to {MAX_DEVICES})")),
    }
}

/// A seed.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a seed: write a whole number from 0 on"))
}

/// A share of creations that fail. If all did, a pool would ask for ever.
pub(super) fn failure_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=0.99).contains(&share) => Ok(share),
        _ => Err(format!("`{text}` is not a share between 0 and 0.99")),
    }
}

/// A coefficient of variation.
pub(super) fn variation(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(cv) if (0.0..=10.0).contains(&cv) => Ok(cv),
        _ => Err(format!("`{text}` is not a coefficient of variation between 0 and 10")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_take_units_and_bare_seconds() {
        let ms = |text| span(text).map(|span| span.0);
        assert_eq!(ms("300"), Ok(300_000));
        assert_eq!(ms("5m"), Ok(300_000));
        assert_eq!(ms("1h30m"), Ok(5_400_000));
        assert_eq!(ms("240h"), Ok(864_000_000));
        assert!(ms("5 parsecs").unwrap_err().contains("write 300s"));
        assert!(ms("-5m").is_err());
    }

    #[test]
    fn an_instant_is_a_span_or_a_date_and_what_is_printed_can_be_typed() {
        assert_eq!(instant("26h"), Ok(Timestamp::from_secs(93_600)));
        assert_eq!(instant("95400"), Ok(Timestamp::from_secs(95_400)));
        assert_eq!(instant("2027-01-15T09:00:00+01:00"), Ok(Timestamp::from_secs(1_800_000_000)));
        for wrong in ["noon", "2027-01-15T09:00:00", "-5m"] {
            assert!(instant(wrong).unwrap_err().contains("1d2h30m"), "{wrong}");
        }
        for ms in [0, 1, 999, 60_000, 3_600_001, 86_400_000, 123_456_780, 1_800_000_000_000] {
            assert_eq!(instant(&crate::decision_log::instant(Timestamp(ms))), Ok(Timestamp(ms)));
        }
    }

    #[test]
    fn scoring_starts_at_an_instant_or_a_share() {
        let end = Timestamp::from_secs(1000);
        let from = |text: &str| text.parse::<ScoreFrom>().map(|from| from.within(end));
        assert_eq!(from("40%"), Ok(Timestamp::from_secs(400)));
        assert_eq!(from("5m"), Ok(Timestamp::from_secs(300)));
        assert!(from("100%").is_err() && from("-1%").is_err() && from("x%").is_err());
    }

    #[test]
    fn pools_have_a_name_a_size_and_perhaps_a_model() {
        let made = pool("a100=8:A100").unwrap();
        assert_eq!(
            (made.name.as_str(), made.gpus_per_node, made.gpu_model.as_str()),
            ("a100", 8, "A100")
        );
        assert_eq!(pool("any=4").unwrap().gpu_model, "");
        assert!(pool("a100:8").unwrap_err().contains("NAME=GPUS"));
        assert!(pool("a100=0").unwrap_err().contains("1 to 128"));
        assert!(pool(" =8").unwrap_err().contains("the name is empty"));
    }
}
