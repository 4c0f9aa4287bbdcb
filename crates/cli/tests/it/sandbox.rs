//! The coordinator can write only its own notes, because the kernel stops everything else. The crate `process` tests that
//! no program gets around the sandbox.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use kugetsu_testkit::{Repository, eventually, scripted_agent};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use serde_json::{Value, json};

use crate::world::{World, coordinator_message, shown};

/// Each runs in a shell of its own in the coordinator's directory. `$V` is a repository of the user, `$K` the home.
const ATTEMPTS: &[&str] = &[
    "echo bad > $V/README.md",
    "echo bad >> $V/new.txt",
    "git -C $V commit -q --allow-empty -m bad",
    "cd $V && git checkout -q -b bad",
    "sed -i s/hello/bad/ $V/README.md",
    "python3 -c \"open('$V/README.md', 'w').write('bad')\"",
    "python3 -c \"import os; os.truncate('$V/README.md', 0)\"",
    "ln -s $V logs/link && echo bad > logs/link/README.md",
    "ln $V/README.md logs/hard && echo bad > logs/hard",
    "echo bad > logs/mine && mv logs/mine $V/README.md",
    "mv $V/README.md logs/taken",
    "rm -f logs/mine && ln -s $V/README.md logs/mine && echo bad > logs/mine",
    "cp -f /dev/null $V/README.md",
    "rm -rf $V",
    "chmod 777 $V/README.md",
    "touch -d 2001-01-01 $V/README.md",
    "mkdir $V/bad",
    "dd if=/dev/zero of=$V/README.md count=1",
    "echo bad > $K/config.toml",
    "echo bad >> $K/env/default.env",
    "echo bad > $K/skills/pm/SKILL.md",
    "echo bad > skill.told",
    "echo bad > $HOME/.profile",
    "mkdir -p $HOME/.config/opencode && echo bad > $HOME/.config/opencode/opencode.json",
    "setsid sh -c 'sleep 0.2; echo bad > $V/README.md' &",
];

/// Names, modes, modification times and contents of a file tree.
fn state(root: &Path) -> Vec<(String, u32, i64, Vec<u8>)> {
    let mut all = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        all.push((path.display().to_string(), metadata.permissions().mode(), metadata.mtime_nsec(), content));
        if metadata.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    all.sort();
    all
}

fn assert_confined(world: &World) {
    world.run(["init"]);
    let victim = Repository::at(world.home.user().join("victim"));
    victim.commit_files("first", &[("README.md", "hello\n")]);
    let kugetsu = world.home.kugetsu();
    let watched =
        [world.home.user().join("victim"), kugetsu.join("config.toml"), kugetsu.join("env"), kugetsu.join("skills")];
    let before: Vec<_> = watched.iter().map(|path| state(path)).collect();
    let vars = format!("export V={} K={}; ", victim.path().display(), kugetsu.display());
    let mut steps: Vec<Value> = ATTEMPTS.iter().map(|attempt| json!({"run": format!("{vars}{attempt}")})).collect();
    // Permitted actions succeed, so the others fail because of the sandbox.
    steps.push(json!({"run": "echo a note > queue/plan && echo another > logs/today && cat queue/plan logs/today"}));
    steps.push(json!({"run": format!("cat {}/README.md", victim.path().display())}));
    steps.push(json!({"run": format!("cat {}/env/default.env || echo nothing to see", kugetsu.display())}));
    steps.push(json!({"run": "sleep 0.5"}));
    let output = world.attempt(["delegate", &coordinator_message("try", &steps), "--wait"]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));

    let after: Vec<_> = watched.iter().map(|path| state(path)).collect();
    let tools = world.records("pm", "tool_ended");
    for (before, after) in before.iter().zip(&after) {
        for (old, new) in before.iter().zip(after) {
            assert_eq!(old, new, "{tools:#?}");
        }
        assert_eq!(before.len(), after.len(), "{tools:#?}");
    }
    let output_from_end = |from_end: usize| tools[tools.len() - from_end]["output"].as_str().unwrap().trim().to_owned();
    assert_eq!(output_from_end(4), "a note\nanother");
    assert_eq!(output_from_end(3), "hello", "other files can be read");
    assert!(output_from_end(2).ends_with("nothing to see"), "kugetsu's own home is hidden: {}", output_from_end(2));
    assert_eq!(fs::read_to_string(kugetsu.join("pm/queue/plan")).unwrap(), "a note\n");
    assert!(!world.home.user().join(".profile").exists());
    assert!(!world.home.user().join(".config/opencode").exists());
}

