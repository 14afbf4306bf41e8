//! Single steps by hand, then a model of kube-scheduler's queue with watches that lag.

use super::*;
use crate::{
    extender::{Namespace, Policy, Seen, filter},
    model::object::{GpuSlices, Meta, Node, Resources},
    readiness::Readiness,
};
use proptest::prelude::*;

const GPU: &str = "nvidia.com/gpu";

fn pod() -> Arc<Pod> {
    Arc::new(Pod {
        meta: Meta { name: "p".into(), namespace: "ml".into(), uid: "u".into(), ..Meta::default() },
        requests: gpus(1),
        ..Pod::default()
    })
}

fn gpus(count: u64) -> Resources {
    Resources { cpu_milli: 0, memory_bytes: 0, extended: [(GPU.to_owned(), count)].into() }
}

/// A node of eight GPUs. `rebooted`: it is doubted from then on.
fn put(snapshot: &mut ExtenderSnapshot, name: &str, is_good: bool, rebooted: Option<i64>) {
    put_with(snapshot, name, is_good, rebooted, None);
}

/// The same; `is_published`: all its devices are in ResourceSlices.
fn put_with(
    snapshot: &mut ExtenderSnapshot,
    name: &str,
    is_good: bool,
    rebooted: Option<i64>,
    is_published: Option<bool>,
) {
    let slices = is_published.map(|is_complete| {
        let driver = "gpu.nvidia.com".to_owned();
        GpuSlices { driver, devices: 8, is_complete }
    });
    let mut node = Node {
        meta: Meta { name: name.into(), ..Meta::default() },
        capacity: gpus(8),
        allocatable: gpus(8),
        ..Node::default()
    };
    if !is_good {
        let key = "nvidia.com/gpu-driver-upgrade-state".to_owned();
        node.meta.labels.insert(key, "drain-required".into());
    }
    tell(snapshot, &node, rebooted, slices.as_ref());
}

fn tell(
    snapshot: &mut ExtenderSnapshot,
    node: &Node,
    rebooted: Option<i64>,
    slices: Option<&GpuSlices>,
) {
    snapshot.set_node(&Seen {
        node,
        readiness: Readiness::Allocatable,
        ready_since: None,
        rebooted: rebooted.map(Timestamp),
        slices,
        pods: Vec::new(),
        is_to_go: false,
        is_scaled: false,
        price_milli: 1000,
    });
    snapshot.generation += 1;
}

fn answer(snapshot: &ExtenderSnapshot, names: &[&str], now: i64) -> (Answered, bool) {
    answer_about(&pod(), snapshot, names, now)
}

fn answer_about(
    pod: &Pod,
    snapshot: &ExtenderSnapshot,
    names: &[&str],
    now: i64,
) -> (Answered, bool) {
    let ask = Ask::new(pod, snapshot.namespace("ml"), &snapshot.policy);
    let filtered = filter(snapshot, &ask, names.iter().copied(), Timestamp(now));
    let answered = Answered {
        uid: "u".into(),
        ask: ask.clone(),
        generation: snapshot.generation,
        at: Timestamp(now),
        has_refusals: !filtered.rejected.is_empty(),
    };
    (answered, !filtered.passed.is_empty())
}

struct Bench {
    nudger: Nudger,
    snapshot: ExtenderSnapshot,
}

impl Bench {
    fn new(policy: Policy) -> Self {
        Self { nudger: Nudger::default(), snapshot: ExtenderSnapshot::new(policy) }
    }

    fn ask(&mut self, now: i64) {
        let (answered, _) = answer(&self.snapshot, &["n"], now);
        self.nudger.answered(answered, &self.snapshot);
    }

    fn look(&mut self, now: i64) -> Option<String> {
        self.nudger
            .look(Timestamp(now), &Arc::new(self.snapshot.clone()), [&pod()].into_iter())
            .touch
    }
}

