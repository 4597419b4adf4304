//! Logs of a real run, copied through any instants: cut where they agree, they stand together.

use crate::support::live::{Stage, good};
use recovery::cut::{self, Peer, Tail, Unit};
use recovery::model::{BankName, Witness};
use recovery::record::{self, Fact};
use recovery::replay::Fold;
use recovery::{audit, bank, gateway};
use std::convert::Infallible;
use strife::home::{Home, Service};
use strife::live::Payer;
use wal::read::{Cursor, follow};
use wal::splitmix::SplitMix64;
use wal::{Disk, Lsn};

/// A log in memory: each fact with its stamp.
type Facts<F> = Vec<(F, u64)>;

fn facts<F: Fact>(home: &Home, service: Service) -> Facts<F> {
    let mut facts = Vec::new();
    let disk = Disk::new(home.data(service));
    let read = follow(&disk, &mut Cursor::default(), |record, _| {
        facts.push((record::decode(&record).expect("decodes"), record.wall_ms));
        Ok::<(), Infallible>(())
    });
    read.expect("a whole log");
    facts
}

fn folded<S: Fold>(facts: &Facts<S::Fact>, through: usize) -> S {
    let mut state = S::default();
    for (at, (fact, wall_ms)) in facts[..through].iter().enumerate() {
        state.evolve(fact, Lsn::new(at as u64 + 1), *wall_ms).expect("legal");
    }
    state
}

/// What came after the first `from` records, through record `through`.
fn tail<F>(
    facts: &Facts<F>,
    (from, through): (usize, usize),
    rests_on: impl Fn(&F) -> Option<(Peer, Lsn)>,
    index: impl Fn(Peer) -> usize,
) -> Tail {
    let unit = |at: usize| Unit {
        last: Lsn::new(at as u64 + 1),
        rests_on: rests_on(&facts[at].0)
            .map(|(peer, lsn)| (index(peer), lsn))
            .into_iter()
            .collect(),
    };
    Tail { from: Lsn::new(from as u64), units: (from..through).map(unit).collect() }
}

/// Would the two refuse each other at a start?
fn refuse(gateway: &gateway::State, bank: &bank::State) -> bool {
    let lineage = gateway.lineage.expect("it has one");
    let fence = bank.fences.get(&lineage).copied().flatten();
    let heard = fence.map(|it| Witness { lineage, start_id: it.start_id, lsn: it.lsn });
    let known = gateway.banks.iter().find(|known| Some(known.name) == bank.bank);
    let known = known.and_then(|known| known.witness);
    heard.is_some_and(|witness| !gateway.holds(&witness))
        || known.is_some_and(|witness| !bank.holds_record(&witness))
}

/// A run with a restart of every service in it.
fn run() -> (Facts<recovery::fact::GatewayFact>, Vec<(BankName, Facts<recovery::fact::BankFact>)>) {
    let mut stage = Stage::begin();
    let home = stage.home().clone();
    for life in 0..2 {
        for number in 1..=6 {
            let mut payer = good(Payer::new(&home, number));
            for turn in 0..3 {
                payer.pay(&format!("cut-{life}-{number}-{turn}"), 1 + (number + turn) % 6, 100);
            }
        }
        good(stage.scene.wait_quiet());
        good(stage.scene.cluster.stop_all());
        if life == 0 {
            good(stage.scene.cluster.start_all());
            good(stage.scene.pay_for_sure());
        }
    }
    let banks = stage.scene.cluster.banks();
    let banks = banks.map(|name| (name, facts(&home, Service::Bank(name)))).collect();
    (facts(&home, Service::Gateway), banks)
}

#[test]
fn copies_of_any_instants_are_cut_to_logs_that_accept_each_other() {
    let (gateway, banks) = run();
    let (mut draws, mut refused_uncut, mut shortened) = (SplitMix64::new(7), 0, 0);
    let index = |peer: Peer| match peer {
        Peer::Gateway(_) => 0,
        Peer::Bank(bank) => 1 + banks.iter().position(|(name, _)| *name == bank).expect("ours"),
    };
    for _ in 0..300 {
        // All that is certain is what each log was made with.
        let mut draw =
            |len: usize, made: usize| made + draws.below((len - made + 1) as u64) as usize;
        let made =
            |initial: &dyn Fn(usize) -> bool, len| (0..len).take_while(|at| initial(*at)).count();
        let of_gateway = made(
            &|at| !matches!(gateway[at].0, recovery::fact::GatewayFact::Started(_)),
            gateway.len(),
        );
        let mut copied = vec![draw(gateway.len(), of_gateway)];
        let mut tails = vec![tail(&gateway, (of_gateway, copied[0]), cut::of_gateway, index)];
        for (_, facts) in &banks {
            let first = made(
                &|at| !matches!(facts[at].0, recovery::fact::BankFact::BankStarted(_)),
                facts.len(),
            );
            copied.push(draw(facts.len(), first));
            tails.push(tail(facts, (first, copied[copied.len() - 1]), cut::of_bank, index));
        }
        let stand = |ends: &[usize]| {
            let gateway: gateway::State = folded(&gateway, ends[0]);
            let banks: Vec<bank::State> =
                banks.iter().zip(&ends[1..]).map(|((_, facts), end)| folded(facts, *end)).collect();
            let refused = banks.iter().any(|bank| refuse(&gateway, bank));
            (refused, audit::audit(&gateway, &banks))
        };
        refused_uncut += u32::from(stand(&copied).0);
        let ends: Vec<usize> =
            cut::latest(&tails).into_iter().map(|lsn| lsn.get() as usize).collect();
        shortened += u32::from(ends != copied);
        let (refused, audit) = stand(&ends);
        assert!(!refused, "{copied:?} cut to {ends:?}");
        assert_eq!(audit.disagreements, [], "{copied:?} cut to {ends:?}");
        assert_eq!(audit.money.delta_minor(), 0);
    }
    assert!(refused_uncut > 100, "the cut had nothing to do: {refused_uncut} of 300");
    assert!(shortened >= refused_uncut);
}
