//! `netlab list`: the catalogue in words, short for all topologies, in full for one.

use std::error::Error;
use std::io::{self, ErrorKind, Write};

use shingle_netlab::{Entry, Parameter, Spec, catalogue};

/// Prints one topology, or all.
pub(super) fn list(topology: Option<&str>) -> Result<(), Box<dyn Error>> {
    let out = &mut io::stdout().lock();
    let written = match topology {
        Some(name) => Spec::new(name)?.entries().iter().try_for_each(|entry| in_full(out, entry)),
        None => overview(out),
    };
    match written {
        // Who pipes it into `head` has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// All topologies, each with the parameters of its own; what they have in common comes once.
fn overview(out: &mut impl Write) -> io::Result<()> {
    let common: Vec<&Parameter> = catalogue()[0].parameters.iter().filter(|it| is_common(it)).collect();
    for entry in catalogue() {
        writeln!(out, "{}: {}", entry.name, entry.sentence)?;
        writeln!(out, "    story: {}", entry.story)?;
        for parameter in entry.parameters.iter().filter(|it| !is_common(it)) {
            short(out, parameter)?;
        }
        writeln!(out)?;
    }
    writeln!(out, "Every topology also has, unless it names its own:")?;
    common.iter().try_for_each(|parameter| short(out, parameter))?;
    writeln!(out, "\n`netlab list TOPOLOGY` tells more of one.\n")?;
    writeln!(
        out,
        "Several in one network: A+B, such as fragment-limit+lossy; packets meet A's rules first. What is said of"
    )?;
    writeln!(
        out,
        "links and hosts (mtu, delay, family, ...) is set once for all; where both have a parameter of one name for"
    )?;
    writeln!(
        out,
        "themselves, say which is meant: --set lossy.rate=2%. Some do not go together, and say why."
    )
}

/// Whether most topologies have this very parameter, default and range included.
fn is_common(parameter: &Parameter) -> bool {
    let text = |it: &Parameter| (it.sentence, it.default(), it.allowed());
    let same = |entry: &&Entry| entry.parameter(parameter.name).is_some_and(|it| text(it) == text(parameter));
    catalogue().iter().filter(same).count() * 2 > catalogue().len()
}

fn short(out: &mut impl Write, parameter: &Parameter) -> io::Result<()> {
    let setting = format!("{}={}", parameter.name, parameter.default());
    writeln!(out, "    {setting:<26}  {} [{}]", parameter.sentence, parameter.range())
}

fn in_full(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    writeln!(out, "{}: {}", entry.name, entry.sentence)?;
    writeln!(out, "    story: {}", entry.story)?;
    let causes = if entry.causes.is_empty() { "none".to_owned() } else { entry.causes.join(", ") };
    writeln!(out, "    cause: {causes}")?;
    for parameter in entry.parameters {
        writeln!(out, "    {}={}  {}", parameter.name, parameter.default(), parameter.sentence)?;
        writeln!(out, "        {}", parameter.allowed())?;
    }
    Ok(())
}
