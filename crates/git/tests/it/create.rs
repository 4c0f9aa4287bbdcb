//! Creating worktrees.

use kugetsu_git::mirror::Source;
use kugetsu_git::names::BranchName;
use kugetsu_git::push::Lease;
use kugetsu_git::worktree::{Worktree, WorktreeError, WorktreeSpec};

use crate::support::{Fixture, branch, quiet, read, trap, unusual_names, url, write};

#[tokio::test]
async fn new_worktree_has_files_branch_and_relay() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    fixture.run(&repository, ["tag", "-a", "v1", "-m", "one"]);
    fixture.run(&repository, ["branch", "other"]);
    let server = fixture.server(&repository);
    let mirror = fixture.mirror(&url(&server)).await;
    let created = fixture.create(&mirror).await;
    let dir = created.worktree.dir();

    assert_eq!(read(dir, "src/a.txt"), b"one\ntwo\nthree\n");
    assert_eq!(fixture.run(dir, ["status", "--porcelain"]), "");
    assert_eq!(fixture.run(dir, ["branch", "--show-current"]), "kugetsu/7-fix");
    assert_eq!(created.base_sha, Some(fixture.oid(&server, "main")));
    assert_eq!(created.notices, Vec::<String>::new());
    assert_eq!(fixture.run(dir, ["remote", "get-url", "origin"]), fixture.relay().display().to_string());
    assert_eq!(fixture.run(dir, ["config", "branch.kugetsu/7-fix.merge"]), "refs/heads/kugetsu/7-fix");
    assert_eq!(fixture.run(dir, ["symbolic-ref", "refs/remotes/origin/HEAD"]), "refs/remotes/origin/main");
    assert_eq!(fixture.run(dir, ["describe"]), "v1");
    fixture.run(dir, ["fsck", "--strict"]);
    fixture.run(&fixture.relay(), ["fsck", "--strict"]);
    let copied = fixture.run(dir, ["count-objects", "-v"]);
    assert!(copied.contains("count: 0") && copied.contains("in-pack: 0"), "objects are borrowed: {copied}");
}

#[tokio::test]
async fn commit_fetch_rebase_and_push_work_as_against_the_server() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    let dir = worktree.dir();
    write(dir, "new.txt", "mine\n");
    fixture.commit(dir, "Mine");
    assert_eq!(fixture.run(dir, ["log", "-1", "--format=%an <%ae>"]), "Test Person <test@example.invalid>");
    fixture.run(dir, ["push", "--quiet"]);
    assert_eq!(fixture.oid(worktree.relay(), "kugetsu/7-fix"), fixture.oid(dir, "HEAD"));
    assert!(
        fixture
            .command(&server)
            .args(["rev-parse", "--verify", "-q", "kugetsu/7-fix"])
            .output()
            .unwrap()
            .stdout
            .is_empty()
    );

    // The server gets another commit.
    let repository = fixture.path("repository");
    write(&repository, "theirs.txt", "theirs\n");
    let theirs = fixture.commit(&repository, "Theirs");
    fixture.run(&repository, ["push", "--quiet", server.to_str().unwrap(), "main"]);
    mirror.update(&mut quiet).await.unwrap();
    worktree.refresh().await.unwrap();
    let pushed = fixture.oid(dir, "HEAD");
    assert_eq!(fixture.oid(worktree.relay(), "kugetsu/7-fix"), pushed, "what was pushed stays");
    fixture.run(dir, ["fetch", "--quiet", "origin"]);
    fixture.run(dir, ["rebase", "--quiet", "origin/main"]);
    assert_eq!(fixture.oid(dir, "HEAD^"), theirs);
    fixture.run(dir, ["push", "--quiet", "--force-with-lease"]);
    assert_eq!(fixture.oid(worktree.relay(), "kugetsu/7-fix"), fixture.oid(dir, "HEAD"));

    // A branch that the agent pushed into the relay does not hide the server's commit.
    fixture.run(dir, ["push", "--quiet", "--force", "origin", "HEAD:main"]);
    worktree.refresh().await.unwrap();
    assert_eq!(fixture.oid(worktree.relay(), "main"), theirs);
}

