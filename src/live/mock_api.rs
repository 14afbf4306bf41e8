//! An API server for tests that gives prepared answers and remembers what it was asked.

use super::client::{self, Clients};
use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use kube::{Client, Config};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// One request as it came in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    /// Method, path and query.
    pub(super) line: String,
    pub(super) content_type: String,
    pub(super) user_agent: String,
    pub(super) body: Value,
}

/// Answers by the request line and the number of requests before it.
type Answer = dyn Fn(&str, usize) -> (u16, Value) + Send + Sync;

pub(super) struct MockApi {
    pub(super) asked: Arc<Mutex<Vec<Asked>>>,
    pub(super) clients: Clients,
}

impl MockApi {
    /// Serves on the loopback interface for as long as the test's runtime lives.
    pub(super) async fn serve(
        answer: impl Fn(&str, usize) -> (u16, Value) + Send + Sync + 'static,
    ) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (memory, answer): (_, Arc<Answer>) = (Arc::clone(&asked), Arc::new(answer));
        let router = Router::new().fallback(move |request: Request| {
            let (memory, answer) = (Arc::clone(&memory), Arc::clone(&answer));
            async move { respond(request, &memory, &*answer).await }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut config = Config::new(format!("http://{address}").parse().unwrap());
        client::tune(&mut config);
        let client = Client::try_from(config).unwrap();
        let clients = Clients { workload: client.clone(), management: client, is_one: true };
        Self { asked, clients }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn respond(request: Request, memory: &Mutex<Vec<Asked>>, answer: &Answer) -> Response {
    let (parts, body) = request.into_parts();
    let bytes: Bytes = to_bytes(body, 1 << 20).await.unwrap();
    let header =
        |name| parts.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let asked = Asked {
        line: format!("{} {}", parts.method, parts.uri),
        content_type: header(header::CONTENT_TYPE),
        user_agent: header(header::USER_AGENT),
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    };
    let (status, body) = {
        let mut memory = memory.lock().unwrap();
        memory.push(asked.clone());
        answer(&asked.line, memory.len() - 1)
    };
    (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
}

/// A `Status` as the API server sends it.
pub(super) fn failure(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    (code, status)
}
