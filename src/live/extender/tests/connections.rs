//! Clients that are slow, stop half-way, ask for too much, or stay.

use super::*;

fn ask() -> String {
    json!({"Pod": pod(), "Nodes": null, "NodeNames": ["gpu-0", "gpu-1"]}).to_string()
}

/// Whether the other side closes within a second.
async fn is_closed(socket: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let read = socket.read_to_end(&mut rest);
    tokio::time::timeout(Duration::from_secs(1), read).await.is_ok()
}

async fn status(socket: &mut TcpStream) -> String {
    let mut line = [0; 12];
    socket.read_exact(&mut line).await.unwrap();
    String::from_utf8_lossy(&line[9..]).into_owned()
}

#[tokio::test]
async fn a_head_that_does_not_come_to_an_end_closes_the_connection() {
    let head_within = Duration::from_millis(50);
    let (address, _stop, _task) =
        start(three(), Settings { head_within, ..Settings::default() }).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    for byte in b"POST /v1/filter HT" {
        if slow.write_all(&[*byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(is_closed(&mut slow).await);
}

/// The limit of a head does not run between requests: schedulers keep connections for 90 s.
#[tokio::test]
async fn a_connection_without_requests_is_kept_for_its_own_time() {
    let (head_within, idle) = (Duration::from_millis(50), Duration::from_millis(600));
    let settings = Settings { head_within, idle, ..Settings::default() };
    let (address, _stop, _task) = start(three(), settings).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (head, _) = request(&mut socket, "POST /v1/filter", &ask()).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
    let begun = std::time::Instant::now();
    assert!(is_closed(&mut socket).await);
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_client_that_has_closed_its_side_is_answered() {
    let (address, _stop, _task) = start(three(), Settings::default()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let body = ask();
    let text = format!(
        "POST /v1/filter HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(text.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"gpu-1\""), "{answer}");
}

/// Not even read: the length tells.
#[tokio::test]
async fn bodies_too_large_are_refused_by_their_length_or_as_they_come() {
    let settings = Settings { body_limit: 100, ..Settings::default() };
    let (address, _stop, _task) = start(three(), settings).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = "POST /v1/filter HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(status(&mut socket).await, "413");
    let mut socket = TcpStream::connect(address).await.unwrap();
    let chunk = format!("96\r\n{}\r\n", " ".repeat(150));
    let head = "POST /v1/filter HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    socket.write_all(format!("{head}{chunk}").as_bytes()).await.unwrap();
    assert_eq!(status(&mut socket).await, "413");
}

#[tokio::test]
async fn all_bodies_together_have_a_limit() {
    let settings = Settings { body_limit: 8 << 10, all_bodies: 16 << 10, ..Settings::default() };
    let (address, _stop, _task) = start(three(), settings).await;
    let mut halves = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let begun = "POST /v1/filter HTTP/1.1\r\nHost: x\r\nContent-Length: 8192\r\n\r\n{";
        socket.write_all(begun.as_bytes()).await.unwrap();
        halves.push(socket);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let (head, _) = request(&mut socket, "POST /v1/filter", &ask()).await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    drop(halves);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let (head, _) = request(&mut socket, "POST /v1/filter", &ask()).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[tokio::test]
async fn a_stop_answers_what_was_asked_and_waits_for_nobody_else() {
    let drain = Duration::from_millis(400);
    let (address, stop, task) = start(three(), Settings { drain, ..Settings::default() }).await;
    let body = ask();
    let head =
        format!("POST /v1/filter HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut idle = TcpStream::connect(address).await.unwrap();
    let (mut late, mut never) =
        (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
    for socket in [&mut late, &mut never] {
        socket.write_all(head.as_bytes()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.cancel();
    assert!(is_closed(&mut idle).await);
    late.write_all(body.as_bytes()).await.unwrap();
    assert_eq!(status(&mut late).await, "200");
    let begun = std::time::Instant::now();
    task.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(is_closed(&mut never).await);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn other_paths_and_methods_are_told_what_there_is() {
    let (address, _stop, _task) = start(three(), Settings::default()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    for (line, code) in [
        ("GET /v1/filter", "405"),
        ("POST /v1/bind", "404"),
        ("GET /explain", "400"),
        ("GET /v1/v1/filter", "404"),
    ] {
        let (head, _) = request(&mut socket, line, "").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {code}")), "{line}: {head}");
    }
}

/// Whoever comes when all places are taken waits for one, and is answered then.
#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let settings = Settings { connections: 2, ..Settings::default() };
    let (address, _stop, _task) = start(three(), settings).await;
    let mut places = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        request(&mut socket, "POST /v1/filter", &ask()).await;
        places.push(socket);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    let body = ask();
    let head =
        format!("POST /v1/filter HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    third.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(200), status(&mut third)).await;
    assert!(waits.is_err(), "it was let in: {waits:?}");
    places.pop();
    let told = tokio::time::timeout(Duration::from_secs(2), status(&mut third)).await;
    assert_eq!(told.unwrap(), "200");
}
