//! A topology of the catalogue, or several in one network, with values for their parameters: what a test or a command line asks for.

use std::time::Duration;

use crate::catalogue::{Draft, Entry, Parameter, catalogue, clash, wide};
use crate::part::Part;
use crate::plan::{Family, Plan};
use crate::spec_error::{SpecError, nearest};
use crate::topology::{Link, Topology};

/// One topology, or several joined by `+`, and the values of all their parameters.
///
/// ```
/// # use shingle_netlab::Spec;
/// let spec = Spec::new("fragment-limit")?.set("limit=500/s")?.set("delay=1ms")?;
/// let plan = spec.plan();
/// assert_eq!(plan.hosts[0].name, "client");
///
/// let both = Spec::new("fragment-limit+lossy")?.set_all(["limit=500/s", "lossy.rate=2%"])?;
/// assert_eq!(both.causes(), ["fragment_rate_limit", "path_loss"]);
/// # Ok::<(), shingle_netlab::SpecError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Spec {
    /// In the order in which they were named; packets meet their rules in this order.
    entries: Vec<&'static Entry>,
    /// Those of the network itself first, then each entry's own, in the order of its parameters.
    settings: Vec<Setting>,
}

/// A parameter and its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Whose it is; none: it says something of the network itself, and there is one for all topologies in it.
    pub(crate) owner: Option<&'static Entry>,
    pub(crate) parameter: &'static Parameter,
    pub(crate) value: u64,
}

/// Parameters that say something of the links and hosts themselves: what several topologies have of these is one.
const SHARED: [&str; 7] =
    ["mtu", "server-mtu", "mtu-expires", "reassembly-memory", "reassembly-time", "delay", "family"];

impl Spec {
    /// The topology of this name with its defaults, or several, `A+B`, in one network.
    ///
    /// # Errors
    /// If the catalogue has no such topology, or two do not go together.
    pub fn new(topology: &str) -> Result<Self, SpecError> {
        let entries = topology.split('+').map(entry).collect::<Result<Vec<_>, _>>()?;
        for (index, second) in entries.iter().enumerate() {
            for first in &entries[..index] {
                if let Some(reason) = clash(first.name, second.name) {
                    return Err(SpecError::Pair { first: first.name, second: second.name, reason });
                }
            }
        }
        let mut settings: Vec<Setting> = Vec::new();
        for (entry, parameter) in
            entries.iter().flat_map(|entry| entry.parameters.iter().map(move |it| (*entry, it)))
        {
            let owner = (entries.len() > 1 && !SHARED.contains(&parameter.name)).then_some(entry);
            let held = settings.iter_mut().find(|it| owner.is_none() && it.parameter.name == parameter.name);
            match held {
                // Who has a link for each end says more of MTUs than who has one for both.
                Some(held) if entry.parameter("server-mtu").is_some() => {
                    (held.parameter, held.value) = (parameter, parameter.default);
                }
                Some(_) => {}
                None => settings.push(Setting { owner, parameter, value: parameter.default }),
            }
        }
        settings.sort_by_key(|it| it.owner.is_some());
        Ok(Self { entries, settings })
    }

