//! A task can name another model, and an unknown one is refused with those that there are.

use kugetsu_testkit::{RealAgent, Step};

use super::stage::{Stage, message, with_each_agent};
use crate::world::{ended, shown};

fn uses_the_chosen_model(agent: RealAgent) {
    let Some(stage) = Stage::new(agent) else { return };
    let Stage { world, repository, model, .. } = &stage;
    let start = |name: &str| {
        let message = message([Step::Say("All done.".into())]);
        world.try_in(repository.path(), ["start", ".", &message, "--model", name, "--wait", "--json"])
    };
    let Some((name, requested)) = agent.other_model else {
        let (run, _) = ended(&start("no-such-model"));
        assert_eq!(run["state"], "failed", "{run}");
        assert!(run["reason"].as_str().unwrap().contains("choosing a model"), "{run}");
        return;
    };
    let (run, code) = ended(&start(name));
    assert_eq!((run["state"].as_str(), code), (Some("done"), 0), "{run}");
    // Not every model of codex gets tools, without which a request looks like one beside a turn.
    let models: Vec<String> = model.requests().into_iter().map(|request| request.model).collect();
    assert!(models.iter().any(|model| model == requested), "{models:?}");

    let output = start("no-such-model");
    let text = shown(&output);
    // Agents that cannot list their models show in the run that there is no such model.
    assert!(matches!(output.status.code(), Some(1 | 2)), "{text}");
    assert!(text.contains("no model") && text.contains("no-such-model"), "{text}");
    // The list of goose is another one once it knows that of the provider.
    assert!(text.contains(name) || text.contains("use one of its models: "), "{text}");
    assert!(model.requests().iter().all(|request| request.model != "no-such-model"), "the model got the task");
}

with_each_agent! {
    uses_the_chosen_model:
    needs_opencode_uses_the_chosen_model OPENCODE,
    needs_claude_uses_the_chosen_model CLAUDE,
    needs_codex_uses_the_chosen_model CODEX,
    needs_gemini_uses_the_chosen_model GEMINI,
    needs_copilot_uses_the_chosen_model COPILOT,
    needs_goose_uses_the_chosen_model GOOSE,
    needs_qwen_uses_the_chosen_model QWEN,
    needs_kimi_uses_the_chosen_model KIMI,
    needs_vibe_uses_the_chosen_model VIBE,
}
