//! One segment, batch by batch, up to the first place where none stands. Pure.
//!
//! It says what it saw there and judges nothing: that is the table in [`crate::scan`].

use crate::error::Why;
use crate::frame::{
    BLOCK, Batch, BatchHeader, Frame, FrameError, HEADER_BYTES, Placement, SECTOR, Salt,
    blank_sectors, is_zero,
};
use crate::lsn::Lsn;
use crate::scan::{Beyond, Spot};
use crate::segment::SegmentHeader;

/// Where the next batch would stand, and what it must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) offset: u64,
    pub(crate) next: Lsn,
    pub(crate) chain: u32,
    pub(crate) epoch: u64,
}

impl Tip {
    /// Behind the header of a segment.
    pub(crate) fn start(header: &SegmentHeader, crc: u32, epoch: u64) -> Self {
        Self { offset: BLOCK as u64, next: header.first_lsn, chain: crc, epoch }
    }

    pub(crate) fn after(header: &BatchHeader) -> Self {
        Self {
            offset: header.end(),
            next: header.last_lsn().next(),
            chain: header.header_crc,
            epoch: header.epoch,
        }
    }
}

/// A place where the next batch should stand and does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) spot: Spot,
    /// A header that holds says that no record is in it.
    pub(crate) mark: bool,
    /// Where a header that holds says the batch ends.
    pub(crate) end: Option<u64>,
    /// What to say, should it be judged corrupt for its own sake.
    pub(crate) why: Why,
}

pub(crate) enum Seen<'a> {
    Batch(Batch<'a>),
    End,
    Bad(Damage),
}

/// What stands at `tip` of a segment of which `bytes` are in use.
pub(crate) fn look<'a>(bytes: &'a [u8], salt: Salt, tip: &Tip) -> Seen<'a> {
    let rest = bytes.get(tip.offset as usize..).unwrap_or_default();
    let Some(header) = BatchHeader::decode(rest, salt, tip.offset) else {
        return look_without_header(rest);
    };
    let mut damage = Damage {
        spot: Spot::Misplaced,
        mark: header.records == 0,
        end: Some(header.end()),
        why: Why::Misplaced,
    };
    let follows = header.first_lsn == tip.next
        && header.previous_chain == tip.chain
        && header.epoch >= tip.epoch
        && header.durable_lsn < header.first_lsn;
    if !follows {
        return Seen::Bad(damage);
    }
    match Batch::check(header, rest, salt) {
        Ok(batch) => return Seen::Batch(batch),
        Err(FrameError::Body { stored, found }) => {
            let written = &rest[..header.batch_len as usize];
            damage.spot = if blank_sectors(written) > header.blank_sectors {
                Spot::BodyLost
            } else if written.last() == Some(&0) {
                Spot::BodyStub
            } else {
                Spot::BodyWrong
            };
            damage.why = Why::Batch { stored, found };
        }
        Err(FrameError::Header | FrameError::Length { .. } | FrameError::Records) => {
            damage = Damage { spot: Spot::HeaderWrong, end: None, why: Why::BatchHeader, ..damage };
        }
    }
    Seen::Bad(damage)
}

fn look_without_header<'a>(rest: &[u8]) -> Seen<'a> {
    let sector = &rest[..SECTOR.min(rest.len())];
    let spot = match (is_zero(sector), is_zero(&rest[HEADER_BYTES.min(rest.len())..])) {
        (true, true) => return Seen::End,
        (true, false) => Spot::HeaderLost,
        (false, true) => Spot::HeaderStub,
        (false, false) => Spot::HeaderWrong,
    };
    Seen::Bad(Damage { spot, mark: false, end: None, why: Why::BatchHeader })
}

/// Hands each batch to `visit`, and says where that ended, and on what if not on nothing.
pub(crate) fn walk<'a>(
    bytes: &'a [u8],
    salt: Salt,
    mut tip: Tip,
    mut visit: impl FnMut(&Batch<'a>),
) -> (Tip, Option<Damage>) {
    loop {
        match look(bytes, salt, &tip) {
            Seen::End => return (tip, None),
            Seen::Bad(damage) => return (tip, Some(damage)),
            Seen::Batch(batch) => {
                visit(&batch);
                tip = Tip::after(&batch.header);
            }
        }
    }
}

/// What the headers behind a bad place prove.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ahead {
    /// The highest record that any of them says was durable.
    pub(crate) durable: Lsn,
    /// How many of them head a whole batch.
    pub(crate) whole: u64,
}

/// Looks at every block behind `tip` for a header that holds. Its checksum covers what it says
/// is durable, so its body need not be whole.
pub(crate) fn look_ahead(bytes: &[u8], salt: Salt, tip: &Tip) -> Ahead {
    let mut ahead = Ahead::default();
    for at in (tip.offset as usize..bytes.len()).step_by(BLOCK) {
        let Some(header) = BatchHeader::decode(&bytes[at..], salt, at as u64) else { continue };
        ahead.durable = ahead.durable.max(header.durable_lsn);
        let whole = Batch::check(header, &bytes[at..], salt).is_ok();
        ahead.whole += u64::from(whole && at as u64 > tip.offset);
    }
    ahead
}

/// What lies behind a bad place, and the batch there that would follow a lost Mark.
pub(crate) fn look_beyond<'a>(
    bytes: &'a [u8],
    salt: Salt,
    tip: &Tip,
    damage: &Damage,
    ahead: Ahead,
) -> (Beyond, Option<Batch<'a>>) {
    if let Some(batch) = batch_after_lost_mark(bytes, salt, tip)
        && is_zero(&bytes[batch.header.end() as usize..])
    {
        return (Beyond::Next, Some(batch));
    }
    let remains = match damage.end {
        Some(end) => !is_zero(bytes.get(end as usize..).unwrap_or_default()),
        None => damage.spot != Spot::HeaderStub,
    };
    match (ahead.whole, remains) {
        (1.., _) => (Beyond::Whole, None),
        (0, true) => (Beyond::Remains, None),
        (0, false) => (Beyond::Nothing, None),
    }
}

/// A Mark is written without a sync and says nothing that is not known here. So what it would have
/// said can be computed, and with it the chain that a batch behind it must continue.
pub(crate) fn batch_after_lost_mark<'a>(
    bytes: &'a [u8],
    salt: Salt,
    tip: &Tip,
) -> Option<Batch<'a>> {
    let (mark, _) = mark_at(tip, salt, tip.epoch);
    match look(bytes, salt, &Tip::after(&mark)) {
        Seen::Batch(batch) if batch.header.records > 0 => Some(batch),
        Seen::Batch(_) | Seen::End | Seen::Bad(_) => None,
    }
}

/// The Mark that stands at `tip`: all before it is durable.
pub(crate) fn mark_at(tip: &Tip, salt: Salt, epoch: u64) -> (BatchHeader, Vec<u8>) {
    Frame::new(tip.next).seal(Placement {
        salt,
        offset: tip.offset,
        previous_chain: tip.chain,
        durable_lsn: tip.next.previous(),
        epoch,
    })
}
