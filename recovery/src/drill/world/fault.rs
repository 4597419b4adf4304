//! The ways in which the simulated world is hostile, each counted when it has happened.

use std::fmt;
use std::str::FromStr;

macro_rules! kinds {
    ($($kind:ident $name:literal $meaning:literal,)*) => {
        /// A kind of fault.
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Kind {
            $(#[doc = $meaning] $kind,)*
        }

        impl Kind {
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$kind => $meaning,)*
                }
            }
        }
    };
}

kinds! {
    Kill "kill" "a process is gone; what it wrote is in the page cache",
    PowerCut "power-cut" "a machine is gone; of what was not synced each sector survives by chance",
    Blackout "blackout" "the power of all machines at once",
    KillThenPowerCut "kill-then-power-cut" "killed, started again, and then the power is gone",
    MidWrite "mid-write" "gone in the middle of writing a batch",
    CrashPoint "crash-point" "gone at a named point",
    CrashInRecovery "crash-in-recovery" "gone while starting again",
    FsyncError "fsync-error" "a sync fails, and its pages are marked clean",
    DiskFull "disk-full" "no space is left for a while",
    CutOff "cut-off" "a bank and the gateway cannot reach each other for a while",
    SlowBank "slow-bank" "a bank takes a hundred times as long for a while",
    ClockJump "clock-jump" "a wall clock jumps by hours",
    SecondGateway "second-gateway" "a second gateway on the same directory",
    CopiedDirectory "copied-directory" "a copy of the gateway's directory started beside it",
    OldGatewayBackup "old-gateway-backup" "an old copy put in the place of the gateway's directory",
    OldBankBackup "old-bank-backup" "an old copy put in the place of a bank's directory",
    LostGatewayDirectory "lost-gateway-directory" "the gateway's directory is gone; rebuilt",
    LostBankDirectory "lost-bank-directory" "a bank's directory is gone; rebuilt",
    BitRot "bit-rot" "a bit of a stopped service's log flips",
    SectorsLost "sectors-lost" "a power cut takes sectors that were not synced",
    TornWrite "torn-write" "of one write a power cut takes some sectors and leaves others",
    MessageLost "message-lost" "a message never arrives",
    MessageDuplicated "message-duplicated" "a message arrives twice",
    MessageLate "message-late" "a message takes twenty times as long as others",
    MessageReordered "message-reordered" "a message overtakes the one before it",
}

impl Kind {
    /// What the network does all the time, as often as the seed says.
    pub const MESSAGES: &'static [Self] =
        &[Self::MessageLost, Self::MessageDuplicated, Self::MessageLate, Self::MessageReordered];

    /// Does it strike at an instant? What does not goes on all the time, or follows from what does.
    pub fn strikes(self) -> bool {
        let follows = matches!(self, Self::SectorsLost | Self::TornWrite);
        !follows && !Self::MESSAGES.contains(&self)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Text that names no kind of fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no kind of fault is called {0:?}")]
pub struct KindError(String);

impl FromStr for Kind {
    type Err = KindError;
    fn from_str(text: &str) -> Result<Self, KindError> {
        let found = Self::ALL.iter().find(|kind| kind.name() == text);
        found.copied().ok_or_else(|| KindError(text.chars().take(80).collect()))
    }
}
