//! The coordinator writes nothing but its own notes, whatever its agent tries (B3, R18). The kernel keeps it so; that no
//! trick of a program gets around it is tested where the cage is built.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use kugetsu_testkit::{Repository, eventually, scripted_agent};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde_json::{Value, json};

use crate::world::{World, asking, shown};

/// Each is run by a shell of its own, in the coordinator's directory; `$V` is a repository of the user's.
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

/// What a tree of files holds: names, modes, times of change, contents.
fn state(place: &Path) -> Vec<(String, u32, i64, Vec<u8>)> {
    let mut all = Vec::new();
    let mut ahead = vec![place.to_owned()];
    while let Some(path) = ahead.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        let content = if found.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        all.push((path.display().to_string(), found.permissions().mode(), found.mtime_nsec(), content));
        if found.is_dir() {
            ahead.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    all.sort();
    all
}

fn tries(world: &World) {
    world.run(["init"]);
    let victim = Repository::at(world.home.user().join("victim"));
    victim.commit_files("first", &[("README.md", "hello\n")]);
    let kugetsu = world.home.kugetsu();
    let watched =
        [world.home.user().join("victim"), kugetsu.join("config.toml"), kugetsu.join("env"), kugetsu.join("skills")];
    let before: Vec<_> = watched.iter().map(|place| state(place)).collect();
    let vars = format!("export V={} K={}; ", victim.path().display(), kugetsu.display());
    let mut steps: Vec<Value> = ATTEMPTS.iter().map(|attempt| json!({"run": format!("{vars}{attempt}")})).collect();
    // What it may do works: else nothing above would mean anything.
    steps.push(json!({"run": "echo a note > queue/plan && echo another > logs/today && cat queue/plan logs/today"}));
    steps.push(json!({"run": format!("cat {}/README.md", victim.path().display())}));
    steps.push(json!({"run": format!("cat {}/env/default.env || echo nothing to see", kugetsu.display())}));
    steps.push(json!({"run": "sleep 0.5"}));
    let output = world.attempt(["delegate", &asking("try", &steps), "--wait"]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));

    let after: Vec<_> = watched.iter().map(|place| state(place)).collect();
    let tools = world.records("pm", "tool_ended");
    for (before, after) in before.iter().zip(&after) {
        for (old, new) in before.iter().zip(after) {
            assert_eq!(old, new, "{tools:#?}");
        }
        assert_eq!(before.len(), after.len(), "{tools:#?}");
    }
    let said = |from_end: usize| tools[tools.len() - from_end]["output"].as_str().unwrap().trim().to_owned();
    assert_eq!(said(4), "a note\nanother");
    assert_eq!(said(3), "hello", "what is not hidden can be read");
    assert!(said(2).ends_with("nothing to see"), "kugetsu's own home is hidden: {}", said(2));
    assert_eq!(fs::read_to_string(kugetsu.join("pm/queue/plan")).unwrap(), "a note\n");
    assert!(!world.home.user().join(".profile").exists());
    assert!(!world.home.user().join(".config/opencode").exists());
}

