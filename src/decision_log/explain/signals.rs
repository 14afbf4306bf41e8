//! What is told of outside signals: what each says, what was learned of it, and why it is not followed.

use super::gpus;
use crate::{
    engine::{SignalReport, SignalState},
    forecast::leading::{Form, Study},
    guard::ladder::OLD,
    time::Millis,
};

/// A sentence about a signal.
pub fn sentence(signal: &SignalReport) -> String {
    let name = &signal.name;
    match (signal.state, &signal.study) {
        (SignalState::Unread, _) => {
            format!("Signal `{name}`: nothing was read yet; it is left out until then.")
        }
        (SignalState::Useless, Some(study)) => {
            format!("Signal `{name}` is ignored: {}.{}", fault(study), hint(study))
        }
        (SignalState::Stale, _) => {
            let age = signal.age.unwrap_or_default();
            let result = match age {
                age if age <= OLD => "nothing new is asked for ahead of demand",
                _ => "it is left out, and so are forecasts",
            };
            format!("Signal `{name}`: no value for {}: {result}.", minutes(age))
        }
        (_, Some(study)) => {
            let learned = format!(
                "it leads demand by {} min and saves {} of what a constant loses ({:.0} h studied)",
                study.lag_minutes,
                percent(study.skill),
                study.hours
            );
            format!("Signal `{name}`: {}; {learned}.{}", says(signal), hint(study))
        }
        (_, None) => format!(
            "Signal `{name}`: {}; on trial, there is not enough to judge it by.",
            says(signal)
        ),
    }
}

/// What it says now.
fn says(signal: &SignalReport) -> String {
    let value = signal.value.map_or_else(|| "nothing".to_owned(), short);
    match (signal.asks_milli, signal.study.map_or(Form::Level, |study| study.form)) {
        (0, _) => format!("{value} now, which asks for no more than runs and waits"),
        (milli, Form::Additional) => format!("{value} now, which asks for {} more", gpus(milli)),
        (milli, Form::Level) => {
            format!("{value} now, which asks for {} beyond what runs and waits", gpus(milli))
        }
    }
}

/// Why it is of no use.
fn fault(study: &Study) -> String {
    match study.lag_minutes {
        lag if lag <= 0 => format!("it does not lead demand ({:.0} h studied)", study.hours),
        lag => {
            let worth = match study.skill {
                skill if skill < 0.0 => "would lose more than a constant".to_owned(),
                skill => format!("saves only {} of what a constant loses", percent(skill)),
            };
            format!("it leads demand by {lag} min but {worth} ({:.0} h studied)", study.hours)
        }
    }
}

/// What to try instead.
fn hint(study: &Study) -> String {
    let better = study.better_gpus_per_unit.filter(|_| study.lag_minutes > 0);
    better.map_or_else(String::new, |better| {
        format!(" With {better} GPUs for each unit it would have fitted better.")
    })
}

fn minutes(age: Millis) -> String {
    format!("{} min", age.0 / 60_000)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Three decimals at most.
fn short(value: f64) -> String {
    format!("{}", (value * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn study(lag_minutes: i32, skill: f64) -> Study {
        Study {
            at: Timestamp::ZERO,
            hours: 24.2,
            lag_minutes,
            correlation: 0.8,
            skill,
            form: Form::Additional,
            better_gpus_per_unit: None,
            is_useful: lag_minutes > 0 && skill > 0.1,
        }
    }

    fn told(state: SignalState, study: Option<Study>) -> String {
        sentence(&SignalReport {
            name: "queue".into(),
            value: Some(12.0),
            age: Some(Millis::from_secs(301)),
            state,
            asks_milli: 24_000,
            study,
        })
    }

    #[test]
    fn each_state_has_its_sentence() {
        assert_eq!(
            told(SignalState::Useful, Some(study(12, 0.634))),
            "Signal `queue`: 12 now, which asks for 24 GPUs more; it leads demand by 12 min and saves 63 % of what \
             a constant loses (24 h studied)."
        );
        assert_eq!(
            told(SignalState::Trial, None),
            "Signal `queue`: 12 now, which asks for 24 GPUs beyond what runs and waits; on trial, there is not \
             enough to judge it by."
        );
        assert_eq!(
            told(SignalState::Useless, Some(study(-5, 0.3))),
            "Signal `queue` is ignored: it does not lead demand (24 h studied)."
        );
        let better = Study { better_gpus_per_unit: Some(2.5), ..study(9, 0.02) };
        assert_eq!(
            told(SignalState::Useless, Some(better)),
            "Signal `queue` is ignored: it leads demand by 9 min but saves only 2 % of what a constant loses (24 h \
             studied). With 2.5 GPUs for each unit it would have fitted better."
        );
        assert_eq!(
            told(SignalState::Stale, None),
            "Signal `queue`: no value for 5 min: nothing new is asked for ahead of demand."
        );
        assert_eq!(
            told(SignalState::Unread, None),
            "Signal `queue`: nothing was read yet; it is left out until then."
        );
    }
}
