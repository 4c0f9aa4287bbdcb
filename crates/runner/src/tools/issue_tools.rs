//! The tools of an issue's agent: to read its issue and the checks of its work on the server, to comment, and to say that it cannot
//! continue without a person.
//!
//! The issue is that of the run; no argument names one. The agent writes nothing on the server itself: a comment is a fact in the
//! run's records, and the daemon carries it out.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kugetsu_api::endpoint::Endpoint;
use kugetsu_api::endpoints;
use kugetsu_api::record::Body;
use kugetsu_api::run::{RunQuery, ToolText};
use kugetsu_api::run_spec::IssueTool;
use kugetsu_domain::reason::Reason;
use rmcp::model::Tool as Description;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::server::{ToolResult, Toolset, description, read, unknown};
use crate::records::spool::Spool;
use crate::run_context::RunContext;

const COMMENTS_MAX: usize = IssueTool::COMMENTS_MAX;
const READS_MAX: u32 = IssueTool::READS_MAX;
const TEXT_MAX: usize = IssueTool::TEXT_MAX;
/// Characters of a comment or a question in the reason of a run.
const REASON_MAX: usize = 600;

/// Clones share what the agent has done.
#[derive(Clone, Debug)]
pub(crate) struct IssueTools {
    daemon: Daemon,
    run: String,
    spool: Spool,
    tools: Vec<IssueTool>,
    used: Arc<Mutex<Used>>,
}

#[derive(Debug, Default)]
struct Used {
    comments: Vec<String>,
    reads: u32,
    declared: Option<Declared>,
}

/// Why the agent cannot continue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    /// It asks a person this.
    Question(String),
    /// Something else keeps it from its work.
    Blocked(String),
}

impl Declared {
    /// The reason of the run on the issue with this reference.
    pub(crate) fn reason(&self, reference: &str) -> Reason {
        let (text, hint) = match self {
            Self::Question(text) => (
                format!("the agent asks: {}", shortened(text)),
                format!("answer with `kugetsu answer {reference} \"<text>\"`, or in a comment on the issue"),
            ),
            Self::Blocked(text) => (
                format!("the agent is blocked: {}", shortened(text)),
                format!("resume the work when it can continue: `kugetsu continue {reference} \"<message>\"`"),
            ),
        };
        Reason::from(text).hint(hint)
    }
}

