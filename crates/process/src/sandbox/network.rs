//! The network inside of a sandbox: a loopback interface, and listeners that the process outside uses.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// Turns the loopback interface on, which is off in a new network.
pub(super) fn start_loopback() -> io::Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: the structure is plain data, for which zeros are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let flags = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).map_err(io::Error::other)?;
    // SAFETY: the kernel reads the structure.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })?;
    Ok(())
}

/// Lets every process of a new network listen on every port of it, as only root may otherwise.
pub(super) fn allow_low_ports() {
    // Without it, only those ports cannot be used, which `listen` says.
    let _ = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
}

/// Listens on these ports of the network, whose only interface is loopback: of both IP versions, because programs differ in what
/// they take `localhost` for.
pub(super) fn listen(ports: &[u16]) -> io::Result<Vec<TcpListener>> {
    let listen = |port: u16| {
        let both = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port));
        both.or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, port)))
            .map_err(|error| io::Error::new(error.kind(), format!("port {port} of the network inside: {error}")))
    };
    ports.iter().copied().map(listen).collect()
}
