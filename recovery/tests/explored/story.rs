//! The shortest way to what is wrong, as numbered sentences.

use super::cast::{Cast, Input};
use super::scenario::bank_name;
use super::world::{Step, World};
use std::fmt::{Debug, Write as _};

/// Walks the way again and says what happens. `way`: which of the possible steps was taken.
pub(super) fn tell(
    cast: &mut Cast,
    first: World,
    way: &[u16],
    last: Option<Step>,
    what: &str,
) -> String {
    let (mut world, mut steps, mut story) = (first, Vec::new(), String::new());
    let mut number = 0;
    let mut say = |cast: &Cast, before: &World, step: Step, after: Option<&World>| {
        number += 1;
        let _ = writeln!(story, "{number:>3}. {}", sentence(cast, step));
        let Some(after) = after else { return };
        for line in written(cast, before, after) {
            let _ = writeln!(story, "       {line}");
        }
    };
    for by in way {
        world.possible(cast, &mut steps);
        let step = steps[usize::from(*by)];
        let Ok(taken) = world.take(cast, step) else { break };
        say(cast, &world, step, Some(&taken.world));
        world = taken.world;
    }
    if let Some(step) = last {
        let taken = world.take(cast, step);
        say(cast, &world, step, taken.as_ref().ok().map(|taken| &taken.world));
    }
    let _ = writeln!(story, "     => {what}");
    story
}

fn sentence(cast: &Cast, step: Step) -> String {
    let said = |id: u16| {
        let packet = cast.packets.get(id);
        let bank = bank_name(packet.bank());
        if packet.is_for_a_bank() {
            format!("{bank} hears: {}", packet.told())
        } else {
            format!("the gateway hears from {bank}: {}", packet.told())
        }
    };
    let keeping = |keep: u8| match keep {
        0 => "with nothing that it had not synced".to_owned(),
        keep => format!("with the first {keep} of what it had not synced"),
    };
    match step {
        Step::Gateway(Input::Call(call)) => {
            format!("a client calls: {:?}", cast.scenario.calls[usize::from(call)])
        }
        Step::Gateway(Input::Greet(bank)) => {
            format!("the gateway says Hello to {}", bank_name(bank.into()))
        }
        Step::Gateway(Input::Sync) => "the gateway's log is synced".to_owned(),
        Step::Gateway(Input::Tick) | Step::Retry => {
            "the gateway says again what was not answered".to_owned()
        }
        Step::Gateway(Input::Late) => "every deadline at the gateway passes".to_owned(),
        Step::Gateway(Input::Crash(keep)) => {
            format!("the gateway dies, and starts again {}", keeping(keep))
        }
        Step::Bank(bank, Input::Sync) => format!("{}'s journal is synced", bank_name(bank)),
        Step::Die { bank, keep, takes } => {
            let with = match takes.count_ones() {
                0 => String::new(),
                taken => format!(", and takes {taken} of the messages to it with it"),
            };
            format!("{} dies, and starts again {}{with}", bank_name(bank), keeping(keep))
        }
        Step::Bank(bank, _) => format!("{} asks about its holds", bank_name(bank)),
        Step::Gateway(_) => "the gateway goes on".to_owned(),
        Step::Deliver(id) => said(id),
        Step::Copy(id) => format!("{}; and a copy is still under way", said(id)),
        Step::Lose(id) => format!("lost: {}", said(id)),
        Step::Notice(bank) => format!("the gateway finds {} gone", bank_name(bank)),
        Step::Cut(bank) => format!("the line to {} breaks", bank_name(bank)),
    }
}

/// What the step wrote, and what it said.
fn written(cast: &Cast, before: &World, after: &World) -> Vec<String> {
    fn pending<F: Debug>(who: &str, before: &[F], after: &[F], lines: &mut Vec<String>) {
        for fact in after.iter().skip(before.len()) {
            lines.push(format!("{who} writes {fact:?}"));
        }
    }
    let mut lines = Vec::new();
    let gateway = |world: &World| &cast.gateways.list[world.gateway as usize].process.pending;
    pending("it", gateway(before), gateway(after), &mut lines);
    for bank in 0..2 {
        let of = |world: &World| &cast.banks[bank].list[world.banks[bank] as usize].process.pending;
        pending("it", of(before), of(after), &mut lines);
    }
    for id in after.network.all().iter().filter(|id| !before.network.all().contains(id)) {
        let packet = cast.packets.get(*id);
        let bank = bank_name(packet.bank());
        let way = if packet.is_for_a_bank() { "to" } else { "from" };
        lines.push(format!("leaves, {way} {bank}: {}", packet.told()));
    }
    for (id, (old, new)) in before.told.iter().zip(after.told).enumerate() {
        if let Some(told) = new.filter(|_| *old != new) {
            lines.push(format!("the caller of t{id} hears {told:?}"));
        }
    }
    lines
}
