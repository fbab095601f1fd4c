//! A child process that stays on its CPUs and does not outlive whoever started it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the command run on `cpus` alone, and be killed when the *thread* that starts it ends, however it ends (PR_SET_PDEATHSIG,
/// prctl(2)). A program that changes its user loses that tie.
///
/// # Panics
/// If a CPU's number does not fit the kernel's mask.
pub fn confine(command: &mut Command, cpus: &[usize]) {
    // SAFETY: all zeroes is a valid, empty mask.
    let mut mask: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &cpu in cpus {
        assert!(cpu < libc::CPU_SETSIZE as usize, "CPU {cpu}");
        // SAFETY: the assertion keeps the bit inside the mask.
        unsafe { libc::CPU_SET(cpu, &mut mask) };
    }
    let parent = std::process::id();
    let before_exec = move || {
        // SAFETY: plain system calls on values of this frame.
        let (tied, pinned, parent_now) = unsafe {
            (
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL),
                libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &mask),
                libc::getppid(),
            )
        };
        if tied != 0 || pinned != 0 {
            return Err(io::Error::last_os_error());
        }
        // The parent may have gone before the tie was made.
        if parent_now as u32 == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: the closure makes async-signal-safe system calls only, and takes no memory.
    unsafe { command.pre_exec(before_exec) };
}

/// Lets the calling thread run on every CPU of the machine again, whatever the thread that started it was pinned to.
///
/// # Errors
/// Whatever the kernel says.
pub fn unpin_thread() -> io::Result<()> {
    // SAFETY: all ones is a valid mask of all CPUs, of which the kernel takes those that the process may have.
    let result = unsafe {
        let mut mask: libc::cpu_set_t = std::mem::zeroed();
        (0..libc::CPU_SETSIZE as usize).for_each(|cpu| libc::CPU_SET(cpu, &mut mask));
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &mask)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Stops a child, or lets it go on: what is sent to it meanwhile waits in its socket, so that it is all there at once.
///
/// # Errors
/// Whatever the kernel says.
pub fn hold(child: u32, stopped: bool) -> io::Result<()> {
    let signal = if stopped { libc::SIGSTOP } else { libc::SIGCONT };
    // SAFETY: a plain system call.
    let result = unsafe { libc::kill(child as libc::pid_t, signal) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
