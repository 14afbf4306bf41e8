//! Queries over HTTP.

use super::{Auth, QueryError, Settings, SettingsError, exchange};
use crate::{
    promql::{Answer, Data, MOST_POINTS, Series, parse},
    time::{Millis, Timestamp},
};
use backon::{ExponentialBuilder, Retryable};
use reqwest::{Certificate, ClientBuilder, Identity, RequestBuilder, Url, redirect};
use std::{collections::BTreeMap, fmt, fs, path::Path, time::Duration};
use tokio::sync::Semaphore;

/// A connection that is not made by then never will be.
const CONNECT: Duration = Duration::from_secs(10);
/// A server that wants us back later than this is not waited for.
const MOST_PATIENCE: Duration = Duration::from_mins(1);
/// Redirections within the same origin.
const MOST_REDIRECTS: usize = 3;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// PromQL.
    pub text: String,
    /// When.
    pub at: At,
}

/// When a query is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Once.
    Instant(Timestamp),
    /// From the first instant to the second, so far apart.
    Range(Timestamp, Timestamp, Millis),
}

/// A client. It is made once and shared.
pub struct Client {
    http: reqwest::Client,
    settings: Settings,
    turnstile: Semaphore,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client; nothing is sent.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        // Somebody else may have installed it already; there is only one in this program.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .user_agent(concat!("prewarm/", env!("CARGO_PKG_VERSION")))
            .default_headers(settings.header_map()?)
            .connect_timeout(CONNECT.min(settings.timeout))
            .timeout(settings.timeout)
            .redirect(redirect::Policy::custom(within_origin))
            .referer(false)
            .gzip(settings.is_packed)
            .no_proxy();
        let http = with_certificates(builder, &settings)?
            .build()
            .map_err(|error| SettingsError::Tls(deepest(&error)))?;
        Ok(Self { http, settings, turnstile: Semaphore::new(Settings::PARALLEL) })
    }

    /// Where it asks, without credentials.
    pub const fn url(&self) -> &Url {
        &self.settings.url
    }

    /// The tenant it asks for.
    pub fn tenant(&self) -> &str {
        self.settings.tenant.as_deref().unwrap_or_default()
    }

    /// The values at one instant.
    pub async fn instant(&self, text: &str, at: Timestamp) -> Result<Answer, QueryError> {
        let query = Query { text: text.to_owned(), at: At::Instant(at) };
        Ok(parse(&self.fetch(&query).await?)?)
    }

    /// The same, tried once: for whoever asks again anyway and has to know what is wrong.
    pub async fn instant_once(&self, text: &str, at: Timestamp) -> Result<Answer, QueryError> {
        let query = Query { text: text.to_owned(), at: At::Instant(at) };
        Ok(parse(&self.attempt(&query).await?)?)
    }

    /// The values from `from` to `until` (both included), `step` apart; asked in as many pieces as the limit of
    /// 11,000 points a series needs.
    pub async fn range(
        &self,
        text: &str,
        from: Timestamp,
        until: Timestamp,
        step: Millis,
    ) -> Result<Answer, QueryError> {
        let mut series: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut remarks = Vec::new();
        for (from, until) in pieces(from, until, step) {
            let query = Query { text: text.to_owned(), at: At::Range(from, until, step) };
            let answer = parse(&self.fetch(&query).await?)?;
            remarks.extend(answer.remarks);
            for piece in answer.data.into_series() {
                series.entry(piece.labels).or_default().extend(piece.points);
            }
        }
        remarks.sort();
        remarks.dedup();
        let series = series.into_iter().map(|(labels, points)| Series { labels, points });
        Ok(Answer { data: Data::Matrix(series.collect()), remarks })
    }

    /// The bytes of an answer, tried again after what passes.
    pub async fn fetch(&self, query: &Query) -> Result<Vec<u8>, QueryError> {
        let waits = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(self.settings.retry_after)
            .with_max_delay(self.settings.retry_after * 100)
            .with_max_times(self.settings.retries);
        (|| self.attempt(query))
            .retry(waits)
            .when(QueryError::passes)
            .adjust(|error, wait| match (wait, error.retry_after()) {
                (_, Some(asked)) if asked > MOST_PATIENCE => None,
                // The jitter of ours keeps several from coming back at once.
                (Some(wait), Some(asked)) => Some(asked + wait),
                (wait, None) => wait,
                (None, _) => None,
            })
            .await
    }

    async fn attempt(&self, query: &Query) -> Result<Vec<u8>, QueryError> {
        // Never closed.
        let _turn = self.turnstile.acquire().await.ok();
        let timeout = self.settings.timeout;
        let response = self.request(query)?.send().await;
        let response = response.map_err(|error| exchange::failure(&error, timeout, self.url()))?;
        exchange::body(response, self.settings.most_bytes, timeout).await
    }

    fn request(&self, query: &Query) -> Result<RequestBuilder, QueryError> {
        let limit = format!("{}s", self.settings.timeout.as_secs().max(1));
        let mut form = vec![("query", query.text.clone()), ("timeout", limit)];
        let path = match query.at {
            At::Instant(at) => {
                form.push(("time", seconds(at.0)));
                "api/v1/query"
            }
            At::Range(from, until, step) => {
                form.push(("start", seconds(from.0)));
                form.push(("end", seconds(until.0)));
                form.push(("step", seconds(step.0)));
                "api/v1/query_range"
            }
        };
        let mut url = self.settings.url.clone();
        url.set_path(&format!("{}{path}", url.path()));
        self.signed(self.http.post(url).header("Accept", "application/json").form(&form))
    }

    fn signed(&self, request: RequestBuilder) -> Result<RequestBuilder, QueryError> {
        Ok(match &self.settings.auth {
            Auth::Nobody => request,
            Auth::Bearer(token) => request.bearer_auth(token.reveal()),
            Auth::BearerFile(path) => request.bearer_auth(token_of(path)?),
            Auth::Basic { user, password } => request.basic_auth(user, Some(password.reveal())),
        })
    }
}

