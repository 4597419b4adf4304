//! The log, shown to keep what it promises.
#![allow(clippy::unwrap_used)]

mod above;
mod basics;
mod copies;
mod crash_disk;
mod crashes;
mod damage;
mod faults;
mod follow;
mod format;
mod hostile;
mod mend;
mod opening;
mod support;
mod table;
mod tears;
