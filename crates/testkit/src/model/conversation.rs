//! The conversation in a request, in terms that all dialects share.

use serde_json::Value;

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    System,
    User,
    Assistant,
    /// A tool, which returned a result.
    Tool,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// A message. All items of one answer of the model are one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    /// Without calls of tools.
    pub text: String,
}

impl Message {
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self { role, text: text.into() }
    }

    /// The messages of an API that has the results of tools and the text of the user in one message.
    pub(super) fn of_user(results: impl Iterator<Item = String>, text: String) -> Vec<Self> {
        let mut messages: Vec<Self> = results.map(|result| Self::new(Role::Tool, result)).collect();
        if messages.is_empty() || !text.is_empty() {
            messages.push(Self::new(Role::User, text));
        }
        messages
    }

    /// Whether this is a message of the user. Agents also add text of their own in the user's name, within a tag such as
    /// `<system-reminder>`.
    fn is_from_user(&self) -> bool {
        self.role == Role::User && !is_in_one_tag(&self.text)
    }
}

/// Whether the text begins with a tag and ends with the same tag.
fn is_in_one_tag(text: &str) -> bool {
    let text = text.trim();
    let Some(name) = text.strip_prefix('<').and_then(|rest| rest.split(['>', ' ']).next()) else {
        return text.is_empty();
    };
    !name.is_empty() && text.ends_with(&format!("</{name}>"))
}

/// A tool that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    pub name: String,
    /// The group that it belongs to, in an API that has groups of tools.
    pub group: Option<String>,
    /// The JSON schema of its arguments, or `None` if its argument is a text.
    pub schema: Option<Value>,
}

/// The texts around the working directory in the prompts of agents.
const DIRECTORY: [(&str, &str); 4] = [
    ("Working directory: ", ""),
    ("- Primary working directory: ", ""),
    ("<cwd>", "</cwd>"),
    ("I'm currently working in the directory: ", ""),
];

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conversation {
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    /// The JSON schema of the answer, if the request has one.
    pub answer_schema: Option<Value>,
}

impl Conversation {
    /// The agent's working directory, from the line of its prompt that names it.
    pub fn working_directory(&self) -> Option<String> {
        let lines = self.messages.iter().flat_map(|message| message.text.lines()).map(str::trim);
        let named = lines.filter_map(|line| {
            DIRECTORY.iter().find_map(|(before, after)| line.strip_prefix(before)?.strip_suffix(after))
        });
        named.map(str::to_owned).find(|directory| directory.starts_with('/'))
    }
}

/// The turn that a request belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Turn {
    /// The client's session id; empty if it sent none.
    pub session: String,
    /// Number of user messages in the conversation, which distinguishes turns with the same text.
    pub number: usize,
    /// Text of the last user message.
    pub request: String,
    /// Texts of the assistant messages after it, in order.
    pub answers: Vec<String>,
}

impl Turn {
    /// The last turn of the conversation.
    pub fn of(session: &str, conversation: &Conversation) -> Self {
        let messages = &conversation.messages;
        let last_user = messages.iter().rposition(Message::is_from_user);
        let since = last_user.map_or(messages.as_slice(), |at| &messages[at + 1..]);
        let answers = since.iter().filter(|message| message.role == Role::Assistant);
        Self {
            session: session.to_owned(),
            number: messages.iter().filter(|message| message.is_from_user()).count(),
            request: last_user.map(|at| messages[at].text.clone()).unwrap_or_default(),
            answers: answers.map(|message| message.text.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(messages: &[(Role, &str)]) -> Conversation {
        let messages = messages.iter().map(|(role, text)| Message::new(*role, *text)).collect();
        Conversation { messages, ..Conversation::default() }
    }

    #[test]
    fn only_answers_after_the_last_user_message_count() {
        let turn = Turn::of(
            "ses_1",
            &conversation(&[
                (Role::System, "be good"),
                (Role::User, "first"),
                (Role::Assistant, "old"),
                (Role::User, "second\npart"),
                (Role::Assistant, ""),
                (Role::Tool, "ok"),
                (Role::Assistant, "new"),
            ]),
        );
        assert_eq!((turn.number, turn.request.as_str()), (2, "second\npart"));
        assert_eq!(turn.answers, ["", "new"]);
    }

    #[test]
    fn text_that_an_agent_adds_begins_no_turn() {
        let turn = Turn::of(
            "",
            &conversation(&[
                (Role::User, "<environment_context>\n<cwd>/tree</cwd>\n</environment_context>"),
                (Role::User, "<system-reminder>be brief</system-reminder>\nfirst"),
                (Role::Assistant, "a"),
                (Role::Tool, "ok"),
                (Role::User, "<system-reminder kind=\"x\">use tools</system-reminder>\n"),
            ]),
        );
        assert_eq!((turn.number, turn.answers.as_slice()), (1, ["a".to_owned()].as_slice()));
        assert!(turn.request.ends_with("first"));
    }

    #[test]
    fn empty_conversation_is_an_empty_turn() {
        let turn = Turn::of("", &Conversation::default());
        assert_eq!((turn.number, turn.answers.len()), (0, 0));
    }
}
