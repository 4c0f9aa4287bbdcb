//! Failures of the model: those that pass end with the work done, the others with their reason.

use kugetsu_agent::Exception;
use kugetsu_testkit::model::script::{Cut, FOREVER, Status};
use kugetsu_testkit::{RealAgent, Script, Step};

use super::stage::{Stage, with_each_agent, work};

/// The failure, and then the work.
fn before_work(failure: Step) -> Vec<Step> {
    [failure].into_iter().chain(done()).collect()
}

fn done() -> impl Iterator<Item = Step> {
    work().into_iter().chain([Step::Say("All done.".into())])
}

fn half(disconnect: bool) -> Step {
    Step::Cut(Cut { text: "Half a sentence".into(), times: 1, disconnect })
}

/// A failure at which the agent soon gives up alone, so that kugetsu tries again. The others do that for a minute and more.
fn given_up(agent: RealAgent) -> Option<Step> {
    match agent.name {
        "claude" => Some(Step::status(500, 3)),
        "codex" => Some(Step::status(429, 1)),
        "gemini" => Some(half(true)),
        "copilot" => Some(Step::status(500, 6)),
        "goose" => Some(Step::status(429, 4)),
        _ => None,
    }
}

fn works_after_failures_that_pass(agent: RealAgent) {
    let Some(stage) = Stage::new(agent) else { return };
    // For messages of the agent, or of kugetsu, that ask the model to continue.
    stage.model.set_script(Script::new(done()));
    let soon = Step::Status(Status { code: 429, times: 1, retry_after: Some(2) });
    let later = [Step::bash("pwd")].into_iter().chain(before_work(half(false))).collect();
    let failures = [
        ("429", before_work(Step::status(429, 1))),
        ("429 with Retry-After", before_work(soon)),
        ("500", before_work(Step::status(500, 1))),
        ("cut", before_work(half(false))),
        ("cut after a tool call", later),
    ];
    let queued: Vec<_> = failures.into_iter().map(|(name, steps)| (name, stage.queue(steps))).collect();
    let given_up = given_up(agent).map(|failure| stage.queue(before_work(failure)));
    for (name, reference) in queued {
        let run = stage.ended(&reference);
        assert_eq!((&run["state"], &run["commits"]), (&"done".into(), &1.into()), "{name}: {run}");
    }
    if let Some(reference) = given_up {
        let run = stage.ended(&reference);
        assert_eq!((&run["state"], &run["commits"]), (&"done".into(), &1.into()), "{run}");
        let notices = stage.world.records(&reference, "notice");
        let is_retry = |notice: &serde_json::Value| notice.to_string().contains("setting run.model_retries");
        assert!(notices.iter().any(is_retry), "{notices:?}");
    }
}

fn fails_with_the_reason(agent: RealAgent) {
    let Some(stage) = Stage::new(agent) else { return };
    // For messages of the agent, or of kugetsu, that ask the model to continue.
    stage.model.set_script(Script::new(done()));
    let refused = stage.queue(before_work(Step::status(400, FOREVER)));
    let logged_out = stage.queue(before_work(Step::status(401, FOREVER)));
    let full = stage.queue(before_work(Step::Full("As much as fits into".into())));
    let filtered = stage.queue(before_work(Step::Filtered("That is against the".into())));

    let run = stage.ended(&refused);
    assert_eq!(run["state"], "failed", "{run}");
    assert!(run["reason"].as_str().unwrap().contains("scripted status 400"), "{run}");

    let run = stage.ended(&logged_out);
    assert_eq!(run["state"], "blocked", "{run}");
    let login = stage.profile.how_to_log_in();
    assert!(run["hint"].as_str().unwrap().contains(&login), "{run}");

    for (exception, reference, reason) in [
        (Exception::FullAnswers, full, "reached its maximum length"),
        (Exception::FilteredAnswers, filtered, "refused to continue"),
    ] {
        let run = stage.ended(&reference);
        let found = (run["state"].as_str().unwrap(), run["commits"].as_u64().unwrap());
        if stage.has(exception) {
            assert_eq!(found, ("done", 0), "{exception:?}: {run}");
        } else if found != ("done", 1) {
            // Some agents let the model continue, and the work is done.
            assert_eq!(found, ("failed", 0), "{exception:?}: {run}");
            assert!(run["reason"].as_str().unwrap().contains(reason), "{run}");
        }
    }
}

with_each_agent! {
    works_after_failures_that_pass:
    needs_opencode_works_after_failures_that_pass OPENCODE,
    needs_claude_works_after_failures_that_pass CLAUDE,
    needs_codex_works_after_failures_that_pass CODEX,
    needs_gemini_works_after_failures_that_pass GEMINI,
    needs_copilot_works_after_failures_that_pass COPILOT,
    needs_goose_works_after_failures_that_pass GOOSE,
    needs_qwen_works_after_failures_that_pass QWEN,
    needs_kimi_works_after_failures_that_pass KIMI,
    needs_vibe_works_after_failures_that_pass VIBE,
}

with_each_agent! {
    fails_with_the_reason:
    needs_opencode_fails_with_the_reason OPENCODE,
    needs_claude_fails_with_the_reason CLAUDE,
    needs_codex_fails_with_the_reason CODEX,
    needs_gemini_fails_with_the_reason GEMINI,
    needs_copilot_fails_with_the_reason COPILOT,
    needs_goose_fails_with_the_reason GOOSE,
    needs_qwen_fails_with_the_reason QWEN,
    needs_kimi_fails_with_the_reason KIMI,
    needs_vibe_fails_with_the_reason VIBE,
}
