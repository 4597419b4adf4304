//! Real processes, really killed: a cluster in a temporary home, and what becomes of it.
//!
//! ```text
//!  Cluster   a gateway and six banks as processes of their own, started, killed, started again
//!  Payer     a client that holds the services to every answer it ever got
//!  Scene     both, from a first payment to the proof that every rupee is where it belongs
//!  drill     a named fault, at a named instant, of a named victim
//! ```
//!
//! Nothing is simulated, and nothing outside the temporary home is touched. Refuses to know how a
//! drill is printed.

mod cluster;
pub mod drill;
mod payer;
mod process;
mod scene;

pub use cluster::Cluster;
pub use payer::{Asked, Heard, Payer, account, expected_minor};
pub use process::Process;
pub use scene::{Place, Scene, Settled};
