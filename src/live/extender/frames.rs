//! The body of a response in pieces: what is told as it was sent is a part of the request's body, not a copy.

use super::wire::told::{Piece, Told};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Frames(VecDeque<Bytes>);

impl Frames {
    /// An answer to the request with this body.
    pub(super) fn new(told: Told, body: &Bytes) -> Self {
        let bytes = |piece| match piece {
            Piece::Own(json) => Bytes::from(json),
            Piece::Sent(range) => body.slice(range),
        };
        Self(told.into_pieces().into_iter().map(bytes).collect())
    }
}

impl From<Bytes> for Frames {
    fn from(bytes: Bytes) -> Self {
        Self([bytes].into())
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|bytes| bytes.len() as u64).sum())
    }
}
