//! What every agent is told before its task: the base context, then where it is and what is special there.

use std::path::Path;

use kugetsu_api::run_spec::{IssueSpec, RunSpec};

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

/// Most bytes of earlier messages that a hand-over quotes, and of what it lists of the worktree.
const ASKED_MAX: usize = 48 * 1024;
const LISTED_MAX: usize = 8 * 1024;

/// What stands above the task in a session's first prompt.
const TASK: &str = "\n# The task\n\n";
/// What stands above the message in a prompt of the coordinator's that begins with its rules.
pub(crate) const MESSAGE: &str = "\n# The message\n\n";

/// What a prompt asks, without the rules and the place that a session's first one begins with.
pub fn asked(prompt: &str) -> &str {
    let begins = [TASK, MESSAGE].iter().filter_map(|head| prompt.find(head).map(|at| at + head.len())).min();
    begins.map_or(prompt, |at| &prompt[at..])
}

/// What the first prompt of a session begins with.
pub(crate) fn first_prompt(
    base: &str,
    spec: &RunSpec,
    issue: &IssueSpec,
    worktree: &Path,
    base_branch: Option<&str>,
) -> String {
    let mut prompt = String::with_capacity(base.len() + spec.message.len() + 1024);
    prompt.push_str(base.trim_end());
    prompt.push_str("\n\n# Where you are\n\n");
    let mut fact = |name: &str, value: &str| {
        prompt.push_str(&format!("- {name}: {value}\n"));
    };
    fact("issue", &spec.reference);
    fact("repository", &spec.reference[..spec.reference.rfind('#').unwrap_or(spec.reference.len())]);
    fact("directory", &worktree.display().to_string());
    fact("branch", &issue.branch);
    if let Some(base_branch) = base_branch {
        fact("begun from", base_branch);
    }
    fact(
        "credentials",
        "pushing to the server is done for you by the host; what the user gave you is in your environment",
    );
    fact("temporary files", "use $TMPDIR, not /tmp");
    prompt.push_str(TASK);
    prompt.push_str(&spec.message);
    prompt
}

/// What a session begins with when it takes over from one that is lost.
pub(crate) fn hand_over(first: &str, asked_before: &[String], commits: &str, changes: &str) -> String {
    let mut prompt = String::from(first);
    prompt.push_str(
        "\n\n# What happened before\n\nAn earlier session worked on this issue here; its conversation is lost, its files are as it left them.\n",
    );
    quote(asked_before, &mut prompt);
    for (title, text) in [("Its commits", commits), ("Not committed", changes)] {
        if !text.trim().is_empty() {
            prompt.push_str(&format!("\n{title}:\n\n"));
            let (listed, rest) = text.split_at(text.floor_char_boundary(LISTED_MAX));
            for line in listed.lines() {
                prompt.push_str(&format!("    {line}\n"));
            }
            if !rest.is_empty() {
                prompt.push_str("\n[the rest of this list is left out]\n");
            }
        }
    }
    prompt
}

/// Quotes the newest messages that there is room for, oldest first, and says what is left out: all of them could fill the
/// model's context before it has read its task.
pub(crate) fn quote(asked_before: &[String], prompt: &mut String) {
    let (mut room, mut quotes) = (ASKED_MAX, Vec::new());
    for message in asked_before.iter().rev() {
        let mut quoted: String = message.lines().map(|line| format!("> {line}\n")).collect();
        if quoted.len() > room && !quotes.is_empty() {
            break;
        }
        if quoted.len() > room {
            quoted.truncate(quoted.floor_char_boundary(room));
            quoted.push_str("\n\n[the rest of this message is left out]\n");
        }
        room = room.saturating_sub(quoted.len());
        quotes.push(quoted);
    }
    if quotes.is_empty() {
        return;
    }
    prompt.push_str("\nIt was asked, oldest first (quoted; the task above is the one that counts now):\n\n");
    match asked_before.len() - quotes.len() {
        0 => {}
        more => prompt.push_str(&format!("[earlier messages that are left out for their length: {more}]\n\n")),
    }
    for quoted in quotes.iter().rev() {
        prompt.push_str(quoted);
        prompt.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use kugetsu_api::run_spec::{AgentSpec, CloneSource, Limits, Permissions, SandboxChoice, Work};

    use super::*;

    fn spec() -> (RunSpec, IssueSpec) {
        let issue = IssueSpec {
            number: 12,
            first_attempt: true,
            lost_before: None,
            source: CloneSource::Address(String::new()),
            access: None,
            mirror: String::new(),
            directory: String::new(),
            branch: "kugetsu/12-fix".to_owned(),
            base: None,
            base_sha: None,
            pushed: None,
        };
        let spec = RunSpec {
            run: String::new(),
            issue: String::new(),
            fence: 1,
            task: String::new(),
            reference: "github.com/acme/api#12".to_owned(),
            message: "fix the flaky test".to_owned(),
            attempt: 1,
            agent: AgentSpec { name: "opencode".to_owned(), command: None },
            model: None,
            earlier_messages: vec![],
            session: None,
            hand_over: false,
            limits: Limits { timeout_seconds: 1, silence_seconds: 1 },
            permissions: Permissions::Allow,
            sandbox: SandboxChoice::Off,
            work: Work::Issue(Box::new(issue.clone())),
        };
        (spec, issue)
    }

    #[test]
    fn the_first_prompt_begins_with_the_rules_and_ends_with_the_task() {
        let (spec, issue) = spec();
        let prompt = first_prompt(BASE_CONTEXT, &spec, &issue, Path::new("/w/x"), Some("main"));
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

    #[test]
    fn a_hand_over_is_bounded_keeps_the_newest_and_says_what_is_left_out() {
        let mut asked: Vec<String> = (0..20).map(|n| format!("message {n}: {}", "x\n".repeat(9000))).collect();
        asked.push("the newest".to_owned());
        let prompt = hand_over("first", &asked, "", &"changed.txt\n".repeat(100_000));
        assert!(prompt.len() < 64 * 1024, "{}", prompt.len());
        assert!(prompt.contains("> the newest\n") && prompt.contains("> message 19: x\n"));
        assert!(!prompt.contains("> message 18"));
        assert!(prompt.contains("left out for their length: 19"), "{}", &prompt[..400]);
        assert!(prompt.contains("[the rest of this list is left out]"));

        let prompt = hand_over("first", &["ä".repeat(1 << 20)], "", "");
        assert!(prompt.len() < 64 * 1024 && prompt.contains("> ää"), "{}", prompt.len());
        assert!(prompt.contains("the rest of this message is left out"));
        assert!(prompt.starts_with("first"));
    }
}
