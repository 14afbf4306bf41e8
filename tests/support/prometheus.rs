//! The real Prometheus on a free loopback port, with back-filled data.
#![allow(dead_code, reason = "each test uses its part")]

use std::{
    fs::{self, File},
    io,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A server that ends with the test.
pub(crate) struct Prometheus {
    process: Child,
    pub(crate) url: String,
    data: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _waited = self.process.wait();
    }
}

/// The folder of the recorded history.
pub(crate) fn fixtures() -> PathBuf {
    let folder = std::env::var("PREWARM_FIXTURES")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures").to_owned());
    PathBuf::from(folder).join("prometheus")
}

/// A server with the recorded history; `None`, with a line that says why, where something is missing.
pub(crate) fn with_recorded_history() -> Option<Prometheus> {
    let packed = fixtures().join("history.om.gz");
    if !packed.is_file() {
        println!("skipped: no history to back-fill (set PREWARM_FIXTURES)");
        return None;
    }
    with_history(|out| {
        let mut text = flate2::read::GzDecoder::new(File::open(&packed)?);
        io::copy(&mut text, out).map(drop)
    })
}

/// Whether the Debian package is there; says so where it is not.
fn is_installed() -> bool {
    let is_there = |program: &str| {
        Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok()
    };
    let found = is_there("prometheus") && is_there("promtool");
    if !found {
        println!("skipped: prometheus and promtool are not installed (apt-get install prometheus)");
    }
    found
}

/// A server that scrapes this port of the loopback every second.
pub(crate) fn scraping(port: u16) -> Option<Prometheus> {
    let target = format!("static_configs: [{{ targets: ['127.0.0.1:{port}'] }}]");
    let config = format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs:\n- job_name: test\n  {target}\n"
    );
    is_installed().then(|| start(tempfile::tempdir().unwrap(), &config, &[]))
}

/// A server with a history that is written as OpenMetrics.
pub(crate) fn with_history(write: impl FnOnce(&mut File) -> io::Result<()>) -> Option<Prometheus> {
    if !is_installed() {
        return None;
    }
    let data = tempfile::tempdir().unwrap();
    let text = data.path().join("history.om");
    write(&mut File::create(&text).unwrap()).unwrap();
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=24h"])
        .arg(&text)
        .arg(data.path().join("tsdb"))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status();
    assert!(made.unwrap().success(), "promtool cannot read the history");
    fs::remove_file(&text).unwrap();
    // Back-filled blocks have no marks where a series ends; the recorded step is 240 s.
    let flags = ["--storage.tsdb.retention.time=10y", "--query.lookback-delta=230s"];
    Some(start(data, "global: {}\n", &flags))
}

fn start(data: TempDir, content: &str, flags: &[&str]) -> Prometheus {
    let config = data.path().join("prometheus.yml");
    fs::write(&config, content).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = File::create(data.path().join("log")).unwrap();
    let process = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", data.path().join("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(flags)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut server = Prometheus { process, url: format!("http://127.0.0.1:{port}"), data };
    let begun = Instant::now();
    while !is_ready(port) {
        assert!(begun.elapsed() < Duration::from_mins(1), "Prometheus does not start");
        let ended = server.process.try_wait().unwrap();
        assert!(ended.is_none(), "Prometheus ended: {}", log_of(server.data.path()));
        std::thread::sleep(Duration::from_millis(50));
    }
    server
}

fn log_of(data: &Path) -> String {
    fs::read_to_string(data.join("log")).unwrap_or_default()
}

fn is_ready(port: u16) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let asked = stream.write_all(b"GET /-/ready HTTP/1.0\r\n\r\n");
    let mut answer = String::new();
    asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.contains(" 200 ")
}
