//! Tools that a session is given: programs that speak the Model Context Protocol on stdin and stdout.

use std::path::PathBuf;

use serde_json::{Value, json};

/// A program that serves tools. The agent starts it for itself, once for each session that is given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpServer {
    /// What the agent calls it; tools are often shown as `<name>_<tool>`.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments, which every user of the machine can see.
    pub args: Vec<String>,
    /// Variables that are added to its environment.
    pub env: Vec<(String, String)>,
}

impl McpServer {
    /// As the protocol writes it (ACP, "Session setup", stdio transport).
    pub(crate) fn wire(&self) -> Value {
        let env: Vec<_> = self.env.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        json!({"name": self.name, "command": self.program.to_string_lossy(), "args": self.args, "env": env})
    }
}
