//! The claim on a laboratory's name: a lock that dies with its owner, and the removal of what a dead owner left behind.
//!
//! Each laboratory has a file NAME.lock below [`LOCKS`], locked (flock) as long as its process lives, which lists its namespaces before
//! they are made. Who finds such a file unlocked removes what it lists. All this happens under one lock of the directory.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{LabError, namespaces};
use crate::limits::{GUARD_POLL, GUARD_WAIT_MAX, LAB_NAME_BYTES_MAX};

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
        namespaces::prepare()?;
        remove_dead()?;
        let file = lock_file(name);
        let namespaces: Vec<PathBuf> = hosts.iter().map(|host| namespaces::file(name, host)).collect();
        let Some((mut lock, _)) = try_lock(&file)? else {
            return Err(LabError::InUse { name: name.to_owned(), owner: owner(&file) });
        };
        let mut list = format!("{}\n", std::process::id());
        for namespace in &namespaces {
            list.push_str(&format!("{}\n", namespace.display()));
        }
        lock.write_all(list.as_bytes()).map_err(LabError::system(format!("write {}", file.display())))?;
        // Namespaces of these names without a lock: somebody emptied the directory of locks.
        namespaces::remove(&namespaces)?;
        Ok(Self { name: name.to_owned(), namespaces, _lock: lock })
    }

    /// Files of the namespaces, in the order of the hosts; none once the name is given back.
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
        namespaces::remove(&namespaces)?;
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

fn lock_file(name: &str) -> PathBuf {
    Path::new(LOCKS).join(format!("{name}.lock"))
}

/// The lock of the directory: whoever makes, reads or removes a lock in it holds this.
fn guard() -> Result<File, LabError> {
    fs::create_dir_all(LOCKS).map_err(LabError::system(format!("make {LOCKS}")))?;
    let path = Path::new(LOCKS).join(GUARD);
    let file = File::create(&path).map_err(LabError::system(format!("make {}", path.display())))?;
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // Its holder is stopped, or a debugger is in it.
            Err(TryLockError::WouldBlock) if begin.elapsed() > GUARD_WAIT_MAX => {
                return Err(LabError::Guard { file: path.display().to_string() });
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(GUARD_POLL),
            Err(TryLockError::Error(error)) => {
                return Err(LabError::system(format!("lock {}", path.display()))(error));
            }
        }
    }
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
        namespaces::remove(&namespaces)?;
        fs::remove_file(&path).map_err(LabError::system(format!("remove {}", path.display())))?;
        removed.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    Ok(removed)
}
