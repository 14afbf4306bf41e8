//! Certificates of the server: TLS 1.3, files that are read again when they change, if wanted clients with
//! certificates only.
//!
//! A connection keeps what it was made with; new ones get what is there. Files that do not fit together (one
//! of them was written, the other not yet) change nothing and are tried again.

use super::files;
use arc_swap::ArcSwap;
use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
        server::{VerifierBuilderError, WebPkiClientVerifier},
    },
};
use tokio_util::sync::CancellationToken;

/// Files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, then those that signed it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Clients must have a certificate signed by one of these; `None` = any client.
    pub client_ca: Option<PathBuf>,
}

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {source}; it must be in PEM", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// Certificate and key cannot be used together.
    #[error("{} and {} cannot be used: {source}", certificate.display(), key.display())]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The certificates of clients cannot be checked.
    #[error("{}: {source}", path.display())]
    Clients {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: VerifierBuilderError,
    },
}

/// What is in the files.
struct Read {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Read {
    fn files(files: &TlsFiles) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source })
        };
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
            client_ca: files.client_ca.as_deref().map(read).transpose()?,
        })
    }

    fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.certificate, &self.key, &self.client_ca).hash(&mut hasher);
        hasher.finish()
    }

    fn config(&self, files: &TlsFiles) -> Result<ServerConfig, TlsError> {
        let pem = |path: &Path, source| TlsError::Pem { path: path.to_owned(), source };
        let certificates = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| pem(&files.certificate, source))?;
        let key =
            PrivateKeyDer::from_pem_slice(&self.key).map_err(|source| pem(&files.key, source))?;
        let pair = |source| TlsError::Pair {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            source,
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(pair)?;
        let builder = match (&self.client_ca, &files.client_ca) {
            (Some(bytes), Some(path)) => {
                let mut roots = RootCertStore::empty();
                for root in CertificateDer::pem_slice_iter(bytes) {
                    roots.add(root.map_err(|source| pem(path, source))?).map_err(pair)?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = verifier
                    .build()
                    .map_err(|source| TlsError::Clients { path: path.clone(), source })?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(certificates, key).map_err(pair)?;
        // Without it Go's client would try HTTP/2, which is not spoken here.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The certificates in use.
pub struct Tls {
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
    mark: AtomicU64,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let read = Read::files(&files)?;
        let config = read.config(&files)?;
        Ok(Self {
            current: ArcSwap::from_pointee(config),
            mark: AtomicU64::new(read.mark()),
            files,
        })
    }

    /// Reads the files again; `true` = they have changed.
    ///
    /// # Errors
    /// See [`TlsError`]; then what was there stays.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let read = Read::files(&self.files)?;
        let mark = read.mark();
        if mark == self.mark.load(Ordering::Relaxed) {
            return Ok(false);
        }
        self.current.store(Arc::new(read.config(&self.files)?));
        self.mark.store(mark, Ordering::Relaxed);
        Ok(true)
    }

    /// For the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Looks at the files every so often until `stop`. `told`: `true` = new certificates, `false` = they cannot
    /// be used.
    pub async fn follow(&self, every: Duration, stop: CancellationToken, told: impl Fn(bool)) {
        files::follow("certificates", every, stop, || self.reload(), told).await;
    }
}
