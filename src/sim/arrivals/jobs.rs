//! Jobs that the scenario writes out: hand-made cases.

use super::{
    Draft, Out, Run,
    draw::{Picker, Streams},
};
use crate::{
    config::scenario::JobRow,
    model::{GangId, KindId},
};

pub(super) fn draw(rows: &[JobRow], out: &mut Out<'_>) {
    let Run { end, streams: Streams { seed, source }, .. } = out.run;
    for (nth, row) in rows.iter().enumerate() {
        // Rows draw apart, or two equal ones would draw the same.
        let streams = Streams { seed, source: &format!("{source}[{nth}]") };
        let mut pick = Picker::new(&row.template, streams, end);
        let gang = match &row.gang {
            Some((name, min_members)) => out.trace.gang(name, *min_members),
            None => GangId::NONE,
        };
        for nth in 0..row.count {
            let spaced = if row.is_preexisting { 0 } else { i64::from(nth) };
            out.push(&Draft {
                submit: row.at + row.every * spaced,
                duration: pick.run_time(),
                owner: pick.owner(),
                shape: pick.shape(),
                gang,
                kind: if row.is_preexisting { KindId::PREEXISTING } else { KindId::NONE },
            });
        }
    }
}
