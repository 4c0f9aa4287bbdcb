//! Serves tools over the Model Context Protocol.

use std::fmt::Debug;
use std::pin::Pin;
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
use tokio::sync::{Semaphore, watch};

/// Maximum number of concurrent calls over all connections of a run. Further calls wait.
const CALLS_MAX: usize = 4;

/// The result of a tool: an object, or an error message for the agent.
pub(super) type ToolResult = Result<Value, String>;

/// The tools of a run.
pub(crate) trait Toolset: Debug + Send + Sync {
    /// The purpose of the tools, for the model.
    fn instructions(&self) -> &'static str;

    fn list(&self) -> Vec<Tool>;

    /// Calls the tool with this name.
    fn call<'a>(&'a self, name: &'a str, arguments: Value) -> Pin<Box<dyn Future<Output = ToolResult> + Send + 'a>>;
}

pub(super) fn unknown(name: &str) -> String {
    format!("there is no tool {name:?}")
}

pub(super) fn read<Arguments: DeserializeOwned>(arguments: Value) -> Result<Arguments, String> {
    serde_json::from_value(arguments).map_err(|error| format!("invalid arguments: {error}"))
}

/// Describes a tool with these arguments. The doc comments of their fields are what the agent reads.
pub(super) fn description<Arguments: JsonSchema>(name: &'static str, text: &'static str) -> Tool {
    let schema = schemars::schema_for!(Arguments).to_value();
    let mut schema: JsonObject = schema.as_object().cloned().unwrap_or_default();
    // The schema takes up context of the model.
    schema.retain(|key, _| !matches!(key.as_str(), "$schema" | "title" | "description"));
    Tool::new(name, text, Arc::new(schema))
}

/// Serves the tools to one connection.
#[derive(Clone, Debug)]
pub(super) struct Server {
    tools: Arc<dyn Toolset>,
    /// Clones share it.
    permits: Arc<Semaphore>,
    /// Whether an agent has listed the tools. Clones share it.
    listed: watch::Sender<bool>,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new("kugetsu", env!("CARGO_PKG_VERSION"));
        info.instructions = Some(self.tools.instructions().to_owned());
        info
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.listed.send_replace(true);
        Ok(ListToolsResult::with_all_items(self.tools.list()))
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
    pub(super) fn new(tools: Arc<dyn Toolset>) -> Self {
        Self { tools, permits: Arc::new(Semaphore::new(CALLS_MAX)), listed: watch::Sender::new(false) }
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
        self.tools.call(name, arguments).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A tool that never ends.
    #[derive(Debug, Default)]
    struct Endless {
        calls: AtomicUsize,
    }

    impl Toolset for Endless {
        fn instructions(&self) -> &'static str {
            ""
        }

        fn list(&self) -> Vec<Tool> {
            Vec::new()
        }

        fn call<'a>(
            &'a self,
            _name: &'a str,
            _arguments: Value,
        ) -> Pin<Box<dyn Future<Output = ToolResult> + Send + 'a>> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test]
    async fn concurrent_calls_are_limited() {
        let tools = Arc::new(Endless::default());
        let server = Server::new(Arc::clone(&tools) as Arc<dyn Toolset>);
        let calls = (0..20).map(|_| {
            let server = server.clone();
            tokio::spawn(async move { server.call("x", serde_json::json!({})).await })
        });
        let calls: Vec<_> = calls.collect();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(tools.calls.load(Ordering::Relaxed), CALLS_MAX);
        calls.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
