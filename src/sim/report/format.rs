//! Numbers as people read them: no more digits than useful, a unit where it changes, one scale for all
//! values of a column so that they compare at a glance. Figures that are not finite read as a dash.

/// Stands for "there is no such figure".
pub(super) const NONE: &str = "–";

/// One way of writing a set of amounts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    divisor: f64,
    decimals: usize,
    suffix: &'static str,
}

impl Scale {
    /// Fits the largest of the values: four to five significant digits for it.
    pub(super) fn fitting(values: impl IntoIterator<Item = f64>) -> Self {
        let finite = values.into_iter().filter(|v| v.is_finite());
        let (divisor, decimals, suffix) = match finite.fold(0.0, |most: f64, v| most.max(v.abs())) {
            most if most >= 1e8 => (1e6, 1, "M"),
            most if most >= 1e6 => (1e6, 3, "M"),
            most if most >= 1e5 => (1e3, 1, "k"),
            most if most >= 100.0 => (1.0, 0, ""),
            most if most >= 10.0 => (1.0, 1, ""),
            _ => (1.0, 2, ""),
        };
        Self { divisor, decimals, suffix }
    }

    /// For whole things: as [`Scale::fitting`], but no fractions of one.
    pub(super) fn whole(values: impl IntoIterator<Item = f64>) -> Self {
        match Self::fitting(values) {
            scale if scale.suffix.is_empty() => Self { decimals: 0, ..scale },
            scale => scale,
        }
    }

    /// The text of one value.
    pub(super) fn show(self, value: f64) -> String {
        if !value.is_finite() {
            return NONE.to_owned();
        }
        let digits = format!("{:.*}", self.decimals, value / self.divisor);
        // A rest of rounding below zero is nothing.
        let is_nothing = digits.bytes().all(|byte| b"-0.".contains(&byte));
        let digits = if is_nothing { digits.trim_start_matches('-') } else { &digits };
        format!("{}{}", grouped(digits), self.suffix)
    }
}

/// A single amount, on its own scale.
pub(super) fn amount(value: f64) -> String {
    Scale::fitting([value]).show(value)
}

/// A count with its thousands set apart.
pub(super) fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// A span of time in the unit that suits it.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => NONE.to_owned(),
        s if s < 0.05 => "0 s".to_owned(),
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 599.5 => format!("{s:.0} s"),
        s if s < 7170.0 => format!("{:.0} min", s / 60.0),
        s if s < 48.0 * 3600.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{} d", Scale::fitting([s / 8640.0]).show(s / 86_400.0)),
    }
}

/// A share (1 = all) in whole per cent, with one decimal below ten.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        p if !p.is_finite() => NONE.to_owned(),
        p if p.abs() < 0.05 => "0 %".to_owned(),
        p if p.abs() < 9.95 => format!("{p:.1} %"),
        p => format!("{p:.0} %"),
    }
}

/// A share in whole per cent.
pub(super) fn whole_percent(share: f64) -> String {
    match (share * 100.0).round() {
        p if !p.is_finite() => NONE.to_owned(),
        // `+ 0.0` turns minus zero into zero.
        p => format!("{:.0} %", p + 0.0),
    }
}

/// A key of the document as words: `stock_out` is "stock out".
pub(super) fn words(key: &str) -> String {
    key.replace('_', " ")
}

fn grouped(digits: &str) -> String {
    let (sign, rest) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(w, f)| (w, Some(f)));
    let mut text = sign.to_owned();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if let Some(fraction) = fraction {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_four_or_five_digits() {
        let shown = [0.0, 3.456, 45.67, 999.4, 84_012.3, 108_700.0, 1_234_567.0].map(amount);
        assert_eq!(shown, ["0.00", "3.46", "45.7", "999", "84,012", "108.7k", "1.235M"]);
        assert_eq!([-0.0, -1e-9, -0.01].map(amount), ["0.00", "0.00", "-0.01"]);
    }

    #[test]
    fn one_scale_serves_a_whole_column() {
        let scale = Scale::fitting([84_012.3, 108_700.0, f64::NAN]);
        assert_eq!(
            [84_012.3, 108_700.0, f64::NAN].map(|v| scale.show(v)),
            ["84.0k", "108.7k", NONE]
        );
    }

    #[test]
    fn waits_are_told_in_the_unit_that_suits_them() {
        let shown = [0.0, 0.01, 3.21, 117.6, 544.0, 1800.0, 9000.0, 260_000.0].map(span);
        assert_eq!(shown, ["0 s", "0 s", "3.2 s", "118 s", "544 s", "30 min", "2.5 h", "3.0 d"]);
    }

    #[test]
    fn shares_are_never_minus_nought() {
        assert_eq!(whole_percent(-0.001), "0 %");
        assert_eq!(whole_percent(-0.37), "-37 %");
        assert_eq!(percent(0.0664), "6.6 %");
        assert_eq!(percent(f64::INFINITY), NONE);
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, 64_483].map(count), ["0", "999", "1,000", "64,483"]);
        assert_eq!(grouped("-1234567.5"), "-1,234,567.5");
    }
}
