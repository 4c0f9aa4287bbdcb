//! A run of the coordinator: no worktree, no commits, no push; it has tools instead, and may write next to nothing.

use kugetsu_api::run::Usage as WireUsage;
use kugetsu_api::run_spec::{SandboxChoice, Tool};
use kugetsu_domain::run::Verdict;
use kugetsu_process::sandbox::{Backend, Sandbox, best_backend};

use super::agent_home::UserHome;
use super::desk::Desk;
use super::ending::{Ending, nothing_done, used};
use super::prompt_source::PromptSource;
use super::run_context::{Agent, AgentLaunch, RunContext};
use super::talk::{Talk, talk};
use super::tools::listener::Tools;
use super::verdict::{End, Found, Push, verdict};
use super::watch::Watch;

/// Longest answer that is kept as the reason, in characters; all of it is in the transcript.
const REASON_MAX: usize = 4000;

/// Carries out a run of the coordinator.
pub(super) async fn coordinate(run: &RunContext, tools: &[Tool], mut watch: Watch) -> (Ending, WireUsage) {
    let failed = |why: String| (nothing_done(&End::Failed(why)), WireUsage::default());
    let agent = match Agent::of(run) {
        Ok(agent) => agent,
        Err(why) => return failed(why),
    };
    let backend = match backend(run).await {
        Ok(backend) => backend,
        Err(why) => return failed(why),
    };
    let desk = match Desk::prepare(&run.home, backend.is_some()) {
        Ok(desk) => desk,
        Err(error) => return failed(format!("the coordinator's directory cannot be used: {error}")),
    };
    let user = UserHome::own();
    if let Err(error) = desk.agent.copy_settings(&agent.profile, &user).await {
        return failed(format!("the agent's settings could not be copied for the coordinator: {error}"));
    }
    if let Err(error) = desk.agent.copy_login(&agent.profile, &user) {
        run.spool.notice(format!("the agent's login could not be copied for the coordinator: {error}"));
    }
    let tools = match Tools::serve(&run.home, &run.spec.task, tools, &desk.directory).await {
        Ok(tools) => tools,
        Err(error) => return failed(format!("the coordinator's tools cannot be served: {error}")),
    };
    let stage = AgentLaunch {
        directory: desk.directory.clone(),
        env: desk.agent.env(),
        sandbox: backend.map(|backend| Sandbox {
            files: desk.file_access(&run.home, &agent.program, &run.directory.temporary()),
            backend,
        }),
        notes: desk.agent.notes(),
        tools: vec![tools.server().clone()],
    };
    let Talk { end, usage, answer } = talk(run, &agent, &stage, &PromptSource::Coordination(&desk), &mut watch).await;
    watch.clocks.agent_is_gone();
    let (verdict, reason) = verdict(&end, &Found::default(), &Push::None);
    let reason = if verdict == Verdict::Done { said(&answer) } else { reason };
    (Ending { verdict, reason, head: None, commits: 0, pushed: false }, used(&usage))
}

/// What keeps the coordinator from writing; none where the user does without.
async fn backend(run: &RunContext) -> Result<Option<Backend>, String> {
    if run.spec.sandbox == SandboxChoice::Off {
        run.spool.notice("nothing keeps the coordinator from writing: pm.cage is off");
        return Ok(None);
    }
    match tokio::task::spawn_blocking(best_backend).await {
        Ok(Ok(backend)) => {
            run.spool.step(format!("the coordinator's files are read-only, by {backend}"));
            Ok(Some(backend))
        }
        Ok(Err(why)) => {
            let hint = why.hint().unwrap_or_default();
            Err(format!("{why}; {hint}; or run the coordinator without a sandbox: kugetsu config set pm.cage off"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The answer, as far as it is kept for lists.
fn said(answer: &str) -> String {
    if answer.is_empty() {
        return "the coordinator ended its turn and said nothing".to_owned();
    }
    match answer.char_indices().nth(REASON_MAX) {
        Some((at, _)) => format!("{}…", answer[..at].trim_end()),
        None => answer.to_owned(),
    }
}
