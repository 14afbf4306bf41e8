//! TLS with certificates made here: trust, clients with certificates, change under load.

use super::*;
use crate::live::extender::tls::{Tls, TlsFiles};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    },
};

fn made() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

fn files(folder: &Path) -> TlsFiles {
    TlsFiles { certificate: folder.join("tls.crt"), key: folder.join("tls.key"), client_ca: None }
}

fn write(files: &TlsFiles, made: &CertifiedKey<KeyPair>) {
    fs::write(&files.certificate, made.cert.pem()).unwrap();
    fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
}

/// A client that trusts these, and shows `own`.
fn connector(
    trusted: &[&CertifiedKey<KeyPair>],
    own: Option<&CertifiedKey<KeyPair>>,
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for one in trusted {
        roots.add(one.cert.der().clone()).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let chain: Vec<CertificateDer<'static>> = vec![own.cert.der().clone()];
            let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    TlsConnector::from(Arc::new(config))
}

async fn connect(
    connector: &TlsConnector,
    address: std::net::SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    connector.connect(ServerName::try_from("localhost").unwrap(), socket).await
}

/// One filter request; whether it was answered as it should be.
async fn is_answered(socket: &mut TlsStream<TcpStream>) -> bool {
    let body = json!({"Pod": pod(), "NodeNames": ["gpu-1"]}).to_string();
    let head =
        format!("POST /v1/filter HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    if socket.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
        return false;
    }
    let (mut read, mut buffer) = (Vec::new(), [0; 1024]);
    while !read.ends_with(b"\"Error\":\"\"}") {
        match tokio::time::timeout(Duration::from_secs(5), socket.read(&mut buffer)).await {
            Ok(Ok(count @ 1..)) => read.extend_from_slice(&buffer[..count]),
            _ => return false,
        }
    }
    read.starts_with(b"HTTP/1.1 200")
}

#[tokio::test]
async fn only_clients_with_a_certificate_are_answered_where_that_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (server, client, stranger) = (made(), made(), made());
    let mut files = files(folder.path());
    write(&files, &server);
    let authority = folder.path().join("ca.crt");
    fs::write(&authority, client.cert.pem()).unwrap();
    files.client_ca = Some(authority);
    let tls = Arc::new(Tls::load(files).unwrap());
    let (address, _stop, _task) = start_with(three(), Settings::default(), Some(tls)).await;
    for (own, expected) in [(Some(&client), true), (Some(&stranger), false), (None, false)] {
        // With TLS 1.3 a client learns with its first read that its certificate was refused.
        let is_answered = match connect(&connector(&[&server], own), address).await {
            Ok(mut socket) => is_answered(&mut socket).await,
            Err(_) => false,
        };
        assert_eq!(is_answered, expected);
    }
    assert!(connect(&connector(&[&stranger], Some(&client)), address).await.is_err());
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"POST /v1/filter HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).await.ok();
    assert!(!answer.starts_with(b"HTTP"));
}

