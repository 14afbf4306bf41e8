//! The client of Prometheus against recorded answers and against servers that misbehave.
//!
//! The recordings lie in the folder that `PREWARM_FIXTURES` names (default `../shared/fixtures`); without them
//! one test says so and does nothing.
#![cfg(feature = "prometheus")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "measures, and says what is skipped"
)]
#![allow(clippy::float_cmp, clippy::match_bool, reason = "counts as floats; tables of cases")]

#[path = "support/http.rs"]
mod http;

use http::{Reply, Request, Server};
use prewarm::{
    prometheus::{At, Auth, Client, ClientCertificate, Query, QueryError, Secret, Settings},
    promql::{AnswerFault, Data, Remark},
    time::{Millis, Timestamp},
};
use serde_json::Value;
use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const EMPTY: &str = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
const NOW: Timestamp = Timestamp::from_secs(1_792_065_600);

fn settings(url: &str) -> Settings {
    let mut settings = Settings::new(url).unwrap();
    settings.retry_after = Duration::from_millis(1);
    settings.timeout = Duration::from_secs(5);
    assert!(!settings.is_packed, "this machine");
    settings.is_packed = true;
    settings
}

async fn asked(settings: Settings) -> Result<prewarm::promql::Answer, QueryError> {
    Client::new(settings).unwrap().instant("up", NOW).await
}

/// How a server is met that always answers the same, and how often it was asked.
async fn met(reply: Reply) -> (QueryError, usize) {
    let server = Server::start(move |_| reply.clone());
    let mut settings = settings(&server.url());
    settings.most_bytes = 1 << 20;
    settings.timeout = Duration::from_millis(700);
    let error = asked(settings).await.unwrap_err();
    (error, server.seen().len())
}

#[tokio::test]
async fn a_query_is_a_form_with_our_headers() {
    let server = Server::start(|_| Reply::json(EMPTY));
    let mut settings = settings(&format!("{}/prefix", server.url()));
    settings.auth = Auth::Bearer(Secret::new("t0ken".to_owned()));
    settings.tenant = Some("team-a".to_owned());
    settings.headers = vec![("X-Extra".to_owned(), Secret::new("1".to_owned()))];
    let client = Client::new(settings).unwrap();
    client.instant("up{a=\"b c&d\"}", NOW).await.unwrap();
    let request = server.seen().remove(0);
    assert_eq!(request.line, "POST /prefix/api/v1/query HTTP/1.1");
    assert_eq!(request.header("authorization"), Some("Bearer t0ken"));
    assert_eq!(request.header("x-scope-orgid"), Some("team-a"));
    assert_eq!(request.header("x-extra"), Some("1"));
    assert!(request.header("accept-encoding").unwrap().contains("gzip"));
    assert_eq!(request.field("query").unwrap(), "up{a=\"b c&d\"}");
    assert_eq!(request.field("time").unwrap(), "1792065600.000");
    let shown = format!("{client:?}");
    assert!(!shown.contains("t0ken"), "{shown}");
}

#[tokio::test]
async fn who_we_are_can_be_a_user_in_the_url_or_a_file_that_changes() {
    let server = Server::start(|_| Reply::json(EMPTY));
    let port = server.port;
    asked(settings(&format!("http://amy:p%3Aw@127.0.0.1:{port}"))).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let mut by_file = settings(&server.url());
    by_file.auth = Auth::BearerFile(file.clone());
    let client = Client::new(by_file).unwrap();
    assert!(matches!(client.instant("up", NOW).await, Err(QueryError::Token { .. })));
    for token in ["one\n", "two\n"] {
        fs::write(&file, token).unwrap();
        client.instant("up", NOW).await.unwrap();
    }
    let seen = server.seen();
    let sent: Vec<&str> =
        seen.iter().filter_map(|request| request.header("authorization")).collect();
    // base64 of `amy:p:w`.
    assert_eq!(sent, ["Basic YW15OnA6dw==", "Bearer one", "Bearer two"]);
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_not() {
    let refused = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
    let (error, tries) = met(Reply::status(400, refused)).await;
    assert!(
        matches!(error, QueryError::Refused { status: 400, ref kind, .. } if kind == "bad_data")
    );
    assert_eq!(tries, 1);
    let heavy = r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}"#;
    let (error, tries) = met(Reply::status(422, heavy)).await;
    assert!(matches!(error, QueryError::TooHeavy(_)) && error.asks_for_less());
    assert_eq!(tries, 1);
    let (error, tries) = met(Reply::status(503, "down for a moment")).await;
    assert!(matches!(error, QueryError::Busy { status: 503, .. }));
    assert_eq!(tries, 5, "the first try and four more");
    for reply in [Reply::Nothing, Reply::Cut(EMPTY.as_bytes().to_vec())] {
        let (error, tries) = met(reply).await;
        assert!(matches!(error, QueryError::Connection { .. } | QueryError::CutOff(_)), "{error}");
        assert_eq!(tries, 5);
    }
    let (error, _) = met(Reply::status(401, "{}")).await;
    assert_eq!(error, QueryError::NotAllowed(401));
}

