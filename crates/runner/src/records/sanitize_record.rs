//! Makes a record fit for the file: free text is masked and shortened, facts stay as they are.
//!
//! The daemon and git act upon facts: a branch or a number with `***` in it would be another one. Free text is for people, and
//! may hold anything that an agent has seen.

use kugetsu_agent::{truncate, truncated_at};
use kugetsu_api::record::{Body, PlanStep};
use kugetsu_domain::redact::{MASK, Redactor};

/// Bytes of a prompt, of the agent's text and thoughts, and of a tool's input and output. With [`LINE_MAX`] it keeps every
/// record below [`RECORD_MAX`](kugetsu_api::record::RECORD_MAX), even if each byte takes six in JSON.
const TEXT_MAX: usize = 128 * 1024;
/// Bytes of a title, a name or a sentence of the runner.
const LINE_MAX: usize = 8 * 1024;
/// Bytes of a step of a plan, and steps of a plan.
const STEP_MAX: usize = 1024;
const STEPS_MAX: usize = 100;

/// The record without secrets and of bounded length. Every field of every record is named here, so that the compiler asks for
/// each new one which kind it is.
pub(crate) fn sanitize_record(body: Body, redactor: &Redactor) -> Body {
    let text = |text: String| truncate(masked(&text, redactor), TEXT_MAX);
    let line = |line: String| truncate(masked(&line, redactor), LINE_MAX);
    match body {
        Body::Run { run, task } => Body::Run { run, task },
        Body::Step { text } => Body::Step { text: line(text) },
        Body::Notice { text } => Body::Notice { text: line(text) },
        Body::Worktree { directory, branch, base_branch, base_sha } => {
            Body::Worktree { directory, branch, base_branch, base_sha }
        }
        Body::SessionLost { session } => Body::SessionLost { session },
        Body::Session { session, resumed, agent, model } => {
            Body::Session { session, resumed, agent: line(agent), model: model.map(line) }
        }
        Body::Prompt { text: prompt } => Body::Prompt { text: text(prompt) },
        Body::Text { text: words } => Body::Text { text: text(words) },
        Body::Thought { text: thought } => Body::Thought { text: text(thought) },
        // The agent chooses the identifier, so it may hold anything. Equal ones stay equal.
        Body::ToolStarted { id, title, input } => {
            Body::ToolStarted { id: line(id), title: line(title), input: text(input) }
        }
        Body::ToolEnded { id, ok, exit_code, output } => {
            Body::ToolEnded { id: line(id), ok, exit_code, output: text(output) }
        }
        Body::Plan { steps } => Body::Plan { steps: plan(steps, redactor) },
        Body::Permission { title, answer } => Body::Permission { title: line(title), answer: line(answer) },
        Body::Verified { command, head_sha, passed, output } => {
            Body::Verified { command: line(command), head_sha, passed, output: text(output) }
        }
        Body::Comment { number, question, text } => Body::Comment { number, question, text: line(text) },
        Body::Progress { usage } => Body::Progress { usage },
        Body::Usage { usage } => Body::Usage { usage },
        Body::Lost { reason } => Body::Lost { reason: line(reason) },
        Body::Ended { state, reason, hint, paused_until, head_sha, commits, pushed, usage } => {
            let (reason, hint) = (line(reason), hint.map(line));
            Body::Ended { state, reason, hint, paused_until, head_sha, commits, pushed, usage }
        }
    }
}

/// Whether an agent can cause any number of such records.
pub(crate) const fn is_chatter(body: &Body) -> bool {
    match body {
        Body::Notice { .. }
        | Body::Text { .. }
        | Body::Thought { .. }
        | Body::ToolStarted { .. }
        | Body::ToolEnded { .. }
        | Body::Plan { .. }
        | Body::Permission { .. }
        | Body::Usage { .. } => true,
        Body::Run { .. }
        | Body::Step { .. }
        | Body::Worktree { .. }
        | Body::SessionLost { .. }
        | Body::Session { .. }
        | Body::Progress { .. }
        | Body::Prompt { .. }
        | Body::Verified { .. }
        | Body::Comment { .. }
        | Body::Lost { .. }
        | Body::Ended { .. } => false,
    }
}

fn plan(mut steps: Vec<PlanStep>, redactor: &Redactor) -> Vec<PlanStep> {
    let more = steps.len().saturating_sub(STEPS_MAX);
    steps.truncate(STEPS_MAX);
    let mut sanitized: Vec<PlanStep> = steps
        .into_iter()
        .map(|PlanStep { text, state }| PlanStep { text: truncate(masked(&text, redactor), STEP_MAX), state })
        .collect();
    if more > 0 {
        sanitized.push(PlanStep { text: format!("[{more} more steps]"), state: "pending".to_owned() });
    }
    sanitized
}

