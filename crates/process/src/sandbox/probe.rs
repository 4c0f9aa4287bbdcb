//! Finds out which backends work here, by using them.

use std::fs;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::process::Stdio;

use super::backend::{Backend, NoBackend};
use super::layout::{FileAccess, Helper, Network, Sandbox, SandboxError};
use super::prepared::{Channel, PreparedSandbox};
use crate::child::group::run_blocking;
use crate::child::pre_exec;
use crate::os::linux;
use crate::tracking::controllers::TreeLimits;

/// Bytes of the stderr of a failed backend that its error quotes.
const STDERR_MAX: u64 = 500;

/// Returns the strongest backend that works here. Starts a shell in a sandbox to find out, which blocks for some
/// milliseconds.
pub fn best_backend(helper: &Helper) -> Result<Backend, NoBackend> {
    let mut tried = Vec::new();
    for backend in Backend::ALL {
        match check_backend(backend, helper) {
            Ok(()) => return Ok(backend),
            Err(why) => tried.push((backend, why)),
        }
    }
    Err(NoBackend { tried, hint: hint() })
}

/// Tries whether a backend works here. The error is the reason why it does not.
pub fn check_backend(backend: Backend, helper: &Helper) -> Result<(), String> {
    run_shell(backend, helper).map_err(|error| error.to_string())
}

fn run_shell(backend: Backend, helper: &Helper) -> io::Result<()> {
    let (files, helper) = (FileAccess::default(), helper.clone());
    let sandbox = Sandbox { files, network: Network::Host, helper, backend };
    let sandbox = PreparedSandbox::prepare(&sandbox, TreeLimits::default()).map_err(|error| match error {
        // Without the backend's name, which the caller knows.
        SandboxError::System { source, .. } => source,
        error => io::Error::other(error),
    })?;
    let shell = Path::new("/bin/sh");
    let command = sandbox.command(shell.as_os_str(), shell, &["-c".into(), ":".into()], Path::new("/"));
    let (mut command, inherited, channel) = command.map_err(io::Error::other)?;
    let mut stderr = linux::create_memfd()?;
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr.try_clone()?);
    pre_exec::isolate(&mut command);
    inherited.apply(&mut command);
    let status = run_blocking(&mut command)?;
    drop(command);
    // A program that is no helper does not report that the sandbox is complete.
    channel.map_or(Ok(Vec::new()), Channel::started)?;
    if status.success() {
        return Ok(());
    }
    stderr.rewind()?;
    let mut why = String::new();
    // If it is not UTF-8, the exit status has to do.
    let _ = stderr.take(STDERR_MAX).read_to_string(&mut why);
    Err(io::Error::other(match why.trim() {
        "" => format!("it failed with {status}"),
        why => format!("{why} ({status})"),
    }))
}

/// Returns steps that the user can take, considering the settings of this kernel.
fn hint() -> String {
    let set_to = |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let mut steps = Vec::new();
    if set_to("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        steps.push(format!(
            "allow user namespaces to kugetsu, which AppArmor denies to programs without a profile: `{}`",
            install_profile(&std::env::current_exe().unwrap_or_else(|_| "/usr/local/bin/kugetsu".into()))
        ));
    }
    if set_to("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        steps.push("enable user namespaces: `sudo sysctl -w kernel.unprivileged_userns_clone=1`".to_owned());
    }
    if set_to("/proc/sys/user/max_user_namespaces", "0") {
        steps.push("enable user namespaces: `sudo sysctl -w user.max_user_namespaces=10000`".to_owned());
    }
    steps.push(
        "install bubblewrap (`apt-get install bubblewrap`), or use Linux 6.2 or newer with landlock (`lsm=` on the \
         kernel command line must name it)"
            .to_owned(),
    );
    steps.join("; ")
}

/// The command that installs an AppArmor profile for a program.
fn install_profile(program: &Path) -> String {
    format!(
        r"printf 'abi <abi/4.0>,\ninclude <tunables/global>\nprofile kugetsu {} flags=(unconfined) {{\n  userns,\n}}\n' | sudo tee /etc/apparmor.d/kugetsu && sudo apparmor_parser -r /etc/apparmor.d/kugetsu",
        program.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_names_the_program() {
        let command = install_profile(Path::new("/opt/kugetsu"));
        assert!(command.contains(r"profile kugetsu /opt/kugetsu flags=(unconfined) {\n  userns,\n}\n'"), "{command}");
    }
}
