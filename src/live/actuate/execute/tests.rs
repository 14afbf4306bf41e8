use super::*;
use crate::{
    live::{
        actuate::orders::Reason,
        mock_api::{MockApi, failure},
    },
    time::Timestamp,
};
use serde_json::{Value, json};

fn target() -> Object {
    Object { namespace: "demo".into(), name: "gpu-a100".into(), version: "304".into() }
}

fn node(name: &str) -> Object {
    Object { namespace: String::new(), name: name.into(), version: "9".into() }
}

fn step(pool: usize, write: Write) -> Step {
    Step { pool: Some(pool), write }
}

fn scale(pool: usize) -> Step {
    step(pool, Write::Scale { target: target(), from: 2, to: 3 })
}

fn note(pool: usize) -> Step {
    step(pool, Write::NoteHolds { target: target(), pending: Some("7-ab/1/x/y".into()) })
}

fn hold(pool: usize) -> Step {
    let (until, decision) = (Timestamp::from_secs(1_795_000_000), "7-ab".to_owned());
    step(pool, Write::HoldNode { node: node("n1"), until, decision })
}

fn plan(counter: u64, writes: Vec<Step>) -> Plan {
    let id = DecisionId { counter, digest: "ab".into() };
    Plan { id, writes, refusals: Vec::new() }
}

/// The sender belongs to the test: without it a receiver keeps its last value.
fn actuator(api: &MockApi, position: Position, authority: Authority) -> Actuator {
    let (_, receiver) = watch::channel(authority);
    let switch = Arc::new(Switch::new(position));
    Actuator::new(&api.clients, super::super::tests::api(), switch, receiver)
}

fn accepted(_: &str, count: usize) -> (u16, Value) {
    let metadata = json!({"name": "x", "resourceVersion": (305 + count).to_string()});
    (200, json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata}))
}

#[tokio::test]
async fn no_request_is_made_unless_the_switch_is_on_and_we_lead() {
    let api = MockApi::serve(accepted).await;
    let cases = [
        (Position::Off, Authority::forever(), Outcome::SwitchedOff),
        (Position::DryRun, Authority::forever(), Outcome::DryRun),
        (Position::Active, Authority::default(), Outcome::NotLeading),
    ];
    for (position, authority, expected) in cases {
        let actuator = actuator(&api, position, authority);
        let outcomes = actuator.carry_out(&plan(7, vec![scale(0), hold(1)])).await;
        assert!(
            outcomes.iter().all(|outcome| *outcome == expected || *outcome == Outcome::Skipped)
        );
        assert_eq!(outcomes[0], expected);
    }
    assert!(api.asked().is_empty(), "{:?}", api.asked());
    assert_eq!(Switch::default().position(), Position::Off);
}

#[tokio::test]
async fn an_old_decision_writes_nothing() {
    let api = MockApi::serve(accepted).await;
    let actuator = actuator(&api, Position::Active, Authority::forever());
    actuator.announce(&DecisionId { counter: 8, digest: "ab".into() });
    assert!(!actuator.is_current(&plan(7, vec![]).id));
    assert_eq!(actuator.carry_out(&plan(7, vec![scale(0)])).await, [Outcome::Superseded]);
    assert!(api.asked().is_empty());
    assert_eq!(actuator.carry_out(&plan(9, vec![scale(0)])).await, [Outcome::Done]);
}

/// Form of the request: as the API server of Kubernetes 1.36 takes it (409 if the version is stale).
#[tokio::test]
async fn a_second_write_names_the_version_the_first_one_left() {
    let api = MockApi::serve(accepted).await;
    let actuator = actuator(&api, Position::Active, Authority::forever());
    let outcomes = actuator.carry_out(&plan(7, vec![note(0), scale(0), hold(0)])).await;
    assert_eq!(outcomes, [Outcome::Done, Outcome::Done, Outcome::Done]);
    let asked = api.asked();
    let path = "/apis/cluster.x-k8s.io/v1beta2/namespaces/demo/machinedeployments/gpu-a100";
    assert_eq!(asked[0].line, format!("PATCH {path}?&fieldManager=prewarm"));
    let noted = json!({"metadata": {
        "resourceVersion": "304", "annotations": {"prewarm.dev/pending-holds": "7-ab/1/x/y"},
    }});
    assert_eq!(asked[0].body, noted);
    assert_eq!(asked[1].line, format!("PATCH {path}/scale?&fieldManager=prewarm"));
    let scaled = json!({"metadata": {"resourceVersion": "305"}, "spec": {"replicas": 3}});
    assert_eq!(asked[1].body, scaled);
    assert_eq!(asked[1].content_type, "application/merge-patch+json");
    assert!(asked[1].user_agent.starts_with("prewarm/"), "{}", asked[1].user_agent);
    assert_eq!(asked[2].line, "PATCH /api/v1/nodes/n1?&fieldManager=prewarm");
    assert_eq!(asked[2].body["metadata"]["resourceVersion"], "9");
}

#[tokio::test]
async fn a_failure_stops_its_pool_and_no_other() {
    let api = MockApi::serve(|_, count| match count {
        0 => failure(409, "Conflict", "the object has been modified"),
        _ => accepted("", count),
    })
    .await;
    let actuator = actuator(&api, Position::Active, Authority::forever());
    let release = step(0, Write::ReleaseNode { node: node("n2"), is_held: true, forget: false });
    let plan = plan(7, vec![note(0), scale(0), scale(1), release]);
    let outcomes = actuator.carry_out(&plan).await;
    let expected = [Outcome::Conflict, Outcome::Skipped, Outcome::Done, Outcome::Done];
    assert_eq!(outcomes, expected, "what is ours is taken back all the same");
    assert_eq!(api.asked().len(), 3, "nothing is tried again");
}

#[tokio::test]
async fn every_answer_has_its_outcome() {
    let cases = [
        (failure(404, "NotFound", "not found"), "gone"),
        (failure(403, "Forbidden", "cannot patch resource"), "forbidden"),
        (failure(422, "Invalid", "should be a non-negative integer"), "invalid"),
        (failure(429, "TooManyRequests", "later"), "transient"),
        (failure(503, "ServiceUnavailable", "down"), "transient"),
    ];
    for (answer, word) in cases {
        let api = MockApi::serve(move |_, _| answer.clone()).await;
        let actuator = actuator(&api, Position::Active, Authority::forever());
        let outcome = actuator.carry_out(&plan(7, vec![scale(0)])).await.remove(0);
        assert_eq!(outcome.word(), word);
        if let Outcome::Forbidden(message) = outcome {
            assert!(
                message.contains("patch machinedeployments/scale in cluster.x-k8s.io"),
                "{message}"
            );
        }
        assert_eq!(api.asked().len(), 1);
    }
    assert_eq!(Reason::AutoscalerMayBuyAgain.word(), "AutoscalerMayBuyAgain");
}
