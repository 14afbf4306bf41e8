//! Strategies: how many nodes a pool should have, given what can be seen of it.
//!
//! A strategy only says what it wants ([`Want`]); one arithmetic for all of them
//! ([`settle`](settle::settle)) turns that into nodes to create and to remove. So two strategies differ
//! in exactly what their names say, and creating and cancelling can never disagree.

pub mod settle;
mod want;

pub use want::{Arrival, Credit, PoolView, Strategy, Timers, Want};
