//! `prewarm extender` as a process: what a scheduler meets while there is no cluster yet, and the end by SIGTERM.
#![cfg(all(feature = "live", unix))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "a process is waited for by the clock")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Of a cluster where nobody answers.
fn kubeconfig(folder: &Path) -> String {
    let path = folder.join("kubeconfig");
    let server = free_address();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'http://{server}'}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
    );
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn connect(address: &str) -> TcpStream {
    let begun = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(socket) => {
                socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                return socket;
            }
            Err(why) => assert!(begun.elapsed() < Duration::from_secs(30), "{address}: {why}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn status(socket: &mut TcpStream) -> String {
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).unwrap();
    line.trim().to_owned()
}

const BODY: &str = r#"{"Pod":{"metadata":{"name":"p"}},"Nodes":null,"NodeNames":["n"]}"#;

fn head() -> String {
    format!("POST /v1/filter HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", BODY.len())
}

/// Nothing is listed: it is alive, not ready, and says 503 instead of answering from nothing. A request that is on its
/// way when it is told to stop is answered; then it ends, and nobody is let in meanwhile.
#[test]
fn it_waits_for_a_cluster_and_ends_in_good_order() {
    let folder = tempfile::tempdir().unwrap();
    let (listen, health) = (free_address(), free_address());
    let child = Command::new(env!("CARGO_BIN_EXE_prewarm"))
        .args(["extender", "--listen", &listen, "--health-listen", &health])
        .args(["--kubeconfig", &kubeconfig(folder.path())])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut process = Process(child);
    for (path, expected) in [("livez", "200"), ("readyz", "503"), ("metrics", "200")] {
        let mut socket = connect(&health);
        write!(socket, "GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        assert!(status(&mut socket).contains(expected), "{path}");
    }
    let mut socket = connect(&listen);
    write!(socket, "{}{BODY}", head()).unwrap();
    assert!(status(&mut socket).contains("503"));

    let mut late = connect(&listen);
    let (first, last) = BODY.split_at(20);
    write!(late, "{}{first}", head()).unwrap();
    thread::sleep(Duration::from_millis(300));
    let id = process.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let begun = Instant::now();
    while TcpStream::connect(&listen).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(3), "it still lets clients in");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(process.0.try_wait().unwrap().is_none(), "it has a request to answer");
    write!(late, "{last}").unwrap();
    assert!(status(&mut late).contains("503"), "what has begun is answered");
    let mut rest = Vec::new();
    late.read_to_end(&mut rest).ok();
    let begun = Instant::now();
    let code = loop {
        if let Some(code) = process.0.try_wait().unwrap() {
            break code;
        }
        assert!(begun.elapsed() < Duration::from_secs(6), "it does not end");
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(code.code(), Some(0));
}
