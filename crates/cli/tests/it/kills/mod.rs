//! Random kills of the daemon, runners, agents, git commands and commands, and what must hold afterwards.
//!
//! Each test makes [`COUNT`] kills in rounds. A round queues tasks whose agents record every file that they write in a
//! ledger outside of their worktrees, kills at random, lets everything end, and checks the home (`invariants.rs`).
//! `KUGETSU_KILLS` sets another number of kills per test, `KUGETSU_KILL_SEED` repeats the choices of a failed test; the
//! timing of the processes stays random.

mod case;
mod counting_git;
mod faulty_git;
mod git_calls;
mod invariants;
mod ledger;
mod random;
mod round;

use random::Random;
use round::Round;

/// Kills per test unless `KUGETSU_KILLS` is set.
const COUNT: u32 = 10;

const KILLS_IN_A_ROUND: u32 = 6;

#[test]
fn kills_lose_nothing_first() {
    campaign(1);
}

#[test]
fn kills_lose_nothing_second() {
    campaign(2);
}

#[test]
fn kills_lose_nothing_third() {
    campaign(3);
}

#[test]
fn kills_lose_nothing_fourth() {
    campaign(4);
}

fn campaign(number: u64) {
    let seed = variable("KUGETSU_KILL_SEED").unwrap_or_else(random::new_seed);
    let count = variable("KUGETSU_KILLS").unwrap_or(COUNT.into());
    let mut random = Random::new(seed.wrapping_add(number));
    eprintln!("KUGETSU_KILL_SEED={seed} repeats the choices of this test");
    let mut killed = 0;
    while killed < count {
        let kills = KILLS_IN_A_ROUND.min(u32::try_from(count - killed).unwrap_or(u32::MAX));
        eprintln!("--- kill {killed}");
        killed += u64::from(Round::new(&mut random).run(kills));
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}
