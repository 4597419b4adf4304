//! Facts by chance and facts by hand, for the tests of records.

use recovery::fact::*;
use recovery::model::*;
use recovery::record::AnyFact;
use wal::splitmix::SplitMix64;

pub(crate) fn bank(name: &str) -> BankName {
    name.parse().expect("a bank")
}

pub(crate) fn account(number: u64) -> AccountNumber {
    AccountNumber::try_from(number).expect("an account")
}

fn text(random: &mut SplitMix64, alphabet: &str, max: u64) -> String {
    let letters: Vec<char> = alphabet.chars().collect();
    let len = 1 + random.below(max);
    (0..len).map(|_| letters[random.below(letters.len() as u64) as usize]).collect()
}

const LETTERS: &str = "abcXYZ019";

fn sixteen(random: &mut SplitMix64) -> [u8; 16] {
    let half = random.bits().to_le_bytes();
    let other = random.bits().to_le_bytes();
    std::array::from_fn(|at| if at < 8 { half[at] } else { other[at - 8] })
}

fn thirty_two(random: &mut SplitMix64) -> [u8; 32] {
    let halves = [sixteen(random), sixteen(random)];
    std::array::from_fn(|at| halves[at / 16][at % 16])
}

fn reference(random: &mut SplitMix64) -> Reference {
    Reference {
        client: text(random, "abc_-.9", 32).parse().expect("a client"),
        transaction: text(random, "abc_-9Z", 64).parse().expect("an id"),
    }
}

fn global(random: &mut SplitMix64) -> GlobalId {
    GlobalId { origin: random.bits(), epoch: random.bits(), number: random.bits() }
}

fn order(random: &mut SplitMix64) -> Order {
    Order {
        reference: reference(random),
        terms: Terms {
            payer: account(random.below(100_000_000_000_000)),
            payee: account(random.below(100_000_000_000_000)),
            amount: (1 + random.below(i64::MAX as u64) as i64).try_into().expect("positive"),
            currency: text(random, "INRUSD", 1).repeat(3).parse().expect("a currency"),
            memo: text(random, "für Tee ₹", 40).parse().expect("a memo"),
        },
        payer_bank: bank(&text(random, LETTERS, 32)),
        payee_bank: bank(&text(random, LETTERS, 32)),
    }
}

fn reason(random: &mut SplitMix64) -> Reason {
    Reason::ALL[random.below(Reason::ALL.len() as u64) as usize]
}

fn heard(random: &mut SplitMix64) -> Heard {
    Heard { gateway: Lineage(sixteen(random)), lsn: random.bits() }
}

fn decision(random: &mut SplitMix64) -> Decision {
    if random.coin() { Decision::Commit } else { Decision::Abort(reason(random)) }
}

fn why(random: &mut SplitMix64) -> Memo {
    text(random, "für Tee ₹", 40).parse().expect("a reason")
}

fn heuristic(r: &mut SplitMix64) -> GatewayFact {
    let (payment, decision, why) = (global(r), decision(r), why(r));
    let (asked_by, approved_by) = (reference(r).client, reference(r).client);
    match r.below(3) {
        0 => HeuristicAsked { payment, decision, why, by: asked_by }.into(),
        1 => HeuristicDecided { payment, decision, why, asked_by, approved_by }.into(),
        _ => {
            let (bank, state) = (bank(&text(r, LETTERS, 32)), HoldState::Refused(reason(r)));
            HeuristicDiffered { payment, bank, state, bank_lsn: r.bits() }.into()
        }
    }
}

/// Any fact at all.
pub(crate) fn any_fact(seed: u64) -> AnyFact {
    let random = &mut SplitMix64::new(seed);
    if random.coin() { gateway_fact(random).into() } else { bank_fact(random).into() }
}

