//! Policies as people name them: `NAME[:VALUE][,KNOB=VALUE...]`, for example `watermark:0.2,idle=30m`.
//!
//! A name with its knobs is checked once and then builds a fresh strategy for every pool.

mod knobs;

use super::yardstick::KAPPAS;
use crate::{
    config::closest,
    forecast::bins::Scheme,
    strategy::{
        Candidate, ClusterAutoscaler, ConditionalQuantile, DigitalSignal, EnergySaver,
        FixedHeadroom, Headroom, HourlyProfile, Hysteresis, IDLE_DEFAULT, Idle, LearnedIdle,
        Reactive, SpareRule, Strategy, Unit, Watermark,
    },
    time::Millis,
};
use knobs::Knobs;
use std::{fmt, str::FromStr};
use thiserror::Error;

/// Why a policy cannot be taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("policy `{policy}`: {problem}")]
pub struct PolicyError {
    /// As typed.
    policy: String,
    /// What is wrong and what to do.
    problem: String,
}

/// A checked policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySpec {
    /// As typed.
    text: String,
    policy: Policy,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Policy {
    Reactive { idle: Idle },
    ReactiveOvercreate { idle: Millis },
    ClusterAutoscaler { idle: Millis, pod_wait: Millis, after_add: Millis },
    Headroom { headroom: Headroom, idle: Millis },
    Watermark { share: f64, idle: Millis },
    Hysteresis { up: f64, down: f64, hold: Millis },
    HourlyProfile { idle: Millis, buffer: Millis },
    Ces { buffer: u32, threshold: f64 },
    Dsp { idle: Millis },
    Quantile(SpareRule),
    Profile { level: f64, idle: Idle },
    Adaptive { kappa: f64, hears: bool },
    BestFixed { kappa: f64 },
    Clairvoyant,
}

/// Reads the knobs of one policy.
type Reader = fn(&mut Knobs<'_>) -> Result<Policy, String>;

/// All policies by name, in the order of the default table.
const POLICIES: [(&str, Reader); 14] = [
    ("reactive", reactive),
    ("cluster-autoscaler", cluster_autoscaler),
    ("reactive-overcreate", overcreate),
    ("headroom", headroom),
    ("watermark", watermark),
    ("hysteresis", hysteresis),
    ("hourly-profile", hourly_profile),
    ("ces", ces),
    ("dsp", dsp),
    ("quantile", quantile),
    ("profile", profile),
    ("adaptive", adaptive),
    ("best-fixed", |knobs| Ok(Policy::BestFixed { kappa: kappa(knobs)? })),
    ("clairvoyant", |_| Ok(Policy::Clairvoyant)),
];

/// Policies that depend on the price of waiting.
const BY_KAPPA: [&str; 2] = ["adaptive", "best-fixed"];

/// What is compared unless said otherwise.
const DEFAULTS: [&str; 12] = [
    "reactive",
    "cluster-autoscaler",
    "reactive-overcreate",
    "headroom:8",
    "watermark:0.1",
    "watermark:0.2",
    "hysteresis",
    "hourly-profile",
    "ces",
    "dsp",
    "adaptive",
    "clairvoyant",
];

impl PolicySpec {
    /// The table of baselines, and the engine at each kappa.
    pub fn defaults() -> Vec<Self> {
        // Tested below: every one of them can be parsed.
        Self::list(&DEFAULTS.join(",")).unwrap_or_default()
    }

    /// The policies of a comma-separated list. A piece that is a knob belongs to the policy before it.
    /// `adaptive` and `best-fixed` alone stand for one run at each kappa of the yardstick.
    pub fn list(text: &str) -> Result<Vec<Self>, PolicyError> {
        let mut specs: Vec<String> = Vec::new();
        for piece in text.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
            match specs.last_mut() {
                Some(policy) if piece.contains('=') => {
                    policy.push(',');
                    policy.push_str(piece);
                }
                _ if BY_KAPPA.contains(&piece) => {
                    specs.extend(KAPPAS.map(|kappa| format!("{piece}@{kappa}")));
                }
                _ => specs.push(piece.to_owned()),
            }
        }
        specs.iter().map(|spec| spec.parse()).collect()
    }

    /// The reference that `gap_closed` starts from.
    pub fn reactive() -> Self {
        Self {
            text: "reactive".to_owned(),
            policy: Policy::Reactive { idle: Idle::Fixed(IDLE_DEFAULT) },
        }
    }

    /// The reference that `gap_closed` leads to.
    pub fn clairvoyant() -> Self {
        Self { text: "clairvoyant".to_owned(), policy: Policy::Clairvoyant }
    }

    /// `reactive` with default knobs.
    pub fn is_plain_reactive(&self) -> bool {
        self.policy == Self::reactive().policy
    }

    /// Needs to know the future; built by its caller.
    pub fn is_clairvoyant(&self) -> bool {
        self.policy == Policy::Clairvoyant
    }

    /// The engine at this kappa.
    pub const fn adaptive_kappa(&self) -> Option<f64> {
        match self.policy {
            Policy::Adaptive { kappa, .. } => Some(kappa),
            _ => None,
        }
    }

    /// Whether outside signals are heard: the engine, unless it says `signals=no`.
    pub const fn hears_signals(&self) -> bool {
        matches!(self.policy, Policy::Adaptive { hears: true, .. })
    }

    /// The best of the engine's candidates in hindsight at this kappa.
    pub const fn best_fixed_kappa(&self) -> Option<f64> {
        match self.policy {
            Policy::BestFixed { kappa } => Some(kappa),
            _ => None,
        }
    }

    /// A fresh strategy for one pool; `None` for what is more than one strategy: the clairvoyant, the
    /// engine, the best in hindsight.
    pub fn build(&self) -> Option<Box<dyn Strategy>> {
        Some(match self.policy {
            Policy::Reactive { idle: Idle::Fixed(idle) } => Box::new(Reactive::new(idle)),
            Policy::Reactive { idle } => Box::new(LearnedIdle::new(idle)),
            Policy::ReactiveOvercreate { idle } => Box::new(Reactive::overcreating(idle)),
            Policy::ClusterAutoscaler { idle, pod_wait, after_add } => {
                Box::new(ClusterAutoscaler { idle, pod_wait, after_add })
            }
            Policy::Headroom { headroom, idle } => Box::new(FixedHeadroom::new(headroom, idle)),
            Policy::Watermark { share, idle } => Box::new(Watermark::new(share, idle)),
            Policy::Hysteresis { up, down, hold } => Box::new(Hysteresis::new(up, down, hold)),
            Policy::HourlyProfile { idle, buffer } => Box::new(HourlyProfile::new(idle, buffer)),
            Policy::Ces { buffer, threshold } => Box::new(EnergySaver::new(buffer, threshold)),
            Policy::Dsp { idle } => Box::new(DigitalSignal::new(idle)),
            Policy::Quantile(rule) => Box::new(ConditionalQuantile::new(rule)),
            Policy::Profile { level, idle } => Candidate::Profile { level, idle }.alone(),
            Policy::Adaptive { .. } | Policy::BestFixed { .. } | Policy::Clairvoyant => {
                return None;
            }
        })
    }
}

