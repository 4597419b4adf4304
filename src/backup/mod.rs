//! A copy of a whole home, made while it runs, and brought back.
//!
//! ```text
//!   all logs, read once  -->  all logs, read on  -->  the cut  -->  copied, folded, audited
//!     (what is certainly        (what each rests on                  (and only then given
//!      in the backup)            in the others)                       its name)
//! ```
//!
//! The logs are the truth, so they are what is copied; mirrors and books are made again from them.
//! A backup holds the keys of the home: it is as secret as the home is. Nothing here stops, asks or
//! slows a service, and nothing writes where a service writes.

mod log;
mod make;
mod manifest;
mod restore;

pub use make::make;
pub use manifest::{LogEnd, Manifest};
pub use restore::{Restored, restore};
