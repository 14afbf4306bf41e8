//! Kubernetes quantities: `500m` CPUs, `64Gi` bytes.
//!
//! Source: apimachinery `resource.Quantity` (decimal and binary suffixes, `m`, exponents).

/// Suffixes and their factor; the empty one last, since every text ends with it.
const SUFFIXES: [(&str, f64); 16] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 0.001),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("", 1.0),
];

/// The quantity in its base unit (CPUs, bytes); `None` if it is not one or negative.
pub fn parse_quantity(text: &str) -> Option<f64> {
    let text = text.trim();
    let (suffix, factor) = SUFFIXES.iter().find(|(suffix, _)| text.ends_with(suffix))?;
    let number = &text[..text.len() - suffix.len()];
    let plain = number.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let value = number.parse::<f64>().ok().filter(|v| plain && v.is_finite())? * factor;
    Some(value)
}

/// Thousandths of a CPU, a started one counting whole, as Kubernetes does.
pub fn parse_milli_cpu(text: &str) -> Option<u32> {
    whole((parse_quantity(text)? * 1000.0 - 1e-6).ceil())
}

/// MiB, a started one counting whole: a pod never gets less than it asked for.
pub fn parse_mib(text: &str) -> Option<u32> {
    whole((parse_quantity(text)? / 1_048_576.0 - 1e-9).ceil())
}

/// Whole units of a resource, a started one counting whole; more than can be counted is as much as can be.
pub fn parse_whole(text: &str) -> Option<u64> {
    parse_quantity(text).map(|value| (value - 1e-9).ceil().max(0.0) as u64)
}

fn whole(value: f64) -> Option<u32> {
    (value <= f64::from(u32::MAX)).then_some(value.max(0.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_read_in_thousandths() {
        let cases = [("64", 64_000), ("500m", 500), ("0.1", 100), ("2.5", 2500), ("1k", 1_000_000)];
        for (text, milli) in cases {
            assert_eq!(parse_milli_cpu(text), Some(milli), "{text}");
        }
    }

    #[test]
    fn memory_is_read_in_mebibytes() {
        let cases = [
            ("512Gi", 524_288),
            ("100Mi", 100),
            ("1048576", 1),
            ("1G", 954),
            ("1e9", 954),
            ("1", 1),
        ];
        for (text, mib) in cases {
            assert_eq!(parse_mib(text), Some(mib), "{text}");
        }
    }

    #[test]
    fn absurd_amounts_saturate() {
        assert_eq!(parse_whole("1Ei"), Some(1 << 60));
        assert_eq!(parse_whole("100Ei"), Some(u64::MAX));
        assert_eq!(parse_whole("1500m"), Some(2));
        assert_eq!(parse_milli_cpu("250000u"), Some(250));
        assert_eq!(parse_milli_cpu("100n"), Some(1), "a started thousandth counts whole");
    }

    #[test]
    fn what_is_not_a_quantity_is_refused() {
        for text in ["", "Gi", "-1", "64 GB", "64GB", "inf", "NaN", "+-1", "1Ei1"] {
            assert_eq!(parse_quantity(text), None, "{text}");
        }
        assert_eq!(parse_milli_cpu("5000000000"), None, "more than u32 can count");
    }
}
