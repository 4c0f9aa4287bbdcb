//! What the coordinator is told.

use crate::context::{MESSAGE, quote};
use crate::desk::Desk;

/// A message as it is put. One that is put again, since the turn before was cut off, must not begin everything twice.
pub(crate) fn message(message: &str, attempt: u32) -> String {
    match attempt {
        0 | 1 => message.to_owned(),
        _ => format!(
            "(Your last turn was cut off. Look with `list` and `queue` what it began before you begin anything.)\n\n{message}"
        ),
    }
}

/// What a session begins with: the skill, where it is, and the first message.
pub(crate) fn first(skill: &str, desk: &Desk, message: &str) -> String {
    let mut prompt = skill.trim().to_owned();
    prompt.push_str("\n\n# Where you are\n\n");
    let directory = desk.directory.display();
    prompt.push_str(&format!("- directory: {directory}\n"));
    prompt.push_str(&format!("- your rules are also in: {}\n", desk.skill_file.display()));
    prompt.push_str(match desk.is_confined {
        true => "- you may write: queue/ and logs/ there; everything else is read-only\n",
        false => "- you may write: queue/ and logs/ there and nothing else; keep to it, for nothing enforces it here\n",
    });
    prompt.push_str(MESSAGE);
    prompt.push_str(message);
    prompt
}

/// A message for a session whose skill was changed by the user since.
pub(crate) fn changed(skill: &str, message: &str) -> String {
    format!("Your rules were changed. They are now:\n\n{}\n{MESSAGE}{message}", skill.trim())
}

/// What a session begins with that takes over from one that is lost.
pub(crate) fn hand_over(first: &str, asked_before: &[String]) -> String {
    let mut prompt = String::from(first);
    prompt.push_str(
        "\n\n# What happened before\n\nAn earlier session of yours is lost. Look with `list` what came of what it began.\n",
    );
    quote(asked_before, &mut prompt);
    prompt
}
