//! Steps in demand: replicas that are added at an instant, or take the place of others.
//!
//! In a replacement both generations run for a while. Run times in a trace do not depend on waiting,
//! so an old replica ends a fixed overlap after its successor is asked for, wherever that is then.

use super::{Draft, Out, draw::Picker};
use crate::{
    config::scenario::Rollout,
    model::{GangId, KindId},
    time::{Millis, Timestamp},
};

pub(super) fn draw(rollout: &Rollout, out: &mut Out<'_>) {
    let run = out.run;
    let mut pick = Picker::new(&rollout.template, run.streams, run.end);
    let mut gang = GangId::NONE;
    if rollout.gang && rollout.replicas > 1 {
        gang = out.trace.gang(run.streams.source, rollout.replicas);
    }
    for replica in 0..rollout.replicas {
        let batch = i64::from(replica / rollout.batch.max(1));
        let submit = rollout.at + rollout.every * batch;
        let (owner, shape) = (pick.owner(), pick.shape());
        if let Some(overlap) = rollout.overlap {
            let duration = (submit + overlap - Timestamp::ZERO).max(Millis::from_secs(1));
            let (submit, gang, kind) = (Timestamp::ZERO, GangId::NONE, KindId::PREEXISTING);
            out.push(&Draft { submit, duration, owner, shape, gang, kind });
        }
        let (duration, kind) = (pick.run_time(), KindId::NONE);
        out.push(&Draft { submit, duration, owner, shape, gang, kind });
    }
}