/// Go's client would be content with less.
#[tokio::test]
async fn nothing_older_than_tls_1_3_is_spoken() {
    let folder = tempfile::tempdir().unwrap();
    let (server, files) = (made(), files(folder.path()));
    write(&files, &server);
    let tls = Arc::new(Tls::load(files).unwrap());
    let (address, _stop, _task) = start_with(three(), Settings::default(), Some(tls)).await;
    for (version, expected) in [(&rustls::version::TLS13, true), (&rustls::version::TLS12, false)] {
        let mut roots = RootCertStore::empty();
        roots.add(server.cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let is_answered = match connect(&connector, address).await {
            Ok(mut socket) => is_answered(&mut socket).await,
            Err(_) => false,
        };
        assert_eq!(is_answered, expected, "{version:?}");
    }
}

/// Who is trusted can change too: the next connection is judged by what is in the file then.
#[tokio::test]
async fn clients_are_judged_by_the_newest_authorities() {
    let folder = tempfile::tempdir().unwrap();
    let (server, first, second) = (made(), made(), made());
    let mut files = files(folder.path());
    write(&files, &server);
    let authority = folder.path().join("ca.crt");
    fs::write(&authority, first.cert.pem()).unwrap();
    files.client_ca = Some(authority.clone());
    let tls = Arc::new(Tls::load(files).unwrap());
    let (address, _stop, _task) =
        start_with(three(), Settings::default(), Some(Arc::clone(&tls))).await;
    for trusted in [&first, &second] {
        fs::write(&authority, trusted.cert.pem()).unwrap();
        tls.reload().unwrap();
        for own in [&first, &second] {
            let is_answered = match connect(&connector(&[&server], Some(own)), address).await {
                Ok(mut socket) => is_answered(&mut socket).await,
                Err(_) => false,
            };
            assert_eq!(is_answered, std::ptr::eq(own, trusted));
        }
    }
}

/// It takes a place and says nothing.
#[tokio::test]
async fn a_handshake_that_does_not_begin_closes_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (server, files) = (made(), files(folder.path()));
    write(&files, &server);
    let tls = Arc::new(Tls::load(files).unwrap());
    let settings = Settings { head_within: Duration::from_millis(50), ..Settings::default() };
    let (address, _stop, _task) = start_with(three(), settings, Some(tls)).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut read = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(2), silent.read_to_end(&mut read)).await;
    assert!(closed.is_ok(), "it is still open");
}

#[test]
fn files_that_do_not_fit_together_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let missing = Tls::load(files.clone()).err().unwrap().to_string();
    assert!(missing.contains("tls.crt"), "{missing}");
    let (first, second) = (made(), made());
    write(&files, &first);
    let tls = Tls::load(files.clone()).unwrap();
    assert!(!tls.reload().unwrap());
    fs::write(&files.certificate, second.cert.pem()).unwrap();
    let torn = tls.reload().err().unwrap().to_string();
    assert!(torn.contains("tls.key"), "{torn}");
    fs::write(&files.key, "x").unwrap();
    assert!(tls.reload().is_err());
    write(&files, &second);
    assert!(tls.reload().unwrap());
    assert!(!tls.reload().unwrap());
}

/// New and kept connections ask without a pause while certificates change, torn files in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_certificates_change() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (made(), made());
    let files = files(folder.path());
    write(&files, &first);
    let tls = Arc::new(Tls::load(files.clone()).unwrap());
    let (address, stop, _task) =
        start_with(three(), Settings::default(), Some(Arc::clone(&tls))).await;
    let (follows, changes) = (Arc::clone(&tls), Arc::new(AtomicU32::new(0)));
    let (counted, ends) = (Arc::clone(&changes), stop.clone());
    tokio::spawn(async move {
        let every = Duration::from_millis(5);
        let count = |is_used| {
            counted.fetch_add(u32::from(is_used), Ordering::SeqCst);
        };
        follows.follow(every, ends, count).await;
    });
    let (is_over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let connector = connector(&[&first, &second], None);
    let mut clients = Vec::new();
    for client in 0..4 {
        let (connector, is_over, asked) =
            (connector.clone(), Arc::clone(&is_over), Arc::clone(&asked));
        clients.push(tokio::spawn(async move {
            let mut kept = connect(&connector, address).await.unwrap();
            while !is_over.load(Ordering::SeqCst) {
                if client % 2 == 0 {
                    kept = connect(&connector, address).await.unwrap();
                }
                assert!(is_answered(&mut kept).await);
                asked.fetch_add(1, Ordering::SeqCst);
            }
        }));
    }
    for round in 0..10 {
        let before = changes.load(Ordering::SeqCst);
        let next = if round % 2 == 0 { &second } else { &first };
        fs::write(&files.certificate, next.cert.pem()).unwrap();
        tokio::time::sleep(Duration::from_millis(15)).await;
        write(&files, next);
        let begun = std::time::Instant::now();
        while changes.load(Ordering::SeqCst) == before {
            assert!(begun.elapsed() < Duration::from_secs(10), "certificates were not taken");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    is_over.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    assert!(asked.load(Ordering::SeqCst) > 50);
    stop.cancel();
}
