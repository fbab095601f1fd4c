//! The kernel's clocks (clock_gettime(2)).

use std::time::Duration;

/// CPU time this thread has used, user and system.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    let now = read(libc::CLOCK_THREAD_CPUTIME_ID);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

/// CPU time all threads of this process have used, user and system.
#[must_use]
pub fn process_cpu_time() -> Duration {
    let now = read(libc::CLOCK_PROCESS_CPUTIME_ID);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

/// Nanoseconds since an arbitrary start, never going back (CLOCK_MONOTONIC).
#[must_use]
pub fn monotonic_ns() -> u64 {
    nanoseconds(read(libc::CLOCK_MONOTONIC))
}

/// Nanoseconds since 1970 as the host's clock has it (CLOCK_REALTIME): the clock of
/// [`Datagram::kernel_time_ns`](crate::Datagram::kernel_time_ns). It may jump.
#[must_use]
pub fn realtime_ns() -> u64 {
    nanoseconds(read(libc::CLOCK_REALTIME))
}

fn nanoseconds(time: libc::timespec) -> u64 {
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: now is a valid place for the time. The call cannot fail: the four clocks above always exist.
    let result = unsafe { libc::clock_gettime(clock, &mut now) };
    debug_assert_eq!(result, 0);
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_advance() {
        let (monotonic, cpu) = (monotonic_ns(), thread_cpu_time());
        let mut spins = 0u64;
        while thread_cpu_time() == cpu || monotonic_ns() == monotonic {
            spins += 1;
            assert!(spins < 1_000_000_000, "a clock stands still");
        }
    }

    #[test]
    fn realtime_agrees_with_std() {
        let std = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        assert!(realtime_ns().abs_diff(std.as_nanos() as u64) < 60_000_000_000);
    }
}
