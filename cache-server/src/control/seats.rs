//! Seats for connections: a fixed number, and who has to leave when one more comes.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use tokio::sync::Notify;
use tokio::time::Instant;

/// The seats taken.
#[derive(Default)]
pub(super) struct Seats {
    taken: RefCell<Vec<Weak<Seat>>>,
}

/// A connection's seat; dropping it frees it.
pub(super) struct Seat {
    active: Cell<Instant>,
    trusted: Cell<bool>,
    /// Told when somebody else needs the seat.
    pub(super) leave: Notify,
}

impl Seat {
    /// Messages arrived. Peers that may update are the last to be sent away.
    pub(super) fn touch(&self, may_update: bool) {
        self.active.set(Instant::now());
        self.trusted.set(may_update);
    }
}

impl Seats {
    /// Takes a seat; where all `seats_max` are taken, the peer without trust, and among those the one idle for longest, is
    /// told to leave. True when one was.
    pub(super) fn take(&self, seats_max: usize) -> (Rc<Seat>, bool) {
        let mut taken = self.taken.borrow_mut();
        taken.retain(|seat| seat.strong_count() > 0);
        let evict = taken.len() >= seats_max;
        if evict {
            let seats = taken.iter().enumerate().filter_map(|(index, seat)| Some((index, seat.upgrade()?)));
            let longest = seats.min_by_key(|(_, seat)| (seat.trusted.get(), seat.active.get()));
            if let Some((index, seat)) = longest {
                seat.leave.notify_one();
                taken.swap_remove(index);
            }
        }
        let seat = Rc::new(Seat {
            active: Cell::new(Instant::now()),
            trusted: Cell::new(false),
            leave: Notify::new(),
        });
        taken.push(Rc::downgrade(&seat));
        (seat, evict)
    }

    /// Seats taken.
    pub(super) fn count(&self) -> usize {
        self.taken.borrow().iter().filter(|seat| seat.strong_count() > 0).count()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_untrusted_one_idle_for_longest_leaves() {
        let seats = Seats::default();
        let [(trusted, _), (idle, _), (busy, evicted)] = [(); 3].map(|()| seats.take(3));
        assert!(!evicted && seats.count() == 3);
        trusted.touch(true);
        trusted.active.set(idle.active.get() - Duration::from_secs(1));
        let start = idle.active.get();
        busy.active.set(start + Duration::from_secs(1));

        let (fourth, evicted) = seats.take(3);
        assert!(evicted && seats.count() == 3);
        idle.leave.notified().await;

        drop((idle, busy, fourth));
        let (_fifth, evicted) = seats.take(3);
        assert!(!evicted && seats.count() == 2);
    }
}
