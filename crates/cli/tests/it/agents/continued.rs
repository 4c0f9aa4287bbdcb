//! An issue is continued in the same session, in another process of the agent. What both turns used is known, and the session
//! is deleted with the issue.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kugetsu_agent::{Exception, Supported};
use kugetsu_testkit::model::reply::{COMPLETION_TOKENS, PROMPT_TOKENS};
use kugetsu_testkit::model::server::{DOLLARS_PER_MILLION_COMPLETION_TOKENS, DOLLARS_PER_MILLION_PROMPT_TOKENS};
use kugetsu_testkit::{RealAgent, Step};
use serde_json::Value;

use super::stage::{Stage, message, with_each_agent, work};
use crate::world::{ended, shown};

fn continues_its_session(agent: RealAgent) {
    let Some(stage) = Stage::new(agent) else { return };
    let Stage { world, repository, model, .. } = &stage;
    // goose knows what its own models cost, but not what the scripted one does.
    let model_name = agent.other_model.filter(|_| agent.name == "goose").map(|(name, _)| ["--model", name]);
    let with_model =
        |args: &[&str]| world.try_in(repository.path(), args.iter().copied().chain(model_name.into_iter().flatten()));
    let (first, code) = ended(&with_model(&["start", ".", &message(work()), "--wait", "--json"]));
    assert_eq!((first["state"].as_str(), code), (Some("done"), 0), "{first}");
    let of_first = model.turn_requests().len();
    shows_its_use(&stage, &first, of_first);
    world.home.kill_processes();
    assert_eq!(stage.profile.resume_support().0, Supported::Yes);
    if stage.has(Exception::YoungSessions) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        std::thread::sleep(Duration::from_secs(60 - now.as_secs() % 60));
    }

    let commit = Step::bash("git add -A && git commit -qm 'add b'");
    let steps = [Step::write("b.txt", "two\n"), commit, Step::Say("Done again.".into())];
    let again = format!("once more, {}", message(steps));
    let (second, _) = ended(&with_model(&["continue", "local/demo#1", &again, "--wait", "--json"]));
    assert_eq!(second["state"], "done", "{second}");
    assert_eq!((&second["session_id"], &second["worktree"]), (&first["session_id"], &first["worktree"]));
    assert_eq!(repository.show_text(second["branch"].as_str().unwrap(), "b.txt"), "two\n");
    let prompts = model.turn_requests().pop().unwrap().texts("user").join("\n");
    assert_eq!(prompts.matches("do the job").count(), 2, "the model sees both messages: {prompts}");
    shows_its_use(&stage, &second, model.turn_requests().len() - of_first);
    deletes_its_session(&stage, second["session_id"].as_str().unwrap());
}

/// Compares the use of a run with what the model has served.
fn shows_its_use(stage: &Stage, run: &Value, answers: usize) {
    let answers = u64::try_from(answers).unwrap();
    let usage = &run["usage"];
    let tokens = (usage["input_tokens"].as_u64(), usage["output_tokens"].as_u64());
    let served = (Some(PROMPT_TOKENS * answers), Some(COMPLETION_TOKENS * answers));
    let support = stage.profile.token_support().0;
    assert_eq!(support == Supported::Partly, stage.has(Exception::TokensOfTools));
    assert_eq!(tokens, if support == Supported::Yes { served } else { (None, None) }, "{run}");

    let cost = usage["cost_usd"].as_f64();
    if stage.profile.cost_support().0 == Supported::Yes {
        assert!(cost.is_some_and(|cost| cost > 0.0), "{run}");
        if ["opencode", "vibe"].contains(&stage.profile.name()) {
            let (input, output) = (DOLLARS_PER_MILLION_PROMPT_TOKENS, DOLLARS_PER_MILLION_COMPLETION_TOKENS);
            let millionths = input * 100.0 + output * 20.0;
            #[expect(clippy::cast_precision_loss, reason = "a few requests")]
            let expected = millionths * answers as f64 / 1e6;
            assert!(cost.is_some_and(|cost| (cost - expected).abs() < 1e-9), "{expected}: {run}");
        }
    } else {
        assert_eq!(cost, None, "{run}");
    }
    let records = stage.world.records("local/demo#1", "ended");
    let record =
        records.iter().find(|record| record["run"] == run["run"]).unwrap_or_else(|| &records[records.len() - 1]);
    assert_eq!(&record["usage"], usage, "{record}");
}

fn deletes_its_session(stage: &Stage, session: &str) {
    let user = stage.world.home.user();
    let kept = || traces(&user, session);
    assert!(!kept().is_empty(), "the test finds no session {session}");
    let output = stage.world.attempt(["destroy", "local/demo#1", "-y"]);
    let text = shown(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    if stage.profile.deletion_support().0 == Supported::Yes {
        assert!(!text.contains("was not deleted"), "{text}");
        assert_eq!(kept(), Vec::<PathBuf>::new());
    } else {
        assert!(text.contains(session) && text.contains("cannot delete sessions"), "{text}");
        assert!(!kept().is_empty());
    }
}

/// Files and directories of an agent that are named after a session, empty ones apart, and databases with a row of it.
fn traces(directory: &Path, session: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        // claude leaves an empty directory of variables, and kimi empty notes that its index has to be renewed.
        let is_empty = match fs::read_dir(&path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(_) => fs::metadata(&path).is_ok_and(|metadata| metadata.len() == 0),
        };
        // gemini names files after the first group of an id.
        let first = session.split_once('-').map_or(session, |(first, _)| first);
        if is_named_after(&entry.file_name().to_string_lossy(), first) && !is_empty {
            found.push(path);
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(traces(&path, session));
        } else if fs::read(&path).is_ok_and(|content| content.starts_with(b"SQLite format 3")) {
            let rows = rows_with(&path, session);
            found.extend(
                rows.unwrap_or_else(|error| panic!("{}: {error}", path.display())).map(|table| path.join(table)),
            );
        }
    }
    found
}

/// Whether a name contains an ID as a whole: the IDs of goose begin like the dates in other names.
fn is_named_after(name: &str, id: &str) -> bool {
    name.match_indices(id).any(|(at, _)| !name[at + id.len()..].starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// Returns a table with a row in which a value is the session's id.
fn rows_with(database: &Path, session: &str) -> rusqlite::Result<Option<String>> {
    let database = rusqlite::Connection::open(database)?;
    let mut tables =
        database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")?;
    let tables: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for table in tables {
        let mut all = database.prepare(&format!("SELECT * FROM \"{table}\""))?;
        let columns = all.column_count();
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            let is_session = |column: usize| row.get_ref(column).is_ok_and(|value| value.as_str() == Ok(session));
            if (0..columns).any(is_session) {
                return Ok(Some(table));
            }
        }
    }
    Ok(None)
}

with_each_agent! {
    continues_its_session:
    needs_opencode_continues_its_session OPENCODE,
    needs_claude_continues_its_session CLAUDE,
    needs_codex_continues_its_session CODEX,
    needs_gemini_continues_its_session GEMINI,
    needs_copilot_continues_its_session COPILOT,
    needs_goose_continues_its_session GOOSE,
    needs_qwen_continues_its_session QWEN,
    needs_kimi_continues_its_session KIMI,
    needs_vibe_continues_its_session VIBE,
}
