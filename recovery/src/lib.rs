//! What the logs mean and what must happen next; pure.

pub mod model;
