//! `kugetsu attach`: the agent's own screen on an issue's session.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use clap::Args;
use kugetsu_agent::SessionId;
use kugetsu_api::home::Home;
use kugetsu_api::path;
use kugetsu_api::run::{RunObject, State};
use kugetsu_domain::reference::COORDINATOR;
use kugetsu_git::worktree::lock::hold;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use secrecy::ExposeSecret;

use crate::config::load::{for_run, own_environment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{completions, connect, paths};

/// Open the agent's own screen on an issue's session, in its worktree.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu attach .
  kugetsu attach acme/api#12")]
pub(crate) struct Attach {
    /// The issue, or the identifier of its session.
    #[arg(add = completions::issues())]
    reference: String,
}

/// Becomes the agent's program; returns only if it could not.
pub(crate) async fn run(home: &Home, arguments: Attach) -> Result<Exit, Failure> {
    let cwd = paths::cwd()?;
    let query = [("reference", Some(arguments.reference.as_str())), ("cwd", Some(cwd.as_str()))];
    let run: RunObject = connect::ask(home, &path::with_query(path::ISSUE, &query)).await?;
    let issue = &run.issue;
    if issue == COORDINATOR {
        return Err(Failure::usage(
            "the coordinator works where it cannot write, and its screen would be outside of that",
        )
        .hint("read what it does: kugetsu logs -f pm; ask it for something: kugetsu delegate \"<message>\""));
    }
    if !run.state.is_final() {
        let going_on = if run.state == State::Running { "a run is going on" } else { "a task is in line" };
        return Err(Failure::new(format!("{going_on} for {issue}, and two cannot use one session"))
            .hint(format!("watch it: kugetsu logs -f {issue}")));
    }
    let session = run.session_id.as_deref().ok_or_else(|| Failure::new(format!("{issue} has no session")))?;
    let worktree = run.worktree.as_deref().filter(|directory| Path::new(directory).is_dir());
    let worktree = worktree.ok_or_else(|| {
        Failure::new(format!("{issue} has no worktree any more"))
            .hint(format!("`kugetsu rescue list {issue}` shows what was kept"))
    })?;
    let held =
        hold(Path::new(worktree)).map_err(|error| Failure::new(format!("{worktree} cannot be used: {error}")))?;
    let held = held.ok_or_else(|| {
        Failure::new(format!("somebody else is at work on {issue} just now, and two cannot use one session"))
            .hint(format!("see what goes on: kugetsu logs -f {issue}"))
    })?;
    let settings = for_run(home, &own_environment, &[&run.agent])?.settings;
    let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
    let session = SessionId::new(session).map_err(|error| failed(&error))?;
    let profile = kugetsu_agent::profile(&run.agent, &settings.agents).map_err(|error| failed(&error))?;
    let program = kugetsu_agent::find_program(&profile, &settings.search_path()).map_err(|error| failed(&error))?;
    let launch = profile.attach(&session).ok_or_else(|| {
        Failure::new(format!("the agent {} has no screen of its own on a session", run.agent))
            .hint(format!("read it with: kugetsu logs {issue}; go on with: kugetsu continue {issue} \"<message>\""))
    })?;
    let mut variables: Vec<(OsString, OsString)> =
        settings.variables.iter().map(|one| ((&one.name).into(), one.value.expose_secret().into())).collect();
    launch.extend_env(&mut variables).map_err(|error| failed(&error))?;
    // The agent's screen keeps the worktree for as long as it is open: no run begins on it, and it is not removed.
    fcntl(&held, FcntlArg::F_SETFD(FdFlag::empty())).map_err(|error| failed(&error))?;
    let error =
        Command::new(&program).args(&launch.args).envs(variables).current_dir(worktree).env("PWD", worktree).exec();
    Err(Failure::new(format!("{} could not be started: {error}", program.display())))
}
