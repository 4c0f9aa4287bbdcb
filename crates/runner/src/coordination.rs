//! A run of the coordinator: it has tools instead of a worktree, and may write next to nothing.

use std::sync::Arc;

use kugetsu_api::run_spec::Tool;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::run::Verdict;

use crate::control::interrupts::Interrupts;
use crate::coordinator::agent_home::UserHome;
use crate::coordinator::workspace::Workspace;
use crate::prompt::source::PromptSource;
use crate::run_context::{Agent, AgentLaunch, RunContext};
use crate::sandbox;
use crate::tools::coordinator_tools::CoordinatorTools;
use crate::tools::listener::ToolServer;
use crate::turn::run_turn::{AgentOutcome, run_turn};
use crate::verdict::{End, Inspection, Push, RunResult, verdict};

/// Characters of the coordinator's last text that become the run's reason. All of it is in the transcript.
const REASON_MAX: usize = 4000;

pub(crate) async fn coordinate(run: &RunContext, tools: &[Tool], mut interrupts: Interrupts) -> RunResult {
    match prepare_and_run(run, tools, &mut interrupts).await {
        Ok(result) => result,
        Err(why) => RunResult::without_work(&End::Failed(why)),
    }
}

/// # Errors
/// Why the agent could not be started, for the run's reason.
async fn prepare_and_run(run: &RunContext, tools: &[Tool], interrupts: &mut Interrupts) -> Result<RunResult, Reason> {
    let agent = Agent::of(run).map_err(|error| Reason::new(&error, error.hint()))?;
    let backend = sandbox::backend(run, "the coordinator", "pm.cage").await?;
    if let Some(backend) = backend {
        run.spool.step(format!("the coordinator's files are read-only, by {backend}"));
    }
    let workspace = Workspace::prepare(&run.home, &agent.profile, backend.is_some())
        .map_err(|error| Reason::from(format!("could not prepare the coordinator's directory: {error}")))?;
    let user = UserHome::of(run).ok_or_else(|| {
        Reason::from("could not find the agent's login and settings for the coordinator: HOME is not set".to_owned())
            .hint("set it with `kugetsu env set HOME <directory>`".to_owned())
    })?;
    workspace
        .agent
        .copy_settings(&agent.profile, &user)
        .await
        .map_err(|error| Reason::from(format!("could not copy the agent's settings for the coordinator: {error}")))?;
    if let Err(error) = workspace.agent.copy_login(&agent.profile, &user) {
        run.spool.notice(format!("could not copy the agent's login for the coordinator: {error}"));
    }
    let serve = async {
        let tools = CoordinatorTools::new(run, tools, &workspace.directory)?;
        ToolServer::start(Arc::new(tools), None).await
    };
    let server =
        serve.await.map_err(|error| Reason::from(format!("could not serve the coordinator's tools: {error}")))?;
    let launch = AgentLaunch {
        directory: workspace.directory.clone(),
        env: workspace.agent.env(),
        sandbox: backend.map(|backend| {
            let programs = sandbox::programs(&agent);
            sandbox::sandbox(backend, workspace.file_access(&run.home, &programs, &run.directory.temporary()))
        }),
        network: None,
        growing: vec![workspace.directory.clone()],
        notes: workspace.agent.notes(),
        tools: vec![server.mcp_server().clone()],
    };
    let source = PromptSource::Coordination(&workspace, &server);
    let AgentOutcome { end, usage, last_text, .. } = run_turn(run, &agent, &launch, &source, interrupts).await;
    interrupts.clocks.agent_is_gone();
    if matches!(end, End::Turn { .. }) && !server.is_loaded() {
        return Ok(RunResult::without_work(&End::Failed(tools_not_loaded(&run.spec.agent.name))).with_usage(&usage));
    }
    let (verdict, reason) = verdict(&end, &Inspection::default(), &Push::None);
    let reason = if verdict == Verdict::Done { report(&last_text).into() } else { reason };
    Ok(RunResult { verdict, reason, ..RunResult::without_work(&end) }.with_usage(&usage))
}

/// Its turn may have ended well, but without its tools the coordinator has done nothing.
fn tools_not_loaded(agent: &str) -> Reason {
    Reason::from(format!("{agent} did not load the coordinator's tools, so it could not start or watch any task"))
        .hint("allow MCP servers in its settings, or use another agent: `kugetsu config set pm.agent <name>`")
}

/// The coordinator's last text as the reason of its run.
fn report(last_text: &str) -> String {
    if last_text.is_empty() {
        return "the coordinator ended its turn without a report".to_owned();
    }
    match last_text.char_indices().nth(REASON_MAX) {
        Some((index, _)) => format!("{}…", last_text[..index].trim_end()),
        None => last_text.to_owned(),
    }
}