impl fmt::Display for PolicySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for PolicySpec {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let text = text.trim();
        let wrong = |problem| PolicyError { policy: text.to_owned(), problem };
        let mut knobs = Knobs::split(text).map_err(wrong)?;
        let names = || POLICIES.iter().map(|&(name, _)| name);
        let known = POLICIES.iter().find(|(name, _)| *name == knobs.name);
        let (_, read) = known.ok_or_else(|| {
            let known: Vec<&str> = names().collect();
            wrong(closest(knobs.name, names()).map_or_else(
                || format!("there is no such policy; known are {}", known.join(", ")),
                |near| format!("there is no such policy; did you mean `{near}`?"),
            ))
        })?;
        let policy = read(&mut knobs).and_then(|policy| knobs.finish(policy)).map_err(wrong)?;
        Ok(Self { text: text.to_owned(), policy })
    }
}

fn reactive(knobs: &mut Knobs<'_>) -> Result<Policy, String> {
    Ok(Policy::Reactive { idle: idle_rule(knobs)? })
}

/// `idle=TIME`, or `idle=break-even` with `kappa=` and `phi=`.
fn idle_rule(knobs: &mut Knobs<'_>) -> Result<Idle, String> {
    if !knobs.says("idle", "break-even") {
        return Ok(Idle::Fixed(knobs.span("idle", IDLE_DEFAULT)?));
    }
    Ok(Idle::BreakEven { kappa: knobs.number("kappa", 20.0)?, phi: knobs.share("phi", 0.3)? })
}

fn overcreate(knobs: &mut Knobs<'_>) -> Result<Policy, String> {
    Ok(Policy::ReactiveOvercreate { idle: knobs.span("idle", IDLE_DEFAULT)? })
}

fn cluster_autoscaler(knobs: &mut Knobs<'_>) -> Result<Policy, String> {
    let default = ClusterAutoscaler::default();
    Ok(Policy::ClusterAutoscaler {
        idle: knobs.span("idle", default.idle)?,
        pod_wait: knobs.span("pod-wait", default.pod_wait)?,
        after_add: knobs.span("after-add", default.after_add)?,
    })
}