/// The agent crate truncates long text before it arrives here, maybe in the middle of a secret. The beginning of a secret in
/// front of the cut is masked, too.
fn masked(text: &str, redactor: &Redactor) -> String {
    let Some(cut) = truncated_at(text) else { return redactor.mask(text) };
    let (before, note) = text.split_at(cut);
    match redactor.settled(before) {
        settled if settled < cut => format!("{}{MASK}{note}", redactor.mask(&before[..settled])),
        _ => redactor.mask(text),
    }
}

#[cfg(test)]
mod tests {
    use kugetsu_api::record::{RECORD_MAX, Record};
    use kugetsu_api::run::Usage;

    use super::*;

    fn ended(text: &str) -> Body {
        let usage = Usage { cost_usd: Some(128_000.0), input_tokens: Some(128_000), output_tokens: Some(1) };
        let head_sha = Some("postgres128000".to_owned());
        let (reason, hint) = (text.to_owned(), Some(text.to_owned()));
        let paused_until = Some(128_000);
        Body::Ended { state: "done".to_owned(), reason, hint, paused_until, head_sha, commits: 3, pushed: true, usage }
    }

    /// One record of each kind that has free text, with `text` in every such field.
    fn all(text: &str) -> Vec<Body> {
        let text = || text.to_owned();
        let step = || PlanStep { text: text(), state: "pending".to_owned() };
        vec![
            Body::Step { text: text() },
            Body::Notice { text: text() },
            Body::Session { session: "ses".to_owned(), resumed: true, agent: text(), model: Some(text()) },
            Body::Prompt { text: text() },
            Body::Text { text: text() },
            Body::Thought { text: text() },
            Body::ToolStarted { id: text(), title: text(), input: text() },
            Body::ToolEnded { id: text(), ok: true, exit_code: None, output: text() },
            Body::Plan { steps: (0..300).map(|_| step()).collect() },
            Body::Permission { title: text(), answer: text() },
            ended(&text()),
        ]
    }

    fn line(body: Body) -> String {
        serde_json::to_string(&Record { at: 1_280_000, body }).unwrap()
    }

    #[test]
    fn facts_stay_unchanged_even_if_they_contain_secrets() {
        let redactor = Redactor::new(["postgres", "128000", "canceled", "ses_postgres"]);
        let worktree = Body::Worktree {
            directory: "postgres-tools".to_owned(),
            branch: "kugetsu/1-upgrade-postgres".to_owned(),
            base_branch: Some("postgres".to_owned()),
            base_sha: Some("128000".to_owned()),
        };
        let lost = Body::SessionLost { session: "ses_postgres".to_owned() };
        for fact in [worktree, lost, ended("fine")] {
            assert_eq!(sanitize_record(fact.clone(), &redactor), fact);
        }
        let Body::Session { session, .. } = sanitize_record(
            Body::Session { session: "ses_postgres".to_owned(), resumed: true, agent: String::new(), model: None },
            &redactor,
        ) else {
            panic!("another kind of record")
        };
        assert_eq!(session, "ses_postgres");
    }

    #[test]
    fn free_text_is_masked_in_every_record() {
        let secret = "abc'def\"ghi";
        let redactor = Redactor::new([secret]);
        let input = serde_json::json!({"command": format!("echo {secret}"), "more": [secret]}).to_string();
        for text in [secret, &input] {
            for body in all(text) {
                let line = line(sanitize_record(body, &redactor));
                assert!(!line.contains("def") && line.contains(MASK), "{line}");
            }
        }
    }

    #[test]
    fn half_a_secret_in_front_of_a_cut_is_masked() {
        let redactor = Redactor::new(["topsecret-123456"]);
        let output = truncate("the token is topsecret-123456, keep it".to_owned(), 20);
        let Body::Text { text } = sanitize_record(Body::Text { text: output }, &redactor) else {
            panic!("another kind of record")
        };
        assert_eq!(text, "the token is ***\n[18 more bytes]");
    }

    #[test]
    fn no_record_exceeds_the_maximum_length() {
        let redactor = Redactor::new(Vec::<String>::new());
        for body in all(&"\u{1}".repeat(2 << 20)) {
            let length = line(sanitize_record(body, &redactor)).len();
            assert!(length < RECORD_MAX, "{length}");
        }
    }
}
