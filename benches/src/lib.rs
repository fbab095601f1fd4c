//! What is measured of the protocol, once for every way of measuring it: criterion, instruction counts, ratios to a floor.
#![forbid(unsafe_code)]

mod reads;
mod small;

/// One thing that is measured, many times over, in memory taken when it was made.
pub trait Scenario {
    /// Whether [`Scenario::prepare`] does anything.
    fn has_preparation(&self) -> bool {
        false
    }
    /// Done before each [`Scenario::run`] and not measured.
    fn prepare(&mut self) {}
    /// What is measured.
    fn run(&mut self);
}

/// Every measurement by name.
///
/// "Without checksum" cannot be run, since a message is never taken without its check: "the checksums of ..." are the same
/// passes over the same bytes alone, to be subtracted.
pub const SCENARIOS: [(&str, fn() -> Box<dyn Scenario>); 12] = [
    ("parse a get", || Box::new(small::Parse::new())),
    ("emit a packed answer", || Box::new(small::Emit::packed())),
    ("parse + emit of a small answer", || Box::new(small::ParseAndEmit::new())),
    ("the checksums of a small answer", || Box::new(small::Checksums::new())),
    ("cookie check", || Box::new(small::CookieCheck::new())),
    ("chunk 64 KiB", || Box::new(reads::Cut::new())),
    ("the checksums of 64 KiB in chunks", || Box::new(reads::Checksums::new())),
    ("reassemble 64 KiB in order", || Box::new(reads::Reassemble::in_order())),
    ("reassemble 64 KiB shuffled", || Box::new(reads::Reassemble::shuffled())),
    ("chunk + reassemble 64 KiB", || Box::new(reads::CutAndReassemble::new())),
    ("floor of 64 KiB: 2 memcpy", || Box::new(reads::Floor::copies())),
    (FLOOR, || Box::new(reads::Floor::copies_and_checksums())),
];

/// The name of what a chunked read is compared with.
pub const FLOOR: &str = "floor of 64 KiB: 2 memcpy + 2 CRC-32C";

/// Makes the scenario of this name.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn scenario(name: &str) -> Box<dyn Scenario> {
    let found = SCENARIOS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no scenario {name:?}")).1()
}
