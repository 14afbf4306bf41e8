//! What the first lists tell, and what is told again.

use super::*;

/// Whichever list comes last: before it nothing is answered.
#[test]
fn every_list_is_waited_for() {
    for last in KINDS {
        let mut feed = Feed::new(Policy::default());
        for kind in KINDS.into_iter().filter(|&kind| kind != last) {
            tell(&mut feed, [Event::Restarted(kind), Event::Synced(kind)], 0);
        }
        assert!(!feed.publish(Timestamp(1)).unwrap().is_synced, "{last:?}");
        tell(&mut feed, [Event::Restarted(last), Event::Synced(last)], 2);
        assert!(feed.publish(Timestamp(2)).unwrap().is_synced, "{last:?}");
        // A watch that begins anew takes nothing back.
        tell(&mut feed, [Event::Restarted(last)], 3);
        assert!(feed.publish(Timestamp(3)).unwrap().is_synced, "{last:?}");
    }
}

/// When the extender starts, nodes that are ready have been so for who knows how long: a time to settle holds up only
/// those that become ready while it looks.
#[test]
fn a_start_makes_no_node_new() {
    let policy = Policy { settle: Millis::from_secs(60), ..Policy::default() };
    let mut feed = Feed::new(policy);
    tell(&mut feed, KINDS.map(Event::Restarted), 1_000_000);
    tell(&mut feed, [Event::Node(Box::new(node("old", 8)))], 1_000_000);
    feed.publish(Timestamp(1_000_000));
    tell(&mut feed, KINDS.map(Event::Synced), 1_000_001);
    tell(&mut feed, [Event::Node(Box::new(node("new", 8)))], 1_000_002);
    let snapshot = feed.publish(Timestamp(1_000_002)).unwrap();
    let passes = |name: &str, now: i64| {
        let ask = Ask::new(&pod("a", None, 1), None, &snapshot.policy);
        let node = snapshot.find(name).unwrap().1;
        verdict(&ask, node, &snapshot.policy, Timestamp(now)) == Verdict::Pass
    };
    assert!(passes("old", 1_000_002) && !passes("new", 1_000_002));
    assert!(!passes("new", 1_060_001) && passes("new", 1_060_002));
}

/// Each pod is one arrival, however often its watch tells of it.
#[test]
fn a_pod_arrives_once() {
    let mut feed = synced();
    let put = |pod| Event::Pod(Box::new(pod));
    for _ in 0..5 {
        tell(&mut feed, [put(pod("a", None, 2))], 1);
    }
    tell(&mut feed, [put(pod("a", Some("n"), 2)), put(pod("b", None, 4))], 2);
    let weights = |snapshot: &ExtenderSnapshot| -> Vec<u64> {
        snapshot.mix().classes().iter().map(|class| class.weight).collect()
    };
    let told = weights(&feed.publish(Timestamp(2)).unwrap());
    assert!(told.len() == 2 && told[0] == told[1], "{told:?}");
    let again =
        Pod { meta: Meta { uid: "another".into(), ..pod("a", None, 2).meta }, ..pod("a", None, 2) };
    tell(&mut feed, [put(again)], 3);
    let told = weights(&feed.publish(Timestamp(3)).unwrap());
    assert_eq!(
        told.iter().max().map(|most| most / told.iter().min().unwrap()),
        Some(2),
        "{told:?}"
    );
}
