//! Where Prometheus is, who we are, and how much is asked of it.

use super::Secret;
use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use std::{net::IpAddr, path::PathBuf, time::Duration};
use thiserror::Error;

/// Who we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Nobody.
    #[default]
    Nobody,
    /// A bearer token.
    Bearer(Secret),
    /// A file with a bearer token, read anew for each request: such tokens expire.
    BearerFile(PathBuf),
    /// User and password.
    Basic {
        /// User.
        user: String,
        /// Password.
        password: Secret,
    },
}

/// A certificate of ours, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate and those above it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How Prometheus is reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What stands before `/api/v1/query`. Without user and password, see [`Settings::new`].
    pub url: Url,
    /// Who we are.
    pub auth: Auth,
    /// `X-Scope-OrgID`, the tenant of Mimir, Cortex, Loki.
    pub tenant: Option<String>,
    /// More headers, by name; values are not shown.
    pub headers: Vec<(String, Secret)>,
    /// Certificates of authorities in PEM, instead of those of the system.
    pub authorities: Option<PathBuf>,
    /// Our certificate.
    pub certificate: Option<ClientCertificate>,
    /// An attempt that is not over by then is given up.
    pub timeout: Duration,
    /// Attempts after the first.
    pub retries: usize,
    /// Shortest wait before the next attempt; it doubles, up to a hundred times this.
    pub retry_after: Duration,
    /// Most bytes of an answer, unpacked.
    pub most_bytes: usize,
    /// Answers may be packed (gzip). Within a machine that takes longer than sending.
    pub is_packed: bool,
}

/// What is wrong with the settings.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The URL.
    #[error("this is no URL of Prometheus: {0}; write http://host:9090 or https://host/prefix")]
    Url(String),
    /// A header.
    #[error("header `{name}`: {problem}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate or key.
    #[error("{}: {problem}", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The TLS library.
    #[error("the TLS client cannot be made: {0}")]
    Tls(String),
}

impl Settings {
    /// Most queries at once.
    pub const PARALLEL: usize = 4;
    /// Long enough for a heavy query; servers give up after two minutes themselves.
    const TIMEOUT: Duration = Duration::from_mins(2);
    /// Four of them and what is made of them stay far below a gigabyte.
    const MOST_BYTES: usize = 24 << 20;

    /// Settings for a URL. A user and a password in it become [`Auth::Basic`], so that the URL can be shown.
    pub fn new(url: &str) -> Result<Self, SettingsError> {
        let wrong = |what: &str| SettingsError::Url(what.to_owned());
        let mut url = Url::parse(url.trim()).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("it must begin with http:// or https:// and name a host"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has a `?` or a `#`"));
        }
        let auth = match (url.username(), url.password()) {
            ("", None) => Auth::Nobody,
            (user, password) => Auth::Basic {
                user: unescaped(user),
                password: Secret::new(unescaped(password.unwrap_or_default())),
            },
        };
        // Both can fail only for URLs without host.
        let _no_user = url.set_username("");
        let _no_password = url.set_password(None);
        let path = url.path().trim_end_matches('/').to_owned();
        let path = path.strip_suffix("/api/v1").unwrap_or(&path);
        url.set_path(&format!("{path}/"));
        Ok(Self {
            is_packed: !is_loopback(&url),
            url,
            auth,
            tenant: None,
            headers: Vec::new(),
            authorities: None,
            certificate: None,
            timeout: Self::TIMEOUT,
            retries: 4,
            retry_after: Duration::from_millis(500),
            most_bytes: Self::MOST_BYTES,
        })
    }

    /// Tenant and further headers, checked.
    pub(super) fn header_map(&self) -> Result<HeaderMap, SettingsError> {
        let mut map = HeaderMap::new();
        let tenant =
            self.tenant.clone().map(|tenant| ("X-Scope-OrgID".to_owned(), Secret::new(tenant)));
        for (name, value) in tenant.iter().chain(&self.headers) {
            let wrong = |problem| SettingsError::Header { name: name.clone(), problem };
            let key = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| wrong("this is no name of a header"))?;
            let mut value = HeaderValue::from_str(value.reveal())
                .map_err(|_| wrong("its value has characters that cannot be in a header"))?;
            value.set_sensitive(true);
            map.append(key, value);
        }
        Ok(map)
    }
}

fn is_loopback(url: &Url) -> bool {
    let address = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback || address == "localhost"
}

/// `%40` as `@`; what is not UTF-8 is left as it is.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let byte = byte.filter(|_| first == b'%');
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_loses_its_password_and_its_api_path() {
        let settings = Settings::new("https://amy:p%40ss@prom.example/x/api/v1/").unwrap();
        assert_eq!(settings.url.as_str(), "https://prom.example/x/");
        let password = Secret::new("p@ss".to_owned());
        assert_eq!(settings.auth, Auth::Basic { user: "amy".to_owned(), password });
        assert!(!format!("{settings:?}").contains("p@ss"));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for wrong in ["prom:9090", "ftp://prom", "http://", "http://prom/?a=b", "http://prom/#x"] {
            assert!(
                Settings::new(wrong).unwrap_err().to_string().contains("write http://"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn headers_are_checked_by_name_and_never_show_their_value() {
        let mut settings = Settings::new("http://prom").unwrap();
        settings.headers = vec![("X-Key".to_owned(), Secret::new("s3cret\n".to_owned()))];
        let error = settings.header_map().unwrap_err().to_string();
        assert!(error.contains("X-Key") && !error.contains("s3cret"), "{error}");
    }
}
