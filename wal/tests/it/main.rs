//! The log, shown to keep what it promises.
#![allow(clippy::unwrap_used)]

mod basics;
mod support;