/// Only on to the same origin, and only where the method and the body stay.
fn within_origin(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let is_same = attempt.previous().iter().all(|url| url.origin() == attempt.url().origin());
    let keeps_body = matches!(attempt.status().as_u16(), 307 | 308);
    if is_same && keeps_body && attempt.previous().len() <= MOST_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

fn with_certificates(
    mut builder: ClientBuilder,
    settings: &Settings,
) -> Result<ClientBuilder, SettingsError> {
    if let Some(path) = &settings.authorities {
        let certificates = Certificate::from_pem_bundle(&contents(path)?);
        let certificates = certificates.ok().filter(|found| !found.is_empty());
        let certificates = certificates.ok_or_else(|| SettingsError::Certificate {
            path: path.clone(),
            problem: "no certificate in PEM (-----BEGIN CERTIFICATE-----) is in it".to_owned(),
        })?;
        builder = builder.tls_certs_only(certificates);
    }
    if let Some(own) = &settings.certificate {
        let mut pem = contents(&own.certificate)?;
        pem.push(b'\n');
        pem.extend(contents(&own.key)?);
        let identity = Identity::from_pem(&pem).map_err(|error| SettingsError::Certificate {
            path: own.certificate.clone(),
            problem: format!("certificate and key cannot be used: {}", deepest(&error)),
        })?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

fn contents(path: &Path) -> Result<Vec<u8>, SettingsError> {
    fs::read(path).map_err(|source| SettingsError::File { path: path.to_owned(), source })
}

fn token_of(path: &Path) -> Result<String, QueryError> {
    let fault = |problem: String| QueryError::Token { path: path.to_owned(), problem };
    let text = fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    match text.trim() {
        "" => Err(fault("it is empty".to_owned())),
        token if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(fault("there is more than a token in it".to_owned()))
        }
        token => Ok(token.to_owned()),
    }
}

fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Milliseconds as seconds, exact.
fn seconds(milliseconds: i64) -> String {
    format!("{}.{:03}", milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000))
}

/// A range in pieces of at most [`MOST_POINTS`] points.
fn pieces(from: Timestamp, until: Timestamp, step: Millis) -> Vec<(Timestamp, Timestamp)> {
    let step = step.0.max(1);
    let span = step * (MOST_POINTS - 1);
    let mut pieces = Vec::new();
    let mut start = from;
    while start <= until {
        let end = until.min(Timestamp(start.0 + span));
        pieces.push((start, end));
        start = Timestamp(start.0 + span + step);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_at_most_the_points_a_server_gives_and_miss_none() {
        for points in [1_i64, 2, 10_999, 11_000, 11_001, 22_000, 33_001] {
            let step = Millis(60_000);
            let until = Timestamp(1_000 + step.0 * (points - 1));
            let mut seen = Vec::new();
            for (from, until) in pieces(Timestamp(1_000), until, step) {
                let here = (until.0 - from.0) / step.0 + 1;
                assert!((1..=MOST_POINTS).contains(&here), "{here}");
                seen.extend((0..here).map(|n| from.0 + n * step.0));
            }
            let all: Vec<i64> = (0..points).map(|n| 1_000 + n * step.0).collect();
            assert_eq!(seen, all);
        }
    }

    #[test]
    fn seconds_are_exact() {
        assert_eq!(seconds(1_792_065_600_500), "1792065600.500");
        assert_eq!(seconds(1), "0.001");
    }
}
