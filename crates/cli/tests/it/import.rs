//! `kugetsu init` in a home of the shell script: its work is imported, and nothing is lost.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kugetsu_testkit::{GitServer, Repository, scripted_agent};
use serde_json::{Value, json};

use crate::world::{World, ended, script, shown};

/// A machine on which the script was used.
struct Machine {
    world: World,
    server: Repository,
    project: PathBuf,
}

impl Machine {
    /// Its home is a copy of one in `tests/data/homes`.
    fn new(name: &str) -> Self {
        let machine = Self::empty();
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/homes").join(name);
        machine.copy(&data, &machine.world.home.kugetsu());
        machine
    }

    /// Its home contains only the settings.
    fn empty() -> Self {
        let mut world = World::bare();
        world.home.set("KUGETSU_RUN_SANDBOX", "off");
        let program = scripted_agent();
        let config = format!(
            "[agents.opencode]\nprogram = {program:?}\nargs = [\"acp\"]\ndelete = [\"session\", \"delete\", \"{{session}}\"]\n"
        );
        fs::write(world.home.kugetsu().join("config.toml"), config).unwrap();
        let work = world.repository("work");
        work.commit_files("second", &[("src/a.txt", "one\ntwo\n"), ("gone.txt", "x\n"), (".gitignore", "*.log\n")]);
        let server = Repository::bare_at(world.home.path().join("server.git"));
        work.git(["push", "-q", &server.url(), "main"]);
        let project = world.home.folder("project");
        let repos = json!({ "github.com/acme/api": server.path() }).to_string();
        fs::write(world.home.kugetsu().join("repos.json"), repos).unwrap();
        Self { world, server, project }
    }

    fn copy(&self, from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (source, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
            if source.is_dir() {
                self.copy(&source, &target);
                continue;
            }
            let mut text = fs::read_to_string(source).unwrap();
            for (name, value) in [
                ("@HOME@", self.world.home.kugetsu()),
                ("@USER@", self.world.home.user()),
                ("@PROJECT@", self.project.clone()),
                ("@SERVER@", self.server.path().to_owned()),
            ] {
                text = text.replace(name, value.to_str().unwrap());
            }
            fs::write(target, text).unwrap();
        }
    }

    fn kugetsu(&self, name: &str) -> PathBuf {
        self.world.home.kugetsu().join(name)
    }

    /// Writes a session file.
    fn write_session(&self, name: &str, fields: Value) {
        fs::create_dir_all(self.kugetsu("sessions")).unwrap();
        fs::write(self.kugetsu("sessions").join(name), fields.to_string()).unwrap();
    }

    /// A clone as the script created it.
    fn clone(&self, directory: &Path) -> Repository {
        fs::create_dir_all(directory.parent().unwrap()).unwrap();
        Repository::clone_at(&self.server.url(), directory, &[])
    }

    /// A clone with every kind of work: commits, staged, changed, deleted and new files, a stash, another branch.
    fn clone_with_work(&self, directory: &Path, branch: &str) -> Repository {
        let clone = self.clone(directory);
        clone.git(["switch", "-q", "-c", "other"]);
        clone.commit_files("elsewhere", &[("other.txt", "other\n")]);
        clone.git(["switch", "-q", "main"]);
        clone.git(["switch", "-q", "-c", branch]);
        clone.commit_files("work", &[("work.txt", "work\n")]);
        clone.write("stashed.txt", "stashed\n");
        clone.git(["stash", "push", "-q", "-u"]);
        clone.write("staged.txt", "staged\n");
        clone.write("src/a.txt", "one\nstaged\n");
        clone.git(["add", "staged.txt", "src/a.txt"]);
        clone.write("src/a.txt", "one\nstaged\nunstaged\n");
        clone.write("new dir/new.txt", "new\n");
        fs::remove_file(clone.path().join("gone.txt")).unwrap();
        clone.write("ignored.log", "log\n");
        clone
    }

