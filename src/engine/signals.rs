//! Outside signals: metrics that move before jobs do, such as the length of a queue or the users at work.
//!
//! A signal is followed on trial until there is enough to study it by ([`crate::forecast::leading`]); from then
//! on only while it was found useful. What it asks for is bounded by the ledger and all limits, as whatever is
//! ahead of demand. Readings that are missing or absurd count as none, so the age of the last sane one grows.

use super::settings::{MOST_SIGNALS, SignalSettings};
use crate::{
    forecast::{
        events::Events,
        leading::{Case, Form, MINUTE, SPAN, Study, Track, standing, study, worth::Word},
    },
    guard::ladder::{OLD, STALE},
    model::{PoolSnapshot, Reading, SignalPast},
    time::{Millis, Timestamp},
    units::is_mass,
};
use serde::{Deserialize, Serialize};

/// A verdict is taken anew so often, and hourly while it rests on less than a day.
const DAY: Millis = Millis::from_hours(24);
const HOUR: Millis = Millis::from_hours(1);

/// What is thought of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignalState {
    /// No sane reading since it is in the settings.
    Unread,
    /// Followed with care: there is not enough to judge it by.
    Trial,
    /// It leads demand: followed.
    Useful,
    /// It does not lead demand, or says nothing of it: ignored.
    Useless,
    /// It would be followed, but its last sane reading is older than two minutes.
    Stale,
}

/// One signal at a look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalReport {
    /// Its name.
    pub name: String,
    /// The last sane value.
    pub value: Option<f64>,
    /// Its age.
    pub age: Option<Millis>,
    /// What is thought of it.
    pub state: SignalState,
    /// Thousandths of GPUs it asks for beyond what runs and waits.
    pub asks_milli: u64,
    /// What was last learned of it.
    pub study: Option<Study>,
}

impl SignalReport {
    /// Whether it counts: what it says is followed, and its age limits what may be done.
    pub const fn is_in_use(&self) -> bool {
        matches!(self.state, SignalState::Trial | SignalState::Useful | SignalState::Stale)
    }
}

/// What is remembered of a pool's signals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Signals {
    /// As in the settings.
    heard: Vec<Heard>,
}

/// What is remembered of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Heard {
    name: String,
    source: String,
    gpus_per_unit: f64,
    /// The last sane reading.
    last: Option<(Timestamp, f64)>,
    track: Track,
    study: Option<Study>,
    study_at: Timestamp,
}

/// What signals are seen beside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside<'a> {
    pub(super) now: Timestamp,
    /// What came and went.
    pub(super) events: Option<&'a Events>,
    /// Thousandths of GPUs that run and wait.
    pub(super) demand: u64,
    /// Cost of a waiting GPU-hour over the price of a GPU-hour.
    pub(super) kappa: f64,
    /// What a node takes, with little left to chance.
    pub(super) lead: Millis,
}

impl Heard {
    fn is_sound(&self) -> bool {
        let can_be = |study: Study| study.is_sound();
        self.last.is_none_or(|(_, units)| is_mass(units))
            && self.track.is_sound()
            && self.study.is_none_or(can_be)
    }

    fn new(settings: &SignalSettings) -> Self {
        let SignalSettings { name, source, gpus_per_unit, .. } = settings.clone();
        let track = Track::default();
        let study_at = Timestamp::ZERO;
        Self { name, source, gpus_per_unit, last: None, track, study: None, study_at }
    }

    /// Goes on under these settings, as far as what was learned still holds.
    fn follow(self, settings: &SignalSettings) -> Self {
        if self.source != settings.source {
            return Self::new(settings);
        }
        let SignalSettings { gpus_per_unit, .. } = *settings;
        if self.gpus_per_unit.total_cmp(&gpus_per_unit).is_eq() {
            return self;
        }
        Self { gpus_per_unit, study: None, study_at: Timestamp::ZERO, ..self }
    }

    fn is_of(&self, settings: &SignalSettings) -> bool {
        self.name == settings.name
            && self.source == settings.source
            && self.gpus_per_unit.total_cmp(&settings.gpus_per_unit).is_eq()
    }

    fn hear(&mut self, now: Timestamp, readings: &[Reading]) {
        let mut of_it = readings.iter().filter(|reading| reading.name == self.name);
        let read = of_it.find_map(|reading| Some((reading.at.min(now), reading.value.units()?)));
        let before = self.last;
        self.last = [before, read].into_iter().flatten().max_by_key(|&(at, _)| at);
        if self.last.is_none() {
            return;
        }
        let known = [read, before];
        self.track.note(now, |minute| {
            let known = known.iter().flatten().find(|&&(at, _)| at <= minute);
            known.filter(|&&(at, _)| minute - at <= STALE).map(|&(_, units)| units)
        });
    }

    fn state(&self, now: Timestamp) -> SignalState {
        let Some((at, _)) = self.last else { return SignalState::Unread };
        match self.study {
            Some(study) if !study.is_useful => SignalState::Useless,
            _ if now - at > STALE => SignalState::Stale,
            Some(_) => SignalState::Useful,
            None => SignalState::Trial,
        }
    }

