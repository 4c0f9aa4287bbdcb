//! Starts a run's runner: the same program in a session of its own, which outlives the daemon.
//!
//! The runner's life is tied to a lock file, not to a process number: the daemon takes the lock and hands the open file
//! down, so there is no moment in which a started runner does not hold it, and no number that another process can get.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{ExitStatus, Stdio};

use kugetsu_api::order::{IssueOrder, RunOrder, Work};
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::RunId;
use kugetsu_domain::issue::{Issue, Lease};
use kugetsu_domain::naming;
use kugetsu_domain::run::{Outcome, Usage, Verdict};
use kugetsu_domain::session::SessionState;
use kugetsu_domain::task::Task;
use kugetsu_store::error::StoreError;
use tokio::process::{Child, Command};

use crate::engine::Engine;
use crate::runners::aftermath;
use kugetsu_api::home::RunHome;

/// How many earlier messages a hand-over quotes.
const ASKED_BEFORE: u32 = 20;

/// Starts the runner of a run that was claimed, and waits for its end in the background.
pub(crate) async fn launch(engine: &Engine, issue: &Issue, lease: Lease) {
    let started = match order(engine, issue, lease).await {
        Ok(order) => start(engine, &order, &engine.home().run(lease.run)),
        Err(why) => Err(io::Error::other(why)),
    };
    match started {
        Ok(child) => {
            let engine = engine.clone();
            tokio::spawn(async move {
                let end = wait(child).await;
                aftermath::runner_is_gone(&engine, lease, &end).await;
            });
        }
        Err(error) => give_up(engine, lease, &error).await,
    }
}

async fn wait(mut child: Child) -> String {
    match child.wait().await {
        Ok(status) => describe(status),
        Err(error) => format!("its runner could not be waited for: {error}"),
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (_, Some(signal)) => format!("its runner was killed by signal {signal}"),
        (Some(code), _) => format!("its runner ended with exit code {code} and without a report"),
        _ => "its runner ended without a report".to_owned(),
    }
}

/// The run never began.
async fn give_up(engine: &Engine, lease: Lease, error: &io::Error) {
    tracing::error!(run = %lease.run, %error, "a runner could not be started");
    let outcome = Outcome {
        verdict: Verdict::Failed,
        reason: format!("the runner could not be started: {error}"),
        head_sha: None,
        commits: 0,
        pushed: false,
        usage: Usage::default(),
    };
    aftermath::until_stored(lease, || async {
        match engine.apply(lease.issue, Event::RunEnded { lease, outcome: outcome.clone() }).await {
            // A refusal says that it is over already.
            Ok(_) | Err(StoreError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    })
    .await;
}

/// What the runner is told.
async fn order(engine: &Engine, issue: &Issue, lease: Lease) -> Result<RunOrder, String> {
    let task = issue.running_task().ok_or("the run has no task")?;
    let before = issue.session.as_ref().filter(|session| session.state != SessionState::Deleted);
    let usable = before.filter(|session| session.state == SessionState::Open && session.agent == task.agent);
    let asked_before = match before {
        Some(_) => {
            engine.store().earlier_messages(issue.id, task.id, ASKED_BEFORE).await.map_err(|error| error.to_string())?
        }
        None => vec![],
    };
    let lost = engine.store().lost_run_before(issue.id, lease.fence).await.map_err(|error| error.to_string())?;
    if let Some(lost) = lost {
        // What would not end then may have ended since; two agents must not share one worktree.
        aftermath::end_what_is_left(lost).await.map_err(|left| format!("the run before it was lost, and {left}"))?;
    }
    let work = match issue.reference.is_coordinator() {
        true => Work::Coordination,
        false => Work::Issue(Box::new(on_issue(engine, issue, task, lost).await?)),
    };
    Ok(RunOrder {
        run: lease.run.to_string(),
        issue: issue.id.to_string(),
        fence: lease.fence,
        task: task.id.to_string(),
        reference: issue.reference.to_string(),
        message: task.message.clone(),
        attempt: task.attempt,
        agent: task.agent.clone(),
        model: task.model.clone(),
        asked_before,
        session: usable.map(|session| session.id.clone()),
        hand_over: before.is_some() && usable.is_none(),
        limits: engine.limits(),
        work,
    })
}

async fn on_issue(engine: &Engine, issue: &Issue, task: &Task, lost: Option<RunId>) -> Result<IssueOrder, String> {
    let repo = engine.store().repo(&issue.reference.repo).await.map_err(|error| error.to_string())?;
    let repo = repo.ok_or("the repository is not known any more")?;
    Ok(IssueOrder {
        number: issue.reference.number,
        first_attempt: task.attempt == 1,
        lost_before: lost.map(|run| run.to_string()),
        local: issue.reference.repo.base.is_local(),
        source: repo.source,
        base_url: issue.reference.repo.base.to_string(),
        mirror: naming::mirror_directory(&issue.reference.repo),
        directory: naming::worktree_directory(&issue.reference),
        branch: branch(issue, task),
        base: task.base.clone(),
        base_sha: issue.worktree.as_ref().and_then(|worktree| worktree.base_sha.clone()),
        pushed: engine.store().last_pushed(issue.id).await.map_err(|error| error.to_string())?,
    })
}

fn branch(issue: &Issue, task: &Task) -> String {
    match &issue.worktree {
        Some(worktree) => worktree.branch.clone(),
        None if issue.title.is_empty() => naming::branch(issue.reference.number, &task.message),
        None => naming::branch(issue.reference.number, &issue.title),
    }
}

fn start(engine: &Engine, order: &RunOrder, home: &RunHome) -> io::Result<Child> {
    home.create(engine.settings().temp_dir.as_deref())?;
    write_order(order, home)?;
    let lock = take_lock(home)?;
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(home.runner_log())?;
    let held: RawFd = lock.as_raw_fd();
    let mut command = Command::new(engine.program());
    command
        .arg("runner")
        .arg(home.path())
        .arg("--lock")
        .arg(held.to_string())
        .env("KUGETSU_HOME", engine.home().path())
        .current_dir(engine.home().path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    // SAFETY: between fork and exec only setsid and fcntl are called; both are async-signal-safe and take no memory.
    #[expect(unsafe_code, reason = "a session of its own and an inherited lock need a step between fork and exec")]
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            let inherited = std::os::fd::BorrowedFd::borrow_raw(held);
            nix::fcntl::fcntl(inherited, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
            Ok(())
        });
    }
    command.spawn()
}

/// Takes the run's lock; it is held by whoever has the file open, so the runner keeps it after this process has let go.
fn take_lock(home: &RunHome) -> io::Result<File> {
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(home.lock())?;
    lock.try_lock()?;
    Ok(lock)
}

/// Written before the runner is started and read by it alone: a machine that dies in between loses a run that had not begun,
/// and its task is tried again. So nobody waits for the disk.
fn write_order(order: &RunOrder, home: &RunHome) -> io::Result<()> {
    let text = serde_json::to_vec(order)?;
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(home.order())?;
    file.write_all(&text)
}