#[test]
fn a_node_that_opened_after_the_last_answer_is_touched_once_and_then_more_and_more_rarely() {
    let mut bench = Bench::new(Policy::default());
    put(&mut bench.snapshot, "n", false, None);
    bench.ask(0);
    assert_eq!(bench.look(10), None);
    put(&mut bench.snapshot, "n", true, None);
    assert_eq!(bench.look(20), None, "the scheduler has time to ask of its own accord");
    assert_eq!(bench.look(170), Some("n".into()));
    let touches: Vec<i64> =
        (18..1000).map(|at| at * 10).filter(|&at| bench.look(at).is_some()).collect();
    assert_eq!(touches, [1170, 3170, 7170]);
}

#[test]
fn whoever_has_asked_again_needs_no_touch() {
    let mut bench = Bench::new(Policy::default());
    put(&mut bench.snapshot, "n", false, None);
    bench.ask(0);
    bench.look(10);
    put(&mut bench.snapshot, "n", true, None);
    bench.ask(30);
    for at in 4..200 {
        assert_eq!(bench.look(at * 10), None);
    }
}

/// Another policy opens nodes as a change of a Node does, but no Node has changed: the scheduler does not ask.
#[test]
fn a_policy_that_opens_nodes_is_as_good_as_a_change_of_them() {
    let squatters_stay_off = Policy::default();
    let anybody = Policy { refuses_squatters: false, ..Policy::default() };
    let exempt = Policy { exempt_namespaces: ["ml".to_owned()].into(), ..Policy::default() };
    for (after, expected) in [(squatters_stay_off, None), (anybody, Some("n")), (exempt, Some("n"))]
    {
        let squatter = Arc::new(Pod { requests: gpus(0), ..(*pod()).clone() });
        let mut snapshot = ExtenderSnapshot::new(Policy::default());
        put(&mut snapshot, "n", true, None);
        let mut nudger = Nudger::default();
        let (answered, _) = answer_about(&squatter, &snapshot, &["n"], 0);
        assert!(answered.has_refusals);
        nudger.answered(answered, &snapshot);
        let mut look = |snapshot: &ExtenderSnapshot, now| {
            let snapshot = Arc::new(snapshot.clone());
            nudger.look(Timestamp(now), &snapshot, [&squatter].into_iter()).touch
        };
        assert_eq!(look(&snapshot, 10), None);
        snapshot.policy = Arc::new(after);
        put(&mut snapshot, "n", true, None);
        assert_eq!(look(&snapshot, 20), None);
        assert_eq!(look(&snapshot, 200).as_deref(), expected);
    }
}

#[test]
fn a_node_that_stays_closed_or_is_full_is_not_touched() {
    let mut bench = Bench::new(Policy::default());
    put(&mut bench.snapshot, "n", false, None);
    put(&mut bench.snapshot, "m", true, None);
    bench.ask(0);
    for at in 1..200 {
        assert_eq!(bench.look(at * 10), None, "m was open before");
    }
}

/// Neither on the Node nor news of any kind: the end of the doubt after a reboot.
#[test]
fn time_alone_opens_a_node() {
    let policy = Policy { reboot_doubt: Millis(1000), ..Policy::default() };
    let mut bench = Bench::new(policy);
    put(&mut bench.snapshot, "n", true, Some(0));
    bench.ask(500);
    let touched = (0..300).map(|at| at * 10).find(|&at| bench.look(at).is_some());
    assert_eq!(touched, Some(1000 + GRACE.0));
}

#[test]
fn a_namespace_that_is_allowed_again_opens_nodes() {
    let mut bench = Bench::new(Policy::default());
    put(&mut bench.snapshot, "n", true, None);
    let said = |access| Namespace { name: "ml".into(), access, ..Namespace::default() };
    bench.snapshot.set_namespace(said(Some(false)));
    bench.ask(0);
    bench.look(10);
    bench.snapshot.set_namespace(said(None));
    bench.snapshot.generation += 1;
    assert_eq!(bench.look(20), None);
    assert_eq!(bench.look(20 + GRACE.0), Some("n".into()));
}

