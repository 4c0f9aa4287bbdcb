//! What every agent is told before its task: the base context, then where it is and what is special there.

use std::path::Path;

use kugetsu_api::order::RunOrder;

/// The base context as it stands in a new home. It is a file there, for the user to read and change.
pub const BASE_CONTEXT: &str = "\
# How you work here

You work on one issue, alone, in a git worktree that is yours. Nobody sits beside you: nobody can answer a question or a
prompt in a terminal.

- Do what the task asks, nothing beside it. Read the repository's own instructions (README, CONTRIBUTING, AGENTS.md)
  before you change something.
- When something goes wrong, stop and say so: what you did, what happened, what you would need. Do not pivot to another
  task, and do not work around a missing permission or a missing tool.
- Run the repository's own checks before you finish, and say what they said.
- Commit your work on the branch that is checked out, in small commits whose messages say why. Work that is not
  committed is not pushed.
- You need not push: what you commit is pushed for you when you end. `origin` is a local copy of the server's branches.
- End with a short summary: what changed, what you checked, what is left.
";

/// What the first prompt of a session begins with.
pub(crate) fn first_prompt(base: &str, order: &RunOrder, worktree: &Path, base_branch: Option<&str>) -> String {
    let mut prompt = String::with_capacity(base.len() + order.message.len() + 1024);
    prompt.push_str(base.trim_end());
    prompt.push_str("\n\n# Where you are\n\n");
    let mut fact = |name: &str, value: &str| {
        prompt.push_str(&format!("- {name}: {value}\n"));
    };
    fact("issue", &order.reference);
    fact("repository", &order.reference[..order.reference.rfind('#').unwrap_or(order.reference.len())]);
    fact("directory", &worktree.display().to_string());
    fact("branch", &order.branch);
    if let Some(base_branch) = base_branch {
        fact("begun from", base_branch);
    }
    fact(
        "credentials",
        "pushing to the server is done for you by the host; what the user gave you is in your environment",
    );
    fact("temporary files", "use $TMPDIR, not /tmp");
    prompt.push_str("\n# The task\n\n");
    prompt.push_str(&order.message);
    prompt
}

/// What a session begins with when it takes over from one that is lost.
pub(crate) fn hand_over(first: &str, asked_before: &[String], commits: &str, changes: &str) -> String {
    let mut prompt = String::from(first);
    prompt.push_str(
        "\n\n# What happened before\n\nAn earlier session worked on this issue here; its conversation is lost, its files are as it left them.\n",
    );
    if !asked_before.is_empty() {
        prompt.push_str("\nIt was asked, oldest first (quoted; the task above is the one that counts now):\n\n");
        for message in asked_before {
            for line in message.lines() {
                prompt.push_str(&format!("> {line}\n"));
            }
            prompt.push('\n');
        }
    }
    for (title, text) in [("Its commits", commits), ("Not committed", changes)] {
        if !text.trim().is_empty() {
            prompt.push_str(&format!("\n{title}:\n\n"));
            for line in text.lines() {
                prompt.push_str(&format!("    {line}\n"));
            }
        }
    }
    prompt
}

#[cfg(test)]
mod tests {
    use kugetsu_api::order::Limits;

    use super::*;

    fn order() -> RunOrder {
        RunOrder {
            run: String::new(),
            issue: String::new(),
            fence: 1,
            task: String::new(),
            reference: "github.com/acme/api#12".to_owned(),
            number: 12,
            message: "fix the flaky test".to_owned(),
            attempt: 1,
            agent: "opencode".to_owned(),
            model: None,
            source: String::new(),
            local: false,
            base_url: String::new(),
            mirror: String::new(),
            directory: String::new(),
            branch: "kugetsu/12-fix".to_owned(),
            base: None,
            base_sha: None,
            pushed: None,
            asked_before: vec![],
            session: None,
            hand_over: false,
            limits: Limits { timeout_seconds: 1, silence_seconds: 1 },
        }
    }

    #[test]
    fn b02_the_first_prompt_begins_with_the_rules_and_ends_with_the_task() {
        let prompt = first_prompt(BASE_CONTEXT, &order(), Path::new("/w/x"), Some("main"));
        assert!(prompt.starts_with("# How you work here"));
        assert!(prompt.contains("stop and say so") && prompt.contains("Do not pivot"));
        assert!(prompt.contains("- repository: github.com/acme/api\n") && prompt.contains("- directory: /w/x\n"));
        assert!(prompt.contains("credentials"));
        assert!(prompt.ends_with("# The task\n\nfix the flaky test"));
    }

    #[test]
    fn what_was_asked_before_is_quoted() {
        let prompt = hand_over("first", &["do a\nthen b".to_owned()], "abc one", "");
        assert!(prompt.contains("> do a\n> then b\n") && prompt.contains("    abc one"));
        assert!(!prompt.contains("Not committed"));
    }
}
