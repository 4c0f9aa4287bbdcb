//! A real agent process in a home of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use kugetsu_agent::{
    AgentError, AgentEvent, Connection, EventStream, Launch, Policy, Profile, SessionExport, SessionOptions,
    find_program,
};
use kugetsu_testkit::Home;
use tokio::process::Child;

use crate::peer::within;

pub(crate) struct Live {
    pub(crate) connection: Connection,
    pub(crate) events: EventStream,
    pub(crate) child: Child,
}

/// The command, as the runner builds it.
fn command(home: &Home, program: &Path, launch: &Launch) -> tokio::process::Command {
    let mut env = home.environment().clone().into_iter().collect();
    launch.extend_env(&mut env, &[]).unwrap();
    let mut command = home.tokio_command(program);
    command.args(&launch.args).env_clear().envs(env).kill_on_drop(true);
    command
}

pub(crate) fn program(home: &Home, profile: &Profile) -> PathBuf {
    let path = home.environment().get(std::ffi::OsStr::new("PATH")).unwrap();
    find_program(profile, path).unwrap()
}

impl Live {
    pub(crate) async fn start(
        home: &Home,
        profile: &Profile,
        policy: Policy,
        directory: &Path,
    ) -> Result<Self, AgentError> {
        let mut command = command(home, &program(home, profile), &profile.launch(policy));
        let mut child = command.current_dir(directory).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let options = SessionOptions { policy, ..SessionOptions::default() };
        let (connection, events) = Connection::open(profile, options, stdin, stdout).await?;
        Ok(Self { connection, events, child })
    }

    /// Closes the connection, after which the agent must exit.
    pub(crate) async fn end(mut self) {
        self.connection.close().await;
        let status = within(self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}");
    }
}

/// Runs a command to its end and returns its stdout.
pub(crate) async fn run(home: &Home, profile: &Profile, launch: &Launch) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = command(home, &program(home, profile), launch);
    let status = command.stdin(Stdio::null()).stdout(file.reopen().unwrap()).status().await.unwrap();
    assert!(status.success(), "{status}");
    std::fs::read(file.path()).unwrap()
}

pub(crate) async fn export(home: &Home, profile: &Profile, session: &kugetsu_agent::SessionId) -> SessionExport {
    SessionExport::read(&run(home, profile, &profile.export_session(session).unwrap()).await[..]).unwrap()
}

/// Collects the events until the future is ready, and answers questions by the policy.
pub(crate) async fn answering<T>(
    events: &mut EventStream,
    policy: Policy,
    future: impl Future<Output = T>,
) -> (T, Vec<AgentEvent>) {
    let mut future = std::pin::pin!(future);
    let mut seen = Vec::new();
    let mut take = |event| match event {
        AgentEvent::Question(question) => {
            let answer = question.decide(policy).unwrap();
            question.answer(answer).unwrap();
        }
        other => seen.push(other),
    };
    let value = loop {
        tokio::select! {
            value = &mut future => break value,
            Some(event) = events.next() => take(event),
        }
    };
    std::iter::from_fn(|| events.try_next()).for_each(&mut take);
    (value, seen)
}
