//! Whether a child that ended is started again, and when: arithmetic.

use crate::errors::Exit;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(5);
/// A child that lived so long was well: its next restart is soon again.
const WELL: Duration = Duration::from_secs(10);

/// What to do about a child that ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Restart { after: Duration, how: String },
    StayDown(Exit),
}

/// The pauses between restarts of one child.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// A child ended with `status` after it had lived for `lived`.
    pub(super) fn judge(&mut self, status: ExitStatus, lived: Duration) -> Verdict {
        if lived >= WELL {
            self.next = FIRST;
        }
        let how = match (status.signal(), status.code()) {
            (Some(signal), _) => format!("was killed by signal {signal}"),
            // Ending cleanly, unasked, is as unexpected as a defect.
            (None, Some(code @ (0 | 1))) => format!("ended with {code}"),
            (None, code) => {
                let exit = code.and_then(Exit::from_code).unwrap_or(Exit::Unexpected);
                return Verdict::StayDown(exit);
            }
        };
        let after = self.next;
        self.next = (after * 2).min(LAST);
        Verdict::Restart { after, how }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn killed() -> ExitStatus {
        ExitStatus::from_raw(9)
    }

    fn ended(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    fn pause(verdict: Verdict) -> Option<u128> {
        match verdict {
            Verdict::Restart { after, .. } => Some(after.as_millis()),
            Verdict::StayDown(_) => None,
        }
    }

    #[test]
    fn pauses_double_from_100_ms_to_5_s_and_begin_anew_after_a_good_while() {
        let mut backoff = Backoff::new();
        let mut judge = |lived| pause(backoff.judge(killed(), Duration::from_secs(lived)));
        let pauses: Vec<Option<u128>> = (0..8).map(|_| judge(0)).collect();
        let expected = [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000].map(Some);
        assert_eq!(pauses, expected);
        assert_eq!(judge(10), Some(100));
    }

    #[test]
    fn what_would_only_happen_again_stays_down() {
        let mut backoff = Backoff::new();
        for (code, exit) in [(2, Exit::Usage), (6, Exit::Damaged), (8, Exit::Configuration)] {
            let verdict = backoff.judge(ended(code), Duration::ZERO);
            assert_eq!(verdict, Verdict::StayDown(exit));
        }
        assert!(pause(backoff.judge(ended(1), Duration::ZERO)).is_some());
        assert!(pause(backoff.judge(ended(0), Duration::ZERO)).is_some());
    }
}
