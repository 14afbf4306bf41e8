//! The process is killed after every single write; its successor knows nothing but the cluster.

use super::{
    super::{ActuationSettings, DecisionId, Orders, PoolOrders, execute::Versions, plan},
    world::{LEAD, World},
};
use crate::{
    live::{
        gpu_pool::{Backend, ScaleDownBy},
        look::Look,
    },
    model::NodeId,
    readiness::Readiness,
    time::{Millis, Timestamp},
};

/// A stand-in for the engine: `wanted` nodes, idle ones go first.
fn orders(look: &Look, wanted: u32, counter: u64, process: u32) -> Orders {
    let pool = &look.pools[0];
    let replicas = pool.target.as_ref().unwrap().deployment.replicas.unwrap() as u32;
    let idle =
        pool.nodes.iter().filter(|node| node.pods == 0 && node.readiness == Readiness::Allocatable);
    let mut idle: Vec<_> = idle.collect();
    idle.sort_by_key(|node| (!node.is_cordoned_by_us, node.id));
    let surplus = replicas.saturating_sub(wanted) as usize;
    let remove: Vec<NodeId> = idle.into_iter().take(surplus).map(|node| node.id).collect();
    let order = PoolOrders {
        create: wanted.saturating_sub(replicas),
        remove,
        hold: Millis::from_mins(20),
        lead_p90: LEAD,
    };
    Orders { id: DecisionId { counter, digest: format!("p{process}") }, pools: vec![order] }
}

struct Run {
    world: World,
    settings: ActuationSettings,
    /// Nodes wanted at a second of the run.
    wanted: fn(i64) -> u32,
    pods: u32,
}

impl Run {
    /// Four hours; the process dies after write `kill_after` and is back 50 s later. Gives the number of writes.
    fn play(&mut self, kill_after: Option<u32>) -> u32 {
        let begin = self.world.now;
        for pod in 0..self.pods {
            self.world.add_pod(&format!("job-{pod}"), 2400 + i64::from(pod) * 100);
        }
        let (mut writes, mut dead_until, mut process, mut counter) = (0, 0, 0, 0);
        while self.world.now < begin + 4 * 3600 {
            self.world.tick();
            if self.world.now < dead_until {
                continue;
            }
            counter += 1;
            let look = self.world.look();
            let wanted = (self.wanted)(self.world.now - begin);
            let orders = orders(&look, wanted, counter, process);
            let now = Timestamp::from_secs(self.world.now);
            let plan = plan(now, &orders, &look, &self.settings);
            let mut versions = Versions::default();
            for step in &plan.writes {
                let written = self.world.write(&step.write, &mut versions);
                assert_eq!(written, Ok(()), "nobody else writes: {}", step.write);
                writes += 1;
                if Some(writes) == kill_after {
                    (dead_until, process, counter) = (self.world.now + 50, process + 1, 0);
                    break;
                }
            }
        }
        writes
    }
}

/// Plays it through, then again and again with a kill after each write.
fn converges(made: u32, run: impl Fn() -> Run) {
    let check = |run: &Run, killed: Option<u32>| {
        assert_eq!(run.world.made, made, "killed after write {killed:?}: bought");
        let left = run.world.marks_left();
        assert!(left.is_empty(), "killed after write {killed:?}: {left:?}");
        assert_eq!(run.world.min_size(), "0", "killed after write {killed:?}");
        assert_eq!(run.world.replicas(), 0, "killed after write {killed:?}");
    };
    let mut whole = run();
    let writes = whole.play(None);
    check(&whole, None);
    assert!(writes >= 2, "{writes} writes only");
    for kill in 1..=writes {
        let mut killed = run();
        killed.play(Some(kill));
        check(&killed, Some(kill));
    }
}

fn run(
    backend: Backend,
    scale_down: ScaleDownBy,
    autoscaler: bool,
    wanted: fn(i64) -> u32,
    pods: u32,
) -> Run {
    let settings = ActuationSettings { floor_enforced: autoscaler, ..ActuationSettings::default() };
    Run { world: World::new(backend, scale_down, autoscaler), settings, wanted, pods }
}

/// Three nodes for the first 25 minutes or what runs on them, then none.
fn three_for_a_while(second: i64) -> u32 {
    if second < 1500 { 3 } else { 0 }
}

#[test]
fn replicas_for_waiting_pods_are_bought_once_and_go_by_autoscaler() {
    converges(3, || {
        run(Backend::Replicas, ScaleDownBy::ClusterAutoscaler, true, three_for_a_while, 3)
    });
}

#[test]
fn replicas_ahead_of_demand_are_held_and_go_by_autoscaler() {
    converges(3, || {
        run(Backend::Replicas, ScaleDownBy::ClusterAutoscaler, true, three_for_a_while, 0)
    });
}

#[test]
fn replicas_without_autoscaler_go_step_by_step() {
    converges(3, || run(Backend::Auto, ScaleDownBy::Prewarm, false, three_for_a_while, 0));
}

#[test]
fn replicas_with_autoscaler_go_step_by_step_while_some_work() {
    converges(3, || run(Backend::Replicas, ScaleDownBy::Prewarm, true, three_for_a_while, 2));
}

#[test]
fn a_floor_makes_autoscaler_buy_once_and_goes_again() {
    converges(3, || run(Backend::Auto, ScaleDownBy::ClusterAutoscaler, true, three_for_a_while, 3));
}

#[test]
fn a_floor_ahead_of_demand_goes_again() {
    converges(3, || {
        run(Backend::Floor, ScaleDownBy::ClusterAutoscaler, true, three_for_a_while, 0)
    });
}

/// The demand is gone before the nodes are there, and back before they have gone.
#[test]
fn a_change_of_mind_takes_cordons_back() {
    fn wavering(second: i64) -> u32 {
        match second {
            // For one look at a time two nodes are to go, so that they are cordoned and not more.
            700..1200 if second % 40 == 0 => 0,
            0..1200 => 2,
            _ => 0,
        }
    }
    converges(2, || run(Backend::Replicas, ScaleDownBy::Prewarm, false, wavering, 0));
}

#[test]
fn nodes_are_held_while_they_are_wanted() {
    let mut run = run(
        Backend::Replicas,
        ScaleDownBy::ClusterAutoscaler,
        true,
        |second| if second < 1700 { 2 } else { 0 },
        0,
    );
    let begin = run.world.now;
    let mut most_held = 0;
    while run.world.now < begin + 1600 {
        run.world.tick();
        let look = run.world.look();
        let orders = orders(&look, 2, 1, 0);
        let plan = plan(Timestamp::from_secs(run.world.now), &orders, &look, &run.settings);
        let mut versions = Versions::default();
        for step in &plan.writes {
            run.world.write(&step.write, &mut versions).unwrap();
        }
        most_held = most_held.max(run.world.held());
    }
    assert_eq!(most_held, 2);
    assert_eq!(run.world.replicas(), 2, "cluster-autoscaler removed a held node");
}
