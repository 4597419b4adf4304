//! A bank that nobody can reach: every connection to and from it stays open and carries nothing.
//!
//! Between the bank and the gateway stand two proxies that can stop forwarding. That looks like a
//! cut cable: no connection is closed, and what was on its way arrives when the cable is back, or
//! never.

use super::{Place, Scene, Stage, Told, Victim, What, broken};
use crate::errors::Failure;
use crate::home::Service;
use crate::live::proxy::Proxy;
use crate::live::{Heard, Payer};
use std::thread::sleep;
use std::time::Duration;

/// How long the cable is cut: longer than every timeout of a payment.
const CUT: Duration = Duration::from_secs(4);

pub(super) fn words() -> [String; 4] {
    let victim = Victim::PayeesBank.to_string();
    let fault = "nothing reaches it or leaves it for 4 s, and no connection is closed";
    let shows = "its payments end alike on both sides, and other banks' go through meanwhile";
    ["cut-off-bank".to_owned(), victim, fault.to_owned(), shows.to_owned()]
}

pub(super) fn run(place: &Place, stage: &mut Stage) -> Result<Told, Failure> {
    let scene = stage.insert(Scene::set(place)?);
    let Service::Bank(bank) = Victim::PayeesBank.service() else {
        return Err(broken("the payee's bank is a bank"));
    };
    let config = scene.cluster.config().clone();
    let failed = |error: std::io::Error| Failure::unexpected("start a proxy", &error);
    let to_bank = Proxy::start(&config.banks[&bank].address.to_string()).map_err(failed)?;
    let to_gateway = Proxy::start(&config.gateway.internal_address.to_string()).map_err(failed)?;
    let address = |proxy: &Proxy| proxy.address().to_string().parse().expect("an address");
    let mut around = config.clone();
    if let Some(place) = around.banks.get_mut(&bank) {
        place.address = address(&to_bank);
    }
    scene.cluster.configure(Service::Gateway, &around)?;
    let mut around = config;
    around.gateway.internal_address = address(&to_gateway);
    scene.cluster.configure(Service::Bank(bank), &around)?;
    let told = cut(scene, &[&to_bank, &to_gateway]);
    // What is stopped after this is not held up by a proxy that forwards nothing.
    to_bank.forward(true);
    to_gateway.forward(true);
    told
}

fn cut(scene: &mut Scene, cable: &[&Proxy]) -> Result<Told, Failure> {
    scene.begin()?;
    scene.pay_for_sure()?;
    if cable[0].carried() == 0 {
        return Err(broken("the gateway does not reach the bank through the proxy"));
    }
    let before = scene.last_id();
    for proxy in cable {
        proxy.forward(false);
    }
    scene.mark(What::Fault, "nothing reaches the payee's bank any more");
    let heard = scene.pay();
    let cut_off = scene.last_id();
    let others = scene.other_banks()?;
    sleep(CUT);
    for proxy in cable {
        proxy.forward(true);
    }
    scene.healed();
    if !others.is_committed() {
        return Err(broken(format!("a payment between two other banks heard {others:?}")));
    }
    if heard.is_committed() || before == cut_off {
        return Err(broken(format!("a payment to a bank that is cut off heard {heard:?}")));
    }
    let settled = scene.conclude()?;
    let answer = scene.payers.first().map(Payer::asked).and_then(|asked| asked.get(&cut_off));
    let outcome = answer.and_then(|asked| asked.answer()).map_or("NONE", Heard::name).to_owned();
    Ok(Told { outcome, recovered: Duration::ZERO, settled })
}
