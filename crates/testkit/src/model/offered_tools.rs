//! Translates the tool calls of scripts, which name the tools of opencode, to the tools that a request offers.
//!
//! Agents have other tools and other names for their arguments. A tool is found by its name, an argument by its name in the
//! tool's schema. If no tool writes, edits or reads files, the call becomes a shell command.

use serde_json::{Map, Value, json};

use super::conversation::Tool;
use super::schema::any_value;
use super::script::{Bash, Call, Edit, Read, ToolCall, Write};

/// Something that tools do.
struct Verb {
    /// Names of tools, opencode's first.
    names: &'static [&'static str],
    /// Values of the argument that selects the action of a tool with several.
    actions: &'static [&'static str],
}

const SHELL: Verb = Verb {
    names: &["bash", "shell", "exec_command", "shell_command", "run_shell_command", "execute", "terminal"],
    actions: &[],
};
const WRITE: Verb = Verb {
    names: &["write", "write_file", "create_file", "create", "text_editor", "str_replace_editor"],
    actions: &["write", "create"],
};
const EDIT: Verb = Verb {
    names: &["edit", "replace", "edit_file", "str_replace", "search_replace", "text_editor", "str_replace_editor"],
    actions: &["str_replace", "replace", "edit"],
};
const READ: Verb = Verb { names: &["read", "read_file", "view", "text_editor"], actions: &["view", "read"] };

/// The tool of codex that edits files. Its argument is a patch, not an object.
const PATCH: &str = "apply_patch";

/// The names that an argument has in different tools, opencode's first, and its value.
type Argument = (&'static [&'static str], String);

const COMMAND: &[&str] = &["command", "cmd", "script"];
const DESCRIPTION: &[&str] = &["description"];
const PATH: &[&str] = &["filePath", "file_path", "path", "absolute_path", "target_file", "filename"];
const CONTENT: &[&str] = &["content", "contents", "file_text", "text"];
const OLD: &[&str] = &["oldString", "old_string", "old_str", "before", "old_text", "search"];
const NEW: &[&str] = &["newString", "new_string", "new_str", "after", "new_text", "replace"];

/// The argument of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Input {
    /// An object.
    Arguments(Value),
    /// For a tool without a schema.
    Text(String),
}

impl Input {
    /// The arguments of a function; a text is a string.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Arguments(arguments) => arguments.clone(),
            Self::Text(text) => Value::String(text.clone()),
        }
    }
}

/// A call of an offered tool.
#[derive(Debug, PartialEq)]
pub(super) struct Called {
    pub(super) name: String,
    pub(super) group: Option<String>,
    pub(super) input: Input,
}

impl Called {
    fn new(tool: &Tool, input: Input) -> Self {
        Self { name: tool.name.clone(), group: tool.group.clone(), input }
    }

    /// For a request without such a tool.
    fn unknown(name: &str, arguments: Value) -> Self {
        Self { name: name.to_owned(), group: None, input: Input::Arguments(arguments) }
    }
}

/// Translates a call. `directory` is the agent's, for tools that require absolute paths.
pub(super) fn function_call(call: &ToolCall, tools: &[Tool], directory: Option<&str>) -> Called {
    let (verb, arguments, command, patch) = match call {
        ToolCall::Call(call) => return any_call(call, tools),
        ToolCall::Bash(bash) => return shell_call(bash, tools),
        ToolCall::Write(Write { path, content }) => {
            let arguments = vec![(PATH, path.clone()), (CONTENT, content.clone())];
            (&WRITE, arguments, write_command(path, content), Some(patch("Add", path, &prefixed('+', content))))
        }
        ToolCall::Edit(Edit { path, old, new }) => {
            let arguments = vec![(PATH, path.clone()), (OLD, old.clone()), (NEW, new.clone())];
            let lines = format!("@@\n{}{}", prefixed('-', old), prefixed('+', new));
            (&EDIT, arguments, edit_command(path, old, new), Some(patch("Update", path, &lines)))
        }
        ToolCall::Read(Read { path }) => (&READ, vec![(PATH, path.clone())], format!("cat {}", quoted(path)), None),
    };
    if let Some((tool, schema)) = find(verb, tools) {
        return Called::new(tool, Input::Arguments(fill(schema, verb, &arguments, directory)));
    }
    let patches = tools.iter().find(|tool| tool.name == PATCH && tool.schema.is_none());
    if let Some((tool, patch)) = patches.zip(patch) {
        return Called::new(tool, Input::Text(patch));
    }
    match find(&SHELL, tools) {
        Some(_) => shell_call(&Bash { command, description: String::new() }, tools),
        None => Called::unknown(verb.names[0], named(&arguments)),
    }
}