#[tokio::test]
async fn worktrees_share_nothing_but_objects() {
    let fixture = Fixture::new().await;
    let (mirror, one, _) = fixture.ready().await;
    let base = mirror.resolve_base(None).await.unwrap();
    let spec =
        WorktreeSpec { dir: fixture.path("worktrees/w-8"), relay: fixture.path("relays/w-8"), branch: branch(), base };
    let two = Worktree::create(&mirror, spec, &mut quiet).await.unwrap().worktree;
    std::fs::write(one.git_dir().join("index.lock"), "").unwrap();
    write(one.dir(), "x", "1");
    write(two.dir(), "x", "2");
    fixture.commit(two.dir(), "Two");
    assert_eq!(fixture.run(one.dir(), ["log", "--all", "--format=%s"]), "First");
    assert_eq!(fixture.run(mirror.dir(), ["log", "--all", "--format=%s"]), "First");
}

#[tokio::test]
async fn signing_in_the_users_config_is_turned_off() {
    let config = "[user]\n\tname = A\n\temail = a@b\n\tsigningKey = none\n[commit]\n\tgpgSign = true\n[tag]\n\tgpgSign = true\n\
                  [push]\n\tgpgSign = true\n[gpg]\n\tprogram = false\n";
    let fixture = Fixture::with_config(config).await;
    let repository = fixture.empty("repository", &[]);
    fixture.run(&repository, ["-c", "commit.gpgSign=false", "commit", "--quiet", "--allow-empty", "-m", "First"]);
    let mirror = fixture.mirror(&Source::Path(repository)).await;
    let dir = fixture.create(&mirror).await.worktree.dir().to_owned();
    fixture.commit(&dir, "Mine");
    fixture.run(&dir, ["tag", "-a", "t", "-m", "t"]);
    fixture.run(&dir, ["push", "--quiet"]);
}

#[tokio::test]
async fn identity_falls_back_to_kugetsus_with_a_notice() {
    let fixture = Fixture::with_config("").await;
    let repository = fixture.empty("repository", &[]);
    fixture.run(
        &repository,
        ["-c", "user.name=X", "-c", "user.email=x@y", "commit", "--quiet", "--allow-empty", "-m", "First"],
    );
    let mirror = fixture.mirror(&Source::Path(repository.clone())).await;
    let created = fixture.create(&mirror).await;
    assert_eq!(fixture.run(created.worktree.dir(), ["config", "user.email"]), "kugetsu@localhost");
    assert_eq!(created.notices.len(), 1);
    assert!(created.notices[0].contains("git config --global user.name"), "{:?}", created.notices);

    created.worktree.remove().await.unwrap();
    fixture.run(&repository, ["config", "user.name", "Ört\"q\" \\lich"]);
    fixture.run(&repository, ["config", "user.email", "local@example.invalid"]);
    let created = fixture.create(&mirror).await;
    assert_eq!(created.notices, Vec::<String>::new());
    fixture.commit(created.worktree.dir(), "Mine");
    let author = fixture.run(created.worktree.dir(), ["log", "-1", "--format=%an %ae"]);
    assert_eq!(author, "Ört\"q\" \\lich local@example.invalid");
}

#[tokio::test]
async fn identity_can_depend_on_the_server_url() {
    let fixture = Fixture::with_config("[user]\n\tname = Private\n\temail = private@example.invalid\n").await;
    let server = fixture.server(&fixture.repository("repository"));
    let work = fixture.path("home/work.config");
    std::fs::write(&work, "[user]\n\tname = At Work\n\temail = work@example.invalid\n").unwrap();
    let condition = format!("includeIf.hasconfig:remote.*.url:file://{}/**.path", server.parent().unwrap().display());
    fixture.run(&fixture.path("home"), ["config", "--global", &condition, work.to_str().unwrap()]);
    let mirror = fixture.mirror(&url(&server)).await;
    let created = fixture.create(&mirror).await;
    fixture.commit(created.worktree.dir(), "Mine");
    let author = fixture.run(created.worktree.dir(), ["log", "-1", "--format=%an <%ae>"]);
    assert_eq!(author, "At Work <work@example.invalid>");
}

