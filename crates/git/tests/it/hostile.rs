//! Nothing that an agent writes into its git directories takes effect on the host.

use std::os::unix::fs::symlink;
use std::path::Path;

use kugetsu_git::mirror::Source;
use kugetsu_git::push::Lease;
use kugetsu_git::rescue::{self, SaveSpec};

use crate::support::{Fixture, read, trap, write};

/// Adds everything to a repository that makes git run a program.
fn plant_traps(fixture: &Fixture, git_dir: &Path, files: Option<&Path>) {
    let trap_path = fixture.path("trap");
    let program = trap_path.display().to_string();
    let mut config = std::fs::read_to_string(git_dir.join("config")).unwrap();
    config.push_str(&format!(
        "[core]\n\tfsmonitor = {program}\n\tsshCommand = {program}\n\teditor = {program}\n\tpager = {program}\n\
         \tattributesFile = {program}.attributes\n\thooksPath = {program}.hooks\n\talternateRefsCommand = {program}\n\
         \tgitProxy = {program}\n\taskPass = {program}\n\
         [filter \"x\"]\n\tclean = {program}\n\tsmudge = {program}\n\trequired = true\n\
         [diff \"x\"]\n\ttextconv = {program}\n\tcommand = {program}\n[diff]\n\texternal = {program}\n\
         [merge \"x\"]\n\tdriver = {program}\n[credential]\n\thelper = {program}\n\
         [uploadpack]\n\tpackObjectsHook = {program}\n[gpg]\n\tprogram = {program}\n[commit]\n\tgpgSign = true\n\
         [extensions]\n\tpartialClone = evil\n[remote \"evil\"]\n\turl = ext::{program}\n\tpromisor = true\n\
         \tuploadpack = {program}\n\treceivepack = {program}\n[protocol]\n\tallow = always\n"
    ));
    std::fs::write(git_dir.join("config"), config).unwrap();
    for hook in [
        "pre-push",
        "post-checkout",
        "post-index-change",
        "reference-transaction",
        "pre-receive",
        "update",
        "post-update",
    ] {
        trap(&git_dir.join("hooks").join(hook), &fixture.path("ran"));
        trap(&trap_path.with_extension("hooks").join(hook), &fixture.path("ran"));
    }
    std::fs::create_dir_all(git_dir.join("info")).unwrap();
    std::fs::write(git_dir.join("info/attributes"), "* filter=x diff=x merge=x\n").unwrap();
    if let Some(files) = files {
        write(files, ".gitattributes", "* filter=x diff=x merge=x\n");
    }
}

#[tokio::test]
async fn no_program_of_the_agent_runs_on_the_host() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    let base = mirror.resolve_base(None).await.unwrap().commit;
    let dir = worktree.dir();
    trap(&fixture.path("trap"), &fixture.path("ran"));
    write(dir, "work.txt", "work\n");
    let head = fixture.commit(dir, "Work");
    fixture.run(dir, ["push", "--quiet"]);
    // A nested repository that git takes for a submodule.
    let nested = dir.join("nested");
    std::fs::create_dir(&nested).unwrap();
    fixture.run(&nested, ["init", "--quiet"]);
    write(&nested, "inner.txt", "inner\n");
    fixture.commit(&nested, "Inner");
    fixture.run(dir, ["-c", "advice.addEmbeddedRepo=false", "add", "nested"]);
    plant_traps(&fixture, &nested.join(".git"), Some(&nested));
    plant_traps(&fixture, &worktree.git_dir(), Some(dir));
    plant_traps(&fixture, worktree.relay(), None);
    // The same size and other content, so that git has to read the file.
    write(dir, "README.md", "HELLO\n");
    let ran = || std::fs::read_to_string(fixture.path("ran")).unwrap_or_default();

    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.best_head.as_ref(), status.commits), (Some(&head), 1));
    assert!(status.uncommitted.contains(&"README.md".to_owned()), "{status:?}");
    assert_eq!(ran(), "", "status");
    assert!(!rescue::work_at_risk(&mirror, &worktree).await.unwrap().is_empty());
    assert_eq!(ran(), "", "work_at_risk");
    worktree.refresh().await.unwrap();
    assert_eq!(ran(), "", "refresh");
    let spec = SaveSpec { issue_number: 7, reason: "test".to_owned(), at: "1".to_owned(), max_file: u64::MAX };
    let saved = rescue::save(&mirror, &worktree, spec).await.unwrap().unwrap();
    assert_eq!(ran(), "", "save");
    rescue::show(&mirror, &saved.name).await.unwrap();
    assert_eq!(ran(), "", "show");
    mirror.push(&worktree, &head, Lease::Expect(None)).await.unwrap();
    assert_eq!(ran(), "", "publish");
    rescue::restore(&mirror, &saved.name, &fixture.path("back")).await.unwrap();
    assert_eq!(ran(), "", "restore");
    assert_eq!(read(&fixture.path("back"), "nested/inner.txt"), b"inner\n");
    assert_eq!(fixture.oid(&server, "kugetsu/7-fix"), head);
    worktree.remove().await.unwrap();
    assert_eq!(ran(), "", "remove");
    // The traps work: the agent's git springs them.
    trap(&fixture.path("trap"), &fixture.path("ran"));
    let own = fixture.path("own");
    fixture.run(&fixture.path("home"), ["init", "--quiet", own.to_str().unwrap()]);
    plant_traps(&fixture, &own.join(".git"), Some(&own));
    let _ = fixture.command(&own).args(["add", "--all"]).output();
    assert_ne!(ran(), "");
}

