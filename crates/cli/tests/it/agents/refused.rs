//! With `agent.permissions = "refuse"`, an agent that asks changes nothing, and its run is `blocked`.

use kugetsu_agent::{Exception, Supported};
use kugetsu_testkit::{RealAgent, Step};

use super::stage::{Stage, with_each_agent};

fn changes_nothing_when_refused(agent: RealAgent) {
    let Some(stage) = Stage::new(agent) else { return };
    assert_eq!(stage.profile.permission_support().0, Supported::Yes);
    stage.world.run(["config", "set", "agent.permissions", "refuse"]);
    let say = || Step::Say("It did not work.".into());
    let command = stage.queue([Step::bash("echo ran > ran.txt"), say()]);
    let edit = stage.queue([Step::write("edited.txt", "edited\n"), say()]);
    let is_changed = |reference: &str, file: &str| stage.world.worktree(reference).join(file).exists();
    let is_refused = |reference: &str| {
        let run = stage.ended(reference);
        let reason = run["reason"].as_str().unwrap();
        assert!(run["state"] == "blocked" && reason.contains("was denied permission"), "{run}");
    };

    if stage.has(Exception::UnaskedCommands) {
        assert_eq!(stage.ended(&command)["state"], "blocked", "a file is not committed");
        assert!(is_changed(&command, "ran.txt"));
    } else if stage.has(Exception::OwnSandbox) {
        let run = stage.ended(&command);
        assert_eq!((&run["state"], &run["commits"]), (&"done".into(), &0.into()), "{run}");
        assert!(!is_changed(&command, "ran.txt"));
    } else {
        is_refused(&command);
        assert!(!is_changed(&command, "ran.txt"));
    }
    if stage.has(Exception::UnaskedEdits) {
        assert_eq!(stage.ended(&edit)["state"], "blocked", "a file is not committed");
        assert!(is_changed(&edit, "edited.txt"));
    } else {
        is_refused(&edit);
        assert!(!is_changed(&edit, "edited.txt"));
    }
}

with_each_agent! {
    changes_nothing_when_refused:
    needs_opencode_changes_nothing_when_refused OPENCODE,
    needs_claude_changes_nothing_when_refused CLAUDE,
    needs_codex_changes_nothing_when_refused CODEX,
    needs_gemini_changes_nothing_when_refused GEMINI,
    needs_copilot_changes_nothing_when_refused COPILOT,
    needs_goose_changes_nothing_when_refused GOOSE,
    needs_qwen_changes_nothing_when_refused QWEN,
    needs_kimi_changes_nothing_when_refused KIMI,
    needs_vibe_changes_nothing_when_refused VIBE,
}
