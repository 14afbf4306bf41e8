//! News in, snapshots out.

mod lists;

use super::*;
use crate::{
    extender::{NodeView, Verdict, verdict},
    live::extender::facts::namespace,
    model::object::{Effect, Meta, Resources, Strings, Taint},
    time::Millis,
};

const GPU: &str = "nvidia.com/gpu";

fn gpus(count: u64) -> Resources {
    Resources { extended: [(GPU.to_owned(), count)].into(), ..Resources::default() }
}

fn node(name: &str, allocatable: u64) -> Node {
    let key = GPU.to_owned();
    Node {
        meta: Meta { name: name.into(), ..Meta::default() },
        taints: vec![Taint { key, value: String::new(), effect: Effect::NoSchedule }],
        conditions: vec![crate::model::object::Condition {
            kind: "Ready".into(),
            status: Some(true),
            ..Default::default()
        }],
        boot_id: "first".into(),
        capacity: gpus(8),
        allocatable: gpus(allocatable),
        ..Node::default()
    }
}

fn pod(name: &str, on: Option<&str>, count: u64) -> Pod {
    Pod {
        meta: Meta {
            name: name.into(),
            namespace: "ml".into(),
            uid: format!("uid of {name}"),
            ..Meta::default()
        },
        node: on.map(str::to_owned),
        requests: gpus(count),
        ..Pod::default()
    }
}

fn tell(feed: &mut Feed, events: impl IntoIterator<Item = Event>, now: i64) {
    for event in events {
        feed.apply(event, Timestamp(now));
    }
}

fn synced() -> Feed {
    let mut feed = Feed::new(Policy::default());
    tell(&mut feed, KINDS.map(Event::Restarted), 0);
    tell(&mut feed, KINDS.map(Event::Synced), 0);
    feed.publish(Timestamp(0));
    feed
}

fn free(feed: &mut Feed, name: &str) -> u64 {
    let snapshot = feed.publish(Timestamp(1)).unwrap();
    snapshot.find(name).unwrap().1.offers[0].free
}

#[test]
fn nothing_is_synced_before_all_lists_are_complete() {
    let mut feed = Feed::new(Policy::default());
    assert!(feed.publish(Timestamp(0)).is_none());
    for kind in KINDS {
        tell(&mut feed, [Event::Restarted(kind)], 0);
        assert!(!feed.publish(Timestamp(0)).unwrap().is_synced);
        tell(&mut feed, [Event::Synced(kind)], 0);
    }
    let snapshot = feed.publish(Timestamp(5)).unwrap();
    assert!(snapshot.is_synced);
    assert_eq!(snapshot.at, Timestamp(5));
    assert!(feed.publish(Timestamp(6)).is_none(), "nothing new, no new snapshot");
}

#[test]
fn pods_take_gpus_and_give_them_back() {
    let mut feed = synced();
    let put = |pod| Event::Pod(Box::new(pod));
    tell(&mut feed, [put(pod("a", None, 2)), Event::Node(Box::new(node("n", 8)))], 1);
    assert_eq!(free(&mut feed, "n"), 8);
    assert!(feed.waiting("ml/a").is_some());
    tell(&mut feed, [put(pod("a", Some("n"), 2)), put(pod("b", Some("n"), 1))], 1);
    assert_eq!(free(&mut feed, "n"), 5);
    assert!(feed.waiting("ml/a").is_none());
    let gone = |uid: &str| Event::PodGone {
        namespace: "ml".into(),
        name: "a".into(),
        uid: uid.to_owned(),
    };
    tell(&mut feed, [gone("of an older one")], 1);
    assert_eq!(free(&mut feed, "n"), 5);
    tell(&mut feed, [gone("uid of a")], 1);
    assert_eq!(free(&mut feed, "n"), 7);
    tell(&mut feed, [put(Pod { phase: PodPhase::Succeeded, ..pod("b", Some("n"), 1) })], 1);
    assert_eq!(free(&mut feed, "n"), 8);
}