/// No device plugin counts its GPUs, kube-scheduler gives them out of the slices.
#[test]
fn a_node_whose_gpus_are_in_slices_alone_is_touched_as_well() {
    let mut bench = Bench::new(Policy::default());
    let publish = |bench: &mut Bench, is_complete| {
        let driver = "gpu.nvidia.com".to_owned();
        let node = Node { meta: Meta { name: "n".into(), ..Meta::default() }, ..Node::default() };
        let slices = GpuSlices { driver, devices: 8, is_complete };
        tell(&mut bench.snapshot, &node, None, Some(&slices));
    };
    publish(&mut bench, false);
    bench.ask(0);
    bench.look(10);
    publish(&mut bench, true);
    assert_eq!(bench.look(20), None);
    assert_eq!(bench.look(20 + GRACE.0), Some("n".into()));
}

/// A second pod asks for something else, and its node opens 100 ms after the first one was touched: one Node now
/// and then, however many pods wait.
#[test]
fn touches_keep_their_distance() {
    let mut bench = Bench::new(Policy::default());
    let large = Arc::new(Pod {
        meta: Meta { uid: "v".into(), ..pod().meta.clone() },
        requests: gpus(2),
        ..Pod::default()
    });
    let asked = |bench: &mut Bench, pod: &Pod, node: &str, now| {
        let (answered, _) = answer_about(pod, &bench.snapshot, &[node], now);
        let answered = Answered { uid: pod.meta.uid.clone(), ..answered };
        bench.nudger.answered(answered, &bench.snapshot);
    };
    let look = |bench: &mut Bench, now: i64| {
        let snapshot = Arc::new(bench.snapshot.clone());
        bench.nudger.look(Timestamp(now), &snapshot, [&pod(), &large].into_iter()).touch
    };
    put(&mut bench.snapshot, "n", false, None);
    asked(&mut bench, &pod(), "n", 0);
    assert_eq!(look(&mut bench, 10), None);
    put(&mut bench.snapshot, "n", true, None);
    assert_eq!(look(&mut bench, 20), None);
    assert_eq!(look(&mut bench, 200), Some("n".into()));
    // It is asked about, refused and open again.
    put(&mut bench.snapshot, "n", false, None);
    asked(&mut bench, &large, "n", 210);
    look(&mut bench, 210);
    put(&mut bench.snapshot, "n", true, None);
    let touched: Vec<i64> =
        (22..80).map(|at| at * 10).filter(|&at| look(&mut bench, at).is_some()).collect();
    assert_eq!(touched, [200 + GAP.0]);
    assert!(GAP >= Millis(200), "five a second at most");
}

/// A touch that never helps is tried more and more rarely, in the end as often as the scheduler asks of itself.
#[test]
fn touches_in_vain_become_rare_and_do_not_end() {
    let mut bench = Bench::new(Policy::default());
    put(&mut bench.snapshot, "n", false, None);
    bench.ask(0);
    bench.look(10);
    put(&mut bench.snapshot, "n", true, None);
    let touches: Vec<i64> =
        (0..20_000).map(|at| at * 100).filter(|&at| bench.look(at).is_some()).collect();
    let pauses: Vec<i64> = touches.windows(2).map(|two| two[1] - two[0]).collect();
    let doubled = [1, 2, 4, 8, 16, 32, 64, 128, 256].map(|seconds| seconds * 1000);
    assert_eq!(pauses[..9], doubled);
    assert!(pauses[9..].len() >= 3 && pauses[9..].iter().all(|&pause| pause == 300_000));
}

fn told(message: &str) -> Arc<Pod> {
    let unscheduled = Some(Unscheduled::Unschedulable(message.to_owned()));
    Arc::new(Pod { unscheduled, ..Pod::clone(&pod()) })
}

/// A pod waits for less than a second after the node is good, and the scheduler has time to ask a sidecar.
#[test]
fn nodes_that_open_after_a_refusal_by_others_are_touched_within_a_second() {
    let mut bench = Bench::new(Policy::default());
    put(&mut bench.snapshot, "n", false, None);
    let pod = told("0/1 nodes are available: 1 GPU driver not ready.");
    let look = |bench: &mut Bench, now: i64| {
        let snapshot = Arc::new(bench.snapshot.clone());
        bench.nudger.look(Timestamp(now), &snapshot, [&pod].into_iter()).touch
    };
    assert_eq!(look(&mut bench, 0), None);
    assert_eq!(look(&mut bench, 60_000), None);
    put(&mut bench.snapshot, "n", true, None);
    for now in [60_100, 60_400, 60_700] {
        assert_eq!(look(&mut bench, now), None, "{now}");
    }
    assert_eq!(look(&mut bench, 60_100 + TOLD_GRACE.0), Some("n".into()));
    assert!(TOLD_GRACE < Millis(850), "a look comes every 100 ms, a write takes some");
}