#[tokio::test]
async fn a_connection_that_fails_is_named_without_credentials() {
    let error = asked(settings("http://amy:s3cret@127.0.0.1:9/thanos")).await.unwrap_err();
    let message = error.to_string();
    assert!(message.contains("http://127.0.0.1:9/thanos/"), "{message}");
    assert!(!message.contains("amy") && !message.contains("s3cret"), "{message}");
}

#[tokio::test]
async fn a_server_is_left_alone_as_long_as_it_asks() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let server = Server::start(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Full(429, vec![("Retry-After", "1".to_owned())], b"slow down".to_vec()),
        _ => Reply::json(EMPTY),
    });
    let begun = Instant::now();
    asked(settings(&server.url())).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    // Nobody waits for ten minutes.
    let patience = Reply::Full(429, vec![("Retry-After", "600".to_owned())], Vec::new());
    let (error, tries) = met(patience).await;
    assert!(error.to_string().contains("come back in 600 s"), "{error}");
    assert_eq!(tries, 1);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up() {
    let late = Reply::Late(Duration::from_secs(3), Box::new(Reply::json(EMPTY)));
    let server = Server::start(move |_| late.clone());
    let mut settings = settings(&server.url());
    settings.timeout = Duration::from_millis(200);
    settings.retries = 1;
    let begun = Instant::now();
    assert!(matches!(asked(settings).await, Err(QueryError::TimedOut(_))));
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn pages_and_garbage_are_told_from_the_api() {
    let html = |status| {
        let content = vec![("Content-Type", "text/html".to_owned())];
        Reply::Full(status, content, b"<html><title>Log in</title>".to_vec())
    };
    for status in [200, 404] {
        let (error, tries) = met(html(status)).await;
        let said = error.to_string();
        assert!(said.contains("Log in") && said.contains("a login in between"), "{said}");
        assert_eq!(tries, 1);
    }
    let (error, _) = met(Reply::json("{\"status\":\"succ")).await;
    assert!(matches!(error, QueryError::Answer(AnswerFault::NotAnAnswer(_))), "{error}");
    let bytes =
        Reply::Full(200, vec![("Content-Type", "application/json".to_owned())], vec![0xff; 90]);
    assert!(matches!(met(bytes).await.0, QueryError::Answer(_)));
}

#[tokio::test]
async fn ten_million_samples_are_not_read() {
    const HEAD: &str =
        r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":["#;
    let (error, tries) = met(Reply::Endless(HEAD, r#"[1792065600,"1"],"#)).await;
    assert_eq!(error, QueryError::TooLarge(1 << 20));
    assert!(error.asks_for_less());
    assert_eq!(tries, 1);
}

#[tokio::test]
async fn a_small_packet_that_unpacks_to_much_is_not_read_either() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &vec![b' '; 4 << 20]).unwrap();
    let headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("Content-Encoding", "gzip".to_owned()),
    ];
    let (error, _) = met(Reply::Full(200, headers, packed.finish().unwrap())).await;
    assert_eq!(error, QueryError::TooLarge(1 << 20));
}

#[tokio::test]
async fn credentials_do_not_go_to_another_host() {
    let other = Server::start(|_| Reply::json(EMPTY));
    let target = format!("{}/api/v1/query?stolen=1", other.url());
    for status in [301, 302, 303, 307, 308] {
        let target = target.clone();
        let server = Server::start(move |_| {
            Reply::Full(status, vec![("Location", target.clone())], Vec::new())
        });
        let mut settings = settings(&server.url());
        settings.auth = Auth::Bearer(Secret::new("t0ken".to_owned()));
        let error = asked(settings).await.unwrap_err();
        assert!(
            matches!(error, QueryError::Elsewhere(ref to) if to.contains(&other.port.to_string()))
        );
        assert!(!error.to_string().contains("t0ken"));
    }
    assert!(other.seen().is_empty(), "nothing at all is sent there");
}

