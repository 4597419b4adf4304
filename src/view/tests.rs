//! The thread of a view, with views that fail on command.
#![allow(clippy::unwrap_used)]

use super::*;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Seen {
    lsns: Vec<u64>,
    transactions: usize,
    abandoned: bool,
}

/// A view in memory. What `failures` has left is what the next applications come to.
struct Fake {
    seen: Arc<Mutex<Seen>>,
    failures: Vec<ViewError>,
    gate: Option<Receiver<()>>,
}

impl Fake {
    fn new(failures: Vec<ViewError>) -> (Self, Arc<Mutex<Seen>>) {
        let seen = Arc::default();
        (Self { seen: Arc::clone(&seen), failures, gate: None }, seen)
    }

    fn gated() -> (Self, Arc<Mutex<Seen>>, Sender<()>) {
        let (fake, seen) = Self::new(Vec::new());
        let (open, gate) = channel();
        (Self { gate: Some(gate), ..fake }, seen, open)
    }
}

impl View for Fake {
    fn applied_lsn(&self) -> u64 {
        self.seen.lock().unwrap().lsns.last().copied().unwrap_or_default()
    }

    fn apply(&mut self, batches: &[Batch]) -> Result<(), ViewError> {
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        if let Some(failure) = self.failures.pop() {
            return Err(failure);
        }
        let mut seen = self.seen.lock().unwrap();
        seen.lsns.extend(batches.iter().flat_map(|batch| &batch.records).map(|record| record.lsn));
        seen.transactions += 1;
        Ok(())
    }

    fn abandon(self, _why: &ViewError) {
        self.seen.lock().unwrap().abandoned = true;
    }
}

fn record(lsn: u64) -> Batch {
    let applied = Applied { lsn, wall_ms: 1, kind: 3, kind_version: 1, payload: Vec::new() };
    script::of_records(vec![applied])
}

fn busy() -> ViewError {
    ViewError::Busy("locked".into())
}

#[test]
fn what_was_fed_before_a_stop_is_applied_in_order() {
    let (view, seen) = Fake::new(Vec::new());
    let (feed, running) = spawn("view", view).unwrap();
    for lsn in 1..=1_000 {
        feed.send(record(lsn));
    }
    let progress = running.progress();
    assert_eq!(running.stop(), Health::Stopped);
    assert_eq!(seen.lock().unwrap().lsns, (1..=1_000).collect::<Vec<_>>());
    assert_eq!((progress.applied_lsn(), progress.lag_records()), (1_000, 0));
}

#[test]
fn batches_that_arrive_during_a_transaction_share_the_next() {
    let (view, seen, open) = Fake::gated();
    let (feed, running) = spawn("view", view).unwrap();
    feed.send(record(1));
    std::thread::sleep(Duration::from_millis(50));
    (2..=5_001).for_each(|lsn| feed.send(record(lsn)));
    drop(open);
    assert!(running.progress().wait_for(5_001, PATIENCE));
    assert!(seen.lock().unwrap().transactions <= 3, "{}", seen.lock().unwrap().transactions);
}

#[test]
fn whoever_waits_for_a_record_is_woken_when_it_shows() {
    let (view, _, open) = Fake::gated();
    let (feed, running) = spawn("view", view).unwrap();
    let progress = running.progress();
    feed.send(record(1));
    assert!(!progress.wait_for(1, Duration::from_millis(30)), "nothing is committed yet");
    let waiting = std::thread::spawn(move || progress.wait_for(1, PATIENCE));
    drop(open);
    assert!(waiting.join().unwrap());
}

#[test]
fn a_lock_held_by_somebody_else_is_waited_out() {
    let (view, seen) = Fake::new(vec![busy(), busy(), busy()]);
    let (feed, running) = spawn("view", view).unwrap();
    feed.send(record(1));
    assert!(running.progress().wait_for(1, PATIENCE));
    assert_eq!(seen.lock().unwrap().lsns, [1]);
    assert_eq!(running.stop(), Health::Stopped);
}

