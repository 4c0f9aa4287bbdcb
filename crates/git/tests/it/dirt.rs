//! A restored worktree is equal to the one that was saved, whatever was in it.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use kugetsu_git::mirror::Mirror;
use kugetsu_git::names::BranchName;
use kugetsu_git::rescue::{self, SaveSpec};
use kugetsu_git::worktree::{Worktree, WorktreeSpec};

use crate::support::{Fixture, quiet, unusual_names, write};

type Make = fn(&Fixture, &Path);

/// Runs git, which may fail: a conflict is what many kinds want.
fn git(fixture: &Fixture, dir: &Path, args: &[&str]) {
    fixture.command(dir).args(args).output().unwrap();
}

fn set_mode(dir: &Path, name: &str, mode: u32) {
    std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Makes two branches that change `README.md` in different ways, and checks out the issue's branch, which is one of them.
fn diverge(fixture: &Fixture, dir: &Path) {
    fixture.run(dir, ["branch", "theirs"]);
    write(dir, "README.md", "mine\n");
    fixture.commit(dir, "Mine");
    fixture.run(dir, ["switch", "--quiet", "theirs"]);
    write(dir, "README.md", "theirs\n");
    fixture.commit(dir, "Theirs");
    fixture.run(dir, ["switch", "--quiet", "-"]);
}

const WORKING_FILES: &[(&str, Make)] = &[
    ("untracked file", |_, dir| write(dir, "new", "1\n")),
    ("untracked directory", |_, dir| write(dir, "new/deep/file", "1\n")),
    ("untracked program", |_, dir| {
        write(dir, "run", "#!/bin/sh\n");
        set_mode(dir, "run", 0o755);
    }),
    ("empty file", |_, dir| write(dir, "empty", "")),
    ("carriage returns", |_, dir| write(dir, "README.md", "hello\r\n")),
    ("modified file", |_, dir| write(dir, "README.md", "changed\n")),
    ("deleted file", |_, dir| std::fs::remove_file(dir.join("README.md")).unwrap()),
    ("everything deleted", |_, dir| {
        std::fs::remove_file(dir.join("README.md")).unwrap();
        std::fs::remove_dir_all(dir.join("src")).unwrap();
    }),
    ("program that was none", |_, dir| set_mode(dir, "README.md", 0o755)),
    ("untracked link", |_, dir| symlink("nowhere/../x", dir.join("link")).unwrap()),
    ("file that became a link", |_, dir| {
        std::fs::remove_file(dir.join("README.md")).unwrap();
        symlink("src/a.txt", dir.join("README.md")).unwrap();
    }),
    ("file that became a directory", |_, dir| {
        std::fs::remove_file(dir.join("README.md")).unwrap();
        write(dir, "README.md/file", "1\n");
    }),
    ("directory that became a file", |_, dir| {
        std::fs::remove_dir_all(dir.join("src")).unwrap();
        write(dir, "src", "1\n");
    }),
    ("unusual names", |_, dir| {
        for name in unusual_names() {
            write(dir, &name, name.as_os_str().as_encoded_bytes());
        }
    }),
    ("binary file", |_, dir| {
        let bytes: Vec<u8> = (0..300_000u32).map(|n| (n * 7 + n / 251) as u8).collect();
        write(dir, "binary", bytes);
    }),
    ("ignored by info/exclude", |_, dir| {
        write(dir, ".git/info/exclude", "*.log\n");
        write(dir, "kept.txt", "1\n");
    }),
];

const INDEX: &[(&str, Make)] = &[
    ("staged file", |fixture, dir| {
        write(dir, "new", "1\n");
        fixture.run(dir, ["add", "new"]);
    }),
    ("staged, then changed", |fixture, dir| {
        write(dir, "README.md", "staged\n");
        fixture.run(dir, ["add", "README.md"]);
        write(dir, "README.md", "unstaged\n");
    }),
    ("staged, then deleted", |fixture, dir| {
        write(dir, "new", "1\n");
        fixture.run(dir, ["add", "new"]);
        std::fs::remove_file(dir.join("new")).unwrap();
    }),
    ("removed from the index only", |fixture, dir| {
        fixture.run(dir, ["rm", "--quiet", "--cached", "README.md"]);
    }),
    ("removed and staged", |fixture, dir| {
        fixture.run(dir, ["rm", "--quiet", "README.md"]);
    }),
    ("renamed", |fixture, dir| {
        fixture.run(dir, ["mv", "README.md", "READ.me"]);
    }),
    ("staged mode", |fixture, dir| {
        set_mode(dir, "README.md", 0o755);
        fixture.run(dir, ["add", "README.md"]);
    }),
    ("intent to add", |fixture, dir| {
        write(dir, "new", "1\n");
        write(dir, "d/[x]", "1\n");
        fixture.run(dir, ["add", "--intent-to-add", "new", "d"]);
    }),
    ("intent to add beside staged", |fixture, dir| {
        write(dir, "new", "1\n");
        write(dir, "other", "1\n");
        fixture.run(dir, ["add", "--intent-to-add", "new"]);
        fixture.run(dir, ["add", "other"]);
    }),
    ("assumed unchanged", |fixture, dir| {
        fixture.run(dir, ["update-index", "--assume-unchanged", "README.md"]);
        write(dir, "new", "1\n");
    }),
    ("assumed unchanged, but changed", |fixture, dir| {
        fixture.run(dir, ["update-index", "--assume-unchanged", "README.md"]);
        write(dir, "README.md", "changed\n");
    }),
    ("skipped, but changed", |fixture, dir| {
        fixture.run(dir, ["update-index", "--skip-worktree", "README.md"]);
        write(dir, "README.md", "changed\n");
    }),
    ("sparse checkout", |fixture, dir| {
        fixture.run(dir, ["sparse-checkout", "set", "--cone", "other"]);
        write(dir, "other/new", "1\n");
        assert!(!dir.join("src").exists());
    }),
    ("split index", |fixture, dir| {
        fixture.run(dir, ["update-index", "--split-index"]);
        write(dir, "README.md", "staged\n");
        fixture.run(dir, ["add", "README.md"]);
    }),
    ("index of version 4", |fixture, dir| {
        fixture.run(dir, ["update-index", "--index-version", "4"]);
        write(dir, "README.md", "staged\n");
        fixture.run(dir, ["add", "README.md"]);
    }),
    ("staged pointer of a submodule without files", |fixture, dir| {
        let head = fixture.oid(dir, "HEAD");
        write(dir, ".gitmodules", "[submodule \"part\"]\n\tpath = part\n\turl = ../part\n");
        std::fs::create_dir(dir.join("part")).unwrap();
        fixture.run(dir, ["update-index", "--add", "--cacheinfo", &format!("160000,{head},part")]);
        fixture.run(dir, ["add", ".gitmodules"]);
    }),
];

const HISTORY: &[(&str, Make)] = &[
    ("commit", |fixture, dir| {
        write(dir, "new", "1\n");
        fixture.commit(dir, "Mine");
    }),
    ("other branch", |fixture, dir| {
        fixture.run(dir, ["switch", "--quiet", "-c", "other"]);
        fixture.commit(dir, "Other");
        fixture.run(dir, ["switch", "--quiet", "-"]);
    }),
    ("detached HEAD", |fixture, dir| {
        fixture.run(dir, ["switch", "--quiet", "--detach"]);
        fixture.commit(dir, "Detached");
    }),
    ("branch without a commit", |fixture, dir| {
        fixture.run(dir, ["switch", "--quiet", "--orphan", "new"]);
        write(dir, "new", "1\n");
        fixture.run(dir, ["add", "new"]);
    }),
    ("light and annotated tags", |fixture, dir| {
        fixture.commit(dir, "Tagged");
        fixture.run(dir, ["tag", "light"]);
        fixture.run(dir, ["tag", "--annotate", "-m", "Annotated", "annotated"]);
    }),
    ("tags of a file and a directory", |fixture, dir| {
        write(dir, "README.md", "tagged\n");
        fixture.commit(dir, "Tagged");
        fixture.run(dir, ["tag", "file", "HEAD:README.md"]);
        fixture.run(dir, ["tag", "directory", "HEAD:src"]);
    }),
    ("notes", |fixture, dir| {
        fixture.run(dir, ["notes", "add", "-m", "Noted"]);
    }),
    ("stash", |fixture, dir| {
        write(dir, "README.md", "stashed\n");
        fixture.run(dir, ["stash", "--quiet"]);
    }),
    ("stashes with names and untracked files", |fixture, dir| {
        for n in ["one", "two", "three"] {
            write(dir, "README.md", n);
            write(dir, n, n);
            fixture.run(dir, ["stash", "push", "--quiet", "--include-untracked", "--message", n]);
        }
    }),
    ("refs in reftable format", |fixture, dir| {
        write(dir, "README.md", "stashed\n");
        fixture.run(dir, ["stash", "--quiet"]);
        write(dir, "README.md", "more\n");
        fixture.run(dir, ["stash", "--quiet"]);
        fixture.commit(dir, "Mine");
        fixture.run(dir, ["branch", "other"]);
        git(fixture, dir, &["refs", "migrate", "--ref-format=reftable"]);
    }),
    ("packed objects and refs", |fixture, dir| {
        write(dir, "packed", "1\n");
        fixture.commit(dir, "Mine");
        fixture.run(dir, ["branch", "other"]);
        fixture.run(dir, ["repack", "--quiet", "-a", "-d", "-l"]);
        fixture.run(dir, ["pack-refs", "--all"]);
    }),
];

const OPERATIONS: &[(&str, Make)] = &[
    ("merge with a conflict", |fixture, dir| {
        diverge(fixture, dir);
        git(fixture, dir, &["merge", "--quiet", "theirs"]);
    }),
    ("merge without a commit", |fixture, dir| {
        diverge(fixture, dir);
        git(fixture, dir, &["merge", "--quiet", "--no-commit", "--strategy=ours", "theirs"]);
        write(dir, "src/a.txt", "changed\n");
    }),
    ("merge with files that were set aside", |fixture, dir| {
        diverge(fixture, dir);
        write(dir, "src/a.txt", "set aside\n");
        git(fixture, dir, &["merge", "--quiet", "--autostash", "theirs"]);
        assert!(dir.join(".git/MERGE_AUTOSTASH").exists());
    }),
    ("conflict of a deletion", |fixture, dir| {
        fixture.run(dir, ["branch", "theirs"]);
        write(dir, "README.md", "mine\n");
        fixture.commit(dir, "Mine");
        fixture.run(dir, ["switch", "--quiet", "theirs"]);
        fixture.run(dir, ["rm", "--quiet", "README.md"]);
        fixture.run(dir, ["commit", "--quiet", "-m", "Theirs"]);
        fixture.run(dir, ["switch", "--quiet", "-"]);
        git(fixture, dir, &["merge", "--quiet", "theirs"]);
    }),
    ("conflict of two additions beside staged files", |fixture, dir| {
        fixture.run(dir, ["branch", "theirs"]);
        write(dir, "both", "mine\n");
        fixture.commit(dir, "Mine");
        fixture.run(dir, ["switch", "--quiet", "theirs"]);
        write(dir, "both", "theirs\n");
        write(dir, "only", "theirs\n");
        fixture.commit(dir, "Theirs");
        fixture.run(dir, ["switch", "--quiet", "-"]);
        git(fixture, dir, &["merge", "--quiet", "theirs"]);
    }),
    ("cherry-pick with a conflict", |fixture, dir| {
        diverge(fixture, dir);
        git(fixture, dir, &["cherry-pick", "theirs"]);
    }),
    ("revert without a commit", |fixture, dir| {
        diverge(fixture, dir);
        git(fixture, dir, &["revert", "--no-commit", "HEAD"]);
    }),
    ("stash that did not apply", |fixture, dir| {
        write(dir, "README.md", "stashed\n");
        fixture.run(dir, ["stash", "--quiet"]);
        write(dir, "README.md", "mine\n");
        fixture.commit(dir, "Mine");
        git(fixture, dir, &["stash", "pop"]);
    }),
    ("rebase with a conflict", |fixture, dir| {
        diverge(fixture, dir);
        git(fixture, dir, &["rebase", "--quiet", "theirs"]);
    }),
    ("rebase with files that were set aside", |fixture, dir| {
        diverge(fixture, dir);
        write(dir, "src/a.txt", "set aside\n");
        git(fixture, dir, &["rebase", "--quiet", "--autostash", "theirs"]);
        assert!(dir.join(".git/rebase-merge/autostash").exists());
    }),
    // All commits of these are on the server, and all files are as in HEAD.
    ("merge of nothing new", |fixture, dir| {
        let merged = fixture.oid(dir, "HEAD").to_string();
        write(dir, ".git/MERGE_HEAD", format!("{merged}\n"));
        write(dir, ".git/MERGE_MSG", "Merge\n");
        write(dir, ".git/MERGE_MODE", "");
    }),
    ("bisect without commits", |fixture, dir| {
        fixture.run(dir, ["bisect", "start"]);
        fixture.run(dir, ["bisect", "bad"]);
    }),
    ("bisect", |fixture, dir| {
        for n in 0..4 {
            fixture.commit(dir, &n.to_string());
        }
        fixture.run(dir, ["bisect", "start", "HEAD", "HEAD~4"]);
    }),
];

/// Everything about a worktree that must be the same.
fn state(fixture: &Fixture, dir: &Path) -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    let mut add = |args: &[&str]| {
        let output = fixture.command(dir).args(args).output().unwrap();
        state.insert(args.join(" "), String::from_utf8_lossy(&output.stdout).into_owned());
    };
    add(&["status", "--porcelain=v2", "--untracked-files=all", "--show-stash"]);
    add(&["ls-files", "--stage", "-v"]);
    add(&["diff", "--cached", "--raw", "--ita-visible-in-index"]);
    add(&["stash", "list", "--format=%H %gd %gs"]);
    add(&["symbolic-ref", "--quiet", "HEAD"]);
    add(&["for-each-ref", "--format=%(objectname) %(objecttype) %(refname)", "refs/heads", "refs/tags", "refs/notes"]);
    add(&["for-each-ref", "--format=%(objectname) %(refname)", "refs/stash", "refs/bisect"]);
    for name in ["HEAD", "ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "MERGE_AUTOSTASH"] {
        add(&["rev-parse", "--verify", "--quiet", name]);
    }
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let (name, meta) = (path.strip_prefix(dir).unwrap().to_owned(), path.symlink_metadata().unwrap());
            if name == Path::new(".git") {
                continue;
            }
            let content = if meta.is_symlink() {
                format!("link {:?}", std::fs::read_link(&path).unwrap())
            } else if meta.is_dir() {
                dirs.push(path);
                "directory".to_owned()
            } else {
                let mode = meta.permissions().mode() & 0o111;
                format!("{mode:o} {}", std::fs::read(&path).unwrap().escape_ascii())
            };
            state.insert(format!("file {name:?}"), content);
        }
    }
    state
}

