//! Calls a tool of one of the client's MCP servers: starts the server's program, initializes it, calls the tool and ends
//! the program.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::work::ToolResult;

const PROTOCOL_VERSION: &str = "2025-06-18";

/// Calls the tool `<server>_<tool>`, as opencode names it, and returns the text of its result.
pub(super) fn call(servers: &Value, name: &str, arguments: &Value, directory: &Path) -> ToolResult {
    let mut servers_by_name = servers.as_array().map_or(&[][..], Vec::as_slice).iter();
    let matching = servers_by_name.find_map(|server| {
        let prefix = server["name"].as_str()?;
        Some((server, name.strip_prefix(prefix)?.strip_prefix('_')?))
    });
    let (server, tool) = matching.ok_or_else(|| format!("no server has the tool {name}; servers: {servers}"))?;
    let mut child = start(server, directory)?;
    let result = initialize_and_call(&mut child, tool, arguments);
    // The server exits when its stdin closes; its status does not matter.
    drop(child.stdin.take());
    let _status = child.wait();
    result
}

fn start(server: &Value, directory: &Path) -> Result<Child, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut command = Command::new(text(&server["command"]));
    command.args(list(&server["args"]).iter().map(text)).current_dir(directory);
    command.envs(list(&server["env"]).iter().map(|variable| (text(&variable["name"]), text(&variable["value"]))));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().map_err(|error| format!("could not run {}: {error}", server["command"]))
}

fn initialize_and_call(child: &mut Child, tool: &str, arguments: &Value) -> ToolResult {
    let mut lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
    let mut send = |message: Value| {
        let stdin = child.stdin.as_mut().ok_or("no stdin")?;
        writeln!(stdin, "{message}").map_err(|error| format!("could not write to the server: {error}"))
    };
    let mut receive = |id: u64| loop {
        let line = lines.next().ok_or("the server ended")?.map_err(|error| error.to_string())?;
        let message: Value = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
        if message["id"] == id {
            return match message.get("error") {
                Some(error) => Err(error.to_string()),
                None => Ok(message["result"].clone()),
            };
        }
    };
    let client = json!({"name": "scripted", "version": "1"});
    send(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": PROTOCOL_VERSION, "capabilities": {}, "clientInfo": client}}))?;
    receive(1)?;
    send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
    send(json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}))?;
    let list = receive(2)?;
    if !list["tools"].as_array().is_some_and(|tools| tools.iter().any(|listed| listed["name"] == tool)) {
        return Err(format!("the server has no tool {tool}: {list}"));
    }
    send(json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}))?;
    let result = receive(3)?;
    let text: String =
        result["content"].as_array().into_iter().flatten().filter_map(|block| block["text"].as_str()).collect();
    if result["isError"] == true { Err(text) } else { Ok(text) }
}
