//! The scheduler extender over HTTP: what kube-scheduler sends, what it is answered.
//!
//! | module | what for |
//! |---|---|
//! | [`wire`] | requests and answers as JSON |
//! | [`answer`] | from a request to its answer |
//! | `routes`, `frames` | from an HTTP request to its response |
//! | [`server`], `patience` | connections, limits, stop |
//! | [`tls`] | certificates |
//! | [`policy_file`] | who may use GPU nodes |
//! | `files` | files that are read again when they change |
//! | [`meters`] | metrics |
//! | [`facts`] | from objects of the API to what the snapshot takes |
//! | [`keep`] | the parts at work together |
//! | [`sidecar`] | the same without a controller |
//! | [`feed`] | keeps the snapshot true to the watches |

pub mod answer;
pub mod facts;
pub mod feed;
mod files;
mod frames;
pub mod keep;
pub mod meters;
mod patience;
pub mod policy_file;
mod routes;
pub mod server;
pub mod sidecar;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod wire;

pub use facts::{namespace, seen};
pub use files::EVERY;
pub use keep::ExtenderSettings;
pub use meters::Meters;
pub use policy_file::PolicySource;
pub use server::{Service, Settings, serve};
