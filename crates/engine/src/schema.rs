//! The schema of `config.toml`: one struct per section. The field is the setting, its doc comment the description in
//! `config.toml` and `docs/settings.md`, its attributes the default and the range.
//!
//! The command line derives everything else from this file: parsing, validation, `kugetsu config`, the commented
//! `config.toml` and the table of settings. Extensions of JSON Schema that it understands:
//!
//! - `default`: the value if none is set. A setting without one is optional.
//! - `format`: `duration` or `path`.
//! - `renamedFrom`: the earlier name of the field, which is still read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use kugetsu_agent::Policy;
use kugetsu_domain::allowed_hosts::{AllowList, AllowedHost, LOCAL_MAX};
use kugetsu_domain::duration;
use kugetsu_domain::quiet_hours::QuietHours;
use kugetsu_domain::reference::ForgeKind;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;

use crate::budget_limits::BudgetLimits;

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Config {
    pub agent: Agent,
    pub agents: Agents,
    pub budget: BudgetLimits,
    pub db: Db,
    pub destroy: Destroy,
    pub gc: Gc,
    pub hooks: Hooks,
    pub pm: Coordinator,
    pub queue: Queue,
    pub rescue: Rescue,
    pub run: Run,
    pub server: DefaultServer,
}

/// The named entries: a section contains any number of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Entry {
    pub agents: AgentEntry,
    pub servers: ServerEntry,
    pub watch: WatchEntry,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Agent {
    /// Agent for tasks that name none. If not set, the first one of `kugetsu agents` that is installed and logged in; the first
    /// task sets it.
    #[serde(default, deserialize_with = "optional_non_empty")]
    #[schemars(length(min = 1), extend("examples" = ["opencode"]))]
    pub default: Option<String>,
    /// Answer to an agent's permission questions. `ask` refuses, too, because no user can answer during a run yet.
    #[serde(deserialize_with = "policy")]
    #[schemars(with = "String", extend("enum" = ["allow", "ask", "refuse"], "default" = "allow"))]
    pub permissions: Policy,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Agents {
    /// Maximum number of concurrent `start` runs. With 0 none starts. `continue` and `push` need no slot.
    #[schemars(range(max = 1000), extend("default" = 3))]
    pub max: usize,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Db {
    /// Number of daily backups of the database that are kept in `backup/`. With 0 none is made.
    #[schemars(range(max = 1000), extend("default" = 7))]
    pub backups: usize,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Destroy {
    /// Whether `kugetsu destroy` looks up the state of the pull request before it removes a worktree.
    #[schemars(extend("default" = true, "renamedFrom" = "check_change"))]
    pub check_pr: bool,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Gc {
    /// Whether the daemon runs `kugetsu gc` every day.
    #[schemars(extend("default" = true))]
    pub daily: bool,
    /// Size of the home in MiB above which gc removes the oldest directories of ended runs and unused mirrors, even if they are
    /// younger than `queue.keep` and `gc.mirrors`, but none of the last day.
    #[schemars(range(min = 1, max = 1_073_741_824), extend("examples" = [20480]))]
    pub max_size: Option<u64>,
    /// How long the mirror of a repository is kept that has no issue, worktree or rescue. It can be cloned again.
    #[serde(deserialize_with = "length")]
    #[schemars(with = "String", extend("format" = "duration", "default" = "30d"))]
    pub mirrors: Duration,
    /// How long things are kept that were set aside: unknown files in `quarantine/`, damaged parts of mirrors, and replaced
    /// databases. For good if not set, because they may be the only copy of work.
    #[serde(default, deserialize_with = "optional_length")]
    #[schemars(with = "Option<String>", extend("format" = "duration", "examples" = ["90d"]))]
    pub quarantine: Option<Duration>,
    /// How long rescues are kept. For good if not set, because they may be the only copy of work.
    #[serde(default, deserialize_with = "optional_length")]
    #[schemars(with = "Option<String>", extend("format" = "duration", "examples" = ["180d"]))]
    pub rescues: Option<Duration>,
}

impl Gc {
    /// The size in bytes.
    pub fn max_size_bytes(&self) -> Option<u64> {
        self.max_size.map(|size| size.saturating_mul(1024 * 1024))
    }
}

/// The webhooks of watched repositories.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Hooks {
    /// Address and port on which the daemon accepts webhooks, and nothing else. Without it, watched repositories are polled. A proxy
    /// in front of it should add TLS.
    #[serde(default, deserialize_with = "socket_address")]
    #[schemars(with = "Option<String>", extend("format" = "socket address", "examples" = ["127.0.0.1:8790"]))]
    pub listen: Option<SocketAddr>,
    /// Address under which the servers reach it. Their deliveries go to `<url>/hooks/<server>`.
    #[serde(default, deserialize_with = "http_address")]
    #[schemars(with = "Option<String>", extend("format" = "http address", "examples" = ["https://kugetsu.example.com"]))]
    pub url: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Coordinator {
    /// Agent of the coordinator; `agent.default` if not set.
    #[schemars(extend("examples" = ["opencode"]))]
    pub agent: Option<String>,
    /// Model of the coordinator, as its agent names it; the agent's choice if not set.
    #[schemars(extend("examples" = ["provider/model"]))]
    pub model: Option<String>,
    /// Whether the coordinator needs a sandbox, which keeps it from writing files. `off` lets it run without one.
    #[schemars(extend("default" = "required"))]
    pub cage: Sandbox,
}

impl Coordinator {
    pub fn needs_sandbox(&self) -> bool {
        self.cage == Sandbox::Required
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sandbox {
    Required,
    Off,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Queue {
    /// How long finished tasks are kept in the history.
    #[serde(deserialize_with = "length")]
    #[schemars(with = "String", extend("format" = "duration", "default" = "7d"))]
    pub keep: Duration,
    /// Free disk space where the home is, in MiB, below which no agent starts. 0 turns the check off.
    #[schemars(range(max = 1_073_741_824), extend("default" = 1024))]
    pub min_disk: u64,
    /// Available memory in MiB, of the machine or of the daemon's cgroup, below which no agent starts; none starts either while
    /// processes wait for memory most of the time. 0 turns the check off.
    #[schemars(range(max = 1_073_741_824), extend("default" = 512))]
    pub min_memory: u64,
    /// Local times in which no agent starts, with commas between several; they may pass midnight. Runs in progress continue.
    #[serde(default, deserialize_with = "quiet_hours")]
    #[schemars(with = "Option<String>", extend("format" = "quiet hours", "examples" = ["22:00-07:00"]))]
    pub quiet_hours: Option<QuietHours>,
    /// How long nothing may be started, while queued tasks or issues of watched repositories could be, before `kugetsu status`,
    /// `kugetsu doctor` and the daemon's log warn. `0` is never.
    #[serde(deserialize_with = "length_or_zero")]
    #[schemars(with = "String", extend("format" = "duration or zero", "default" = "30m"))]
    pub stall_alarm: Duration,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Rescue {
    /// Size in MiB up to which a rescue stores a file in git. Larger files are copied beside it, without the holes of sparse
    /// files.
    #[schemars(range(max = 1_048_576), extend("default" = 1024))]
    pub max_file: u64,
}

impl Rescue {
    /// The size in bytes.
    pub fn max_file_bytes(&self) -> u64 {
        self.max_file.saturating_mul(1024 * 1024)
    }
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Run {
    /// Names of variables, separated by commas, whose values may be pushed: commits that contain the value of another variable
    /// with a secret's name are not.
    #[schemars(extend("examples" = ["DB_PASSWORD"]))]
    pub allow_secrets: Option<String>,
    /// Lines in which an agent names itself in messages of commits and in pull requests, such as `Co-authored-by`: `keep` leaves
    /// that to the agent; `remove` sets the agent's own switch if it has one, and asks it in the first prompt of a session.
    /// `kugetsu agents show <name>` says which.
    #[schemars(extend("default" = "keep"))]
    pub agent_trailers: AgentTrailers,
    /// Hosts that agents with the network `allow-list` may connect to: `models` (providers of models), `packages` (registries of
    /// packages and mirrors of Linux distributions), `example.com`, `*.example.com` (its subdomains), each for the ports 80 and 443 or
    /// with its own (`example.com:8443`), and `localhost:11434` for a program on this machine. A name whose address is private needs an
    /// entry of that address as well.
    #[serde(deserialize_with = "allowed_hosts")]
    #[schemars(with = "Vec<String>", extend("format" = "hosts", "default" = ["models", "packages"], "examples" = [["models", "packages", "git.example.com"]]))]
    pub allow_hosts: Vec<AllowedHost>,
    /// Who has the tokens of git servers: `host` keeps those of env/default.env from agents, because kugetsu itself fetches, pushes
    /// and opens pull requests; `env` gives them to agents. A token in an agent's own env file is always for that agent.
    #[schemars(extend("default" = "host"))]
    pub credentials: Credentials,
    /// Share of processors and disks of a run compared with that of other runs, where the kernel limits runs (`kugetsu doctor`
    /// says so). 0 leaves the kernel's default, 100.
    #[schemars(range(max = 10_000), extend("default" = 0))]
    pub cpu_weight: u64,
    /// How many times in a row an agent may make the same tool calls with the same results before its run is ended as
    /// failed. 0 is no maximum.
    #[schemars(range(max = 1000), extend("default" = 20))]
    pub max_repeats: u32,
    /// Memory in MiB that an agent may use with everything that it starts; three quarters of that of the machine, or of the
    /// daemon's cgroup, if not set. A run that uses more is ended as failed, and its work is kept. 0 is no limit.
    #[schemars(range(max = 1_073_741_824), extend("examples" = [8192]))]
    pub memory: Option<u64>,
    /// How many times a task is continued in the same session after its model failed in a way that may pass, such as a limit of
    /// the provider or a broken connection. The pauses before grow from 5 seconds to 5 minutes. For a limit that
    /// lasts longer, the run ends and the task waits in the queue.
    #[schemars(range(max = 100), extend("default" = 5))]
    pub model_retries: u32,
    /// Network of agents of issues that you start: `full`, `allow-list` (only the hosts of `run.allow_hosts`) or `none` (only providers of
    /// models and programs on this machine that `run.allow_hosts` names). Issues of watched repositories have the setting `network` of
    /// their watch. Only a sandbox can restrict the network.
    #[schemars(extend("default" = "full"))]
    pub network: AgentNetwork,
    /// Maximum number of processes and threads of a run; 4096, or 128 for each processor if that is more, if not set. A run that
    /// reaches it is ended as failed. 0 is no maximum.
    #[schemars(range(max = 4_194_304), extend("examples" = [4096]))]
    pub processes: Option<u64>,
    /// Whether agents of issues run in a sandbox, in which they write only their worktree, their own directories and temporary
    /// files, and read of your home only settings without secrets, toolchains and caches. With `best` a run does without if the
    /// machine has no sandbox, and says so; with `required` it fails.
    #[schemars(extend("default" = "best"))]
    pub sandbox: RunSandbox,
    /// Further files and directories that agents may read in the sandbox.
    #[serde(default, deserialize_with = "absolute_paths")]
    #[schemars(with = "Vec<String>", extend("examples" = [["/home/me/sdk"]]))]
    pub sandbox_readable: Vec<PathBuf>,
    /// Further directories that they may write.
    #[serde(default, deserialize_with = "absolute_paths")]
    #[schemars(with = "Vec<String>", extend("examples" = [["/home/me/.cache/ccache"]]))]
    pub sandbox_writable: Vec<PathBuf>,
    /// Longest time without a sign of life from the agent. Opening a session may take two minutes in any case.
    #[serde(deserialize_with = "length")]
    #[schemars(with = "String", extend("format" = "duration", "default" = "10m"))]
    pub silence: Duration,
    /// Parent of the temporary directories of runs, which are removed with their runs; in the home if not set.
    #[serde(default, deserialize_with = "absolute_path")]
    #[schemars(with = "Option<String>", extend("format" = "path", "examples" = ["/var/tmp/kugetsu"]))]
    pub temp_dir: Option<PathBuf>,
    /// Wall-clock limit of a run. A run that exceeds it is ended, and its work is kept.
    #[serde(deserialize_with = "length")]
    #[schemars(with = "String", extend("format" = "duration", "default" = "1h"))]
    pub timeout: Duration,
    /// Files that an agent left uncommitted: `block` ends the run as `blocked`; `commit` commits them, tracked and untracked,
    /// with the agent's last message.
    #[schemars(extend("default" = "block"))]
    pub uncommitted: Uncommitted,
    /// By how many MiB a run may make its worktree, its relay repository and its temporary directory larger. A run that exceeds
    /// it is ended as failed, and its files stay. 0 is no limit.
    #[schemars(range(max = 1_073_741_824), extend("default" = 20_480))]
    pub worktree_growth: u64,
}

impl Run {
    /// The names in `run.allow_secrets`.
    pub fn allowed_secrets(&self) -> Vec<String> {
        let names = self.allow_secrets.as_deref().unwrap_or_default().split(',').map(str::trim);
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Credentials {
    Host,
    Env,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AgentTrailers {
    Keep,
    Remove,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunSandbox {
    Required,
    Best,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentNetwork {
    Full,
    AllowList,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Uncommitted {
    Block,
    Commit,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct DefaultServer {
    /// Server that `owner/repo#12` refers to outside of a clone; github.com if not set.
    #[schemars(extend("examples" = ["work"]))]
    pub default: Option<String>,
}

/// A git server of your own. `kugetsu server add` writes such a section.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(extend("examples" = ["work"]))]
pub struct ServerEntry {
    /// Address of the server, without user, password or query.
    #[schemars(extend("examples" = ["https://git.example.com"]))]
    pub url: String,
    /// Software of the server.
    #[serde(default, deserialize_with = "forge_kind")]
    #[schemars(with = "Option<String>")]
    #[schemars(extend("enum" = server_kinds(), "examples" = ["gitea"]))]
    pub kind: Option<ForgeKind>,
    /// Address of its API, if that is not at the usual path.
    #[schemars(extend("examples" = ["https://git.example.com/api/v1"]))]
    pub api_url: Option<String>,
    /// Name of the variable in env/default.env that contains its token, if it is not the one of its kind.
    #[schemars(extend("examples" = ["WORK_TOKEN"]))]
    pub token_env: Option<String>,
}

/// An agent of your own, a program that speaks the Agent Client Protocol on stdin and stdout, or fields that replace those of a
/// built-in agent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(extend("examples" = ["mine"]))]
pub struct AgentEntry {
    /// A name on the PATH, or an absolute path. Required unless the agent is built in.
    #[serde(default, deserialize_with = "non_empty_option")]
    #[schemars(with = "String", length(min = 1), extend("examples" = ["my-agent"]))]
    pub program: Option<String>,
    /// Arguments that make it speak the protocol.
    #[serde(default)]
    #[schemars(with = "Vec<String>", extend("examples" = [["acp"]]))]
    pub args: Option<Vec<String>>,
    /// Variables that are set for it.
    #[serde(default)]
    #[schemars(extend("examples" = [{ "MY_AGENT_MODE": "quiet" }]))]
    pub env: BTreeMap<String, String>,
    /// Arguments that delete a session.
    #[serde(default)]
    #[schemars(with = "Vec<String>", extend("examples" = [["session", "delete", "{session}"]]))]
    pub delete: Option<Vec<String>>,
    /// Arguments that open a session in a terminal.
    #[serde(default)]
    #[schemars(with = "Vec<String>", extend("examples" = [["--session", "{session}"]]))]
    pub attach: Option<Vec<String>>,
    /// Arguments that print its models, one per line. With them, `start` refuses a model that the agent does not have.
    #[serde(default)]
    #[schemars(with = "Vec<String>", extend("examples" = [["models"]]))]
    pub models: Option<Vec<String>>,
}

/// A repository whose issues are handed over by a label or an assignee. `kugetsu watch add` writes such a section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(extend("examples" = ["api"]))]
pub struct WatchEntry {
    /// The repository: its address.
    #[schemars(extend("examples" = ["https://git.example.com/acme/api"]))]
    pub repo: String,
    /// Label of the issues that are handed over. A label or an assignee is required.
    #[schemars(extend("examples" = ["agent"]))]
    pub label: Option<String>,
    /// User to whom the issues that are handed over are assigned.
    #[schemars(extend("examples" = ["robot"]))]
    pub assignee: Option<String>,
    /// Whose text enters prompts, whose label or assignment hands an issue over, and whose comments are commands: `owners`, `members`
    /// (who may push), `collaborators` (who may label issues), or logins with commas between them; `members` if not set. An issue of
    /// another user needs the label.
    #[serde(default, deserialize_with = "optional_non_empty")]
    #[schemars(with = "String", length(min = 1), extend("examples" = ["members"]))]
    pub trust: Option<String>,
    /// Agent; `agent.default` if not set.
    #[schemars(extend("examples" = ["claude"]))]
    pub agent: Option<String>,
    /// Model, as the agent names it; the agent's choice if not set.
    #[schemars(extend("examples" = ["provider/model"]))]
    pub model: Option<String>,
    /// Branch that work starts from and is merged into; the default branch if not set.
    #[schemars(extend("examples" = ["main"]))]
    pub base: Option<String>,
    /// Text that precedes the issue in the first prompt.
    #[schemars(extend("examples" = ["Write a test that fails before you change the code."]))]
    pub prompt: Option<String>,
    /// Rules that give some of the issues another agent, model, base, prompt or priority. The first one that an issue matches counts.
    #[schemars(extend("examples" = [[{ "label": "bug", "model": "provider/model", "priority": 10 }]]))]
    pub rules: Option<Vec<WatchRule>>,
    /// Maximum number of runs of issues of this repository at once.
    #[schemars(range(max = 1000), extend("examples" = [2]))]
    pub max_running: Option<u32>,
    /// Maximum number of open pull requests; 5 if not set. Further issues wait until some are merged or closed.
    #[schemars(range(max = 1000), extend("examples" = [5]))]
    pub max_open_prs: Option<u32>,
    /// How many times the agent gets feedback of one kind before a person has to decide; 3 if not set. A number for every kind, or a
    /// table with some of `verify` (commands of this setting), `conflict`, `ci` (checks), `review` (people) and `bot_review`
    /// (programs). A person always decides about refused merges.
    #[schemars(with = "Option<u32>", range(max = 100), extend("format" = "number or table", "examples" = [3]))]
    pub max_feedback: Option<MaxFeedback>,
    /// Logins of at most 10 users whose review is requested, once for each pull request, when it is no draft and `verify` has passed.
    #[schemars(extend("examples" = [["kim"]]))]
    pub reviewers: Option<Vec<String>>,
    /// Commands that have to succeed at the head before a review is requested.
    #[schemars(extend("examples" = [["cargo test"]]))]
    pub verify: Option<Vec<String>>,
    /// Network of the agent, as `run.network`; `allow-list` if not set, because others write the text of its issues.
    #[schemars(extend("examples" = ["full"]))]
    pub network: Option<AgentNetwork>,
    /// Whether pull requests are opened as drafts.
    #[schemars(extend("examples" = [true]))]
    pub draft: Option<bool>,
    /// When pull requests are merged: `never` (if not set), `when-green` (its checks passed) or `when-approved` (and a trusted
    /// person approved the head).
    #[schemars(extend("examples" = ["when-approved"]))]
    pub merge: Option<MergeWhen>,
    /// How they are merged; what the repository allows if not set.
    #[schemars(extend("examples" = ["squash"]))]
    pub merge_method: Option<MergeMethodName>,
    /// Whether a head without any checks is not merged; `true` if not set.
    #[schemars(extend("examples" = [true]))]
    pub needs_checks: Option<bool>,
    /// How long checks may take to be reported after a push, before which no head is merged; 3 minutes if not set. `.kugetsu.toml` can
    /// only make it longer.
    #[serde(default, deserialize_with = "optional_length")]
    #[schemars(with = "Option<String>", extend("format" = "duration", "examples" = ["10m"]))]
    pub checks_grace: Option<Duration>,
    /// Whether the issue is closed after the merge; `true` if not set.
    #[schemars(extend("examples" = [true]))]
    pub close_issue: Option<bool>,
    /// Whether the branch is deleted after the merge; `true` if not set.
    #[schemars(extend("examples" = [true]))]
    pub delete_branch: Option<bool>,
    /// Whether the issue gets a label with its state: `kugetsu/working`, `kugetsu/review` or `kugetsu/needs-person`; `true` if not
    /// set.
    #[schemars(extend("examples" = [true]))]
    pub state_labels: Option<bool>,
    /// Time between two polls; 30 seconds if not set, and with a webhook 5 minutes (10 on GitLab).
    #[serde(default, deserialize_with = "optional_length")]
    #[schemars(with = "Option<String>", extend("format" = "duration", "examples" = ["1m"]))]
    pub poll: Option<Duration>,
    /// Whether no further issues are started.
    #[schemars(extend("examples" = [true]))]
    pub paused: Option<bool>,
}

/// How many times the agent gets feedback.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum MaxFeedback {
    /// Of every kind.
    Each(#[serde(deserialize_with = "feedback_limit")] Option<u32>),
    Kinds(FeedbackLimits),
}

/// Maximum for each kind; the default if not set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedbackLimits {
    #[serde(deserialize_with = "feedback_limit")]
    pub verify: Option<u32>,
    #[serde(deserialize_with = "feedback_limit")]
    pub conflict: Option<u32>,
    #[serde(deserialize_with = "feedback_limit")]
    pub ci: Option<u32>,
    #[serde(deserialize_with = "feedback_limit")]
    pub review: Option<u32>,
    #[serde(deserialize_with = "feedback_limit")]
    pub bot_review: Option<u32>,
}

impl MaxFeedback {
    /// The maximum for the kind that `kind` selects.
    pub fn of(&self, kind: impl Fn(&FeedbackLimits) -> Option<u32>) -> Option<u32> {
        match self {
            Self::Each(limit) => *limit,
            Self::Kinds(limits) => kind(limits),
        }
    }
}

fn feedback_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let limit = u32::deserialize(deserializer)?;
    if limit <= 100 { Ok(Some(limit)) } else { Err(D::Error::custom("not an integer from 0 to 100")) }
}

/// How some of the issues are worked on. What a rule does not set is as the section says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchRule {
    /// Matches issues with this label.
    pub label: Option<String>,
    /// Matches issues of this type, on servers that have types: GitHub and GitLab.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Maximum number of runs of issues that match this rule at once.
    #[schemars(range(max = 1000))]
    pub max_running: Option<u32>,
    /// Agent.
    pub agent: Option<String>,
    /// Model, as the agent names it.
    pub model: Option<String>,
    /// Branch that work starts from and is merged into.
    pub base: Option<String>,
    /// Text that precedes the issue in the first prompt.
    pub prompt: Option<String>,
    /// Tasks with a higher priority start first; 0 if not set.
    pub priority: Option<i32>,
}

impl WatchRule {
    /// Names the issues that match it.
    pub fn name(&self) -> String {
        let parts = [("label", &self.label), ("type", &self.kind)];
        let parts = parts.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// `.kugetsu.toml` at the root of a watched repository's default branch: settings of its section that the section itself does not
/// have. It can narrow trust and limits, and never widen them; it has no say about the sandbox and about credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepoFile {
    pub trust: Option<String>,
    pub agent: Option<String>,
    pub model: Option<String>,
    pub base: Option<String>,
    pub prompt: Option<String>,
    pub rules: Option<Vec<WatchRule>>,
    pub max_running: Option<u32>,
    pub max_open_prs: Option<u32>,
    #[schemars(with = "Option<u32>")]
    pub max_feedback: Option<MaxFeedback>,
    pub verify: Option<Vec<String>>,
    pub draft: Option<bool>,
    pub merge: Option<MergeWhen>,
    pub merge_method: Option<MergeMethodName>,
    pub needs_checks: Option<bool>,
    #[serde(default, deserialize_with = "optional_length")]
    #[schemars(with = "Option<String>")]
    pub checks_grace: Option<Duration>,
    pub close_issue: Option<bool>,
    pub delete_branch: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MergeWhen {
    Never,
    WhenGreen,
    WhenApproved,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MergeMethodName {
    Merge,
    Squash,
    Rebase,
}

/// The JSON Schema of [`Config`] or [`Entry`], with everything inline.
pub fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

pub fn json(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => text.value().as_str().into(),
        toml_edit::Value::Integer(number) => (*number.value()).into(),
        toml_edit::Value::Boolean(switch) => (*switch.value()).into(),
        toml_edit::Value::Float(number) => (*number.value()).into(),
        toml_edit::Value::Datetime(time) => time.value().to_string().into(),
        toml_edit::Value::Array(array) => array.iter().map(json).collect(),
        toml_edit::Value::InlineTable(table) => {
            Value::Object(table.iter().map(|(name, value)| (name.to_owned(), json(value))).collect())
        }
    }
}

/// The defaults of all settings by section; null if a setting has none.
pub fn defaults() -> Value {
    // Generated once: every value of `config.toml` is checked in them.
    static DEFAULTS: LazyLock<Value> = LazyLock::new(|| {
        let schema = schema_of::<Config>();
        let sections = schema["properties"].as_object().into_iter().flatten();
        sections.fold(Value::Null, |mut defaults, (section, schema)| {
            for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
                defaults[section][field] = schema.get("default").cloned().unwrap_or_default();
            }
            defaults
        })
    });
    DEFAULTS.clone()
}

impl Default for Config {
    #[expect(clippy::expect_used, reason = "the defaults are constants, and a test reads them")]
    fn default() -> Self {
        serde_json::from_value(defaults()).expect("valid defaults")
    }
}

fn server_kinds() -> Vec<&'static str> {
    ForgeKind::ALL.into_iter().filter(|kind| *kind != ForgeKind::Local).map(ForgeKind::name).collect()
}

/// From a second to a year: no timeout is shorter, and clocks cannot count to everything that can be written.
fn length<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_length(&String::deserialize(deserializer)?)
}

/// `0` needs no unit, and no quotes.
fn length_or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Number(number) if number.as_u64() == Some(0) => Ok(Duration::ZERO),
        Value::String(text) if matches!(text.trim(), "0" | "0s") => Ok(Duration::ZERO),
        Value::String(text) => parse_length(&text),
        _ => Err(D::Error::custom("not a duration")),
    }
}

fn optional_length<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Option::<String>::deserialize(deserializer)?.as_deref().map(parse_length).transpose()
}

fn parse_length<E: Error>(text: &str) -> Result<Duration, E> {
    const MAX: Duration = Duration::from_secs(365 * 86_400);
    let length = duration::parse(text).ok().filter(|length| !length.is_zero() && *length <= MAX);
    length.ok_or_else(|| E::custom("not a duration from 1s to 365d"))
}

/// A relative path would depend on the current directory of each process that reads it.
fn absolute_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let path = Option::<PathBuf>::deserialize(deserializer)?;
    match path {
        Some(path) if !path.is_absolute() => Err(D::Error::custom("not an absolute path")),
        path => Ok(path),
    }
}

fn absolute_paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let paths = Vec::<PathBuf>::deserialize(deserializer)?;
    match paths.iter().all(|path| path.is_absolute()) {
        true => Ok(paths),
        false => Err(D::Error::custom("not absolute paths")),
    }
}

fn allowed_hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<AllowedHost>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let hosts: Vec<AllowedHost> =
        texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(D::Error::custom)?;
    match AllowList::new(hosts.clone()).local_ports().len() {
        ..=LOCAL_MAX => Ok(hosts),
        _ => Err(D::Error::custom(format!("more than {LOCAL_MAX} programs on this machine"))),
    }
}

fn socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| D::Error::custom("not an IP address with a port, such as 127.0.0.1:8790"))
}

/// An empty text unsets it.
fn quiet_hours<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<QuietHours>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
}

/// An empty text unsets it.
fn http_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.trim_matches('/').is_empty() && !rest.contains(char::is_whitespace) => Ok(Some(text)),
        None if text.is_empty() => Ok(None),
        _ => Err(D::Error::custom("not an http or https address")),
    }
}

fn non_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() { Err(D::Error::custom("empty")) } else { Ok(text) }
}

fn non_empty_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    non_empty(deserializer).map(Some)
}

/// Null is the default.
fn optional_non_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        Some(text) if text.trim().is_empty() => Err(D::Error::custom("empty")),
        text => Ok(text),
    }
}

fn forge_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ForgeKind>, D::Error> {
    let Some(name) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let kind = ForgeKind::from_name(&name).filter(|kind| *kind != ForgeKind::Local);
    kind.map(Some).ok_or_else(|| D::Error::custom("not a kind of server"))
}

fn policy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Policy, D::Error> {
    let name = String::deserialize(deserializer)?;
    Policy::from_name(&name).ok_or_else(|| D::Error::custom("not a policy"))
}
