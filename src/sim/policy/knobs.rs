//! The pieces of `NAME[:VALUE][,KNOB=VALUE...]`, taken one by one; `NAME@VALUE` means the same.

use crate::{
    config::{closest, parse_duration},
    time::Millis,
};

/// Largest headroom or buffer that makes sense.
const MOST: u32 = 1_000_000;

/// A policy's text in pieces.
#[derive(Debug)]
pub(super) struct Knobs<'a> {
    pub(super) name: &'a str,
    value: Option<&'a str>,
    given: Vec<(&'a str, &'a str)>,
    /// Knobs the policy has.
    known: Vec<&'static str>,
}

impl<'a> Knobs<'a> {
    pub(super) fn split(text: &'a str) -> Result<Self, String> {
        let mut pieces = text.split(',').map(str::trim);
        let head = pieces.next().unwrap_or_default();
        let (name, value) = match head.split_once([':', '@']) {
            Some((name, value)) => (name, Some(value)),
            None => (head, None),
        };
        let mut given: Vec<(&str, &str)> = Vec::new();
        for piece in pieces {
            let (knob, value) = piece
                .split_once('=')
                .ok_or_else(|| format!("`{piece}` is no knob: write KNOB=VALUE"))?;
            if given.iter().any(|&(other, _)| other == knob) {
                return Err(format!("knob `{knob}` is given twice"));
            }
            given.push((knob, value));
        }
        Ok(Self { name, value, given, known: Vec::new() })
    }

    /// The value after the colon. `meaning` says what is meant.
    pub(super) fn value(&mut self, meaning: &str) -> Result<&'a str, String> {
        self.value
            .take()
            .filter(|value| !value.is_empty())
            .ok_or_else(|| format!("`{}` needs {meaning}", self.name))
    }

    fn knob(&mut self, name: &'static str) -> Option<&'a str> {
        self.known.push(name);
        let at = self.given.iter().position(|&(knob, _)| knob == name)?;
        Some(self.given.remove(at).1)
    }

    /// Whether a knob is given as this word, which is taken then.
    pub(super) fn says(&mut self, name: &'static str, word: &str) -> bool {
        let is_said = self.given.contains(&(name, word));
        if is_said {
            self.knob(name);
        }
        is_said
    }

    pub(super) fn span(&mut self, name: &'static str, default: Millis) -> Result<Millis, String> {
        let Some(text) = self.knob(name) else { return Ok(default) };
        parse_duration(text).ok_or_else(|| {
            format!("{name}: found `{text}`: write a duration such as 90s, 5m or 1h30m")
        })
    }

    pub(super) fn share(&mut self, name: &'static str, default: f64) -> Result<f64, String> {
        self.knob(name).map_or(Ok(default), |text| share(text, 1.0))
    }

    pub(super) fn count(&mut self, name: &'static str, default: u32) -> Result<u32, String> {
        self.knob(name).map_or(Ok(default), |text| count(text, text))
    }

    pub(super) fn number(&mut self, name: &'static str, default: f64) -> Result<f64, String> {
        self.knob(name).map_or(Ok(default), number)
    }

    /// One of several named values; the first is the default.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Result<T, String> {
        let Some(text) = self.knob(name) else { return Ok(choices[0].1) };
        let chosen = choices.iter().find(|(known, _)| *known == text).map(|&(_, value)| value);
        chosen.ok_or_else(|| {
            let known: Vec<&str> = choices.iter().map(|&(known, _)| known).collect();
            format!("{name}: found `{text}`: choose one of {}", known.join(", "))
        })
    }

    /// Everything given must have been taken.
    pub(super) fn finish<T>(&self, policy: T) -> Result<T, String> {
        if let Some(value) = self.value {
            return Err(format!("`{}` takes no value, found `{value}`", self.name));
        }
        let Some((unknown, _)) = self.given.first() else { return Ok(policy) };
        let known = self.known.join(", ");
        Err(match closest(unknown, self.known.iter().copied()) {
            Some(near) => format!("there is no knob `{unknown}`; did you mean `{near}`?"),
            None if known.is_empty() => format!("there is no knob `{unknown}`; it has none"),
            None => format!("there is no knob `{unknown}`; known are {known}"),
        })
    }
}

/// A share, also in percent, from 0 to `most`.
pub(super) fn share(text: &str, most: f64) -> Result<f64, String> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse::<f64>(),
    };
    share.ok().filter(|share| (0.0..=most).contains(share)).ok_or_else(|| {
        format!("found `{text}`: write a share from 0 to {most}, such as 0.2 or 20%")
    })
}

/// A number that is not negative.
pub(super) fn number(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| (0.0..=f64::from(MOST)).contains(n));
    number.ok_or_else(|| format!("found `{text}`: write a number from 0 to {MOST}"))
}

/// A whole number of things; `shown` is what the user typed.
pub(super) fn count(text: &str, shown: &str) -> Result<u32, String> {
    let number = text.trim().parse::<u32>().ok().filter(|&number| number <= MOST);
    number.ok_or_else(|| format!("found `{shown}`: write a whole number up to {MOST}"))
}
