//! Real processes, really killed: a cluster in a temporary home, and what becomes of it.
//!
//! ```text
//!  Cluster   a gateway and six banks as processes of their own, started, killed, started again
//!  Payer     a client that holds the services to every answer it ever got
//!  Scene     both, from a first payment to the proof that every rupee is where it belongs
//!  drill     a named fault, at a named instant, of a named victim
//!  soak      anybody killed at any time under many clients, and their history checked
//!  results   what drills came to, kept, and shown to people and to other programs
//! ```
//!
//! Nothing is simulated, and nothing outside the temporary home is touched. Refuses to know how a
//! drill is printed.

mod cluster;
pub mod drill;
pub mod history;
mod payer;
mod process;
mod proxy;
pub mod results;
mod scene;
pub mod soak;

pub use cluster::Cluster;
pub use payer::{Asked, Balance, Heard, Payer, account, expected_minor};
pub use process::Process;
pub use scene::{Moment, Place, Scene, Settled, What};