#[tokio::test]
async fn a_redirection_within_the_server_is_followed_with_the_form() {
    let server = Server::start(|request: &Request| match request.line.contains("/new/") {
        true => Reply::json(EMPTY),
        false => Reply::Full(307, vec![("Location", "/new/api/v1/query".to_owned())], Vec::new()),
    });
    asked(settings(&server.url())).await.unwrap();
    assert_eq!(server.seen()[1].field("query").unwrap(), "up");
}

#[tokio::test]
async fn no_more_than_four_queries_at_once_and_no_more_than_11000_points() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (now.clone(), most.clone());
    let server = Server::start(move |_| {
        let (now, most) = &counters;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(30));
        now.fetch_sub(1, Ordering::SeqCst);
        Reply::json(EMPTY)
    });
    let client = Client::new(settings(&server.url())).unwrap();
    let days = |days: i64| Millis::from_hours(24 * days);
    let range = client.range("up", NOW, NOW + days(30), Millis::from_secs(60));
    let instants = (0..24).map(|_| client.instant("up", NOW));
    let (range, instants) = tokio::join!(range, futures::future::join_all(instants));
    range.unwrap();
    assert!(instants.iter().all(Result::is_ok));
    assert_eq!(most.load(Ordering::SeqCst), 4);
    let number = |request: &Request, name| request.field(name).unwrap().parse::<f64>().unwrap();
    let seen = server.seen();
    let ranges: Vec<&Request> = seen.iter().filter(|r| r.line.contains("query_range")).collect();
    // 43,201 points.
    assert_eq!(ranges.len(), 4);
    for range in ranges {
        let points = (number(range, "end") - number(range, "start")) / number(range, "step") + 1.0;
        assert!(points <= 11_000.0, "{points}");
    }
}

/// A server with a certificate of its own authority; where `asks` is set it wants one of the client too.
fn tls(
    authority: &rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
    name: &str,
    asks: bool,
) -> Server {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if asks {
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap());
    Server::wrapped(
        Arc::new(move |stream| {
            let connection = rustls::ServerConnection::new(config.clone()).ok()?;
            Some(Box::new(rustls::StreamOwned::new(connection, stream)))
        }),
        |_| Reply::json(EMPTY),
    )
}

fn authority() -> rcgen::CertifiedIssuer<'static, rcgen::KeyPair> {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused_until_its_authority_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority();
    let file = folder.path().join("ca.pem");
    fs::write(&file, authority.pem()).unwrap();
    let server = tls(&authority, "localhost", false);
    let https = |host: &str| settings(&format!("https://{host}:{}", server.port));
    let error = asked(https("localhost")).await.unwrap_err();
    assert!(matches!(error, QueryError::Tls { .. }), "{error:?}");
    assert!(error.to_string().contains("--prometheus-ca"));
    let trusting = |host: &str| Settings { authorities: Some(file.clone()), ..https(host) };
    asked(trusting("localhost")).await.unwrap();
    // The certificate is for another name.
    assert!(matches!(asked(trusting("127.0.0.1")).await, Err(QueryError::Tls { .. })));
    let wrong =
        Settings { authorities: Some(folder.path().join("none.pem")), ..https("localhost") };
    assert!(Client::new(wrong).unwrap_err().to_string().contains("none.pem"));
}

#[tokio::test]
async fn a_server_can_ask_for_our_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority();
    let path = |name: &str| folder.path().join(name);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["prewarm".to_owned()]).unwrap();
    let own = params.signed_by(&key, &authority).unwrap();
    for (name, text) in
        [("ca.pem", authority.pem()), ("own.pem", own.pem()), ("own.key", key.serialize_pem())]
    {
        fs::write(path(name), text).unwrap();
    }
    let server = tls(&authority, "localhost", true);
    let mut with = settings(&format!("https://localhost:{}", server.port));
    with.authorities = Some(path("ca.pem"));
    assert!(asked(with.clone()).await.is_err());
    with.certificate =
        Some(ClientCertificate { certificate: path("own.pem"), key: path("own.key") });
    asked(with).await.unwrap();
}

