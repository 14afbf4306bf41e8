//! The engine packs what waits onto the nodes it is told of, the kernel onto its own: what is left must be the
//! same. Two runs side by side that buy what waiting jobs need and remove nothing.

use super::*;
use crate::{
    model::{Action, GangId, Job, KindId, OwnerId, Trace},
    strategy::{PoolView, Strategy as Policy, Timers, Want},
    time::{Millis, Timestamp},
    world::{Controller, Placement, Setup, run, run_controlled},
};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

/// What is left at a look.
type Left = (Timestamp, u32, u64, u32, Fragments);

struct Told(Arc<Mutex<Vec<Left>>>);

impl Policy for Told {
    fn timers(&self) -> Timers {
        Timers { fragments: true, ..Timers::default() }
    }

    fn want(&mut self, view: &PoolView<'_>) -> Want {
        let left = (view.firm_nodes, view.spare_milli, view.spare_nodes, view.fragments.clone());
        self.0.lock().unwrap().push((view.now, left.0, left.1, left.2, left.3));
        Want::nothing(Millis::MAX)
    }
}

struct Packing<'a> {
    pool: &'a Pool,
    seen: Vec<Left>,
}

impl Controller for Packing<'_> {
    fn decide(&mut self, now: Timestamp, snapshot: &mut Snapshot) -> (Vec<Action>, Timestamp) {
        let nodes = &snapshot.pools[0].nodes;
        let growth = self.pool.max_nodes.unwrap_or(u32::MAX) - nodes.len() as u32;
        let stuck = vec![false; nodes.len()];
        let room = PoolRoom { pool: self.pool, nodes, stuck: &stuck, unseen: 0, growth };
        let mut packed = pack(snapshot, &[room], &[1.0]);
        let need = packed.needs[0];
        let left = packed.fragments.remove(0);
        self.seen.push((now, need.nodes, need.spare_milli, need.spare_nodes, left));
        let create = Action::Create { pool: 0, nodes: need.nodes };
        (Some(create).filter(|_| need.nodes > 0).into_iter().collect(), Timestamp::NEVER)
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    let share = (1u16..1000).prop_map(|gpu_milli| Shape { gpu_milli, ..Shape::whole_gpus(1) });
    let with_cpu = (1u32..9, 0u32..6000)
        .prop_map(|(gpus, cpu_milli)| Shape { cpu_milli, ..Shape::whole_gpus(gpus) });
    prop_oneof![(1u32..20).prop_map(Shape::whole_gpus), share, with_cpu]
}

proptest! {
    #[test]
    fn engine_and_kernel_find_the_same_left(
        shapes in prop::collection::vec(shape(), 1..5),
        jobs in prop::collection::vec((0i64..4000, 1i64..4000, 0usize..5), 1..40),
        has_cpu in any::<bool>(),
        max_nodes in prop::option::of(1u32..8),
    ) {
        let pool = Pool { max_nodes, cpu_milli: has_cpu.then_some(8000), ..Pool::new("p", 8) };
        let mut jobs: Vec<Job> = jobs
            .into_iter()
            .map(|(submit, lasts, shape)| Job {
                submit: Timestamp::from_secs(submit),
                duration: Millis::from_secs(lasts),
                shape: ShapeId((shape % shapes.len()) as u32),
                owner: OwnerId(0),
                gang: GangId::NONE,
                kind: KindId(0),
            })
            .collect();
        jobs.sort_by_key(|job| job.submit);
        let trace = Trace { jobs, shapes, ..Trace::default() };
        let setup = Setup {
            pools: vec![pool.clone()],
            placement: Placement::BestFit,
            decision_every: Setup::DECISION_EVERY,
            seed: 0,
            end: Timestamp::from_secs(8000),
            score_from: Timestamp::ZERO,
            series_bin: None,
        };
        let told = Arc::new(Mutex::new(Vec::new()));
        let mut policy: Vec<Box<dyn Policy>> = vec![Box::new(Told(Arc::clone(&told)))];
        run(&trace, &setup, &mut policy, &|_| true);
        let mut packing = Packing { pool: &pool, seen: Vec::new() };
        run_controlled(&trace, &setup, &mut packing, &|_| true);
        prop_assert_eq!(&*told.lock().unwrap(), &packing.seen);
    }
}
