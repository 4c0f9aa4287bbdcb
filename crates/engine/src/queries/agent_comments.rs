//! Comments and questions that agents wrote, from the records of their runs.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use kugetsu_api::record::{Body, Record};
use kugetsu_api::regular_file;
use kugetsu_domain::ids::RunId;
use kugetsu_domain::issue::Issue;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::task::TaskState;
use kugetsu_store::error::StoreError;

use crate::engine::Engine;

/// A part of every record of a comment.
const COMMENT: &[u8] = br#""type":"comment""#;

/// A comment of an agent on its issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentComment {
    /// Counted from 1 within the run.
    pub(crate) number: u32,
    pub(crate) is_question: bool,
    pub(crate) text: String,
}

/// Returns the comments of a run's agent, in their order.
///
/// # Errors
/// The records cannot be read: what they say is not known.
pub(crate) async fn agent_comments(engine: &Engine, run: RunId) -> io::Result<Vec<AgentComment>> {
    let path = engine.home().run(run).records();
    tokio::task::spawn_blocking(move || comments_in(&path)).await.map_err(io::Error::other).flatten()
}

fn comments_in(path: &Path) -> io::Result<Vec<AgentComment>> {
    let records = BufReader::new(regular_file::open_to_read(path)?);
    let mut comments = Vec::new();
    for line in records.split(b'\n') {
        let line = line?;
        // Other records may be long and many.
        if !line.windows(COMMENT.len()).any(|part| part == COMMENT) {
            continue;
        }
        if let Ok(Body::Comment { number, question, text }) =
            serde_json::from_slice::<Record>(&line).map(|record| record.body)
        {
            comments.push(AgentComment { number, is_question: question, text });
        }
    }
    Ok(comments)
}

/// A question without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The run whose agent waits.
    pub(crate) run: RunId,
    /// The number of the comment in that run.
    pub(crate) number: u32,
    pub(crate) text: String,
}

/// Returns the question of the agent in the latest run of an issue; `None` if it works again, if it has none, or if the records of
/// the run are gone.
pub(crate) async fn open_question(engine: &Engine, issue: &Issue) -> Result<Option<Question>, StoreError> {
    let Some(view) = engine.store().view(issue.id).await? else { return Ok(None) };
    let Some(run) = view.run.filter(|_| view.task.state.is_final() && view.task.state != TaskState::Done) else {
        return Ok(None);
    };
    let comments = agent_comments(engine, run.id).await.unwrap_or_else(|error| {
        tracing::debug!(run = %run.id, %error, "the records of a run cannot be read");
        Vec::new()
    });
    let question = comments.into_iter().rfind(|comment| comment.is_question);
    Ok(question.map(|comment| Question { run: run.id, number: comment.number, text: comment.text }))
}