#[test]
fn what_a_list_that_begins_anew_does_not_tell_is_gone() {
    let mut feed = synced();
    let put = |pod| Event::Pod(Box::new(pod));
    let there = |name: &str| Event::Node(Box::new(node(name, 8)));
    tell(&mut feed, [there("n"), there("m"), put(pod("a", Some("n"), 2))], 1);
    tell(&mut feed, [put(pod("b", Some("n"), 1))], 1);
    assert_eq!(free(&mut feed, "n"), 5);
    tell(&mut feed, [Event::Restarted(Kind::Pod), put(pod("b", Some("n"), 1))], 2);
    assert_eq!(free(&mut feed, "n"), 5, "until the list is complete the old picture stands");
    tell(&mut feed, [Event::Synced(Kind::Pod)], 2);
    assert_eq!(free(&mut feed, "n"), 7);
    tell(&mut feed, [Event::Restarted(Kind::Node), there("m"), Event::Synced(Kind::Node)], 3);
    let snapshot = feed.publish(Timestamp(3)).unwrap();
    assert!(snapshot.find("n").is_none() && snapshot.find("m").is_some());
}

/// The kubelet's picture of devices after a reboot is not believed before somebody has looked at them, or five
/// minutes have passed.
#[test]
fn a_reboot_between_two_snapshots_is_noticed() {
    let mut feed = synced();
    let said = |feed: &mut Feed, now: Timestamp| {
        feed.apply(Event::Synced(Kind::Pod), now);
        let snapshot = feed.publish(now).unwrap();
        let ask = Ask::new(&pod("a", None, 1), None, &snapshot.policy);
        verdict(&ask, snapshot.find("n").unwrap().1, &snapshot.policy, now)
    };
    tell(&mut feed, [Event::Node(Box::new(node("n", 8)))], 10);
    assert_eq!(said(&mut feed, Timestamp(10)), Verdict::Pass);
    let again = Node { boot_id: "second".into(), ..node("n", 8) };
    tell(&mut feed, [Event::Node(Box::new(again.clone()))], 20);
    tell(&mut feed, [Event::Node(Box::new(again.clone()))], 21);
    assert!(matches!(said(&mut feed, Timestamp(21)), Verdict::Reject { .. }));
    let over = Timestamp(20) + Millis::from_mins(5);
    assert!(matches!(said(&mut feed, over - Millis(1)), Verdict::Reject { .. }));
    assert_eq!(said(&mut feed, over), Verdict::Pass);
    let mut looked = again;
    looked.meta.labels.insert(DISCOVERED.into(), "1700000000".into());
    tell(&mut feed, [Event::Node(Box::new(looked))], 30);
    assert_eq!(said(&mut feed, Timestamp(30)), Verdict::Pass);
}

#[test]
fn namespaces_and_what_the_controller_says_are_taken_over() {
    let mut feed = synced();
    let labels = [("prewarm.dev/gpu-access".to_owned(), "denied".to_owned())].into();
    let denied = namespace("ml", &labels, &Strings::new());
    tell(&mut feed, [Event::Namespace(Box::new(denied)), Event::Node(Box::new(node("n", 8)))], 1);
    let n = || BTreeSet::from(["n".to_owned()]);
    feed.set_prospects(Prospects { to_go: n(), elastic: BTreeSet::new() });
    let snapshot = feed.publish(Timestamp(1)).unwrap();
    assert_eq!(snapshot.namespace("ml").unwrap().access, Some(false));
    let fate = |view: &NodeView| (view.is_to_go, view.is_elastic);
    assert_eq!(fate(snapshot.find("n").unwrap().1), (true, false));
    feed.set_prospects(Prospects { to_go: n(), elastic: n() });
    let snapshot = feed.publish(Timestamp(1)).unwrap();
    assert_eq!(fate(snapshot.find("n").unwrap().1), (true, true));
    feed.set_prospects(Prospects { to_go: BTreeSet::new(), elastic: n() });
    assert_eq!(fate(feed.publish(Timestamp(1)).unwrap().find("n").unwrap().1), (false, true));
    feed.set_prospects(Prospects::default());
    let gone = Event::Gone { kind: Kind::Namespace, key: "ml".into() };
    tell(&mut feed, [gone], 2);
    let snapshot = feed.publish(Timestamp(2)).unwrap();
    assert!(snapshot.namespace("ml").is_none());
    assert_eq!(fate(snapshot.find("n").unwrap().1), (false, false));
    feed.set_prospects(Prospects::default());
    assert!(feed.publish(Timestamp(3)).is_none(), "nothing new, no new snapshot");
}

