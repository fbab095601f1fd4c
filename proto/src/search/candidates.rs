//! Which size to probe next: the cap, then the path MTUs met in the field, then plus one, then by halves (section 6.2).

use crate::limits::PATH_MTUS;

/// What the search knows when it chooses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gap {
    /// Largest size known to pass.
    pub(super) proved: u16,
    /// Smallest size above it that was lost; `None` when nothing was.
    pub(super) bound: Option<u16>,
    /// Never probed above.
    pub(super) cap: u16,
    /// A size somebody named; 0 for none.
    pub(super) hint: u16,
    /// IP and UDP headers: path MTU less datagram size.
    pub(super) overhead_bytes: u16,
}

/// Next size to probe, strictly between what passed and what was lost; `None` when nothing is left in between.
pub(super) fn next(gap: Gap) -> Option<u16> {
    let Gap { proved, bound, cap, hint, .. } = gap;
    let end = bound.map_or(u32::from(cap) + 1, u32::from);
    if u32::from(proved) + 1 >= end {
        return None;
    }
    let inside = |size: u16| size > proved && u32::from(size) < end;
    if inside(hint) {
        return Some(hint);
    }
    if proved == hint && bound.is_some() {
        return Some(proved + 1);
    }
    if bound.is_none() {
        return Some(cap);
    }
    let table = |index: usize| PATH_MTUS[index].saturating_sub(gap.overhead_bytes);
    let first = (0..PATH_MTUS.len()).find(|&index| inside(table(index)));
    if let Some(first) = first {
        let count = (first..PATH_MTUS.len()).take_while(|&index| inside(table(index))).count();
        return Some(table(first + count / 2));
    }
    let in_table = (0..PATH_MTUS.len()).any(|index| table(index) == proved);
    Some(if in_table { proved + 1 } else { ((u32::from(proved) + end) / 2) as u16 })
}
