//! The past, read from the real Prometheus (skipped with a line where that is not installed): nobody waits for it.

use crate::{
    http::{Server, passed_on},
    prometheus,
    stage::{Setup, Stage, Told, needs_embedded, until},
};
use prewarm::{
    decision_log::{self, Log},
    live::{gpu_pool::Mode, past::PastSource},
    prometheus::{Client, Settings, Wanted},
    time::Millis,
};
use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const HOUR: i64 = 3600;

/// Two days: a pod of 8 GPUs each hour, and a new node every four hours.
fn two_days(out: &mut File, until: i64) -> io::Result<()> {
    let start = (until - 48 * HOUR) / 60 * 60;
    let mut out = BufWriter::new(out);
    let mut family = |name: &str, rows: &[(String, i64, i64, i64)]| {
        writeln!(out, "# TYPE {name} gauge")?;
        for (labels, from, to, value) in rows {
            for at in (start..until).step_by(60).filter(|at| (*from..*to).contains(at)) {
                writeln!(out, "{name}{{{labels}}} {value} {at}")?;
            }
        }
        Ok::<(), io::Error>(())
    };
    let pods: Vec<(String, i64, i64)> = (0..47)
        .map(|hour| {
            let came = start + hour * HOUR + 7;
            (format!("namespace=\"ml\",pod=\"p-{hour}\",uid=\"u-{hour}\""), came, came + HOUR / 2)
        })
        .collect();
    let of_pods = |more: &str, value: &dyn Fn(i64) -> i64| -> Vec<(String, i64, i64, i64)> {
        let row = |(pod, came, gone): &(String, i64, i64)| {
            (format!("{pod}{more}"), *came, *gone, value(*came))
        };
        pods.iter().map(row).collect()
    };
    let asks = ",container=\"main\",node=\"old\",resource=\"nvidia_com_gpu\",unit=\"integer\"";
    family("kube_pod_container_resource_requests", &of_pods(asks, &|_| 8))?;
    family("kube_pod_created", &of_pods("", &|came| came))?;
    family("kube_pod_status_scheduled_time", &of_pods("", &|came| came + 1))?;
    let mut nodes = vec![("old".to_owned(), start - HOUR)];
    nodes.extend((0..12).map(|n| (format!("new-{n}"), start + n * 4 * HOUR + 600)));
    let of_nodes = |more: &str, after: i64, value: &dyn Fn(i64) -> i64| {
        let row = |(name, came): &(String, i64)| {
            (format!("node=\"{name}\"{more}"), came + after, came + 50 * HOUR, value(*came))
        };
        nodes.iter().map(row).collect::<Vec<_>>()
    };
    let gpus = ",resource=\"nvidia_com_gpu\",unit=\"integer\"";
    family("kube_node_created", &of_nodes("", 0, &|came| came))?;
    family("kube_node_status_allocatable", &of_nodes(gpus, 300, &|_| 8))?;
    family(
        "kube_node_status_condition",
        &of_nodes(",condition=\"Ready\",status=\"true\"", 60, &|_| 1),
    )?;
    out.write_all(b"# EOF\n")?;
    out.flush()
}

fn logs(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_the_past_and_what_it_teaches_is_in_the_log() {
    if !needs_embedded("the past") {
        return;
    }
    let stage = Stage::start(Setup::default()).await;
    let now = stage.clock.now().0 / 1000;
    let Some(real) = prometheus::with_history(|out| two_days(out, now)) else { return };
    let port: u16 = real.url.rsplit(':').next().unwrap().parse().unwrap();
    let is_open = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&is_open);
    let slow = Server::start(move |request| {
        while !gate.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
        passed_on(request, port, "")
    });
    stage.deployment("a100", (0, 5)).await;
    stage.pool("a100", Mode::Active).await;
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("logs");
    let past = PastSource {
        client: Arc::new(Client::new(Settings::new(&slow.url()).unwrap()).unwrap()),
        wanted: Wanted::default(),
        since: Millis::from_hours(48),
    };
    let told = Told { decision_log: Some(folder.clone()), past: Some(past), ..Told::default() };
    let controller = stage.controller(told);
    stage.pod("early", 8, None).await;
    until("a pod runs without the past", 30, || async { stage.phase("early").await == "Running" })
        .await;
    assert!(!slow.seen().is_empty(), "the past is being asked for");
    let before = logs(&folder).len();
    is_open.store(true, Ordering::SeqCst);
    until("a log begins with the past", 60, || async { logs(&folder).len() > before }).await;
    stage.pod("late", 8, None).await;
    until("a pod runs with the past", 30, || async { stage.phase("late").await == "Running" })
        .await;
    controller.stop().await;

    let files = logs(&folder);
    let opened = |path: &Path| BufReader::new(File::open(path).unwrap());
    let kept = |path: &Path| Log::open(opened(path)).unwrap().0.memory.keep().unwrap();
    let (first, last) = (kept(&files[0]), kept(&files[files.len() - 1]));
    // 47 pods that came and went.
    assert!(last.matches("\"arrived\":").count() >= first.matches("\"arrived\":").count() + 90);
    for file in &files {
        let replayed = decision_log::replay(opened(file), &|_| true).unwrap();
        assert_eq!(replayed.changed, 0, "{}: {:?}", file.display(), replayed.differences);
    }
    stage.end().await;
}