fn without_bubblewrap() -> World {
    let mut world = World::new();
    // One that does not work here is as good as none.
    let bin = world.home.folder("no-bubblewrap");
    fs::write(bin.join("bwrap"), "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(bin.join("bwrap"), fs::Permissions::from_mode(0o755)).unwrap();
    world.home.prepend_path(&bin);
    world
}

#[test]
fn needs_bubblewrap_coordinator_cannot_write_outside_its_notes() {
    let world = World::new();
    tries(&world);
    assert!(world.run(["logs", "pm"]).contains("read-only, by bubblewrap"));
}

#[test]
fn coordinator_cannot_write_outside_its_notes_without_bubblewrap() {
    let world = without_bubblewrap();
    tries(&world);
    assert!(world.run(["logs", "pm"]).contains("read-only, by landlock"));
}

#[test]
fn needs_bubblewrap_linked_agent_is_found_inside_the_sandbox() {
    let world = World::new();
    let (links, real) = (world.home.folder("links"), world.home.folder("real"));
    fs::copy(scripted_agent(), real.join("agent")).unwrap();
    symlink(real.join("agent"), links.join("agent")).unwrap();
    world.run(["config", "set", "agents.scripted.program", links.join("agent").to_str().unwrap()]);
    world.run(["delegate", &asking("say it", &[json!({"say": "here I am"})]), "--wait"]);
    assert!(world.said("pm").contains("here I am"), "{}", world.said("pm"));
}

/// From now on this thread, and all that it starts, has a kernel that never heard of landlock.
#[cfg(target_os = "linux")]
fn without_landlock() {
    /// `landlock_create_ruleset`; the number is the same on every architecture.
    const CREATE_RULESET: i64 = 444;
    let (others, it) = (SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.cast_unsigned()));
    let rules = BTreeMap::from([(CREATE_RULESET, Vec::new())]);
    let filter = SeccompFilter::new(rules, others, it, std::env::consts::ARCH.try_into().unwrap()).unwrap();
    seccompiler::apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn coordinator_needs_a_sandbox_unless_it_is_turned_off() {
    let world = without_bubblewrap();
    without_landlock();
    let try_it = |file: &str| asking("try", &[json!({"run": format!("echo x > ../{file}")}), json!({"wait": "go"})]);
    let output = world.attempt(["delegate", &try_it("first"), "--wait"]);
    assert_eq!(output.status.code(), Some(3), "{}", shown(&output));
    let why = shown(&output);
    for part in ["no sandbox is available", "install bubblewrap", "kugetsu config set pm.cage off"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert_eq!(world.json(["queue", "list", "--all", "--json"]), json!([]), "nothing is in line");

    world.run(["config", "set", "pm.cage", "off"]);
    world.run(["delegate", &try_it("second")]);
    world.run(["delegate", &try_it("third")]);
    world.run(["config", "set", "pm.cage", "required"]);
    world.open_coordinators_gate();
    // Each run looks for itself, also when its message came while there was no need.
    let refused = eventually("the third to end", || {
        let task = world.json(["queue", "show", "pm", "--json"]);
        if task["state"] == "failed" { Ok(task) } else { Err(task) }
    });
    assert!(refused["reason"].as_str().unwrap().contains("kugetsu config set pm.cage off"), "{refused}");
    assert!(world.home.kugetsu().join("second").exists());
    assert!(world.run(["logs", "pm"]).contains("pm.cage is off"), "it is said each time");
    assert!(!["first", "third"].iter().any(|file| world.home.kugetsu().join(file).exists()));
}

/// A repository that the agent makes at a place, whose own settings name a program for every file in it.
fn trap(place: &str, proof: &Path) -> Value {
    json!({"run": format!(
        "git init -q {place} && cd {place} && echo a > f && git add f && \
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
    let start =
        |place: &Path| json!({"call": {"tool": "kugetsu_start", "arguments": {"issue": place, "message": "go"}}});
    let steps = [
        trap("queue/evil", &proof),
        trap("$TMPDIR/evil", &proof),
        json!({"run": "ln -s $TMPDIR/evil queue/link && cat queue/link/f"}),
        start(&queue.join("evil")),
        start(&queue.join("link")),
    ];
    world.run(["delegate", &asking("try", &steps), "--wait"]);
    let tools = world.records("pm", "tool_ended");
    assert_eq!(tools[2]["output"].as_str().unwrap().trim(), "b", "the traps were made: {tools:#?}");
    assert!(!proof.exists(), "no program of a repository's own ran outside of the cage: {tools:#?}");
    for refused in &tools[3..] {
        assert_eq!(refused["ok"], false, "{refused}");
        assert!(refused["output"].as_str().unwrap().contains("lies in kugetsu's own directories"), "{refused}");
    }
    assert_eq!(world.json(["list", "--json"]), json!([]));
}
