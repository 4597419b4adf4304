//! Every place at which a service can be made to die, named.
//!
//! The names are public: `--crash-at POINT[:NTH]`. A shell says what it has just done
//! ([`gateway_facts`], [`gateway_action`], [`bank_facts`], [`bank_action`], or a point itself
//! during a start), and [`Trap::springs`] tells it whether to die there. The trap refuses to know
//! how to die: that is the shell's business, and it must be sudden (SIGKILL), with nothing flushed.

use crate::bank;
use crate::fact::{BankFact, GatewayFact};
use crate::gateway;
use crate::message::Instruction;
use std::fmt;
use std::str::FromStr;

/// Who dies.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    Gateway,
    Bank,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gateway => "gateway",
            Self::Bank => "bank",
        })
    }
}

macro_rules! points {
    ($($role:ident { $($point:ident $name:literal $meaning:literal,)* })*) => {
        /// A place to die at.
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Point {
            $($(#[doc = $meaning] $point,)*)*
        }

        impl Point {
            /// All of them, in the order of a payment's life.
            pub const ALL: &'static [Self] = &[$($(Self::$point,)*)*];

            /// As it is typed.
            pub fn name(self) -> &'static str {
                match self {
                    $($(Self::$point => $name,)*)*
                }
            }

            /// What has happened there, and what has not.
            pub fn meaning(self) -> &'static str {
                match self {
                    $($(Self::$point => $meaning,)*)*
                }
            }

            /// Whose place it is.
            pub fn role(self) -> Role {
                match self {
                    $($(Self::$point)|* => Role::$role,)*
                }
            }
        }
    };
}

points! {
    Gateway {
        AfterBegan "after-began"
            "Began is appended and not synced; no bank was asked",
        AfterFirstPrepare "after-first-prepare"
            "one bank was asked for its vote, the other was not",
        AfterVote "after-vote"
            "a vote is appended and not synced",
        BeforeDecisionDurable "before-decision-durable"
            "the decision is appended and not synced",
        AfterDecisionDurable "after-decision-durable"
            "the decision is durable; nobody was told because of it",
        AfterFirstTell "after-first-tell"
            "one bank was told the decision, the other was not",
        AfterFirstSettled "after-first-settled"
            "one bank of two has settled; its record is appended and not synced",
        AfterAnswer "after-answer"
            "a caller was told the outcome of its payment",
        BeforeEnded "before-ended"
            "Ended is appended and not synced",
        AfterEnded "after-ended"
            "Ended is durable",
        RecoveringBeforeFence "during-recovery-before-fence"
            "the log was read; this start is not in it yet",
        RecoveringBeforeHello "during-recovery-before-hello"
            "this start is durable in the log; no bank has heard of it",
        RecoveringAfterFence "during-recovery-after-fence"
            "one bank has let this start in; nothing was settled with it yet",
    }
    Bank {
        BankAfterHello "after-hello-before-durable"
            "a fence is appended and not synced; the gateway was not answered",
        BankFenced "after-fence-durable"
            "a fence is durable; the gateway was not answered",
        BankHeld "after-held-before-durable"
            "a hold is appended and not synced; no vote was sent",
        BankHeldDurable "after-held-durable"
            "a hold is durable; no vote was sent",
        BankAfterVote "after-vote-sent"
            "a vote was sent; its hold is durable",
        BankPosted "before-posted-durable"
            "a posting is appended and not synced",
        BankPostedDurable "after-posted-durable"
            "a posting is durable; the gateway was not told",
        BankReleased "after-released"
            "a release is appended and not synced",
        BankReleasedDurable "after-released-durable"
            "a release is durable; the gateway was not told",
        BankRecovering "bank-during-recovery"
            "the journal was read; this start is not in it yet",
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Text that names no point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no crash point is called {0:?}; `strife drill list` shows them all")]
pub struct PointError(String);

impl FromStr for Point {
    type Err = PointError;
    fn from_str(text: &str) -> Result<Self, PointError> {
        let found = Self::ALL.iter().find(|point| point.name() == text);
        found.copied().ok_or_else(|| PointError(text.chars().take(80).collect()))
    }
}

/// `POINT[:NTH]`: die there when it is reached for the NTH time, counted from 1.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct CrashAt {
    pub point: Point,
    pub nth: u64,
}

impl FromStr for CrashAt {
    type Err = PointError;
    fn from_str(text: &str) -> Result<Self, PointError> {
        let (point, nth) = text.split_once(':').unwrap_or((text, "1"));
        let nth = nth.parse().ok().filter(|nth| *nth > 0);
        let nth = nth.ok_or_else(|| PointError(text.chars().take(80).collect()))?;
        Ok(Self { point: point.parse()?, nth })
    }
}

impl fmt::Display for CrashAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.point, self.nth)
    }
}

/// Counts how often its point was reached.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Trap {
    at: CrashAt,
    reached: u64,
}

impl Trap {
    pub fn new(at: CrashAt) -> Self {
        Self { at, reached: 0 }
    }

    /// A point is reached. Is it time to die?
    pub fn springs(&mut self, point: Point) -> bool {
        self.reached += u64::from(point == self.at.point);
        point == self.at.point && self.reached == self.at.nth
    }