#[tokio::test]
async fn pushed_tip_prefers_the_server_over_the_last_push() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    assert_eq!(mirror.pushed_tip(&branch()).await.unwrap(), None);
    write(worktree.dir(), "x", "1");
    let ours = fixture.commit(worktree.dir(), "Ours");
    mirror.push(&worktree, &ours, Lease::Expect(None)).await.unwrap();
    assert_eq!(mirror.pushed_tip(&branch()).await.unwrap(), Some(ours.clone()), "as it was pushed");
    fixture.run(&server, ["update-ref", "refs/heads/kugetsu/7-fix", "main"]);
    mirror.update(&mut quiet).await.unwrap();
    assert_eq!(
        mirror.pushed_tip(&branch()).await.unwrap(),
        Some(fixture.oid(&server, "main")),
        "as the server has it now"
    );
    fixture.run(&server, ["branch", "-D", "kugetsu/7-fix"]);
    mirror.update(&mut quiet).await.unwrap();
    assert_eq!(mirror.pushed_tip(&branch()).await.unwrap(), Some(ours));
}

#[tokio::test]
async fn commits_that_others_pushed_to_the_branch_are_offered_unless_the_agents_own_would_be_lost() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    let name = branch();
    write(worktree.dir(), "x", "1");
    let ours = fixture.commit(worktree.dir(), "Ours");
    fixture.run(worktree.dir(), ["push", "-q", "origin", "HEAD"]);
    mirror.push(&worktree, &ours, Lease::Expect(None)).await.unwrap();
    let person = fixture.path("person");
    fixture.run(
        &fixture.path("."),
        ["clone", "-q", "-b", name.as_str(), server.to_str().unwrap(), person.to_str().unwrap()],
    );
    let theirs = |file: &str| {
        write(&person, file, "2");
        let commit = fixture.commit(&person, "Theirs");
        fixture.run(&person, ["push", "-q", "origin", "HEAD"]);
        commit
    };
    let first = theirs("y");
    mirror.update(&mut quiet).await.unwrap();
    worktree.refresh().await.unwrap();
    assert!(worktree.offer(&first).await.unwrap());
    fixture.run(worktree.dir(), ["fetch", "-q", "origin"]);
    fixture.run(worktree.dir(), ["merge", "-q", &format!("origin/{name}")]);
    assert!(worktree.dir().join("y").exists());

    write(worktree.dir(), "x", "3");
    fixture.commit(worktree.dir(), "More work");
    fixture.run(worktree.dir(), ["push", "-q", "origin", "HEAD"]);
    let second = theirs("z");
    mirror.update(&mut quiet).await.unwrap();
    assert!(!worktree.offer(&second).await.unwrap(), "origin has a commit that theirs lacks");
    let head = fixture.oid(worktree.dir(), "HEAD");
    assert_eq!(fixture.oid(worktree.relay(), &format!("refs/heads/{name}")), head);
}

#[tokio::test]
async fn commits_of_a_branch_are_listed_oldest_first() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    for (text, message) in [("1", "First\n\nbody"), ("2", "Second"), ("3", &"x".repeat(500))] {
        write(worktree.dir(), "x", text);
        fixture.commit(worktree.dir(), message);
    }
    let head = fixture.oid(worktree.dir(), "HEAD");
    mirror.push(&worktree, &head, Lease::Expect(None)).await.unwrap();
    let base = fixture.oid(&server, "main");
    let subjects = async |max| {
        let commits = mirror.commits(Some(&base), &head, max).await.unwrap();
        commits.into_iter().map(|commit| commit.subject).collect::<Vec<_>>()
    };
    assert_eq!(subjects(10).await, ["First", "Second", &"x".repeat(200)]);
    assert_eq!(subjects(2).await, ["Second", &"x".repeat(200)], "the latest");
    assert!(mirror.commits(None, &head, 100).await.unwrap().len() > 3);
}

