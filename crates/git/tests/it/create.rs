//! Making worktrees.

use kugetsu_git::mirror::Source;
use kugetsu_git::names::BranchName;
use kugetsu_git::push::Lease;
use kugetsu_git::worktree::{Worktree, WorktreeError, WorktreeSpec};

use crate::support::{Place, branch, odd_names, quiet, read, trap, url, write};

#[tokio::test]
async fn a_worktree_has_its_files_its_branch_and_a_relay() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    place.run(&repository, ["tag", "-a", "v1", "-m", "one"]);
    place.run(&repository, ["branch", "other"]);
    let server = place.server(&repository);
    let mirror = place.mirror(&url(&server)).await;
    let created = place.create(&mirror).await;
    let dir = created.worktree.dir();

    assert_eq!(read(dir, "src/a.txt"), b"one\ntwo\nthree\n");
    assert_eq!(place.run(dir, ["status", "--porcelain"]), "");
    assert_eq!(place.run(dir, ["branch", "--show-current"]), "kugetsu/7-fix");
    assert_eq!(created.base_sha, Some(place.oid(&server, "main")));
    assert_eq!(created.notices, Vec::<String>::new());
    assert_eq!(place.run(dir, ["remote", "get-url", "origin"]), place.relay().display().to_string());
    assert_eq!(place.run(dir, ["config", "branch.kugetsu/7-fix.merge"]), "refs/heads/kugetsu/7-fix");
    assert_eq!(place.run(dir, ["symbolic-ref", "refs/remotes/origin/HEAD"]), "refs/remotes/origin/main");
    assert_eq!(place.run(dir, ["describe"]), "v1");
    place.run(dir, ["fsck", "--strict"]);
    place.run(&place.relay(), ["fsck", "--strict"]);
    let copied = place.run(dir, ["count-objects", "-v"]);
    assert!(copied.contains("count: 0") && copied.contains("in-pack: 0"), "objects are borrowed: {copied}");
}

#[tokio::test]
async fn an_agent_commits_fetches_rebases_and_pushes_as_against_the_server() {
    let place = Place::new().await;
    let (mirror, worktree, server) = place.ready().await;
    let dir = worktree.dir();
    write(dir, "new.txt", "mine\n");
    place.commit(dir, "Mine");
    assert_eq!(place.run(dir, ["log", "-1", "--format=%an <%ae>"]), "Test Person <test@example.invalid>");
    place.run(dir, ["push", "--quiet"]);
    assert_eq!(place.oid(worktree.relay(), "kugetsu/7-fix"), place.oid(dir, "HEAD"));
    assert!(
        place
            .command(&server)
            .args(["rev-parse", "--verify", "-q", "kugetsu/7-fix"])
            .output()
            .unwrap()
            .stdout
            .is_empty()
    );

    // The server moves on.
    let repository = place.path("repository");
    write(&repository, "theirs.txt", "theirs\n");
    let theirs = place.commit(&repository, "Theirs");
    place.run(&repository, ["push", "--quiet", server.to_str().unwrap(), "main"]);
    mirror.update(&mut quiet).await.unwrap();
    worktree.refresh().await.unwrap();
    let pushed = place.oid(dir, "HEAD");
    assert_eq!(place.oid(worktree.relay(), "kugetsu/7-fix"), pushed, "what was pushed stays");
    place.run(dir, ["fetch", "--quiet", "origin"]);
    place.run(dir, ["rebase", "--quiet", "origin/main"]);
    assert_eq!(place.oid(dir, "HEAD^"), theirs);
    place.run(dir, ["push", "--quiet", "--force-with-lease"]);
    assert_eq!(place.oid(worktree.relay(), "kugetsu/7-fix"), place.oid(dir, "HEAD"));

    // A branch that the agent pushed into the relay does not hide the server's next commit.
    place.run(dir, ["push", "--quiet", "--force", "origin", "HEAD:main"]);
    worktree.refresh().await.unwrap();
    assert_eq!(place.oid(worktree.relay(), "main"), theirs);
}

