//! The example of an admission policy says of pods what it is meant to say: its expressions are evaluated.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use cel::{Context, Env, Value as CelValue};
use serde_json::{Value, json};
use std::{collections::HashMap, fs, path::PathBuf, sync::Arc};

fn document(kind: &str) -> Value {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/scheduler");
    let text = fs::read_to_string(folder.join("admission-policy.yaml")).unwrap();
    let all: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    all.into_iter().find(|one| one["kind"] == kind).unwrap()
}

fn cel_value(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(flag) => CelValue::Bool(*flag),
        Value::Number(number) => CelValue::Int(number.as_i64().unwrap()),
        Value::String(text) => CelValue::String(Arc::new(text.clone())),
        Value::Array(items) => CelValue::List(Arc::new(items.iter().map(cel_value).collect())),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| (key.clone(), cel_value(value)));
            CelValue::Map(pairs.collect::<HashMap<String, CelValue>>().into())
        }
    }
}

/// Which validation fails.
const SQUATTER: usize = 0;
const DENIED: usize = 1;
const WELCOME: usize = 2;

/// A policy asked about one pod in one namespace.
struct Asked {
    object: Value,
    namespace: Value,
    variables: HashMap<String, CelValue>,
}

impl Asked {
    fn new(object: &Value, namespace: &Value) -> Self {
        Self { object: object.clone(), namespace: namespace.clone(), variables: HashMap::new() }
    }

    fn is(&self, expression: &Value) -> bool {
        let (env, text) = (Arc::new(Env::stdlib()), expression.as_str().unwrap());
        let program = env.compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut context = Context::with_env(Arc::clone(&env));
        context.add_variable_from_value("object", cel_value(&self.object));
        context.add_variable_from_value("namespaceObject", cel_value(&self.namespace));
        context.add_variable_from_value("variables", CelValue::Map(self.variables.clone().into()));
        match program.execute(&context) {
            Ok(CelValue::Bool(flag)) => flag,
            other => panic!("{text}: {other:?} about {}", self.object),
        }
    }

    fn matches(&self, policy: &Value) -> bool {
        let conditions = policy["spec"]["matchConditions"].as_array().unwrap();
        conditions.iter().all(|one| self.is(&one["expression"]))
    }

    /// The validation that fails first, one beyond the last if none does.
    fn failing(mut self, policy: &Value) -> usize {
        let list = |key: &str| policy["spec"][key].as_array().unwrap();
        let validations = list("validations");
        if !self.matches(policy) {
            return validations.len();
        }
        for variable in list("variables") {
            let found = CelValue::Bool(self.is(&variable["expression"]));
            self.variables.insert(variable["name"].as_str().unwrap().to_owned(), found);
        }
        let fails = |one: &Value| !self.is(&one["expression"]);
        validations.iter().position(fails).unwrap_or(validations.len())
    }
}

fn pod(resource: Option<&str>, tolerations: &Value) -> Value {
    let resources = resource.map_or_else(|| json!({}), |name| json!({"limits": {name: "1"}}));
    let plain = json!({"name": "side", "resources": {}});
    let mut spec = json!({
        "containers": [plain, {"name": "c", "resources": resources}],
        "schedulerName": "default-scheduler",
    });
    if tolerations != &Value::Null {
        spec["tolerations"] = tolerations.clone();
    }
    json!({"metadata": {"name": "p"}, "spec": spec})
}

fn with(mut pod: Value, path: &str, value: Value) -> Value {
    let (parent, key) = path.rsplit_once('/').unwrap();
    pod.pointer_mut(parent).unwrap()[key] = value;
    pod
}

