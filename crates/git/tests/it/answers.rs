//! A git that is killed is never read as an answer, whichever of the calls it is.

use std::path::{Path, PathBuf};

use kugetsu_git::mirror::Mirror;
use kugetsu_git::push::Lease;
use kugetsu_git::rescue;
use kugetsu_git::worktree::Worktree;

use crate::rescue::spec;
use crate::support::{Fixture, branch, url, write};

/// Which calls of git are killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kill {
    None,
    /// The call with this number, counted from 1. Git is started again.
    Once(usize),
    /// That call and all later ones.
    From(usize),
}

/// A `git` on the `PATH` of kugetsu that kills itself on request. Each call creates a file whose name is its number, since there may
/// be several at once.
struct Killer {
    dir: PathBuf,
}

impl Killer {
    async fn install(fixture: &mut Fixture) -> Self {
        let (real, dir) = (fixture.git.program().to_owned(), fixture.path("killer"));
        std::fs::create_dir_all(dir.join("calls")).unwrap();
        let script = format!(
            "#!/bin/sh\nread -r first last <{0}/kill\nset -C\ncall=1\n\
             while ! command : >{0}/calls/$call; do call=$((call + 1)); done 2>/dev/null\nset +C\n\
             [ $call -ge $first ] && [ $call -le $last ] && kill -9 $$\nexec {1} \"$@\"\n",
            dir.display(),
            real.display()
        );
        std::fs::write(dir.join("git"), script).unwrap();
        std::fs::set_permissions(dir.join("git"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let killer = Self { dir };
        killer.set(Kill::None);
        let path = format!("{}:{}", killer.dir.display(), std::env::var("PATH").unwrap());
        fixture.set_path(Path::new(&path)).await;
        killer
    }

    fn set(&self, kill: Kill) {
        let (first, last) = match kill {
            Kill::None => (1, 0),
            Kill::Once(call) => (call, call),
            Kill::From(call) => (call, usize::MAX >> 1),
        };
        std::fs::write(self.dir.join("kill"), format!("{first} {last}\n")).unwrap();
        std::fs::remove_dir_all(self.dir.join("calls")).unwrap();
        std::fs::create_dir(self.dir.join("calls")).unwrap();
    }

    /// Calls since the last [`set`](Self::set).
    fn calls(&self) -> usize {
        std::fs::read_dir(self.dir.join("calls")).unwrap().count()
    }
}

async fn ready() -> (Fixture, Killer, Mirror, Worktree, PathBuf) {
    let mut fixture = Fixture::new().await;
    let killer = Killer::install(&mut fixture).await;
    let server = fixture.server(&fixture.repository("repository"));
    let mirror = fixture.mirror(&url(&server)).await;
    let worktree = fixture.create(&mirror).await.worktree;
    (fixture, killer, mirror, worktree, server)
}

/// Every way to kill one of `calls` calls.
fn every(calls: usize) -> impl Iterator<Item = Kill> {
    (1..=calls).flat_map(|call| [Kill::Once(call), Kill::From(call)])
}

#[tokio::test]
async fn status_is_right_or_an_error() {
    let (fixture, killer, mirror, worktree, _) = ready().await;
    let base = mirror.resolve_base(None).await.unwrap().commit;
    write(worktree.dir(), "x", "1");
    let head = fixture.commit(worktree.dir(), "Mine");
    fixture.run(worktree.dir(), ["branch", "other"]);
    fixture.run(worktree.dir(), ["push", "--quiet"]);
    write(worktree.dir(), "y", "1");
    killer.set(Kill::None);
    let expected = worktree.status(base.as_ref()).await.unwrap();
    let risk = rescue::work_at_risk(&mirror, &worktree).await.unwrap();
    assert_eq!((expected.best_head.as_ref(), expected.commits, expected.uncommitted_total), (Some(&head), 1, 1));
    assert_eq!((risk.unpushed, risk.uncommitted_total), (1, 1));
    for kill in every(killer.calls()) {
        killer.set(kill);
        let status = match worktree.status(base.as_ref()).await {
            Ok(status) => {
                assert_eq!(status, expected, "{kill:?}");
                rescue::work_at_risk(&mirror, &worktree).await.map(|found| assert_eq!(found, risk, "{kill:?}")).is_ok()
            }
            Err(_) => false,
        };
        assert_eq!(status, matches!(kill, Kill::Once(_)), "{kill:?}");
    }
}

#[tokio::test]
async fn push_reaches_the_server_or_is_an_error() {
    let (fixture, killer, mirror, worktree, server) = ready().await;
    let mut pushed = None;
    let mut push = async |kill: Kill| {
        let head = fixture.commit(worktree.dir(), &format!("{kill:?}"));
        killer.set(kill);
        let result = mirror.push(&worktree, &head, Lease::Expect(pushed.clone())).await;
        let there = fixture.command(&server).args(["rev-parse", "--verify", "--quiet", branch().as_str()]).output();
        let there = String::from_utf8(there.unwrap().stdout).unwrap().trim().parse().ok();
        assert!(result.is_err() || there.as_ref() == Some(&head), "{kill:?}: {result:?}");
        pushed = there;
        (result.is_ok(), killer.calls())
    };
    let (_, calls) = push(Kill::None).await;
    assert!(calls > 3);
    let mut failed = 0;
    for kill in every(calls) {
        failed += usize::from(!push(kill).await.0);
    }
    // Only the push itself is not started again.
    assert_eq!(failed, calls + 1);
    assert!(push(Kill::None).await.0, "nothing is left that blocks the next push");
}

#[tokio::test]
async fn rescue_is_whole_or_an_error() {
    let (fixture, killer, mirror, worktree, _) = ready().await;
    let dir = worktree.dir();
    let save = async |n: usize, kill: Kill| {
        write(dir, "x", n.to_string());
        let head = fixture.commit(dir, "Mine");
        fixture.run(dir, ["branch", "--force", "other"]);
        write(dir, "staged", n.to_string());
        fixture.run(dir, ["add", "staged"]);
        write(dir, "untracked", n.to_string());
        killer.set(kill);
        let saved = rescue::save(&mirror, &worktree, spec(&format!("t{n}"))).await;
        let calls = killer.calls();
        killer.set(Kill::None);
        if let Ok(saved) = &saved {
            let saved = saved.as_ref().expect("something was there to be saved");
            assert_eq!((saved.unsaved.len(), saved.notices.len()), (0, 0), "{kill:?}: {saved:?}");
            fixture.run(mirror.dir(), ["merge-base", "--is-ancestor", head.as_str(), &saved.name]);
            for file in ["x", "staged", "untracked"] {
                let object = format!("{}:{file}", saved.name);
                assert_eq!(fixture.run(mirror.dir(), ["cat-file", "blob", &object]), n.to_string(), "{kill:?}");
            }
            fixture.run(dir, ["rm", "--quiet", "--cached", "staged"]);
        }
        (saved.is_ok(), calls)
    };
    let (_, calls) = save(0, Kill::None).await;
    for (n, kill) in every(calls).enumerate() {
        let (is_saved, made) = save(n + 1, kill).await;
        let is_last = matches!(kill, Kill::From(call) if made < call);
        assert!(is_saved == matches!(kill, Kill::Once(_)) || is_last, "{kill:?}");
    }
    assert!(save(calls * 2 + 1, Kill::None).await.0);
    assert_eq!(fixture.run(mirror.dir(), ["for-each-ref", "refs/kugetsu/outgoing"]), "");
}

#[tokio::test]
async fn mirror_and_worktree_are_made_although_git_is_killed() {
    let mut fixture = Fixture::new().await;
    let killer = Killer::install(&mut fixture).await;
    let server = fixture.server(&fixture.repository("repository"));
    let (mut call, mut is_over) = (0, false);
    while !is_over {
        call += 1;
        killer.set(Kill::Once(call));
        let mirror = fixture.mirror(&url(&server)).await;
        let worktree = fixture.create(&mirror).await.worktree;
        mirror.update(&mut crate::support::quiet).await.unwrap();
        is_over = killer.calls() < call;
        killer.set(Kill::None);
        assert_eq!(fixture.run(worktree.dir(), ["status", "--porcelain"]), "", "{call}");
        assert_eq!(fixture.run(worktree.dir(), ["branch", "--show-current"]), branch().as_str());
        worktree.remove().await.unwrap();
        std::fs::remove_dir_all(mirror.dir()).unwrap();
    }
    assert!(call > 10);
}