    /// Creates a session of the agent in a directory.
    fn create_session(&self, id: &str, directory: &Path) {
        let store = self.world.home.user().join(".local/share/kugetsu-scripted-agent");
        fs::create_dir_all(&store).unwrap();
        let update = json!({"sessionUpdate": "user_message_chunk", "messageId": "m1", "content": {"type": "text", "text": "before"}});
        fs::write(store.join(format!("{id}.jsonl")), format!("{}\n{update}\n", json!({"id": id, "cwd": directory})))
            .unwrap();
    }

    /// Runs `init`, and returns its report.
    #[track_caller]
    fn init(&self) -> Value {
        self.world.json(["init", "--json"])
    }

    /// Continues an issue. A turn of opencode ends with text.
    #[track_caller]
    fn continue_issue(&self, reference: &str, steps: &[&str]) -> Value {
        let steps = [steps, &["say done"]].concat();
        let (run, code) = ended(&self.world.attempt(["continue", reference, &script(&steps), "--wait", "--json"]));
        assert_eq!(code, 0, "{run}");
        run
    }
}

/// Finds a row of the report.
#[track_caller]
fn row<'r>(report: &'r Value, what: &str) -> &'r Value {
    let rows = report["script"].as_array().unwrap();
    let row = rows.iter().find(|row| row["what"].as_str().unwrap().contains(what));
    row.unwrap_or_else(|| panic!("no row of {what}: {report:#}"))
}

#[track_caller]
fn assert_outcome(report: &Value, what: &str, outcome: &str) {
    let row = row(report, what);
    assert_eq!(row["outcome"], outcome, "{row:#}");
    if outcome != "taken" {
        assert!(row["why"].as_str().is_some_and(|why| !why.is_empty()), "{row:#}");
    }
}

fn status(repository: &Repository) -> String {
    repository.git(["status", "--porcelain=v1", "--untracked-files=all"])
}