fn shell_call(bash: &Bash, tools: &[Tool]) -> Called {
    let description = if bash.description.is_empty() { &bash.command } else { &bash.description };
    let arguments = [(COMMAND, bash.command.clone()), (DESCRIPTION, description.clone())];
    match find(&SHELL, tools) {
        Some((tool, schema)) => Called::new(tool, Input::Arguments(fill(schema, &SHELL, &arguments, None))),
        None => Called::unknown(SHELL.names[0], named(&arguments)),
    }
}

/// A call by opencode's name. Agents put other prefixes before the names of MCP tools, for example `mcp__server__tool`.
fn any_call(call: &Call, tools: &[Tool]) -> Called {
    let plain = |name: &str| {
        let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        letters.strip_prefix("mcp").map(str::to_owned).unwrap_or(letters)
    };
    let full = |tool: &Tool| format!("{}{}", tool.group.as_deref().unwrap_or_default(), tool.name);
    let exact = tools.iter().find(|tool| full(tool) == call.tool);
    match exact.or_else(|| tools.iter().find(|tool| plain(&full(tool)) == plain(&call.tool))) {
        Some(tool) => Called::new(tool, Input::Arguments(call.arguments.clone())),
        None => Called::unknown(&call.tool, call.arguments.clone()),
    }
}

/// The tool with the first of the verb's names, upper case and a prefix such as `developer__` apart, and its schema.
fn find<'a>(verb: &Verb, tools: &'a [Tool]) -> Option<(&'a Tool, &'a Value)> {
    let own = tools.iter().filter(|tool| tool.group.is_none() && !tool.name.starts_with("mcp"));
    verb.names.iter().find_map(|name| {
        let tool =
            own.clone().find(|tool| tool.name.rsplit("__").next().is_some_and(|own| own.eq_ignore_ascii_case(name)))?;
        Some((tool, tool.schema.as_ref()?))
    })
}

/// The arguments with the names and types of the schema. Required ones that a script does not know get a harmless value.
fn fill(schema: &Value, verb: &Verb, arguments: &[Argument], directory: Option<&str>) -> Value {
    let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) else {
        return named(arguments);
    };
    let mut filled = Map::new();
    for (names, text) in arguments {
        if let Some((name, property)) = names.iter().find_map(|name| properties.get_key_value(*name)) {
            let is_absolute =
                property["description"].as_str().is_some_and(|text| text.to_lowercase().contains("absolute"));
            let value = match directory {
                Some(directory) if *names == PATH && is_absolute && !text.starts_with('/') => {
                    json!(format!("{directory}/{text}"))
                }
                _ if property["type"] == "array" => json!(["bash", "-lc", text]),
                _ => json!(text),
            };
            filled.insert(name.clone(), value);
        }
    }
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    for name in required.iter().filter_map(Value::as_str) {
        if !filled.contains_key(name) {
            filled.insert(name.to_owned(), default_value(&properties[name], verb));
        }
    }
    Value::Object(filled)
}

/// The arguments with opencode's names.
fn named(arguments: &[Argument]) -> Value {
    arguments.iter().map(|(names, text)| (names[0].to_owned(), json!(text))).collect::<Map<_, _>>().into()
}

