//! The file that says who may use GPU nodes, and how careful to be: YAML, read again when it changes.

use crate::{config::parse_duration, extender::Policy, time::Millis};
use serde::{
    Deserialize, Deserializer,
    de::{self, Unexpected, Visitor},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why a file is no policy.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in it is not what it should be.
    #[error("{}: {what}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// Line or field, and what is wrong there.
        what: String,
    },
}

/// A policy, and the file it was read from.
#[derive(Clone, Debug, Default)]
pub struct PolicySource {
    policy: Policy,
    file: Option<(PathBuf, String)>,
}

impl From<Policy> for PolicySource {
    /// It stays as it is.
    fn from(policy: Policy) -> Self {
        Self { policy, file: None }
    }
}

impl PolicySource {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`PolicyError`].
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let text = text_of(path)?;
        let policy = parse(&text, path)?;
        Ok(Self { policy, file: Some((path.to_owned(), text)) })
    }

    /// As it was last read.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// There is a file that may change.
    pub const fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Reads the file again; `true` = it has changed.
    ///
    /// # Errors
    /// See [`PolicyError`]; then what was there stays.
    pub fn reload(&mut self) -> Result<bool, PolicyError> {
        let Some((path, known)) = &mut self.file else { return Ok(false) };
        let text = text_of(path)?;
        if text == *known {
            return Ok(false);
        }
        if text.trim().is_empty() {
            // Somebody is about to write it: for a moment nobody would be refused who should be.
            let what = "it is empty; with {} in it everything is as by default".to_owned();
            return Err(PolicyError::Content { path: path.clone(), what });
        }
        self.policy = parse(&text, path)?;
        *known = text;
        Ok(true)
    }
}

fn text_of(path: &Path) -> Result<String, PolicyError> {
    fs::read_to_string(path).map_err(|source| PolicyError::File { path: path.to_owned(), source })
}

/// What can be set; what is left out is as by default.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Fields {
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
                _ => Err(E::invalid_value(Unexpected::Str(told), &self)),
            }
        }
    }
    from.deserialize_any(Word)
}

fn parse(text: &str, path: &Path) -> Result<Policy, PolicyError> {
    let fault = |what: String| PolicyError::Content { path: path.to_owned(), what };
    let read = serde_saphyr::from_str(text);
    let fields: Fields = read.map_err(|error| fault(error.without_snippet().to_string()))?;
    policy(fields).map_err(fault)
}

fn policy(fields: Fields) -> Result<Policy, String> {
    let usual = Policy::default();
    let span = |field: &str, text: Option<String>, usual: Millis| match text {
        None => Ok(usual),
        Some(text) => parse_duration(&text)
            .ok_or_else(|| format!("{field}: `{text}` is no duration; write it as 30s or 5m")),
    };
    Ok(Policy {
        gpu_taints: fields.gpu_taints.unwrap_or(usual.gpu_taints),
        exempt_namespaces: fields.exempt_namespaces.unwrap_or(usual.exempt_namespaces),
        is_strict: fields.strict.unwrap_or(usual.is_strict),
        refuses_squatters: fields.refuse_squatters.unwrap_or(usual.refuses_squatters),
        reboot_doubt: span("rebootDoubt", fields.reboot_doubt, usual.reboot_doubt)?,
        settle: span("settle", fields.settle, usual.settle)?,
        fresh: span("fresh", fields.fresh, usual.fresh)?,
        elastic: fields.elastic,
        prices_milli: prices_milli(fields.prices.unwrap_or_default())?,
        unhealthy_conditions: fields.unhealthy_conditions.unwrap_or(usual.unhealthy_conditions),
    })
}

/// Largest price, relative to models without one.
const MOST: f64 = 1000.0;

fn prices_milli(prices: BTreeMap<String, f64>) -> Result<BTreeMap<String, u32>, String> {
    let milli = |(model, price): (String, f64)| {
        if !(0.001..=MOST).contains(&price) {
            return Err(format!("prices: {model}: {price} is not from 0.001 to {MOST}"));
        }
        Ok((model, (price * 1000.0).round() as u32))
    };
    prices.into_iter().map(milli).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Policy, String> {
        parse(text, Path::new("policy.yaml")).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_is_as_by_default() {
        assert_eq!(parsed("{}").unwrap(), Policy::default());
        let told = "strict: true\nrebootDoubt: 2m\nexemptNamespaces: [tools]\nprices: {T4: 0.25}\n";
        let expected = Policy {
            is_strict: true,
            reboot_doubt: Millis::from_mins(2),
            exempt_namespaces: ["tools".to_owned()].into(),
            prices_milli: [("T4".to_owned(), 250)].into(),
            ..Policy::default()
        };
        assert_eq!(parsed(told).unwrap(), expected);
        let elastic = |word: &str| parsed(&format!("elastic: {word}")).unwrap().elastic;
        assert_eq!(["auto", "true", "false"].map(elastic), [None, Some(true), Some(false)]);
    }

    /// What the documentation shows can be copied, and is what it says it is.
    #[test]
    fn the_documented_defaults_are_the_defaults() {
        let page = include_str!("../../../docs/extender.md");
        let (_, yaml) = page.split_once("```yaml\ngpuTaints:").unwrap();
        let (yaml, _) = yaml.split_once("```").unwrap();
        assert_eq!(parsed(&format!("gpuTaints:{yaml}")).unwrap(), Policy::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let fault = |text: &str| {
            let told = parsed(text).unwrap_err();
            assert!(told.starts_with("policy.yaml: "), "{told}");
            told
        };
        let unknown = fault("strict: true\nstrikt: true");
        assert!(unknown.contains("strikt") && unknown.contains("line 2"), "{unknown}");
        assert!(fault("settle: soon").contains("settle: `soon`"), "{}", fault("settle: soon"));
        for word in ["maybe", "1", "[]"] {
            let told = fault(&format!("strict: true\nelastic: {word}"));
            assert!(told.contains("auto, true or false") && told.contains("line 2"), "{told}");
        }
        let free = "prices: {T4: 0}";
        assert!(fault(free).contains("prices: T4: 0 is not from"), "{}", fault(free));
        let torn = fault("strict: true\nfresh: [");
        assert!(torn.contains("line") && !torn.contains('\n'), "{torn}");
    }

    #[test]
    fn a_file_is_read_again_only_when_it_is_another_and_good() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.yaml");
        let missing = PolicySource::read(&path).unwrap_err().to_string();
        assert!(missing.contains("policy.yaml"), "{missing}");
        fs::write(&path, "strict: true").unwrap();
        let mut source = PolicySource::read(&path).unwrap();
        assert!(!source.reload().unwrap());
        for bad in ["strict: perhaps", "strict: [", "settle: soon", "\n"] {
            fs::write(&path, bad).unwrap();
            assert!(source.reload().is_err() && source.policy().is_strict, "{bad}");
        }
        fs::write(&path, "strict: true").unwrap();
        assert!(!source.reload().unwrap(), "as it was");
        fs::remove_file(&path).unwrap();
        assert!(source.reload().is_err() && source.policy().is_strict);
        fs::write(&path, "settle: 5s").unwrap();
        assert!(source.reload().unwrap() && !source.policy().is_strict);
        let mut fixed = PolicySource::from(Policy::default());
        assert!(!fixed.has_file() && !fixed.reload().unwrap());
    }
}
