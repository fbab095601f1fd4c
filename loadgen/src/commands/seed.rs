//! `seed`: store the items in a server.

use crate::cli::Common;
use crate::error::Error;
use crate::options::Options;
use crate::progress::Progress;
use crate::rig;

pub(super) fn run(args: &Common) -> Result<u8, Error> {
    let options = Options::resolve(args)?;
    if options.server.is_none() {
        return Err(Error::SeedNeedsServer);
    }
    let space = rig::seed(&options, &Progress::new(options.output.quiet))?;
    super::print_out(&format!("{} items stored\n", space.items()))?;
    Ok(0)
}
