//! What is measured of the protocol, once for every way of measuring it: criterion, instruction counts, ratios to a floor.
#![forbid(unsafe_code)]

pub mod floors;
mod reads;
mod small;
pub mod stores;

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

/// The name of a scenario and what makes it.
type Named = (&'static str, fn() -> Box<dyn Scenario>);

/// Every measurement by name. Datagrams have 1472 B unless the name says otherwise: a path MTU of 1500.
///
/// "Without checksum" cannot be run, since a message is never taken without its check: "the checksums of ..." are the same
/// passes over the same bytes alone, to be subtracted.
pub const SCENARIOS: [Named; 14] = [
    ("parse a get", || Box::new(small::Parse::new())),
    ("emit a packed answer", || Box::new(small::Emit::new())),
    (SMALL, || Box::new(small::ParseAndEmit::new())),
    (SMALL_CHECKSUMS, || Box::new(small::Checksums::new())),
    ("cookie check", || Box::new(small::CookieCheck::new())),
    ("chunk 64 KiB", || Box::new(reads::Cut::new(ETHERNET))),
    ("the checksums of 64 KiB in chunks", || Box::new(reads::Checksums::new(ETHERNET))),
    ("reassemble 64 KiB in order", || Box::new(reads::Reassemble::in_order(ETHERNET))),
    ("reassemble 64 KiB shuffled", || Box::new(reads::Reassemble::shuffled(ETHERNET))),
    ("chunk + reassemble 64 KiB", || Box::new(reads::CutAndReassemble::new(ETHERNET))),
    ("chunk + reassemble 64 KiB in datagrams of 8972 B", || Box::new(reads::CutAndReassemble::new(JUMBO))),
    ("floor of 64 KiB: 2 memcpy", || Box::new(reads::Floor::copies())),
    (FLOOR, || Box::new(reads::Floor::copies_and_checksums())),
    ("floor of 64 KiB in pieces of 1472 B: 2 memcpy + 2 CRC-32C", || {
        Box::new(reads::Floor::in_pieces(ETHERNET))
    }),
];

/// Datagrams that a path MTU of 1500 carries.
const ETHERNET: u16 = 1472;
/// Datagrams that a path MTU of 9000 carries.
const JUMBO: u16 = 8972;

/// What a small read costs the core of a server, but the cookie check.
pub const SMALL: &str = "parse + emit of a small answer";
/// The share of it that is checksums.
pub const SMALL_CHECKSUMS: &str = "the checksums of a small answer";
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
