//! The vectors that are no messages: seals, cookies, chunks, versions, checksums.

use std::net::IpAddr;

use serde::Deserialize;

use super::Hex;

/// `seals.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SealedValue {
    pub(crate) name: String,
    #[serde(rename = "section")]
    _section: String,
    pub(crate) key: Hex,
    pub(crate) value_limit: usize,
    pub(crate) sealed: Hex,
    value: Option<Hex>,
    error: Option<String>,
}

impl SealedValue {
    /// The value to deliver, or why there is none.
    pub(crate) fn expected(&self) -> Result<&[u8], &str> {
        match (&self.value, &self.error) {
            (Some(value), None) => Ok(&value.0),
            (None, Some(error)) => Err(error),
            _ => panic!("{}: a value or an error", self.name),
        }
    }
}

/// `cookies.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JudgedCookie {
    pub(crate) name: String,
    #[serde(rename = "section")]
    _section: String,
    pub(crate) secret: Hex,
    pub(crate) previous_secret: Option<Hex>,
    pub(crate) address: IpAddr,
    pub(crate) now: u32,
    pub(crate) cookie: Hex,
    pub(crate) state: String,
    pub(crate) new_cookie: Hex,
}

/// `chunks.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cut {
    pub(crate) name: String,
    #[serde(rename = "section")]
    _section: String,
    pub(crate) offset: u32,
    pub(crate) length: u32,
    pub(crate) room: u32,
    pub(crate) chunks: Vec<(u32, u32)>,
}

/// `versions.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Versions {
    pub(crate) name: String,
    #[serde(rename = "section")]
    _section: String,
    pub(crate) earlier: Hex,
    pub(crate) later: Hex,
}

/// `checksums.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckedSum {
    pub(crate) name: String,
    #[serde(rename = "section")]
    _section: String,
    pub(crate) hex: Hex,
    pub(crate) crc32c: String,
}
