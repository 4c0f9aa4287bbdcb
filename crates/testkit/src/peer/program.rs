//! Third-party servers on local ports, which end with their test.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::wait::eventually_within;

/// Timeout until the program listens.
const START_TIMEOUT: Duration = Duration::from_secs(180);

/// The program that a variable names. It is required on a build server; elsewhere its tests are skipped.
///
/// # Panics
/// Panics on a build server if the variable is not set.
pub fn program(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    if path.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{variable} must name the program where CI is set");
        eprintln!("skipped: {variable} does not name a program; `cargo xtask test` does that");
    }
    path
}

/// A running program with its own directory.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    address: SocketAddr,
    home: TempDir,
}

impl Peer {
    /// Starts a command for a port and a directory, and waits until it accepts connections.
    ///
    /// # Panics
    /// Panics if it does not start.
    pub fn start(command: impl FnOnce(u16, &TempDir) -> Command) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port on 127.0.0.1");
        let log = File::create(home.path().join("log")).expect("a log file");
        let mut command = command(address.port(), &home);
        command.env("HOME", home.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("the log file")).stderr(log);
        let peer = Self { child: command.spawn().expect("the program to start"), address, home };
        eventually_within(START_TIMEOUT, "the program to listen", || TcpStream::connect(peer.address).is_ok());
        peer
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default());
        }
    }
}
