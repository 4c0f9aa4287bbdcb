//! Deletes an agent's session, by a request of the protocol or by a command of the agent.

use std::time::Duration;

use kugetsu_agent::{AgentError, Connection, Policy, SessionDeletion, SessionId, SessionOptions};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::session::SessionState;

use crate::agent_command::{AgentCommand, nowhere};
use crate::agents;
use crate::engine::Engine;
use crate::moved_home::{Owner, owner};

/// Time limit of the command.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Asks the agent to delete the session. If it cannot, the files are removed all the same, and a note says what to type.
pub(super) async fn delete_session(engine: &Engine, issue: &Issue, notes: &mut Vec<String>) {
    let Some(session) = issue.session.as_ref().filter(|session| session.state == SessionState::Open) else { return };
    let kept = |why: &str| format!("the agent's session {} was not deleted: {why}", session.id);
    match owner(engine, issue, session) {
        Owner::This => {}
        Owner::Unknown(error) => return notes.push(kept(&error.to_string())),
        Owner::Original => return notes.push(kept("it belongs to the home of which this one is a copy")),
    }
    let agent = match agents::installed(engine, &session.agent, issue.reference.is_coordinator()) {
        Ok(found) => found,
        Err(problem) => return notes.push(kept(&problem.message)),
    };
    let id = match SessionId::new(&session.id) {
        Ok(id) => id,
        Err(error) => return notes.push(kept(&error.to_string())),
    };
    let launch = match agent.profile.deletion() {
        SessionDeletion::Protocol => Some(agent.profile.launch(Policy::Refuse)),
        SessionDeletion::Command(_) => agent.profile.delete_session(&id),
        SessionDeletion::Impossible => None,
    };
    let Some(launch) = launch else {
        return notes.push(kept(&format!("{} cannot delete sessions", session.agent)));
    };
    let name = format!("delete-{}", issue.id);
    let command = AgentCommand { engine, agent: &agent, launch: &launch, name, time_limit: TIME_LIMIT };
    if *agent.profile.deletion() == SessionDeletion::Protocol {
        let options = SessionOptions { login_method: agent.login_method(), ..SessionOptions::default() };
        let deleting = async |stdin, stdout| {
            let failed = |error: AgentError| Reason::new(&error, error.hint()).in_one_line();
            let (connection, mut events) =
                Connection::open(&agent.profile, options, stdin, stdout).await.map_err(failed)?;
            let deleted = {
                let mut deleting = std::pin::pin!(connection.delete_session(&id));
                loop {
                    tokio::select! {
                        deleted = &mut deleting => break deleted.map_err(failed),
                        // Nothing that it reports matters, but it is only read while there is room for its events.
                        Some(_) = events.next() => {}
                    }
                }
            };
            connection.close().await;
            deleted
        };
        if let Err(why) = command.speak(deleting).await {
            notes.push(kept(&why));
        }
        return;
    }
    let result = match nowhere() {
        Ok(stdout) => command.run(stdout).await,
        Err(error) => Err(error.to_string()),
    };
    if let Err(why) = result {
        let args: Vec<_> = launch.args.iter().map(|arg| arg.to_string_lossy()).collect();
        notes.push(kept(&format!("{why}; to delete it: {} {}", agent.program.display(), args.join(" "))));
    }
}
