//! A whole scale-up, event by event, through the index into the engine.

use super::*;
use crate::{
    engine::{Memory, check, decide},
    model::{Action, NodeStage},
};

/// The engine beside the index, as the controller runs them; what it asks for becomes replicas.
struct Story {
    index: Index,
    memory: Option<Memory>,
    replicas: i64,
}

impl Story {
    fn look(&mut self, at: i64) -> Look {
        let look = look(&mut self.index, at);
        let memory = self.memory.get_or_insert_with(|| Memory::new(&look.settings));
        let decision = decide(secs(at), &look.snapshot, &look.settings, memory);
        assert_eq!(check(secs(at), &look.snapshot, &look.settings, &decision), []);
        for action in &decision.actions {
            let Action::Create { nodes, .. } = action else { panic!("{action:?} at {at}") };
            self.replicas += i64::from(*nodes);
            self.index.apply(deployment("a", self.replicas).into());
        }
        look
    }
}

#[test]
fn a_node_is_bought_once_and_counted_at_every_step_of_its_way() {
    // Reactive, so that nothing but waiting work buys.
    let spec = json!({"waitingCostRatio": 1.0, "limits": {"maxSpeculativeNodes": 0}});
    let index = index([deployment("a", 0).into(), gpu_pool("a", spec)]);
    let mut story = Story { index, memory: None, replicas: 0 };
    story.look(0);
    story.index.apply(pod("p", 9, 8).into());
    let look = story.look(10);
    assert_eq!((look.snapshot.waiting.len(), look.pools[0].pending_gpus), (1, 8));
    assert_eq!(story.replicas, 1, "one node for one pod");

    let look = story.look(20);
    let asked = &look.snapshot.pools[0].nodes[0];
    assert_eq!((asked.stage, asked.since), (NodeStage::Requested, secs(20)));
    assert_eq!(look.pools[0].nodes[0].readiness, Readiness::Requested);
    let id = asked.id;

    story.index.apply(machine("n1", "a", 25).into());
    let look = story.look(30);
    let made = &look.snapshot.pools[0].nodes[0];
    assert_eq!((made.id, made.since), (id, secs(20)), "lead time counts from the request");
    assert_eq!(look.pools[0].nodes[0].readiness, Readiness::Provisioning);

    let mut coming = node("n1", 300, 0);
    coming.conditions[0].status = Some(false);
    coming.capacity = amounts(0);
    story.index.apply(coming.clone().into());
    assert_eq!(story.look(290).snapshot.pools[0].nodes[0].stage, NodeStage::Requested);
    coming.conditions[0].status = Some(true);
    story.index.apply(coming.into());
    // The driver gap: Ready and labelled, no GPU. A label-only rule would buy again or think it usable.
    for (at, gpus) in [(310, 0), (400, 0), (500, 4)] {
        story.index.apply(node("n1", 300, gpus).into());
        let look = story.look(at);
        let node = &look.snapshot.pools[0].nodes[0];
        assert_eq!((node.stage, node.since), (NodeStage::Warming, secs(300)), "at {at}");
        assert_eq!((u64::from(node.gpus), u64::from(node.free.gpus)), (gpus, gpus));
    }
    story.index.apply(node("n1", 300, 8).into());
    let look = story.look(540);
    let usable = &look.snapshot.pools[0].nodes[0];
    assert_eq!((usable.stage, usable.since, usable.free.gpus), (NodeStage::Usable, secs(540), 8));
    story.index.apply(bound(pod("p", 9, 8), "n1", 545).into());
    let look = story.look(550);
    let told = &look.snapshot.pools[0];
    assert_eq!((told.running_milli, told.nodes[0].free.gpus), (8000, 0));
    assert_eq!((told.nodes[0].idle_since, look.snapshot.waiting.len()), (None, 0));
    assert_eq!(story.replicas, 1, "nothing was bought a second time");
}

#[test]
fn as_many_nodes_are_asked_for_as_machines_are_missing() {
    let mut index = index([deployment("a", 3).into(), machine("n1", "a", 0).into()]);
    assert_eq!(ids(&look(&mut index, 100).snapshot.pools[0].nodes), [0, 1, 2]);
    index.apply(deployment("a", 2).into());
    let fewer = look(&mut index, 110);
    assert_eq!(ids(&fewer.snapshot.pools[0].nodes), [0, 1], "the newest is called off");
    let mut going = machine("n1", "a", 0);
    going.meta.is_deleting = true;
    index.apply(going.into());
    let replaced = look(&mut index, 120);
    assert_eq!(ids(&replaced.snapshot.pools[0].nodes), [1, 3], "a Machine that goes is replaced");
    assert_eq!(replaced.pools[0].nodes.len(), 3, "beside the snapshot it is still told");
    index.apply(machine("n2", "a", 125).into());
    index.apply(machine("n3", "a", 126).into());
    let made = look(&mut index, 130).snapshot.pools[0].nodes.clone();
    assert_eq!(ids(&made), [1, 3]);
    assert_eq!((made[0].since, made[1].since), (secs(100), secs(120)));
}

#[test]
fn a_failed_machine_is_told_once_and_asks_for_no_other() {
    let mut index = index([deployment("a", 1).into(), machine("n1", "a", 0).into()]);
    assert!(!look(&mut index, 10).snapshot.pools[0].was_refused);
    let failure = Some("InfrastructureReady: no capacity".to_owned());
    index.apply(Machine { failure, ..machine("n1", "a", 0) }.into());
    let failed = look(&mut index, 20);
    assert!(failed.snapshot.pools[0].was_refused && failed.snapshot.pools[0].nodes.is_empty());
    assert!(
        matches!(&failed.pools[0].nodes[0].readiness, Readiness::Failed(why) if why.contains("no capacity"))
    );
    assert!(!look(&mut index, 30).snapshot.pools[0].was_refused);
}
