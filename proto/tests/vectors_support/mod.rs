//! The vectors of `proto/vectors/` as types: every field is named here, so that one nobody reads is an error.

pub(crate) mod answers;
pub(crate) mod files;
mod frames;
pub(crate) mod messages;

use std::fmt;

use serde::Deserialize;

/// Bytes as the files have them: hex, spaces between fields, `xx*N` for N times the same.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl Hex {
    pub(crate) fn array<const N: usize>(&self) -> [u8; N] {
        self.0.as_slice().try_into().unwrap_or_else(|_| panic!("{N} bytes wanted, not {self:?}"))
    }

    pub(crate) fn number(&self) -> u64 {
        u64::from_be_bytes(self.array())
    }
}

impl From<&[u8]> for Hex {
    fn from(bytes: &[u8]) -> Self {
        Hex(bytes.to_vec())
    }
}

impl From<u64> for Hex {
    fn from(number: u64) -> Self {
        Hex(number.to_be_bytes().to_vec())
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |token: &str| format!("`{token}` is not hex, or hex*N");
        let mut bytes = Vec::new();
        for token in text.split_ascii_whitespace() {
            let (digits, times) = token.split_once('*').unwrap_or((token, "1"));
            let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return Err(wrong(token)) };
            let unit: Option<Vec<u8>> = pairs
                .iter()
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect();
            let times: usize = times.parse().map_err(|_| wrong(token))?;
            bytes.extend(unit.ok_or_else(|| wrong(token))?.repeat(times));
        }
        Ok(Hex(bytes))
    }
}
