//! Why a query has no answer, and what to do about it.

use crate::promql::AnswerFault;
use std::{path::PathBuf, time::Duration};
use thiserror::Error;

/// Why a query has no answer. No text here contains a credential.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum QueryError {
    /// Nobody there, or the connection broke.
    #[error(
        "no connection to {url}: {problem}; is the URL right, and can it be reached from here?"
    )]
    Connection {
        /// Where to, without credentials.
        url: String,
        /// Why not.
        problem: String,
    },
    /// The other side is not whom it claims to be, or does not take us.
    #[error(
        "TLS with {url}: {problem}; name the authority of the server with --prometheus-ca, and its \
         certificate's host in the URL"
    )]
    Tls {
        /// With whom, without credentials.
        url: String,
        /// Why not.
        problem: String,
    },
    /// No answer in time.
    #[error("no answer within {0:?}; ask for less (--chunk) or wait longer (--prometheus-timeout)")]
    TimedOut(Duration),
    /// The body ended early.
    #[error("the answer was cut off: {0}")]
    CutOff(String),
    /// Too much to do.
    #[error("the server is busy (HTTP {status}): {message}{}", later(*.retry_after))]
    Busy {
        /// 429 or 503.
        status: u16,
        /// What it says.
        message: String,
        /// When to come back, if it says so.
        retry_after: Option<Duration>,
    },
    /// The query is too heavy for the limits of the server.
    #[error("the query is too heavy for the server: {0}; ask for less at once (--chunk 1h)")]
    TooHeavy(String),
    /// The answer is longer than may be read.
    #[error("the answer has more than {} MiB; ask for less at once (--chunk 1h)", .0 >> 20)]
    TooLarge(usize),
    /// Who are we?
    #[error(
        "not allowed (HTTP {0}): give a token (--prometheus-token-file), a user or a client certificate that may query"
    )]
    NotAllowed(u16),
    /// The file with the token.
    #[error("{}: the token cannot be read: {problem}", path.display())]
    Token {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// Another place answers for it.
    #[error(
        "the server sends us to {0}; if that is right, name it with --prometheus (nothing was sent there)"
    )]
    Elsewhere(String),
    /// The server understood and refuses.
    #[error("the server refuses the query (HTTP {status}, {kind}): {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// `bad_data`, `execution`, ...
        kind: String,
        /// What it says.
        message: String,
    },
    /// Something answered that is not the API.
    #[error(
        "this is not the API of Prometheus (HTTP {status}, {content}): {start}; is a prefix missing in the URL, or a login in between?"
    )]
    NotTheApi {
        /// HTTP status.
        status: u16,
        /// Content type.
        content: String,
        /// How the body begins.
        start: String,
    },
    /// It is the API, but its answer cannot be used.
    #[error("{0}")]
    Answer(#[from] AnswerFault),
}

fn later(after: Option<Duration>) -> String {
    after.map_or_else(String::new, |after| {
        format!("; it asks to come back in {} s", after.as_secs())
    })
}

impl QueryError {
    /// Whether the same again can succeed.
    pub const fn passes(&self) -> bool {
        matches!(
            self,
            Self::Connection { .. } | Self::TimedOut(_) | Self::CutOff(_) | Self::Busy { .. }
        )
    }

    /// Whether less at once can succeed.
    pub const fn asks_for_less(&self) -> bool {
        matches!(self, Self::TooHeavy(_) | Self::TooLarge(_) | Self::TimedOut(_))
    }

    /// When the server wants us back.
    pub(super) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
