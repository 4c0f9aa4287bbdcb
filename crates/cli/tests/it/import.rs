//! What the shell script left in the home is taken over, and nothing of it is lost.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kugetsu_testkit::{GitServer, Repository, scripted_agent};
use serde_json::{Value, json};

use crate::world::{World, ended, script, shown};

/// A machine on which the script was used.
struct Old {
    world: World,
    server: Repository,
    project: PathBuf,
}

impl Old {
    /// With a home of this age.
    fn new(age: &str) -> Self {
        let old = Self::empty();
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/homes").join(age);
        old.copy(&data, &old.world.home.kugetsu());
        old
    }

    /// With a home in which only the settings are.
    fn empty() -> Self {
        let world = World::bare();
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
            for (name, place) in [
                ("@HOME@", self.world.home.kugetsu()),
                ("@USER@", self.world.home.user()),
                ("@PROJECT@", self.project.clone()),
                ("@SERVER@", self.server.path().to_owned()),
            ] {
                text = text.replace(name, place.to_str().unwrap());
            }
            fs::write(target, text).unwrap();
        }
    }

    fn kugetsu(&self, name: &str) -> PathBuf {
        self.world.home.kugetsu().join(name)
    }

    /// Writes a session file.
    fn session(&self, name: &str, fields: Value) {
        fs::create_dir_all(self.kugetsu("sessions")).unwrap();
        fs::write(self.kugetsu("sessions").join(name), fields.to_string()).unwrap();
    }

    /// A clone as the script made it.
    fn clone(&self, place: &Path) -> Repository {
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        Repository::clone_at(&self.server.url(), place, &[])
    }

    /// A clone with every kind of work in it: commits, staged, changed, deleted and new files, a stash, another branch.
    fn worked_in(&self, place: &Path, branch: &str) -> Repository {
        let clone = self.clone(place);
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

    /// A session of the agent's in a directory.
    fn agents_session(&self, id: &str, place: &Path) {
        let store = self.world.home.user().join(".local/share/kugetsu-scripted-agent");
        fs::create_dir_all(&store).unwrap();
        let said = json!({"sessionUpdate": "user_message_chunk", "messageId": "m1", "content": {"type": "text", "text": "before"}});
        fs::write(store.join(format!("{id}.jsonl")), format!("{}\n{said}\n", json!({"id": id, "cwd": place}))).unwrap();
    }

    /// `init`, with what became of each thing.
    #[track_caller]
    fn init(&self) -> Value {
        self.world.json(["init", "--json"])
    }

    #[track_caller]
    fn go_on(&self, reference: &str, steps: &[&str]) -> Value {
        let (run, code) = ended(&self.world.attempt(["continue", reference, &script(steps), "--wait", "--json"]));
        assert_eq!(code, 0, "{run}");
        run
    }
}

/// The row about a thing.
#[track_caller]
fn row<'r>(done: &'r Value, what: &str) -> &'r Value {
    let rows = done["script"].as_array().unwrap();
    let found = rows.iter().find(|row| row["what"].as_str().unwrap().contains(what));
    found.unwrap_or_else(|| panic!("nothing about {what}: {done:#}"))
}

#[track_caller]
fn assert_outcome(done: &Value, what: &str, outcome: &str) {
    let row = row(done, what);
    assert_eq!(row["outcome"], outcome, "{row:#}");
    if outcome != "taken" {
        assert!(row["why"].as_str().is_some_and(|why| !why.is_empty()), "{row:#}");
    }
}

fn status(place: &Repository) -> String {
    place.git(["status", "--porcelain=v1", "--untracked-files=all"])
}