/// Where the extender lets a pod in, the policy does, and where it does not, neither does the policy.
#[test]
fn pods_that_tolerate_the_taint_must_ask_for_gpus() {
    let policy = document("ValidatingAdmissionPolicy");
    let gpu = json!([{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]);
    let blanket = json!([{"operator": "Exists"}]);
    let other = json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}]);
    let free = json!({"metadata": {"name": "ml"}});
    let squatter = || pod(None, &gpu);
    let owner = |kind: &str| json!([{"kind": kind, "name": "o"}]);
    for (pod, expected) in [
        (pod(None, &Value::Null), WELCOME),
        (pod(None, &other), WELCOME),
        (squatter(), SQUATTER),
        (pod(None, &blanket), SQUATTER),
        (pod(None, &json!([{"key": "", "operator": "Exists"}])), SQUATTER),
        (pod(None, &json!([{"key": "amd.com/gpu", "operator": "Exists"}])), SQUATTER),
        (pod(Some("cpu"), &gpu), SQUATTER),
        (pod(Some("gpu.intel.com/i915_monitoring"), &gpu), SQUATTER),
        (pod(Some("nvidia.com/gpu"), &gpu), WELCOME),
        (pod(Some("nvidia.com/gpu.shared"), &gpu), WELCOME),
        (pod(Some("nvidia.com/mig-1g.10gb"), &gpu), WELCOME),
        (pod(Some("amd.com/gpu"), &blanket), WELCOME),
        (with(squatter(), "/spec/resourceClaims", json!([{"name": "gpu"}])), WELCOME),
        (
            with(squatter(), "/metadata/annotations", json!({"prewarm.dev/gpu-node": "true"})),
            WELCOME,
        ),
        (with(squatter(), "/metadata/annotations", json!({"other": "true"})), SQUATTER),
        (with(squatter(), "/metadata/ownerReferences", owner("DaemonSet")), WELCOME),
        (with(squatter(), "/metadata/ownerReferences", owner("Node")), WELCOME),
        (with(squatter(), "/metadata/ownerReferences", owner("ReplicaSet")), SQUATTER),
        (with(squatter(), "/spec/priorityClassName", json!("system-node-critical")), WELCOME),
        (with(squatter(), "/spec/priorityClassName", json!("high")), SQUATTER),
    ] {
        assert_eq!(Asked::new(&pod, &free).failing(&policy), expected, "{pod}");
    }
}

#[test]
fn namespaces_that_are_denied_are_denied() {
    let policy = document("ValidatingAdmissionPolicy");
    let gpu = json!([{"key": "nvidia.com/gpu", "operator": "Exists"}]);
    let labelled = |labels: Value| json!({"metadata": {"name": "ml", "labels": labels}});
    let denied = labelled(json!({"prewarm.dev/gpu-access": "denied"}));
    let train = pod(Some("nvidia.com/gpu"), &gpu);
    assert_eq!(Asked::new(&train, &denied).failing(&policy), DENIED);
    assert_eq!(Asked::new(&pod(None, &Value::Null), &denied).failing(&policy), WELCOME);
    for labels in [json!({"prewarm.dev/gpu-access": "allowed"}), json!({"team": "a"})] {
        assert_eq!(Asked::new(&train, &labelled(labels)).failing(&policy), WELCOME);
    }
}

#[test]
fn pods_with_gpus_go_to_the_second_scheduler() {
    let policy = document("MutatingAdmissionPolicy");
    let nowhere = json!({"metadata": {"name": "ml"}});
    let train = || pod(Some("nvidia.com/gpu"), &Value::Null);
    let mut silent = train();
    silent["spec"].as_object_mut().unwrap().remove("schedulerName");
    for (pod, expected) in [
        (train(), true),
        (silent, true),
        (pod(Some("nvidia.com/mig-1g.10gb"), &Value::Null), true),
        (with(pod(None, &Value::Null), "/spec/resourceClaims", json!([{"name": "g"}])), true),
        (pod(Some("cpu"), &Value::Null), false),
        (pod(None, &Value::Null), false),
        (with(train(), "/spec/schedulerName", json!("kai-scheduler")), false),
    ] {
        assert_eq!(Asked::new(&pod, &nowhere).matches(&policy), expected, "{pod}");
    }
    let expression = &policy["spec"]["mutations"][0]["applyConfiguration"]["expression"];
    assert!(expression.as_str().unwrap().contains("schedulerName: 'prewarm-gpu'"));
    // Bindings of what there is, in the version of it.
    for kind in ["ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"] {
        let (policy, binding) = (document(kind), document(&format!("{kind}Binding")));
        assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
        assert_eq!(
            (&binding["apiVersion"], policy["apiVersion"].as_str()),
            (&policy["apiVersion"], Some("admissionregistration.k8s.io/v1"))
        );
    }
}
