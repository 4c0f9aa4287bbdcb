//! Runs an agent's program outside of a run: to delete a session, or to list models.
//!
//! Such a program takes plugins and settings from its working directory, so that is an empty one. It also loads what its runs wrote into
//! its own directories, so it has the sandbox of runs. Everything that the command starts is ended.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_agent::Launch;
use kugetsu_domain::reason::Reason;
use kugetsu_process::{Tracking, Tree, TreeLimits, TreeSpec};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::agents::InstalledAgent;
use crate::engine::Engine;
use crate::moved_home::marker;

/// How long its processes may take to obey SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// Longest message of the command that is quoted, in characters.
const COMPLAINT_MAX: usize = 300;
/// Bytes of its standard error that are kept.
const STDERR_MAX: usize = 64 * 1024;

pub(crate) struct AgentCommand<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) agent: &'a InstalledAgent,
    pub(crate) launch: &'a Launch,
    /// Names the command's directory and its processes. Two commands with one name must not run at once.
    pub(crate) name: String,
    pub(crate) time_limit: Duration,
}

impl AgentCommand<'_> {
    /// Runs the command in an empty directory, which is removed afterwards. Its output goes to `stdout`: a file, because some
    /// agents write no more than 64 KiB to a pipe.
    ///
    /// # Errors
    /// Why the command failed, for the user.
    pub(crate) async fn run(self, stdout: File) -> Result<(), String> {
        let time_limit = self.time_limit;
        self.in_empty_directory(Some(stdout), async |tree| {
            drop(tree.stdin.take());
            match timeout(time_limit, tree.wait()).await {
                Ok(Ok(status)) if status.success() => Ok(()),
                Ok(Ok(status)) => Err(match tree.stderr_tail().trim() {
                    "" => format!("its command failed ({status})"),
                    text => text.chars().filter(|c| !c.is_control() || *c == '\n').take(COMPLAINT_MAX).collect(),
                }),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("its command took longer than {} s", time_limit.as_secs())),
            }
        })
        .await
    }

    /// Runs the agent as [`run`](Self::run) does, and speaks the protocol with it.
    ///
    /// # Errors
    /// Why that failed, for the user.
    pub(crate) async fn speak(
        self,
        speaking: impl AsyncFnOnce(ChildStdin, ChildStdout) -> Result<(), String>,
    ) -> Result<(), String> {
        let time_limit = self.time_limit;
        self.in_empty_directory(None, async |tree| {
            let (Some(stdin), Some(stdout)) = (tree.stdin.take(), tree.stdout.take()) else {
                return Err("the agent's pipes are missing".to_owned());
            };
            match timeout(time_limit, speaking(stdin, stdout)).await {
                Ok(result) => result,
                Err(_) => Err(format!("it took longer than {} s", time_limit.as_secs())),
            }
        })
        .await
    }

    async fn in_empty_directory(
        self,
        stdout: Option<File>,
        work: impl AsyncFnOnce(&mut Tree) -> Result<(), String>,
    ) -> Result<(), String> {
        let directory = self.engine.home().path().join(format!(".{}", self.name));
        make_empty(&directory).map_err(|error| error.to_string())?;
        let result = self.run_in(&directory, stdout, work).await;
        // It is empty, or a leftover of the command that nothing depends on.
        let _ = fs::remove_dir_all(&directory);
        result
    }

    async fn run_in(
        self,
        directory: &Path,
        stdout: Option<File>,
        work: impl AsyncFnOnce(&mut Tree) -> Result<(), String>,
    ) -> Result<(), String> {
        let marker = marker(self.engine.home(), &self.name).map_err(|error| error.to_string())?;
        let env = self.agent.environment(self.engine, self.launch)?;
        let sandbox = self.agent.sandbox(self.engine, &env, directory).await?;
        let spec = TreeSpec {
            program: self.agent.program.clone().into(),
            args: self.launch.args.clone(),
            cwd: PathBuf::from(directory),
            env,
            marker,
            stdout,
            stderr: nowhere().map_err(|error| error.to_string())?,
            stderr_max: STDERR_MAX,
            stderr_filter: None,
            tracking: Tracking::CgroupV2,
            sandbox,
            limits: TreeLimits::default(),
        };
        let mut tree = Tree::spawn(spec).await.map_err(|error| Reason::new(&error, error.hint()).in_one_line())?;
        let result = work(&mut tree).await;
        let exit = tree.end(GRACE).await;
        if !exit.survivors.is_empty() {
            tracing::warn!(command = self.name, survivors = ?exit.survivors, "processes of an agent's command could not be ended");
        }
        result
    }
}

fn make_empty(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir(directory),
    }
}

/// Where output goes that says nothing.
pub(crate) fn nowhere() -> io::Result<File> {
    OpenOptions::new().write(true).open("/dev/null")
}
