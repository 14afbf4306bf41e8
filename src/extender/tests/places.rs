//! What a score rests on, one reason at a time: nodes that differ in nothing else.

use super::*;

fn gang_of(members: u32, gpus: u64) -> Pod {
    let gang = Some(Gang { name: "train".into(), min_members: Some(members) });
    Pod { gang, ..pod(gpus) }
}

/// A node of a domain on which `used` GPUs are taken.
fn put(snapshot: &mut ExtenderSnapshot, name: &str, clique: &str, used: &[&Pod]) {
    let mut node = node(name);
    node.meta.labels.insert("nvidia.com/gpu.clique".into(), clique.into());
    let taken: Vec<Taken> = used.iter().map(|pod| Taken::of(pod)).collect();
    snapshot.set_node(&Seen { pods: taken.iter().collect(), ..seen(&node) });
}

/// Domain x has one member, y two, z none and most room.
#[test]
fn a_gang_goes_where_most_of_it_is() {
    let (member, mut all) = (gang_of(8, 2), snapshot(&[]));
    put(&mut all, "x", "x", &[&member]);
    put(&mut all, "y", "y", &[&member, &member]);
    put(&mut all, "z", "z", &[]);
    assert_eq!(scores(&all, &member, &["x", "y", "z"]), [9, 10, 0]);
}

/// Four of 8 GPUs fit no domain: the one with most room splits the gang least. A node without NVLink is last.
#[test]
fn a_gang_that_fits_nowhere_goes_where_most_is_free() {
    let (member, other, mut all) = (gang_of(4, 8), pod(4), snapshot(&[node("plain")]));
    put(&mut all, "x1", "x", &[]);
    put(&mut all, "y1", "y", &[]);
    put(&mut all, "y2", "y", &[]);
    put(&mut all, "z1", "z", &[]);
    put(&mut all, "z2", "z", &[&other]);
    assert_eq!(scores(&all, &member, &["x1", "y1", "z1", "plain"]), [4, 10, 9, 0]);
}

/// Three of four members are on nodes without NVLink: what is left needs 8 GPUs, for which the half-full domain is
/// enough.
#[test]
fn members_that_have_a_place_need_no_other() {
    let (member, mut all) = (gang_of(4, 8), snapshot(&[]));
    for name in ["a", "b", "c"] {
        put(&mut all, name, "", &[&member]);
    }
    put(&mut all, "x1", "x", &[]);
    put(&mut all, "x2", "x", &[&pod(8)]);
    put(&mut all, "y1", "y", &[]);
    put(&mut all, "y2", "y", &[]);
    assert_eq!(scores(&all, &member, &["x1", "y1"]), [10, 0]);
    // None has a place yet: 32 GPUs, nobody has them, y has most.
    for name in ["a", "b", "c"] {
        put(&mut all, name, "", &[]);
    }
    assert_eq!(scores(&all, &member, &["x1", "y1"]), [0, 10]);
}

#[test]
fn nodes_ready_only_now_come_last_among_equals() {
    let mut all = snapshot(&[]);
    let ready = |ago| Some(NOW - Millis(ago));
    for (name, ready_since) in [("old", ready(30_000)), ("new", ready(29_999)), ("never", None)] {
        all.set_node(&Seen { ready_since, ..seen(&node(name)) });
    }
    assert_eq!(scores(&all, &pod(1), &["old", "new", "never"]), [10, 0, 0]);
}

/// What is known of the use of a node that is sent in full counts; what was sent decides about the rest.
#[test]
fn nodes_sent_in_full_keep_what_is_known_of_their_use() {
    let mut all = snapshot(&[]);
    let (fuller, emptier) = (Taken::of(&pod(6)), Taken::of(&pod(2)));
    all.set_node(&Seen { pods: vec![&fuller], ..seen(&node("fuller")) });
    all.set_node(&Seen { pods: vec![&emptier], rebooted: Some(NOW), ..seen(&node("emptier")) });
    all.suppose_nodes(&[seen(&node("fuller")), seen(&node("emptier"))]);
    assert_eq!(scores(&all, &pod(1), &["fuller", "emptier"]), [10, 0]);
    let ask = Ask::new(&pod(1), None, &all.policy);
    let filtered = filter(&all, &ask, ["fuller", "emptier"], NOW);
    assert_eq!(filtered.rejected, [("emptier", Rejection::Unresolvable, reason::REBOOTED)]);
}
