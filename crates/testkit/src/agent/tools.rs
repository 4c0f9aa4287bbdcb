//! Uses a tool of a server that the client gave: starts the program, greets it, calls, and ends it, as an agent does that
//! speaks the Model Context Protocol on pipes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::work::Done;

/// The version of the protocol that is spoken.
const PROTOCOL: &str = "2025-06-18";

/// Calls a tool, `<server>_<tool>` as opencode names it; its answer as text.
pub(super) fn call(servers: &Value, name: &str, arguments: &Value, directory: &Path) -> Done {
    let known = servers.as_array().map_or(&[][..], Vec::as_slice);
    let fitting = known.iter().find_map(|server| {
        let own = server["name"].as_str()?;
        Some((server, name.strip_prefix(own)?.strip_prefix('_')?))
    });
    let (server, tool) = fitting.ok_or_else(|| format!("no server offers the tool {name}; given are {servers}"))?;
    let mut child = start(server, directory)?;
    let answer = converse(&mut child, tool, arguments);
    // It ends by itself when its stdin does; what it says then is nobody's business.
    drop(child.stdin.take());
    let _ended = child.wait();
    answer
}

fn start(server: &Value, directory: &Path) -> Result<Child, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut command = Command::new(text(&server["command"]));
    command.args(list(&server["args"]).iter().map(text)).current_dir(directory);
    command.envs(list(&server["env"]).iter().map(|one| (text(&one["name"]), text(&one["value"]))));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().map_err(|error| format!("cannot run {}: {error}", server["command"]))
}

fn converse(child: &mut Child, tool: &str, arguments: &Value) -> Done {
    let mut lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
    let mut say = |message: Value| {
        let stdin = child.stdin.as_mut().ok_or("no stdin")?;
        writeln!(stdin, "{message}").map_err(|error| format!("the server takes nothing: {error}"))
    };
    let mut answer = |id: u64| loop {
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
    say(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client}}))?;
    answer(1)?;
    say(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
    say(json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}))?;
    let offered = answer(2)?;
    if !offered["tools"].as_array().is_some_and(|tools| tools.iter().any(|one| one["name"] == tool)) {
        return Err(format!("the server does not offer {tool}: {offered}"));
    }
    say(json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}))?;
    let result = answer(3)?;
    let text: String =
        result["content"].as_array().into_iter().flatten().filter_map(|block| block["text"].as_str()).collect();
    if result["isError"] == true { Err(text) } else { Ok(text) }
}
