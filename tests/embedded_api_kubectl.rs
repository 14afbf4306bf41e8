//! Real kubectl on the embedded API: what people type has to work.
#![cfg(feature = "embedded")]
#![allow(clippy::print_stdout, reason = "a skipped test says so, a measurement is shown")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "support/api.rs"]
mod support;

use prewarm::embedded_api::EmbeddedApi;
use std::{
    fs,
    io::Read,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};
use support::{gpu_pool_crd, machine_deployment_crd, started};
use tempfile::TempDir;

struct Kubectl {
    folder: TempDir,
}

impl Kubectl {
    /// `None` where there is no kubectl.
    fn on(api: &EmbeddedApi) -> Option<Self> {
        let found = Command::new("kubectl").args(["version", "--client"]).output();
        if !found.is_ok_and(|output| output.status.success()) {
            println!("skipped: no kubectl");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config"), api.kubeconfig("")).unwrap();
        Some(Self { folder })
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(self.folder.path().join("config"));
        command.arg("--cache-dir").arg(self.folder.path().join("cache"));
        command.args(arguments.split(' '));
        command
    }

    /// Output and whether it went well.
    fn run(&self, arguments: &str) -> (String, bool) {
        let output = self.command(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (String::from_utf8(said).unwrap(), output.status.success())
    }

    /// Output of a command that goes well.
    fn says(&self, arguments: &str) -> String {
        let (said, is_well) = self.run(arguments);
        assert!(is_well, "kubectl {arguments}: {said}");
        said
    }

    /// Since 1.27; earlier ones know the descriptions of `/openapi/v2` only.
    fn reads_openapi_v3(&self) -> bool {
        let said = self.says("version --client -o json");
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let minor = said["clientVersion"]["minor"].as_str().unwrap();
        minor.trim_end_matches('+').parse::<u32>().unwrap() >= 27
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

const POOL: &str = "apiVersion: prewarm.io/v1alpha1\nkind: GpuPool\nmetadata:\n  name: a100\nspec:\n  targetRef:\n    name: gpu-a100\n  warm: 1\n";
const NODE: &str = "apiVersion: v1\nkind: Node\nmetadata:\n  name: n1\n  labels: {node-role.kubernetes.io/worker: ''}\nstatus:\n  conditions:\n  - {type: Ready, status: 'True'}\n  nodeInfo: {kubeletVersion: v1.36.2}\n";
const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p1\nspec:\n  containers:\n  - {name: main, image: 'x:1'}\n";

const NAMESPACE_AND_SECRET: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: x}\nstringData: {a: b}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_resources() {
    let api = started().await;
    let Some(kubectl) = Kubectl::on(&api) else { return };
    for (name, crd) in [("gp.json", gpu_pool_crd()), ("md.json", machine_deployment_crd())] {
        let file = kubectl.file(name, &crd.to_string());
        kubectl.says(&format!("apply --server-side -f {}", file.display()));
    }
    kubectl.says("wait --for=condition=Established crd/gpupools.prewarm.io --timeout=5s");
    let pool = kubectl.file("pool.yaml", POOL);
    let said = kubectl.says(&format!("apply --server-side -f {}", pool.display()));
    assert_eq!(said, "gpupool.prewarm.io/a100 serverside-applied\n");
    assert_eq!(
        kubectl.says("get gp"),
        "NAME   TARGET     WARM   READY   AGE\na100   gpu-a100   1              0s\n"
    );
    assert!(kubectl.says("get gpupool a100 -o yaml").contains("mode: Floor"));
    assert!(kubectl.says("describe gpupool a100").contains("Mode:  Floor"));
    for (command, expected) in [
        ("scale gpupool a100 --replicas=3", "gpupool.prewarm.io/a100 scaled\n"),
        (
            "scale gpupool a100 --current-replicas=3 --replicas=4",
            "gpupool.prewarm.io/a100 scaled\n",
        ),
        ("annotate gpupool a100 x=y", "gpupool.prewarm.io/a100 annotated\n"),
        ("label gpupool a100 a=b", "gpupool.prewarm.io/a100 labeled\n"),
        (
            "patch gpupool a100 --type=merge -p {\"spec\":{\"max\":9}}",
            "gpupool.prewarm.io/a100 patched\n",
        ),
        ("get gpupool a100 -o jsonpath={.spec.warm}/{.spec.max}", "4/9"),
    ] {
        assert_eq!(kubectl.says(command), expected, "kubectl {command}");
    }
    let (said, is_well) =
        kubectl.run("patch gpupool a100 --type=merge -p {\"spec\":{\"warm\":10}}");
    assert!(!is_well && said.contains("warm must not be above max"), "{said}");
    let (said, is_well) = kubectl.run("get gpupool nope");
    assert!(!is_well);
    assert_eq!(said, "Error from server (NotFound): gpupools.prewarm.io \"nope\" not found\n");
    if kubectl.reads_openapi_v3() {
        assert!(kubectl.says("explain gpupool.spec").contains("leadTime"));
    }
    let said = kubectl.says(&format!("apply -f {}", pool.display()));
    assert!(said.contains("configured"), "{said}");
    assert_eq!(kubectl.says("delete gpupool a100"), "gpupool.prewarm.io \"a100\" deleted\n");
    assert!(
        kubectl.says("api-resources --api-group=cluster.x-k8s.io").contains("machinedeployments")
    );
    api.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_and_pods() {
    let api = started().await;
    let Some(kubectl) = Kubectl::on(&api) else { return };
    assert!(kubectl.says("get --raw /version").contains("v1.36.2"));
    let (node, pod) = (kubectl.file("node.yaml", NODE), kubectl.file("pod.yaml", POD));
    kubectl.says(&format!("create -f {}", node.display()));
    let mut watching = kubectl.command("get pods -w").stdout(Stdio::piped()).spawn().unwrap();
    let mut seen = watching.stdout.take().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    kubectl.says(&format!("create -f {}", pod.display()));
    assert_eq!(
        kubectl.says("get nodes"),
        "NAME   STATUS   ROLES    AGE   VERSION\nn1     Ready    worker   0s    v1.36.2\n"
    );
    assert_eq!(
        kubectl.says("get pods"),
        "NAME   READY   STATUS    RESTARTS   AGE\np1     0/1     Pending   0          0s\n"
    );
    assert!(kubectl.says("describe pod p1").contains("QoS Class:"));
    assert!(kubectl.says("describe node n1").contains("Ready"));
    for command in [
        "cordon n1",
        "taint node n1 a=b:NoSchedule",
        "uncordon n1",
        "label node n1 x=y",
        "annotate pod p1 x=y",
    ] {
        kubectl.says(command);
    }
    assert!(kubectl.says("get node n1 -o jsonpath={.spec.taints[0].key}") == "a");
    kubectl.says("delete pod p1");
    tokio::time::sleep(Duration::from_millis(500)).await;
    watching.kill().unwrap();
    watching.wait().unwrap();
    let mut lines = String::new();
    seen.read_to_string(&mut lines).unwrap();
    assert!(lines.contains("p1     0/1     Pending") && lines.contains("Terminating"), "{lines}");
    let inside = kubectl.file("inside.yaml", NAMESPACE_AND_SECRET);
    kubectl.says(&format!("create -f {}", inside.display()));
    assert_eq!(kubectl.says("get secret s -n x -o jsonpath={.data.a}"), "Yg==");
    kubectl.says("delete namespace x");
    let (said, is_well) = kubectl.run("get secret s -n x");
    assert!(!is_well && said.contains("NotFound"), "{said}");
    kubectl.says("get events");
    kubectl.says("get all");
    api.shutdown().await.unwrap();
}
