//! The rights a laboratory needs: root's, or those of a user namespace of one's own.

use std::fs;
use std::io;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{AccessFlags, access, getegid, geteuid};

use super::LabError;

/// CAP_NET_ADMIN and CAP_SYS_ADMIN, as bits of `CapEff` in /proc/self/status.
const NEEDED_CAPABILITIES: u64 = 1 << 12 | 1 << 21;

/// Gets this process the rights it needs. To be called first in `main`, before there is any other thread. Root needs nothing; an ordinary
/// user goes into a user, network and mount namespace of its own, with an empty /run, where it is root of its laboratories alone. They
/// vanish with the process and its children.
///
/// # Errors
/// [`LabError::Rights`] says what is in the way and how to get it.
pub fn prepare_process() -> Result<(), LabError> {
    if has_rights() {
        return Ok(());
    }
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .map_err(|error| refused(error.into()))?;
    let write = |file: &str, text: String| fs::write(file, text).map_err(refused);
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("0 {user} 1"))?;
    write("/proc/self/gid_map", format!("0 {group} 1"))?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(|error| refused(error.into()))?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none).map_err(|error| refused(error.into()))
}

/// Checks that a laboratory can be made by this process.
pub(super) fn check() -> Result<(), LabError> {
    if has_rights() {
        return Ok(());
    }
    Err(LabError::Rights {
        missing: "this process has neither root's rights nor a user namespace".to_owned(),
        remedy: "run as root, or let the program call lab::prepare_process() before anything else".to_owned(),
    })
}

/// Whether this process lives in a user namespace that is not the machine's own.
pub(super) fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().ne(["0", "0", "4294967295"])
}

/// Whether the kernel speaks IPv6.
pub(super) fn has_ipv6() -> bool {
    Path::new("/proc/net/if_inet6").exists()
}

/// Capabilities alone do not say it: those of a user namespace without a mount namespace do not reach /run.
fn has_rights() -> bool {
    has_capabilities() && access("/run", AccessFlags::W_OK).is_ok()
}

fn has_capabilities() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .unwrap_or(0);
    effective & NEEDED_CAPABILITIES == NEEDED_CAPABILITIES
}

/// Why an ordinary user got no namespaces of its own, by the switches this kernel has.
fn refused(error: io::Error) -> LabError {
    let switch = |file: &str| fs::read_to_string(file).ok().map(|value| value.trim().to_owned());
    let closed = |file: &str, off: &str| switch(file).is_some_and(|value| value == off);
    let (missing, remedy) = if closed("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        ("kernel.unprivileged_userns_clone is 0".to_owned(), "sysctl -w kernel.unprivileged_userns_clone=1")
    } else if closed("/proc/sys/user/max_user_namespaces", "0") {
        ("user.max_user_namespaces is 0".to_owned(), "sysctl -w user.max_user_namespaces=10000")
    } else if closed("/proc/sys/user/max_net_namespaces", "0") {
        ("user.max_net_namespaces is 0".to_owned(), "sysctl -w user.max_net_namespaces=10000")
    } else if closed("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        (
            "AppArmor takes ordinary users' rights away (kernel.apparmor_restrict_unprivileged_userns is 1)"
                .to_owned(),
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give the program an AppArmor profile with userns",
        )
    } else if error.raw_os_error() == Some(nix::libc::EINVAL) {
        (
            "this process has several threads already".to_owned(),
            "call lab::prepare_process() before starting any",
        )
    } else {
        (
            format!("the kernel refuses a user namespace ({error})"),
            "give the container CAP_SYS_ADMIN and CAP_NET_ADMIN (docker run --privileged)",
        )
    };
    LabError::Rights { missing, remedy: format!("run as root, or: {remedy}") }
}
