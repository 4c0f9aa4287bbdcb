//! A run as a whole.

use std::path::PathBuf;
use std::time::Duration;

use kugetsu_agent::environment::secrets;
use kugetsu_api::discard::discard_temporary;
use kugetsu_api::home::{Home, RunHome};
use kugetsu_api::record::Body;
use kugetsu_api::run::Usage as WireUsage;
use kugetsu_api::run_spec::{IssueSpec, Work};
use kugetsu_domain::redact::Redactor;
use kugetsu_domain::text::with_hint;
use kugetsu_git::worktree::lock::hold;
use tokio::sync::watch;

use super::clocks::Clocks;
use super::coordinate::coordinate;
use super::ending::{Ending, nothing_done, used};
use super::files::prepare;
use super::finish::finish;
use super::prompt_source::PromptSource;
use super::reporter::{Control, Reporter};
use super::run_context::{Agent, AgentLaunch, RunContext};
use super::spool::Spool;
use super::talk::{Talk, talk};
use super::verdict::End;
use super::watch::Watch;
use crate::input::RunInput;

/// How long a runner that is through waits for a daemon to take its report. A daemon that comes later reads the records.
const DELIVERY: Duration = Duration::from_secs(5);

/// Carries out the run that has this directory.
///
/// # Errors
/// What kept the run from being begun or recorded, for the runner's log; the daemon tells the person.
pub async fn run_runner(home: Home, directory: PathBuf, input: RunInput) -> Result<(), String> {
    let RunInput { spec, variables, agent_variables } = input;
    kugetsu_process::adopt_orphans().map_err(|error| format!("orphans cannot be adopted: {error}"))?;
    let place = RunHome::new(directory);
    let redactor = Redactor::new(secrets(std::env::vars_os(), &[variables.as_slice(), &agent_variables].concat()));
    let spool =
        Spool::create(&place.records(), redactor).map_err(|error| format!("{}: {error}", place.records().display()))?;
    spool.step(match spec.attempt {
        1 => "the runner begins".to_owned(),
        more => format!("the runner begins, attempt {more}"),
    });
    let (control, received) = watch::channel(Control::default());
    let acknowledged = watch::Sender::new(0);
    let reporter = Reporter {
        socket: home.socket().map_err(|error| error.to_string())?,
        run: spec.run.clone(),
        spool: spool.clone(),
        control: control.clone(),
        acknowledged: acknowledged.clone(),
    };
    let reporting = tokio::spawn(reporter.run());

    let watch = Watch { clocks: Clocks::start(spec.limits), control: received, spool: spool.clone() };
    let (ending, usage) =
        RunContext { spec, variables, agent_variables, home, directory: place.clone(), spool: spool.clone() }
            .carry_out(watch)
            .await;
    spool.write(Body::Ended {
        state: ending.verdict.name().to_owned(),
        reason: ending.reason,
        head_sha: ending.head.map(|head| head.to_string()),
        commits: ending.commits,
        pushed: ending.pushed,
        usage,
    });
    spool.sync();
    remove_temporary(&place).await;
    if let Some(why) = spool.broken() {
        return Err(format!("the run's records cannot be written: {why}"));
    }
    deliver(&spool, acknowledged.subscribe(), control.subscribe()).await;
    reporting.abort();
    Ok(())
}

/// Waits until the daemon has everything, or has had its time.
async fn deliver(spool: &Spool, mut acknowledged: watch::Receiver<u64>, mut control: watch::Receiver<Control>) {
    let end = *spool.length().borrow();
    let delivered = async {
        tokio::select! {
            _ = acknowledged.wait_for(|reported| *reported >= end) => {}
            _ = control.wait_for(|control| control.superseded) => {}
        }
    };
    if tokio::time::timeout(DELIVERY, delivered).await.is_err() {
        tracing::info!("no daemon took the report; the next one reads it from the records");
    }
}

/// The agent's temporary files go with the run, but only after its end is written down: to remove many takes long, and
/// whoever is killed meanwhile must not have the task done a second time. The daemon removes what is left.
async fn remove_temporary(place: &RunHome) {
    if let Err(error) = discard_temporary(place).await {
        tracing::warn!(path = %place.temporary().display(), %error, "the run's temporary directory could not be removed");
    }
}

impl RunContext {
    async fn carry_out(&self, watch: Watch) -> (Ending, WireUsage) {
        match &self.spec.work {
            Work::Issue(issue) => self.work_on(issue, watch).await,
            Work::Coordination { tools } => coordinate(self, tools, watch).await,
        }
    }

    async fn work_on(&self, issue: &IssueSpec, mut watch: Watch) -> (Ending, WireUsage) {
        let prepared = watch.unless_interrupted(prepare(issue, self)).await;
        let files = match prepared {
            Ok(Ok(files)) => files,
            Ok(Err(error)) => {
                return (nothing_done(&End::Failed(with_hint(&error, error.hint()))), WireUsage::default());
            }
            Err(end) => return (nothing_done(&end), WireUsage::default()),
        };
        // Kept to the end of the run: nobody else may use the worktree and the session meanwhile.
        let _held = match hold(files.worktree.dir()) {
            Ok(Some(held)) => held,
            Ok(None) => return (nothing_done(&End::Attached), WireUsage::default()),
            Err(error) => {
                let why = format!("{} cannot be used: {error}", files.worktree.dir().display());
                return (nothing_done(&End::Failed(why)), WireUsage::default());
            }
        };
        let stage = AgentLaunch {
            directory: files.worktree.dir().to_owned(),
            env: vec![],
            sandbox: None,
            notes: self.home.agents(),
            tools: vec![],
        };
        let Talk { end, usage, .. } = match Agent::of(self) {
            Ok(agent) => talk(self, &agent, &stage, &PromptSource::Issue(issue, &files), &mut watch).await,
            Err(why) => Talk::failed(why),
        };
        watch.clocks.agent_is_gone();
        let usage = used(&usage);
        if matches!(end, End::Superseded) {
            // Somebody else holds the issue now: nothing of it may be touched.
            return (nothing_done(&end), usage);
        }
        (finish(end, issue, &files, self, &mut watch).await, usage)
    }
}
