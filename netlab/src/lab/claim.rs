//! The claim on a laboratory's name: a lock that dies with its owner, and the removal of what a dead owner left behind.
//!
//! Each laboratory has a file NAME.lock below [`LOCKS`], locked (flock) as long as its process lives, which lists its namespaces before
//! they are made. Who finds such a file unlocked removes what it lists. All this happens under one lock of the directory.

use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::LabError;
use crate::limits::{KILL_ROUNDS_MAX, LAB_NAME_BYTES_MAX};

/// Where `ip netns` keeps its namespaces.
const NAMESPACES: &str = "/run/netns";
/// Where laboratories keep their locks.
const LOCKS: &str = "/run/shingle-netlab";
/// The lock of the directory itself.
const GUARD: &str = "directory.guard";

/// A name taken, until it is given back by [`release`](Self::release).
#[derive(Debug)]
pub(super) struct Claim {
    name: String,
    namespaces: Vec<PathBuf>,
    /// Held, never read: the kernel lets go of it when the process is gone.
    _lock: File,
}

impl Claim {
    /// Takes the name, after removing what dead laboratories left.
    pub(super) fn take(name: &str, hosts: &[&str]) -> Result<Self, LabError> {
        check_name(name)?;
        let _guard = guard()?;
        remove_dead()?;
        let file = lock_file(name);
        let namespaces: Vec<PathBuf> = hosts.iter().map(|host| namespace(name, host)).collect();
        let Some((mut lock, _)) = try_lock(&file)? else {
            return Err(LabError::InUse { name: name.to_owned(), owner: owner(&file) });
        };
        let mut list = format!("{}\n", std::process::id());
        for namespace in &namespaces {
            list.push_str(&format!("{}\n", namespace.display()));
        }
        lock.write_all(list.as_bytes()).map_err(LabError::system(format!("write {}", file.display())))?;
        // Namespaces of these names without a lock: somebody emptied the directory of locks.
        remove(&namespaces)?;
        Ok(Self { name: name.to_owned(), namespaces, _lock: lock })
    }

    /// Files of the namespaces, in the order of the hosts.
    pub(super) fn namespaces(&self) -> &[PathBuf] {
        &self.namespaces
    }

    /// Removes the namespaces with all processes in them, and gives the name back.
    pub(super) fn release(&mut self) -> Result<(), LabError> {
        let namespaces = std::mem::take(&mut self.namespaces);
        if namespaces.is_empty() {
            // Given back before: the name may be another's by now.
            return Ok(());
        }
        let _guard = guard()?;
        remove(&namespaces)?;
        let file = lock_file(&self.name);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(LabError::system(format!("remove {}", file.display()))(error))
            }
            _ => Ok(()),
        }
    }
}

/// Removes what laboratories left whose process is gone; their names.
///
/// # Errors
/// The process may not write in /run, or a namespace cannot be removed.
pub fn clean() -> Result<Vec<String>, LabError> {
    let _guard = guard()?;
    remove_dead()
}

