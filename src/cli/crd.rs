//! `prewarm crd`: our object's definition, ready for `kubectl apply -f -`.

use super::{Ending, say};
use crate::live::gpu_pool::GpuPool;
use anyhow::Context;
use clap::ValueEnum;
use kube::CustomResourceExt;

/// Print the CustomResourceDefinition of GpuPool.
///
/// Example: prewarm crd | kubectl apply --server-side -f -
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How to print it.
    #[arg(long, value_enum, default_value = "yaml")]
    output: Form,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Yaml,
    Json,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ending> {
    let crd = GpuPool::crd();
    let text = match args.output {
        Form::Yaml => serde_saphyr::to_string(&crd).context("writing the definition as YAML")?,
        Form::Json => serde_json::to_string_pretty(&crd)? + "\n",
    };
    say(&text)?;
    Ok(Ending::Fine)
}
