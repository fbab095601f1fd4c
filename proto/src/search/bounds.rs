//! Sizes that were lost and have not passed since: each but the confirmed one may have been lost by chance.

/// A search by halves takes 16 steps, the table 5, hints a few more. Beyond it the largest bound is forgotten, and found again.
const BOUNDS_MAX: usize = 32;

/// A size above the proved one, and how often it was lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bound {
    pub(super) size: u16,
    pub(super) lost: u32,
}

/// A stack of bounds, the smallest on top.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    stack: [Bound; BOUNDS_MAX],
    len: usize,
}

impl Bounds {
    pub(super) const fn new() -> Self {
        Self { stack: [Bound { size: 0, lost: 0 }; BOUNDS_MAX], len: 0 }
    }

    /// The smallest bound.
    pub(super) fn lowest(&self) -> Option<Bound> {
        self.stack[..self.len].last().copied()
    }

    /// A probe of this size was lost.
    pub(super) fn add(&mut self, size: u16) {
        match self.stack[..self.len].iter_mut().find(|bound| bound.size <= size) {
            Some(bound) if bound.size == size => bound.lost += 1,
            // Something smaller was lost as well: that is the bound to look at.
            Some(_) => {}
            None => {
                if self.len == BOUNDS_MAX {
                    self.stack.copy_within(1.., 0);
                    self.len -= 1;
                }
                self.stack[self.len] = Bound { size, lost: 1 };
                self.len += 1;
            }
        }
    }

    /// This size passed: forgets the bounds up to it and returns how many losses they had held, all of them chance.
    pub(super) fn passed(&mut self, size: u16) -> u32 {
        let mut by_chance = 0;
        while let Some(bound) = self.lowest().filter(|bound| bound.size <= size) {
            by_chance += bound.lost;
            self.len -= 1;
        }
        by_chance
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Nothing above this size will be probed: forgets the bounds there.
    pub(super) fn cap(&mut self, cap: u16) {
        let above = self.stack[..self.len].iter().take_while(|bound| bound.size > cap).count();
        self.stack.copy_within(above..self.len, 0);
        self.len -= above;
    }

    /// Every bound counts as lost once only: the rest fell into a silence and says nothing about sizes.
    pub(super) fn doubt(&mut self) {
        self.stack[..self.len].iter_mut().for_each(|bound| bound.lost = 1);
    }
}
