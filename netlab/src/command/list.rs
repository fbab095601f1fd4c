//! `netlab list`: the catalogue in words.

use std::error::Error;

use shingle_netlab::{Entry, Spec, catalogue};

/// Prints one topology, or all.
pub(super) fn list(topology: Option<&str>) -> Result<(), Box<dyn Error>> {
    let entries: Vec<&Entry> = match topology {
        Some(name) => vec![Spec::new(name)?.entry()],
        None => catalogue().iter().collect(),
    };
    for (number, entry) in entries.into_iter().enumerate() {
        if number > 0 {
            println!();
        }
        print(entry);
    }
    Ok(())
}

fn print(entry: &Entry) {
    println!("{}: {}", entry.name, entry.sentence);
    println!("    story: {}", entry.story);
    let causes = if entry.causes.is_empty() { "none".to_owned() } else { entry.causes.join(", ") };
    println!("    cause: {causes}");
    for parameter in entry.parameters {
        println!("    {}={}  {}", parameter.name, parameter.default(), parameter.sentence);
        println!("        {}; {}", parameter.unit(), parameter.range());
    }
}
