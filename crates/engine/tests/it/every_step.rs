//! Plays a scenario once for each step at which the daemon can die.

use std::collections::HashSet;

use kugetsu_domain::machine::Machine;
use kugetsu_store::fuse::Fuse;
use kugetsu_store::query::{ViewFilter, ViewQuery};

use crate::world::{Daemon, World};

/// Fewer steps than any scenario has. A smaller number means that the daemon does not die.
const STEPS_LEAST: usize = 2;
/// Steps in the lives of daemons that die one after the other: enough for a runner to report three facts again and one
/// that is new, whose answer is lost in the first of them.
const LIVES: [usize; 2] = [7, 8];
/// More daemons than any scenario needs.
const DAEMONS_MOST: usize = 40;

/// Something that a user does, and what must have come of it at the end.
pub(crate) trait Scenario {
    async fn world(&self) -> World {
        World::new(2).await
    }

    /// Prepares the death of the next daemon after this number of steps.
    fn arm(&self, steps: usize) -> Fuse {
        Fuse::after(steps)
    }

    /// Waits until the daemon dies.
    async fn death(&self, daemon: &Daemon) {
        daemon.fuse.blown().await;
    }

    /// Does what the user does and waits for the end. If the daemon dies meanwhile, it is called again with the next one.
    async fn play(&self, world: &World, daemon: &Daemon);

    /// Checks the outcome, which is the same wherever the daemon died.
    async fn check(&self, world: &World, daemon: &Daemon);
}

/// Kills the daemon once at each step, and lets the next one finish.
pub(crate) async fn survives_a_death_at_every_step(scenario: &impl Scenario) {
    for steps in 0.. {
        if !survives_a_death_after(steps, scenario).await {
            assert!(steps > STEPS_LEAST, "the daemon did not die within {steps} steps");
            return;
        }
    }
}

/// Kills the daemon once at each of the last `count` steps, for a scenario that repeats itself until then.
pub(crate) async fn survives_a_death_at_the_last(count: usize, scenario: &impl Scenario) {
    let world = scenario.world().await;
    let daemon = world.daemon();
    assert!(!dies(scenario, &world, &daemon).await);
    let all = daemon.fuse.taken();
    daemon.kill().await;
    for steps in all - count..all {
        survives_a_death_after(steps, scenario).await;
    }
}

/// Returns whether the daemon died before the end.
async fn survives_a_death_after(steps: usize, scenario: &impl Scenario) -> bool {
    let world = scenario.world().await;
    let daemon = world.daemon_with(scenario.arm(steps));
    let is_dead = dies(scenario, &world, &daemon).await;
    let daemon = match is_dead {
        true => {
            daemon.kill().await;
            let next = world.daemon();
            scenario.play(&world, &next).await;
            next
        }
        false => daemon,
    };
    finish(scenario, &world, daemon, &format!("a daemon that died after {steps} steps")).await;
    is_dead
}

/// Kills daemon after daemon until one lives to see the end.
pub(crate) async fn survives_short_lived_daemons(scenario: &impl Scenario) {
    for steps in LIVES {
        let world = scenario.world().await;
        let mut dead = 0;
        loop {
            let daemon = world.daemon_with(scenario.arm(steps));
            if !dies(scenario, &world, &daemon).await {
                assert!(dead > 0, "the first daemon must die");
                finish(scenario, &world, daemon, &format!("{dead} daemons that died after {steps} steps each")).await;
                break;
            }
            daemon.kill().await;
            dead += 1;
            assert!(dead < DAEMONS_MOST, "{dead} daemons did not finish it");
        }
    }
}

/// Plays the scenario. Returns whether the daemon died before the end.
async fn dies(scenario: &impl Scenario, world: &World, daemon: &Daemon) -> bool {
    tokio::select! {
        () = scenario.death(daemon) => true,
        () = async {
            scenario.play(world, daemon).await;
            all_effects_end(daemon).await;
        } => false,
    }
}

async fn finish(scenario: &impl Scenario, world: &World, daemon: Daemon, after: &str) {
    eprintln!("after {after}");
    all_effects_end(&daemon).await;
    nothing_is_lost_or_done_twice(world, &daemon).await;
    scenario.check(world, &daemon).await;
    daemon.kill().await;
}

async fn all_effects_end(daemon: &Daemon) {
    for issue in daemon.all_issues().await {
        daemon.no_effects(issue).await;
    }
}

async fn nothing_is_lost_or_done_twice(world: &World, daemon: &Daemon) {
    let store = &daemon.store;
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    let views = store.views(ViewQuery::new(ViewFilter::All)).await.unwrap().views;
    for view in &views {
        assert!(view.task.state.is_final(), "{} is left: {:?}", view.reference, view.task.state);
        assert!(view.run.as_ref().is_none_or(|run| run.state.is_final()), "a run of {} is left", view.reference);
    }
    let numbers: Vec<i64> = store.events_after(None, 0, 10_000).await.unwrap().iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>(), "events have no gaps");
    let runs = world.machine.started_runs();
    let unique: HashSet<_> = runs.iter().map(|(run, _)| run).collect();
    assert_eq!(unique.len(), runs.len(), "a run has one runner: {runs:?}");
    for (run, message) in runs {
        assert!(!world.home.run(run).temporary().exists(), "a temporary directory of {message:?} is left");
    }
}