    /// Some points are reached at once. Is it time to die? Who dies counts no further.
    pub fn springs_any(&mut self, points: impl IntoIterator<Item = Point>) -> bool {
        points.into_iter().any(|point| self.springs(point))
    }
}

/// What a shell has just done with facts.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Moment {
    /// They are in the log's memory. Nothing that they lead to has left.
    Appended,
    /// They are durable. Nothing that waited for it has left.
    Durable,
}

/// The points that a gateway is at once `facts`, in order, are appended or durable.
pub fn gateway_facts(moment: Moment, facts: &[GatewayFact]) -> Vec<Point> {
    let ends = |settled: &crate::fact::Settled| {
        facts.iter().any(|fact| {
            let GatewayFact::Ended(ended) = fact else { return false };
            ended.payment == settled.payment
        })
    };
    let points = facts.iter().filter_map(|fact| match fact {
        GatewayFact::Settled(settled) if ends(settled) => None,
        fact => gateway_fact(moment, fact),
    });
    points.collect()
}

/// The points that a bank is at once `facts`, in order, are appended or durable.
pub fn bank_facts(moment: Moment, facts: &[BankFact]) -> Vec<Point> {
    facts.iter().filter_map(|fact| bank_fact(moment, fact)).collect()
}

fn gateway_fact(moment: Moment, fact: &GatewayFact) -> Option<Point> {
    match (moment, fact) {
        (Moment::Appended, GatewayFact::Began(_)) => Some(Point::AfterBegan),
        (Moment::Appended, GatewayFact::Voted(_)) => Some(Point::AfterVote),
        (Moment::Appended, GatewayFact::Decided(_) | GatewayFact::HeuristicDecided(_)) => {
            Some(Point::BeforeDecisionDurable)
        }
        (Moment::Durable, GatewayFact::Decided(_) | GatewayFact::HeuristicDecided(_)) => {
            Some(Point::AfterDecisionDurable)
        }
        (Moment::Appended, GatewayFact::Settled(_)) => Some(Point::AfterFirstSettled),
        (Moment::Appended, GatewayFact::Ended(_)) => Some(Point::BeforeEnded),
        (Moment::Durable, GatewayFact::Ended(_)) => Some(Point::AfterEnded),
        (Moment::Appended, GatewayFact::BankMet(_)) => Some(Point::RecoveringAfterFence),
        (Moment::Appended | Moment::Durable, _) => None,
    }
}

fn bank_fact(moment: Moment, fact: &BankFact) -> Option<Point> {
    match (moment, fact) {
        (Moment::Appended, BankFact::Fenced(_)) => Some(Point::BankAfterHello),
        (Moment::Durable, BankFact::Fenced(_)) => Some(Point::BankFenced),
        (Moment::Appended, BankFact::Held(_)) => Some(Point::BankHeld),
        (Moment::Durable, BankFact::Held(_)) => Some(Point::BankHeldDurable),
        (Moment::Appended, BankFact::Posted(_)) => Some(Point::BankPosted),
        (Moment::Durable, BankFact::Posted(_)) => Some(Point::BankPostedDurable),
        (Moment::Appended, BankFact::Released(_)) => Some(Point::BankReleased),
        (Moment::Durable, BankFact::Released(_)) => Some(Point::BankReleasedDurable),
        (Moment::Appended | Moment::Durable, _) => None,
    }
}

/// The point that a gateway is at once `action` was taken and the next was not.
pub fn gateway_action(action: &gateway::Action) -> Option<Point> {
    match action {
        gateway::Action::Tell { instruction: Instruction::Prepare { .. }, .. } => {
            Some(Point::AfterFirstPrepare)
        }
        gateway::Action::Tell {
            instruction:
                Instruction::Commit { .. } | Instruction::Abort { .. } | Instruction::Force { .. },
            ..
        } => Some(Point::AfterFirstTell),
        gateway::Action::Reply { reply: gateway::Reply::Payment(_), .. } => {
            Some(Point::AfterAnswer)
        }
        gateway::Action::Tell { instruction: Instruction::Forget { .. }, .. }
        | gateway::Action::Reply { .. }
        | gateway::Action::Warn(_)
        | gateway::Action::Halt(_) => None,
    }
}

/// The point that a bank is at once `action` was taken and the next was not.
pub fn bank_action(action: &bank::Action) -> Option<Point> {
    let bank::Action::Report { report, .. } = action else { return None };
    (report.state == crate::model::HoldState::Held).then_some(Point::BankAfterVote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_typed_by_a_name_of_its_own() {
        for point in Point::ALL {
            assert_eq!(point.name().parse(), Ok(*point));
        }
        let mut names: Vec<_> = Point::ALL.iter().map(|point| point.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Point::ALL.len());
        assert!("after-lunch".parse::<Point>().is_err());
    }

    #[test]
    fn a_trap_springs_once_at_the_time_it_was_set_for() {
        let mut trap = Trap::new("after-vote:2".parse().expect("a point"));
        assert!(!trap.springs(Point::AfterVote));
        assert!(!trap.springs(Point::AfterBegan));
        assert!(trap.springs(Point::AfterVote));
        assert!(!trap.springs(Point::AfterVote));
        assert!("after-vote:0".parse::<CrashAt>().is_err());
        assert!("after-vote:x".parse::<CrashAt>().is_err());
        assert_eq!("after-began".parse::<CrashAt>().expect("once").to_string(), "after-began:1");
    }
}
