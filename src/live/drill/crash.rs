//! A service that dies by SIGKILL at one of its crash points.
//!
//! ```text
//!  Pay      payments, until one of them is the death of the victim
//!  Decline  payments that the payer cannot afford: what the payee's bank held is released
//!  Silent   the payee's bank is stopped in mid-payment: what the payer's bank held is released
//!  Greet    the victim is started anew and greeted by the gateway
//!  Again    the victim dies in mid-payment, and once more while it recovers from that
//! ```

use super::{Place, Scene, Stage, Told, enter};
use crate::errors::Failure;
use crate::home::Service;
use nix::sys::signal::Signal;
use recovery::drill::point::{Point, Role};
use recovery::model::BankName;
use std::fmt;

/// What the payer has not got.
const TOO_MUCH_MINOR: i64 = 1_000_000_000;

/// Who dies. client1 of HDFC pays client2 of ICICI.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Victim {
    Gateway,
    PayersBank,
    PayeesBank,
}

impl Victim {
    pub fn service(self) -> Service {
        let bank = |name: &str| -> BankName { name.parse().expect("a bank's name") };
        match self {
            Self::Gateway => Service::Gateway,
            Self::PayersBank => Service::Bank(bank("HDFC")),
            Self::PayeesBank => Service::Bank(bank("ICICI")),
        }
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gateway => "gateway",
            Self::PayersBank => "payer's bank",
            Self::PayeesBank => "payee's bank",
        })
    }
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Route {
    Pay,
    Decline,
    Silent,
    Greet,
    Again(Point),
}

/// A crash point and whose it is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Crash {
    point: Point,
    victim: Victim,
    route: Route,
}

/// Every point at each of its victims.
pub(super) fn all() -> impl Iterator<Item = Crash> {
    Point::ALL.iter().flat_map(|point| {
        let victims: &[Victim] = match point.role() {
            Role::Gateway => &[Victim::Gateway],
            Role::Bank => &[Victim::PayersBank, Victim::PayeesBank],
        };
        victims.iter().map(|victim| Crash {
            point: *point,
            victim: *victim,
            route: route(*point, *victim),
        })
    })
}

/// How `victim` comes to `point`.
fn route(point: Point, victim: Victim) -> Route {
    match point {
        Point::AfterBegan
        | Point::AfterFirstPrepare
        | Point::AfterVote
        | Point::BeforeDecisionDurable
        | Point::AfterDecisionDurable
        | Point::AfterFirstTell
        | Point::AfterFirstSettled
        | Point::AfterAnswer
        | Point::BeforeEnded
        | Point::AfterEnded
        | Point::BankHeld
        | Point::BankHeldDurable
        | Point::BankAfterVote
        | Point::BankPosted
        | Point::BankPostedDurable => Route::Pay,
        Point::BankReleased | Point::BankReleasedDurable => match victim {
            Victim::PayersBank => Route::Silent,
            Victim::Gateway | Victim::PayeesBank => Route::Decline,
        },
        Point::BankAfterHello | Point::BankFenced => Route::Greet,
        Point::RecoveringBeforeFence => Route::Again(Point::AfterDecisionDurable),
        Point::RecoveringBeforeHello => Route::Again(Point::AfterFirstTell),
        Point::RecoveringAfterFence => Route::Again(Point::AfterVote),
        Point::BankRecovering => Route::Again(Point::BankAfterVote),
    }
}

impl Crash {
    #[cfg(test)]
    pub(super) fn point(self) -> Point {
        self.point
    }

    pub(super) fn words(self) -> [String; 4] {
        let Self { point, victim, route } = self;
        let name = match victim {
            Victim::Gateway => point.to_string(),
            Victim::PayersBank => format!("{point}-payer"),
            Victim::PayeesBank => format!("{point}-payee"),
        };
        let fault = match route {
            Route::Again(first) => format!("SIGKILL {first}, and again {point}"),
            Route::Pay | Route::Decline | Route::Silent | Route::Greet => {
                format!("SIGKILL {point}")
            }
        };
        [name, victim.to_string(), fault, point.meaning().to_owned()]
    }

    pub(super) fn run(self, place: &Place, stage: &mut Stage) -> Result<Told, Failure> {
        let scene = self.die(place, stage)?;
        let died_of = scene.last_id();
        let recovered = scene.restart(self.victim.service())?;
        let settled = scene.conclude()?;
        let answer = scene.payers[0].asked().get(&died_of).and_then(|asked| asked.answer());
        let outcome = answer.map_or("NONE", |answer| answer.name()).to_owned();
        Ok(Told { outcome, recovered, settled })
    }

    /// Up to the death of the victim.
    fn die<'a>(self, place: &Place, stage: &'a mut Stage) -> Result<&'a mut Scene, Failure> {
        let service = self.victim.service();
        let amount_minor = 1 + (place.seed % 30_000) as i64;
        match self.route {
            Route::Pay => {
                let at = nth(self.point, place.seed);
                let scene = enter(stage, place)?;
                scene.begin_armed(service, &at)?;
                scene.pay_until_dead(service, amount_minor)?;
                Ok(scene)
            }
            Route::Decline => {
                let at = self.point.to_string();
                let scene = enter(stage, place)?;
                scene.begin_armed(service, &at)?;
                scene.pay_for_sure()?;
                scene.pay_until_dead(service, TOO_MUCH_MINOR)?;
                Ok(scene)
            }
            Route::Silent => {
                let at = self.point.to_string();
                let scene = enter(stage, place)?;
                scene.begin_armed(service, &at)?;
                let silent = Victim::PayeesBank.service();
                scene.pay_for_sure()?;
                scene.cluster.signal(silent, Signal::SIGSTOP)?;
                scene.pay_minor(amount_minor);
                let died = scene.died(service);
                scene.cluster.signal(silent, Signal::SIGCONT)?;
                died?;
                Ok(scene)
            }
            Route::Greet => {
                let scene = enter(stage, place)?;
                scene.begin()?;
                scene.pay_for_sure()?;
                scene.cluster.kill(service)?;
                scene.cluster.spawn(service, Some(self.point.name()))?;
                scene.died(service)?;
                Ok(scene)
            }
            Route::Again(first) => {
                let at = nth(first, place.seed);
                let scene = enter(stage, place)?;
                scene.begin_armed(service, &at)?;
                scene.pay_until_dead(service, amount_minor)?;
                scene.cluster.spawn(service, Some(self.point.name()))?;
                scene.died(service)?;
                Ok(scene)
            }
        }
    }
}

/// At the first payment or at the second, by the seed. Points that a payment comes by twice are at
/// their first place in it either way.
fn nth(point: Point, seed: u64) -> String {
    let nth = 1 + 2 * (seed & 1);
    format!("{point}:{nth}")
}
