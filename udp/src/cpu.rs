//! Which CPUs this thread may use, and keeping it to some of them (sched_setaffinity(2)).

use std::io;

use crate::limits::CPUS_MAX;

const WORD_BITS: usize = u64::BITS as usize;
type Mask = [u64; CPUS_MAX / WORD_BITS];

/// CPUs the calling thread may run on, in ascending order.
///
/// # Errors
/// Whatever the kernel says.
pub fn allowed_cpus() -> io::Result<Vec<usize>> {
    let mut mask: Mask = [0; CPUS_MAX / WORD_BITS];
    // SAFETY: pointer and size describe mask; the kernel writes whole words of it, of which all values are valid.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<Mask>(), mask.as_mut_ptr().cast()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((0..CPUS_MAX).filter(|cpu| mask[cpu / WORD_BITS] >> (cpu % WORD_BITS) & 1 == 1).collect())
}

/// Lets the calling thread run on `cpu` only.
///
/// # Errors
/// InvalidInput naming the CPUs there are, when `cpu` is not one this thread may be moved to.
pub fn pin_thread_to(cpu: usize) -> io::Result<()> {
    keep_thread_to(&[cpu])
}

/// Lets the calling thread, and the threads it will start, run on these CPUs only.
///
/// # Errors
/// InvalidInput naming the CPUs there are, when none of `cpus` is one this thread may be moved to.
pub fn keep_thread_to(cpus: &[usize]) -> io::Result<()> {
    let mut mask: Mask = [0; CPUS_MAX / WORD_BITS];
    for &cpu in cpus {
        let Some(word) = mask.get_mut(cpu / WORD_BITS) else { return Err(not_allowed(cpus)) };
        *word |= 1 << (cpu % WORD_BITS);
    }
    // SAFETY: pointer and size describe mask, which the kernel reads.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<Mask>(), mask.as_ptr().cast()) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    Err(if error.raw_os_error() == Some(libc::EINVAL) { not_allowed(cpus) } else { error })
}

fn not_allowed(cpus: &[usize]) -> io::Error {
    let allowed = allowed_cpus().unwrap_or_default();
    let text = format!("CPU {cpus:?} cannot be used by this thread; allowed are {allowed:?}");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_to_each_allowed_cpu_and_no_other() {
        // Affinity belongs to the thread, so the test runs in one of its own.
        std::thread::spawn(|| {
            let allowed = allowed_cpus().unwrap();
            assert!(!allowed.is_empty());
            for &cpu in &allowed {
                pin_thread_to(cpu).unwrap();
                assert_eq!(allowed_cpus().unwrap(), [cpu]);
            }
            keep_thread_to(&allowed).unwrap();
            assert_eq!(allowed_cpus().unwrap(), allowed);
            for absent in [CPUS_MAX - 1, CPUS_MAX, usize::MAX] {
                let error = pin_thread_to(absent).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
                assert!(error.to_string().contains(&absent.to_string()), "{error}");
            }
        })
        .join()
        .unwrap();
    }
}