fn check_name(name: &str) -> Result<(), LabError> {
    let fits = (1..=LAB_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if fits { Ok(()) } else { Err(LabError::Name { name: name.to_owned() }) }
}

fn namespace(name: &str, host: &str) -> PathBuf {
    Path::new(NAMESPACES).join(format!("shingle-{name}-{host}"))
}

fn lock_file(name: &str) -> PathBuf {
    Path::new(LOCKS).join(format!("{name}.lock"))
}

/// The lock of the directory: whoever makes, reads or removes a lock in it holds this.
fn guard() -> Result<File, LabError> {
    fs::create_dir_all(LOCKS).map_err(LabError::system(format!("make {LOCKS}")))?;
    let path = Path::new(LOCKS).join(GUARD);
    let file = File::create(&path).map_err(LabError::system(format!("make {}", path.display())))?;
    file.lock().map_err(LabError::system(format!("lock {}", path.display())))?;
    Ok(file)
}

/// The locked file and what stood in it; none if somebody living holds it.
fn try_lock(path: &Path) -> Result<Option<(File, String)>, LabError> {
    let mut file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(LabError::system(format!("open {}", path.display())))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => {
            return Err(LabError::system(format!("lock {}", path.display()))(error));
        }
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(LabError::system(format!("read {}", path.display())))?;
    Ok(Some((file, text)))
}

fn owner(lock: &Path) -> String {
    let text = fs::read_to_string(lock).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

/// The caller holds the guard.
fn remove_dead() -> Result<Vec<String>, LabError> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(LOCKS).map_err(LabError::system(format!("read {LOCKS}")))? {
        let path = entry.map_err(LabError::system(format!("read {LOCKS}")))?.path();
        if path.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Some((_lock, text)) = try_lock(&path)? else {
            continue;
        };
        let namespaces: Vec<PathBuf> = text.lines().skip(1).map(PathBuf::from).collect();
        remove(&namespaces)?;
        fs::remove_file(&path).map_err(LabError::system(format!("remove {}", path.display())))?;
        removed.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    Ok(removed)
}

/// Ends all processes in the namespaces, and unmounts and removes their files. The kernel takes devices and rules away with them.
fn remove(namespaces: &[PathBuf]) -> Result<(), LabError> {
    let ours = namespaces.iter().filter(|path| path.starts_with(NAMESPACES));
    let there: Vec<&PathBuf> = ours.filter(|path| path.exists()).collect();
    if there.is_empty() {
        return Ok(());
    }
    let inhabitants = Inhabitants::of(&there);
    inhabitants.kill();
    for path in there {
        match umount2(path, MntFlags::MNT_DETACH) {
            // Not mounted: the owner died between making the file and mounting the namespace on it.
            Ok(()) | Err(Errno::EINVAL) => {}
            Err(error) => return Err(LabError::system(format!("unmount {}", path.display()))(error)),
        }
        fs::remove_file(path).map_err(LabError::system(format!("remove {}", path.display())))?;
    }
    // Who was on the way in when the others were killed; nobody finds the way any more.
    inhabitants.kill();
    Ok(())
}

/// The processes that are in some namespaces, or about to be.
struct Inhabitants {
    /// Device and inode of the namespaces.
    namespaces: Vec<(u64, u64)>,
    /// Held open: the inode of a namespace that is gone is soon another's.
    _held: Vec<File>,
    /// What `nsenter` is told to enter.
    arguments: Vec<Vec<u8>>,
}

impl Inhabitants {
    fn of(namespaces: &[&PathBuf]) -> Self {
        let held: Vec<File> = namespaces.iter().filter_map(|path| File::open(path).ok()).collect();
        Self {
            namespaces: held
                .iter()
                .filter_map(|file| file.metadata().ok())
                .map(|file| identity(&file))
                .collect(),
            _held: held,
            arguments: namespaces
                .iter()
                .map(|path| format!("--net={}", path.display()).into_bytes())
                .collect(),
        }
    }

    /// SIGKILL to each, again until there is none: they may be starting others.
    fn kill(&self) {
        for _ in 0..KILL_ROUNDS_MAX {
            let Ok(processes) = fs::read_dir("/proc") else { return };
            let found: Vec<u32> = processes
                .flatten()
                .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
                .filter(|&process| process != std::process::id() && self.include(process))
                .collect();
            if found.is_empty() {
                return;
            }
            for process in found {
                // Gone by itself meanwhile, or another user's: the next round finds out.
                let _ = kill(Pid::from_raw(process as i32), Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn include(&self, process: u32) -> bool {
        let directory = PathBuf::from(format!("/proc/{process}"));
        let inside = fs::metadata(directory.join("ns/net"))
            .is_ok_and(|file| self.namespaces.contains(&identity(&file)));
        inside
            || fs::read(directory.join("cmdline")).is_ok_and(|line| {
                line.split(|&byte| byte == 0)
                    .any(|word| self.arguments.iter().any(|argument| argument == word))
            })
    }
}

fn identity(namespace: &Metadata) -> (u64, u64) {
    (namespace.dev(), namespace.ino())
}
