//! Comments and questions that agents wrote, from the records of their runs.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use kugetsu_api::record::Body;
use kugetsu_api::regular_file;
use kugetsu_domain::ids::RunId;
use kugetsu_domain::issue::Issue;
use kugetsu_domain::watch::follow::Question;

use crate::engine::Engine;
use crate::runners::own_records::OwnRecords;

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
    let own = OwnRecords::of(engine, run).await.map_err(io::Error::other)?;
    tokio::task::spawn_blocking(move || comments_in(&path, own)).await.map_err(io::Error::other).flatten()
}

fn comments_in(path: &Path, own: OwnRecords) -> io::Result<Vec<AgentComment>> {
    let records = BufReader::new(regular_file::open_to_read(path)?);
    let mut comments = Vec::new();
    for line in records.split(b'\n') {
        let line = line?;
        // Other records may be long and many.
        if !line.windows(COMMENT.len()).any(|part| part == COMMENT) {
            continue;
        }
        if let Some(Body::Comment { number, question, text }) = own.read(&line).map(|record| record.body) {
            comments.push(AgentComment { number, is_question: question, text });
        }
    }
    Ok(comments)
}

/// Returns the open question of an issue's agent with its text; `None` without one, or if the records of its run are gone.
///
/// # Errors
/// The records cannot be read.
pub(crate) async fn open_question(engine: &Engine, issue: &Issue) -> io::Result<Option<(Question, String)>> {
    let Some(question) = issue.follow.as_ref().and_then(|follow| follow.question) else { return Ok(None) };
    let comments = match agent_comments(engine, question.run).await {
        Ok(comments) => comments,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let comment = comments.into_iter().find(|comment| comment.number == question.number);
    Ok(comment.map(|comment| (question, comment.text)))
}
