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
use tokio::sync::Semaphore;

use super::arguments::{Continue, Issue, List, Logs, Nothing, Start};
use super::calls::{Answer, Calls};

/// Most calls that are carried out at a time, over all connections of a run; more wait for their turn.
const CALLS_MAX: usize = 4;

/// Serves the tools to one connection.
#[derive(Clone, Debug)]
pub(super) struct Server {
    calls: Calls,
    tools: Arc<[Tool]>,
    turns: Arc<Semaphore>,
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
        Ok(ListToolsResult::with_all_items(self.tools.iter().copied().map(described).collect()))
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(call.arguments.unwrap_or_default());
        let answer = self.answer(&call.name, arguments).await;
        // What went wrong is an answer, too: the agent is to read it and act on it.
        let result = match answer {
            Ok(object) => CallToolResult::success(vec![ContentBlock::text(object.to_string())]),
            Err(why) => CallToolResult::error(vec![ContentBlock::text(why)]),
        };
        Ok(result.into())
    }
}

impl Server {
    /// Copies of it share its turns.
    pub(super) fn new(calls: Calls, tools: Vec<Tool>) -> Self {
        Self { calls, tools: tools.into(), turns: Arc::new(Semaphore::new(CALLS_MAX)) }
    }

    async fn answer(&self, name: &str, arguments: Value) -> Answer {
        let _turn = self.turns.acquire().await.map_err(|error| error.to_string())?;
        let calls = &self.calls;
        let tool = self.tools.iter().find(|tool| tool.name() == name);
        match tool.ok_or_else(|| format!("there is no tool {name:?}"))? {
            Tool::List => calls.list(read(arguments)?).await,
            Tool::Show => calls.show(read(arguments)?).await,
            Tool::Start => calls.start(read(arguments)?).await,
            Tool::Continue => calls.go_on(read(arguments)?).await,
            Tool::Queue => calls.queue().await,
            Tool::Logs => calls.logs(read(arguments)?).await,
            Tool::Why => calls.why(read(arguments)?).await,
        }
    }
}

fn read<Arguments: DeserializeOwned>(arguments: Value) -> Result<Arguments, String> {
    serde_json::from_value(arguments).map_err(|error| format!("the arguments do not fit: {error}"))
}

fn described(tool: Tool) -> Description {
    match tool {
        Tool::List => description::<List>(
            tool,
            "The issues that are worked on, the latest first, and where the work on each stands.",
        ),
        Tool::Show => description::<Issue>(tool, "One issue: its latest task, its branch, and how its run ended."),
        Tool::Start => description::<Start>(
            tool,
            "Let an agent begin to work on an issue. Returns at once; you are told when it has ended.",
        ),
        Tool::Continue => description::<Continue>(
            tool,
            "Give more to an issue that was worked on, in the same session. Returns at once; you are told when it has ended.",
        ),
        Tool::Queue => description::<Nothing>(tool, "What waits in line and what runs."),
        Tool::Logs => description::<Logs>(tool, "The last lines of what happened in an issue's runs."),
        Tool::Why => description::<Issue>(tool, "Why an issue's task is not running, or how it ended."),
    }
}

fn description<Arguments: JsonSchema>(tool: Tool, text: &'static str) -> Description {
    let schema = schemars::schema_for!(Arguments).to_value();
    let mut schema: JsonObject = schema.as_object().cloned().unwrap_or_default();
    // Clients count every word of it against their model's context.
    schema.retain(|key, _| !matches!(key.as_str(), "$schema" | "title" | "description"));
    Description::new(tool.name(), text, Arc::new(schema))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn few_calls_are_carried_out_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let daemon = UnixListener::bind(directory.path().join("s")).unwrap();
        let calls = Calls { socket: directory.path().join("s"), task: String::new(), cwd: "/".to_owned() };
        let server = Server::new(calls, Tool::ALL.to_vec());
        let asking = (0..20).map(|_| {
            let server = server.clone();
            tokio::spawn(async move { server.answer("queue", serde_json::json!({})).await })
        });
        let asking: Vec<_> = asking.collect();
        // A daemon that answers none of them.
        let mut held = Vec::new();
        while let Ok(accepted) = tokio::time::timeout(Duration::from_millis(200), daemon.accept()).await {
            held.push(accepted.unwrap());
        }
        assert_eq!(held.len(), CALLS_MAX);
        asking.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[test]
    fn every_tool_says_what_it_takes() {
        let shown: Vec<_> =
            Tool::ALL.into_iter().map(described).map(|tool| (tool.name.to_string(), tool.input_schema)).collect();
        let names: Vec<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["list", "show", "start", "continue", "queue", "logs", "why"]);
        let start = &shown[2].1;
        assert_eq!(start["type"], "object");
        assert_eq!(start["required"], serde_json::json!(["issue"]));
        assert!(start["properties"]["message"]["description"].as_str().unwrap().contains("does not see"), "{start:?}");
        assert!(read::<Start>(serde_json::json!({"isue": "x"})).unwrap_err().contains("isue"));
    }
}