    /// Studies it if that is due; true if it was.
    fn learn(&mut self, settings: &SignalSettings, beside: &Beside<'_>) -> bool {
        let Some(events) = beside.events.filter(|_| beside.now >= self.study_at) else {
            return false;
        };
        if beside.kappa <= 1.0 || self.track.is_empty() {
            return false;
        }
        let study = study(&Case {
            // More may still be told of this very instant.
            now: beside.now - Millis(1),
            track: &self.track,
            events,
            word: word(settings),
            lead: beside.lead,
            told_lead: settings.lead,
            level: 1.0 - 1.0 / beside.kappa,
            was_useful: self.study.is_some_and(|study| study.is_useful),
        });
        self.study = study.or(self.study);
        let rests_on = self.study.map_or(0.0, |study| study.hours);
        self.study_at = beside.now + if rests_on < DAY.as_hours() { HOUR } else { DAY };
        true
    }

    /// Thousandths of GPUs beyond what runs and waits that it asks for. On trial it is taken at its smaller word.
    fn asks(&self, settings: &SignalSettings, beside: &Beside<'_>) -> u64 {
        let state = self.state(beside.now);
        let in_use = !matches!(state, SignalState::Unread | SignalState::Useless);
        let Some((at, units)) = self.last.filter(|_| in_use) else { return 0 };
        if beside.now - at > OLD {
            return 0;
        }
        let wait = standing(
            beside.lead,
            settings.lead.or_else(|| self.study.as_ref().and_then(Study::lead)),
        );
        let stood = match wait {
            Millis::ZERO => units,
            wait => self.track.lowest_since(beside.now - wait).map_or(units, |low| low.min(units)),
        };
        let form = self.study.map_or(Form::Level, |study| study.form);
        let demand = i64::try_from(beside.demand).unwrap_or(i64::MAX);
        word(settings).rise(form, stood, demand).round() as u64
    }
}

fn word(settings: &SignalSettings) -> Word {
    Word { gpus_per_unit: settings.gpus_per_unit, max_gpus: settings.max_gpus }
}

impl Signals {
    /// Whether what was kept can have been.
    pub(super) fn is_sound(&self) -> bool {
        self.heard.len() <= MOST_SIGNALS && self.heard.iter().all(Heard::is_sound)
    }

    /// What a signal was before; names that the settings do not know are left alone.
    fn recall(&mut self, past: &SignalPast) {
        let SignalPast { name, from, every, values } = past;
        let Some(heard) = self.heard.iter_mut().find(|heard| heard.name == *name) else { return };
        let (from, every) = (*from, *every);
        let every = every.max(Millis(1));
        let end = from + every * values.len() as i64;
        let mut minute = from.max(end - SPAN).ceil_to(MINUTE);
        (heard.track, heard.study_at) = (Track::default(), Timestamp::ZERO);
        while minute < end {
            let value = values.get(((minute - from).0 / every.0) as usize).copied().flatten();
            heard.track.note(minute, |_| value.filter(|&units| is_mass(units)));
            minute += MINUTE;
        }
    }

    /// More is known of demand than when they were studied.
    pub(super) fn study_again(&mut self) {
        self.heard.iter_mut().for_each(|heard| heard.study_at = Timestamp::ZERO);
    }

    /// There is nothing to keep.
    pub(super) fn is_empty(&self) -> bool {
        self.heard.is_empty()
    }

    /// Takes in the readings of a look and says what comes of them. At most one signal is studied at a look.
    pub(super) fn advance(
        &mut self,
        told: &PoolSnapshot,
        settings: &[SignalSettings],
        beside: &Beside<'_>,
    ) -> Vec<SignalReport> {
        self.follow(settings);
        for past in &told.signal_pasts {
            self.recall(past);
        }
        let mut has_studied = false;
        let reports = self.heard.iter_mut().zip(settings).map(|(heard, settings)| {
            heard.hear(beside.now, &told.signals);
            has_studied = has_studied || heard.learn(settings, beside);
            SignalReport {
                name: heard.name.clone(),
                value: heard.last.map(|(_, units)| units),
                age: heard.last.map(|(at, _)| beside.now - at),
                state: heard.state(beside.now),
                asks_milli: heard.asks(settings, beside),
                study: heard.study,
            }
        });
        reports.collect()
    }

    /// One that is not in the settings any more is forgotten; one of which the settings changed starts anew.
    pub(super) fn follow(&mut self, settings: &[SignalSettings]) {
        let settings = &settings[..settings.len().min(MOST_SIGNALS)];
        let same = |(heard, settings): (&Heard, &SignalSettings)| heard.is_of(settings);
        if self.heard.len() == settings.len() && self.heard.iter().zip(settings).all(same) {
            return;
        }
        let mut before = std::mem::take(&mut self.heard);
        let follow = |settings: &SignalSettings| {
            let place = before.iter().position(|heard| heard.name == settings.name);
            let heard = place.map(|place| before.swap_remove(place));
            heard.map_or_else(|| Heard::new(settings), |heard| heard.follow(settings))
        };
        self.heard = settings.iter().map(follow).collect();
    }
}

/// Age of the oldest of the signals in use.
pub(super) fn oldest(reports: &[SignalReport]) -> Option<Millis> {
    reports.iter().filter(|report| report.is_in_use()).filter_map(|report| report.age).max()
}

/// When to look at signals again: at the next minute, which is noted, or when one becomes too old.
pub(super) fn next_look(now: Timestamp, reports: &[SignalReport]) -> Timestamp {
    if reports.is_empty() {
        return Timestamp::NEVER;
    }
    let ages = reports.iter().filter(|report| report.is_in_use()).filter_map(|report| report.age);
    let edges = ages.flat_map(|age| [STALE, OLD].map(|limit| now - age + limit + Millis(1)));
    let next = edges.filter(|&at| at > now).min().unwrap_or(Timestamp::NEVER);
    next.min((now + Millis(1)).ceil_to(MINUTE))
}
