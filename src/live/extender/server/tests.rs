//! What a client sees of a connection and cannot ask for: no delay, one write an answer, patience between requests.

use super::*;
use crate::extender::Policy;
use std::{
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

/// kube-scheduler closes idle connections after 90 s. A server that is earlier meets a request on its way, which Go
/// does not send again.
#[test]
fn connections_are_kept_for_longer_than_schedulers_keep_them() {
    let settings = Settings::default();
    assert!(settings.idle > Duration::from_secs(95), "{:?}", settings.idle);
    // 5,000 nodes of 14.6 KB, and as many again at once.
    assert!(settings.body_limit >= 5_000 * 14_600 && settings.all_bodies >= settings.body_limit);
}

#[tokio::test]
async fn accepted_connections_have_no_delay() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, _place) = accept(&listener, &Arc::new(Semaphore::new(1))).await.unwrap();
    assert!(socket.nodelay().unwrap());
}

/// Counts writes.
struct Counted {
    inner: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.inner).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    /// As `writev` does: all at once.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = from.iter().flat_map(|one| one.iter().copied()).collect();
        self.as_mut().poll_write(cx, &all)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

/// Names that all pass go back as a part of what was sent, others are written anew: either way head and body leave
/// together, with their length before them.
#[tokio::test]
async fn an_answer_is_one_write_with_its_length() {
    let mut snapshot = ExtenderSnapshot::new(Policy::default());
    snapshot.is_synced = true;
    let shared = Arc::new(ArcSwap::from_pointee(snapshot));
    let nobody: FindPod = Arc::new(|_| None);
    let (meters, settings) = (Meters::default(), Settings::default());
    let service = Arc::new(Service::new(shared, Clock::system(), meters, nobody, settings));
    let (mut client, inner) = duplex(1 << 20);
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Counted { inner, writes: Arc::clone(&writes) };
    let task = tokio::spawn(answer_all(counted, service, CancellationToken::new()));
    let names: Vec<String> = (0..500).map(|nth| format!("\"gpu-pool-a100-{nth:05}\"")).collect();
    let names = names.join(",");
    for (verb, body) in [
        ("filter", format!(r#"{{"Pod":{{}},"Nodes":null,"NodeNames":[{names}]}}"#)),
        ("filter", format!(r#"{{"Pod":{{}},"Nodes":null,"NodeNames":["a",{names},"a"]}}"#)),
        ("prioritize", format!(r#"{{"Pod":{{}},"Nodes":null,"NodeNames":[{names}]}}"#)),
        ("filter", r#"{"Pod":{},"Nodes":{"metadata":{},"items":[{"metadata":{"name":"n"}}]},"NodeNames":null}"#.to_owned()),
        ("preempt", r#"{"Pod":{},"NodeNameToMetaVictims":{}}"#.to_owned()),
        ("filter", "{".to_owned()),
    ] {
        let before = writes.load(Ordering::SeqCst);
        let head = format!("POST /v1/{verb} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        client.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut read = vec![0; 1 << 20];
        let count = client.read(&mut read).await.unwrap();
        let answer = String::from_utf8_lossy(&read[..count]).into_owned();
        let (head, told) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_lowercase();
        assert!(head.contains(&format!("content-length: {}", told.len())), "{verb}: {head}");
        assert!(!head.contains("transfer-encoding") && !head.contains("connection: close"));
        assert_eq!(writes.load(Ordering::SeqCst) - before, 1, "{verb} {body:.60}");
    }
    drop(client);
    task.await.unwrap();
}
