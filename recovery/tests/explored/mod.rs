//! The explorer: every interleaving of a small world, on the real machines.
//!
//! ```text
//!   scenario --> world: three processes, the messages under way, what was said
//!                  | every step that is possible, each state once (search)
//!                  v
//!   cast: what each process does with each input, asked of the real machine once
//!                  v
//!   judge: the durable logs and the answers, after each step; rest, from each state
//! ```

mod banks;
mod cast;
mod gateways;
mod happening;
mod judge;
mod packets;
mod process;
mod scenario;
mod search;
mod story;
mod world;

pub(crate) use happening::{Counts, Happening};
pub(crate) use scenario::{At, Budget, Call, Grain, Scenario};
pub(crate) use search::{Found, explore};
