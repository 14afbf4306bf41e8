//! Strategies: how many nodes a pool should have, given what can be seen of it.
//!
//! A strategy only says what it wants ([`Want`]); one arithmetic for all of them
//! ([`settle`](settle::settle)) turns that into nodes to create and to remove. So two strategies differ
//! in exactly what their names say, and creating and cancelling can never disagree.

mod candidate;
mod ces;
mod dsp;
mod hourly_profile;
mod idle;
mod job_log;
mod learner;
mod levels;
mod quantile;
mod reactive;
pub mod settle;
mod spare;

mod want;

pub use candidate::{Candidate, Timeline, candidates, prior_for};
pub use ces::EnergySaver;
pub use dsp::DigitalSignal;
pub use hourly_profile::HourlyProfile;
pub use idle::{Idle, LearnedIdle};
pub use job_log::JobLog;
pub use learner::{Learned, Learner};
pub use levels::Levels;
pub use quantile::{ConditionalQuantile, SpareRule, Unit};
pub use reactive::{ClusterAutoscaler, FollowFloor, IDLE_DEFAULT, Reactive};
pub use spare::{FixedHeadroom, Headroom, Hysteresis, Watermark};

pub use crate::model::{Arrival, Finish};
pub use want::{Credit, PoolView, Strategy, Timers, Want};