/// A value for a required argument: one that selects the verb, or any.
fn default_value(property: &Value, verb: &Verb) -> Value {
    let choices = property["enum"].as_array().map(Vec::as_slice).unwrap_or_default();
    let action = choices.iter().find(|choice| choice.as_str().is_some_and(|choice| verb.actions.contains(&choice)));
    action.cloned().unwrap_or_else(|| any_value(property))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A patch for one file. `kind` is `Add` or `Update`.
fn patch(kind: &str, path: &str, lines: &str) -> String {
    format!("*** Begin Patch\n*** {kind} File: {path}\n{lines}*** End Patch\n")
}

/// The lines of `text`, each after a mark.
fn prefixed(mark: char, text: &str) -> String {
    text.lines().map(|line| format!("{mark}{line}\n")).collect()
}

fn write_command(path: &str, content: &str) -> String {
    format!("printf %s {} > {}", quoted(content), quoted(path))
}

/// Replaces the first occurrence, as text.
fn edit_command(path: &str, old: &str, new: &str) -> String {
    let program = r#"BEGIN { undef $/ } s/\Q$ENV{OLD}\E/$ENV{NEW}/"#;
    format!("OLD={} NEW={} perl -pi -e {} {}", quoted(old), quoted(new), quoted(program), quoted(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, schema: Value) -> Tool {
        Tool { name: name.to_owned(), group: None, schema: Some(schema) }
    }

    fn strings(names: &[&str]) -> Value {
        let properties: Map<_, _> = names.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
        json!({"type": "object", "properties": properties, "required": names})
    }

    fn bash(command: &str) -> ToolCall {
        ToolCall::Bash(Bash { command: command.to_owned(), description: String::new() })
    }

    fn called(call: &ToolCall, tools: &[Tool]) -> (String, Value) {
        let called = function_call(call, tools, Some("/tree"));
        (called.name, called.input.value())
    }

    #[test]
    fn shell_command_is_put_into_the_offered_tool() {
        let offered = [
            (tool("Bash", strings(&["command"])), json!({"command": "ls"})),
            (tool("exec_command", strings(&["cmd"])), json!({"cmd": "ls"})),
            (tool("developer__shell", strings(&["command"])), json!({"command": "ls"})),
            (
                tool("run_shell_command", strings(&["command", "description"])),
                json!({"command": "ls", "description": "ls"}),
            ),
            (
                tool("shell", json!({"properties": {"command": {"type": "array"}}})),
                json!({"command": ["bash", "-lc", "ls"]}),
            ),
        ];
        for (tool, arguments) in offered {
            assert_eq!(called(&bash("ls"), std::slice::from_ref(&tool)), (tool.name, arguments));
        }
    }

    #[test]
    fn required_arguments_that_scripts_lack_are_filled_in() {
        let schema = json!({
            "properties": {"command": {"enum": ["view", "create"]}, "path": {}, "file_text": {}, "security": {"type": "boolean"}},
            "required": ["command", "path", "security"],
        });
        let write = ToolCall::Write(Write { path: "a".into(), content: "b".into() });
        let arguments = json!({"command": "create", "path": "a", "file_text": "b", "security": false});
        assert_eq!(called(&write, &[tool("text_editor", schema)]), ("text_editor".into(), arguments));
    }

    #[test]
    fn path_is_absolute_where_the_tool_requires_it() {
        let schema = json!({"properties": {"file_path": {"description": "The absolute path"}, "content": {}}});
        let write = ToolCall::Write(Write { path: "a".into(), content: "b".into() });
        let arguments = json!({"file_path": "/tree/a", "content": "b"});
        assert_eq!(called(&write, &[tool("Write", schema)]), ("Write".into(), arguments));
    }

    #[test]
    fn without_a_tool_for_files_the_shell_does_it() {
        let tools = [tool("exec_command", strings(&["cmd"]))];
        let write = ToolCall::Write(Write { path: "a".into(), content: "it's".into() });
        assert_eq!(called(&write, &tools).1, json!({"cmd": r"printf %s 'it'\''s' > 'a'"}));
        let read = ToolCall::Read(Read { path: "a".into() });
        assert_eq!(called(&read, &tools).1, json!({"cmd": "cat 'a'"}));
    }

    #[test]
    fn patch_tool_gets_a_patch() {
        let tools = [tool("exec_command", strings(&["cmd"])), Tool { name: PATCH.into(), group: None, schema: None }];
        let edit = ToolCall::Edit(Edit { path: "a".into(), old: "b".into(), new: "c".into() });
        let patch = "*** Begin Patch\n*** Update File: a\n@@\n-b\n+c\n*** End Patch\n";
        assert_eq!(called(&edit, &tools), (PATCH.into(), patch.into()));
    }

    #[test]
    fn tools_of_servers_are_found_by_any_prefix() {
        let group = Some("mcp__kugetsu__".to_owned());
        let offered = [
            tool("mcp__kugetsu__start", json!({})),
            tool("kugetsu__start", json!({})),
            tool("mcp_kugetsu_start", json!({})),
            Tool { name: "start".into(), group, schema: Some(json!({})) },
        ];
        let call = ToolCall::Call(Call { tool: "kugetsu_start".into(), arguments: json!({"a": 1}) });
        for tool in offered {
            let called = function_call(&call, std::slice::from_ref(&tool), None);
            assert_eq!((called.name, called.group), (tool.name, tool.group));
        }
        assert_eq!(called(&call, &[]).0, "kugetsu_start");
    }
}
