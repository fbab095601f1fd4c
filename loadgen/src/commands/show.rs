//! `report`: the table and the page of a record again.

use std::fs;

use crate::cli::Report;
use crate::error::Error;
use crate::record::Record;
use crate::report::{html, terminal};

pub(super) fn run(args: &Report) -> Result<u8, Error> {
    let record = Record::read(&args.record)?;
    if let Some(page) = &args.html {
        fs::write(page, html::page(&record)).map_err(|error| Error::file("write", page, error))?;
    }
    super::print_out(&terminal::table(&record))?;
    Ok(0)
}
