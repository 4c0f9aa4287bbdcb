//! The prompts of the coordinator.

use super::issue::{MESSAGE, quote};
use crate::coordinator::workspace::Workspace;

/// A message as the session gets it. After an attempt that was cut off, the agent must not start everything a second time.
pub(crate) fn message(message: &str, attempt: u32) -> String {
    match attempt {
        0 | 1 => message.to_owned(),
        _ => format!(
            "(Your last turn was cut off. Check with `list` and `queue` what it started before you start anything.)\n\n{message}"
        ),
    }
}

/// The first prompt of a session: the skill, facts about the workspace, the message.
pub(crate) fn first(skill: &str, workspace: &Workspace, message: &str) -> String {
    let mut prompt = skill.trim().to_owned();
    prompt.push_str("\n\n# Where you are\n\n");
    let directory = workspace.directory.display();
    prompt.push_str(&format!("- directory: {directory}\n"));
    prompt.push_str(&format!("- your rules are also in: {}\n", workspace.skill_file.display()));
    prompt.push_str(match workspace.is_confined {
        true => "- you may write: queue/ and logs/ there; everything else is read-only\n",
        false => "- you may write: queue/ and logs/ there and nothing else; nothing enforces it here, so keep to it\n",
    });
    prompt.push_str(MESSAGE);
    prompt.push_str(message);
    prompt
}

/// A message for a session whose skill the user has changed.
pub(crate) fn changed(skill: &str, message: &str) -> String {
    format!("Your rules were changed. They are now:\n\n{}\n{MESSAGE}{message}", skill.trim())
}

/// The first prompt of a session that takes over from one that is lost.
pub(crate) fn hand_over(first: &str, earlier_messages: &[String]) -> String {
    let mut prompt = String::from(first);
    prompt.push_str(
        "\n\n# What happened before\n\nAn earlier session of yours is lost. Check with `list` how the work that it started ended.\n",
    );
    quote(earlier_messages, &mut prompt);
    prompt
}
