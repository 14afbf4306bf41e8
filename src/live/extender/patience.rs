//! How long a connection is waited for: a request that has begun must get on, and a connection that is not used
//! is closed in the end. hyper's own time-out for heads also runs between requests; kube-scheduler keeps
//! connections idle for 90 s and does not repeat a POST on one that was closed under it.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// Requests of one connection, counted by whoever answers them.
#[derive(Debug, Default)]
pub(super) struct Requests {
    begun: AtomicU32,
    done: AtomicU32,
}

impl Requests {
    /// The head of a request is there.
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// It has been answered.
    pub(super) fn end(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> (u32, u32) {
        (self.begun.load(Ordering::Relaxed), self.done.load(Ordering::Relaxed))
    }
}

/// Limits of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From the first byte of a request to the end of its head.
    pub(super) head: Duration,
    /// Without a request.
    pub(super) idle: Duration,
}

/// A connection that is not waited for without limit. While a request is being answered it is: its body has a
/// limit of its own.
pub(super) struct Patient<S> {
    socket: S,
    requests: Arc<Requests>,
    limits: Limits,
    /// Requests when something was last read, and since when what is read belongs to the next one.
    seen: (u32, u32),
    head_since: Option<Instant>,
    idle_since: Instant,
    /// Wakes no later than the limit; often earlier, for it is set anew only when it has rung.
    alarm: Pin<Box<Sleep>>,
}

impl<S> Patient<S> {
    pub(super) fn new(socket: S, requests: Arc<Requests>, limits: Limits) -> Self {
        Self {
            socket,
            requests,
            limits,
            seen: (0, 0),
            head_since: None,
            idle_since: Instant::now(),
            alarm: Box::pin(sleep(limits.idle)),
        }
    }

    /// Whether a request is being answered now.
    fn is_busy(&mut self) -> bool {
        let count = self.requests.count();
        if count != self.seen {
            (self.seen, self.head_since, self.idle_since) = (count, None, Instant::now());
        }
        count.0 != count.1
    }

    /// Ready when the limit is over.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = match self.head_since {
            Some(since) => since + self.limits.head,
            None => self.idle_since + self.limits.idle,
        };
        if self.alarm.deadline() > limit {
            self.alarm.as_mut().reset(limit);
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            if Instant::now() >= limit {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(limit);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let is_busy = self.is_busy();
        match Pin::new(&mut self.socket).poll_read(cx, into) {
            Poll::Ready(done) => {
                if !is_busy && self.head_since.is_none() {
                    self.head_since = Some(Instant::now());
                }
                Poll::Ready(done)
            }
            Poll::Pending if is_busy => Poll::Pending,
            Poll::Pending => {
                self.poll_over(cx).map(|()| Err(io::Error::from(io::ErrorKind::TimedOut)))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
