//! What must have happened somewhere in a search, or it has shown nothing about it.

macro_rules! happenings {
    ($($happening:ident $told:literal,)*) => {
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub(crate) enum Happening {
            $(#[doc = $told] $happening,)*
        }

        impl Happening {
            pub(crate) const ALL: &[Self] = &[$(Self::$happening,)*];

            pub(crate) fn told(self) -> &'static str {
                match self {
                    $(Self::$happening => $told,)*
                }
            }
        }
    };
}

happenings! {
    Committed "a commit is decided",
    Refused "a bank refuses",
    TimedOut "a payment is aborted because a vote was late",
    Interrupted "a payment of an earlier start is aborted",
    Joined "a caller joins a payment under way",
    AnsweredAgain "a caller hears an outcome that was told before",
    ToldPending "a caller is told to ask again",
    BeganLost "the gateway dies and a beginning is lost",
    DiedUndecided "the gateway dies between a beginning and its decision",
    DecisionLost "the gateway dies and a decision is lost",
    DiedDecided "the gateway dies between a decision and its end",
    OrphanAborted "a hold whose beginning was lost is aborted",
    HoldLost "a bank dies and a hold is lost",
    DiedHolding "a bank dies with a hold without an outcome",
    PostingLost "a bank dies and a posting is lost",
    FenceLost "a bank dies and a fence is lost",
    Tombstoned "an abort comes before its prepare",
    Buried "a prepare comes after its abort",
    SettledTwice "a decision comes to a bank that has carried it out",
    Proved "a bank wants its memory of the log looked up",
    StartRefused "a bank refuses a start that is over",
    Ended "a payment is over on all sides",
    Forgot "a bank is told what it may forget",
    CameAfterForgetting "an instruction comes after its payment was forgotten",
    Inquired "a bank asks about its holds",
    ForcedAbort "operators abort a payment by hand",
    ForcedCommit "operators commit a payment by hand",
    Differed "a bank has done otherwise than was decided by hand",
}

/// A set of happenings.
#[derive(Copy, Clone, Default)]
pub(super) struct Happened(u32);

impl Happened {
    pub(super) fn add(&mut self, happening: Happening) {
        self.0 |= 1 << happening as u32;
    }

    pub(super) fn join(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(super) fn add_if(&mut self, happens: bool, happening: Happening) {
        if happens {
            self.add(happening);
        }
    }
}

/// In how many steps each happened.
#[derive(Clone)]
pub(crate) struct Counts([u64; Happening::ALL.len()]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; Happening::ALL.len()])
    }
}

impl Counts {
    pub(super) fn count(&mut self, happened: Happened) {
        let mut left = happened.0;
        while left != 0 {
            self.0[left.trailing_zeros() as usize] += 1;
            left &= left - 1;
        }
    }

    pub(crate) fn of(&self, happening: Happening) -> u64 {
        self.0[happening as usize]
    }
}