fn recordings(file: &str) -> Option<Vec<Value>> {
    let folder = std::env::var("PREWARM_FIXTURES")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures").to_owned());
    let text = fs::read_to_string(PathBuf::from(folder).join("prometheus").join(file)).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// The recorded answer, sent again.
fn replayed(exchange: &Value) -> Reply {
    let response = &exchange["response"];
    let body = match &response["body"] {
        Value::String(text) => text.clone(),
        body => body.to_string(),
    };
    let content = response["headers"]["Content-Type"].as_str().unwrap_or("text/plain").to_owned();
    let status = response["status"].as_u64().unwrap() as u16;
    Reply::Full(status, vec![("Content-Type", content)], body.into_bytes())
}

/// What the client makes of a recorded answer.
async fn understood(exchange: &Value) -> Result<prewarm::promql::Answer, QueryError> {
    let reply = replayed(exchange);
    let server = Server::start(move |_| reply.clone());
    let mut settings = settings(&server.url());
    settings.retries = 0;
    let at = match exchange["request"]["line"].as_str().unwrap().contains("query_range") {
        true => At::Range(NOW, NOW, Millis(1000)),
        false => At::Instant(NOW),
    };
    let bytes = Client::new(settings).unwrap().fetch(&Query { text: "up".to_owned(), at }).await?;
    Ok(prewarm::promql::parse(&bytes)?)
}

#[tokio::test]
async fn recorded_answers_are_understood() {
    let Some(answers) = recordings("01-query.json") else {
        println!("skipped: no recordings (set PREWARM_FIXTURES)");
        return;
    };
    for exchange in answers.iter().chain(&recordings("02-query-range.json").unwrap()) {
        let title = exchange["title"].as_str().unwrap();
        let answer = understood(exchange).await.unwrap_or_else(|error| panic!("{title}: {error}"));
        let body = &exchange["response"]["body"]["data"];
        let recorded = body["result"].as_array().unwrap();
        let kind = match &answer.data {
            Data::Vector(_) => "vector",
            Data::Matrix(_) => "matrix",
            Data::Scalar(_) => "scalar",
            Data::Text(_) => "string",
        };
        assert_eq!(kind, body["resultType"], "{title}");
        assert_eq!(answer.remarks, [], "{title}");
        if matches!(kind, "vector" | "matrix") {
            let points = |series: &Value| series["values"].as_array().map_or(1, Vec::len);
            let series = answer.data.into_series();
            assert_eq!(series.len(), recorded.len(), "{title}");
            let found: usize = series.iter().map(|series| series.points.len()).sum();
            assert_eq!(found, recorded.iter().map(points).sum::<usize>(), "{title}");
        }
    }
}

#[tokio::test]
async fn recorded_errors_say_what_to_do() {
    let Some(errors) = recordings("03-errors.json") else {
        println!("skipped: no recordings (set PREWARM_FIXTURES)");
        return;
    };
    for exchange in &errors {
        let title = exchange["title"].as_str().unwrap();
        let error = understood(exchange).await.unwrap_err();
        let is_meant = match title {
            t if t.contains("timeout")
                || t.contains("max-samples")
                || t.contains("too many points") =>
            {
                matches!(error, QueryError::TooHeavy(_))
            }
            t if t.contains("404") || t.contains("405") => {
                matches!(error, QueryError::NotTheApi { .. })
            }
            _ => matches!(error, QueryError::Refused { .. }),
        };
        assert!(is_meant, "{title}: {error:?}");
    }
}

#[tokio::test]
async fn recorded_warnings_are_carried_on() {
    let Some(warned) = recordings("04-warnings-and-partial.json") else {
        println!("skipped: no recordings (set PREWARM_FIXTURES)");
        return;
    };
    let of_queries =
        warned.iter().filter(|e| e["request"]["line"].as_str().unwrap().contains("/query"));
    let mut seen = 0;
    for exchange in of_queries {
        let title = exchange["title"].as_str().unwrap();
        let remarks = understood(exchange).await.unwrap().remarks;
        assert_eq!(remarks.len(), 1, "{title}");
        assert_eq!(matches!(remarks[0], Remark::Info(_)), title.contains("infos"), "{title}");
        seen += 1;
    }
    assert_eq!(seen, 5);
}
