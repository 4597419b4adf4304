//! Segment headers and names: each alone, and each after the one before it.

use super::Verdict;
use crate::error::Why;
use crate::frame::BLOCK;
use crate::lsn::Lsn;
use crate::segment::{HeaderFault, Predecessor, SegmentHeader, file_name, parse_name};

/// A header that holds, with its checksum, or what is wrong.
pub(super) type Head = Result<(SegmentHeader, u32), Verdict>;

pub(super) fn head_of(name: &str, block: &[u8]) -> Head {
    let Some((_, first_lsn)) = parse_name(name) else {
        return Err(Verdict::at_header(Why::Name, Lsn::ZERO));
    };
    let corrupt = |why| Err(Verdict::at_header(why, first_lsn));
    match SegmentHeader::decode(block) {
        Ok((header, crc)) if file_name(header.sequence, header.first_lsn) == name => {
            Ok((header, crc))
        }
        Ok(_) => corrupt(Why::Renamed),
        Err(HeaderFault::Newer { format }) => Err(Verdict::NewerFormat { format }),
        Err(HeaderFault::Checksum { stored, found }) => {
            corrupt(Why::SegmentHeader { stored, found })
        }
        Err(HeaderFault::NotAHeader) => corrupt(Why::NotAHeader),
    }
}

/// Turns each header that does not follow from the one before it into a verdict.
pub(super) fn link(heads: &mut [Head]) {
    let expected = heads.iter().flatten().next().map(|(header, _)| header.identity);
    let mut sequence = 1;
    for head in heads {
        let Ok((header, _)) = head else {
            sequence += 1;
            continue;
        };
        let found = header.identity;
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            *head = Err(Verdict::WrongIdentity { expected, found });
            sequence += 1;
            continue;
        }
        let lsn = header.first_lsn;
        let why = if header.sequence != sequence {
            Some(Why::Sequence { expected: sequence })
        } else if !follows_from_its_predecessor(header) {
            Some(Why::NotAHeader)
        } else {
            None
        };
        sequence = header.sequence.saturating_add(1);
        if let Some(why) = why {
            *head = Err(Verdict::at_header(why, lsn));
        }
    }
}

fn follows_from_its_predecessor(header: &SegmentHeader) -> bool {
    let Predecessor { sequence, last_lsn, used_len, .. } = header.predecessor;
    let block = BLOCK as u64;
    let bounded = if header.sequence == 1 {
        // The first has none; a log that does not begin at record 1 says before which it does.
        header.predecessor == Predecessor { last_lsn, ..Predecessor::default() }
    } else {
        sequence == header.sequence - 1 && used_len >= block && used_len.is_multiple_of(block)
    };
    let room = header.capacity.is_multiple_of(block) && header.capacity >= 2 * block;
    bounded && room && header.first_lsn == last_lsn.plus(1) && header.born_lsn >= last_lsn
}
