//! A run from its first record to its last.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kugetsu_agent::environment::secrets;
use kugetsu_api::discard::discard_temporary;
use kugetsu_api::home::{Home, RunHome};
use kugetsu_api::record::{Body, LOST};
use kugetsu_api::run_spec::{IssueSpec, Work};
use kugetsu_domain::reason::Reason;
use kugetsu_domain::redact::Redactor;
use kugetsu_git::worktree::lock::hold;
use secrecy::ExposeSecret;
use thiserror::Error;
use tokio::sync::watch;
use tracing::Instrument as _;

use crate::control::awake::AwakeClock;
use crate::control::clocks::Clocks;
use crate::control::interrupts::Interrupts;
use crate::control::reporter::{Control, Reporter};
use crate::coordination::coordinate;
use crate::input::RunInput;
use crate::issue::files::{Files, open_to_push, prepare};
use crate::issue::finish::finish;
use crate::issue::sandboxed::{Confinement, IssueSandbox};
use crate::network::AgentNetwork;
use crate::prompt::source::PromptSource;
use crate::records::spool::{Seal, Spool};
use crate::run_context::{Agent, AgentLaunch, RunContext};
use crate::tools::issue_tools::IssueTools;
use crate::tools::listener::ToolServer;
use crate::turn::run_turn::{AgentOutcome, run_turn};
use crate::verdict::{End, RunResult, is_publishable};

/// How long a runner that has ended its run waits for a daemon to take the report. A daemon that comes later reads the
/// records.
const DELIVERY_LIMIT: Duration = Duration::from_secs(5);