#[tokio::test]
async fn probe_runs_the_users_filters_and_no_program_of_the_repository() {
    let fixture = Fixture::new().await;
    let ran = || std::fs::read_to_string(fixture.path("ran")).unwrap_or_default();
    let (theirs, users) = (fixture.path("trap"), fixture.path("users"));
    trap(&theirs, &fixture.path("ran"));
    trap(&users, &fixture.path("users-ran"));
    let with_traps = async |name: &str, config: &str| {
        let repository = fixture.repository(name);
        fixture.run(&repository, ["config", "extensions.worktreeConfig", "true"]);
        plant_traps(&fixture, &repository.join(".git"), Some(&repository));
        let own = format!("[filter \"x\"]\n\tprocess = {0}\n[filter \"w\"]\n\tclean = {0}\n", theirs.display());
        std::fs::write(repository.join(".git/config.worktree"), own).unwrap();
        std::fs::write(repository.join(".git/more"), config).unwrap();
        let mut text = std::fs::read_to_string(repository.join(".git/config")).unwrap();
        text.push_str("[include]\n\tpath = more\n");
        std::fs::write(repository.join(".git/config"), text).unwrap();
        // The same size and other content, so that git has to read the file.
        write(&repository, "README.md", "HELLO\n");
        repository
    };
    for name in ["x", "w", "included", "lfs"] {
        let config = format!(
            "[filter \"included\"]\n\tclean = {0}\n\trequired\n[lfs \"extension.x\"]\n\tclean = {0}\n\
             [filter \"lfs\"]\n\tclean = {0}\n",
            theirs.display()
        );
        let repository = with_traps(name, &config).await;
        for attributes in [".git/info/attributes", ".gitattributes"] {
            write(&repository, attributes, format!("README.md filter={name}\n"));
        }
        let probe = Source::Path(repository).probe(&fixture.git).await.unwrap();
        assert_eq!((probe.uncommitted, ran()), (2, String::new()), "{name}");
    }
    fixture.run(&fixture.path("home"), ["config", "--global", "filter.user.clean", users.to_str().unwrap()]);
    let repository = with_traps("user", &format!("[filter \"user\"]\n\tclean = {}\n", theirs.display())).await;
    write(&repository, ".git/info/attributes", "README.md filter=user\n");
    let probe = Source::Path(repository).probe(&fixture.git).await.unwrap();
    assert_eq!((probe.uncommitted, ran()), (2, String::new()));
    assert!(fixture.path("users-ran").exists(), "the user's filter runs");
}