/// All files below a directory with their contents.
fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                left.push(path);
            } else {
                files.push((path.strip_prefix(directory).unwrap().to_owned(), fs::read(&path).unwrap_or_default()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn init_imports_an_early_home_in_place_and_keeps_its_session() {
    let machine = Machine::new("first");
    let directory = machine.kugetsu("worktrees/github.com-acme-api-14");
    let clone = machine.clone_with_work(&directory, "fix/issue-14");
    machine.create_session("ses_2b4eb7afbffezJwifgucdIs14x", &directory);
    let main = machine.server.resolve("main");
    // For a while the script created bare clones.
    let bare = machine.kugetsu("worktrees/github.com-acme-api-15");
    Repository::clone_at(&machine.server.url(), &bare, &["--bare"]);
    let (before, head, staged) = (status(&clone), clone.head(), clone.git(["diff", "--cached"]));
    let stash = clone.git(["stash", "list", "--format=%H"]);

    let report = machine.init();
    assert_outcome(&report, "github.com/acme/api#14", "taken");
    assert_outcome(&report, "github.com/acme/api#15", "taken");
    for imported in ["config", "env/default.env", "repos.json"] {
        assert_outcome(&report, imported, "taken");
    }
    for left in ["base.json", "pm-agent.json"] {
        assert_outcome(&report, left, "left");
        assert!(row(&report, left)["next"].as_str().unwrap().contains("opencode session delete ses_"));
    }
    assert_outcome(&report, "queue.json item 1", "taken");
    assert_outcome(&report, "queue.json item 2", "set_aside");
    assert_outcome(&report, "queue.json item 3", "left");
    assert!(row(&report, "queue.json item 3")["next"].as_str().unwrap().contains("fix the login"));

    let imported = Repository::open(&directory);
    assert_eq!(status(&imported), before);
    assert_eq!((imported.head(), imported.git(["diff", "--cached"])), (head.clone(), staged));
    assert_eq!(imported.current_branch(), "fix/issue-14");
    assert_eq!(imported.git(["stash", "list", "--format=%H"]), stash);
    assert_eq!(imported.show_text("other", "other.txt"), "other\n");
    assert_eq!(fs::read_to_string(directory.join("ignored.log")).unwrap(), "log\n");
    assert_eq!(
        imported.git(["remote", "get-url", "origin"]),
        machine.kugetsu("gates/github.com-acme-api-14").display().to_string()
    );
    let filled = Repository::open(&bare);
    assert_eq!(status(&filled), "");
    assert_eq!(fs::read_to_string(bare.join("README.md")).unwrap(), "hello\n");
    assert_eq!(filled.current_branch(), "kugetsu/15");

    let backup = PathBuf::from(report["backup"].as_str().unwrap());
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o700);
    for kept in [
        "config",
        "repos.json",
        "index.json",
        "queue.json",
        "sessions/github.com-acme-api-14.json",
        "sessions/base.json",
        "git/github.com-acme-api-14/HEAD",
        "git/github.com-acme-api-15/HEAD",
    ] {
        assert!(backup.join(kept).is_file(), "{kept}");
    }
    assert!(!backup.join("env").exists(), "secrets are not copied");
    for gone in ["index.json", "queue.json", "sessions"] {
        assert!(!machine.kugetsu(gone).exists(), "{gone}");
    }

    let listed = machine.world.latest("github.com/acme/api#14");
    assert_eq!(listed["session_id"], "ses_2b4eb7afbffezJwifgucdIs14x");
    assert!(listed["hint"].as_str().unwrap().contains("kugetsu continue"), "{listed}");
    let run = machine.continue_issue("github.com/acme/api#14", &["history", "pwd", "commit all of it"]);
    assert_eq!(run["session_id"], "ses_2b4eb7afbffezJwifgucdIs14x");
    assert_eq!((run["pushed"].as_bool(), run["branch"].as_str()), (Some(true), Some("fix/issue-14")));
    assert!(machine.world.agent_text("github.com/acme/api#14").contains("1 earlier"));
    assert_eq!(machine.server.show_text("fix/issue-14", "new dir/new.txt"), "new\n");
    assert_eq!(machine.server.show_text("fix/issue-14", "work.txt"), "work\n");
    machine.continue_issue("github.com/acme/api#15", &["write b.txt b", "commit b"]);
    assert_eq!(machine.server.show_text("kugetsu/15", "b.txt"), "b\n");
    assert_eq!(machine.server.resolve("main"), main, "the default branch has not changed");
}

#[test]
fn second_init_changes_nothing() {
    let machine = Machine::new("first");
    machine.clone_with_work(&machine.kugetsu("worktrees/github.com-acme-api-14"), "fix/issue-14");
    machine.world.run(["init"]);
    let queued = machine.world.json(["queue", "list", "--all", "--json"]).as_array().unwrap().len();
    let without = |files: Vec<(PathBuf, Vec<u8>)>| -> Vec<(PathBuf, Vec<u8>)> {
        let changes = ["state", "logs", "runs", "pm", "daemon.lock", "agents"];
        files.into_iter().filter(|(path, _)| !changes.iter().any(|name| path.starts_with(name))).collect()
    };
    let before = without(files(&machine.world.home.kugetsu()));
    let again = machine.init();
    assert_eq!(again["backup"], Value::Null, "{again:#}");
    let after = without(files(&machine.world.home.kugetsu()));
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
    assert_eq!(before, after);
    assert_eq!(machine.world.json(["queue", "list", "--all", "--json"]).as_array().unwrap().len(), queued);
}

#[test]
fn worktree_outside_of_the_home_is_copied_and_gets_a_new_session() {
    let machine = Machine::new("hidden");
    let directory = machine.project.join(".kugetsu-worktrees/github.com-acme-api-14");
    let clone = machine.clone_with_work(&directory, "fix/issue-14");
    let (before, head, staged) = (status(&clone), clone.head(), clone.git(["diff", "--cached"]));
    let untouched = files(&directory);

    let report = machine.init();
    assert_outcome(&report, "github.com/acme/api#14", "taken");
    assert_eq!(files(&directory), untouched, "the old directory is not changed");
    let new = Repository::open(machine.kugetsu("worktrees/github.com-acme-api-14"));
    assert_eq!((status(&new), new.head(), new.git(["diff", "--cached"])), (before, head, staged));
    assert_eq!(new.current_branch(), "fix/issue-14");
    assert_eq!(new.git(["stash", "list"]).lines().count(), 1);
    assert_eq!(new.show_text("other", "other.txt"), "other\n");
    assert!(!new.path().join("ignored.log").exists());

    let run = machine.continue_issue("github.com/acme/api#14", &["history", "commit all of it"]);
    assert_ne!(run["session_id"], "ses_2b4eb7afbffezJwifgucdIs14y");
    let prompts = machine.world.records("github.com/acme/api#14", "prompt");
    assert!(prompts.iter().any(|prompt| prompt.to_string().contains("Continue the work on this issue")), "{prompts:?}");
    assert_eq!(machine.server.show_text("fix/issue-14", "src/a.txt"), "one\nstaged\nunstaged\n");
    assert!(machine.server.try_git(["show", "fix/issue-14:gone.txt"]).status.code() != Some(0));
}

#[test]
fn broken_files_of_a_late_home_do_not_stop_the_import() {
    let machine = Machine::new("latest");
    let directory = machine.world.home.user().join(".kugetsu-worktrees/github.com-acme-api-14");
    machine.clone_with_work(&directory, "fix/issue-14");
    fs::write(machine.kugetsu("sessions/broken.json"), "{\"issue_ref\": ").unwrap();
    let output = machine.world.attempt(["init"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    for line in ["imported   env/pm-agent.env: ", "left       ", "set aside  sessions/broken.json: "] {
        assert!(text.contains(&format!("\n{line}")), "{line}: {text}");
    }
    assert!(!text.contains("secret-value"), "{text}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("importing github.com/acme/api#14"), "{}", shown(&output));

    let listed = machine.world.latest("github.com/acme/api#14");
    assert_eq!(listed["pr_url"], "https://github.com/acme/api/pull/77");
    let queue = machine.world.json(["queue", "list", "--all", "--json"]);
    let messages: Vec<&str> = queue.as_array().unwrap().iter().filter_map(|task| task["message"].as_str()).collect();
    assert!(messages.contains(&"mend the parser"), "{messages:?}");
    let imported: Vec<_> = messages.iter().filter(|message| message.contains("look at the cache")).collect();
    assert_eq!(imported.len(), 1, "{messages:?}");
    assert!(imported[0].contains("github.com/acme/api#21"));
    for never in ["rename it", "went wrong"] {
        assert!(!messages.iter().any(|message| message.contains(never)), "{messages:?}");
    }
    let backup = fs::read_dir(machine.kugetsu("backup")).unwrap().next().unwrap().unwrap().path();
    for (path, case) in [
        (backup.join("queue/items/001.json"), "done"),
        (backup.join("broken/002.json"), "broken"),
        (machine.kugetsu("queue/items/003.json"), "left"),
        (backup.join("queue/items/004.json"), "finished"),
        (backup.join("broken/005.json"), "without a message"),
        (backup.join("broken/broken.json"), "a broken session"),
        (backup.join("queue/daemon.pid"), "of no process"),
    ] {
        assert!(path.is_file(), "{case}: {}\n{text}", path.display());
    }
    let again = machine.init();
    assert_outcome(&again, "queue/items/003.json", "left");
    assert_outcome(&again, ".kugetsu-worktrees/github.com-acme-api-14", "left");
    assert_eq!(again["backup"], Value::Null);
}

#[test]
fn damaged_worktrees_are_left_with_a_reason_and_a_hint() {
    let machine = Machine::empty();
    let trees = machine.kugetsu("worktrees");
    fs::create_dir_all(&trees).unwrap();
    let name = |number: u32| format!("github.com-acme-api-{number}");
    for number in 1..=6 {
        let fields = json!({
            "issue_ref": format!("github.com/acme/api#{number}"),
            "opencode_session_id": format!("ses_{number}"),
            "worktree_path": trees.join(name(number)),
            "branch_name": "fix/it",
        });
        machine.write_session(&format!("{}.json", name(number)), fields);
    }
    // 1 does not exist. 2 has no git directory, that of 3 is damaged and that of 4 is a link, 5 is a link itself, and 6 is a
    // linked worktree.
    fs::create_dir_all(trees.join(name(2))).unwrap();
    fs::write(trees.join(name(2)).join("work.txt"), "work").unwrap();
    let damaged = machine.clone_with_work(&trees.join(name(3)), "fix/it");
    fs::remove_dir_all(damaged.path().join(".git/objects")).unwrap();
    fs::create_dir_all(damaged.path().join(".git/objects")).unwrap();
    let elsewhere = machine.clone(&machine.world.home.path().join("elsewhere"));
    fs::create_dir_all(trees.join(name(4))).unwrap();
    symlink(elsewhere.path().join(".git"), trees.join(name(4)).join(".git")).unwrap();
    symlink(elsewhere.path(), trees.join(name(5))).unwrap();
    elsewhere.git(["worktree", "add", "-q", "-b", "linked", trees.join(name(6)).to_str().unwrap()]);
    let (before, outside) = (files(&trees), files(elsewhere.path()));

    let report = machine.init();
    for number in 1..=6 {
        let what = format!("api#{number} ");
        assert_outcome(&report, &what, "left");
        let next = row(&report, &what)["next"].as_str().unwrap().to_owned();
        assert!(next.contains("kugetsu start") && next.contains("--base fix/it"), "{next}");
        assert!(machine.kugetsu("sessions").join(format!("{}.json", name(number))).is_file());
    }
    assert_eq!((files(&trees), files(elsewhere.path())), (before, outside));
    assert_eq!(
        fs::read_dir(machine.kugetsu("gates"))
            .unwrap()
            .filter(|gate| { gate.as_ref().unwrap().path().extension().is_none() })
            .count(),
        0,
        "nothing is imported in part"
    );
    assert_eq!(machine.world.json(["list", "--json"]).as_array().unwrap().len(), 0);
    assert!(!machine.kugetsu("backup").exists(), "without an import there is no backup");
    let refused = machine.world.attempt(["start", "github.com/acme/api#2", "fix it"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("kugetsu init"), "{}", shown(&refused));
}

#[test]
fn hooks_filters_and_settings_of_a_worktree_have_no_effect() {
    let machine = Machine::empty();
    let directory = machine.kugetsu("worktrees/github.com-acme-api-7");
    let clone = machine.clone_with_work(&directory, "fix/it");
    let marker = machine.world.home.path().join("hacked");
    let bait = machine.world.home.path().join("bait");
    let hack = format!("touch {}", marker.display());
    clone.write(".gitattributes", "* filter=evil diff=evil\n");
    for (key, value) in [
        ("core.fsmonitor", hack.as_str()),
        ("core.sshCommand", &hack),
        ("core.pager", &hack),
        ("filter.evil.clean", &hack),
        ("filter.evil.smudge", &hack),
        ("diff.evil.textconv", &hack),
        ("core.hooksPath", ".git/hooks"),
        ("credential.helper", &format!("!{hack}")),
        ("uploadpack.packObjectsHook", &hack),
    ] {
        // Written without git, which would apply some of them.
        let mut config = fs::read_to_string(directory.join(".git/config")).unwrap();
        let (section, name) = key.rsplit_once('.').unwrap();
        let section = match section.split_once('.') {
            Some((section, sub)) => format!("{section} \"{sub}\""),
            None => section.to_owned(),
        };
        config.push_str(&format!("[{section}]\n\t{name} = \"{}\"\n", value.replace('\\', "\\\\").replace('"', "\\\"")));
        fs::write(directory.join(".git/config"), config).unwrap();
    }
    for hook in ["post-checkout", "pre-commit", "reference-transaction", "post-index-change", "fsmonitor-watchman"] {
        let path = directory.join(".git/hooks").join(hook);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{hack}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    // The hack works: git runs it in a copy of the directory.
    Command::new("cp").arg("-r").arg(&directory).arg(&bait).status().unwrap();
    Repository::open(&bait).try_git(["status"]);
    assert!(marker.exists());
    fs::remove_file(&marker).unwrap();
    let mut config = fs::read_to_string(directory.join(".git/config")).unwrap();
    config.push_str("[core]\n\tworktree = /\n");
    fs::write(directory.join(".git/config"), config).unwrap();
    let passwd = fs::read("/etc/passwd").unwrap();
    symlink("/etc/passwd", directory.join(".git/MERGE_MSG")).unwrap();
    symlink("/", directory.join(".git/rebase-merge")).unwrap();
    symlink("/", directory.join("root")).unwrap();
    fs::write(directory.join(".git/objects/info/alternates"), "/\n").unwrap();
    machine.write_session("a.json", json!({"issue_ref": "github.com/acme/api#7", "worktree_path": directory}));
    let report = machine.init();
    assert_outcome(&report, "api#7", "taken");
    assert!(!marker.exists(), "{report:#}");
    let config = fs::read_to_string(directory.join(".git/config")).unwrap();
    assert!(!config.contains("hacked") && !directory.join(".git/hooks/post-checkout").exists(), "{config}");
    assert!(directory.join(".git/MERGE_MSG").symlink_metadata().is_err());
    assert_eq!(fs::read("/etc/passwd").unwrap(), passwd);
    assert_eq!(fs::read_to_string(directory.join("new dir/new.txt")).unwrap(), "new\n");
    machine.continue_issue("github.com/acme/api#7", &["commit it"]);
    assert!(!marker.exists());
}

#[test]
fn paths_outside_of_the_home_are_not_followed() {
    let machine = Machine::empty();
    let secret = machine.world.repository("secret");
    let before = files(secret.path());
    let dotted = machine.kugetsu("worktrees").join("../../secret");
    for (file, reference, directory) in [
        ("a.json", "github.com/acme/api#1", json!("/")),
        ("b.json", "github.com/acme/api#2", json!(secret.path())),
        ("c.json", "github.com/acme/api#3", json!(dotted)),
        ("d.json", "github.com/acme/api#4", json!("../../secret")),
        ("e.json", "../../secret", json!(null)),
        ("f.json", "--upload-pack=x", json!(null)),
        ("g.json", "github.com/acme/api#99999999999999999999999", json!(null)),
        ("h.json", ".", json!(machine.kugetsu("worktrees/x"))),
        ("i.json", "local/secret#1", json!(machine.kugetsu("worktrees/x"))),
        ("j.json", "github.com/acme/api#5\u{1b}[2J", json!(machine.kugetsu("worktrees/x"))),
    ] {
        machine.write_session(
            file,
            json!({"issue_ref": reference, "worktree_path": directory, "opencode_session_id": "-rf"}),
        );
    }
    machine.clone(&machine.kugetsu("worktrees/x"));
    fs::write(machine.kugetsu("index.json"), json!({"../../secret/README.md": "github.com/acme/api#9"}).to_string())
        .unwrap();
    symlink(secret.path().join("README.md"), machine.kugetsu("sessions/link.json")).unwrap();
    let report = machine.init();
    assert!(
        report["script"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["what"] != "repos.json")
            .all(|row| row["outcome"] != "taken"),
        "{report:#}"
    );
    assert_eq!(files(secret.path()), before);
    assert_eq!(machine.world.json(["list", "--json"]).as_array().unwrap().len(), 0);
    assert!(machine.kugetsu("worktrees/x/README.md").is_file());
}

#[test]
fn session_with_a_running_agent_is_not_touched() {
    let machine = Machine::empty();
    let directory = machine.kugetsu("worktrees/github.com-acme-api-7");
    let clone = machine.clone_with_work(&directory, "fix/it");
    let mut agent = Command::new("sleep").arg("1000").current_dir(&directory).spawn().unwrap();
    machine.write_session(
        "a.json",
        json!({"issue_ref": "github.com/acme/api#7", "worktree_path": directory, "pid": agent.id()}),
    );
    let before = files(clone.path());
    let report = machine.init();
    assert_outcome(&report, "api#7", "left");
    assert!(row(&report, "api#7")["next"].as_str().unwrap().contains(&format!("kill {}", agent.id())), "{report:#}");
    assert_eq!(files(clone.path()), before);
    agent.kill().unwrap();
    agent.wait().unwrap();
    // No session file names this process.
    machine.write_session("a.json", json!({"issue_ref": "github.com/acme/api#7", "worktree_path": directory}));
    let mut agent =
        Command::new("sleep").arg0("opencode").arg("1000").current_dir(directory.join("src")).spawn().unwrap();
    assert_outcome(&machine.init(), "api#7", "left");
    assert_eq!(files(clone.path()), before);
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_outcome(&machine.init(), "api#7", "taken");
}

#[test]
fn import_works_without_the_server() {
    let machine = Machine::empty();
    let directory = machine.kugetsu("worktrees/github.com-acme-api-7");
    let clone = machine.clone_with_work(&directory, "fix/it");
    let before = (status(&clone), clone.head());
    let away = machine.world.home.path().join("away.git");
    fs::rename(machine.server.path(), &away).unwrap();
    machine.write_session("a.json", json!({"issue_ref": "github.com/acme/api#7", "worktree_path": directory}));
    let report = machine.init();
    assert_outcome(&report, "api#7", "taken");
    assert!(row(&report, "api#7")["why"].as_str().unwrap().contains("could not be reached"), "{report:#}");
    let imported = Repository::open(&directory);
    assert_eq!((status(&imported), imported.head()), before);
    assert!(imported.resolve("origin/main").is_some());
    fs::rename(&away, machine.server.path()).unwrap();
    let run = machine.continue_issue("github.com/acme/api#7", &["commit it"]);
    assert_eq!(run["pushed"], true, "{run}");
    assert_eq!(run["commits"], 2, "{run}");
}

#[test]
fn worktrees_of_one_repository_stay_separate() {
    let machine = Machine::empty();
    let directories = [1, 2].map(|number| machine.kugetsu(&format!("worktrees/github.com-acme-api-{number}")));
    for (directory, text) in directories.iter().zip(["one\n", "two\n"]) {
        machine.clone(directory).write("README.md", text);
    }
    // A session names the first; the second has the name of its issue. Another session names the first, too.
    machine.write_session("a.json", json!({"issue_ref": "github.com/acme/api#1", "worktree_path": directories[0]}));
    machine.write_session("b.json", json!({"issue_ref": "github.com/acme/api#3", "worktree_path": directories[0]}));
    let report = machine.init();
    for (number, (directory, text)) in (1..).zip(directories.iter().zip(["one\n", "two\n"])) {
        assert_outcome(&report, &format!("api#{number} "), "taken");
        let imported = Repository::open(directory);
        assert_eq!(status(&imported), " M README.md");
        assert_eq!(fs::read_to_string(directory.join("README.md")).unwrap(), text);
        assert_eq!(imported.current_branch(), format!("kugetsu/{number}"), "never the default branch");
    }
    assert_outcome(&report, "api#3 ", "left");
    let task = machine.world.latest("github.com/acme/api#2")["task"].as_str().unwrap().to_owned();
    machine.world.run(["queue", "retry", &task]);
    machine.world.await_state("github.com/acme/api#2", "done");
    assert!(machine.world.records("github.com/acme/api#1", "ended").is_empty());
    let refused = machine.world.attempt(["destroy", "github.com/acme/api#1"]);
    assert_ne!(refused.status.code(), Some(0), "{}", shown(&refused));
    assert_eq!(fs::read_to_string(directories[0].join("README.md")).unwrap(), "one\n");
}

#[test]
fn start_in_a_home_of_the_script_hints_at_init() {
    let machine = Machine::new("first");
    fs::remove_file(machine.kugetsu("config.toml")).unwrap();
    let repository = machine.world.repository("demo");
    let output = machine.world.try_in(repository.path(), ["start", ".", "fix it"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("kugetsu init"), "{}", shown(&output));
    assert!(machine.kugetsu("sessions/github.com-acme-api-14.json").is_file());
}

#[test]
fn queue_of_a_running_script_daemon_is_left() {
    let machine = Machine::new("latest");
    let mut daemon = Command::new("sleep").arg0("kugetsu queue-daemon").arg("1000").spawn().unwrap();
    fs::write(machine.kugetsu("queue/daemon.pid"), daemon.id().to_string()).unwrap();
    let before = files(&machine.kugetsu("queue"));
    let report = machine.init();
    let row = report["script"].as_array().unwrap().iter().find(|row| row["what"] == "queue").unwrap();
    assert_eq!(row["next"], format!("run `kill {}`, then `kugetsu init` again", daemon.id()));
    assert_eq!(files(&machine.kugetsu("queue")), before);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert_outcome(&machine.init(), "queue/items/001.json", "taken");
}

#[test]
fn import_sends_the_token_of_the_server() {
    const TOKEN: &str = "server-token-123456";
    let machine = Machine::empty();
    let server = GitServer::start(TOKEN);
    server.add_repository_from("acme/api", &Repository::with_commit());
    let config = machine.kugetsu("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\n[servers.test]\nurl = \"{}\"\nkind = \"gitea\"\n", server.base_url())).unwrap();
    fs::create_dir_all(machine.kugetsu("env")).unwrap();
    fs::write(machine.kugetsu("env/default.env"), format!("export GITEA_TOKEN={TOKEN}\n")).unwrap();
    let directory = machine.project.join(".kugetsu-worktrees/issue-5");
    fs::create_dir_all(directory.parent().unwrap()).unwrap();
    let clone = Repository::clone_at(&server.url_with_token("acme/api"), &directory, &[]);
    clone.git(["switch", "-q", "-c", "fix/it"]);
    clone.commit_files("pushed", &[("pushed.txt", "pushed\n")]);
    clone.git(["push", "-q", "origin", "fix/it"]);
    clone.write("more.txt", "more\n");
    let reference = format!("{}/acme/api#5", server.base_url().trim_start_matches("http://"));
    machine
        .write_session("five.json", json!({"issue_ref": reference, "worktree_path": directory, "session_id": "ses_5"}));
    let report = machine.init();
    assert_outcome(&report, &reference, "taken");
    assert!(!report.to_string().contains("could not be reached") && !report.to_string().contains(TOKEN), "{report:#}");
    let worktree = machine.world.worktree(&reference);
    let config = fs::read_to_string(worktree.join(".git/config")).unwrap();
    assert!(!config.contains(TOKEN), "the clone had it in its URL: {config}");
    let run = machine.continue_issue(&reference, &["commit the rest"]);
    assert_eq!((run["pushed"].as_bool(), run["commits"].as_u64()), (Some(true), Some(2)), "{run}");
    assert_eq!(server.repository("acme/api").show_text("fix/it", "more.txt"), "more\n");
}