/// The run could not begin, or not be recorded. The message is for the runner's log, where the daemon finds it.
#[derive(Debug, Error)]
pub enum RunnerError {
    #[error("cannot adopt orphaned processes: {0}")]
    Orphans(#[source] io::Error),
    #[error("cannot create {}: {error}", path.display())]
    Records { path: PathBuf, error: io::Error },
    #[error("cannot use the daemon's socket: {0}")]
    Socket(#[source] io::Error),
    #[error("cannot write the run's records: {0}")]
    Broken(String),
}

/// Carries out the run that has this directory.
///
/// # Errors
/// [`RunnerError`].
pub async fn run_runner(home: Home, directory: PathBuf, input: RunInput) -> Result<(), RunnerError> {
    let span = tracing::info_span!("run", run = %input.spec.run, issue = %input.spec.reference);
    record_run(home, RunHome::new(directory), input).instrument(span).await
}

async fn record_run(home: Home, directory: RunHome, input: RunInput) -> Result<(), RunnerError> {
    let RunInput { spec, variables, agent_variables, key } = input;
    // Processes that outlive their parent become children of this one, so that none escapes the end of the run.
    kugetsu_process::adopt_orphans().map_err(RunnerError::Orphans)?;
    // The key and the values of secrets are in it.
    if let Err(error) = kugetsu_process::protect_memory() {
        tracing::warn!(%error, "agents without a sandbox can read the runner's memory");
    }
    let mut secrets = secrets(std::env::vars_os(), &[variables.as_slice(), &agent_variables].concat());
    secrets.push(key.text().expose_secret().to_owned());
    let path = directory.records();
    let seal = Seal { run: spec.run.clone(), key: key.clone() };
    let spool =
        Spool::create(&path, Redactor::new(secrets), seal).map_err(|error| RunnerError::Records { path, error })?;
    spool.step(match spec.attempt {
        1 => "the runner started".to_owned(),
        attempt => format!("the runner started, attempt {attempt}"),
    });
    let (control, received) = watch::channel(Control::default());
    let acknowledged = watch::Sender::new(0);
    let reporter = Reporter {
        socket: home.socket().map_err(RunnerError::Socket)?,
        run: spec.run.clone(),
        key: key.clone(),
        spool: spool.clone(),
        control: control.clone(),
        acknowledged: acknowledged.clone(),
    };
    let reporting = tokio::spawn(reporter.run().in_current_span());

    let interrupts = Interrupts::new(Clocks::start(spec.limits, AwakeClock::start()), received, spool.clone());
    let run =
        RunContext { spec, variables, agent_variables, key, home, directory: directory.clone(), spool: spool.clone() };
    let result = carry_out(&run, interrupts).await;
    spool.write(Body::Ended {
        state: if result.is_lost { LOST } else { result.verdict.name() }.to_owned(),
        reason: result.reason.text,
        hint: result.reason.hint,
        paused_until: result.paused_until.map(Timestamp::as_millisecond),
        head_sha: result.head.map(|head| head.to_string()),
        commits: result.commits,
        pushed: result.pushed,
        usage: result.usage,
    });
    spool.sync();
    // Only now that the end is recorded: removing many files takes long, and a runner that is killed meanwhile must not
    // have its task tried again. The daemon removes what is left.
    if !result.keeps_temporary
        && let Err(error) = discard_temporary(&directory).await
    {
        tracing::warn!(path = %directory.temporary().display(), %error, "could not remove the run's temporary directory");
    }
    if let Some(why) = spool.broken() {
        return Err(RunnerError::Broken(why));
    }
    deliver(&spool, acknowledged.subscribe(), control.subscribe()).await;
    reporting.abort();
    Ok(())
}

/// Waits until the daemon has acknowledged everything, or for [`DELIVERY_LIMIT`].
async fn deliver(spool: &Spool, mut acknowledged: watch::Receiver<u64>, mut control: watch::Receiver<Control>) {
    let end = *spool.length().borrow();
    let delivered = async {
        tokio::select! {
            _ = acknowledged.wait_for(|acknowledged| *acknowledged >= end) => {}
            _ = control.wait_for(|control| control.superseded) => {}
        }
    };
    if tokio::time::timeout(DELIVERY_LIMIT, delivered).await.is_err() {
        tracing::info!("no daemon took the report; the next one reads it from the records");
    }
}

async fn carry_out(run: &RunContext, interrupts: Interrupts) -> RunResult {
    match &run.spec.work {
        Work::Issue(issue) | Work::Push(issue) => work_on(issue, run, interrupts).await,
        Work::Coordination { tools } => coordinate(run, tools, interrupts).await,
    }
}

async fn work_on(issue: &IssueSpec, run: &RunContext, mut interrupts: Interrupts) -> RunResult {
    let needs_agent = matches!(run.spec.work, Work::Issue(_));
    let preparation = async { if needs_agent { prepare(issue, run).await } else { open_to_push(issue, run).await } };
    let files = match interrupts.unless_interrupted(preparation).await {
        Ok(Ok(files)) => files,
        Ok(Err(error)) => return RunResult::without_work(&End::Failed(Reason::new(&error, error.hint()))),
        Err(interruption) => return RunResult::without_work(&interruption.into()),
    };
    // Held until the run has ended: no other run, no removal and no attached user may use worktree and session meanwhile.
    let _lock = match hold(files.worktree.dir()) {
        Ok(Some(lock)) => lock,
        Ok(None) => return RunResult::without_work(&End::Attached(run.spec.reference.clone())),
        Err(error) => {
            let why = format!("cannot lock {}: {error}", files.worktree.dir().display());
            return RunResult::without_work(&End::Failed(why.into()));
        }
    };
    let sandbox = IssueSandbox::new(run, &files);
    let AgentOutcome { end, usage, last_text, .. } = match needs_agent {
        true => run_agent(issue, &files, &sandbox, run, &mut interrupts).await,
        false => AgentOutcome::not_needed(),
    };
    interrupts.clocks.agent_is_gone();
    let result = match end {
        // Another run holds the issue now: nothing of it may be touched.
        End::Superseded => RunResult::without_work(&End::Superseded),
        end => finish(end, issue, &files, &sandbox, run, &last_text, &mut interrupts).await,
    };
    result.with_usage(&usage)
}

async fn run_agent(
    issue: &IssueSpec,
    files: &Files,
    sandbox: &IssueSandbox<'_>,
    run: &RunContext,
    interrupts: &mut Interrupts,
) -> AgentOutcome {
    let agent = match Agent::of(run) {
        Ok(agent) => agent,
        Err(error) => return AgentOutcome::not_launched(error),
    };
    let confinement = match sandbox.of(&agent).await {
        Ok(confinement) => confinement,
        Err(reason) => return AgentOutcome::refused(reason),
    };
    let facts = confinement.facts();
    let Confinement { sandbox, network } = confinement;
    let served = match agent.gets_tools(run) {
        true => serve(issue, run, network.as_deref()).await,
        false => None,
    };
    let (tools, server) = served.unzip();
    let launch = AgentLaunch {
        directory: files.worktree.dir().to_owned(),
        env: vec![],
        sandbox,
        network: network.clone(),
        growing: vec![files.worktree.dir().to_owned(), files.worktree.relay().to_owned()],
        notes: run.home.agents(),
        tools: server.iter().map(|server| server.mcp_server().clone()).collect(),
    };
    let source = PromptSource::Issue { issue, files, tools: server.as_ref(), sandbox: facts.as_deref() };
    let mut outcome = run_turn(run, &agent, &launch, &source, interrupts).await;
    if let (Some(network), End::Failed(reason)) = (&network, &mut outcome.end) {
        reason.hint = network.hint(&reason.text).or(reason.hint.take());
    }
    // Another attempt would ask again, or work without the answer.
    let is_over = is_publishable(&outcome.end) || matches!(outcome.end, End::Killed(_) | End::Paused { .. });
    if is_over && let Some(declared) = tools.and_then(|tools| tools.declared()) {
        let reason = declared.reason(&run.spec.reference);
        outcome.end = End::Blocked(reason.map_text(|text| run.spool.mask(&text)));
    }
    outcome
}

/// Serves the tools of the issue's agent. It can work without them.
async fn serve(
    issue: &IssueSpec,
    run: &RunContext,
    network: Option<&AgentNetwork>,
) -> Option<(IssueTools, ToolServer)> {
    let serve = async {
        let tools = IssueTools::new(run, &issue.tools)?;
        Ok::<_, io::Error>((tools.clone(), ToolServer::start(Arc::new(tools), network).await?))
    };
    match serve.await {
        Ok(served) => Some(served),
        Err(error) => {
            run.spool.notice(format!("the agent gets no tools for its issue: they could not be served: {error}"));
            None
        }
    }
}