/// The sidecar answers, the controller reads it in the pod's condition.
#[test]
fn refusals_by_others_stand_in_the_condition() {
    let mut bench = Bench::new(Policy::default());
    put(&mut bench.snapshot, "n", true, None);
    let mut look = |pod: &Arc<Pod>, now: i64| {
        bench.nudger.look(Timestamp(now), &Arc::new(bench.snapshot.clone()), [pod].into_iter())
    };
    let foreign = told("0/1 nodes are available: 1 Insufficient cpu.");
    assert_eq!(look(&foreign, 0), Nudge::default());
    assert_eq!(look(&foreign, 5000), Nudge::default());
    let ours = told("0/1 nodes are available: 1 GPU driver not ready.");
    assert_eq!(look(&ours, 6000), Nudge::default());
    assert_eq!(look(&ours, 6000 + TOLD_GRACE.0 - 1), Nudge::default());
    let nudge = look(&ours, 6000 + TOLD_GRACE.0);
    assert_eq!(nudge.touch, Some("n".into()));
    assert_eq!(nudge.stranded[0].node, "n");
}

#[test]
fn pods_that_are_gone_are_forgotten() {
    let mut bench = Bench::new(Policy::default());
    put(&mut bench.snapshot, "n", false, None);
    bench.ask(0);
    put(&mut bench.snapshot, "n", true, None);
    let nobody = bench.nudger.look(
        Timestamp(YOUNG.0),
        &Arc::new(bench.snapshot.clone()),
        std::iter::empty(),
    );
    assert_eq!(nobody, Nudge::default());
    assert!(bench.nudger.pods.is_empty() && bench.nudger.kinds.is_empty());
}

/// One change of the cluster: of a node (good or not), of its ResourceSlices, or of the namespace.
#[derive(Clone, Copy, Debug)]
enum Change {
    Node(usize, bool),
    /// Its devices are published in ResourceSlices, or not all of them.
    Slices(usize, bool),
    Namespace(bool),
    /// Nothing but a new annotation: a touch.
    Touch,
}

/// Something that arrives somewhere at some time.
type Post = BTreeMap<(i64, usize), Change>;

const NAMES: [&str; 3] = ["a", "b", "c"];
const STEP: i64 = 5;
const LONGEST_LAG: i64 = 100;

/// kube-scheduler with one pod, the extender beside it, both behind watches of their own.
struct Model {
    to_scheduler: Post,
    to_extender: Post,
    sent: usize,
    lags: Vec<i64>,
    /// The scheduler has something to ask about from this instant on.
    asks_at: Option<i64>,
    /// What the extender has published.
    snapshot: ExtenderSnapshot,
    /// Of each node, as the extender knows it: whether it is good, whether its devices are published.
    nodes: [(bool, bool); NAMES.len()],
    nudger: Nudger,
    bound: bool,
    touches: u32,
}

impl Model {
    fn send(&mut self, now: i64, change: Change) {
        let lag = |nth: usize| self.lags[nth % self.lags.len()];
        let (first, second) = (now + lag(2 * self.sent), now + lag(2 * self.sent + 1));
        // A watch keeps the order of what it tells.
        let after = |post: &Post, at: i64| post.keys().last().map_or(at, |&(last, _)| at.max(last));
        // Neither a namespace nor ResourceSlices make the scheduler ask an extender again.
        if !matches!(change, Change::Namespace(_) | Change::Slices(..)) {
            let at = after(&self.to_scheduler, first);
            self.to_scheduler.insert((at, self.sent), change);
        }
        let at = after(&self.to_extender, second);
        self.to_extender.insert((at, self.sent), change);
        self.sent += 1;
    }

    fn put(&mut self, node: usize) {
        let (is_good, is_published) = self.nodes[node];
        put_with(&mut self.snapshot, NAMES[node], is_good, None, Some(is_published));
    }

