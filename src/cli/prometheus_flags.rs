//! How Prometheus is reached.

use super::values;
use crate::{
    prometheus::{Auth, Client, ClientCertificate, Secret, Settings},
    time::Millis,
};
use anyhow::{Context, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Flags of every command that asks Prometheus. Its URL is the command's own flag.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_field_names,
    reason = "the names of the flags; other flags stand beside them"
)]
pub(super) struct PrometheusFlags {
    /// File with a bearer token, read anew for each query; `PREWARM_PROMETHEUS_TOKEN` holds one itself
    #[arg(long, value_name = "FILE", conflicts_with = "prometheus_user")]
    prometheus_token_file: Option<PathBuf>,
    /// User of basic authentication
    #[arg(long, value_name = "NAME", requires = "prometheus_password_file")]
    prometheus_user: Option<String>,
    /// File with that user's password
    #[arg(long, value_name = "FILE", requires = "prometheus_user")]
    prometheus_password_file: Option<PathBuf>,
    /// Tenant of Mimir, Cortex or Thanos (header X-Scope-OrgID)
    #[arg(long, value_name = "NAME")]
    prometheus_tenant: Option<String>,
    /// One more header, `Name: value`; may be repeated
    #[arg(long, value_name = "HEADER")]
    prometheus_header: Vec<String>,
    /// Certificates (PEM) of the authorities that vouch for the server, instead of the system's
    #[arg(long, value_name = "FILE")]
    prometheus_ca: Option<PathBuf>,
    /// Our certificate (PEM), where the server asks for one
    #[arg(long, value_name = "FILE", requires = "prometheus_key")]
    prometheus_cert: Option<PathBuf>,
    /// The private key (PEM) of that certificate
    #[arg(long, value_name = "FILE", requires = "prometheus_cert")]
    prometheus_key: Option<PathBuf>,
    /// Longest time for one query
    #[arg(long, value_name = "TIME", value_parser = values::span, default_value = "2m")]
    prometheus_timeout: Millis,
}

impl PrometheusFlags {
    /// A client for the URL; nothing is sent yet.
    pub(super) fn client(&self, url: &str) -> anyhow::Result<Client> {
        let mut settings = Settings::new(url)?;
        if let Some(auth) = self.auth()? {
            settings.auth = auth;
        }
        settings.tenant.clone_from(&self.prometheus_tenant);
        settings.headers = self.headers()?;
        settings.authorities.clone_from(&self.prometheus_ca);
        settings.certificate = match (&self.prometheus_cert, &self.prometheus_key) {
            (Some(certificate), Some(key)) => {
                Some(ClientCertificate { certificate: certificate.clone(), key: key.clone() })
            }
            _ => None,
        };
        let timeout = u64::try_from(self.prometheus_timeout.0).ok().filter(|&ms| ms > 0);
        let Some(timeout) = timeout else { bail!("--prometheus-timeout: write at least 1s") };
        settings.timeout = Duration::from_millis(timeout);
        Ok(Client::new(settings)?)
    }

    /// What the flags and the environment say of us; `None` = nothing.
    fn auth(&self) -> anyhow::Result<Option<Auth>> {
        if let Some(path) = &self.prometheus_token_file {
            return Ok(Some(Auth::BearerFile(path.clone())));
        }
        if let (Some(user), Some(path)) = (&self.prometheus_user, &self.prometheus_password_file) {
            let password = Secret::new(first_line(path)?);
            return Ok(Some(Auth::Basic { user: user.clone(), password }));
        }
        let token = std::env::var("PREWARM_PROMETHEUS_TOKEN").ok();
        Ok(token.filter(|token| !token.is_empty()).map(|token| Auth::Bearer(Secret::new(token))))
    }

    fn headers(&self) -> anyhow::Result<Vec<(String, Secret)>> {
        let header = |text: &String| {
            let Some((name, value)) = text.split_once(':') else {
                bail!("--prometheus-header: there is no `:`; write it as `Name: value`");
            };
            Ok((name.trim().to_owned(), Secret::new(value.trim().to_owned())))
        };
        self.prometheus_header.iter().map(header).collect()
    }
}

fn first_line(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("{}: the password cannot be read", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
