//! The client's MCP servers: starts a server's program, initializes it, lists its tools or calls one, and ends the program.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

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

/// Lists the tools of each server, as agents do when they open a session. A server that fails is left out.
pub(super) fn load(servers: &Value, directory: &Path) {
    for server in servers.as_array().into_iter().flatten() {
        if let Ok(mut child) = start(server, directory) {
            let _tools = Client::initialize(&mut child).and_then(|mut client| client.list());
            drop(child.stdin.take());
            let _status = child.wait();
        }
    }
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

/// An initialized connection to a server.
struct Client<'a> {
    stdin: &'a mut ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    last_id: u64,
}

impl<'a> Client<'a> {
    fn initialize(child: &'a mut Child) -> Result<Self, String> {
        let lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
        let mut client = Self { stdin: child.stdin.as_mut().ok_or("no stdin")?, lines, last_id: 0 };
        let info = json!({"name": "scripted", "version": "1"});
        client.request(
            "initialize",
            &json!({"protocolVersion": PROTOCOL_VERSION, "capabilities": {}, "clientInfo": info}),
        )?;
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        Ok(client)
    }

    fn send(&mut self, message: &Value) -> Result<(), String> {
        writeln!(self.stdin, "{message}").map_err(|error| format!("could not write to the server: {error}"))
    }

    fn request(&mut self, method: &str, params: &Value) -> Result<Value, String> {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        loop {
            let line = self.lines.next().ok_or("the server ended")?.map_err(|error| error.to_string())?;
            let message: Value = serde_json::from_str(&line).map_err(|error| format!("{error}: {line}"))?;
            if message["id"] == id {
                return match message.get("error") {
                    Some(error) => Err(error.to_string()),
                    None => Ok(message["result"].clone()),
                };
            }
        }
    }

    fn list(&mut self) -> Result<Value, String> {
        self.request("tools/list", &json!({}))
    }
}

fn initialize_and_call(child: &mut Child, tool: &str, arguments: &Value) -> ToolResult {
    let mut client = Client::initialize(child)?;
    let list = client.list()?;
    if !list["tools"].as_array().is_some_and(|tools| tools.iter().any(|listed| listed["name"] == tool)) {
        return Err(format!("the server has no tool {tool}: {list}"));
    }
    let result = client.request("tools/call", &json!({"name": tool, "arguments": arguments}))?;
    let text: String =
        result["content"].as_array().into_iter().flatten().filter_map(|block| block["text"].as_str()).collect();
    if result["isError"] == true { Err(text) } else { Ok(text) }
}
