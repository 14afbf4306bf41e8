//! Whether a kept memory can have been: a digest guards against damage on the way, not against a fault in
//! what wrote it, and one absurd number would bring every later decision down.

use super::{DemandClock, Flights, KappaMix, Kept};
use crate::{
    model::MAX_NODES,
    strategy::Candidate,
    units::{MOST, is_mass},
};

/// The first part of a pool's memory that cannot have been.
pub(super) fn absurd(
    kept: &Kept,
    gpus_per_node: u32,
    candidates: &[Candidate],
) -> Option<&'static str> {
    let parts = [
        ("learner", kept.learner.is_sound()),
        ("levels", kept.learner.levels().are_of(candidates)),
        ("timeline", kept.timeline.iter().all(|(_, learned)| learned.is_sound())),
        ("shadow", kept.shadow.is_sound(gpus_per_node)),
        ("ledger", kept.ledger.is_sound()),
        ("flights", kept.flights.is_sound()),
        ("promises", kept.promises.is_sound()),
        ("mix", kept.mix.is_sound()),
        ("demand", kept.demand.is_sound()),
        ("signals", kept.signals.is_sound()),
    ];
    parts.into_iter().find(|(_, is_sound)| !is_sound).map(|(field, _)| field)
}

impl Flights {
    fn is_sound(&self) -> bool {
        let asked = self.unseen.iter().map(|ask| u64::from(ask.firm) + u64::from(ask.speculative));
        asked.sum::<u64>() <= u64::from(MAX_NODES)
    }
}

impl KappaMix {
    fn is_sound(&self) -> bool {
        is_mass(self.weighed) && is_mass(self.gpus)
    }
}

impl DemandClock {
    fn is_sound(&self) -> bool {
        self.milli <= (MOST as u64) << 20 && self.integral.unsigned_abs() <= 1 << 110
    }
}
