//! One answer of HTTP: read up to a limit, and told what it is.

use super::QueryError;
use crate::promql::{AnswerFault, parse};
use reqwest::{Response, StatusCode, Url, header};
use std::{error::Error, time::Duration};

/// The body of an answer that is JSON of the API, or what it is instead.
pub(super) async fn body(
    response: Response,
    most: usize,
    timeout: Duration,
) -> Result<Vec<u8>, QueryError> {
    let status = response.status();
    if status.is_redirection() {
        return Err(QueryError::Elsewhere(target(&response)));
    }
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Err(QueryError::NotAllowed(status.as_u16()));
    }
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let content = text(header::CONTENT_TYPE).unwrap_or("no content type").to_owned();
    let retry_after = text(header::RETRY_AFTER)
        .and_then(|seconds| seconds.trim().parse().ok())
        .map(Duration::from_secs);
    // Of an error only the beginning matters.
    let bytes = match (status.is_success(), read(response, most, timeout).await) {
        (false, Err(QueryError::TooLarge(_) | QueryError::CutOff(_))) => Vec::new(),
        (_, read) => read?,
    };
    if status.is_success() && is_json(&content) {
        return Ok(bytes);
    }
    Err(explained(status, &content, &bytes, retry_after))
}

/// Where a redirection leads, without user, password and query.
fn target(response: &Response) -> String {
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let url = location.and_then(|location| response.url().join(location).ok());
    url.map_or_else(
        || "somewhere else".to_owned(),
        |url| format!("{}{}", url.origin().ascii_serialization(), url.path()),
    )
}

fn is_json(content: &str) -> bool {
    let kind = content.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

async fn read(
    mut response: Response,
    most: usize,
    timeout: Duration,
) -> Result<Vec<u8>, QueryError> {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() > most => {
                return Err(QueryError::TooLarge(most));
            }
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return Ok(bytes),
            Err(error) if error.is_timeout() => return Err(QueryError::TimedOut(timeout)),
            Err(error) => return Err(QueryError::CutOff(reason(&error))),
        }
    }
}

/// What an answer that is no success means.
fn explained(
    status: StatusCode,
    content: &str,
    bytes: &[u8],
    retry_after: Option<Duration>,
) -> QueryError {
    let code = status.as_u16();
    let said = is_json(content).then(|| parse(bytes).err()).flatten();
    let is_busy = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    match said {
        Some(AnswerFault::Refused { kind, message }) => {
            let message = beginning(message.as_bytes());
            if is_too_heavy(&kind, &message) {
                QueryError::TooHeavy(message)
            } else if is_busy {
                QueryError::Busy { status: code, message, retry_after }
            } else {
                QueryError::Refused { status: code, kind, message }
            }
        }
        _ if is_busy || matches!(code, 502 | 504) => {
            QueryError::Busy { status: code, message: beginning(bytes), retry_after }
        }
        _ => QueryError::NotTheApi {
            status: code,
            content: beginning(content.as_bytes()),
            start: beginning(bytes),
        },
    }
}

/// A time-out of the evaluation is 503 `timeout`, while series are loaded 422 `execution`. Other servers have
/// limits of their own.
///
/// # Source
/// Grafana Mimir, "Runbooks" (`err-mimir-max-...`); Thanos, "Store" (limits); VictoriaMetrics, "Troubleshooting".
fn is_too_heavy(kind: &str, message: &str) -> bool {
    const SIGNS: [&str; 11] = [
        "too many samples",
        "deadline exceeded",
        "exceeded maximum resolution",
        "timed out",
        // Mimir and Cortex.
        "err-mimir-max-",
        "the query exceeded the maximum",
        // Thanos.
        "exceeded series limit",
        "exceeded chunks limit",
        // VictoriaMetrics.
        "cannot select more than",
        "the number of matching timeseries exceeds",
        "timeout exceeded",
    ];
    kind == "timeout" || SIGNS.iter().any(|sign| message.contains(sign))
}

/// Enough of a foreign text for a message, on one line.
fn beginning(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(1200)]);
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|c| !c.is_control()).take(300).collect();
    if line.is_empty() { "(nothing)".to_owned() } else { line }
}

/// Why a request to `url` (without credentials) had no answer at all.
pub(super) fn failure(error: &reqwest::Error, timeout: Duration, url: &Url) -> QueryError {
    if error.is_timeout() {
        return QueryError::TimedOut(timeout);
    }
    let (url, problem) = (url.to_string(), reason(error));
    if is_tls(error) {
        QueryError::Tls { url, problem }
    } else {
        QueryError::Connection { url, problem }
    }
}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    // An I/O error hides what it wraps: its source is the source of that.
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || wrapped.is_some_and(|inner| is_tls(inner))
        || error.source().is_some_and(is_tls)
}

/// The innermost cause: the outer ones name the URL.
fn reason(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    beginning(cause.to_string().as_bytes())
}
