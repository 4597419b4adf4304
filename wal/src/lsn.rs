//! A record's place in the log, and the proof that it is safe there.

use std::fmt;

/// The number of a record: 1 for the first, one more each, across segments. 0 is "nothing".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(u64);

impl Lsn {
    /// Before the first record.
    pub const ZERO: Self = Self(0);

    /// The record number `number`.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The place `count` after this one; stops at the last there is.
    pub(crate) const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// The place before this one; nothing is before nothing.
    pub(crate) const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Proof that every record up to and including [`Durable::lsn`] survives a power cut.
///
/// There is no public constructor: a log makes it when an fsync has returned.
#[derive(Clone, Copy, Debug)]
pub struct Durable(Lsn);

impl Durable {
    pub(crate) const fn proven(lsn: Lsn) -> Self {
        Self(lsn)
    }

    /// A lie, for the broken protocols that a simulation must catch.
    #[cfg(feature = "forge")]
    pub const fn forged(lsn: Lsn) -> Self {
        Self(lsn)
    }

    /// The last record that is proven durable.
    pub const fn lsn(&self) -> Lsn {
        self.0
    }

    /// Whether the record at `lsn` is proven durable.
    pub fn covers(&self, lsn: Lsn) -> bool {
        lsn <= self.0
    }
}
