//! Deletes an agent's session by a command of the agent.
//!
//! The command runs on the host, for an issue whose agent could write anything into its worktree. See [`AgentCommand`].

use std::time::Duration;

use kugetsu_agent::SessionId;
use kugetsu_domain::issue::Issue;
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
    let Some(launch) = SessionId::new(&session.id).ok().and_then(|id| agent.profile.delete_session(&id)) else {
        return notes.push(kept(&format!("{} has no command for it", session.agent)));
    };
    let env = match agent.environment(engine, &launch) {
        Ok(env) => env,
        Err(why) => return notes.push(kept(&why)),
    };
    let command = match nowhere() {
        Ok(stdout) => AgentCommand {
            home: engine.home(),
            name: format!("delete-{}", issue.id),
            program: &agent.program,
            args: launch.args.clone(),
            env,
            time_limit: TIME_LIMIT,
            stdout,
        },
        Err(error) => return notes.push(kept(&error.to_string())),
    };
    let result = command.run().await;
    if let Err(why) = result {
        let args: Vec<_> = launch.args.iter().map(|arg| arg.to_string_lossy()).collect();
        notes.push(kept(&format!("{why}; to delete it: {} {}", agent.program.display(), args.join(" "))));
    }
}
