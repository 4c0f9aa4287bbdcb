//! Worktrees whose git directory was damaged.

use kugetsu_git::worktree::{Damage, Worktree};

use crate::support::{Fixture, write};

#[tokio::test]
async fn every_kind_of_damage_is_found() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let base = mirror.resolve_base(None).await.unwrap();
    let dir = worktree.dir().to_owned();
    let git = worktree.git_dir();
    // What agents do without harm.
    fixture.run(&dir, ["remote", "add", "other", "https://example.invalid/x"]);
    fixture.run(&dir, ["init", "--quiet"]);
    fixture.run(&dir, ["switch", "--quiet", "--orphan", "fresh"]);
    assert_eq!(worktree.damage().await.unwrap(), None);
    fixture.run(&dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    fixture.run(&dir, ["switch", "--quiet", "--detach"]);
    assert_eq!(worktree.damage().await.unwrap(), None);

    let remove = |name: &str| std::fs::remove_file(git.join(name)).unwrap();
    let cases: Vec<(Damage, Box<dyn Fn()>)> = vec![
        (Damage::Config, Box::new(|| write(&git, "config", "[core\nrubbish"))),
        (Damage::Config, Box::new(|| drop(fixture.run(&dir, ["config", "core.bare", "true"])))),
        (Damage::Config, Box::new(|| drop(fixture.run(&dir, ["config", "core.worktree", "/elsewhere"])))),
        (Damage::Config, Box::new(|| write(&git, "config", "rubbish\n"))),
        (Damage::Config, Box::new(|| remove("config"))),
        (Damage::Head, Box::new(|| write(&git, "HEAD", "rubbish"))),
        (Damage::Head, Box::new(|| remove("HEAD"))),
        (Damage::Index, Box::new(|| write(&git, "index", "rubbish"))),
        (Damage::Index, Box::new(|| write(&git, "index", ""))),
        (Damage::Index, Box::new(|| remove("index"))),
        (Damage::Alternates, Box::new(|| remove("objects/info/alternates"))),
        (Damage::Relay, Box::new(|| write(worktree.relay(), "HEAD", ""))),
        (Damage::Relay, Box::new(|| write(worktree.relay(), "config", "rubbish ["))),
        (Damage::GitDirMissing, Box::new(|| std::fs::remove_dir_all(&git).unwrap())),
        (
            Damage::GitDirReplaced,
            Box::new(|| {
                std::fs::remove_dir_all(&git).unwrap();
                fixture.run(&dir, ["init", "--quiet"]);
                fixture.commit(&dir, "A history of another origin");
            }),
        ),
        (Damage::DirectoryMissing, Box::new(|| std::fs::rename(&dir, fixture.path("moved")).unwrap())),
    ];
    for (damage, break_it) in cases {
        break_it();
        assert_eq!(worktree.damage().await.unwrap(), Some(damage));
        worktree.remove_damaged(damage).await.unwrap();
        let spec = kugetsu_git::worktree::WorktreeSpec {
            dir: dir.clone(),
            relay: worktree.relay().to_owned(),
            branch: worktree.branch().clone(),
            base: base.clone(),
        };
        Worktree::create(&mirror, spec, &mut crate::support::quiet).await.unwrap();
        assert_eq!(worktree.damage().await.unwrap(), None, "after {damage:?}");
        assert_eq!(fixture.run(&dir, ["status", "--porcelain"]), "");
    }
}