#[tokio::test]
async fn next_creation_cleans_up_after_a_killed_one() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    let mirror = fixture.mirror(&Source::Path(repository)).await;
    let created = fixture.create(&mirror).await;
    // Killed during the checkout: the relay is complete, the worktree still has its staging name.
    let half = fixture.path("worktrees/w-7.new-1-2-3");
    std::fs::rename(created.worktree.dir(), &half).unwrap();
    std::fs::remove_file(half.join("README.md")).unwrap();
    std::fs::create_dir_all(fixture.path("relays/w-7.new-1-2-3/objects")).unwrap();
    let created = fixture.create(&mirror).await;
    assert_eq!(fixture.run(created.worktree.dir(), ["status", "--porcelain"]), "");
    let left: Vec<_> =
        std::fs::read_dir(fixture.path("worktrees")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["w-7"]);
    assert!(!fixture.path("relays/w-7.new-1-2-3").exists());

    // The same without another creation.
    std::fs::rename(created.worktree.dir(), &half).unwrap();
    Worktree::remove_leftovers(&fixture.dir(), &fixture.relay()).await.unwrap();
    assert_eq!(std::fs::read_dir(fixture.path("worktrees")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(fixture.path("relays")).unwrap().count(), 0);
}

#[tokio::test]
async fn relay_with_pushed_commits_outlives_its_worktree() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    write(worktree.dir(), "x", "1");
    let pushed = fixture.commit(worktree.dir(), "Mine");
    fixture.run(worktree.dir(), ["push", "--quiet"]);
    std::fs::remove_dir_all(worktree.dir()).unwrap();
    Worktree::remove_leftovers(&fixture.dir(), &fixture.relay()).await.unwrap();
    assert!(matches!(
        Worktree::open(&mirror, &fixture.dir(), &fixture.relay(), &branch()).await,
        Err(WorktreeError::Missing(_))
    ));
    assert!(Worktree::remains(&mirror, &fixture.dir(), &fixture.relay(), &branch()).await.unwrap().is_some());
    let again = fixture.create(&mirror).await.worktree;
    fixture.run(again.dir(), ["fetch", "--quiet", "origin"]);
    assert_eq!(fixture.oid(again.dir(), "origin/kugetsu/7-fix"), pushed);
}

#[tokio::test]
async fn existing_files_are_never_replaced() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    assert!(matches!(fixture.try_create(&mirror).await, Err(WorktreeError::Exists(_))));
    worktree.remove().await.unwrap();
    write(&fixture.dir(), "precious", "x");
    assert!(matches!(fixture.try_create(&mirror).await, Err(WorktreeError::NotOurs(_))));
    assert!(matches!(worktree.remove().await, Err(WorktreeError::NotOurs(_))));
    assert_eq!(read(&fixture.dir(), "precious"), b"x");
}

#[tokio::test]
async fn conflicting_branch_on_the_server_is_an_error() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    fixture.run(&repository, ["branch", "kugetsu"]);
    let mirror = fixture.mirror(&Source::Path(repository)).await;
    let error = fixture.try_create(&mirror).await.unwrap_err().to_string();
    assert!(error.contains("kugetsu/7-fix beside kugetsu,"), "{error}");
    assert!(!fixture.relay().exists());
}

#[tokio::test]
async fn unusual_file_names_and_a_global_hooks_path_work() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    for name in unusual_names() {
        write(&repository, &name, name.as_os_str().as_encoded_bytes());
    }
    fixture.commit(&repository, "Odd");
    let mark = fixture.path("ran");
    trap(&fixture.path("hooks/post-commit"), &mark);
    fixture.run(&repository, ["config", "--global", "core.hooksPath", fixture.path("hooks").to_str().unwrap()]);
    let mirror = fixture.mirror(&Source::Path(repository)).await;
    let dir = fixture.create(&mirror).await.worktree.dir().to_owned();
    for name in unusual_names() {
        assert_eq!(read(&dir, &name), name.as_os_str().as_encoded_bytes());
    }
    assert!(!mark.exists());
    fixture.commit(&dir, "Mine");
    assert!(mark.exists(), "the agent's git runs the user's hooks");
}

