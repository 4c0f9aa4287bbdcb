//! `kugetsu attach`: opens the agent's own user interface on an issue's session.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use clap::Args;
use jiff::Timestamp;
use kugetsu_agent::SessionId;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::issue::IssueQuery;
use kugetsu_api::location::LocationRecord;
use kugetsu_domain::git_variables::{ceilings, not_inherited};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::reference::COORDINATOR;
use kugetsu_domain::task::TaskState;
use kugetsu_engine::Settings;
use kugetsu_git::worktree::lock::{ATTACHED, hold};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use secrecy::ExposeSecret;

use super::diff::warn_of_planted;
use crate::config::load::{load, own_environment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{completions, connect, env_files, paths, ui};

/// Open an issue's session in the agent's own user interface, in the issue's worktree.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu attach .
  kugetsu attach acme/api#12")]
pub(crate) struct Attach {
    /// The issue, or the ID of its session.
    #[arg(add = completions::issues())]
    reference: String,
    /// Open it even if the agent left files that programs execute.
    #[arg(long, short)]
    yes: bool,
}

/// Replaces this process by the agent's program; returns only on failure.
pub(crate) async fn run(home: &Home, arguments: Attach) -> Result<Exit, Failure> {
    let query = IssueQuery { reference: arguments.reference, cwd: paths::cwd()? };
    let run = connect::call(home, &endpoints::SHOW_ISSUE, &query).await?;
    let issue = &run.issue;
    if issue == COORDINATOR {
        return Err(Failure::usage(
            "cannot attach to the coordinator: its sandbox does not cover the agent's own interface",
        )
        .hint("follow it with `kugetsu logs -f pm`, or send it a message with `kugetsu delegate \"<message>\"`"));
    }
    if !run.state.is_final() {
        let state = if run.state == TaskState::Running { "it is running" } else { "it has a queued task" };
        return Err(Failure::new(format!("cannot attach to {issue} while {state}"))
            .hint(format!("follow it with `kugetsu logs -f {issue}`")));
    }
    let session = run.session_id.as_deref().ok_or_else(|| {
        Failure::new(format!("{issue} has no session: its agent has not started one")).hint(format!(
            "see why with `kugetsu why {issue}`; start one with `kugetsu continue {issue} \"<message>\"`"
        ))
    })?;
    let is_of_original = is_of_original(home, run.started_at.as_deref()).map_err(|error| {
        let file = home.location();
        Failure::new(format!(
            "cannot attach to {issue}: could not read {}, so its session may belong to another home: {error}",
            file.display()
        ))
        .hint(format!("make {} a file that you can read, and check it with `kugetsu doctor`", file.display()))
    })?;
    if is_of_original {
        return Err(Failure::new(format!(
            "cannot attach to {issue}: its session belongs to the home of which this one is a copy"
        ))
        .hint(format!("open another session with `kugetsu continue {issue} \"<message>\"`")));
    }
    let worktree = run.worktree.as_deref().filter(|directory| Path::new(directory).is_dir());
    let worktree = worktree.ok_or_else(|| {
        Failure::new(format!("{issue} no longer has a worktree"))
            .hint(format!("list its rescues with `kugetsu rescue list {issue}`"))
    })?;
    let held =
        hold(Path::new(worktree)).map_err(|error| Failure::new(format!("could not lock {worktree}: {error}")))?;
    let held = held.ok_or_else(|| {
        Failure::new(format!("cannot attach to {issue}: {ATTACHED}")).hint("detach there, then try again")
    })?;
    let settings = load(home, &own_environment)?.usable()?.settings;
    let settings = Settings { variables: env_files::merged(home, &[&run.agent])?.variables, ..settings };
    let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
    let session = SessionId::new(session).map_err(|error| failed(&error))?;
    let hinted = |error: &dyn std::fmt::Display, hint: Option<String>| Failure {
        hints: hint.into_iter().collect(),
        ..Failure::new(error.to_string())
    };
    let profile =
        kugetsu_agent::profile(&run.agent, &settings.profiles).map_err(|error| hinted(&error, error.hint()))?;
    let launch = profile.attach(&session).ok_or_else(|| {
        Failure::new(format!("the agent {} cannot open a session in a user interface", run.agent)).hint(format!(
            "read it with `kugetsu logs {issue}`, or continue it with `kugetsu continue {issue} \"<message>\"`"
        ))
    })?;
    let program = kugetsu_agent::find_attach_program(&profile, &settings.search_path())
        .map_err(|error| hinted(&error, error.hint()))?;
    let mut variables: Vec<(OsString, OsString)> =
        settings.variables.iter().map(|one| ((&one.name).into(), one.value.expose_secret().into())).collect();
    launch.extend_env(&mut variables, &settings.variables).map_err(|error| hinted(&error, error.hint()))?;
    // The lock survives exec, so no run starts in the worktree and nothing removes it while the agent is open.
    fcntl(&held, FcntlArg::F_SETFD(FdFlag::empty())).map_err(|error| failed(&error))?;
    if warn_of_planted(home, &query).await && !arguments.yes {
        if !ui::is_interactive() {
            return Err(Failure::needs_person(
                "opening the session there needs confirmation, but stdin is not a terminal",
            )
            .hint("pass --yes"));
        }
        if !ui::confirm("open the session there, outside of the sandbox?")? {
            return Ok(Exit::NeedsPerson);
        }
    }
    ui::note(format!("· {issue}"));
    let mut command = Command::new(&program);
    for name in not_inherited(env::vars_os()) {
        command.env_remove(name);
    }
    for name in profile.withheld(&settings.variables) {
        command.env_remove(name);
    }
    let ceilings = ceilings(Path::new(worktree).parent().map(Path::to_owned), env::var_os("HOME"));
    command.args(&launch.args).envs(variables).env("GIT_CEILING_DIRECTORIES", ceilings);
    let error = command.current_dir(worktree).env("PWD", worktree).exec();
    Err(Failure::new(format!("could not start {}: {error}", program.display())))
}

/// Whether the home was copied after a run was started.
fn is_of_original(home: &Home, started_at: Option<&str>) -> io::Result<bool> {
    let started_at = started_at.and_then(|at| at.parse::<Timestamp>().ok());
    let copied_at = LocationRecord::read(home)?.and_then(|record| record.copied_at);
    Ok(started_at.zip(copied_at).is_some_and(|(started_at, copied_at)| started_at.as_millisecond() < copied_at))
}
