//! Seeding: storing every item over TCP, or finding that a server holds them already.

use shingle_client::control::{Control, ControlError};

use crate::error::Error;
use crate::progress::Progress;
use crate::target::Target;
use crate::workload::ItemSpace;

/// Items looked at to tell whether a server holds this workload: were 1 % of the items gone, all of these would still be there
/// once in 13,000 times.
const SAMPLE_ITEMS: u32 = 940;

/// Stores the items unless the server holds them already, and makes sure that it keeps them.
///
/// # Errors
/// No right to update, no room for all items, or the connection failed.
pub fn fill(target: &mut Target, space: &ItemSpace, reseed: bool, progress: &Progress) -> Result<(), Error> {
    let control = &mut target.control;
    if !reseed && holds_items(control, space)? {
        progress.note(&format!("{} items are stored already", space.items()));
        return Ok(());
    }
    if !control.welcome().may_update {
        return Err(Error::NotSeeded { server: target.facts().address });
    }
    let bar = progress.bar("storing items", space.items().into());
    let stored = store_items(control, space, |done| bar.set(done))?;
    bar.finish_with(&format!(
        "{stored} items stored ({} of keys and values)",
        human_bytes(space.stored_bytes())
    ));
    // Items that expire may be gone again, and rightly.
    if space.ttl(0).is_none() && !holds_items(&mut target.control, space)? {
        return Err(Error::NotKept { server: target.facts().address, bytes: space.stored_bytes() });
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

/// Whether the server holds this workload's items, by a sample.
///
/// # Errors
/// The connection failed.
fn holds_items(control: &mut Control, space: &ItemSpace) -> Result<bool, Error> {
    let items = space.items();
    let step = (items / SAMPLE_ITEMS).max(1);
    for item in (0..items).step_by(step as usize) {
        let mut buffer = [0; 250];
        match control.get(space.key(item, &mut buffer)) {
            Ok(Some(value)) if space.check_value(item, &value).is_ok() => {}
            Ok(_) | Err(ControlError::Corrupt { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// Stores every item. `progress` is told the number stored so far.
///
/// # Errors
/// No right to update, or the connection failed.
fn store_items(control: &mut Control, space: &ItemSpace, progress: impl FnMut(u64)) -> Result<u64, Error> {
    let items = (0..space.items()).map(|item| {
        let mut key = [0; 250];
        let key = space.key(item, &mut key).to_vec();
        let mut value = vec![0; space.value_bytes(item)];
        space.fill_value(item, &mut value);
        let ttl_s = space.ttl(item).map_or(0, |ttl| ttl.as_secs().clamp(1, u32::MAX.into()) as u32);
        (key, value, ttl_s)
    });
    Ok(control.set_all(items, progress)?)
}