#[tokio::test]
async fn issue_branch_can_be_an_existing_server_branch() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    fixture.run(&repository, ["switch", "--quiet", "-c", "feature/x"]);
    write(&repository, "feature", "1");
    let tip = fixture.commit(&repository, "Feature");
    fixture.run(&repository, ["switch", "--quiet", "main"]);
    let mirror = fixture.mirror(&url(&repository)).await;
    let feature = BranchName::new("feature/x").unwrap();
    let base = mirror.resolve_base(Some(&feature)).await.unwrap();
    let spec = WorktreeSpec { dir: fixture.dir(), relay: fixture.relay(), branch: feature, base };
    let created = Worktree::create(&mirror, spec, &mut quiet).await.unwrap();
    assert_eq!(created.base_sha, Some(tip));
    assert_eq!(
        fixture.run(created.worktree.dir(), ["status", "--branch", "--porcelain"]),
        "## feature/x...origin/feature/x"
    );
}

#[tokio::test]
async fn removed_relay_is_created_again() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    assert_eq!(worktree.refresh().await.unwrap(), Vec::<String>::new());
    std::fs::remove_dir_all(fixture.relay()).unwrap();
    let worktree = Worktree::open(&mirror, &fixture.dir(), &fixture.relay(), &branch()).await.unwrap();
    let notices = worktree.refresh().await.unwrap();
    assert!(notices.len() == 1 && notices[0].contains("has been created again"), "{notices:?}");
    fixture.commit(worktree.dir(), "Mine");
    fixture.run(worktree.dir(), ["fetch", "--quiet", "origin"]);
    fixture.run(worktree.dir(), ["push", "--quiet"]);
    assert_eq!(fixture.oid(worktree.relay(), "kugetsu/7-fix"), fixture.oid(worktree.dir(), "HEAD"));
    assert_eq!(fixture.oid(worktree.relay(), "main"), fixture.oid(&server, "main"));
    worktree.remove().await.unwrap();
    assert!(!fixture.relay().exists());
}

#[tokio::test]
async fn only_the_agents_git_runs_template_hooks() {
    let fixture = Fixture::new().await;
    let template = fixture.path("template");
    let mark = fixture.path("ran");
    for hook in ["pre-commit", "post-checkout", "reference-transaction", "lib/helper"] {
        trap(&template.join("hooks").join(hook), &mark);
    }
    std::os::unix::fs::symlink("pre-commit", template.join("hooks/pre-merge-commit")).unwrap();
    write(&template, "hooks/pre-push.sample", "no\n");
    fixture.run(&fixture.path("home"), ["config", "--global", "init.templateDir", template.to_str().unwrap()]);
    let repository = fixture.empty("repository", &["--template="]);
    write(&repository, "README.md", "hello\n");
    fixture.commit(&repository, "First");
    let mirror = fixture.mirror(&Source::Path(repository)).await;
    let created = fixture.create(&mirror).await;
    let dir = created.worktree.dir();
    assert_eq!(created.notices, Vec::<String>::new());
    let mut hooks: Vec<_> =
        std::fs::read_dir(dir.join(".git/hooks")).unwrap().map(|e| e.unwrap().file_name()).collect();
    hooks.sort();
    assert_eq!(hooks, ["lib", "post-checkout", "pre-commit", "pre-merge-commit", "reference-transaction"]);
    assert_eq!(
        std::fs::read_link(dir.join(".git/hooks/pre-merge-commit")).unwrap(),
        std::path::Path::new("pre-commit")
    );
    created.worktree.status(None).await.unwrap();
    assert!(!mark.exists(), "{}", std::fs::read_to_string(&mark).unwrap());
    fixture.commit(dir, "Mine");
    assert!(std::fs::read_to_string(&mark).unwrap().contains("pre-commit"));
}
