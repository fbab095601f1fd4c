//! A topology of the catalogue with values for its parameters: what a test or a command line asks for.

use std::time::Duration;

use crate::catalogue::{Entry, Parameter, catalogue};
use crate::limits::SECOND_NS;
use crate::plan::{Family, Plan};
use crate::topology::{Direction, Link, Topology};

/// A topology and the values of all its parameters.
///
/// ```
/// # use shingle_netlab::Spec;
/// let spec = Spec::new("fragment-limit")?.set("limit=500/s")?.set("delay=1ms")?;
/// let plan = spec.plan();
/// assert_eq!(plan.hosts[0].name, "client");
/// # Ok::<(), shingle_netlab::SpecError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Spec {
    entry: &'static Entry,
    /// In the order of the entry's parameters.
    values: Vec<u64>,
}

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
    /// The topology has no parameter of this name.
    #[error("{} has no parameter `{name}`; {}it has {}", entry.name, did_you_mean(*nearest), names(entry.parameters.iter().map(|parameter| parameter.name)))]
    Parameter {
        /// The topology.
        entry: &'static Entry,
        /// What was asked for.
        name: String,
        /// The name most like it.
        nearest: Option<&'static str>,
    },
    /// A setting is not of the form `NAME=VALUE`.
    #[error("`{0}` is no setting; give NAME=VALUE, such as delay=5ms")]
    Setting(String),
    /// A value is not of its parameter's kind.
    #[error("{topology}: {name}={value} cannot be read; give {allowed}")]
    Value {
        /// The topology.
        topology: &'static str,
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
        topology: &'static str,
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
        topology: &'static str,
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

impl Spec {
    /// The topology of this name with its defaults.
    ///
    /// # Errors
    /// If the catalogue has no such topology.
    pub fn new(topology: &str) -> Result<Self, SpecError> {
        let entry = catalogue().iter().find(|entry| entry.name == topology).ok_or_else(|| {
            let names = catalogue().iter().map(|entry| entry.name);
            SpecError::Topology { name: topology.into(), nearest: nearest(topology, names) }
        })?;
        Ok(Self { entry, values: entry.parameters.iter().map(|parameter| parameter.default).collect() })
    }

    /// The same with one parameter set, given as `NAME=VALUE`.
    ///
    /// # Errors
    /// If there is no such parameter, its value is not allowed, or not together with the others.
    pub fn set(self, setting: &str) -> Result<Self, SpecError> {
        self.set_all([setting])
    }

    /// The same with several parameters set, each once. Only together must they make sense.
    ///
    /// # Errors
    /// As [`set`](Self::set), and if two are of one parameter.
    pub fn set_all(mut self, settings: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, SpecError> {
        let topology = self.entry.name;
        let mut given = Vec::new();
        for setting in settings {
            let name = self.put(setting.as_ref())?;
            if given.contains(&name) {
                return Err(SpecError::Twice { topology, name });
            }
            given.push(name);
        }
        (self.entry.check)(&self).map_err(|reason| SpecError::Combination { topology, reason })?;
        Ok(self)
    }

    /// The topology.
    pub fn entry(&self) -> &'static Entry {
        self.entry
    }

    /// All parameters with their values, defaults included.
    pub fn settings(&self) -> Vec<(String, String)> {
        let pair =
            |(parameter, value): (&Parameter, &u64)| (parameter.name.into(), parameter.written(*value));
        self.entry.parameters.iter().zip(&self.values).map(pair).collect()
    }

    /// What to build of it in the kernel.
    pub fn plan(&self) -> Plan {
        let mut plan = (self.entry.plan)(self);
        plan.topology = self.entry.name.into();
        plan.settings = self.settings();
        plan.family = self.family();
        plan
    }

    /// The same network for the simulated back end, whose endpoints choose the family by their addresses. None where the cause lies
    /// in a host itself (its queue, its pauses), for simulated hosts are endpoints of the test's own.
    pub fn simulated(&self) -> Option<Topology> {
        let mut topology = (self.entry.simulated)(self)?;
        let delay = self.duration("delay");
        if !delay.is_zero() {
            topology.up.links.insert(0, Link::delay(delay));
            topology.down.links.insert(0, Link::delay(delay));
        }
        Some(topology)
    }

    /// Sets a parameter and tells its name.
    fn put(&mut self, setting: &str) -> Result<&'static str, SpecError> {
        let (name, text) = setting.split_once('=').ok_or_else(|| SpecError::Setting(setting.into()))?;
        let parameters = self.entry.parameters;
        let place = parameters.iter().position(|parameter| parameter.name == name).ok_or_else(|| {
            let names = parameters.iter().map(|parameter| parameter.name);
            SpecError::Parameter { entry: self.entry, name: name.into(), nearest: nearest(name, names) }
        })?;
        let (parameter, topology) = (&parameters[place], self.entry.name);
        let (name, range) = (parameter.name, parameter.range());
        let value = parameter.read(text).ok_or_else(|| SpecError::Value {
            topology,
            name,
            value: text.into(),
            allowed: parameter.allowed(),
        })?;
        if value < parameter.range.0 || value > parameter.range.1 {
            return Err(SpecError::Range { topology, name, value: text.into(), range });
        }
        self.values[place] = value;
        Ok(name)
    }

    /// The value of a parameter in its own unit.
    pub(crate) fn number(&self, name: &str) -> u64 {
        let place = self.entry.parameters.iter().position(|parameter| parameter.name == name);
        self.values[place.expect("recipes ask for parameters of their own entries")]
    }

    pub(crate) fn bytes(&self, name: &str) -> u32 {
        u32::try_from(self.number(name)).expect("packets have at most 65535 bytes")
    }

    pub(crate) fn share(&self, name: &str) -> f64 {
        self.number(name) as f64 / crate::catalogue::WHOLE_PPM as f64
    }

    pub(crate) fn duration(&self, name: &str) -> Duration {
        Duration::from_nanos(self.number(name))
    }

    pub(crate) fn seconds(&self, name: &str) -> Duration {
        Duration::from_nanos(self.number(name).saturating_mul(SECOND_NS))
    }

    /// As it would be set: for choices, the word.
    pub(crate) fn word(&self, name: &str) -> String {
        let parameter = self.entry.parameters.iter().find(|parameter| parameter.name == name);
        parameter.expect("recipes ask for parameters of their own entries").written(self.number(name))
    }

    pub(crate) fn family(&self) -> Family {
        if self.word("family") == "6" { Family::V6 } else { Family::V4 }
    }

    /// The ways that the parameter `direction` names.
    pub(crate) fn ways(&self) -> &'static [Direction] {
        match self.word("direction").as_str() {
            "up" => &[Direction::Up],
            "down" => &[Direction::Down],
            _ => &[Direction::Up, Direction::Down],
        }
    }
}

/// The name most like this one, if one is like it at all.
fn nearest(name: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let like = names.map(|known| (strsim::jaro_winkler(name, known), known));
    let (likeness, known) = like.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (likeness > 0.75).then_some(known)
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("did you mean `{name}`? "))
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
