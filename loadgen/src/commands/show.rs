//! `report`: the table and the page of a record again.

use std::fs;

use crate::cli::Report;
use crate::error::Error;
use crate::record::{Record, SCHEMA};
use crate::report::{html, terminal};

pub(super) fn run(args: &Report) -> Result<u8, Error> {
    let path = &args.record;
    let json = fs::read(path).map_err(|error| Error::file("read", path, error))?;
    let unusable = |detail: String| Error::Record { path: path.clone(), detail };
    let record: Record = serde_json::from_slice(&json).map_err(|error| unusable(error.to_string()))?;
    if record.schema != SCHEMA {
        return Err(unusable(format!("its schema is `{}`, this program reads `{SCHEMA}`", record.schema)));
    }
    if let Some(page) = &args.html {
        fs::write(page, html::page(&record)).map_err(|error| Error::file("write", page, error))?;
    }
    super::print_out(&terminal::table(&record));
    Ok(0)
}