/// Without user namespaces, which bubblewrap needs unless it runs as root, and without bubblewrap.
fn without_namespaces() -> World {
    without_user_namespaces();
    let mut world = World::new();
    // A bwrap that fails counts as missing.
    let bin = world.home.folder("no-bubblewrap");
    fs::write(bin.join("bwrap"), "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(bin.join("bwrap"), fs::Permissions::from_mode(0o755)).unwrap();
    world.home.prepend_path(&bin);
    world
}

#[test]
fn coordinator_cannot_write_outside_its_notes() {
    let world = World::new();
    assert_confined(&world);
    assert!(world.run(["logs", "pm"]).contains("read-only, by namespaces"));
}

#[test]
#[cfg(target_os = "linux")]
fn needs_bubblewrap_coordinator_cannot_write_outside_its_notes() {
    // Only root can start bubblewrap where kugetsu can create no namespaces.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    without_user_namespaces();
    let world = World::new();
    assert_confined(&world);
    assert!(world.run(["logs", "pm"]).contains("read-only, by bubblewrap"));
}

#[test]
#[cfg(target_os = "linux")]
fn coordinator_cannot_write_outside_its_notes_without_bubblewrap() {
    let world = without_namespaces();
    assert_confined(&world);
    assert!(world.run(["logs", "pm"]).contains("read-only, by landlock"));
}

/// The home where it is by default, in the user's own, where `~/.ssh` is a link.
fn assert_secrets_are_hidden(mut world: World) {
    let user = world.home.user();
    let home = user.join(".kugetsu");
    fs::rename(world.home.kugetsu(), &home).unwrap();
    world.home.set("KUGETSU_HOME", &home);
    world.run(["init"]);
    fs::create_dir_all(user.join("dotfiles/ssh")).unwrap();
    symlink("dotfiles/ssh", user.join(".ssh")).unwrap();
    fs::create_dir(user.join(".gnupg")).unwrap();
    let secrets = ["dotfiles/ssh/id_ed25519", ".gnupg/key", ".kugetsu/env/default.env"];
    for secret in secrets {
        fs::write(user.join(secret), "# PRIVATE\n").unwrap();
    }
    fs::write(user.join("dotfiles/vimrc"), "readable\n").unwrap();
    let paths = secrets.into_iter().chain([".ssh/id_ed25519"]).map(|path| format!("$HOME/{path}"));
    let steps: Vec<Value> = std::iter::once("$HOME/dotfiles/vimrc".to_owned())
        .chain(paths)
        .map(|path| json!({"run": format!("cat {path} || echo hidden")}))
        .collect();
    let output = world.attempt(["delegate", &coordinator_message("try", &steps), "--wait"]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let tools = world.records("pm", "tool_ended");
    assert_eq!(tools.len(), steps.len());
    assert!(tools[0]["output"].as_str().unwrap().contains("readable"), "{tools:#?}");
    for tool in &tools[1..] {
        let output = tool["output"].as_str().unwrap();
        assert!(output.contains("hidden") && !output.contains("PRIVATE"), "{tools:#?}");
    }
}

#[test]
fn secrets_in_the_users_home_are_hidden() {
    assert_secrets_are_hidden(World::new());
}

#[test]
#[cfg(target_os = "linux")]
fn secrets_in_the_users_home_are_hidden_without_bubblewrap() {
    assert_secrets_are_hidden(without_namespaces());
}

#[test]
fn linked_agent_is_found_inside_the_sandbox() {
    let world = World::new();
    let (links, real) = (world.home.folder("links"), world.home.folder("real"));
    fs::copy(scripted_agent(), real.join("agent")).unwrap();
    symlink(real.join("agent"), links.join("agent")).unwrap();
    world.run(["config", "set", "agents.scripted.program", links.join("agent").to_str().unwrap()]);
    world.run(["delegate", &coordinator_message("say it", &[json!({"say": "here I am"})]), "--wait"]);
    assert!(world.agent_text("pm").contains("here I am"), "{}", world.agent_text("pm"));
}

/// Makes this thread and its children see a kernel that refuses these calls.
#[cfg(target_os = "linux")]
fn refuse(calls: BTreeMap<i64, Vec<SeccompRule>>, errno: libc::c_int) {
    let (allow, refuse) = (SeccompAction::Allow, SeccompAction::Errno(errno.cast_unsigned()));
    let filter = SeccompFilter::new(calls, allow, refuse, std::env::consts::ARCH.try_into().unwrap()).unwrap();
    seccompiler::apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
}

#[cfg(target_os = "linux")]
fn without_landlock() {
    /// `landlock_create_ruleset`. The number is the same on every architecture.
    const CREATE_RULESET: i64 = 444;
    refuse(BTreeMap::from([(CREATE_RULESET, Vec::new())]), libc::ENOSYS);
}

#[cfg(target_os = "linux")]
fn without_user_namespaces() {
    let new_user = u64::from(libc::CLONE_NEWUSER.cast_unsigned());
    let has_flag = SeccompCmpOp::MaskedEq(new_user);
    let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, has_flag, new_user).unwrap();
    let rule = || vec![SeccompRule::new(vec![condition.clone()]).unwrap()];
    refuse(BTreeMap::from([(libc::SYS_clone, rule()), (libc::SYS_unshare, rule())]), libc::EPERM);
}

#[test]
#[cfg(target_os = "linux")]
fn coordinator_needs_a_sandbox_unless_it_is_turned_off() {
    let world = without_namespaces();
    without_landlock();
    let attempt = |file: &str| {
        coordinator_message("try", &[json!({"run": format!("echo x > ../{file}")}), json!({"wait": "go"})])
    };
    let output = world.attempt(["delegate", &attempt("first"), "--wait"]);
    assert_eq!(output.status.code(), Some(3), "{}", shown(&output));
    let text = shown(&output);
    for part in ["no sandbox is available", "install bubblewrap", "kugetsu config set pm.cage off"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(world.json(["queue", "list", "--all", "--json"]), json!([]), "nothing is queued");

    world.run(["config", "set", "pm.cage", "off"]);
    world.run(["delegate", &attempt("second")]);
    world.run(["delegate", &attempt("third")]);
    world.run(["config", "set", "pm.cage", "required"]);
    world.release_coordinator();
    // Each run checks again, even if the setting was off when its message was queued.
    let refused = eventually("the third message to fail", || {
        let task = world.json(["queue", "show", "pm", "--json"]);
        if task["state"] == "failed" { Ok(task) } else { Err(task) }
    });
    assert!(refused["hint"].as_str().unwrap().contains("kugetsu config set pm.cage off"), "{refused}");
    assert!(world.home.kugetsu().join("second").exists());
    assert!(world.run(["logs", "pm"]).contains("pm.cage is off"), "every run reports it");
    assert!(!["first", "third"].iter().any(|file| world.home.kugetsu().join(file).exists()));
}

/// Creates a repository whose git configuration runs a program for each of its files.
fn trap(path: &str, proof: &Path) -> Value {
    json!({"run": format!(
        "git init -q {path} && cd {path} && echo a > f && git add f && \
         git -c user.name=a -c user.email=a@b commit -q -m one && echo '* filter=x' > .gitattributes && \
         git config filter.x.clean 'touch {}; cat' && echo b > f",
        proof.display()
    )})
}

#[test]
fn coordinators_own_directories_are_never_used_as_repositories() {
    let world = World::new();
    let (kugetsu, elsewhere) = (world.home.kugetsu(), world.home.path().join("big"));
    world.run(["config", "set", "run.temp_dir", elsewhere.to_str().unwrap()]);
    let (queue, proof) = (kugetsu.join("pm/queue"), world.home.path().join("proof"));
    let start = |path: &Path| json!({"call": {"tool": "kugetsu_start", "arguments": {"issue": path, "message": "go"}}});
    let steps = [
        trap("queue/evil", &proof),
        trap("$TMPDIR/evil", &proof),
        json!({"run": "ln -s $TMPDIR/evil queue/link && cat queue/link/f"}),
        start(&queue.join("evil")),
        start(&queue.join("link")),
    ];
    world.run(["delegate", &coordinator_message("try", &steps), "--wait"]);
    let tools = world.records("pm", "tool_ended");
    assert_eq!(tools[2]["output"].as_str().unwrap().trim(), "b", "the traps exist: {tools:#?}");
    assert!(!proof.exists(), "a program of a repository ran outside the sandbox: {tools:#?}");
    for refused in &tools[3..] {
        assert_eq!(refused["ok"], false, "{refused}");
        assert!(refused["output"].as_str().unwrap().contains("is below a directory of kugetsu"), "{refused}");
    }
    assert_eq!(world.json(["list", "--json"]), json!([]));
}