#[tokio::test]
async fn two_worktrees_share_objects_and_nothing_else() {
    let place = Place::new().await;
    let (mirror, one, _) = place.ready().await;
    let base = mirror.resolve(None).await.unwrap();
    let spec =
        WorktreeSpec { dir: place.path("worktrees/w-8"), relay: place.path("relays/w-8"), branch: branch(), base };
    let two = Worktree::create(&mirror, spec, &mut quiet).await.unwrap().worktree;
    std::fs::write(one.git_dir().join("index.lock"), "").unwrap();
    write(one.dir(), "x", "1");
    write(two.dir(), "x", "2");
    place.commit(two.dir(), "Two");
    assert_eq!(place.run(one.dir(), ["log", "--all", "--format=%s"]), "First");
    assert_eq!(place.run(mirror.dir(), ["log", "--all", "--format=%s"]), "First");
}

#[tokio::test]
async fn a_signing_key_in_the_users_config_stops_no_commit() {
    let config = "[user]\n\tname = A\n\temail = a@b\n\tsigningKey = none\n[commit]\n\tgpgSign = true\n[tag]\n\tgpgSign = true\n\
                  [push]\n\tgpgSign = true\n[gpg]\n\tprogram = false\n";
    let place = Place::with_config(config).await;
    let repository = place.empty("repository", &[]);
    place.run(&repository, ["-c", "commit.gpgSign=false", "commit", "--quiet", "--allow-empty", "-m", "First"]);
    let mirror = place.mirror(&Source::Path(repository)).await;
    let dir = place.create(&mirror).await.worktree.dir().to_owned();
    place.commit(&dir, "Mine");
    place.run(&dir, ["tag", "-a", "t", "-m", "t"]);
    place.run(&dir, ["push", "--quiet"]);
}

#[tokio::test]
async fn an_identity_is_the_sources_own_or_made_up_with_a_notice() {
    let place = Place::with_config("").await;
    let repository = place.empty("repository", &[]);
    place.run(
        &repository,
        ["-c", "user.name=X", "-c", "user.email=x@y", "commit", "--quiet", "--allow-empty", "-m", "First"],
    );
    let mirror = place.mirror(&Source::Path(repository.clone())).await;
    let created = place.create(&mirror).await;
    assert_eq!(place.run(created.worktree.dir(), ["config", "user.email"]), "kugetsu@localhost");
    assert_eq!(created.notices.len(), 1);
    assert!(created.notices[0].contains("git config --global user.name"), "{:?}", created.notices);

    created.worktree.remove().await.unwrap();
    place.run(&repository, ["config", "user.name", "Ört\"q\" \\lich"]);
    place.run(&repository, ["config", "user.email", "local@example.invalid"]);
    let created = place.create(&mirror).await;
    assert_eq!(created.notices, Vec::<String>::new());
    place.commit(created.worktree.dir(), "Mine");
    let author = place.run(created.worktree.dir(), ["log", "-1", "--format=%an %ae"]);
    assert_eq!(author, "Ört\"q\" \\lich local@example.invalid");
}

#[tokio::test]
async fn an_identity_can_depend_on_the_servers_address() {
    let place = Place::with_config("[user]\n\tname = Private\n\temail = private@example.invalid\n").await;
    let server = place.server(&place.repository("repository"));
    let work = place.path("home/work.config");
    std::fs::write(&work, "[user]\n\tname = At Work\n\temail = work@example.invalid\n").unwrap();
    let condition = format!("includeIf.hasconfig:remote.*.url:file://{}/**.path", server.parent().unwrap().display());
    place.run(&place.path("home"), ["config", "--global", &condition, work.to_str().unwrap()]);
    let mirror = place.mirror(&url(&server)).await;
    let created = place.create(&mirror).await;
    place.commit(created.worktree.dir(), "Mine");
    let author = place.run(created.worktree.dir(), ["log", "-1", "--format=%an <%ae>"]);
    assert_eq!(author, "At Work <work@example.invalid>");
}

