//! The prompts of a run on an issue.

use std::path::Path;

use kugetsu_api::run_spec::{IssueSpec, RunSpec};

/// The base context of a new home. It is a file there, for the user to read and change.
pub const BASE_CONTEXT: &str = "\
# How you work here

You work on one issue, alone, in a git worktree of your own. No user is present: questions and prompts in a terminal are never
answered.

- Do what the task asks and nothing else. Read the repository's own instructions (README, CONTRIBUTING, AGENTS.md) before you
  change anything.
- When something goes wrong, stop and report it: what you did, what happened, what you would need. Do not pivot to another
  task, and do not work around a missing permission or a missing tool.
- Run the repository's own checks before you finish, and report their results.
- Commit your work on the branch that is checked out, in small commits whose messages give the reason. Work that is not
  committed there is not pushed, and your task is then not done: leave no changed or new files, no stash and no unfinished
  merge or rebase behind.
- You need not push: your commits are pushed for you when you end. `origin` is a local copy of the server's branches.
- End with a short summary: what changed, what you checked, what is left.
";

/// Bytes of the earlier messages that a hand-over quotes.
const EARLIER_MAX: usize = 48 * 1024;
/// Bytes of each list about the worktree in a hand-over.
const LISTED_MAX: usize = 8 * 1024;

/// The heading above the task in a session's first prompt.
const TASK: &str = "\n# The task\n\n";
/// The heading above the message in a prompt of the coordinator that begins with its rules.
pub(crate) const MESSAGE: &str = "\n# The message\n\n";

/// The task or message in a prompt, without the rules and facts in front of it.
pub fn task_part(prompt: &str) -> &str {
    let starts = [TASK, MESSAGE].iter().filter_map(|heading| Some(prompt.find(heading)? + heading.len()));
    starts.min().map_or(prompt, |start| &prompt[start..])
}

/// The first prompt of a session: the base context, facts about the worktree, the task.
pub(crate) fn first_prompt(
    base: &str,
    spec: &RunSpec,
    issue: &IssueSpec,
    sandbox: Option<&str>,
    notes: &[String],
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
        fact("started from", base_branch);
    }
    fact("credentials", "the host pushes for you; what the user gave you is in your environment");
    fact("temporary files", "use $TMPDIR, not /tmp");
    if let Some(sandbox) = sandbox {
        fact("sandbox", sandbox);
    }
    if !issue.tools.is_empty() {
        fact(
            "tools",
            "if you have the tools of the MCP server `kugetsu`, use them for your issue: `issue` and `checks` read it and your pull request \
             on the server, `comment` writes there, `ask` asks a person (end your turn then), `blocked` says that you cannot finish",
        );
    }
    if spec.without_trailers {
        fact(
            "commit messages",
            "the user asks you not to name yourself or your model in them or in pull requests: no Co-authored-by trailer, no \
             \"Generated with\"",
        );
    }
    for note in notes {
        fact("note", note);
    }
    prompt.push_str(TASK);
    prompt.push_str(&spec.message);
    prompt
}

/// The prompt of a session that knows the rules: notes about the worktree, if there are any, and the task.
pub(crate) fn next_prompt(notes: &[String], message: &str) -> String {
    if notes.is_empty() {
        return message.to_owned();
    }
    let notes: String = notes.iter().map(|note| format!("- {note}\n")).collect();
    format!("# State of the worktree\n\n{notes}{TASK}{message}")
}

/// The worktree as a run finds it, for a prompt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Existing {
    pub(crate) commits: String,
    /// Changes that are in no commit.
    pub(crate) changes: String,
}

impl Existing {
    pub(crate) fn is_empty(&self) -> bool {
        self.commits.trim().is_empty() && self.changes.trim().is_empty()
    }
}

/// The first prompt of a session that takes over from one that is lost.
pub(crate) fn hand_over(first: &str, earlier_messages: &[String], existing: &Existing) -> String {
    let mut prompt = String::from(first);
    prompt.push_str(
        "\n\n# What happened before\n\nAn earlier session worked on this issue here. Its conversation is lost; its files are unchanged.\n",
    );
    quote(earlier_messages, &mut prompt);
    list(existing, &mut prompt);
    prompt
}

/// Why a run did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Of the runner or the agent.
    Loss,
    /// The model, or something else that it needs, was not available.
    Pause,
}

/// A prompt for an issue whose previous run was cut off: the agent must not start everything a second time.
pub(crate) fn interrupted(prompt: &str, cause: Cause, existing: &Existing) -> String {
    let mut prompt = String::from(prompt);
    prompt.push_str("\n\n# What happened before\n\nThe previous run on this issue was cut off before it ended: ");
    prompt.push_str(match cause {
        Cause::Loss => "its process was killed, or the machine went down.",
        Cause::Pause => {
            "the model, or something else that it needs, was not available for a while. If you were at work on this task, continue where you stopped."
        }
    });
    prompt.push_str(
        " What it did is still here. Look at it (`git status`, `git log`) before you continue, and do not do it \
         again. A command that was running then may have left its work half done.\n",
    );
    list(existing, &mut prompt);
    prompt
}

fn list(Existing { commits, changes }: &Existing, prompt: &mut String) {
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
}

