//! Rules of the protocol, each of which can be broken to see that the simulation notices.
//!
//! Only the feature `mutants` can break one, and only in the thread that asks for it. In any other
//! build `is` is `false` at compile time, and nothing of this is left.

macro_rules! mutants {
    ($($mutant:ident $name:literal $meaning:literal,)*) => {
        /// A broken rule.
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Mutant {
            $(#[doc = $meaning] $mutant,)*
        }

        impl Mutant {
            pub const ALL: &'static [Self] = &[$(Self::$mutant,)*];

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$mutant => $name,)*
                }
            }

            /// What it does wrong.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$mutant => $meaning,)*
                }
            }
        }
    };
}

mutants! {
    AbortAfterCommitTimeout "abort-after-commit-timeout"
        "a commit that is not answered in time is aborted",
    CommitToldEarly "commit-told-early"
        "a commit is told before its decision is durable",
    VoteBeforeHold "vote-before-hold"
        "a bank votes before its hold is durable",
    CommitTwice "commit-twice"
        "a commit that comes twice is applied twice",
    NoTombstone "no-tombstone"
        "the abort of an unknown payment leaves nothing behind",
    AbortAnsweredEarly "abort-answered-early"
        "a caller hears of an abort before it is durable",
    PostedForgotten "posted-forgotten"
        "a bank forgets what it posted",
    FenceNotSynced "fence-not-synced"
        "a bank lets a gateway in before its fence is durable",
    BareWitness "bare-witness"
        "a witness is a record's number, and not the start that wrote it",
    AbortUnheard "abort-unheard"
        "an earlier epoch's payment is aborted before all its banks were heard",
    FirstBadIsTorn "first-bad-is-torn"
        "a log ends at its first bad record, whatever follows",
    CompactedCommit "compacted-commit"
        "a decided payment is forgotten before all have settled; unknown means aborted",
    NoFencing "no-fencing"
        "a bank obeys whoever commands",
}

#[cfg(feature = "mutants")]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Is this rule broken here and now?
#[cfg(feature = "mutants")]
pub(crate) fn is(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}

/// Is this rule broken here and now? Never, in a build that serves.
#[cfg(not(feature = "mutants"))]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}

/// Breaks a rule in this thread until the guard is dropped.
#[cfg(feature = "mutants")]
#[must_use = "the rule is whole again once this is dropped"]
pub fn broken(mutant: Option<Mutant>) -> Broken {
    ACTIVE.set(mutant);
    Broken(())
}

/// A rule is broken for as long as this lives.
#[cfg(feature = "mutants")]
#[derive(Debug)]
pub struct Broken(());

#[cfg(feature = "mutants")]
impl Drop for Broken {
    fn drop(&mut self) {
        ACTIVE.set(None);
    }
}