fn headroom(knobs: &mut Knobs<'_>) -> Result<Policy, String> {
    let value = knobs.value("GPUs, as in headroom:8, or whole nodes, as in headroom:2nodes")?;
    let headroom = match value.strip_suffix("nodes").or_else(|| value.strip_suffix("node")) {
        Some(nodes) => Headroom::Nodes(knobs::count(nodes, value)?),
        None => Headroom::Gpus(knobs::count(value, value)?),
    };
    Ok(Policy::Headroom { headroom, idle: knobs.span("idle", IDLE_DEFAULT)? })
}

fn watermark(knobs: &mut Knobs<'_>) -> Result<Policy, String> {
    let value = knobs.value("a share of the requests, as in watermark:0.2 or watermark:20%")?;
    let share = knobs::share(value, 10.0)?;
    Ok(Policy::Watermark { share, idle: knobs.span("idle", IDLE_DEFAULT)? })
}

fn hysteresis(knobs: &mut Knobs<'_>) -> Result<Policy, String> {
    let up = knobs.share("up", 0.8)?;
    let down = knobs.share("down", 0.5)?;
    if !(0.0 < down && down < up) {
        return Err(format!("down={down} must be above 0 and below up={up}"));
    }
    Ok(Policy::Hysteresis { up, down, hold: knobs.span("for", Millis::from_mins(10))? })
}

fn hourly_profile(knobs: &mut Knobs<'_>) -> Result<Policy, String> {
    Ok(Policy::HourlyProfile {
        idle: knobs.span("idle", IDLE_DEFAULT)?,
        buffer: knobs.span("buffer", Millis::from_secs(300))?,
    })
}

fn ces(knobs: &mut Knobs<'_>) -> Result<Policy, String> {
    Ok(Policy::Ces {
        buffer: knobs.count("buffer", 5)?,
        threshold: knobs.number("threshold", 1.0)?,
    })
}

fn dsp(knobs: &mut Knobs<'_>) -> Result<Policy, String> {
    Ok(Policy::Dsp { idle: knobs.span("idle", IDLE_DEFAULT)? })
}

fn kappa(knobs: &mut Knobs<'_>) -> Result<f64, String> {
    knobs::number(knobs.value("the cost of a waiting GPU-hour in GPU-hours, as in adaptive@20")?)
}

fn adaptive(knobs: &mut Knobs<'_>) -> Result<Policy, String> {
    Ok(Policy::Adaptive { kappa: kappa(knobs)?, hears: !knobs.says("signals", "no") })
}

const UNITS: [(&str, Unit); 4] = [
    ("nodes", Unit::Nodes),
    ("gpus", Unit::Gpus),
    ("scenario", Unit::Scenario),
    ("windows", Unit::Windows),
];

fn quantile(knobs: &mut Knobs<'_>) -> Result<Policy, String> {
    let value = knobs.value("a probability, as in quantile:0.9")?;
    let level = knobs::share(value, 1.0)?;
    let keep = knobs.share("keep", level)?;
    if keep < level {
        return Err(format!("keep={keep} must not be below {level}"));
    }
    let rule = SpareRule {
        level,
        keep,
        scheme: knobs.choice("by", &Scheme::NAMED)?,
        unit: knobs.choice("unit", &UNITS)?,
        idle: idle_rule(knobs)?,
        calibrated: knobs.choice("calibrated", &[("no", false), ("yes", true)])?,
    };
    if rule.unit == Unit::Windows && !matches!(rule.scheme, Scheme::Burst | Scheme::All) {
        return Err("unit=windows needs by=burst or by=all".to_owned());
    }
    if rule.calibrated && !matches!(rule.unit, Unit::Nodes | Unit::Gpus) {
        return Err("calibrated=yes needs unit=nodes or unit=gpus".to_owned());
    }
    let wrong = [level, keep].into_iter().find(|share| !(0.5..=0.999).contains(share));
    if let (true, Some(wrong)) = (rule.calibrated, wrong) {
        return Err(format!("calibrated=yes needs probabilities from 0.5 to 0.999, found {wrong}"));
    }
    Ok(Policy::Quantile(rule))
}

