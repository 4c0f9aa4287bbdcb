//! The coordinator's tools: kugetsu's own operations.

use std::path::Path;
use std::pin::Pin;

use kugetsu_api::run_spec::Tool;
use rmcp::model::Tool as Description;
use serde_json::Value;

use super::arguments::{Continue, Issue, List, Logs, NoArguments, Start};
use super::calls::Calls;
use super::daemon::Daemon;
use super::server::{ToolResult, Toolset, description, read, unknown};
use crate::run_context::RunContext;

#[derive(Debug)]
pub(crate) struct CoordinatorTools {
    calls: Calls,
    tools: Vec<Tool>,
}

impl CoordinatorTools {
    /// Tools that act on behalf of the run's task, which works in `directory`.
    ///
    /// # Errors
    /// The home has no socket.
    pub(crate) fn new(run: &RunContext, tools: &[Tool], directory: &Path) -> std::io::Result<Self> {
        let daemon = Daemon::of(run)?;
        let calls = Calls { daemon, task: run.spec.task.clone(), cwd: directory.to_string_lossy().into_owned() };
        Ok(Self { calls, tools: tools.to_vec() })
    }
}

impl Toolset for CoordinatorTools {
    fn instructions(&self) -> &'static str {
        "Start, continue and watch the work of coding agents on issues."
    }

    fn list(&self) -> Vec<Description> {
        self.tools.iter().copied().map(describe).collect()
    }

    fn call<'a>(&'a self, name: &'a str, arguments: Value) -> Pin<Box<dyn Future<Output = ToolResult> + Send + 'a>> {
        Box::pin(async move {
            let calls = &self.calls;
            let tool = self.tools.iter().find(|tool| tool.name() == name);
            match tool.ok_or_else(|| unknown(name))? {
                Tool::List => calls.list(read(arguments)?).await,
                Tool::Show => calls.show(read(arguments)?).await,
                Tool::Start => calls.start(read(arguments)?).await,
                Tool::Continue => calls.continue_issue(read(arguments)?).await,
                Tool::Queue => calls.queue().await,
                Tool::Logs => calls.logs(read(arguments)?).await,
                Tool::Why => calls.why(read(arguments)?).await,
            }
        })
    }
}

fn describe(tool: Tool) -> Description {
    let name = tool.name();
    match tool {
        Tool::List => {
            description::<List>(name, "The issues with their latest tasks, newest first, and the state of each.")
        }
        Tool::Show => description::<Issue>(name, "One issue: its latest task, its branch, and how its run ended."),
        Tool::Start => description::<Start>(
            name,
            "Start an agent on an issue. Returns at once; you get a report when it has ended.",
        ),
        Tool::Continue => description::<Continue>(
            name,
            "Send another message to the session of an issue. Returns at once; you get a report when it has ended.",
        ),
        Tool::Queue => description::<NoArguments>(name, "The queued and running tasks."),
        Tool::Logs => description::<Logs>(name, "The last lines of the transcript of an issue."),
        Tool::Why => description::<Issue>(name, "Why an issue's task is not running, or how it ended."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_describes_its_arguments() {
        let shown: Vec<_> =
            Tool::ALL.into_iter().map(describe).map(|tool| (tool.name.to_string(), tool.input_schema)).collect();
        let names: Vec<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["list", "show", "start", "continue", "queue", "logs", "why"]);
        let start = &shown[2].1;
        assert_eq!(start["type"], "object");
        assert_eq!(start["required"], serde_json::json!(["issue"]));
        assert!(start["properties"]["message"]["description"].as_str().unwrap().contains("does not see"), "{start:?}");
        assert!(read::<Start>(serde_json::json!({"isue": "x"})).unwrap_err().contains("isue"));
    }
}
