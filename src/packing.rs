//! Jobs to nodes.
