//! A client of Prometheus and what speaks its API (Thanos, Mimir, VictoriaMetrics): bounded in time, in bytes
//! and in queries at once, careful with credentials.
//!
//! - At most four queries run at once; each has an end, and is tried again only after what passes (429, 503,
//!   connections and bodies that broke, time-outs).
//! - A range is cut into pieces of at most 11,000 points a series, which is what servers refuse to exceed.
//! - A body is read up to a limit; whoever asked is told to ask for less.
//! - Nothing is followed to another origin, so credentials go nowhere else. Proxies of the environment are not
//!   used.
//! - Warnings of the server go with the answer to whoever asked.
//!
//! # Source
//! Prometheus documentation, "HTTP API".

mod client;
mod error;
mod exchange;
mod reader;
mod secret;
mod settings;
mod survey;

pub use client::{At, Client, Query};
pub use error::QueryError;
pub use reader::{Read, ReadError, Reading, Store, answers, read};
pub use secret::Secret;
pub use settings::{Auth, ClientCertificate, Settings, SettingsError};
pub use survey::{Survey, Wanted, survey};
