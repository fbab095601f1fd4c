//! Why there is no such network: what was given, what is allowed, what to do.

use crate::catalogue::catalogue;

/// Why there is no such network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No topology has this name.
    #[error("there is no topology `{name}`; {}there are {}", did_you_mean(*nearest), names(catalogue().iter().map(|entry| entry.name)))]
    Topology {
        /// What was asked for.
        name: String,
        /// The name most like it.
        nearest: Option<&'static str>,
    },
    /// Two topologies that are no network together.
    #[error("{first}+{second} cannot be one network: {reason}")]
    Pair {
        /// One of them.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// Why, and what to do.
        reason: &'static str,
    },
    /// The topology has no parameter of this name.
    #[error("{topology} has no parameter `{name}`; {}it has {}", did_you_mean(nearest.as_deref()), names(known.iter().map(String::as_str)))]
    Parameter {
        /// The topology, or several.
        topology: String,
        /// What was asked for.
        name: String,
        /// The name most like it.
        nearest: Option<String>,
        /// All that it has.
        known: Vec<String>,
    },
    /// A parameter of a topology that is not in this network.
    #[error(
        "{spec} has no {topology} of which to set `{name}`; give NAME=VALUE, or TOPOLOGY.NAME=VALUE with one of its topologies"
    )]
    NotThere {
        /// What was asked for.
        topology: String,
        /// Its parameter.
        name: String,
        /// What there is.
        spec: String,
    },
    /// Several topologies have a parameter of this name, each for itself.
    #[error("`{name}` may be of more than one topology of {spec}; give one of {}", names(each.iter().map(String::as_str)))]
    Ambiguous {
        /// The topologies.
        spec: String,
        /// What was asked for.
        name: String,
        /// By which names they go.
        each: Vec<String>,
    },
    /// A setting is not of the form `NAME=VALUE`.
    #[error("`{0}` is no setting; give NAME=VALUE, such as delay=5ms")]
    Setting(String),
    /// A value is not of its parameter's kind.
    #[error("{topology}: {name}={value} cannot be read; give {allowed}")]
    Value {
        /// The topology.
        topology: String,
        /// The parameter.
        name: &'static str,
        /// What was given.
        value: String,
        /// How values of this parameter look, and what is allowed.
        allowed: String,
    },
    /// A value lies outside of its range.
    #[error("{topology}: {name}={value} is out of range; give {range}")]
    Range {
        /// The topology.
        topology: String,
        /// The parameter.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        range: String,
    },
    /// Two settings of one parameter.
    #[error("{topology}: {name} is set twice; give one value")]
    Twice {
        /// The topology.
        topology: String,
        /// The parameter.
        name: &'static str,
    },
    /// Each value is allowed, but not all together.
    #[error("{topology}: {reason}")]
    Combination {
        /// The topology.
        topology: &'static str,
        /// Which values contradict each other, and what to do.
        reason: String,
    },
}

/// The name most like this one, if one is like it at all; names may have a topology before them.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let bare = |known: &'a str| known.rsplit_once('.').map_or(known, |(_, bare)| bare);
    let like = names.map(|known| (strsim::jaro_winkler(name, bare(known)), known));
    let (likeness, known) = like.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (likeness > 0.75).then_some(known)
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("did you mean `{name}`? "))
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
