//! The tools as the Model Context Protocol shows them.

use std::sync::Arc;

use kugetsu_api::run_spec::Tool;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, JsonObject, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool as Description,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use super::arguments::{Continue, Issue, List, Logs, NoArguments, Start};
use super::calls::{Calls, ToolResult};

/// Maximum number of concurrent calls over all connections of a run. Further calls wait.
const CALLS_MAX: usize = 4;

/// Serves the tools to one connection.
#[derive(Clone, Debug)]
pub(super) struct Server {
    calls: Calls,
    tools: Arc<[Tool]>,
    /// Clones share it.
    permits: Arc<Semaphore>,
    /// Whether an agent has listed the tools. Clones share it.
    listed: watch::Sender<bool>,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new("kugetsu", env!("CARGO_PKG_VERSION"));
        info.instructions = Some("Start, continue and watch the work of coding agents on issues.".to_owned());
        info
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.listed.send_replace(true);
        Ok(ListToolsResult::with_all_items(self.tools.iter().copied().map(description).collect()))
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(call.arguments.unwrap_or_default());
        // An error is a result, too: the agent has to read it and act on it.
        let result = match self.call(&call.name, arguments).await {
            Ok(object) => CallToolResult::success(vec![ContentBlock::text(object.to_string())]),
            Err(why) => CallToolResult::error(vec![ContentBlock::text(why)]),
        };
        Ok(result.into())
    }
}

impl Server {
    pub(super) fn new(calls: Calls, tools: Vec<Tool>) -> Self {
        Self {
            calls,
            tools: tools.into(),
            permits: Arc::new(Semaphore::new(CALLS_MAX)),
            listed: watch::Sender::new(false),
        }
    }

    /// Whether an agent has listed the tools.
    pub(super) fn is_listed(&self) -> bool {
        *self.listed.borrow()
    }

    /// Waits until an agent has listed the tools.
    pub(super) async fn listed(&self) {
        // This server is a sender itself, so the channel stays open.
        let mut listed = self.listed.subscribe();
        let _listed = listed.wait_for(|listed| *listed).await;
    }

    async fn call(&self, name: &str, arguments: Value) -> ToolResult {
        let _permit = self.permits.acquire().await.map_err(|error| error.to_string())?;
        let calls = &self.calls;
        let tool = self.tools.iter().find(|tool| tool.name() == name);
        match tool.ok_or_else(|| format!("there is no tool {name:?}"))? {
            Tool::List => calls.list(read(arguments)?).await,
            Tool::Show => calls.show(read(arguments)?).await,
            Tool::Start => calls.start(read(arguments)?).await,
            Tool::Continue => calls.continue_issue(read(arguments)?).await,
            Tool::Queue => calls.queue().await,
            Tool::Logs => calls.logs(read(arguments)?).await,
            Tool::Why => calls.why(read(arguments)?).await,
        }
    }
}

fn read<Arguments: DeserializeOwned>(arguments: Value) -> Result<Arguments, String> {
    serde_json::from_value(arguments).map_err(|error| format!("invalid arguments: {error}"))
}

fn description(tool: Tool) -> Description {
    match tool {
        Tool::List => {
            with_schema::<List>(tool, "The issues with their latest tasks, newest first, and the state of each.")
        }
        Tool::Show => with_schema::<Issue>(tool, "One issue: its latest task, its branch, and how its run ended."),
        Tool::Start => with_schema::<Start>(
            tool,
            "Start an agent on an issue. Returns at once; you get a report when it has ended.",
        ),
        Tool::Continue => with_schema::<Continue>(
            tool,
            "Send another message to the session of an issue. Returns at once; you get a report when it has ended.",
        ),
        Tool::Queue => with_schema::<NoArguments>(tool, "The queued and running tasks."),
        Tool::Logs => with_schema::<Logs>(tool, "The last lines of the transcript of an issue."),
        Tool::Why => with_schema::<Issue>(tool, "Why an issue's task is not running, or how it ended."),
    }
}

fn with_schema<Arguments: JsonSchema>(tool: Tool, text: &'static str) -> Description {
    let schema = schemars::schema_for!(Arguments).to_value();
    let mut schema: JsonObject = schema.as_object().cloned().unwrap_or_default();
    // The schema takes up context of the model.
    schema.retain(|key, _| !matches!(key.as_str(), "$schema" | "title" | "description"));
    Description::new(tool.name(), text, Arc::new(schema))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn concurrent_calls_are_limited() {
        let directory = tempfile::tempdir().unwrap();
        let daemon = UnixListener::bind(directory.path().join("s")).unwrap();
        let calls = Calls { socket: directory.path().join("s"), task: String::new(), cwd: "/".to_owned() };
        let server = Server::new(calls, Tool::ALL.to_vec());
        let calls = (0..20).map(|_| {
            let server = server.clone();
            tokio::spawn(async move { server.call("queue", serde_json::json!({})).await })
        });
        let calls: Vec<_> = calls.collect();
        // The daemon responds to none of them.
        let mut held = Vec::new();
        while let Ok(accepted) = tokio::time::timeout(Duration::from_millis(200), daemon.accept()).await {
            held.push(accepted.unwrap());
        }
        assert_eq!(held.len(), CALLS_MAX);
        calls.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[test]
    fn every_tool_describes_its_arguments() {
        let shown: Vec<_> =
            Tool::ALL.into_iter().map(description).map(|tool| (tool.name.to_string(), tool.input_schema)).collect();
        let names: Vec<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["list", "show", "start", "continue", "queue", "logs", "why"]);
        let start = &shown[2].1;
        assert_eq!(start["type"], "object");
        assert_eq!(start["required"], serde_json::json!(["issue"]));
        assert!(start["properties"]["message"]["description"].as_str().unwrap().contains("does not see"), "{start:?}");
        assert!(read::<Start>(serde_json::json!({"isue": "x"})).unwrap_err().contains("isue"));
    }
}
