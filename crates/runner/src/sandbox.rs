//! The sandbox of a run: whether it has one, and how the kernel enforces it.

use std::path::PathBuf;

use kugetsu_api::run_spec::SandboxChoice;
use kugetsu_domain::reason::Reason;
use kugetsu_process::sandbox::{Backend, FileAccess, Helper, Network, Sandbox, best_backend};

use crate::run_context::{Agent, RunContext};

/// The strongest backend that works here; `None` if the run does without a sandbox, which its records state. `subject` is the beginning
/// of a sentence, and `setting` what decides about it.
///
/// # Errors
/// The run needs a sandbox, and the machine has none.
pub(crate) async fn backend(run: &RunContext, subject: &str, setting: &str) -> Result<Option<Backend>, Reason> {
    if run.spec.sandbox == SandboxChoice::Off {
        run.spool.notice(format!("{subject} runs without a sandbox: {setting} is off"));
        return Ok(None);
    }
    match tokio::task::spawn_blocking(|| best_backend(&Helper::of_this_program())).await {
        Ok(Ok(backend)) => Ok(Some(backend)),
        Ok(Err(error)) if run.spec.sandbox == SandboxChoice::Best => {
            let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            run.spool.notice(format!("{subject} runs without a sandbox: {error}{hint}"));
            Ok(None)
        }
        Ok(Err(error)) => {
            let off = format!("to run it without a sandbox: `kugetsu config set {setting} off`");
            let hints: Vec<String> = error.hint().into_iter().chain([off]).collect();
            Err(Reason::from(error.to_string()).hint(hints.join("; ")))
        }
        Err(error) => Err(error.to_string().into()),
    }
}

pub(crate) fn sandbox(backend: Backend, files: FileAccess) -> Sandbox {
    Sandbox { files, network: Network::Host, helper: Helper::of_this_program(), backend }
}

/// The agent's program, and kugetsu's, which it may start.
pub(crate) fn programs(agent: &Agent) -> Vec<PathBuf> {
    [agent.program.clone()].into_iter().chain(kugetsu_api::program::path().ok()).collect()
}