fn profile(knobs: &mut Knobs<'_>) -> Result<Policy, String> {
    let level = knobs::share(knobs.value("a probability, as in profile:0.9")?, 1.0)?;
    Ok(Policy::Profile { level, idle: idle_rule(knobs)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<PolicySpec>().unwrap_err().to_string()
    }

    #[test]
    fn every_default_is_a_policy_and_prints_as_typed() {
        let shown: Vec<String> = PolicySpec::defaults().iter().map(ToString::to_string).collect();
        let (baselines, end) = DEFAULTS.split_at(DEFAULTS.len() - 2);
        assert_eq!(end, ["adaptive", "clairvoyant"]);
        let adaptive = ["adaptive@5", "adaptive@20", "adaptive@100"];
        assert_eq!(shown, [baselines, &adaptive, &["clairvoyant"]].concat());
    }

    #[test]
    fn knobs_belong_to_the_policy_before_them() {
        let list = PolicySpec::list("reactive, watermark:20%,idle=30m,ces,buffer=2").unwrap();
        let shown: Vec<String> = list.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["reactive", "watermark:20%,idle=30m", "ces,buffer=2"]);
        let half_hour = Policy::Watermark { share: 0.2, idle: Millis::from_mins(30) };
        assert_eq!(list[1].policy, half_hour);
    }

    #[test]
    fn adaptive_alone_is_run_at_every_kappa() {
        let list = PolicySpec::list("reactive,adaptive").unwrap();
        let shown: Vec<String> = list.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["reactive", "adaptive@5", "adaptive@20", "adaptive@100"]);
    }

    #[test]
    fn headroom_is_in_gpus_or_whole_nodes() {
        let headroom = |text: &str| text.parse::<PolicySpec>().unwrap().policy;
        let idle = IDLE_DEFAULT;
        assert_eq!(headroom("headroom:8"), Policy::Headroom { headroom: Headroom::Gpus(8), idle });
        assert_eq!(
            headroom("headroom:2nodes"),
            Policy::Headroom { headroom: Headroom::Nodes(2), idle }
        );
    }

    #[test]
    fn mistakes_are_named_with_what_to_do() {
        assert_eq!(
            error("reactiv"),
            "policy `reactiv`: there is no such policy; did you mean `reactive`?"
        );
        assert!(error("zzz").contains("known are reactive, cluster-autoscaler"));
        assert!(error("watermark").contains("watermark:0.2"));
        assert!(error("watermark:x").contains("found `x`"));
        assert!(error("watermark:nan").contains("found `nan`"));
        assert!(error("watermark:11").contains("0 to 10"));
        assert!(error("reactive:3").contains("takes no value"));
        assert_eq!(
            error("reactive,idel=5m"),
            "policy `reactive,idel=5m`: there is no knob `idel`; did you mean `idle`?"
        );
        assert!(error("reactive,idle=5").contains("5m"));
        assert!(error("reactive,idle=5m,idle=6m").contains("twice"));
        assert!(error("hysteresis,up=0.4").contains("below up=0.4"));
        assert!(error("headroom:many").contains("found `many`"));
        assert!(error("quantile:0.9,by=moon").contains("burst, hour, week-hour"));
        assert!(error("quantile:0.9,keep=0.8").contains("below 0.9"));
        assert!(error("adaptive@x").contains("found `x`"));
        assert!(error("quantile:0.9,calibrated=maybe").contains("no, yes"));
        assert!(error("quantile:0.9,unit=scenario,calibrated=yes").contains("unit=nodes"));
        assert!(error("quantile:0.9,unit=windows,calibrated=yes").contains("unit=nodes"));
        assert!(error("quantile:0.9,unit=windows,by=hour").contains("by=burst"));
        assert!("quantile:0.9,unit=windows,by=all".parse::<PolicySpec>().is_ok());
        assert!(error("quantile:0.4,calibrated=yes").contains("0.5 to 0.999"));
        assert!(error("quantile:1.5").contains("0 to 1"));
    }

    #[test]
    fn the_idle_time_is_a_time_or_breaks_even() {
        let idle = |text: &str| match text.parse::<PolicySpec>().unwrap().policy {
            Policy::Reactive { idle } => idle,
            Policy::Quantile(rule) => rule.idle,
            _ => Idle::Fixed(Millis::ZERO),
        };
        assert_eq!(idle("reactive,idle=5m"), Idle::Fixed(Millis::from_mins(5)));
        let quantile = idle("quantile:0.9,idle=break-even,kappa=100,phi=1");
        assert_eq!(quantile, Idle::BreakEven { kappa: 100.0, phi: 1.0 });
        assert!(error("reactive,idle=5m,phi=1").contains("no knob `phi`"));
    }

    #[test]
    fn only_plain_reactive_is_the_reference() {
        assert!("reactive,idle=10m".parse::<PolicySpec>().unwrap().is_plain_reactive());
        assert!(!"reactive,idle=5m".parse::<PolicySpec>().unwrap().is_plain_reactive());
    }
}
