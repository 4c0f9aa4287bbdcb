//! The tools as the Model Context Protocol shows them.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, JsonObject, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::arguments::{Continue, Issue, Logs, Nothing, Start};
use super::calls::{Answer, Calls};

/// Serves the tools to one connection.
#[derive(Clone, Debug)]
pub(super) struct Server(pub(super) Calls);

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
        Ok(ListToolsResult::with_all_items(tools()))
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
    async fn answer(&self, name: &str, arguments: Value) -> Answer {
        let calls = &self.0;
        match name {
            "list" => calls.list().await,
            "show" => calls.show(read(arguments)?).await,
            "start" => calls.start(read(arguments)?).await,
            "continue" => calls.go_on(read(arguments)?).await,
            "queue" => calls.queue().await,
            "logs" => calls.logs(read(arguments)?).await,
            "why" => calls.why(read(arguments)?).await,
            other => Err(format!("there is no tool {other:?}")),
        }
    }
}

fn read<Arguments: DeserializeOwned>(arguments: Value) -> Result<Arguments, String> {
    serde_json::from_value(arguments).map_err(|error| format!("the arguments do not fit: {error}"))
}

fn tools() -> Vec<Tool> {
    vec![
        tool::<Nothing>("list", "Every issue that is known, and where the work on it stands."),
        tool::<Issue>("show", "One issue: its latest task, its branch, and how its run ended."),
        tool::<Start>(
            "start",
            "Let an agent begin to work on an issue. Returns at once; you are told when it has ended.",
        ),
        tool::<Continue>(
            "continue",
            "Give more to an issue that was worked on, in the same session. Returns at once; you are told when it has ended.",
        ),
        tool::<Nothing>("queue", "What waits in line and what runs."),
        tool::<Logs>("logs", "The last lines of what happened in an issue's runs."),
        tool::<Issue>("why", "Why an issue's task is not running, or how it ended."),
    ]
}

fn tool<Arguments: JsonSchema>(name: &'static str, description: &'static str) -> Tool {
    let schema = schemars::schema_for!(Arguments).to_value();
    let mut schema: JsonObject = schema.as_object().cloned().unwrap_or_default();
    // Clients count every word of it against their model's context.
    schema.retain(|key, _| !matches!(key.as_str(), "$schema" | "title" | "description"));
    Tool::new(name, description, Arc::new(schema))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c04_every_tool_says_what_it_takes() {
        let shown: Vec<_> = tools().into_iter().map(|tool| (tool.name.to_string(), tool.input_schema)).collect();
        let names: Vec<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["list", "show", "start", "continue", "queue", "logs", "why"]);
        let start = &shown[2].1;
        assert_eq!(start["type"], "object");
        assert_eq!(start["required"], serde_json::json!(["issue"]));
        assert!(start["properties"]["message"]["description"].as_str().unwrap().contains("does not see"), "{start:?}");
        assert!(read::<Start>(serde_json::json!({"isue": "x"})).unwrap_err().contains("isue"));
    }
}