#[test]
fn a_lock_held_while_a_view_catches_up_is_waited_out() {
    let mut script = script::Script::<recovery::gateway::State>::new(3);
    let Identity { cluster, lineage } = script::IDENTITY;
    script.push(recovery::fact::Initialised { cluster, lineage });
    script.push(recovery::fact::Stopped {});
    let (disk, _, last) = script.log(1);
    let (mut view, seen) = Fake::new(vec![busy(), busy(), busy()]);
    catch_up(&disk, last, &mut view).unwrap();
    assert_eq!(seen.lock().unwrap().lsns, [1, 2]);
}

#[test]
fn a_view_that_fails_is_abandoned_and_the_feed_goes_on() {
    let (view, seen) = Fake::new(vec![ViewError::Damaged("a page is gone".into())]);
    let (feed, running) = spawn("view", view).unwrap();
    feed.send(record(1));
    let progress = running.progress();
    let begun = Instant::now();
    assert!(!progress.wait_for(1, PATIENCE), "it will not come");
    assert!(begun.elapsed() < PATIENCE, "and that is known at once");
    (2..=1_000).for_each(|lsn| feed.send(record(lsn)));
    let Health::Failed(why) = running.stop() else { panic!("it has failed") };
    assert_eq!(why, "the file is damaged: a page is gone");
    assert!(seen.lock().unwrap().abandoned);
    assert!(seen.lock().unwrap().lsns.is_empty());
}

#[test]
fn a_view_that_is_too_far_behind_is_given_up_with_what_it_has() {
    let (view, seen, open) = Fake::gated();
    let (feed, running) = spawn("view", view).unwrap();
    let large = |lsn| Batch { bytes: vec![0; BACKLOG_BYTES_MAX as usize / 4], ..record(lsn) };
    (1..=6).for_each(|lsn| feed.send(large(lsn)));
    drop(open);
    let Health::Failed(why) = running.stop() else { panic!("it has failed") };
    assert!(why.contains("wait to be applied"), "{why}");
    assert_eq!(seen.lock().unwrap().lsns, [1, 2, 3], "without a gap");
    assert!(!seen.lock().unwrap().abandoned, "the file is good");
}

#[test]
fn an_image_is_read_as_the_log_wrote_it_and_a_bad_one_ends_the_view() {
    let mut script = script::Script::<recovery::gateway::State>::new(1);
    let identity = script::IDENTITY;
    let (cluster, lineage) = (identity.cluster, identity.lineage);
    script.push(recovery::fact::Initialised { cluster, lineage });
    script.push(recovery::fact::Stopped {});
    script.push(recovery::fact::Stopped {});
    let (_, images, _) = script.log(1);
    let (view, seen) = Fake::new(Vec::new());
    let (feed, running) = spawn("view", view).unwrap();
    for image in images.clone() {
        feed.send_image(image);
    }
    assert!(running.progress().wait_for(3, PATIENCE));
    assert_eq!(seen.lock().unwrap().lsns, [2, 3], "making a log hands nothing over");
    let mut bad = images[0].clone();
    bad.bytes[70] ^= 1;
    feed.send_image(bad);
    assert!(matches!(running.stop(), Health::Failed(why) if why.contains("checksum")));
}

#[test]
fn a_view_catches_up_from_the_disk_with_what_is_durable_before_it_follows() {
    let mut script = script::Script::<recovery::gateway::State>::new(2);
    let identity = script::IDENTITY;
    let (cluster, lineage) = (identity.cluster, identity.lineage);
    script.push(recovery::fact::Initialised { cluster, lineage });
    (0..60).for_each(|_| script.push(recovery::fact::Stopped {}));
    let (disk, _, last) = script.log(3);
    let durable = last - 10;
    let (view, seen) = Fake::new(Vec::new());
    let prepare = move |view: &mut Fake| catch_up(&disk, durable, view);
    let (feed, running) = spawn_after("view", view, prepare).unwrap();
    assert!(running.progress().wait_for(durable - 4, PATIENCE));
    let shown = seen.lock().unwrap().lsns.clone();
    let through = *shown.last().unwrap();
    assert!(through <= durable, "{through} is not durable yet");
    assert_eq!(shown, (1..=through).collect::<Vec<_>>());
    feed.send(record(through + 1));
    assert_eq!(running.stop(), Health::Stopped);
    assert_eq!(seen.lock().unwrap().lsns.last(), Some(&(through + 1)));
}
