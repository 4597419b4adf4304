//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts connections.
#[derive(Clone, Debug)]
pub(super) struct Caps(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total_max: usize,
    per_address_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's place; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Place {
    shared: Arc<Shared>,
    address: IpAddr,
}

impl Caps {
    pub(super) fn new(total_max: usize, per_address_max: usize) -> Self {
        Self(Arc::new(Shared { total_max, per_address_max, open: Mutex::default() }))
    }

    pub(super) fn admit(&self, address: IpAddr) -> Option<Place> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= self.0.total_max {
            return None;
        }
        let here = open.by_address.get(&address).copied().unwrap_or(0);
        if here >= self.0.per_address_max {
            return None;
        }
        open.by_address.insert(address, here + 1);
        open.total += 1;
        Some(Place { shared: Arc::clone(&self.0), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        match open.by_address.get_mut(&self.address) {
            Some(here) if *here > 1 => *here -= 1,
            Some(_) | None => {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place() {
        let (near, far) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([10, 0, 0, 1]));
        let caps = Caps::new(3, 2);
        let first = caps.admit(near).expect("room");
        let _second = caps.admit(near).expect("room");
        assert!(caps.admit(near).is_none());
        let _third = caps.admit(far).expect("room for another address");
        assert!(caps.admit(far).is_none(), "three are all");
        drop(first);
        assert!(caps.admit(near).is_some());
    }
}