    /// The same with one parameter set, given as `NAME=VALUE`; of several topologies as `TOPOLOGY.NAME=VALUE` where more than one has such a
    /// parameter of its own.
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
        let mut given = Vec::new();
        for setting in settings {
            let place = self.put(setting.as_ref())?;
            if given.contains(&place) {
                let Setting { owner, parameter, .. } = self.settings[place];
                return Err(SpecError::Twice { topology: self.named(owner), name: parameter.name });
            }
            given.push(place);
        }
        for part in self.parts() {
            let refused = |reason| SpecError::Combination { topology: part.entry().name, reason };
            (part.entry().check)(&part).map_err(refused)?;
        }
        Ok(self)
    }

    /// Its name: those of its topologies, joined by `+`.
    pub fn name(&self) -> String {
        self.entries.iter().map(|entry| entry.name).collect::<Vec<_>>().join("+")
    }

    /// Its topologies, in the order in which packets meet their rules.
    pub fn entries(&self) -> &[&'static Entry] {
        &self.entries
    }

    /// The causes that its topologies must produce, each once, by the names that records use.
    pub fn causes(&self) -> Vec<&'static str> {
        let mut causes = Vec::new();
        for cause in self.entries.iter().flat_map(|entry| entry.causes) {
            if !causes.contains(cause) {
                causes.push(*cause);
            }
        }
        causes
    }

    /// All parameters with their values, defaults included; of several topologies, those that one has for itself as `TOPOLOGY.NAME`.
    pub fn settings(&self) -> Vec<(String, String)> {
        let pair = |it: &Setting| (it.name(), it.parameter.written(it.value));
        self.settings.iter().map(pair).collect()
    }

    /// What to build of it in the kernel.
    pub fn plan(&self) -> Plan {
        let mut draft = Draft::new(&self.first());
        self.parts().for_each(|part| (part.entry().plan)(&part, &mut draft));
        let mut plan = draft.plan();
        plan.topology = self.name();
        plan.settings = self.settings();
        plan.family = self.family();
        plan
    }

    /// The same network for the simulated back end, whose endpoints choose the family by their addresses. None where a cause lies
    /// in a host itself (its queue, its pauses), for simulated hosts are endpoints of the test's own.
    pub fn simulated(&self) -> Option<Topology> {
        let mut topology = wide(&self.first());
        for part in self.parts() {
            topology = part.entry().simulated?(&part, topology);
        }
        let delay = self.delay();
        if !delay.is_zero() {
            topology.up.links.insert(0, Link::delay(delay));
            topology.down.links.insert(0, Link::delay(delay));
        }
        Some(topology)
    }

    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.entries.iter().map(|entry| Part::new(entry, &self.settings))
    }

    /// Sets a parameter and tells its place.
    fn put(&mut self, setting: &str) -> Result<usize, SpecError> {
        let (name, text) = setting.split_once('=').ok_or_else(|| SpecError::Setting(setting.into()))?;
        let place = self.place(name)?;
        let Setting { owner, parameter, .. } = self.settings[place];
        let (topology, name) = (self.named(owner), parameter.name);
        let Some(value) = parameter.read(text) else {
            return Err(SpecError::Value {
                topology,
                name,
                value: text.into(),
                allowed: parameter.allowed(),
            });
        };
        if value < parameter.range.0 || value > parameter.range.1 {
            return Err(SpecError::Range { topology, name, value: text.into(), range: parameter.range() });
        }
        self.settings[place].value = value;
        Ok(place)
    }

    /// Which setting is meant by a name, that of a topology before it or not.
    fn place(&self, asked: &str) -> Result<usize, SpecError> {
        let (topology, name) =
            asked.split_once('.').map_or((None, asked), |(topology, name)| (Some(topology), name));
        let entry = match topology {
            None => None,
            Some(topology) => {
                Some(*self.entries.iter().find(|entry| entry.name == topology).ok_or_else(|| {
                    SpecError::NotThere { topology: topology.into(), name: name.into(), spec: self.name() }
                })?)
            }
        };
        let is_meant = |it: &Setting| {
            it.parameter.name == name
                && entry.is_none_or(|entry| {
                    it.owner.map_or(entry.parameter(name).is_some(), |owner| owner == entry)
                })
        };
        let meant: Vec<usize> =
            self.settings.iter().enumerate().filter(|(_, it)| is_meant(it)).map(|(place, _)| place).collect();
        match meant[..] {
            [place] => Ok(place),
            [] => Err(self.unknown(entry, name)),
            _ => {
                let each = meant.iter().map(|place| self.settings[*place].name()).collect();
                Err(SpecError::Ambiguous { spec: self.name(), name: name.into(), each })
            }
        }
    }

    fn unknown(&self, entry: Option<&'static Entry>, name: &str) -> SpecError {
        let (topology, known): (String, Vec<String>) = match entry {
            Some(entry) => (entry.name.into(), entry.parameters.iter().map(|it| it.name.into()).collect()),
            None => (self.name(), self.settings.iter().map(Setting::name).collect()),
        };
        let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        SpecError::Parameter { topology, name: name.into(), nearest, known }
    }

    /// Whose a setting is, by name.
    fn named(&self, owner: Option<&Entry>) -> String {
        owner.map_or_else(|| self.name(), |entry| entry.name.into())
    }

    fn first(&self) -> Part<'_> {
        Part::new(self.entries[0], &self.settings)
    }

    fn delay(&self) -> Duration {
        self.first().duration("delay")
    }

    fn family(&self) -> Family {
        if self.first().word("family") == "6" { Family::V6 } else { Family::V4 }
    }
}

impl Setting {
    /// As it would be set.
    fn name(&self) -> String {
        let name = self.parameter.name;
        self.owner.map_or_else(|| name.into(), |entry| format!("{}.{name}", entry.name))
    }
}

fn entry(name: &str) -> Result<&'static Entry, SpecError> {
    catalogue().iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names = catalogue().iter().map(|entry| entry.name);
        SpecError::Topology { name: name.into(), nearest: nearest(name, names) }
    })
}
