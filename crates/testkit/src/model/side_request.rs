//! Requests that agents send beside a turn: for titles and suggestions, for the model that fits a task, and for the verdict
//! on a tool call.
//!
//! They never advance a script. An agent whose verdict is "allowed" acts as it does with a real model in most cases.

use super::conversation::{Conversation, Role};
use super::reply::Reply;
use super::schema::any_value;
use super::script::{Call, ToolCall};

/// In the system prompt in which Claude Code asks for a verdict.
const SEVERITY: &str = "<severity>N</severity>";

/// The only tool in a request of Qwen Code for a verdict, whose first argument blocks the tool call.
const VERDICT_TOOL: &str = "respond_in_schema";

/// Beginnings of messages in which agents ask for suggestions or notes with the tools of the turn.
const PROMPTS: [&str; 2] = ["[SUGGESTION MODE", "Managed memory has TWO directories"];

/// The answer to a side request, or `None` if the request belongs to a turn.
pub(super) fn answer(conversation: &Conversation) -> Option<Reply> {
    if is_from(conversation, Role::System, |text| text.contains(SEVERITY)) {
        return Some(Reply::text("<severity>0</severity>"));
    }
    if let [tool] = conversation.tools.as_slice()
        && tool.name == VERDICT_TOOL
    {
        let arguments = serde_json::json!({"shouldBlock": false});
        return Some(Reply::call(ToolCall::Call(Call { tool: tool.name.clone(), arguments })));
    }
    let last = conversation.messages.last();
    let is_prompt = last.is_some_and(|last| PROMPTS.iter().any(|prompt| last.text.starts_with(prompt)));
    if !conversation.tools.is_empty() && !is_prompt {
        return None;
    }
    let title = || "Scripted title".to_owned();
    let text = conversation.answer_schema.as_ref().map_or_else(title, |schema| any_value(schema).to_string());
    Some(Reply::text(&text))
}

fn is_from(conversation: &Conversation, role: Role, matches: impl Fn(&str) -> bool) -> bool {
    conversation.messages.iter().any(|message| message.role == role && matches(&message.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::conversation::{Message, Tool};

    fn is_side_request(role: Role, text: &str, tools: &[&str]) -> bool {
        let tool = |name: &&str| Tool { name: (*name).to_owned(), group: None, schema: None };
        let messages = vec![Message::new(role, text)];
        let conversation =
            Conversation { messages, tools: tools.iter().map(tool).collect(), ..Conversation::default() };
        answer(&conversation).is_some()
    }

    #[test]
    fn requests_beside_a_turn_are_recognized() {
        assert!(is_side_request(Role::User, "Write a title", &[]));
        assert!(is_side_request(Role::User, "[SUGGESTION MODE: Suggest]", &["bash", "write"]));
        assert!(is_side_request(Role::User, "Is this allowed?", &["respond_in_schema"]));
        assert!(is_side_request(Role::System, "Output <severity>N</severity>", &[]));
        assert!(!is_side_request(Role::User, "Please", &["bash"]));
    }
}
