//! Seeding: storing every item over TCP, or finding that a server holds them already.

use shingle_client::control::{Control, ControlError};

use crate::error::Error;
use crate::workload::ItemSpace;

/// Items looked at to tell whether a server holds this workload: were 1 % of the items gone, all of these would still be there
/// once in 13,000 times.
const SAMPLE_ITEMS: u32 = 940;

/// Whether the server holds this workload's items, by a sample.
///
/// # Errors
/// The connection failed.
pub fn holds_items(control: &mut Control, space: &ItemSpace) -> Result<bool, Error> {
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
pub fn store_items(
    control: &mut Control,
    space: &ItemSpace,
    progress: impl FnMut(u64),
) -> Result<u64, Error> {
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
