//! The daemon dies at any point of the story: it comes to the same end.

use kugetsu_domain::reference::ForgeKind;
use kugetsu_store::fuse::Fuse;

use super::stage::{KINDS, Stage, deaths};

/// Fewer steps than the story has. A smaller number means that the daemon does not die.
const STEPS_LEAST: usize = 20;
/// Fewer changing requests than the story has; each is two steps.
const CHANGES_LEAST: usize = 8;
/// More daemons than the story needs.
const DAEMONS_MOST: usize = 60;

/// Plays the story with a daemon that dies when one of the fuses blows, and with the next one. Returns whether it died.
async fn survives(kind: ForgeKind, fuse: Fuse, requests: Fuse) -> bool {
    let stage = Stage::new(kind).await;
    let daemon = stage.daemon_with_two(fuse.clone(), requests.clone());
    let issue = stage.hand_over();
    let is_dead = tokio::select! {
        () = fuse.blown() => true,
        () = requests.blown() => true,
        () = stage.play(&daemon, issue) => false,
    };
    let daemon = match is_dead {
        true => {
            daemon.kill().await;
            let next = stage.daemon();
            stage.play(&next, issue).await;
            next
        }
        false => daemon,
    };
    eprintln!("{kind:?} after {} steps and {} of requests", fuse.taken(), requests.taken());
    stage.check(&daemon, issue).await;
    assert_eq!(daemon.store.check().await.unwrap(), Vec::<String>::new());
    daemon.kill().await;
    is_dead
}

async fn survives_a_death_at_any_write(kind: ForgeKind) {
    for steps in deaths(kind, 1) {
        let fuse = Fuse::after(steps);
        if !survives(kind, fuse.clone(), fuse).await {
            assert!(steps > STEPS_LEAST, "the daemon did not die within {steps} steps");
            return;
        }
    }
}

/// Before or after a request that changes something.
async fn survives_a_death_at_any_change(kind: ForgeKind) {
    for steps in deaths(kind, 1) {
        if !survives(kind, Fuse::after(usize::MAX - 1), Fuse::after(steps)).await {
            assert!(steps > CHANGES_LEAST, "the daemon did not die within {steps} requests");
            return;
        }
    }
}

#[tokio::test]
async fn death_at_a_write_changes_nothing_on_github() {
    survives_a_death_at_any_write(ForgeKind::GitHub).await;
}

#[tokio::test]
async fn death_at_a_write_changes_nothing_on_gitea() {
    survives_a_death_at_any_write(ForgeKind::Gitea).await;
}

#[tokio::test]
async fn death_at_a_write_changes_nothing_on_forgejo() {
    survives_a_death_at_any_write(ForgeKind::Forgejo).await;
}

#[tokio::test]
async fn death_at_a_write_changes_nothing_on_gitlab() {
    survives_a_death_at_any_write(ForgeKind::GitLab).await;
}

#[tokio::test]
async fn death_at_a_changing_request_changes_nothing_on_github() {
    survives_a_death_at_any_change(ForgeKind::GitHub).await;
}

#[tokio::test]
async fn death_at_a_changing_request_changes_nothing_on_gitea() {
    survives_a_death_at_any_change(ForgeKind::Gitea).await;
}

#[tokio::test]
async fn death_at_a_changing_request_changes_nothing_on_forgejo() {
    survives_a_death_at_any_change(ForgeKind::Forgejo).await;
}

#[tokio::test]
async fn death_at_a_changing_request_changes_nothing_on_gitlab() {
    survives_a_death_at_any_change(ForgeKind::GitLab).await;
}

#[tokio::test]
async fn short_lived_daemons_come_to_the_same_end() {
    for (kind, steps) in KINDS.into_iter().zip([17, 18, 19, 20]) {
        let stage = Stage::new(kind).await;
        let issue = stage.hand_over();
        for daemons in 0.. {
            assert!(daemons < DAEMONS_MOST, "{kind:?}: {daemons} daemons did not finish it");
            let fuse = Fuse::after(steps);
            let daemon = stage.daemon_with(fuse.clone());
            let is_dead = tokio::select! {
                () = fuse.blown() => true,
                () = stage.play(&daemon, issue) => false,
            };
            if !is_dead {
                assert!(daemons > 0, "the first daemon must die");
                stage.check(&daemon, issue).await;
                daemon.kill().await;
                break;
            }
            daemon.kill().await;
        }
    }
}