#[tokio::test]
async fn work_that_was_pushed_can_be_gone_on_with() {
    let place = Place::new().await;
    let (mirror, worktree, server) = place.ready().await;
    assert_eq!(mirror.pushed_tip(&branch()).await.unwrap(), None);
    write(worktree.dir(), "x", "1");
    let ours = place.commit(worktree.dir(), "Ours");
    mirror.publish(&worktree, &ours, Lease::Expect(None)).await.unwrap();
    assert_eq!(mirror.pushed_tip(&branch()).await.unwrap(), Some(ours.clone()), "as it was pushed");
    place.run(&server, ["update-ref", "refs/heads/kugetsu/7-fix", "main"]);
    mirror.update(&mut quiet).await.unwrap();
    assert_eq!(mirror.pushed_tip(&branch()).await.unwrap(), Some(place.oid(&server, "main")), "as it is there now");
    place.run(&server, ["branch", "-D", "kugetsu/7-fix"]);
    mirror.update(&mut quiet).await.unwrap();
    assert_eq!(mirror.pushed_tip(&branch()).await.unwrap(), Some(ours));
}

#[tokio::test]
async fn a_creation_that_was_killed_is_healed_by_the_next() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    let mirror = place.mirror(&Source::Path(repository)).await;
    let created = place.create(&mirror).await;
    // Killed while the files were written: the worktree is beside its place, the relay in its own.
    let half = place.path("worktrees/w-7.new-1-2-3");
    std::fs::rename(created.worktree.dir(), &half).unwrap();
    std::fs::remove_file(half.join("README.md")).unwrap();
    std::fs::create_dir_all(place.path("relays/w-7.new-1-2-3/objects")).unwrap();
    let healed = place.create(&mirror).await;
    assert_eq!(place.run(healed.worktree.dir(), ["status", "--porcelain"]), "");
    let left: Vec<_> =
        std::fs::read_dir(place.path("worktrees")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["w-7"]);
    assert!(!place.path("relays/w-7.new-1-2-3").exists());

    // The same without a next one.
    std::fs::rename(healed.worktree.dir(), &half).unwrap();
    Worktree::remove_leftovers(&place.dir(), &place.relay()).await.unwrap();
    assert_eq!(std::fs::read_dir(place.path("worktrees")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(place.path("relays")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_relay_that_was_pushed_into_outlives_its_worktree() {
    let place = Place::new().await;
    let (mirror, worktree, _) = place.ready().await;
    write(worktree.dir(), "x", "1");
    let pushed = place.commit(worktree.dir(), "Mine");
    place.run(worktree.dir(), ["push", "--quiet"]);
    std::fs::remove_dir_all(worktree.dir()).unwrap();
    Worktree::remove_leftovers(&place.dir(), &place.relay()).await.unwrap();
    assert!(matches!(
        Worktree::open(&mirror, &place.dir(), &place.relay(), &branch()).await,
        Err(WorktreeError::Missing(_))
    ));
    assert!(Worktree::remains(&mirror, &place.dir(), &place.relay(), &branch()).await.unwrap().is_some());
    let again = place.create(&mirror).await.worktree;
    place.run(again.dir(), ["fetch", "--quiet", "origin"]);
    assert_eq!(place.oid(again.dir(), "origin/kugetsu/7-fix"), pushed);
}

#[tokio::test]
async fn what_is_there_already_is_not_touched() {
    let place = Place::new().await;
    let (mirror, worktree, _) = place.ready().await;
    assert!(matches!(place.try_create(&mirror).await, Err(WorktreeError::Exists(_))));
    worktree.remove().await.unwrap();
    write(&place.dir(), "precious", "x");
    assert!(matches!(place.try_create(&mirror).await, Err(WorktreeError::NotOurs(_))));
    assert!(matches!(worktree.remove().await, Err(WorktreeError::NotOurs(_))));
    assert_eq!(read(&place.dir(), "precious"), b"x");
}

#[tokio::test]
async fn a_branch_of_the_servers_in_the_way_is_named() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    place.run(&repository, ["branch", "kugetsu"]);
    let mirror = place.mirror(&Source::Path(repository)).await;
    let error = place.try_create(&mirror).await.unwrap_err().to_string();
    assert!(error.contains("kugetsu/7-fix beside kugetsu,"), "{error}");
    assert!(!place.relay().exists());
}

#[tokio::test]
async fn odd_file_names_and_a_global_hook_path_work() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    for name in odd_names() {
        write(&repository, &name, name.as_os_str().as_encoded_bytes());
    }
    place.commit(&repository, "Odd");
    let mark = place.path("ran");
    trap(&place.path("hooks/post-commit"), &mark);
    place.run(&repository, ["config", "--global", "core.hooksPath", place.path("hooks").to_str().unwrap()]);
    let mirror = place.mirror(&Source::Path(repository)).await;
    let dir = place.create(&mirror).await.worktree.dir().to_owned();
    for name in odd_names() {
        assert_eq!(read(&dir, &name), name.as_os_str().as_encoded_bytes());
    }
    assert!(!mark.exists());
    place.commit(&dir, "Mine");
    assert!(mark.exists(), "the user's hooks run for the agent as they do for the user");
}

#[tokio::test]
async fn work_on_a_branch_of_the_servers_begins_there() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    place.run(&repository, ["switch", "--quiet", "-c", "feature/x"]);
    write(&repository, "feature", "1");
    let tip = place.commit(&repository, "Feature");
    place.run(&repository, ["switch", "--quiet", "main"]);
    let mirror = place.mirror(&url(&repository)).await;
    let feature = BranchName::new("feature/x").unwrap();
    let base = mirror.resolve(Some(&feature)).await.unwrap();
    let spec = WorktreeSpec { dir: place.dir(), relay: place.relay(), branch: feature, base };
    let created = Worktree::create(&mirror, spec, &mut quiet).await.unwrap();
    assert_eq!(created.base_sha, Some(tip));
    assert_eq!(
        place.run(created.worktree.dir(), ["status", "--branch", "--porcelain"]),
        "## feature/x...origin/feature/x"
    );
}