async fn worktree(fixture: &Fixture, mirror: &Mirror, number: u64) -> Worktree {
    let spec = WorktreeSpec {
        dir: fixture.path(&format!("worktrees/{number}")),
        relay: fixture.path(&format!("relays/{number}")),
        branch: BranchName::new(format!("kugetsu/{number}")).unwrap(),
        base: mirror.resolve_base(None).await.unwrap(),
    };
    Worktree::create(mirror, spec, &mut quiet).await.unwrap().worktree
}

async fn check(kinds: &[(&str, Make)]) {
    let fixture = Fixture::new().await;
    let server = fixture.server(&fixture.repository("repository"));
    let mirror = fixture.mirror(&crate::support::url(&server)).await;
    let mut different = Vec::new();
    for (number, (kind, make)) in (1..).zip(kinds) {
        let worktree = worktree(&fixture, &mirror, number).await;
        make(&fixture, worktree.dir());
        let before = state(&fixture, worktree.dir());
        let spec =
            SaveSpec { issue_number: number, reason: (*kind).to_owned(), at: "1".to_owned(), max_file: u64::MAX };
        let saved = rescue::save(&mirror, &worktree, spec).await.unwrap();
        let saved = saved.unwrap_or_else(|| panic!("{kind}: nothing was saved"));
        assert_eq!((saved.unsaved, saved.notices), (Vec::new(), Vec::<String>::new()), "{kind}");
        worktree.remove().await.unwrap();
        let back = fixture.path(&format!("back/{number}"));
        rescue::restore(&mirror, &saved.name, &back).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
        let after = state(&fixture, &back);
        for key in before.keys().chain(after.keys()) {
            let (before, after) = (before.get(key), after.get(key));
            if before != after {
                different.push(format!("{kind}: {key}\n  before: {before:?}\n  after:  {after:?}"));
            }
        }
        fixture.run(&back, ["fsck", "--no-dangling"]);
    }
    different.dedup();
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[tokio::test]
async fn files_are_restored() {
    check(WORKING_FILES).await;
}

#[tokio::test]
async fn index_is_restored() {
    check(INDEX).await;
}

#[tokio::test]
async fn history_is_restored() {
    check(HISTORY).await;
}

#[tokio::test]
async fn unfinished_operations_are_restored() {
    check(OPERATIONS).await;
}