fn gateway_fact(r: &mut SplitMix64) -> GatewayFact {
    let version = text(r, "0123.-rc", 20);
    let name = bank(&text(r, LETTERS, 32));
    let states = [HoldState::Posted, HoldState::Released, HoldState::Refused(reason(r))];
    match r.below(18) {
        0 => {
            let (cluster, lineage) = (Cluster(sixteen(r)), Lineage(sixteen(r)));
            Initialised { cluster, lineage }.into()
        }
        1 => Started { epoch: r.bits(), start_id: StartId(sixteen(r)), version }.into(),
        2 => Stopped {}.into(),
        3 => BankJoined { bank: name, lineage: r.coin().then(|| Lineage(sixteen(r))) }.into(),
        4 => {
            let (owner, currency) = (reference(r).client, Currency::INR);
            let (account, opening_minor) = (account(r.below(1000)), r.bits() as i64);
            AccountListed { account, bank: name, owner, currency, opening_minor }.into()
        }
        5 => {
            let (lineage, start_id) = (Lineage(sixteen(r)), StartId(sixteen(r)));
            let witness = Witness { lineage, start_id, lsn: r.bits() };
            BankMet { bank: name, epoch: r.bits(), witness }.into()
        }
        6 => Began { payment: global(r), order: order(r) }.into(),
        7 => {
            let vote = if r.coin() { Vote::Ready } else { Vote::Refused(reason(r)) };
            Voted { payment: global(r), bank: name, vote, bank_lsn: r.bits() }.into()
        }
        8 => Decided { payment: global(r), decision: decision(r) }.into(),
        9 => {
            let state = states[r.below(3) as usize];
            Settled { payment: global(r), bank: name, state, bank_lsn: r.bits() }.into()
        }
        10 => Ended { payment: global(r) }.into(),
        11 => {
            let (old, new) = (Lineage(sixteen(r)), Lineage(sixteen(r)));
            BankReplaced { bank: name, old, new }.into()
        }
        12 => SessionOpened {
            token_sha256: thirty_two(r),
            client: reference(r).client,
            certificate_sha256: thirty_two(r),
            credential_sha256: thirty_two(r),
            expires_ms: r.bits(),
        }
        .into(),
        13 => {
            let (segment, offset, first_lsn) = (r.bits(), r.bits(), r.bits());
            LogMended { segment, offset, first_lsn, records: r.bits() as u32, kept: version }.into()
        }
        14 => Audited {
            what: [AuditEvent::SignInRefused, AuditEvent::CallRefused, AuditEvent::Operated]
                [r.below(3) as usize],
            client: r.coin().then(|| reference(r).client),
            certificate_sha256: thirty_two(r),
            method: text(r, LETTERS, 60),
            reason: text(r, LETTERS, 30),
            left_out: r.bits(),
        }
        .into(),
        15 | 16 => heuristic(r),
        _ => SessionClosed { token_sha256: thirty_two(r) }.into(),
    }
}

fn bank_fact(r: &mut SplitMix64) -> BankFact {
    let (payment, heard) = (global(r), heard(r));
    match r.below(14) {
        0 => Founded {
            cluster: Cluster(sixteen(r)),
            lineage: Lineage(sixteen(r)),
            bank: bank(&text(r, LETTERS, 32)),
            gateway: Lineage(sixteen(r)),
        }
        .into(),
        1 => {
            let version = text(r, "0123.-rc", 20);
            BankStarted { epoch: r.bits(), start_id: StartId(sixteen(r)), version }.into()
        }
        2 => BankStopped {}.into(),
        3 => {
            let (owner, currency) = (reference(r).client, Currency::INR);
            let (account, opening_minor) = (account(r.below(1000)), r.bits() as i64);
            AccountOpened { account, owner, currency, opening_minor }.into()
        }
        4 => Fenced {
            gateway: Lineage(sixteen(r)),
            epoch: r.bits(),
            start_id: StartId(sixteen(r)),
            gateway_lsn: r.bits(),
        }
        .into(),
        5 => Held { payment, order: order(r), heard }.into(),
        6 => {
            // Of the first version, or of the second, which has the order.
            let order = r.coin().then(|| order(r));
            let reference = order.as_ref().map_or_else(|| reference(r), |order| order.reference);
            Refused { payment, reference, reason: reason(r), heard, order }.into()
        }
        7 => Posted { payment, heard }.into(),
        8 => Released { payment, heard, reason: r.coin().then(|| reason(r)) }.into(),
        9 => {
            let aborted = r.coin().then(|| Aborted { order: order(r), reason: reason(r) });
            Tombstoned { payment, heard, aborted }.into()
        }
        11 => {
            let (segment, offset, first_lsn) = (r.bits(), r.bits(), r.bits());
            let (records, kept) = (r.bits() as u32, text(r, "0123.-rc", 20));
            JournalMended { segment, offset, first_lsn, records, kept }.into()
        }
        12 => HeuristicObeyed {
            payment,
            decision: decision(r),
            why: why(r),
            asked_by: reference(r).client,
            approved_by: reference(r).client,
            heard,
        }
        .into(),
        10 => GatewayReplaced { old: Lineage(sixteen(r)), new: Lineage(sixteen(r)) }.into(),
        _ => Forgot { through: payment }.into(),
    }
}
