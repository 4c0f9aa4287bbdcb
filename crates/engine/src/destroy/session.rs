//! Deletes an agent's session by a command of the agent.
//!
//! The command runs on the host, for an issue whose agent could write anything into its worktree: plugins and settings that
//! such a program takes from its working directory. So that is an empty one. Everything that the command starts is ended.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_agent::SessionId;
use kugetsu_agent::environment::environment;
use kugetsu_api::home::Home;
use kugetsu_domain::git_variables::ceilings;
use kugetsu_domain::issue::Issue;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::session::SessionState;
use kugetsu_process::{Tracking, Tree, TreeSpec};
use tokio::time::timeout;

use crate::agents;
use crate::engine::Engine;
use crate::moved_home::{marker, owns_session};

/// Time limit of the command.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// How long its processes may take to obey SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// Longest message of the command that is quoted, in characters.
const COMPLAINT_MAX: usize = 300;
/// Bytes of its standard error that are kept.
const STDERR_MAX: usize = 64 * 1024;

/// Asks the agent to delete the session. If it cannot, the files are removed all the same, and a note says what to type.
pub(super) async fn delete_session(engine: &Engine, issue: &Issue, notes: &mut Vec<String>) {
    let Some(session) = issue.session.as_ref().filter(|session| session.state == SessionState::Open) else { return };
    let settings = engine.settings();
    let kept = |why: &str| format!("the agent's session {} was not deleted: {why}", session.id);
    match owns_session(engine, issue, session).await {
        Ok(true) => {}
        Ok(false) => return notes.push(kept("it belongs to the home of which this one is a copy")),
        Err(error) => return notes.push(kept(&error.to_string())),
    }
    let (profile, program) = match agents::check(&settings, &session.agent) {
        Ok(found) => found,
        Err(problem) => return notes.push(kept(&problem.message)),
    };
    let Some(launch) = SessionId::new(&session.id).ok().and_then(|id| profile.delete_session(&id)) else {
        return notes.push(kept(&format!("{} has no command for it", session.agent)));
    };
    let directory = engine.home().path().join(format!(".delete-{}", issue.id));
    let ceilings = ceilings(Some(engine.home().path().to_owned()), std::env::var_os("HOME"));
    let mut env = environment(std::env::vars_os(), &settings.variables, &std::env::temp_dir(), &ceilings);
    if let Err(error) = launch.extend_env(&mut env) {
        return notes.push(kept(&Reason::new(&error, error.hint()).in_one_line()));
    }
    let result = run_in_empty(&directory, &program, launch.args.clone(), env, (engine.home(), issue)).await;
    // It is empty, or a leftover of the command that nothing depends on.
    let _ = fs::remove_dir_all(&directory);
    if let Err(why) = result {
        let args: Vec<_> = launch.args.iter().map(|arg| arg.to_string_lossy()).collect();
        notes.push(kept(&format!("{why}; to delete it: {} {}", program.display(), args.join(" "))));
    }
}

/// # Errors
/// Why the command failed, for the user.
async fn run_in_empty(
    directory: &Path,
    program: &Path,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    (home, issue): (&Home, &Issue),
) -> Result<(), String> {
    let marker = marker(home, &format!("delete-{}", issue.id)).map_err(|error| error.to_string())?;
    let (stdout, stderr) = files(directory).map_err(|error| error.to_string())?;
    let spec = TreeSpec {
        program: program.into(),
        args,
        cwd: PathBuf::from(directory),
        env,
        marker,
        stdout: Some(stdout),
        stderr,
        stderr_max: STDERR_MAX,
        stderr_filter: None,
        tracking: Tracking::CgroupV2,
        sandbox: None,
    };
    let mut tree = Tree::spawn(spec).await.map_err(|error| Reason::new(&error, error.hint()).in_one_line())?;
    drop(tree.stdin.take());
    let ended = timeout(TIME_LIMIT, tree.wait()).await;
    let stderr = tree.stderr_tail();
    let exit = tree.end(GRACE).await;
    if !exit.survivors.is_empty() {
        tracing::warn!(survivors = ?exit.survivors, "processes of a command that deleted a session could not be ended");
    }
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(match stderr.trim() {
            "" => format!("its command failed ({status})"),
            text => text.chars().filter(|c| !c.is_control() || *c == '\n').take(COMPLAINT_MAX).collect(),
        }),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("its command took longer than {} s", TIME_LIMIT.as_secs())),
    }
}

/// Creates an empty directory, and returns where the command's output and errors go: its output says nothing, and its errors
/// are kept in memory.
fn files(directory: &Path) -> io::Result<(File, File)> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir(directory)?,
    }
    let nowhere = || OpenOptions::new().write(true).open("/dev/null");
    Ok((nowhere()?, nowhere()?))
}