/// Every file below, with its contents.
fn all(place: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut left = vec![place.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                left.push(path);
            } else {
                found.push((path.strip_prefix(place).unwrap().to_owned(), fs::read(&path).unwrap_or_default()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_home_of_the_first_age_is_taken_over_in_place_and_its_session_goes_on() {
    let old = Old::new("first");
    let place = old.kugetsu("worktrees/github.com-acme-api-14");
    let clone = old.worked_in(&place, "fix/issue-14");
    old.agents_session("ses_2b4eb7afbffezJwifgucdIs14x", &place);
    let main = old.server.resolve("main");
    // The other one is a bare clone, as the script made them for a while.
    let bare = old.kugetsu("worktrees/github.com-acme-api-15");
    Repository::clone_at(&old.server.url(), &bare, &["--bare"]);
    let (before, head, staged) = (status(&clone), clone.head(), clone.git(["diff", "--cached"]));
    let stash = clone.git(["stash", "list", "--format=%H"]);

    let done = old.init();
    assert_outcome(&done, "github.com/acme/api#14", "taken");
    assert_outcome(&done, "github.com/acme/api#15", "taken");
    for taken in ["config", "env/default.env", "repos.json"] {
        assert_outcome(&done, taken, "taken");
    }
    for left in ["base.json", "pm-agent.json"] {
        assert_outcome(&done, left, "left");
        assert!(row(&done, left)["next"].as_str().unwrap().contains("opencode session delete ses_"));
    }
    assert_outcome(&done, "queue.json item 1", "taken");
    assert_outcome(&done, "queue.json item 2", "set_aside");
    assert_outcome(&done, "queue.json item 3", "left");
    assert!(row(&done, "queue.json item 3")["next"].as_str().unwrap().contains("fix the login"));

    let taken = Repository::open(&place);
    assert_eq!(status(&taken), before);
    assert_eq!((taken.head(), taken.git(["diff", "--cached"])), (head.clone(), staged));
    assert_eq!(taken.current_branch(), "fix/issue-14");
    assert_eq!(taken.git(["stash", "list", "--format=%H"]), stash);
    assert_eq!(taken.show_text("other", "other.txt"), "other\n");
    assert_eq!(fs::read_to_string(place.join("ignored.log")).unwrap(), "log\n");
    assert_eq!(
        taken.git(["remote", "get-url", "origin"]),
        old.kugetsu("gates/github.com-acme-api-14").display().to_string()
    );
    let filled = Repository::open(&bare);
    assert_eq!(status(&filled), "");
    assert_eq!(fs::read_to_string(bare.join("README.md")).unwrap(), "hello\n");
    assert_eq!(filled.current_branch(), "kugetsu/15");

    let backup = PathBuf::from(done["backup"].as_str().unwrap());
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
        assert!(!old.kugetsu(gone).exists(), "{gone}");
    }

    let listed = old.world.latest("github.com/acme/api#14");
    assert_eq!(listed["session_id"], "ses_2b4eb7afbffezJwifgucdIs14x");
    assert!(listed["reason"].as_str().unwrap().contains("kugetsu continue"), "{listed}");
    let run = old.go_on("github.com/acme/api#14", &["history", "pwd", "commit all of it"]);
    assert_eq!(run["session_id"], "ses_2b4eb7afbffezJwifgucdIs14x");
    assert_eq!((run["pushed"].as_bool(), run["branch"].as_str()), (Some(true), Some("fix/issue-14")));
    assert!(old.world.agent_text("github.com/acme/api#14").contains("1 earlier"));
    assert_eq!(old.server.show_text("fix/issue-14", "new dir/new.txt"), "new\n");
    assert_eq!(old.server.show_text("fix/issue-14", "work.txt"), "work\n");
    old.go_on("github.com/acme/api#15", &["write b.txt b", "commit b"]);
    assert_eq!(old.server.show_text("kugetsu/15", "b.txt"), "b\n");
    assert_eq!(old.server.resolve("main"), main, "the default branch is where it was");
}

#[test]
fn twice_changes_nothing() {
    let old = Old::new("first");
    old.worked_in(&old.kugetsu("worktrees/github.com-acme-api-14"), "fix/issue-14");
    old.world.run(["init"]);
    let queued = old.world.json(["queue", "list", "--all", "--json"]).as_array().unwrap().len();
    let without = |files: Vec<(PathBuf, Vec<u8>)>| -> Vec<(PathBuf, Vec<u8>)> {
        let changes = ["state", "logs", "runs", "pm", "daemon.lock", "agents"];
        files.into_iter().filter(|(path, _)| !changes.iter().any(|name| path.starts_with(name))).collect()
    };
    let before = without(all(&old.world.home.kugetsu()));
    let again = old.init();
    assert_eq!(again["backup"], Value::Null, "{again:#}");
    let after = without(all(&old.world.home.kugetsu()));
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after));
    assert_eq!(before, after);
    assert_eq!(old.world.json(["queue", "list", "--all", "--json"]).as_array().unwrap().len(), queued);
}

#[test]
fn a_worktree_in_a_project_is_made_anew_and_begins_a_new_session_with_a_hand_over() {
    let old = Old::new("hidden");
    let place = old.project.join(".kugetsu-worktrees/github.com-acme-api-14");
    let clone = old.worked_in(&place, "fix/issue-14");
    let (before, head, staged) = (status(&clone), clone.head(), clone.git(["diff", "--cached"]));
    let untouched = all(&place);

    let done = old.init();
    assert_outcome(&done, "github.com/acme/api#14", "taken");
    assert_eq!(all(&place), untouched, "the old directory stays as it is");
    let new = Repository::open(old.kugetsu("worktrees/github.com-acme-api-14"));
    assert_eq!((status(&new), new.head(), new.git(["diff", "--cached"])), (before, head, staged));
    assert_eq!(new.current_branch(), "fix/issue-14");
    assert_eq!(new.git(["stash", "list"]).lines().count(), 1);
    assert_eq!(new.show_text("other", "other.txt"), "other\n");
    assert!(!new.path().join("ignored.log").exists());

    let run = old.go_on("github.com/acme/api#14", &["history", "commit all of it"]);
    assert_ne!(run["session_id"], "ses_2b4eb7afbffezJwifgucdIs14y");
    let prompts = old.world.records("github.com/acme/api#14", "prompt");
    assert!(prompts.iter().any(|prompt| prompt.to_string().contains("Go on with the work")), "{prompts:?}");
    assert_eq!(old.server.show_text("fix/issue-14", "src/a.txt"), "one\nstaged\nunstaged\n");
    assert!(old.server.try_git(["show", "fix/issue-14:gone.txt"]).status.code() != Some(0));
}

#[test]
fn the_latest_age_and_a_broken_item_does_not_stop_the_rest() {
    let old = Old::new("latest");
    let place = old.world.home.user().join(".kugetsu-worktrees/github.com-acme-api-14");
    old.worked_in(&place, "fix/issue-14");
    fs::write(old.kugetsu("sessions/broken.json"), "{\"issue_ref\": ").unwrap();
    let output = old.world.attempt(["init"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    for line in ["taken      env/pm-agent.env: ", "left       ", "set aside  sessions/broken.json: "] {
        assert!(text.contains(&format!("\n{line}")), "{line}: {text}");
    }
    assert!(!text.contains("secret-value"), "{text}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("taking over github.com/acme/api#14"),
        "{}",
        shown(&output)
    );

    let listed = old.world.latest("github.com/acme/api#14");
    assert_eq!(listed["pr_url"], "https://github.com/acme/api/pull/77");
    let queue = old.world.json(["queue", "list", "--all", "--json"]);
    let messages: Vec<&str> = queue.as_array().unwrap().iter().filter_map(|task| task["message"].as_str()).collect();
    assert!(messages.contains(&"mend the parser"), "{messages:?}");
    let told: Vec<_> = messages.iter().filter(|message| message.contains("look at the cache")).collect();
    assert_eq!(told.len(), 1, "{messages:?}");
    assert!(told[0].contains("github.com/acme/api#21"));
    for never in ["rename it", "went wrong"] {
        assert!(!messages.iter().any(|message| message.contains(never)), "{messages:?}");
    }
    let backup = fs::read_dir(old.kugetsu("backup")).unwrap().next().unwrap().unwrap().path();
    for (there, name) in [
        (backup.join("queue/items/001.json"), "done"),
        (backup.join("broken/002.json"), "broken"),
        (old.kugetsu("queue/items/003.json"), "left by name"),
        (backup.join("queue/items/004.json"), "over"),
        (backup.join("broken/005.json"), "without a message"),
        (backup.join("broken/broken.json"), "a broken session"),
        (backup.join("queue/daemon.pid"), "nobody's"),
    ] {
        assert!(there.is_file(), "{name}: {}\n{text}", there.display());
    }
    let again = old.init();
    assert_outcome(&again, "queue/items/003.json", "left");
    assert_outcome(&again, ".kugetsu-worktrees/github.com-acme-api-14", "left");
    assert_eq!(again["backup"], Value::Null);
}

#[test]
fn what_cannot_be_taken_over_is_left_with_the_reason_and_what_to_type() {
    let old = Old::empty();
    let trees = old.kugetsu("worktrees");
    fs::create_dir_all(&trees).unwrap();
    let name = |number: u32| format!("github.com-acme-api-{number}");
    for number in 1..=6 {
        let fields = json!({
            "issue_ref": format!("github.com/acme/api#{number}"),
            "opencode_session_id": format!("ses_{number}"),
            "worktree_path": trees.join(name(number)),
            "branch_name": "fix/it",
        });
        old.session(&format!("{}.json", name(number)), fields);
    }
    // 1 is gone. 2 has lost its git directory, 3's is damaged, 4's is a link, 5 is a link itself, 6 is a linked worktree.
    fs::create_dir_all(trees.join(name(2))).unwrap();
    fs::write(trees.join(name(2)).join("work.txt"), "work").unwrap();
    let damaged = old.worked_in(&trees.join(name(3)), "fix/it");
    fs::remove_dir_all(damaged.path().join(".git/objects")).unwrap();
    fs::create_dir_all(damaged.path().join(".git/objects")).unwrap();
    let elsewhere = old.clone(&old.world.home.path().join("elsewhere"));
    fs::create_dir_all(trees.join(name(4))).unwrap();
    symlink(elsewhere.path().join(".git"), trees.join(name(4)).join(".git")).unwrap();
    symlink(elsewhere.path(), trees.join(name(5))).unwrap();
    elsewhere.git(["worktree", "add", "-q", "-b", "linked", trees.join(name(6)).to_str().unwrap()]);
    let (before, outside) = (all(&trees), all(elsewhere.path()));

    let done = old.init();
    for number in 1..=6 {
        let what = format!("api#{number} ");
        assert_outcome(&done, &what, "left");
        let next = row(&done, &what)["next"].as_str().unwrap().to_owned();
        assert!(next.contains("kugetsu start") && next.contains("--base fix/it"), "{next}");
        assert!(old.kugetsu("sessions").join(format!("{}.json", name(number))).is_file());
    }
    assert_eq!((all(&trees), all(elsewhere.path())), (before, outside));
    assert_eq!(
        fs::read_dir(old.kugetsu("gates"))
            .unwrap()
            .filter(|gate| { gate.as_ref().unwrap().path().extension().is_none() })
            .count(),
        0,
        "nothing is half taken"
    );
    assert_eq!(old.world.json(["list", "--json"]).as_array().unwrap().len(), 0);
    assert!(!old.kugetsu("backup").exists(), "nothing is kept where nothing was taken");
    let refused = old.world.attempt(["start", "github.com/acme/api#2", "fix it"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("kugetsu init"), "{}", shown(&refused));
}

#[test]
fn no_hook_filter_or_setting_of_a_hostile_worktree_takes_effect() {
    let old = Old::empty();
    let place = old.kugetsu("worktrees/github.com-acme-api-7");
    let clone = old.worked_in(&place, "fix/it");
    let mark = old.world.home.path().join("hacked");
    let bait = old.world.home.path().join("bait");
    let hack = format!("touch {}", mark.display());
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
        // By hand: git itself would obey some of them.
        let mut config = fs::read_to_string(place.join(".git/config")).unwrap();
        let (section, name) = key.rsplit_once('.').unwrap();
        let section = match section.split_once('.') {
            Some((section, sub)) => format!("{section} \"{sub}\""),
            None => section.to_owned(),
        };
        config.push_str(&format!("[{section}]\n\t{name} = \"{}\"\n", value.replace('\\', "\\\\").replace('"', "\\\"")));
        fs::write(place.join(".git/config"), config).unwrap();
    }
    for hook in ["post-checkout", "pre-commit", "reference-transaction", "post-index-change", "fsmonitor-watchman"] {
        let path = place.join(".git/hooks").join(hook);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{hack}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    // It would work: whoever runs git in such a directory has lost.
    Command::new("cp").arg("-r").arg(&place).arg(&bait).status().unwrap();
    Repository::open(&bait).try_git(["status"]);
    assert!(mark.exists());
    fs::remove_file(&mark).unwrap();
    let mut config = fs::read_to_string(place.join(".git/config")).unwrap();
    config.push_str("[core]\n\tworktree = /\n");
    fs::write(place.join(".git/config"), config).unwrap();
    let passwd = fs::read("/etc/passwd").unwrap();
    symlink("/etc/passwd", place.join(".git/MERGE_MSG")).unwrap();
    symlink("/", place.join(".git/rebase-merge")).unwrap();
    symlink("/", place.join("root")).unwrap();
    fs::write(place.join(".git/objects/info/alternates"), "/\n").unwrap();
    old.session("a.json", json!({"issue_ref": "github.com/acme/api#7", "worktree_path": place}));
    let done = old.init();
    assert_outcome(&done, "api#7", "taken");
    assert!(!mark.exists(), "{done:#}");
    let config = fs::read_to_string(place.join(".git/config")).unwrap();
    assert!(!config.contains("hacked") && !place.join(".git/hooks/post-checkout").exists(), "{config}");
    assert!(place.join(".git/MERGE_MSG").symlink_metadata().is_err());
    assert_eq!(fs::read("/etc/passwd").unwrap(), passwd);
    assert_eq!(fs::read_to_string(place.join("new dir/new.txt")).unwrap(), "new\n");
    old.go_on("github.com/acme/api#7", &["commit it"]);
    assert!(!mark.exists());
}

#[test]
fn names_and_paths_that_lead_out_are_not_followed() {
    let old = Old::empty();
    let secret = old.world.repository("secret");
    let before = all(secret.path());
    let dotted = old.kugetsu("worktrees").join("../../secret");
    for (file, reference, place) in [
        ("a.json", "github.com/acme/api#1", json!("/")),
        ("b.json", "github.com/acme/api#2", json!(secret.path())),
        ("c.json", "github.com/acme/api#3", json!(dotted)),
        ("d.json", "github.com/acme/api#4", json!("../../secret")),
        ("e.json", "../../secret", json!(null)),
        ("f.json", "--upload-pack=x", json!(null)),
        ("g.json", "github.com/acme/api#99999999999999999999999", json!(null)),
        ("h.json", ".", json!(old.kugetsu("worktrees/x"))),
        ("i.json", "local/secret#1", json!(old.kugetsu("worktrees/x"))),
        ("j.json", "github.com/acme/api#5\u{1b}[2J", json!(old.kugetsu("worktrees/x"))),
    ] {
        old.session(file, json!({"issue_ref": reference, "worktree_path": place, "opencode_session_id": "-rf"}));
    }
    old.clone(&old.kugetsu("worktrees/x"));
    fs::write(old.kugetsu("index.json"), json!({"../../secret/README.md": "github.com/acme/api#9"}).to_string())
        .unwrap();
    symlink(secret.path().join("README.md"), old.kugetsu("sessions/link.json")).unwrap();
    let done = old.init();
    assert!(
        done["script"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["what"] != "repos.json")
            .all(|row| row["outcome"] != "taken"),
        "{done:#}"
    );
    assert_eq!(all(secret.path()), before);
    assert_eq!(old.world.json(["list", "--json"]).as_array().unwrap().len(), 0);
    assert!(old.kugetsu("worktrees/x/README.md").is_file());
}

#[test]
fn a_session_whose_agent_still_works_is_not_touched() {
    let old = Old::empty();
    let place = old.kugetsu("worktrees/github.com-acme-api-7");
    let clone = old.worked_in(&place, "fix/it");
    let mut agent = Command::new("sleep").arg("1000").current_dir(&place).spawn().unwrap();
    old.session("a.json", json!({"issue_ref": "github.com/acme/api#7", "worktree_path": place, "pid": agent.id()}));
    let before = all(clone.path());
    let done = old.init();
    assert_outcome(&done, "api#7", "left");
    assert!(row(&done, "api#7")["next"].as_str().unwrap().contains(&format!("kill {}", agent.id())), "{done:#}");
    assert_eq!(all(clone.path()), before);
    agent.kill().unwrap();
    agent.wait().unwrap();
    // Nobody wrote this one down.
    old.session("a.json", json!({"issue_ref": "github.com/acme/api#7", "worktree_path": place}));
    let mut agent = Command::new("sleep").arg0("opencode").arg("1000").current_dir(place.join("src")).spawn().unwrap();
    assert_outcome(&old.init(), "api#7", "left");
    assert_eq!(all(clone.path()), before);
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_outcome(&old.init(), "api#7", "taken");
}

#[test]
fn without_network_the_clone_itself_has_what_is_needed() {
    let old = Old::empty();
    let place = old.kugetsu("worktrees/github.com-acme-api-7");
    let clone = old.worked_in(&place, "fix/it");
    let before = (status(&clone), clone.head());
    let away = old.world.home.path().join("away.git");
    fs::rename(old.server.path(), &away).unwrap();
    old.session("a.json", json!({"issue_ref": "github.com/acme/api#7", "worktree_path": place}));
    let done = old.init();
    assert_outcome(&done, "api#7", "taken");
    assert!(row(&done, "api#7")["why"].as_str().unwrap().contains("could not be reached"), "{done:#}");
    let taken = Repository::open(&place);
    assert_eq!((status(&taken), taken.head()), before);
    assert!(taken.resolve("origin/main").is_some());
    fs::rename(&away, old.server.path()).unwrap();
    let run = old.go_on("github.com/acme/api#7", &["commit it"]);
    assert_eq!(run["pushed"], true, "{run}");
    assert_eq!(run["commits"], 2, "{run}");
}

#[test]
fn two_worktrees_of_one_repository_keep_their_changes_apart() {
    let old = Old::empty();
    let places = [1, 2].map(|number| old.kugetsu(&format!("worktrees/github.com-acme-api-{number}")));
    for (place, text) in places.iter().zip(["one\n", "two\n"]) {
        old.clone(place).write("README.md", text);
    }
    // Only the first is known to a session; the other's own name says whose it is. A third session claims the first's.
    old.session("a.json", json!({"issue_ref": "github.com/acme/api#1", "worktree_path": places[0]}));
    old.session("b.json", json!({"issue_ref": "github.com/acme/api#3", "worktree_path": places[0]}));
    let done = old.init();
    for (number, (place, text)) in (1..).zip(places.iter().zip(["one\n", "two\n"])) {
        assert_outcome(&done, &format!("api#{number} "), "taken");
        let taken = Repository::open(place);
        assert_eq!(status(&taken), " M README.md");
        assert_eq!(fs::read_to_string(place.join("README.md")).unwrap(), text);
        assert_eq!(taken.current_branch(), format!("kugetsu/{number}"), "the default branch is nobody's work");
    }
    assert_outcome(&done, "api#3 ", "left");
    let task = old.world.latest("github.com/acme/api#2")["task"].as_str().unwrap().to_owned();
    old.world.run(["queue", "retry", &task]);
    old.world.await_state("github.com/acme/api#2", "done");
    assert!(old.world.records("github.com/acme/api#1", "ended").is_empty());
    let refused = old.world.attempt(["destroy", "github.com/acme/api#1"]);
    assert_ne!(refused.status.code(), Some(0), "{}", shown(&refused));
    assert_eq!(fs::read_to_string(places[0].join("README.md")).unwrap(), "one\n");
}

#[test]
fn start_on_a_home_of_the_script_says_how_its_work_is_taken_over() {
    let old = Old::new("first");
    fs::remove_file(old.kugetsu("config.toml")).unwrap();
    let repository = old.world.repository("demo");
    let output = old.world.try_in(repository.path(), ["start", ".", "fix it"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("kugetsu init"), "{}", shown(&output));
    assert!(old.kugetsu("sessions/github.com-acme-api-14.json").is_file());
}

#[test]
fn the_queue_of_a_daemon_that_still_runs_is_left_to_it() {
    let old = Old::new("latest");
    let mut daemon = Command::new("sleep").arg0("kugetsu queue-daemon").arg("1000").spawn().unwrap();
    fs::write(old.kugetsu("queue/daemon.pid"), daemon.id().to_string()).unwrap();
    let before = all(&old.kugetsu("queue"));
    let done = old.init();
    let row = done["script"].as_array().unwrap().iter().find(|row| row["what"] == "queue").unwrap();
    assert_eq!(row["next"], format!("kill {}; then kugetsu init", daemon.id()));
    assert_eq!(all(&old.kugetsu("queue")), before);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert_outcome(&old.init(), "queue/items/001.json", "taken");
}

#[test]
fn a_server_that_wants_a_token_is_asked_with_it() {
    const TOKEN: &str = "server-token-123456";
    let old = Old::empty();
    let server = GitServer::start(TOKEN);
    server.add_repository_from("acme/api", &Repository::with_commit());
    let config = old.kugetsu("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\n[servers.test]\nurl = \"{}\"\nkind = \"gitea\"\n", server.base_url())).unwrap();
    fs::create_dir_all(old.kugetsu("env")).unwrap();
    fs::write(old.kugetsu("env/default.env"), format!("export GITEA_TOKEN={TOKEN}\n")).unwrap();
    let place = old.project.join(".kugetsu-worktrees/issue-5");
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    let clone = Repository::clone_at(&server.url_with_token("acme/api"), &place, &[]);
    clone.git(["switch", "-q", "-c", "fix/it"]);
    clone.commit_files("pushed", &[("pushed.txt", "pushed\n")]);
    clone.git(["push", "-q", "origin", "fix/it"]);
    clone.write("more.txt", "more\n");
    let reference = format!("{}/acme/api#5", server.base_url().trim_start_matches("http://"));
    old.session("five.json", json!({"issue_ref": reference, "worktree_path": place, "session_id": "ses_5"}));
    let done = old.init();
    assert_outcome(&done, &reference, "taken");
    assert!(!done.to_string().contains("could not be reached") && !done.to_string().contains(TOKEN), "{done:#}");
    let worktree = old.world.worktree(&reference);
    let config = fs::read_to_string(worktree.join(".git/config")).unwrap();
    assert!(!config.contains(TOKEN), "the clone had it in its address: {config}");
    let run = old.go_on(&reference, &["commit the rest"]);
    assert_eq!((run["pushed"].as_bool(), run["commits"].as_u64()), (Some(true), Some(2)), "{run}");
    assert_eq!(server.repository("acme/api").show_text("fix/it", "more.txt"), "more\n");
}
