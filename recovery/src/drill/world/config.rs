//! One run's shape, drawn from its seed: rare paths made common by tiny limits.

use super::fault::Kind;
use crate::bank;
use crate::gateway::{self, Ack};
use wal::splitmix::SplitMix64;

/// What a person chooses about simulated runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// At most so many banks; a run has two at least.
    pub banks_max: usize,
    /// Faults that may happen.
    pub faults: Vec<Kind>,
    /// Keep every event in words.
    pub trace: bool,
    /// A rule of the protocol that is broken.
    #[cfg(feature = "mutants")]
    pub mutant: Option<crate::drill::mutant::Mutant>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            banks_max: 6,
            faults: Kind::ALL.to_vec(),
            trace: false,
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }
}

impl Options {
    /// Only these, on the same bad network.
    #[must_use]
    pub fn only(self, kinds: &[Kind]) -> Self {
        Self { faults: [kinds, Kind::MESSAGES].concat(), ..self }
    }

    /// What happens to any service sooner or later, and nothing that takes an operator's mistake:
    /// processes and machines that stop, banks that are slow or away, messages that are lost or
    /// late. The order of messages and their number are kept, as one connection keeps them.
    pub fn ordinary() -> Self {
        let faults = [
            Kind::Kill,
            Kind::PowerCut,
            Kind::Blackout,
            Kind::KillThenPowerCut,
            Kind::CutOff,
            Kind::SlowBank,
            Kind::SectorsLost,
            Kind::MessageLost,
            Kind::MessageLate,
        ];
        Self { faults: faults.to_vec(), ..Self::default() }
    }

    /// The flags of `strife drill simulate` that choose this instead of `usual`.
    pub fn flags(&self, usual: &Self) -> String {
        let mut flags = String::new();
        if self.banks_max != usual.banks_max {
            flags = format!(" --banks {}", self.banks_max);
        }
        if self.faults != usual.faults {
            let names: Vec<_> = self.faults.iter().map(|kind| kind.name()).collect();
            flags = format!("{flags} --faults {}", names.join(","));
        }
        flags
    }

    pub(super) fn allows(&self, kind: Kind) -> bool {
        self.faults.contains(&kind)
    }
}

#[cfg(feature = "mutants")]
impl Options {
    /// The world in which a broken rule is looked for: where it can do harm, and often does.
    pub fn breaking(mutant: crate::drill::mutant::Mutant) -> Self {
        use crate::drill::mutant::Mutant;
        let all = Self { mutant: Some(mutant), ..Self::default() };
        match mutant {
            // It harms only a gateway whose log has lost a decision, between two banks.
            Mutant::AbortUnheard => Self { banks_max: 2, ..all.only(&[Kind::OldGatewayBackup]) },
            Mutant::BareWitness => {
                all.only(&[Kind::OldGatewayBackup, Kind::OldBankBackup, Kind::Kill])
            }
            _ => all,
        }
    }
}

/// What a seed chose.
#[derive(Clone, Debug)]
pub struct Config {
    pub banks: usize,
    pub clients: usize,
    pub payments_per_client: u32,
    pub segment_bytes: u64,
    /// Of a thousand messages.
    pub lost: u64,
    pub duplicated: u64,
    pub delay_ms_max: u64,
    pub sync_ms_max: u64,
    /// A record that nobody waits for is synced after this.
    pub lazy_ms: u64,
    pub faults: usize,
    /// Faults stop after this.
    pub trouble_ms: u64,
    pub gateway: gateway::Settings,
    pub bank: bank::Settings,
}

impl Config {
    pub(super) fn draw(random: &mut SplitMix64, options: &Options) -> Self {
        let banks = 2 + random.below(options.banks_max.clamp(2, 6) as u64 - 1) as usize;
        let quiet = random.below(4) == 0;
        let ack = if random.below(3) == 0 { Ack::Decided } else { Ack::Settled };
        Self {
            banks,
            clients: 2 + random.below(4) as usize,
            payments_per_client: 2 + random.below(4) as u32,
            segment_bytes: [16 << 10, 24 << 10, 64 << 10][random.below(3) as usize],
            lost: rate(random, !quiet, options.allows(Kind::MessageLost)),
            duplicated: rate(random, !quiet, options.allows(Kind::MessageDuplicated)),
            delay_ms_max: [2, 5, 30][random.below(3) as usize],
            sync_ms_max: [1, 4, 20][random.below(3) as usize],
            lazy_ms: [5, 10, 40][random.below(3) as usize],
            faults: random.below(6) as usize,
            trouble_ms: 300 + random.below(700),
            gateway: gateway::Settings {
                ack,
                two_phase_timeout_ms: [30, 80, 250][random.below(3) as usize],
                settle_wait_ms: [10, 40, 150][random.below(3) as usize],
                retry_ms: [15, 40, 100][random.below(3) as usize],
                forget_ms: [10, 50, 400][random.below(3) as usize],
                ..gateway::Settings::default()
            },
            bank: bank::Settings {
                inquire_ms: [40, 120, 400][random.below(3) as usize],
                ..bank::Settings::default()
            },
        }
    }
}

/// Of a thousand messages. Drawn whether allowed or not, so that the rest of the run is alike.
fn rate(random: &mut SplitMix64, drawn: bool, allowed: bool) -> u64 {
    let rate = if drawn { random.below(80) } else { 0 };
    if allowed { rate } else { 0 }
}
