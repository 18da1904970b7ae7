//! Messages between the verifier and its zygotes, over pairs of connected sockets.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// Room for one control message, aligned as the kernel wants it.
type Room = [u64; 8];

/// Two connected sockets that are closed on `exec`.
pub(crate) fn pair(kind: libc::c_int) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the call writes two descriptors into the array, which nobody else owns.
    unsafe {
        if libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

/// From now on the kernel says with each message that arrives which process sent it.
pub(crate) fn name_senders(socket: &OwnedFd) -> io::Result<()> {
    set_option(socket, libc::SO_PASSCRED, &1_i32)
}

/// How long a write may wait for room.
pub(crate) fn limit_writes(socket: &OwnedFd, patience: Duration) -> io::Result<()> {
    let seconds = libc::time_t::try_from(patience.as_secs()).unwrap_or(libc::time_t::MAX - 1);
    set_option(socket, libc::SO_SNDTIMEO, &libc::timeval { tv_sec: seconds + 1, tv_usec: 0 })
}

fn set_option<T>(socket: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    let value: *const T = value;
    // SAFETY: the option's value is valid for the stated size.
    let done = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value.cast(), size)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends a message, with a descriptor if there is one.
pub(crate) fn send(socket: &OwnedFd, bytes: &[u8], fd: Option<RawFd>) -> io::Result<()> {
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut room = Room::default();
    // SAFETY: an all-zero header is valid; the pointers are to locals that outlive the call,
    // and the control message fits the room it is written to.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        if let Some(fd) = fd {
            let size = u32::try_from(size_of::<RawFd>()).unwrap_or(4);
            message.msg_control = room.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(size) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size) as _;
            libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(fd);
        }
        libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A message: its length (0 when the other end is gone), and who sent it where the socket names
/// senders. The number is the process's own in the reader's namespace.
pub(crate) fn receive(
    socket: &OwnedFd,
    buffer: &mut [u8],
    patience: Duration,
) -> io::Result<(usize, Option<libc::pid_t>)> {
    let deadline = Instant::now() + patience;
    loop {
        if !wait_readable(socket, deadline.saturating_duration_since(Instant::now()))? {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the zygote does not answer"));
        }
        match receive_now(socket, buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok((0, None)),
            done => return done,
        }
    }
}

fn receive_now(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<(usize, Option<libc::pid_t>)> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut room = Room::default();
    // SAFETY: an all-zero header is valid; the pointers are to locals that outlive the calls,
    // and a control message is read only as far as its own length says.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = room.as_mut_ptr().cast();
        message.msg_controllen = size_of::<Room>() as _;
        let n = libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC);
        let Ok(n) = usize::try_from(n) else { return Err(io::Error::last_os_error()) };
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        let named = !header.is_null()
            && (*header).cmsg_level == libc::SOL_SOCKET
            && (*header).cmsg_type == libc::SCM_CREDENTIALS;
        let sender =
            named.then(|| libc::CMSG_DATA(header).cast::<libc::ucred>().read_unaligned().pid);
        Ok((n, sender))
    }
}

/// Appends what has arrived to `buffer`; 0 bytes at the end of the stream. Never waits, so that
/// nothing that only looks like an arrival can hold the reader up.
pub(crate) fn read(socket: &OwnedFd, buffer: &mut Vec<u8>) -> io::Result<usize> {
    const CHUNK: usize = 1 << 16;
    buffer.reserve(CHUNK);
    let room = buffer.spare_capacity_mut();
    // SAFETY: the room is writable for its length, and what was written is initialised.
    unsafe {
        let n = libc::recv(
            socket.as_raw_fd(),
            room.as_mut_ptr().cast(),
            room.len(),
            libc::MSG_DONTWAIT,
        );
        let Ok(n) = usize::try_from(n) else { return Err(io::Error::last_os_error()) };
        buffer.set_len(buffer.len() + n);
        Ok(n)
    }
}

/// Waits until there is something to read, or the end; false when time is up.
pub(crate) fn wait_readable(socket: &impl AsRawFd, patience: Duration) -> io::Result<bool> {
    wait(socket, libc::POLLIN, patience)
}

/// Waits until the other end is closed, whatever arrives before; false when time is up.
pub(crate) fn wait_closed(socket: &impl AsRawFd, patience: Duration) -> io::Result<bool> {
    wait(socket, 0, patience)
}

/// Waits for any of these events, or the end, which needs no asking for.
fn wait(socket: &impl AsRawFd, events: libc::c_short, patience: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events, revents: 0 };
    // Rounded up, so that a wait never ends before its time.
    let ms = i32::try_from(patience.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
    // SAFETY: one valid entry.
    let n = unsafe { libc::poll(&raw mut poll, 1, ms) };
    if n >= 0 {
        return Ok(n > 0);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) }
}
