//! How many sessions one user has from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::parts::Identity;

/// A user, and the network that the connection counts for.
type Who = (Identity, IpAddr);

/// The sessions that are logged in. A program that leaks connections uses up the memory of its own user's sessions only.
pub(super) struct UserSeats {
    max: usize,
    /// The standard map's hash is seeded; names and addresses cannot be picked to collide.
    taken: Mutex<HashMap<Who, usize>>,
}

/// Held as long as a session counts.
pub(super) struct UserSeat {
    seats: Arc<UserSeats>,
    who: Who,
}

impl UserSeats {
    pub(super) fn new(max: usize) -> Self {
        UserSeats { max, taken: Mutex::default() }
    }

    /// One more session; `None` if there are too many.
    pub(super) fn take(self: &Arc<Self>, user: &Identity, address: IpAddr) -> Option<UserSeat> {
        let who = (user.clone(), address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(who.clone()).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(UserSeat { seats: Arc::clone(self), who })
    }
}

impl Drop for UserSeat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_counted_by_user_and_address_and_given_back() {
        let seats = Arc::new(UserSeats::new(1));
        let take = |user: &str, ip: &str| seats.take(&Identity::new(user), ip.parse().unwrap());
        let first = take("joe", "192.0.2.1");
        assert!(first.is_some() && take("joe", "192.0.2.1").is_none());
        assert!(take("joe", "192.0.2.2").is_some() && take("ann", "192.0.2.1").is_some());
        drop(first);
        assert!(take("joe", "192.0.2.1").is_some());
        assert!(seats.taken.lock().unwrap().is_empty());
    }
}
