//! Serves the embedded Kubernetes API until Ctrl-C, for kubectl or a test suite of another process:
//!
//! `cargo run --example embedded_api -- kubeconfig & KUBECONFIG=kubeconfig kubectl get nodes`
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program of its own: it reads its arguments and the clock, and says where it listens"
)]

use prewarm::embedded_api::{EmbeddedApi, Options};
use std::sync::Arc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(path) = std::env::args().nth(1) else {
        anyhow::bail!("usage: embedded_api KUBECONFIG (the file to write)");
    };
    let api = EmbeddedApi::start(Options::new(Arc::new(jiff::Timestamp::now))).await?;
    std::fs::write(&path, api.kubeconfig(""))?;
    println!("{} with kubeconfig {path}; Ctrl-C ends it", api.url());
    tokio::signal::ctrl_c().await?;
    api.shutdown().await?;
    Ok(())
}
