//! What a log of this format holds is read by every later version, or named and refused.
//!
//! The files under `golden/` were written once. A test that fails on one of them has found a change
//! of format: give the fact a new version, and leave the file as it is.

mod support;

use proptest::prelude::*;
use recovery::fact::{BankFact, GatewayFact};
use recovery::record::{self, AnyFact, DecodeError, Encoded, KIND_VERSION, PAYLOAD_BYTES_MAX};
use std::collections::BTreeSet;
use support::any_fact;
use wal::{Lsn, Record};

fn encode(fact: &AnyFact) -> Encoded {
    match fact {
        AnyFact::Gateway(fact) => record::encode(fact),
        AnyFact::Bank(fact) => record::encode(fact),
    }
}

fn record_of(encoded: &Encoded) -> Record<'_> {
    let Encoded { kind, kind_version, payload } = encoded;
    Record { lsn: Lsn::new(1), wall_ms: 0, kind: *kind, kind_version: *kind_version, payload }
}

fn decode(encoded: &Encoded) -> Result<AnyFact, DecodeError> {
    record::decode_any(&record_of(encoded))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_fact_comes_back_as_it_was_written(seed in any::<u64>()) {
        let fact = any_fact(seed);
        let encoded = encode(&fact);
        prop_assert!(encoded.payload.len() <= PAYLOAD_BYTES_MAX);
        prop_assert_eq!(decode(&encoded).expect("a fact"), fact);
    }

    #[test]
    fn bytes_behind_a_fact_are_refused(seed in any::<u64>(), extra in 1_usize..9) {
        let mut encoded = encode(&any_fact(seed));
        encoded.payload.extend(std::iter::repeat_n(0, extra));
        match decode(&encoded) {
            Err(DecodeError::Trailing { extra: found, .. }) => prop_assert_eq!(found, extra),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn a_fact_that_was_cut_is_refused(seed in any::<u64>(), cut in any::<prop::sample::Index>()) {
        let mut encoded = encode(&any_fact(seed));
        prop_assume!(!encoded.payload.is_empty());
        encoded.payload.truncate(cut.index(encoded.payload.len()));
        let malformed = matches!(decode(&encoded), Err(DecodeError::Malformed { .. }));
        prop_assert!(malformed);
    }

    #[test]
    fn no_bytes_bring_the_reader_down(
        kind in 0_u16..130, payload in prop::collection::vec(any::<u8>(), 0..300)
    ) {
        // What is accepted is accepted as a whole: written again it has the same bytes.
        let encoded = Encoded { kind, kind_version: KIND_VERSION, payload };
        if let Ok(fact) = decode(&encoded) {
            prop_assert_eq!(encode(&fact), encoded);
        }
    }
}

#[test]
fn an_unknown_kind_is_named() {
    let encoded = Encoded { kind: 999, kind_version: KIND_VERSION, payload: Vec::new() };
    let error = decode(&encoded).expect_err("no such kind").to_string();
    assert_eq!(error, "record kind 999 is not known to this version");
}

#[test]
fn an_unknown_version_is_named_and_not_guessed_at() {
    let mut encoded = encode(&any_fact(1));
    encoded.kind_version = KIND_VERSION + 1;
    let error = decode(&encoded).expect_err("a later version");
    assert!(matches!(error, DecodeError::UnknownVersion { version: 2, .. }), "{error}");
}

#[test]
fn one_logs_kinds_are_not_the_others() {
    let kinds: Vec<u16> =
        GatewayFact::KINDS.iter().chain(BankFact::KINDS).map(|(kind, _)| *kind).collect();
    let mut distinct = kinds.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), kinds.len());
    let held = (1..100).map(any_fact).find(|fact| matches!(fact, AnyFact::Bank(_))).expect("one");
    let strange = record::decode::<GatewayFact>(&record_of(&encode(&held)));
    assert!(matches!(strange, Err(DecodeError::UnknownKind { .. })));
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(char::is_ascii_hexdigit).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16);
    digits.chunks(2).map(|pair| byte(pair).expect("two digits")).collect()
}

/// A golden file: the fact as text, a line, then its bytes in hexadecimal. Its name begins with the
/// kind and the version.
#[test]
fn every_golden_file_still_says_what_it_said() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut kinds_read = BTreeSet::new();
    for file in std::fs::read_dir(directory).expect("the golden files") {
        let path = file.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let text = std::fs::read_to_string(&path).expect("text");
        let (meaning, hex) = text.split_once('\n').expect("a line of text, then the bytes");
        let (kind, version) = name.split_once("-v").expect("kind-v-version");
        let encoded = Encoded {
            kind: kind[..3].parse().expect("a kind"),
            kind_version: version[..1].parse().expect("a version"),
            payload: bytes_of(hex),
        };
        let fact = decode(&encoded).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(format!("{fact:?}"), meaning, "{name}");
        assert_eq!(encode(&fact), encoded, "{name}");
        kinds_read.insert(encoded.kind);
    }
    let kinds = GatewayFact::KINDS.iter().chain(BankFact::KINDS).map(|(kind, _)| *kind);
    assert_eq!(kinds_read, kinds.collect(), "every kind has a file");
}
