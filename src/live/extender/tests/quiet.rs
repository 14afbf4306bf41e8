//! What requests leave behind: counts, and not a line in the log.

use super::*;
use prometheus_client::{encoding::text::encode, registry::Registry};
use std::{io, sync::Mutex};

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().map_err(|why| io::Error::other(why.to_string()))?;
        kept.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Answered or refused: at `info` a request is not worth a line. Every one is counted.
#[tokio::test]
async fn requests_are_counted_and_not_logged() {
    let log = Log::default();
    let kept = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || kept.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (meters, mut registry) = (Meters::default(), Registry::default());
    meters.register(&mut registry);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::new(ArcSwap::from_pointee(three()));
    let settings = Settings { body_limit: 10_000, ..Settings::default() };
    let nobody: server::FindPod = Arc::new(|_| None);
    let service = Service::new(Arc::clone(&shared), Clock::system(), meters, nobody, settings);
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(listener, Arc::new(service), None, stop.clone()));
    let mut socket = TcpStream::connect(address).await.unwrap();
    let names = json!({"Pod": pod(), "NodeNames": ["gpu-0", "gpu-1", "ghost"]}).to_string();
    let victims = json!({"Pod": pod(), "NodeNameToMetaVictims": {}}).to_string();
    let large = " ".repeat(10_001);
    for (verb, body, code) in [
        ("filter", &names, "200"),
        ("prioritize", &names, "200"),
        ("preempt", &victims, "200"),
        ("filter", &"{".to_owned(), "400"),
    ] {
        let (head, _) = request(&mut socket, &format!("POST /v1/{verb}"), body).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {code}")), "{head}");
    }
    let mut unsynced = three();
    unsynced.is_synced = false;
    shared.store(Arc::new(unsynced));
    for (verb, body) in [("filter", &names), ("prioritize", &names), ("preempt", &victims)] {
        let (head, _) = request(&mut socket, &format!("POST /v1/{verb}"), body).await;
        assert!(head.starts_with("HTTP/1.1 503"), "{verb}: {head}");
    }
    let (head, _) = request(&mut socket, "POST /v1/filter", &large).await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    drop(socket);
    stop.cancel();
    task.await.unwrap();

    let mut metrics = String::new();
    encode(&mut metrics, &registry).unwrap();
    for line in [
        r#"extender_requests_total{verb="filter",result="ok"} 1"#,
        r#"extender_requests_total{verb="prioritize",result="ok"} 1"#,
        r#"extender_requests_total{verb="preempt",result="ok"} 1"#,
        r#"extender_requests_total{verb="filter",result="unreadable"} 1"#,
        r#"extender_requests_total{verb="filter",result="not-synced"} 1"#,
        r#"extender_requests_total{verb="preempt",result="not-synced"} 1"#,
        r#"extender_requests_total{verb="filter",result="too-large"} 1"#,
        r#"extender_seconds_count{verb="filter"} 1"#,
        r#"extender_verdicts_total{reason="pass"} 2"#,
        r#"extender_verdicts_total{reason="GPU driver upgrade in progress"} 1"#,
        "extender_unknown_nodes_total 1",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}:\n{metrics}");
    }
    // What takes 20 us is told from what takes 30.
    let bounds: Vec<f64> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(r#"extender_seconds_bucket{le=""#))
        .filter(|rest| rest.contains("filter"))
        .filter_map(|rest| rest.split('"').next()?.parse().ok())
        .collect();
    assert!(bounds.iter().filter(|&&bound| bound <= 0.000_05).count() >= 6, "{bounds:?}");
    let lines = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(lines, "");
}
