//! Forecasts of demand.
