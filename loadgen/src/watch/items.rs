//! What a watch reads: the workload's items where the server holds them, else a few of its own, else keys that are not there.

use crate::error::Error;
use crate::limits::{ANSWER_OVERHEAD_BYTES, WATCH_ITEMS, WATCH_KEY_PREFIX, WATCH_TTL_S};
use crate::options::Options;
use crate::seeding;
use crate::target::Target;
use crate::workload::{ItemSpace, Sizing};

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The items of the workload, which the server holds.
    Workload,
    /// A few items that the watch stored itself.
    Own,
    /// Keys that are not stored: misses, which prove the path for requests and small answers.
    Absent,
}

impl Reads {
    /// In words, with what cannot be seen.
    pub fn words(self, space: &ItemSpace) -> String {
        match self {
            Self::Workload => format!("reads the {} items of this workload, which the server holds", space.items()),
            Self::Own => format!(
                "reads {} items of its own (keys that begin with `{}`; they go when the watch ends)",
                space.items(),
                String::from_utf8_lossy(WATCH_KEY_PREFIX)
            ),
            Self::Absent => "reads keys that are not stored, as the server holds no items of this workload and takes no updates from here: \
                             misses prove the path for small answers only; give --token-file, or store items with `loadgen seed`"
                .to_owned(),
        }
    }
}

/// The watch's own items for a server that takes values of so many bytes.
pub(super) fn own(options: &Options, value_bytes_max: u32) -> Result<ItemSpace, Error> {
    let sizing = Sizing { answer_overhead_bytes: ANSWER_OVERHEAD_BYTES, value_bytes_max };
    let space = ItemSpace::new(&options.values, WATCH_ITEMS.min(options.items), options.seed, sizing)?;
    Ok(space.with_content(options.content).under(WATCH_KEY_PREFIX, seeding::owner()))
}

/// What to read of this server; own items are stored now.
pub(super) fn choose(target: &mut Target, options: &Options) -> Result<(ItemSpace, Reads), Error> {
    let value_bytes_max = target.welcome().value_bytes_max;
    let sizing = Sizing { answer_overhead_bytes: ANSWER_OVERHEAD_BYTES, value_bytes_max };
    let own = own(options, value_bytes_max)?;
    target.check_sizes(&own)?;
    let may_update = target.welcome().may_update;
    if target.items_held_inside().is_none() {
        let whole = ItemSpace::new(&options.values, options.items, options.seed, sizing)?
            .with_content(options.content);
        if seeding::holds_items(target, &whole)? {
            return Ok((whole, Reads::Workload));
        }
    }
    if !may_update {
        return Ok((own, Reads::Absent));
    }
    seeding::lend(target, &own, WATCH_TTL_S)?;
    Ok((own, Reads::Own))
}