#[tokio::test]
async fn a_relay_that_was_removed_is_made_anew() {
    let place = Place::new().await;
    let (mirror, worktree, server) = place.ready().await;
    assert_eq!(worktree.refresh().await.unwrap(), Vec::<String>::new());
    std::fs::remove_dir_all(place.relay()).unwrap();
    let worktree = Worktree::open(&mirror, &place.dir(), &place.relay(), &branch()).await.unwrap();
    let notices = worktree.refresh().await.unwrap();
    assert!(notices.len() == 1 && notices[0].contains("was removed by somebody"), "{notices:?}");
    place.commit(worktree.dir(), "Mine");
    place.run(worktree.dir(), ["fetch", "--quiet", "origin"]);
    place.run(worktree.dir(), ["push", "--quiet"]);
    assert_eq!(place.oid(worktree.relay(), "kugetsu/7-fix"), place.oid(worktree.dir(), "HEAD"));
    assert_eq!(place.oid(worktree.relay(), "main"), place.oid(&server, "main"));
    worktree.remove().await.unwrap();
    assert!(!place.relay().exists());
}

#[tokio::test]
async fn the_hooks_of_the_users_template_are_there_and_only_the_agents_git_runs_them() {
    let place = Place::new().await;
    let template = place.path("template");
    let mark = place.path("ran");
    for hook in ["pre-commit", "post-checkout", "reference-transaction", "lib/helper"] {
        trap(&template.join("hooks").join(hook), &mark);
    }
    std::os::unix::fs::symlink("pre-commit", template.join("hooks/pre-merge-commit")).unwrap();
    write(&template, "hooks/pre-push.sample", "no\n");
    place.run(&place.path("home"), ["config", "--global", "init.templateDir", template.to_str().unwrap()]);
    let repository = place.empty("repository", &["--template="]);
    write(&repository, "README.md", "hello\n");
    place.commit(&repository, "First");
    let mirror = place.mirror(&Source::Path(repository)).await;
    let created = place.create(&mirror).await;
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
    place.commit(dir, "Mine");
    assert!(std::fs::read_to_string(&mark).unwrap().contains("pre-commit"));
}
