//! The jobs that make up the demand of one pool: the oldest end first.

use crate::model::{GangId, Job, KindId, Shape, TraceBuilder};
use crate::time::{Millis, Timestamp};
use std::collections::VecDeque;

/// Largest invented job, thousandths of a GPU: one usual node.
const LARGEST: u32 = 8000;

/// Jobs that run at the last row.
const STILL_RUNNING: &str = "end_cut_off_by_recording";

/// A part of the demand that rose at one time.
struct Piece {
    start: i64,
    milli: u32,
    preexisting: bool,
}

/// What runs in one pool.
pub(super) struct Pieces {
    pool: String,
    level: u32,
    running: VecDeque<Piece>,
}

impl Pieces {
    pub(super) fn new(pool: &str) -> Self {
        Self { pool: pool.to_owned(), level: 0, running: VecDeque::new() }
    }

    /// From `now` on the demand is `milli`.
    pub(super) fn set(
        &mut self,
        milli: u32,
        now: i64,
        preexisting: bool,
        trace: &mut TraceBuilder,
    ) {
        let mut rise = milli.saturating_sub(self.level);
        while rise > 0 {
            let milli = rise.min(LARGEST);
            self.running.push_back(Piece { start: now, milli, preexisting });
            rise -= milli;
        }
        let mut fall = self.level.saturating_sub(milli);
        while let Some(oldest) = self.running.front_mut().filter(|_| fall > 0) {
            let ended = Piece { milli: oldest.milli.min(fall), ..*oldest };
            fall -= ended.milli;
            oldest.milli -= ended.milli;
            if oldest.milli == 0 {
                self.running.pop_front();
            }
            self.end(&ended, now, trace);
        }
        self.level = milli;
    }

    /// The recording ends: what runs lasts until `end`.
    pub(super) fn finish(&mut self, end: i64, trace: &mut TraceBuilder) {
        for piece in std::mem::take(&mut self.running) {
            for _ in 0..self.end(&piece, end, trace) {
                trace.adjust(STILL_RUNNING);
            }
        }
    }

    /// Writes a piece as one job of whole GPUs and one of a fraction, as needed; says how many.
    fn end(&self, piece: &Piece, now: i64, trace: &mut TraceBuilder) -> usize {
        let (whole, rest) = (piece.milli / 1000, piece.milli % 1000);
        let parts = [(whole, 1000), (u32::from(rest > 0), rest as u16)];
        let mut jobs = 0;
        for (gpus, gpu_milli) in parts.into_iter().filter(|&(gpus, _)| gpus > 0) {
            let gpu_models = vec![self.pool.clone()];
            let shape = trace.shape(&Shape { gpu_milli, gpu_models, ..Shape::whole_gpus(gpus) });
            let owner = trace.owner(&self.pool);
            trace.push(Job {
                submit: Timestamp(piece.start),
                duration: Millis(now - piece.start),
                shape,
                owner,
                gang: GangId::NONE,
                kind: if piece.preexisting { KindId::PREEXISTING } else { KindId::NONE },
            });
            jobs += 1;
        }
        jobs
    }
}
