//! Freezes what a run needs.

use std::thread;

use kugetsu_agent::Policy;
use kugetsu_api::run::Usage as WireUsage;
use kugetsu_api::run_key::RunKey;
use kugetsu_api::run_spec::{
    AgentFields, AgentSpec, CloneSource, IssueSpec, IssueTool, NetworkAccess, NetworkSpec, Permissions, ResourceLimits,
    RunSecrets, RunSpec, SandboxChoice, ServerAccess, Tool, Uncommitted, Work,
};
use kugetsu_domain::ids::RunId;
use kugetsu_domain::issue::{Issue, Lease};
use kugetsu_domain::naming;
use kugetsu_domain::run::{RunState, Usage};
use kugetsu_domain::session::SessionState;
use kugetsu_domain::task::Task;
use kugetsu_forge::error::ForgeError;
use kugetsu_store::error::StoreError;
use kugetsu_store::query::{RunQuery, ViewFilter, ViewQuery};
use secrecy::ExposeSecret;
use thiserror::Error;

use super::last_words;
use crate::credentials;
use crate::engine::Engine;
use crate::forges::background;
use crate::headroom;
use crate::moved_home::{Owner, owner};
use crate::repo_file::{RepoFileError, with_file};
use crate::schema::{self, AgentNetwork};
use crate::settings::Settings;

/// Maximum number of earlier messages that a hand-over quotes.
const EARLIER_MESSAGES: u32 = 20;
const MIB: u64 = 1024 * 1024;
/// The default of `run.processes`, on a machine with few processors.
const PROCESSES: u64 = 4096;
/// Builds start as many processes, and runtimes as many threads, as there are processors.
const PROCESSES_EACH: u64 = 128;

/// Why a run cannot be started.
#[derive(Debug, Error)]
pub(crate) enum SpecError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the run has no task")]
    NoTask,
    #[error("the repository is no longer stored")]
    NoRepository,
    /// Two agents must not share a worktree.
    #[error("the previous run was lost, and {0}")]
    LeftOver(String),
    /// An env file cannot be read.
    #[error("{0}")]
    Variables(String),
    /// The commands that check its work are not known.
    #[error(transparent)]
    RepoFile(#[from] RepoFileError),
}

