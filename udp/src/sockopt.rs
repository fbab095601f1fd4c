//! Socket options as plain integers and structures: getsockopt(2) and setsockopt(2).

use std::io;
use std::os::fd::AsRawFd;

/// Sets an option whose value is an int.
pub(crate) fn set_int(socket: &impl AsRawFd, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer and length describe value, which outlives the call.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Reads an option whose value is an int.
pub(crate) fn get_int(socket: &impl AsRawFd, level: i32, name: i32) -> io::Result<libc::c_int> {
    let mut value = [0u32; 1];
    get_words(socket, level, name, &mut value)?;
    Ok(value[0] as libc::c_int)
}

/// Reads an option whose value is an array of 32-bit words and returns how many the kernel wrote.
pub(crate) fn get_words(
    socket: &impl AsRawFd,
    level: i32,
    name: i32,
    words: &mut [u32],
) -> io::Result<usize> {
    let mut len = size_of_val(words) as libc::socklen_t;
    // SAFETY: the pointer and length describe words, which outlives the call; any bit pattern is a valid u32.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, words.as_mut_ptr().cast(), &mut len) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(len as usize / size_of::<u32>())
}