    fn step(&mut self, now: i64) {
        while let Some(entry) = self.to_extender.first_entry()
            && entry.key().0 <= now
        {
            match entry.remove() {
                Change::Node(node, is_good) => {
                    self.nodes[node].0 = is_good;
                    self.put(node);
                }
                Change::Slices(node, is_published) => {
                    self.nodes[node].1 = is_published;
                    self.put(node);
                }
                Change::Namespace(is_allowed) => {
                    let access = Some(is_allowed);
                    let name = "ml".to_owned();
                    self.snapshot.set_namespace(Namespace { name, access, ..Namespace::default() });
                    self.snapshot.generation += 1;
                }
                Change::Touch => {}
            }
        }
        while let Some(entry) = self.to_scheduler.first_entry()
            && entry.key().0 <= now
        {
            entry.remove();
            self.asks_at.get_or_insert(now + STEP);
        }
        if self.asks_at.is_some_and(|at| at <= now) {
            self.asks_at = None;
            let (answered, is_placed) = answer_about(&claimant(), &self.snapshot, &NAMES, now);
            self.nudger.answered(answered, &self.snapshot);
            self.bound |= is_placed;
        }
        let waiting = claimant();
        // The extender turns every 100 ms without news.
        if now % 100 == 0
            || self.nudger.last.as_ref().map(|last| last.generation)
                != Some(self.snapshot.generation)
        {
            let nudge = self.nudger.look(
                Timestamp(now),
                &Arc::new(self.snapshot.clone()),
                [&waiting].into_iter(),
            );
            if nudge.touch.is_some() && !self.bound {
                self.touches += 1;
                self.send(now, Change::Touch);
            }
        }
    }
}

/// A pod that wants a GPU and has a claim of devices.
fn claimant() -> Arc<Pod> {
    Arc::new(Pod { claims: vec!["gpu".into()], ..Pod::clone(&pod()) })
}

fn change() -> impl Strategy<Value = (i64, Change)> {
    let change = prop_oneof![
        5 => (0..NAMES.len(), any::<bool>()).prop_map(|(node, is_good)| Change::Node(node, is_good)),
        3 => (0..NAMES.len(), any::<bool>()).prop_map(|(node, is_all)| Change::Slices(node, is_all)),
        1 => any::<bool>().prop_map(Change::Namespace),
    ];
    (0..1500_i64, change)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever flips when, and however the watches lag: no pod waits longer than a second once a node is good
    /// and stays so.
    #[test]
    fn no_pod_waits_longer_than_a_second(
        changes in prop::collection::vec(change(), 0..12),
        lags in prop::collection::vec(0..=LONGEST_LAG, 1..20),
    ) {
        let mut model = Model {
            to_scheduler: Post::new(), to_extender: Post::new(), sent: 0, lags,
            asks_at: Some(0), snapshot: ExtenderSnapshot::new(Policy::default()),
            nodes: [(false, true); NAMES.len()], nudger: Nudger::default(), bound: false, touches: 0,
        };
        (0..NAMES.len()).for_each(|node| model.put(node));
        let mut changes = changes;
        changes.sort_by_key(|&(at, _)| at);
        let (mut nodes, mut is_allowed) = ([(false, true); NAMES.len()], true);
        let mut good_since: Option<i64> = None;
        let mut flips = 0;
        for now in (0..6000).step_by(STEP as usize) {
            while changes.first().is_some_and(|&(at, _)| at <= now) {
                let (_, change) = changes.remove(0);
                match change {
                    Change::Node(node, is_good) => nodes[node].0 = is_good,
                    Change::Slices(node, is_published) => nodes[node].1 = is_published,
                    Change::Namespace(allowed) => is_allowed = allowed,
                    Change::Touch => {}
                }
                flips += 1;
                model.send(now, change);
            }
            let is_any = is_allowed && nodes.contains(&(true, true));
            good_since = if is_any { good_since.or(Some(now)) } else { None };
            model.step(now);
            if model.bound {
                break;
            }
            if let Some(since) = good_since {
                prop_assert!(now - since <= 1000, "a node is good since {since}, it is {now}");
            }
        }
        prop_assert!(model.touches <= flips + 4, "{} touches for {flips} changes", model.touches);
    }
}
