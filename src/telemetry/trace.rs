//! Which calls belong together: the `traceparent` of W3C's Trace Context (2021), as far as lines of
//! calls need it.
//!
//! ```text
//! 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//!    the trace, 32 lower-case digits  the caller's part
//! ```

use sha2::{Digest, Sha256};
use std::fmt;

/// The header, and the key of gRPC's metadata.
pub const TRACEPARENT: &str = "traceparent";

/// A trace's id, which is never zero.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct TraceId(u128);

impl TraceId {
    /// Of whatever goes by this name: the same each time, wherever it is asked.
    pub fn named(name: &str) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        let first = digest.first_chunk::<16>().copied().unwrap_or([1; 16]);
        Self(u128::from_be_bytes(first).max(1))
    }

    /// Of a header's value; `None` where it is none, or of a version that means something else.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (version, trace) = (parts.next()?, parts.next()?);
        let (parent, flags) = (parts.next()?, parts.next()?);
        let is_hex = |text: &str, digits: usize| {
            text.len() == digits
                && text.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it))
        };
        let is_one = is_hex(version, 2)
            && version != "ff"
            && (version != "00" || parts.next().is_none())
            && is_hex(trace, 32)
            && is_hex(parent, 16)
            && is_hex(flags, 2);
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
        is_one.then_some(Self(trace))
    }

    /// The header of a call in this trace. `part` tells the calls of one trace apart.
    pub fn header(self, part: u64) -> String {
        format!("00-{self}-{:016x}-01", part.max(1))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_trace_of_a_header_is_read_and_nothing_else_is() {
        let trace = TraceId::parse(EXAMPLE).expect("one");
        assert_eq!(trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(TraceId::parse(&trace.header(7)), Some(trace));
        assert_eq!(TraceId::parse(&EXAMPLE.replacen("00", "01", 1)), Some(trace), "a later one");
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_has_one_name_is_one_trace() {
        assert_eq!(TraceId::named("client1/rent"), TraceId::named("client1/rent"));
        assert_ne!(TraceId::named("client1/rent"), TraceId::named("client2/rent"));
    }
}
