//! Third-party servers on local ports, which end with their test.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kugetsu_testkit::eventually_within;
use tempfile::TempDir;

/// Timeout until the program listens.
const START_TIMEOUT: Duration = Duration::from_secs(180);

/// The program that a variable names. It is required on a build server; elsewhere its tests are skipped.
pub(crate) fn program(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    if path.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{variable} must name the program where CI is set");
        eprintln!("skipped: {variable} does not name a program; `cargo xtask test` does that");
    }
    path
}

/// A running program with its own directory.
pub(crate) struct Peer {
    child: Child,
    address: SocketAddr,
    home: TempDir,
}

impl Peer {
    /// Starts a command for a port and a directory, and waits until it accepts connections.
    pub(crate) fn start(command: impl FnOnce(u16, &TempDir) -> Command) -> Self {
        let home = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = File::create(home.path().join("log")).unwrap();
        let mut command = command(address.port(), &home);
        command.env("HOME", home.path()).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let peer = Self { child: command.spawn().unwrap(), address, home };
        eventually_within(START_TIMEOUT, "the program to listen", || TcpStream::connect(peer.address).is_ok());
        peer
    }

    pub(crate) fn url(&self) -> String {
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
