//! Seeding: storing every item over TCP, or finding that a server holds them already.

use shingle_client::control::ControlError;
use shingle_proto::limits::KEY_BYTES_MAX;

use crate::error::Error;
use crate::progress::Progress;
use crate::target::Target;
use crate::workload::ItemSpace;

/// Items looked at to tell whether a server holds this workload: were 1 % of the items gone, all of these would still be there
/// once in 13,000 times.
const SAMPLE_ITEMS: u32 = 940;

/// A server as seeding sees it.
pub trait Store {
    /// The value stored under a key; one that fails its check counts as none.
    ///
    /// # Errors
    /// The connection failed.
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Stores items: key, value, seconds to live or 0 for ever. `progress` is told the number stored so far, which is returned at
    /// the end.
    ///
    /// # Errors
    /// The connection failed, or an item was not taken.
    fn set_all(
        &mut self,
        items: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>, u64)>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64, Error>;

    /// Whether it takes updates from here.
    ///
    /// # Errors
    /// It does not.
    fn check_may_update(&self) -> Result<(), Error>;

    /// How many items it holds, where nobody else stores any: then no item has to be looked at, which takes a round trip each.
    fn items_held(&self) -> Option<u64> {
        None
    }

    /// The error for a server that does not keep so many bytes of keys and values.
    fn not_kept(&mut self, bytes: u64) -> Error;

    /// What is to be said of the storing just done, if anything.
    ///
    /// # Errors
    /// The connection failed.
    fn remark(&mut self) -> Result<Option<String>, Error>;
}

/// Stores the items unless the server holds them already, and makes sure that it keeps them. What else it holds stays untouched.
///
/// # Errors
/// No right to update, no room for all items, or the connection failed.
pub fn fill(
    server: &mut impl Store,
    space: &ItemSpace,
    reseed: bool,
    progress: &Progress,
) -> Result<(), Error> {
    if !reseed && holds_items(server, space)? {
        progress.note(&format!("{} items are stored already", space.items()));
        return Ok(());
    }
    server.check_may_update()?;
    let bar = progress.bar("storing items", space.items().into());
    let stored = store_items(server, space, &mut |done| bar.set(done))?;
    bar.finish_with(&format!(
        "{stored} items stored ({} of keys and values)",
        human_bytes(space.stored_bytes())
    ));
    // Items that expire may be gone again, and rightly.
    if space.ttl(0).is_none() && !holds_items(server, space)? {
        return Err(server.not_kept(space.stored_bytes()));
    }
    if let Some(remark) = server.remark()? {
        progress.note(&remark);
    }
    Ok(())
}

/// A size with one decimal in the unit people think in.
fn human_bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// Whether the server holds this workload's items, by their number or by a sample.
///
/// # Errors
/// The connection failed.
pub(crate) fn holds_items(server: &mut impl Store, space: &ItemSpace) -> Result<bool, Error> {
    let items = space.items();
    if let Some(held) = server.items_held() {
        return Ok(held >= u64::from(items));
    }
    let step = (items / SAMPLE_ITEMS).max(1);
    for item in (0..items).step_by(step as usize) {
        let mut buffer = [0; KEY_BYTES_MAX];
        match server.get(space.key(item, &mut buffer))? {
            Some(value) if space.check_value(item, &value).is_ok() => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Stores every item for as long as the workload says. `progress` is told the number stored so far.
fn store_items(
    server: &mut impl Store,
    space: &ItemSpace,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, Error> {
    let mut items = (0..space.items()).map(|item| {
        let ttl_s = space.ttl(item).map_or(0, |ttl| ttl.as_secs().clamp(1, u32::MAX.into()));
        stored(space, item, ttl_s)
    });
    server.set_all(&mut items, progress)
}

/// Stores items of this program's own beside what else the server holds; they expire after so many seconds, if nobody removes them.
///
/// # Errors
/// No right to update, no room, or the connection failed; some may be stored then.
pub(crate) fn lend(target: &mut Target, space: &ItemSpace, ttl_s: u32) -> Result<(), Error> {
    let mut items = (0..space.items()).map(|item| stored(space, item, ttl_s.into()));
    target.set_all(&mut items, &mut |_| ()).map(drop)
}

/// A name for items that are lent: those of another process, or lent at another time, have another one.
pub(crate) fn owner() -> u32 {
    (shingle_udp::realtime_ns() >> 16) as u32 ^ std::process::id().rotate_left(16)
}

/// Takes them away again, as far as the server can be asked.
pub(crate) fn remove(target: &mut Target, space: &ItemSpace) {
    for item in 0..space.items() {
        if target.control.delete(space.key(item, &mut [0; KEY_BYTES_MAX])).is_err() {
            return;
        }
    }
}

/// Key, value and seconds to live of an item.
fn stored(space: &ItemSpace, item: u32, ttl_s: u64) -> (Vec<u8>, Vec<u8>, u64) {
    let mut value = vec![0; space.value_bytes(item)];
    space.fill_value(item, &mut value);
    (space.key(item, &mut [0; KEY_BYTES_MAX]).to_vec(), value, ttl_s)
}

impl Store for Target {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.control.get(key) {
            Err(ControlError::Corrupt { .. }) => Ok(None),
            other => Ok(other?),
        }
    }

    fn set_all(
        &mut self,
        items: &mut dyn Iterator<Item = (Vec<u8>, Vec<u8>, u64)>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64, Error> {
        // Seeding clamps to 32 bits.
        let items = items.map(|(key, value, ttl_s)| (key, value, ttl_s as u32));
        Ok(self.control.set_all(items, progress)?)
    }

    fn check_may_update(&self) -> Result<(), Error> {
        match self.welcome().may_update {
            true => Ok(()),
            false => Err(Error::NotSeeded { server: self.facts().address }),
        }
    }

    fn items_held(&self) -> Option<u64> {
        self.items_held_inside()
    }

    fn not_kept(&mut self, bytes: u64) -> Error {
        Error::NotKept { server: self.facts().address, bytes }
    }

    fn remark(&mut self) -> Result<Option<String>, Error> {
        Ok(None)
    }
}
