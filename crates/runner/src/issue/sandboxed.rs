//! The sandbox and the network of an issue's agent, and of the commands that check its work.

use std::sync::Arc;

use kugetsu_agent::SandboxFiles;
use kugetsu_agent::environment::search_path;
use kugetsu_api::run_spec::{NetworkAccess, SandboxChoice};
use kugetsu_domain::reason::Reason;
use kugetsu_process::sandbox::{Backend, Sandbox};
use tokio::sync::OnceCell;

use super::files::Files;
use crate::network::AgentNetwork;
use crate::run_context::{Agent, RunContext};
use crate::sandbox;

/// The sandbox of a run on an issue. It is built when it is first needed.
pub(crate) struct IssueSandbox<'a> {
    run: &'a RunContext,
    files: &'a Files,
    built: OnceCell<Confinement>,
}

/// Restrictions on the programs of a run.
#[derive(Clone, Default)]
pub(crate) struct Confinement {
    /// `None`: the run has no sandbox.
    pub(crate) sandbox: Option<Sandbox>,
    /// `None`: that of the machine.
    pub(crate) network: Option<Arc<AgentNetwork>>,
}

impl<'a> IssueSandbox<'a> {
    pub(crate) fn new(run: &'a RunContext, files: &'a Files) -> Self {
        Self { run, files, built: OnceCell::new() }
    }

    /// # Errors
    /// The run needs a sandbox, and it cannot be built.
    pub(crate) async fn of(&self, agent: &Agent) -> Result<Confinement, Reason> {
        self.built.get_or_try_init(|| build(self.run, agent, self.files)).await.cloned()
    }
}

/// For the agent, which otherwise looks for the reason of a failure elsewhere.
const FILES: &str = "you can write your worktree, $TMPDIR, /tmp and caches of package managers; most of the home is not visible, and \
                     docker and other services of this machine are not available";
/// The same about a restricted network.
const HOSTS: &str = ". The network is reached through the proxy in HTTPS_PROXY, which connects only to hosts that the user allows (it \
                     answers 403 for others): report a host that you need, and do not work around it";

impl Confinement {
    /// Facts about the sandbox for the agent.
    pub(crate) fn facts(&self) -> Option<String> {
        self.sandbox.as_ref().map(|_| format!("{FILES}{}", if self.network.is_some() { HOSTS } else { "" }))
    }
}

/// The agent sees its worktree, the repository that it pushes to, the mirror, and its temporary files.
async fn build(run: &RunContext, agent: &Agent, files: &Files) -> Result<Confinement, Reason> {
    let variable = |name: &str| run.agent_variable(name);
    let network = AgentNetwork::new(&run.spec.network, &run.spool, variable)
        .map_err(|error| Reason::from(format!("run.allow_hosts: {error}")))?;
    let backend = match run.spec.sandbox {
        SandboxChoice::Off => None,
        SandboxChoice::Best | SandboxChoice::Required => sandbox::backend(run, "the agent", "run.sandbox").await?,
    };
    let Some(backend) = backend else {
        if network.is_some() {
            run.spool.notice(format!("{}: it has no sandbox", not_restricted(run)));
        }
        return Ok(Confinement::default());
    };
    let network = match (network, backend, run.spec.sandbox) {
        (Some(_), Backend::Landlock, SandboxChoice::Required) => {
            let hint = format!(
                "to run it nevertheless, change {} to `full` with `kugetsu config set`",
                run.spec.network.setting
            );
            return Err(
                Reason::from(format!("the network cannot be restricted here: {backend} cannot do that")).hint(hint)
            );
        }
        (Some(_), Backend::Landlock, _) => {
            run.spool.notice(format!("{}: {backend} cannot do that", not_restricted(run)));
            None
        }
        (network, ..) => network.map(Arc::new),
    };
    for path in run.spec.sandbox_readable.iter().chain(&run.spec.sandbox_writable).filter(|path| !path.exists()) {
        run.spool
            .notice(format!("the sandbox shows no {}, which the settings name: it does not exist", path.display()));
    }
    let work = [files.worktree.dir().to_owned(), files.worktree.relay().to_owned(), run.directory.temporary()];
    let visible = SandboxFiles {
        profile: &agent.profile,
        home: run.home.path(),
        programs: sandbox::programs(agent),
        search_path: search_path(&run.variables),
        readable: run.spec.sandbox_readable.iter().cloned().chain([files.mirror.dir().to_owned()]).collect(),
        writable: run.spec.sandbox_writable.iter().cloned().chain(work).collect(),
    };
    let files = visible
        .access(backend, |name| run.agent_variable(name))
        .map_err(|error| Reason::from(format!("could not prepare the sandbox: {error}")))?;
    let mut sandbox = sandbox::sandbox(backend, files);
    let reach = match &network {
        Some(network) => {
            sandbox.network = network.sandbox();
            match run.spec.network.access {
                NetworkAccess::None => "it can connect to providers of models only",
                NetworkAccess::AllowList | NetworkAccess::Full => "it can connect to the hosts of run.allow_hosts only",
            }
        }
        None => "its network is not restricted",
    };
    run.spool.step(format!("the agent runs in a sandbox, by {backend}; {reach}"));
    Ok(Confinement { sandbox: Some(sandbox), network })
}

fn not_restricted(run: &RunContext) -> String {
    format!("the network of the agent is not restricted, although {} demands it", run.spec.network.setting)
}