#[test]
fn slices_of_dra_are_added_up_by_node() {
    let mut feed = synced();
    let slice = |name: &str| ResourceSlice {
        meta: Meta { name: name.into(), ..Meta::default() },
        driver: "gpu.nvidia.com".into(),
        node: Some("n".into()),
        pool: "n".into(),
        generation: 1,
        slices: 2,
        devices: 4,
    };
    tell(&mut feed, [Event::Node(Box::new(node("n", 0))), Event::Slice(Box::new(slice("a")))], 1);
    assert!(feed.publish(Timestamp(1)).unwrap().find("n").unwrap().1.awaits_slices);
    tell(&mut feed, [Event::Slice(Box::new(slice("b")))], 2);
    assert!(!feed.publish(Timestamp(2)).unwrap().find("n").unwrap().1.awaits_slices);
    tell(&mut feed, [Event::Gone { kind: Kind::ResourceSlice, key: "a".into() }], 3);
    assert!(feed.publish(Timestamp(3)).unwrap().find("n").unwrap().1.awaits_slices);
}

/// A label is kept that says whether the node comes and goes, and counts before the controller.
#[test]
fn a_node_says_itself_whether_it_comes_and_goes() {
    let mut feed = synced();
    let told = |feed: &mut Feed, said: &str| {
        let mut node = node("n", 8);
        node.meta.labels.insert("prewarm.dev/elastic".into(), said.into());
        tell(feed, [Event::Node(Box::new(node))], 1);
        feed.publish(Timestamp(1)).unwrap().find("n").unwrap().1.is_elastic
    };
    assert!(told(&mut feed, "true") && !told(&mut feed, "false"));
    let elastic = ["n".to_owned()].into();
    feed.set_prospects(Prospects { elastic, ..Prospects::default() });
    assert!(!told(&mut feed, "false") && told(&mut feed, "whatever"));
}

/// What was dropped and what was noticed before a policy came is there for it: conditions, models, times.
#[test]
fn another_policy_holds_for_nodes_that_do_not_change() {
    let mut feed = synced();
    let mut odd = node("n", 8);
    odd.meta.labels.insert("nvidia.com/gpu.product".into(), "T4".into());
    for (kind, is_true) in [("XidStorm", true), ("FanStopped", false)] {
        let (kind, status) = (kind.to_owned(), Some(is_true));
        let condition = crate::model::object::Condition { kind, status, ..Default::default() };
        odd.conditions.push(condition);
    }
    tell(&mut feed, [Event::Node(Box::new(odd))], 1_000);
    let before = feed.publish(Timestamp(1_000)).unwrap();
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let with = |policy: Policy| {
        feed.set_policy(policy);
        let snapshot = feed.publish(Timestamp(2_000)).unwrap();
        let view = snapshot.find("n").unwrap().1.clone();
        (snapshot.generation, view)
    };
    let mut with = with;
    let usual = before.find("n").unwrap().1.clone();
    assert_eq!((usual.lacks, usual.price_milli, usual.taints.len()), (None, 1000, 1));
    let policy = Policy {
        unhealthy_conditions: set(&["XidStorm"]),
        prices_milli: [("T4".to_owned(), 350)].into(),
        gpu_taints: set(&["other"]),
        settle: Millis::from_secs(60),
        elastic: Some(true),
        ..Policy::default()
    };
    let (generation, view) = with(policy);
    assert!(generation > before.generation);
    assert_eq!(view.lacks, Some(crate::extender::reason::HEALTH));
    assert_eq!((view.price_milli, view.taints.len(), view.is_elastic), (350, 0, true));
    assert_eq!(view.held.unwrap().until, Timestamp(61_000), "ready since it was first seen");
    let fans = Policy { unhealthy_conditions: set(&["FanStopped"]), ..Policy::default() };
    assert_eq!(with(fans).1.lacks, None);
    assert_eq!(with(Policy::default()).1, usual);
}

/// A hold that is over must not be looked at for every request: nodes alike would not share a verdict.
#[test]
fn holds_are_forgotten_when_they_are_over() {
    let there = || Event::Node(Box::new(node("n", 8)));
    let held_at = |feed: &mut Feed, now| {
        tell(feed, [there()], now);
        feed.publish(Timestamp(now)).unwrap().find("n").unwrap().1.held.map(|held| held.until)
    };
    assert_eq!(held_at(&mut synced(), 1), None);
    let policy = Policy { settle: Millis(500), ..Policy::default() };
    let mut feed = Feed::new(policy);
    tell(&mut feed, KINDS.map(Event::Restarted), 0);
    tell(&mut feed, KINDS.map(Event::Synced), 0);
    assert_eq!(held_at(&mut feed, 1), Some(Timestamp(501)));
    assert_eq!(held_at(&mut feed, 500), Some(Timestamp(501)));
    assert_eq!(held_at(&mut feed, 501), None);
}
