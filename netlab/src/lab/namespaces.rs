//! Namespaces and the files that hold them, as `ip netns` knows them: made, and removed with whoever is in them.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::LabError;
use crate::limits::KILL_ROUNDS_MAX;

/// Where `ip netns` keeps its namespaces.
const NAMESPACES: &str = "/run/netns";

const NONE: Option<&str> = None;

/// The file of a host's namespace.
pub(super) fn file(laboratory: &str, host: &str) -> PathBuf {
    Path::new(NAMESPACES).join(format!("shingle-{laboratory}-{host}"))
}

/// Makes namespaces, each held by its file. By threads of this process: a program of its own might live on when this process is killed,
/// and make some after what is left was removed.
pub(super) fn make(files: &[PathBuf]) -> Result<(), LabError> {
    let made = |file: &Path| {
        unshare(CloneFlags::CLONE_NEWNET).map_err(LabError::system("make a network namespace"))?;
        File::create(file).map_err(LabError::system(format!("make {}", file.display())))?;
        mount(Some("/proc/thread-self/ns/net"), file, NONE, MsFlags::MS_BIND, NONE)
            .map_err(LabError::system(format!("mount a network namespace on {}", file.display())))
    };
    std::thread::scope(|scope| {
        files.iter().try_for_each(|file| {
            scope.spawn(move || made(file)).join().expect("a thread that makes a namespace does not panic")
        })
    })
}

/// Makes the directory a mount of its own, as `ip netns` does when it first meets it: done over living namespaces, it would leave their
/// files busy.
pub(super) fn prepare() -> Result<(), LabError> {
    fs::create_dir_all(NAMESPACES).map_err(LabError::system(format!("make {NAMESPACES}")))?;
    let share = || mount(NONE, NAMESPACES, NONE, MsFlags::MS_SHARED | MsFlags::MS_REC, NONE);
    let prepared = match share() {
        Err(Errno::EINVAL) => {
            mount(Some(NAMESPACES), NAMESPACES, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
                .and_then(|()| share())
        }
        shared => shared,
    };
    prepared.map_err(LabError::system(format!("mount {NAMESPACES}")))
}

/// Ends all processes in the namespaces, and unmounts and removes their files. The kernel takes devices and rules away with them.
pub(super) fn remove(namespaces: &[PathBuf]) -> Result<(), LabError> {
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
