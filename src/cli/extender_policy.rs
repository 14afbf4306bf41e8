//! The file that says who may use GPU nodes.

use crate::{
    config::parse_duration, extender::Policy, live::extender::tls::TlsFiles, time::Millis,
};
use anyhow::{Context, bail};
use serde::{
    Deserialize, Deserializer,
    de::{self, Unexpected, Visitor},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
};

/// What can be set; what is left out is as by default.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct PolicyFile {
    gpu_taints: Option<BTreeSet<String>>,
    exempt_namespaces: Option<BTreeSet<String>>,
    strict: Option<bool>,
    refuse_squatters: Option<bool>,
    reboot_doubt: Option<String>,
    settle: Option<String>,
    fresh: Option<String>,
    #[serde(deserialize_with = "elastic")]
    elastic: Option<bool>,
    prices: Option<BTreeMap<String, f64>>,
    unhealthy_conditions: Option<BTreeSet<String>>,
}

/// `auto`, `true` or `false`; `None` = node by node.
fn elastic<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    struct Word;
    impl Visitor<'_> for Word {
        type Value = Option<bool>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("auto, true or false")
        }

        fn visit_bool<E>(self, told: bool) -> Result<Option<bool>, E> {
            Ok(Some(told))
        }

        fn visit_str<E: de::Error>(self, told: &str) -> Result<Option<bool>, E> {
            match told {
                "auto" => Ok(None),
                "true" => Ok(Some(true)),
                "false" => Ok(Some(false)),
                _ => Err(E::invalid_value(Unexpected::Str(told), &self)),
            }
        }
    }
    from.deserialize_any(Word)
}

/// Reads the file; without one everything is as by default.
pub(super) fn read(path: Option<&Path>) -> anyhow::Result<Policy> {
    let Some(path) = path else { return Ok(Policy::default()) };
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| shown.to_string())?;
    parse(&text).with_context(|| shown.to_string())
}

fn parse(text: &str) -> anyhow::Result<Policy> {
    let file: PolicyFile = serde_saphyr::from_str(text)?;
    let usual = Policy::default();
    let span = |field: &str, text: Option<String>, usual: Millis| match text {
        None => Ok(usual),
        Some(text) => parse_duration(&text)
            .with_context(|| format!("{field}: `{text}` is no duration; write it as 30s or 5m")),
    };
    Ok(Policy {
        gpu_taints: file.gpu_taints.unwrap_or(usual.gpu_taints),
        exempt_namespaces: file.exempt_namespaces.unwrap_or(usual.exempt_namespaces),
        is_strict: file.strict.unwrap_or(usual.is_strict),
        refuses_squatters: file.refuse_squatters.unwrap_or(usual.refuses_squatters),
        reboot_doubt: span("rebootDoubt", file.reboot_doubt, usual.reboot_doubt)?,
        settle: span("settle", file.settle, usual.settle)?,
        fresh: span("fresh", file.fresh, usual.fresh)?,
        elastic: file.elastic,
        prices_milli: prices_milli(file.prices.unwrap_or_default())?,
        unhealthy_conditions: file.unhealthy_conditions.unwrap_or(usual.unhealthy_conditions),
    })
}

/// Largest price, relative to models without one.
const MOST: f64 = 1000.0;

fn prices_milli(prices: BTreeMap<String, f64>) -> anyhow::Result<BTreeMap<String, u32>> {
    let milli = |(model, price): (String, f64)| {
        if !(0.001..=MOST).contains(&price) {
            bail!("prices: {model}: {price} is not from 0.001 to {MOST}");
        }
        Ok((model, (price * 1000.0).round() as u32))
    };
    prices.into_iter().map(milli).collect()
}

/// The certificates that three flags name; `prefix` is what the flags begin with.
pub(super) fn tls_files(
    prefix: &str,
    certificate: Option<&PathBuf>,
    key: Option<&PathBuf>,
    client_ca: Option<&PathBuf>,
) -> anyhow::Result<Option<TlsFiles>> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            client_ca: client_ca.cloned(),
        })),
        (None, None) if client_ca.is_none() => Ok(None),
        _ => bail!(
            "--{prefix}tls-cert and --{prefix}tls-key go together, --{prefix}client-ca needs both"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_as_by_default() {
        assert_eq!(parse("{}").unwrap(), Policy::default());
        let told =
            parse("strict: true\nrebootDoubt: 2m\nexemptNamespaces: [tools]\nprices: {T4: 0.25}\n")
                .unwrap();
        let expected = Policy {
            is_strict: true,
            reboot_doubt: Millis::from_mins(2),
            exempt_namespaces: ["tools".to_owned()].into(),
            prices_milli: [("T4".to_owned(), 250)].into(),
            ..Policy::default()
        };
        assert_eq!(told, expected);
        let elastic = |text: &str| parse(text).unwrap().elastic;
        assert_eq!(
            ["auto", "true", "false"].map(|word| elastic(&format!("elastic: {word}"))),
            [None, Some(true), Some(false)]
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let fault = |text: &str| format!("{:#}", parse(text).unwrap_err());
        assert!(fault("strikt: true").contains("strikt"), "{}", fault("strikt: true"));
        assert!(fault("settle: soon").contains("settle: `soon`"), "{}", fault("settle: soon"));
        for word in ["maybe", "1", "[]"] {
            let told = fault(&format!("strict: true\nelastic: {word}"));
            assert!(told.contains("auto, true or false") && told.contains("line 2"), "{told}");
        }
        let free = "prices: {T4: 0}";
        assert!(fault(free).contains("prices: T4: 0 is not from"), "{}", fault(free));
        assert!(fault("strict: true\nfresh: [").contains("line"), "{}", fault("fresh: ["));
    }

    #[test]
    fn certificates_come_whole_or_not_at_all() {
        let path = PathBuf::from("x");
        assert!(tls_files("", None, None, None).unwrap().is_none());
        assert!(tls_files("", Some(&path), Some(&path), None).unwrap().is_some());
        assert!(tls_files("", Some(&path), None, None).is_err());
        assert!(tls_files("", None, None, Some(&path)).is_err());
    }
}
