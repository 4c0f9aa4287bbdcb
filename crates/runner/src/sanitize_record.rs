//! What of a record is kept: free text masked and shortened, facts as they are.
//!
//! A fact is acted upon, by this program or by git: a branch or a number with `***` in it would be another one. Free text
//! is for people, and may hold anything that an agent has seen.

use kugetsu_agent::{truncate, truncated_at};
use kugetsu_api::record::{Body, PlanStep};
use kugetsu_domain::redact::{MASK, Redactor};

/// Most bytes of what is asked, said, thought, given to a tool or answered by it. With [`LINE_MAX`] it keeps every record
/// below [`RECORD_MAX`](kugetsu_api::record::RECORD_MAX), even if each byte takes six in JSON.
const TEXT_MAX: usize = 128 * 1024;
/// Most bytes of a title, a name or a sentence of the runner's own.
const LINE_MAX: usize = 8 * 1024;
/// Most bytes of one step of a plan, and most steps.
const STEP_MAX: usize = 1024;
const STEPS_MAX: usize = 100;

/// The record without secrets and without excess. Every field of every record is named here, so that a new one cannot come
/// in without the question of which sort it is.
pub(crate) fn sanitize_record(body: Body, redactor: &Redactor) -> Body {
    let text = |text: String| truncate(masked(&text, redactor), TEXT_MAX);
    let line = |line: String| truncate(masked(&line, redactor), LINE_MAX);
    match body {
        Body::Step { text } => Body::Step { text: line(text) },
        Body::Notice { text } => Body::Notice { text: line(text) },
        Body::Worktree { directory, branch, base_branch, base_sha } => {
            Body::Worktree { directory, branch, base_branch, base_sha }
        }
        Body::SessionLost { session } => Body::SessionLost { session },
        Body::Session { session, resumed, agent, model } => {
            Body::Session { session, resumed, agent: line(agent), model: model.map(line) }
        }
        Body::Prompt { text: asked } => Body::Prompt { text: text(asked) },
        Body::Text { text: said } => Body::Text { text: text(said) },
        Body::Thought { text: thought } => Body::Thought { text: text(thought) },
        // The agent chooses the identifier, and it may hold anything; what was equal stays equal.
        Body::ToolStarted { id, title, input } => {
            Body::ToolStarted { id: line(id), title: line(title), input: text(input) }
        }
        Body::ToolEnded { id, ok, output } => Body::ToolEnded { id: line(id), ok, output: text(output) },
        Body::Plan { steps } => Body::Plan { steps: plan(steps, redactor) },
        Body::Permission { title, answer } => Body::Permission { title: line(title), answer: line(answer) },
        Body::Usage { usage } => Body::Usage { usage },
        Body::Ended { state, reason, head_sha, commits, pushed, usage } => {
            Body::Ended { state, reason: line(reason), head_sha, commits, pushed, usage }
        }
    }
}

/// Whether an agent can make any amount of such records.
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
        Body::Step { .. }
        | Body::Worktree { .. }
        | Body::SessionLost { .. }
        | Body::Session { .. }
        | Body::Prompt { .. }
        | Body::Ended { .. } => false,
    }
}

fn plan(mut steps: Vec<PlanStep>, redactor: &Redactor) -> Vec<PlanStep> {
    let more = steps.len().saturating_sub(STEPS_MAX);
    steps.truncate(STEPS_MAX);
    let mut kept: Vec<PlanStep> = steps
        .into_iter()
        .map(|PlanStep { text, state }| PlanStep { text: truncate(masked(&text, redactor), STEP_MAX), state })
        .collect();
    if more > 0 {
        kept.push(PlanStep { text: format!("[{more} more steps]"), state: "pending".to_owned() });
    }
    kept
}

/// Where the text was cut on its way here, a secret may be cut with it: its beginning goes too.
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

    fn ended(reason: &str) -> Body {
        let usage = Usage { cost_usd: 128_000.0, input_tokens: 128_000, output_tokens: 1 };
        let head_sha = Some("postgres128000".to_owned());
        Body::Ended { state: "done".to_owned(), reason: reason.to_owned(), head_sha, commits: 3, pushed: true, usage }
    }

    /// One record of each sort that has free text, with this text wherever it can stand.
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
            Body::ToolEnded { id: text(), ok: true, output: text() },
            Body::Plan { steps: (0..300).map(|_| step()).collect() },
            Body::Permission { title: text(), answer: text() },
            ended(&text()),
        ]
    }

    fn line(body: Body) -> String {
        serde_json::to_string(&Record { at: 1_280_000, body }).unwrap()
    }

    #[test]
    fn facts_stay_as_they_are_whatever_secrets_there_are() {
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
            panic!("another record")
        };
        assert_eq!(session, "ses_postgres");
    }

    #[test]
    fn free_text_is_masked_wherever_it_stands() {
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
            panic!("another record")
        };
        assert_eq!(text, "the token is ***\n[18 more bytes]");
    }

    #[test]
    fn no_record_is_longer_than_a_report_can_be() {
        let redactor = Redactor::new(Vec::<String>::new());
        for body in all(&"\u{1}".repeat(2 << 20)) {
            let length = line(sanitize_record(body, &redactor)).len();
            assert!(length < RECORD_MAX, "{length}");
        }
    }
}
