//! The message of a task: arguments, stdin, or a file in the user's editor.

use std::env;

use kugetsu_domain::text::counted;
use tempfile::NamedTempFile;

use crate::editor::{Editor, draft};
use crate::failure::Failure;
use crate::ui;

/// The daemon accepts no longer message, in bytes.
const MESSAGE_MAX: u64 = 1024 * 1024;

/// Only the text above this line of the editor's file is the message, so a message may contain any Markdown.
const SCISSORS: &str = "# ------------------------ >8 ------------------------";

/// The arguments after the reference.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TypedMessage {
    /// `None` if nothing was typed; `-` for stdin.
    message: Option<String>,
    pub(crate) pr_url: Option<String>,
}

impl TypedMessage {
    /// Joins arguments, because users forget quotes. A second one is the URL of a pull request if
    /// the message is quoted or if it has a scheme.
    ///
    /// # Errors
    /// An argument looks like an option. clap takes an unknown option for the message here, because that may begin with `-`.
    pub(crate) fn new(message: Option<String>, rest: Vec<String>) -> Result<Self, Failure> {
        let mut parts: Vec<String> = message.into_iter().chain(rest).collect();
        let is_escaped = env::args_os().any(|argument| argument == "--");
        if let Some(option) = parts.iter().find(|part| !is_escaped && looks_like_option(part)) {
            return Err(Failure::usage(format!("unexpected argument '{option}'")).hint(format!(
                "to use it in the message, quote the whole message, or write `--` before it: -- {option}"
            )));
        }
        let is_quoted = parts.first().is_some_and(|message| message.contains(char::is_whitespace));
        let pr_url = if parts.len() == 2 { parts.pop_if(|part| is_quoted || part.contains("://")) } else { None };
        Ok(Self { message: (!parts.is_empty()).then(|| parts.join(" ")), pr_url })
    }

    /// Like [`new`](Self::new), but a URL is part of the message.
    pub(crate) fn all(message: Option<String>, rest: Vec<String>) -> Result<Self, Failure> {
        let Self { message, pr_url } = Self::new(message, rest)?;
        let parts: Vec<String> = message.into_iter().chain(pr_url).collect();
        Ok(Self { message: (!parts.is_empty()).then(|| parts.join(" ")), pr_url: None })
    }

    /// Reads the message: what was typed, stdin for `-`, or a file in the user's editor if nothing was typed and `edits`.
    /// `subject` says in the file what the message is for. Returns `None` if nothing was typed and there is no editor.
    pub(crate) fn read(&mut self, edits: bool, subject: &str) -> Result<Option<Message>, Failure> {
        match self.message.take() {
            Some(typed) if typed == "-" => {
                let text = ui::read_stdin("message", MESSAGE_MAX)?;
                Ok(Some(Message { text, file: None }))
            }
            Some(text) => Ok(Some(Message { text, file: None })),
            None if edits && ui::is_interactive() => edit(subject),
            None => Ok(None),
        }
    }
}

fn looks_like_option(part: &str) -> bool {
    part.len() > 1 && part.starts_with('-') && !part.contains(char::is_whitespace)
}

/// A message that was read.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) text: String,
    /// The file that the user edited.
    file: Option<NamedTempFile>,
}

impl Message {
    /// Keeps what the user wrote in an editor, and adds to the failure where it is.
    pub(crate) fn keep(message: Option<Self>, failure: Failure) -> Failure {
        match message.and_then(|message| message.file).map(NamedTempFile::keep) {
            None => failure,
            Some(Ok((_, path))) => failure.hint(format!("the message is kept in {}", path.display())),
            Some(Err(error)) => failure.hint(format!("the message could not be kept: {error}")),
        }
    }
}

/// Opens the user's editor. Returns `None` if the environment names none.
fn edit(subject: &str) -> Result<Option<Message>, Failure> {
    let Some(editor) = Editor::from_environment() else { return Ok(None) };
    let content =
        format!("\n{SCISSORS}\n# Write the message for {subject} above this line. An empty message queues nothing.\n");
    let file = draft("kugetsu-", ".md", &content)
        .map_err(|error| Failure::new(format!("could not create a file for the message: {error}")))?;
    let text = editor
        .edit(&file)
        .map_err(|failure| Failure { message: format!("{}; queued nothing", failure.message), ..failure })?;
    let text = text.split(SCISSORS).next().unwrap_or_default().trim().to_owned();
    if text.is_empty() {
        return Err(Failure::needs_person("the message is empty; queued nothing"));
    }
    if text.len() as u64 > MESSAGE_MAX {
        let message = Message { text, file: Some(file) };
        let failure = Failure::usage(format!("the message is longer than {}", counted(MESSAGE_MAX, "byte")));
        return Err(Message::keep(Some(message), failure));
    }
    Ok(Some(Message { text, file: Some(file) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(typed: &[&str]) -> TypedMessage {
        TypedMessage::new(None, typed.iter().map(|part| (*part).to_owned()).collect()).unwrap()
    }

    #[test]
    fn arguments_without_quotes_are_one_message() {
        let message = |typed: &[&str]| parse(typed).message;
        assert_eq!(message(&[]), None);
        assert_eq!(message(&["fix it"]).as_deref(), Some("fix it"));
        assert_eq!(message(&["fix", "the", "test"]).as_deref(), Some("fix the test"));
        assert_eq!(message(&["-", "fix it"]).as_deref(), Some("- fix it"));
        assert_eq!(message(&["see", "it", "at", "https://h/x"]).as_deref(), Some("see it at https://h/x"));
    }

    #[test]
    fn url_after_the_message_is_the_pull_request() {
        let typed = parse(&["fix it", "https://h/a/b/pulls/3"]);
        assert_eq!(typed.message.as_deref(), Some("fix it"));
        assert_eq!(typed.pr_url.as_deref(), Some("https://h/a/b/pulls/3"));
        assert_eq!(parse(&["fix it", "typo"]).pr_url.as_deref(), Some("typo"), "which is reported");
        assert_eq!(parse(&["fix", "https://h/a"]).pr_url.as_deref(), Some("https://h/a"));
        assert_eq!(parse(&["https://h/a"]).pr_url, None);
    }

    #[test]
    fn mistyped_option_is_not_part_of_the_message() {
        let failure = TypedMessage::new(Some("--wai".to_owned()), vec!["fix it".to_owned()]).unwrap_err();
        assert!(failure.message.contains("--wai") && failure.hints[0].contains("quote"), "{failure:?}");
        assert!(TypedMessage::new(Some("-".to_owned()), vec![]).is_ok());
    }
}
