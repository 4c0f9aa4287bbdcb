//! What the daemon hands to a runner: an open lock, a specification and the values that may be secrets.

use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::path::{Path, PathBuf};

use kugetsu_agent::environment::Variable;
use kugetsu_api::home::RunHome;
use kugetsu_api::regular_file;
use kugetsu_api::run_key::RunKey;
use kugetsu_api::run_spec::{RunSecrets, RunSpec};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use thiserror::Error;

/// Everything that a runner starts with.
#[derive(Clone, Debug)]
pub struct RunInput {
    pub spec: RunSpec,
    /// The variables of the env files: they reach the agent, and git for the servers' tokens.
    pub variables: Vec<Variable>,
    /// The variables in the agent's configuration, which win over all others.
    pub agent_variables: Vec<Variable>,
    /// Shows the daemon that this is the run's runner.
    pub key: RunKey,
}

/// The runner was not started as the daemon starts it.
#[derive(Debug, Error)]
pub enum InputError {
    #[error("descriptor {0} is not the lock of a run; only the daemon starts runners")]
    NotALock(RawFd),
    #[error("cannot read {}: {error}", path.display())]
    Spec { path: PathBuf, error: io::Error },
    #[error("{} is not the specification of a run: {error}; was it written by another version of kugetsu?", path.display())]
    NotASpec { path: PathBuf, error: serde_json::Error },
    #[error("the daemon ended before it had handed over the variables of the run: {0}")]
    Secrets(#[source] io::Error),
    #[error("the daemon did not hand over the key of the run")]
    NoKey,
    #[error("standard input is a terminal: a runner is started by the daemon only")]
    Terminal,
}

impl RunInput {
    /// Takes over what the daemon hands to the runner of the run in `directory`. `lock` is the descriptor whose lock shows
    /// that the run has a runner; the process holds it until it ends.
    ///
    /// # Errors
    /// [`InputError`]; nothing was done yet.
    pub fn receive(directory: &Path, lock: RawFd) -> Result<Self, InputError> {
        keep_lock(lock)?;
        let spec = read_spec(directory)?;
        let stdin = io::stdin();
        if stdin.as_fd().is_terminal() {
            return Err(InputError::Terminal);
        }
        let RunSecrets { variables, own_variables, agent_variables, key } =
            read_secrets(stdin.lock()).map_err(InputError::Secrets)?;
        let (variables, agent_variables) = (typed(variables, &own_variables), typed(agent_variables, &[]));
        Ok(Self { spec, variables, agent_variables, key: key.ok_or(InputError::NoKey)? })
    }
}

/// The lock shows that the runner lives, not its agent: nothing that this process starts may inherit it.
fn keep_lock(lock: RawFd) -> Result<(), InputError> {
    let not_a_lock = InputError::NotALock(lock);
    if lock < 3 {
        return Err(not_a_lock);
    }
    // SAFETY: the daemon opened it for this process; it stays open until the process ends.
    #[expect(unsafe_code, reason = "an inherited descriptor is a number until it is borrowed")]
    let lock = unsafe { BorrowedFd::borrow_raw(lock) };
    fcntl(lock, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map(drop).map_err(|_| not_a_lock)
}

fn read_spec(directory: &Path) -> Result<RunSpec, InputError> {
    let path = RunHome::new(directory.to_owned()).spec();
    match regular_file::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| InputError::NotASpec { path, error }),
        Err(error) => Err(InputError::Spec { path, error }),
    }
}

/// Reads to the end: a daemon that dies halfway closes the pipe, and what it wrote is no complete JSON object.
fn read_secrets(mut from: impl Read) -> io::Result<RunSecrets> {
    let mut text = Vec::new();
    from.read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

fn typed(variables: Vec<(String, String)>, own: &[String]) -> Vec<Variable> {
    let typed = |(name, value): (String, String)| {
        let is_own = own.contains(&name);
        Variable { name, value: value.into(), is_own }
    };
    variables.into_iter().map(typed).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn secrets_that_were_cut_off_are_an_error() {
        let key = Some(RunKey::random().unwrap());
        let secrets = RunSecrets { variables: vec![("A".into(), "b".into())], key, ..RunSecrets::default() };
        let text = serde_json::to_vec(&secrets).unwrap();
        assert_eq!(read_secrets(text.as_slice()).unwrap(), secrets);
        for length in 0..text.len() {
            assert!(read_secrets(&text[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_run_of_another_version_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(read_spec(directory.path()), Err(InputError::Spec { .. })));
        fs::write(directory.path().join("spec.json"), "{}").unwrap();
        assert!(read_spec(directory.path()).unwrap_err().to_string().contains("another version"));
    }
}
