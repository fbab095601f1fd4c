//! Which socket of a SO_REUSEPORT group takes a datagram: a classic BPF program that chooses by CPU.

use std::io;
use std::os::fd::AsRawFd;

use crate::limits::STEERED_CPUS_MAX;
use crate::socket::Socket;

impl Socket {
    /// Steers every datagram to the socket whose thread runs on the CPU that the kernel handles it on
    /// (SO_ATTACH_REUSEPORT_CBPF, socket(7)): `cpus[i]` is the CPU of the group's i-th socket, in the order they were bound. What
    /// other CPUs handle goes to the sockets in turns of the CPU's number. Call it on any socket of the group once all are bound.
    ///
    /// Where the network card spreads flows over its queues and each queue's interrupt has a CPU of its own, a flow keeps its socket, and
    /// its datagrams never change the CPU. When a socket leaves, the kernel moves the last one into its place; numbers that are no
    /// longer there fall back on the kernel's own choice, a hash of addresses and ports (`reuseport_select_sock`,
    /// net/core/sock_reuseport.c).
    ///
    /// # Errors
    /// InvalidInput without CPUs or with more than [`STEERED_CPUS_MAX`]; otherwise whatever the kernel says, EINVAL on a socket that shares no port.
    pub fn steer_by_cpu(&self, cpus: &[u32]) -> io::Result<()> {
        if cpus.is_empty() || cpus.len() > STEERED_CPUS_MAX {
            let text = format!("{} CPUs to steer to; allowed are 1 to {STEERED_CPUS_MAX}", cpus.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut program = by_cpu(cpus);
        let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        let len = size_of_val(&program) as libc::socklen_t;
        // SAFETY: the pointer and length describe the program, which with its instructions outlives the call.
        let result = unsafe {
            libc::setsockopt(
                self.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_REUSEPORT_CBPF,
                (&raw const program).cast(),
                len,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

/// Looks the CPU up in the list, and divides it by the number of sockets where it is not there.
fn by_cpu(cpus: &[u32]) -> Vec<libc::sock_filter> {
    let instruction = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let cpu = (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32;
    let mut program = vec![instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, cpu)];
    for (socket, &cpu) in (0..).zip(cpus) {
        // The next instruction where they are equal, else the one behind it.
        let equal = instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, cpu);
        program.push(libc::sock_filter { jf: 1, ..equal });
        program.push(instruction(libc::BPF_RET | libc::BPF_K, socket));
    }
    program.push(instruction(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, cpus.len() as u32));
    program.push(instruction(libc::BPF_RET | libc::BPF_A, 0));
    program
}
