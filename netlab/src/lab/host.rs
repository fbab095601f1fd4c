//! A host of a laboratory: the way into its namespace, for threads and for programs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use nix::sched::{CloneFlags, setns};

use super::{LabError, kernel_counters, tools};
use crate::plan::{Family, HostPlan};

/// A network namespace. Clones are the same one; it is held open until the last is gone, but only a living [`Lab`](super::Lab) has wires.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    path: PathBuf,
    addresses: Vec<IpAddr>,
    namespace: Arc<File>,
}

impl Host {
    /// A host whose namespace is there already.
    pub(super) fn open(plan: &HostPlan, path: &Path) -> Result<Self, LabError> {
        let namespace = File::open(path).map_err(LabError::system(format!("open {}", path.display())))?;
        Ok(Self {
            name: plan.name.clone(),
            path: path.to_owned(),
            addresses: plan.addresses.iter().map(|&(_, address, _)| address).collect(),
            namespace: Arc::new(namespace),
        })
    }

    /// `client`, `server`, `router`, ...
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that holds the namespace, as `ip netns` knows it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its own address.
    ///
    /// # Panics
    /// If the plan gave the host none of this family; client and server of the catalogue have both.
    pub fn address(&self, family: Family) -> IpAddr {
        self.addresses
            .iter()
            .copied()
            .find(|&address| family.is_of(address))
            .expect("an address of the family")
    }

    /// All its addresses of a family, its own first.
    pub fn addresses(&self, family: Family) -> Vec<IpAddr> {
        self.addresses.iter().copied().filter(|&address| family.is_of(address)).collect()
    }

    /// Moves the calling thread into this host until the guard is dropped. Threads and programs started meanwhile stay in it, and so do
    /// sockets opened meanwhile.
    ///
    /// # Errors
    /// The process may not (it is neither root nor prepared by [`prepare_process`](super::prepare_process)).
    pub fn enter(&self) -> Result<Entered, LabError> {
        let before = File::open("/proc/thread-self/ns/net")
            .map_err(LabError::system("open the namespace of this thread"))?;
        setns(&*self.namespace, CloneFlags::CLONE_NEWNET)
            .map_err(LabError::system(format!("enter {}", self.path.display())))?;
        Ok(Entered { before, stays: PhantomData })
    }

    /// Runs `work` in this host, on the calling thread.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> Result<T, LabError> {
        let _entered = self.enter()?;
        Ok(work())
    }

    /// A program to be run in this host. It is killed when the *thread* that spawned it ends (`setpriv --pdeathsig`), so that it does not
    /// outlive a killed process.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = tools::command("nsenter");
        command
            .arg(format!("--net={}", self.path.display()))
            .args(["--", "setpriv", "--pdeathsig", "KILL", "--"])
            .arg(program);
        command
    }

    /// Sets a key below /proc/sys, named with dots.
    ///
    /// # Errors
    /// There is no such key, or it does not take the value.
    pub fn set_sysctl(&self, key: &str, value: &str) -> Result<(), LabError> {
        self.run(|| fs::write(sysctl_file(key), value))?
            .map_err(LabError::system(format!("{}: set {key} to {value}", self.name)))
    }

    /// The value of a key below /proc/sys, named with dots.
    ///
    /// # Errors
    /// There is no such key.
    pub fn sysctl(&self, key: &str) -> Result<String, LabError> {
        let value = self
            .run(|| fs::read_to_string(sysctl_file(key)))?
            .map_err(LabError::system(format!("{}: read {key}", self.name)))?;
        Ok(value.trim().to_owned())
    }

    /// Runs `ip` here; what it printed.
    ///
    /// # Errors
    /// With what it wrote to stderr.
    pub fn ip(&self, words: &[&str]) -> Result<String, LabError> {
        self.tool("ip", words, "")
    }

    /// Runs a script with `nft -f` here; what it printed.
    ///
    /// # Errors
    /// With what it wrote to stderr.
    pub fn nft(&self, script: &str) -> Result<String, LabError> {
        self.tool("nft", &["-f", "-"], script)
    }

    /// The kernel's counters of this host that speak of lost packets and of what leads to losses (`UdpRcvbufErrors`, `Ip6ReasmFails`,
    /// `IpFragCreates`), those that are not 0.
    ///
    /// # Errors
    /// /proc/net/snmp cannot be read.
    pub fn kernel_counters(&self) -> Result<BTreeMap<String, u64>, LabError> {
        kernel_counters::read(self)
    }

    /// Runs a tool to its end, in this host.
    pub(super) fn tool(&self, program: &str, words: &[&str], input: &str) -> Result<String, LabError> {
        self.run(|| tools::run(program, words, input))?.map_err(|error| error.within(&self.name))
    }

    /// A file below /proc/net, as this host sees it.
    pub(super) fn proc_net(&self, file: &str) -> Result<String, LabError> {
        // /proc/net is the namespace of the process's first thread.
        self.run(|| fs::read_to_string(Path::new("/proc/thread-self/net").join(file)))?
            .map_err(LabError::system(format!("{}: read /proc/net/{file}", self.name)))
    }
}

fn sysctl_file(key: &str) -> PathBuf {
    Path::new("/proc/sys").join(key.replace('.', "/"))
}

/// The calling thread is in a host until this is dropped.
#[derive(Debug)]
#[must_use = "the thread leaves the host at once when this is dropped"]
pub struct Entered {
    before: File,
    /// A thread can only take itself back.
    stays: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let back: Result<(), io::Error> =
            setns(&self.before, CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
        back.expect("back into the namespace this thread came from");
    }
}
