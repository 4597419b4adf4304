//! Moving all ports at once, so that several installations share a machine.

use super::{Address, Config};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// How far a service's metrics port lies above its own.
pub(super) const METRICS_OFFSET: u16 = 1_000;

impl Config {
    /// Shifts every port by the distance from the gateway's to `base`. `None` when one of them
    /// would be no port.
    #[must_use]
    pub fn with_base_port(mut self, base: u16) -> Option<Self> {
        let distance = i32::from(base) - i32::from(self.gateway.address.port());
        for (_, address) in self.addresses_mut() {
            let port = u16::try_from(i32::from(address.port()) + distance).ok()?;
            if port == 0 {
                return None;
            }
            *address = address.with_port(port);
        }
        Some(self)
    }

    /// Gives every service a port that is free now, and no two the same.
    pub fn with_free_ports(mut self) -> io::Result<Self> {
        // All are held until all are known.
        let mut held = Vec::new();
        for (_, address) in self.addresses_mut() {
            let listener = free_port()?;
            *address = address.with_port(listener.local_addr()?.port());
            held.push(listener);
        }
        Ok(self)
    }

    /// Every address as the environment variable that sets it: how `up` tells its children.
    pub fn addresses_as_environment(&self) -> Vec<(String, String)> {
        let mut all = self.clone();
        let named = all.addresses_mut().into_iter();
        named.map(|(key, address)| (variable(&key), address.to_string())).collect()
    }

    /// Every address that is ours to choose, with its key: a foreign bank listens where it does.
    fn addresses_mut(&mut self) -> Vec<(String, &mut Address)> {
        let mut all = vec![
            ("gateway.address".to_owned(), &mut self.gateway.address),
            ("gateway.internal_address".to_owned(), &mut self.gateway.internal_address),
            ("console.address".to_owned(), &mut self.console.address),
        ];
        for (name, bank) in self.banks.iter_mut().filter(|(_, bank)| !bank.foreign) {
            all.push((format!("banks.{name}.address"), &mut bank.address));
            all.push((format!("banks.{name}.metrics_address"), &mut bank.metrics_address));
        }
        all
    }
}

/// Below the ports that systems give to outgoing connections: one of those could be taken by
/// anybody's connection between now and the moment when the service listens.
const FREE_PORTS: Range<u16> = 10_000..32_000;

fn free_port() -> io::Result<TcpListener> {
    const ATTEMPTS: usize = 100;
    let attempt = || TcpListener::bind((Ipv4Addr::LOCALHOST, next_port()));
    let mut tried = attempt();
    for _ in 1..ATTEMPTS {
        match &tried {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => tried = attempt(),
            Ok(_) | Err(_) => break,
        }
    }
    tried
}

/// One after the other, from a random one on. A port is taken only when its service listens, and
/// until then it is nobody else's in this process.
fn next_port() -> u16 {
    static GIVEN: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(rand::random()));
    let count = u32::from(FREE_PORTS.end - FREE_PORTS.start);
    FREE_PORTS.start + (GIVEN.fetch_add(1, Ordering::Relaxed) % count) as u16
}

/// The environment variable of a key.
fn variable(key: &str) -> String {
    format!("{}{}", super::load::PREFIX, key.replace('.', "__").to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_base_port_shifts_every_port_alike() {
        let shifted = Config::standard().with_base_port(60_000).expect("ports fit");
        assert_eq!(shifted.gateway.address.port(), 60_000);
        assert_eq!(shifted.gateway.internal_address.port(), 59_999);
        assert_eq!(shifted.console.address.port(), 61_000);
        let axis = &shifted.banks[&"Axis".parse().expect("a name")];
        assert_eq!(axis.address.port(), 60_003);
        assert_eq!(axis.metrics_address.port(), 61_003);
        assert_eq!(Config::standard().with_base_port(65_000), None);
        assert_eq!(Config::standard().with_base_port(1), None);
    }

    #[test]
    fn free_ports_are_all_different_even_before_anybody_listens_there() {
        let (mut ports, mut count) = (BTreeSet::new(), 0);
        for _ in 0..50 {
            let mut config = Config::standard().with_free_ports().expect("ports are free");
            let all = config.addresses_mut();
            count += all.len();
            ports.extend(all.iter().map(|(_, address)| address.port()));
        }
        assert_eq!(ports.len(), count);
    }

    #[test]
    fn a_foreign_bank_stays_where_it_is() {
        let mut config = Config::standard();
        let axis = config.banks.get_mut(&"Axis".parse().expect("a name")).expect("there");
        axis.foreign = true;
        let kept = axis.clone();
        let free = config.clone().with_free_ports().expect("ports are free");
        let shifted = config.with_base_port(60_000).expect("ports fit");
        for moved in [free, shifted] {
            assert!(moved.banks.values().any(|bank| *bank == kept));
            assert!(moved.addresses_as_environment().iter().all(|(key, _)| !key.contains("AXIS")));
        }
    }

    #[test]
    fn children_read_back_the_addresses_that_up_chose() {
        let chosen = Config::standard().with_base_port(61_000).expect("ports fit");
        let environment = chosen.addresses_as_environment();
        let read = Config::from_text("", environment).expect("valid");
        assert_eq!(read, chosen);
    }
}