/// Quotes the newest messages that fit, oldest first, and says how many are left out: all of them could fill the model's
/// context before it has read its task.
pub(crate) fn quote(earlier_messages: &[String], prompt: &mut String) {
    let (mut room, mut quotes) = (EARLIER_MAX, Vec::new());
    for message in earlier_messages.iter().rev() {
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
    prompt.push_str("\nIts tasks were, oldest first (quoted; the task above is the one that counts now):\n\n");
    match earlier_messages.len() - quotes.len() {
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
    use kugetsu_api::run_spec::{
        AgentSpec, CloneSource, Limits, NetworkSpec, Permissions, ResourceLimits, SandboxChoice, Uncommitted, Work,
    };

    use super::*;

    fn spec() -> (RunSpec, IssueSpec) {
        let issue = IssueSpec {
            verify: vec![],
            tools: vec![],
            number: 12,
            first_attempt: true,
            lost_before: None,
            rescue_max_file: u64::MAX,
            source: CloneSource::Address(String::new()),
            access: None,
            mirror: String::new(),
            directory: String::new(),
            branch: "kugetsu/12-fix".to_owned(),
            base: None,
            base_branch: None,
            base_sha: None,
            pushed: None,
            uncommitted: Uncommitted::Block,
            allow_secrets: vec![],
        };
        let spec = RunSpec {
            withheld: vec![],
            run: String::new(),
            issue: String::new(),
            fence: 1,
            key: None,
            task: String::new(),
            reference: "github.com/acme/api#12".to_owned(),
            message: "fix the flaky test".to_owned(),
            attempt: 1,
            pauses: 0,
            agent: AgentSpec { name: "opencode".to_owned(), settings: None },
            model: None,
            earlier_messages: vec![],
            session: None,
            used_before: Default::default(),
            hand_over: false,
            resources: ResourceLimits::default(),
            limits: Limits { timeout_seconds: 1, silence_seconds: 1, max_repeats: 20 },
            permissions: Permissions::Allow,
            without_trailers: false,
            model_retries: 0,
            sandbox: SandboxChoice::Off,
            network: NetworkSpec::default(),
            sandbox_readable: vec![],
            sandbox_writable: vec![],
            work: Work::Issue(Box::new(issue.clone())),
        };
        (spec, issue)
    }

    #[test]
    fn the_first_prompt_begins_with_the_rules_and_ends_with_the_task() {
        let (spec, issue) = spec();
        let prompt = first_prompt(
            BASE_CONTEXT,
            &spec,
            &issue,
            Some("no docker"),
            &["a merge is open".to_owned()],
            Path::new("/w/x"),
            Some("main"),
        );
        assert!(prompt.contains("- sandbox: no docker\n"), "{prompt}");
        assert!(prompt.contains("- note: a merge is open\n"));
        assert!(prompt.starts_with("# How you work here"));
        assert!(prompt.contains("stop and report it") && prompt.contains("Do not pivot"));
        assert!(prompt.contains("- repository: github.com/acme/api\n") && prompt.contains("- directory: /w/x\n"));
        assert!(prompt.contains("credentials"));
        assert!(prompt.ends_with("# The task\n\nfix the flaky test"));
        assert!(!prompt.contains("commit messages:"));
        let spec = RunSpec { without_trailers: true, ..spec };
        let prompt = first_prompt(BASE_CONTEXT, &spec, &issue, None, &[], Path::new("/w/x"), None);
        assert!(prompt.contains("- commit messages: the user asks you not to name yourself"), "{prompt}");
    }

    fn existing(commits: &str, changes: &str) -> Existing {
        Existing { commits: commits.to_owned(), changes: changes.to_owned() }
    }

    #[test]
    fn prompt_after_a_lost_run_lists_what_exists() {
        let prompt = interrupted("fix it", Cause::Loss, &existing("2 on top of abc", "half.txt"));
        assert!(prompt.starts_with("fix it\n") && prompt.contains("its process was killed"));
        assert!(prompt.contains("    2 on top of abc\n") && prompt.contains("    half.txt\n"), "{prompt}");
    }

    #[test]
    fn prompt_after_a_pause_lets_the_agent_continue() {
        let prompt = interrupted("fix it", Cause::Pause, &existing("2 on top of abc", ""));
        assert!(prompt.starts_with("fix it\n") && prompt.contains("continue where you stopped"), "{prompt}");
        assert!(prompt.contains("    2 on top of abc\n") && !prompt.contains("killed"), "{prompt}");
    }

    #[test]
    fn the_next_prompt_is_the_message_unless_there_are_notes() {
        assert_eq!(next_prompt(&[], "continue"), "continue");
        let prompt = next_prompt(&["a rebase is unfinished".to_owned()], "continue");
        assert!(prompt.contains("- a rebase is unfinished\n"), "{prompt}");
        assert_eq!(task_part(&prompt), "continue");
    }

    #[test]
    fn a_hand_over_quotes_earlier_messages() {
        let prompt = hand_over("first", &["do a\nthen b".to_owned()], &existing("abc one", ""));
        assert!(prompt.contains("> do a\n> then b\n") && prompt.contains("    abc one"));
        assert!(!prompt.contains("Not committed"));
    }

    #[test]
    fn a_hand_over_is_bounded_and_keeps_the_newest_messages() {
        let mut messages: Vec<String> = (0..20).map(|n| format!("message {n}: {}", "x\n".repeat(9000))).collect();
        messages.push("the newest".to_owned());
        let prompt = hand_over("first", &messages, &existing("", &"changed.txt\n".repeat(100_000)));
        assert!(prompt.len() < 64 * 1024, "{}", prompt.len());
        assert!(prompt.contains("> the newest\n") && prompt.contains("> message 19: x\n"));
        assert!(!prompt.contains("> message 18"));
        assert!(prompt.contains("left out for their length: 19"), "{}", &prompt[..400]);
        assert!(prompt.contains("[the rest of this list is left out]"));

        let prompt = hand_over("first", &["ä".repeat(1 << 20)], &Existing::default());
        assert!(prompt.len() < 64 * 1024 && prompt.contains("> ää"), "{}", prompt.len());
        assert!(prompt.contains("the rest of this message is left out"));
        assert!(prompt.starts_with("first"));
    }
}
