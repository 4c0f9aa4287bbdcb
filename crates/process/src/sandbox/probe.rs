//! Which means for a cage there are, found by using them.

use std::fs;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::process::Stdio;

use super::backend::{Backend, NoBackend};
use super::layout::{FileAccess, Sandbox, SandboxError};
use super::memfd;
use super::prepared::PreparedSandbox;
use crate::child::run_blocking;
use crate::pre_exec;

/// Bytes of what a program says against it.
const SAID_MAX: u64 = 500;

/// The strongest means there is here, found by trying them: starts a shell in a cage. Blocks for some milliseconds.
///
/// # Errors
/// [`NoBackend`], with what is missing and how to get it.
pub fn best_backend() -> Result<Backend, NoBackend> {
    let mut tried = Vec::new();
    for backend in Backend::ALL {
        match check_backend(backend) {
            Ok(()) => return Ok(backend),
            Err(why) => tried.push((backend, why)),
        }
    }
    Err(NoBackend { tried, repair: repair() })
}

/// Whether this means can be had here, found by trying it.
///
/// # Errors
/// Why not, in words.
pub fn check_backend(backend: Backend) -> Result<(), String> {
    try_out(backend).map_err(|error| error.to_string())
}

fn try_out(backend: Backend) -> io::Result<()> {
    let sandbox =
        PreparedSandbox::build(&Sandbox { files: FileAccess::default(), backend }).map_err(|error| match error {
            // Which means failed is said by who asks.
            SandboxError::System { source, .. } => source,
            error => io::Error::other(error),
        })?;
    let shell = Path::new("/bin/sh");
    let command = sandbox.command(shell.as_os_str(), shell, &["-c".into(), ":".into()], Path::new("/"));
    let mut command = command.map_err(io::Error::other)?;
    let mut said = memfd::file()?;
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?);
    pre_exec::isolate(&mut command);
    sandbox.shut(&mut command);
    let status = run_blocking(&mut command)?;
    if status.success() {
        return Ok(());
    }
    said.rewind()?;
    let mut why = String::new();
    // Not text: the exit status is told alone.
    let _ = said.take(SAID_MAX).read_to_string(&mut why);
    Err(io::Error::other(match why.trim() {
        "" => format!("it ended with {status} and said nothing"),
        why => format!("{why} ({status})"),
    }))
}

/// What a person can do, by what this system looks like.
fn repair() -> String {
    let set_to = |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let mut repair = "Install bubblewrap (`apt-get install bubblewrap`), or use Linux 6.2 or newer with landlock \
                      (`lsm=` on the kernel's command line must name it)."
        .to_owned();
    if set_to("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        repair.push_str(
            " AppArmor keeps bubblewrap from working for ordinary users; this allows it: \
             `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`.",
        );
    }
    if set_to("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        repair.push_str(
            " User namespaces are switched off; this allows them: `sudo sysctl -w kernel.unprivileged_userns_clone=1`.",
        );
    }
    if set_to("/proc/sys/user/max_user_namespaces", "0") {
        repair.push_str(
            " User namespaces are switched off; this allows them: `sudo sysctl -w user.max_user_namespaces=10000`.",
        );
    }
    repair
}
