//! How long a node takes from request to usable GPUs.