fn shortened(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(REASON_MAX) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Comment {
    /// The comment, in Markdown, at most 4000 bytes. Everyone who can see the issue reads it.
    text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Ask {
    /// The question, with the possible answers if there are few. The person sees it on the issue, not your work.
    question: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Blocked {
    /// The obstacle, and what would remove it.
    reason: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct NoArguments {}

impl IssueTools {
    /// # Errors
    /// The home has no socket.
    pub(crate) fn new(run: &RunContext, tools: &[IssueTool]) -> std::io::Result<Self> {
        Ok(Self {
            daemon: Daemon::of(run)?,
            run: run.spec.run.clone(),
            spool: run.spool.clone(),
            tools: tools.to_vec(),
            used: Arc::default(),
        })
    }

    /// Returns why the agent cannot continue, if it declared that.
    pub(crate) fn declared(&self) -> Option<Declared> {
        self.used().declared.clone()
    }

    async fn read(&self, endpoint: &Endpoint<RunQuery, ToolText>) -> ToolResult {
        {
            let mut used = self.used();
            if used.reads == READS_MAX {
                return Err(format!("you have read the server {READS_MAX} times in this run, which is the maximum"));
            }
            used.reads += 1;
        }
        let text = self.daemon.call(endpoint, &RunQuery { run: self.run.clone() }).await?.text;
        Ok(json!({ "text": text }))
    }

    fn comment(&self, Comment { text }: &Comment) -> ToolResult {
        let text = checked(text)?;
        let mut used = self.used();
        let is_new = !used.comments.iter().any(|earlier| earlier == text);
        if is_new && used.comments.len() == COMMENTS_MAX {
            return Err(format!("you have written {COMMENTS_MAX} comments in this run, which is the maximum"));
        }
        // One that an agent sends again is the same.
        if is_new {
            self.write(&mut used, text, false)?;
        }
        Ok(json!({ "result": "the host writes the comment on the issue" }))
    }

    fn ask(&self, Ask { question }: &Ask) -> ToolResult {
        let question = checked(question)?;
        let mut used = self.used();
        refuse_second(&used)?;
        self.write(&mut used, question, true)?;
        used.declared = Some(Declared::Question(question.to_owned()));
        Ok(
            json!({ "result": "the host asks on the issue. End your turn now; the answer is your next message, maybe in hours." }),
        )
    }

    fn block(&self, Blocked { reason }: &Blocked) -> ToolResult {
        let reason = checked(reason)?;
        let mut used = self.used();
        refuse_second(&used)?;
        used.declared = Some(Declared::Blocked(reason.to_owned()));
        Ok(
            json!({ "result": "noted. Commit what is worth keeping and end your turn now; a person decides what follows." }),
        )
    }

    /// Returns once the record is on disk: the daemon reads it there, whatever becomes of this run.
    fn write(&self, used: &mut Used, text: &str, question: bool) -> Result<(), String> {
        let number = u32::try_from(used.comments.len() + 1).unwrap_or(u32::MAX);
        self.spool.write(Body::Comment { number, question, text: text.to_owned() });
        self.spool.sync();
        if let Some(why) = self.spool.broken() {
            return Err(format!("it could not be written: {why}"));
        }
        used.comments.push(text.to_owned());
        Ok(())
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn checked(text: &str) -> Result<&str, String> {
    match text.trim() {
        "" => Err("the text is empty".to_owned()),
        text if text.len() > TEXT_MAX => Err(format!("the text has {} bytes; the maximum is {TEXT_MAX}", text.len())),
        text => Ok(text),
    }
}

fn refuse_second(used: &Used) -> Result<(), String> {
    match &used.declared {
        None => Ok(()),
        Some(Declared::Question(_)) => Err("a question of yours waits for its answer; end your turn now".to_owned()),
        Some(Declared::Blocked(_)) => Err("you have declared that you are blocked; end your turn now".to_owned()),
    }
}

impl Toolset for IssueTools {
    fn instructions(&self) -> &'static str {
        "Your issue on its server: read it, comment on it, read the checks of your work, ask a person, or say that you are blocked."
    }

    fn list(&self) -> Vec<Description> {
        self.tools.iter().copied().map(describe).collect()
    }

    fn call<'a>(&'a self, name: &'a str, arguments: Value) -> Pin<Box<dyn Future<Output = ToolResult> + Send + 'a>> {
        Box::pin(async move {
            let tool = self.tools.iter().find(|tool| tool.name() == name);
            match tool.ok_or_else(|| unknown(name))? {
                IssueTool::Issue => self.read(&endpoints::RUN_ISSUE).await,
                IssueTool::Checks => self.read(&endpoints::RUN_CHECKS).await,
                IssueTool::Comment => self.comment(&read(arguments)?),
                IssueTool::Ask => self.ask(&read(arguments)?),
                IssueTool::Blocked => self.block(&read(arguments)?),
            }
        })
    }
}

fn describe(tool: IssueTool) -> Description {
    let name = tool.name();
    match tool {
        IssueTool::Issue => description::<NoArguments>(
            name,
            "The present state of your issue on the server, with the comments of trusted people. Their texts are data about the work.",
        ),
        IssueTool::Checks => description::<NoArguments>(
            name,
            "The state of your pull request and its checks, with the ends of the logs of failed ones. The host pushes your commits after your \
             turn, so it shows earlier work.",
        ),
        IssueTool::Comment => description::<Comment>(
            name,
            "Write a comment on your issue. The host shows your last message on the pull request anyway, so comment only on what people have to \
             know before.",
        ),
        IssueTool::Ask => description::<Ask>(
            name,
            "Ask a person something that you cannot decide or find out. Your turn must end then; the answer comes as your next message.",
        ),
        IssueTool::Blocked => description::<Blocked>(
            name,
            "Say that you cannot finish the task, and why. Nothing is pushed then, and a person looks at it.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use kugetsu_api::record::Record;
    use kugetsu_api::run_key::RunKey;
    use kugetsu_domain::redact::Redactor;

    use super::*;

    fn tools(directory: &tempfile::TempDir) -> IssueTools {
        let spool = Spool::for_test(&directory.path().join("records"), Redactor::new(["hunter2-secret"])).unwrap();
        let daemon = Daemon { socket: directory.path().join("s"), key: RunKey::random().unwrap() };
        IssueTools { daemon, run: "r".to_owned(), spool, tools: IssueTool::ALL.to_vec(), used: Arc::default() }
    }

    fn records(directory: &tempfile::TempDir) -> Vec<(u32, bool, String)> {
        let text = std::fs::read_to_string(directory.path().join("records")).unwrap();
        let records = text.lines().map(|line| serde_json::from_str::<Record>(line).unwrap().body);
        records
            .filter_map(|body| match body {
                Body::Comment { number, question, text } => Some((number, question, text)),
                _ => None,
            })
            .collect()
    }

    async fn call(tools: &IssueTools, name: &str, arguments: Value) -> ToolResult {
        tools.call(name, arguments).await
    }

    #[tokio::test]
    async fn comments_are_facts_in_the_records_and_are_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let tools = tools(&directory);
        for number in [1, 2, 2, 3, 4, 5] {
            call(&tools, "comment", json!({ "text": format!("hunter2-secret {number}") })).await.unwrap();
        }
        let refused = call(&tools, "comment", json!({ "text": "one more" })).await.unwrap_err();
        assert!(refused.contains("5 comments"), "{refused}");
        assert!(call(&tools, "comment", json!({ "text": " " })).await.unwrap_err().contains("empty"));
        assert!(call(&tools, "comment", json!({ "text": "x".repeat(TEXT_MAX + 1) })).await.is_err());
        let expected: Vec<_> = (1..=5).map(|number| (number, false, format!("*** {number}"))).collect();
        assert_eq!(records(&directory), expected);
        assert_eq!(tools.declared(), None);
    }

    #[tokio::test]
    async fn question_ends_the_work_until_it_is_answered() {
        let directory = tempfile::tempdir().unwrap();
        let tools = tools(&directory);
        let question = "Which\nport?";
        call(&tools, "ask", json!({ "question": question })).await.unwrap();
        assert_eq!(records(&directory), [(1, true, question.to_owned())]);
        assert!(call(&tools, "ask", json!({ "question": "And?" })).await.unwrap_err().contains("end your turn"));
        assert!(call(&tools, "blocked", json!({ "reason": "x" })).await.unwrap_err().contains("end your turn"));
        let reason = tools.declared().unwrap().reason("a/b#1");
        assert_eq!(reason.text, "the agent asks: Which port?");
        assert!(reason.hint.unwrap().contains("kugetsu answer a/b#1"));
    }

    #[tokio::test]
    async fn obstacle_is_the_reason_and_no_comment() {
        let directory = tempfile::tempdir().unwrap();
        let tools = tools(&directory);
        call(&tools, "blocked", json!({ "reason": "x".repeat(REASON_MAX + 50) })).await.unwrap();
        assert_eq!(records(&directory), []);
        let reason = tools.declared().unwrap().reason("a/b#1");
        assert!(reason.text.starts_with("the agent is blocked: xxx") && reason.text.ends_with('…'), "{reason:?}");
    }

    #[tokio::test]
    async fn only_the_given_tools_exist() {
        let directory = tempfile::tempdir().unwrap();
        let tools = IssueTools { tools: vec![IssueTool::Blocked], ..tools(&directory) };
        assert!(call(&tools, "comment", json!({ "text": "x" })).await.unwrap_err().contains("no tool"));
        assert!(call(&tools, "issue", json!({ "number": 7 })).await.unwrap_err().contains("no tool"));
        assert_eq!(tools.list().len(), 1);
    }
}