/// Freezes everything that the runner of a claimed run needs.
pub(crate) async fn run_spec(
    engine: &Engine,
    issue: &Issue,
    lease: Lease,
    key: &RunKey,
) -> Result<(RunSpec, RunSecrets), SpecError> {
    let settings = engine.settings();
    let task = issue.running_task().ok_or(SpecError::NoTask)?;
    let before = issue.session.as_ref().filter(|session| session.state != SessionState::Deleted);
    let usable = before.filter(|session| session.state == SessionState::Open && session.agent == task.agent);
    let usable = match usable {
        Some(session) => match owner(engine, issue, session) {
            Owner::This => Some(session),
            Owner::Original => None,
            Owner::Unknown(error) => {
                tracing::error!(issue = %issue.reference, %error, "a new session takes over");
                None
            }
        },
        None => None,
    };
    let earlier_messages = match before {
        Some(_) => {
            let query = ViewQuery::new(ViewFilter::Before(task.id)).limit(EARLIER_MESSAGES).with_messages();
            let earlier = engine.store().views(query).await?.views;
            let for_agents = earlier.into_iter().rev().filter(|view| view.task.kind.needs_agent());
            for_agents.map(|view| view.task.message).collect()
        }
        None => vec![],
    };
    let previous = RunQuery { below_fence: Some(lease.fence), limit: Some(1), ..RunQuery::new(issue.id) };
    let previous = engine.store().runs(previous).await?.pop();
    let lost = previous.filter(|run| run.state == RunState::Lost).map(|run| run.id);
    if let Some(lost) = lost {
        // Processes that could not be ended then may have ended since.
        last_words::end_processes(engine.home(), lost).await.map_err(SpecError::LeftOver)?;
    }
    let is_coordinator = issue.reference.is_coordinator();
    let work = match is_coordinator {
        true => Work::Coordination { tools: Tool::ALL.to_vec() },
        false => {
            let spec = Box::new(issue_spec(engine, &settings, issue, task, lost).await?);
            if task.kind.needs_agent() { Work::Issue(spec) } else { Work::Push(spec) }
        }
    };
    let spec = RunSpec {
        run: lease.run.to_string(),
        issue: issue.id.to_string(),
        fence: lease.fence,
        key: Some(key.public()),
        task: task.id.to_string(),
        reference: issue.reference.to_string(),
        message: task.message.clone(),
        attempt: task.attempt,
        pauses: task.pauses,
        agent: agent_spec(&settings, &task.agent),
        model: task.model.clone(),
        earlier_messages,
        session: usable.map(|session| session.id.clone()),
        used_before: usable.map(|session| wire_usage(session.used)).unwrap_or_default(),
        hand_over: before.is_some() && usable.is_none(),
        limits: engine.limits(),
        resources: resource_limits(&settings.run),
        permissions: match settings.agent.permissions {
            Policy::Allow => Permissions::Allow,
            Policy::Ask => Permissions::Ask,
            Policy::Refuse => Permissions::Refuse,
        },
        model_retries: settings.run.model_retries,
        without_trailers: !is_coordinator && settings.run.agent_trailers == schema::AgentTrailers::Remove,
        sandbox: match (is_coordinator, settings.run.sandbox) {
            (true, _) if settings.pm.needs_sandbox() => SandboxChoice::Required,
            (true, _) | (false, schema::RunSandbox::Off) => SandboxChoice::Off,
            (false, schema::RunSandbox::Best) => SandboxChoice::Best,
            (false, schema::RunSandbox::Required) => SandboxChoice::Required,
        },
        sandbox_readable: settings.run.sandbox_readable.clone(),
        sandbox_writable: settings.run.sandbox_writable.clone(),
        network: if is_coordinator { NetworkSpec::default() } else { network(&settings, issue) },
        withheld: credentials::withheld(&settings),
        work,
    };
    let secrets = secrets(engine, &settings, &task.agent, is_coordinator)?;
    Ok((spec, RunSecrets { key: Some(key.clone()), ..secrets }))
}

/// The limits in the settings. Some defaults depend on the machine.
fn resource_limits(settings: &schema::Run) -> ResourceLimits {
    let memory = settings.memory.map_or_else(default_memory, |megabytes| megabytes.saturating_mul(MIB));
    let processes = settings.processes.unwrap_or_else(|| {
        let processors = thread::available_parallelism().map_or(1, |number| number.get() as u64);
        PROCESSES.max(processors * PROCESSES_EACH)
    });
    let growth = settings.worktree_growth.saturating_mul(MIB);
    ResourceLimits { memory, processes, weight: settings.cpu_weight, growth }
}

/// No limit if the memory of the machine is not known.
fn default_memory() -> u64 {
    headroom::total_memory().map_or(0, |bytes| bytes / 4 * 3)
}

fn wire_usage(usage: Usage) -> WireUsage {
    let Usage { cost_usd, input_tokens, output_tokens } = usage;
    WireUsage { cost_usd, input_tokens, output_tokens }
}

fn agent_spec(settings: &Settings, name: &str) -> AgentSpec {
    let custom = settings.profiles.iter().find(|agent| agent.name == name);
    let settings = custom.map(|agent| AgentFields { program: agent.program.clone(), args: agent.args.clone() });
    AgentSpec { name: name.to_owned(), settings }
}

/// The env files are read now, so that a variable that was just set counts for the next run.
fn secrets(engine: &Engine, settings: &Settings, agent: &str, is_coordinator: bool) -> Result<RunSecrets, SpecError> {
    let variables = engine.env_files().variables(agent, is_coordinator).map_err(SpecError::Variables)?;
    let own_variables =
        variables.iter().filter(|variable| variable.is_own).map(|variable| variable.name.clone()).collect();
    let variables =
        variables.into_iter().map(|variable| (variable.name, variable.value.expose_secret().to_owned())).collect();
    let custom = settings.profiles.iter().find(|custom| custom.name == agent);
    let agent_variables = custom.map(|custom| custom.env.clone()).unwrap_or_default();
    Ok(RunSecrets { variables, own_variables, agent_variables, key: None })
}

