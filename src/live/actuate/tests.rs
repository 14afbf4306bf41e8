mod kills;
mod plans;
mod world;

pub(super) use world::api;
