//! A record: key and value in one allocation, so that a read touches few cache lines.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::mem::MaybeUninit;
use std::sync::Arc;

use crate::limits::{ITEM_OVERHEAD_BYTES, KEY_BYTES_MAX};

/// Length of the key (1 byte), key, value; never changed once made, and shared between index and eviction
/// queue.
///
/// It compares, hashes and borrows as its key.
#[derive(Clone)]
pub(crate) struct Record(Arc<[u8]>);

impl Record {
    /// Copies key and value into a new record. The key has at most [`KEY_BYTES_MAX`] bytes.
    pub(crate) fn new(key: &[u8], value: &[u8]) -> Record {
        assert!(key.len() <= KEY_BYTES_MAX, "checked by Store::set");
        let mut bytes = Arc::<[u8]>::new_uninit_slice(1 + key.len() + value.len());
        let (head, tail) = unshared(&mut bytes).split_at_mut(1 + key.len());
        head[0].write(key.len() as u8);
        head[1..].write_copy_of_slice(key);
        tail.write_copy_of_slice(value);
        // SAFETY: the three writes above cover the slice: byte 0, the key's bytes after it, and all of the
        // tail (each `write_copy_of_slice` panics unless the lengths are equal).
        Record(unsafe { bytes.assume_init() })
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.0[1..self.value_start()]
    }

    pub(crate) fn value(&self) -> &[u8] {
        &self.0[self.value_start()..]
    }

    /// What the item is charged for in the budget, in bytes.
    pub(crate) fn cost_bytes(&self) -> usize {
        cost_bytes(self.key().len(), self.value().len())
    }

    fn value_start(&self) -> usize {
        1 + usize::from(self.0[0])
    }
}

/// What an item with a key and a value of these lengths is charged for in the budget, in bytes.
pub(crate) fn cost_bytes(key_bytes: usize, value_bytes: usize) -> usize {
    key_bytes.saturating_add(value_bytes).saturating_add(ITEM_OVERHEAD_BYTES)
}

fn unshared(bytes: &mut Arc<[MaybeUninit<u8>]>) -> &mut [MaybeUninit<u8>] {
    Arc::get_mut(bytes).expect("just made, so nobody else has it")
}

impl PartialEq for Record {
    fn eq(&self, other: &Record) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Record {}

impl Hash for Record {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Borrow<[u8]> for Record {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_key_and_value_apart_at_every_length() {
        let long = [7u8; KEY_BYTES_MAX];
        for (key, value) in [(&b"k"[..], &b""[..]), (b"key", b"value"), (&long, b""), (&long, &[9; 5000])] {
            let record = Record::new(key, value);
            assert_eq!((record.key(), record.value()), (key, value));
            assert_eq!(record.cost_bytes(), key.len() + value.len() + ITEM_OVERHEAD_BYTES);
        }
    }
}