async fn issue_spec(
    engine: &Engine,
    settings: &Settings,
    issue: &Issue,
    task: &Task,
    lost: Option<RunId>,
) -> Result<IssueSpec, SpecError> {
    let repo = engine.store().repo(&issue.reference.repo).await?;
    let repo = repo.ok_or(SpecError::NoRepository)?;
    let base = &issue.reference.repo.base;
    Ok(IssueSpec {
        number: issue.reference.number,
        first_attempt: task.attempt == 1 && lost.is_none(),
        lost_before: lost.map(|run| run.to_string()),
        rescue_max_file: settings.rescue.max_file_bytes(),
        source: match base.is_local() {
            true => CloneSource::Path(repo.source.into()),
            false => CloneSource::Address(repo.source),
        },
        access: credentials::token_variable(settings, base.as_str()).map(|variable| ServerAccess {
            base_url: base.to_string(),
            user: settings.servers.git_user(base.as_str()).to_owned(),
            token_variable: variable.to_owned(),
        }),
        mirror: naming::mirror_directory(&issue.reference.repo),
        directory: naming::worktree_directory(&issue.reference),
        branch: branch(issue, task),
        base: task.base.clone(),
        base_branch: issue.worktree.as_ref().and_then(|worktree| worktree.base_branch.clone()),
        base_sha: issue.worktree.as_ref().and_then(|worktree| worktree.base_sha.clone()),
        pushed: issue.pushed.clone(),
        verify: verify(engine, settings, issue).await?,
        tools: tools(settings, issue),
        allow_secrets: settings.run.allowed_secrets(),
        uncommitted: match settings.run.uncommitted {
            schema::Uncommitted::Block => Uncommitted::Block,
            schema::Uncommitted::Commit => Uncommitted::Commit,
        },
    })
}

/// Only a watch allows kugetsu to read and write about the issue on its server.
fn tools(settings: &Settings, issue: &Issue) -> Vec<IssueTool> {
    match issue.follow.is_some() && settings.watch_of(&issue.reference.repo).is_some() {
        true => IssueTool::ALL.to_vec(),
        false => Vec::new(),
    }
}

/// The commands of the watch of a followed issue.
async fn verify(engine: &Engine, settings: &Settings, issue: &Issue) -> Result<Vec<Vec<String>>, SpecError> {
    let watch = settings.watch_of(&issue.reference.repo).filter(|_| issue.follow.is_some());
    let Some(watch) = watch else { return Ok(Vec::new()) };
    match background(engine, &watch.repo.base) {
        Ok(forge) => Ok(with_file(engine, watch, forge.as_ref()).await?.verify),
        Err(ForgeError::NoKind { .. }) => Ok(watch.verify.clone()),
        Err(error) => Err(RepoFileError::Forge(error).into()),
    }
}

/// Others write the text of followed issues, so their watch decides, also about tasks of a person. Without it, the default of watches
/// applies.
fn network(settings: &Settings, issue: &Issue) -> NetworkSpec {
    let (network, setting) = match (&issue.follow, settings.watch_of(&issue.reference.repo)) {
        (None, _) => (settings.run.network, "run.network".to_owned()),
        (Some(_), Some(watch)) => (watch.network, format!("watch.{}.network", watch.name)),
        (Some(_), None) => (AgentNetwork::AllowList, "the default of watches".to_owned()),
    };
    NetworkSpec {
        access: match network {
            AgentNetwork::Full => NetworkAccess::Full,
            AgentNetwork::AllowList => NetworkAccess::AllowList,
            AgentNetwork::None => NetworkAccess::None,
        },
        setting,
        allow_hosts: settings.run.allow_hosts.iter().map(ToString::to_string).collect(),
    }
}

fn branch(issue: &Issue, task: &Task) -> String {
    match &issue.worktree {
        Some(worktree) => worktree.branch.clone(),
        None if issue.title.is_empty() => naming::branch(issue.reference.number, &task.message),
        None => naming::branch(issue.reference.number, &issue.title),
    }
}