#[tokio::test]
async fn users_filters_never_run_on_the_agents_files() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let program = fixture.path("trap");
    trap(&program, &fixture.path("ran"));
    for key in ["filter.user.clean", "diff.user.textconv", "diff.external"] {
        fixture.run(&fixture.path("home"), ["config", "--global", key, program.to_str().unwrap()]);
    }
    write(worktree.dir(), ".gitattributes", "* filter=user diff=user\n");
    write(worktree.dir(), "README.md", "HELLO\n");
    worktree.status(None).await.unwrap();
    rescue::work_at_risk(&mirror, &worktree).await.unwrap();
    let spec = SaveSpec { issue_number: 7, reason: "test".to_owned(), at: "1".to_owned(), max_file: u64::MAX };
    let saved = rescue::save(&mirror, &worktree, spec).await.unwrap().unwrap();
    rescue::show(&mirror, &saved.name).await.unwrap();
    assert_eq!(std::fs::read_to_string(fixture.path("ran")).unwrap_or_default(), "");
    // The agent's git runs the filters.
    fixture.run(worktree.dir(), ["add", "--all"]);
    assert_ne!(std::fs::read_to_string(fixture.path("ran")).unwrap_or_default(), "");
}

#[tokio::test]
async fn links_and_alternates_open_no_other_repository() {
    let fixture = Fixture::new().await;
    let secret = fixture.repository("secret");
    write(&secret, "secret.txt", "secret\n");
    let private = fixture.commit(&secret, "Private");
    let (mirror, worktree, server) = fixture.ready().await;
    let dir = worktree.dir();
    let objects = dir.join(".git/objects");
    let alternates = format!("{}\n{}\n", mirror.objects().display(), secret.join(".git/objects").display());
    std::fs::write(objects.join("info/alternates"), alternates).unwrap();
    fixture.run(dir, ["update-ref", "refs/heads/kugetsu/7-fix", private.as_str()]);
    assert_eq!(worktree.best_head(None).await.unwrap(), None);
    assert!(mirror.push(&worktree, &private, Lease::Expect(None)).await.is_err());

    // The same with links.
    std::fs::write(objects.join("info/alternates"), format!("{}\n", mirror.objects().display())).unwrap();
    let object = private.as_str();
    let (two, rest) = object.split_at(2);
    let theirs = secret.join(".git/objects").join(two);
    std::fs::create_dir_all(objects.join(two)).unwrap();
    let _ = symlink(theirs.join(rest), objects.join(two).join(rest));
    std::fs::remove_dir_all(objects.join("pack")).unwrap();
    symlink(secret.join(".git/objects/pack"), objects.join("pack")).unwrap();
    assert!(mirror.push(&worktree, &private, Lease::Expect(None)).await.is_err());
    assert!(fixture.command(&server).args(["cat-file", "-e", object]).status().is_ok_and(|status| !status.success()));

    // Links in the files are saved as links.
    fixture.run(dir, ["update-ref", "-d", "refs/heads/kugetsu/7-fix"]);
    symlink(&secret, dir.join("way-out")).unwrap();
    std::fs::remove_dir_all(dir.join("src")).unwrap();
    symlink(&secret, dir.join("src")).unwrap();
    let spec = SaveSpec { issue_number: 7, reason: "test".to_owned(), at: "1".to_owned(), max_file: u64::MAX };
    let saved = rescue::save(&mirror, &worktree, spec).await.unwrap().unwrap();
    let tree = fixture.run(mirror.dir(), ["ls-tree", "-r", &saved.name]);
    assert!(tree.contains("120000 blob") && tree.contains("way-out") && !tree.contains("secret.txt"), "{tree}");

    // A git directory that is a link is ignored.
    std::fs::remove_dir_all(dir.join(".git")).unwrap();
    symlink(secret.join(".git"), dir.join(".git")).unwrap();
    assert_eq!(worktree.status(None).await.unwrap().head, None);
    worktree.remove().await.unwrap();
    assert_eq!(read(&secret, "secret.txt"), b"secret\n");
}

#[tokio::test]
async fn object_that_does_not_match_its_id_is_not_imported() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let dir = worktree.dir();
    write(dir, "good", "good\n");
    let head = fixture.commit(dir, "Mine");
    write(dir, "evil", "evil\n");
    let good = fixture.oid(dir, "HEAD:good").to_string();
    let evil = fixture.run(dir, ["hash-object", "-w", "evil"]);
    let file = |oid: &str| dir.join(".git/objects").join(&oid[..2]).join(&oid[2..]);
    std::fs::remove_file(file(&good)).unwrap();
    std::fs::copy(file(&evil), file(&good)).unwrap();
    mirror.push(&worktree, &head, Lease::Expect(None)).await.unwrap_err();
}
