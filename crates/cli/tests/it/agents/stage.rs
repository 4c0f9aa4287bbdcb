//! A home with one real agent.

use std::time::Duration;

use kugetsu_agent::{Exception, Profile, profile};
use kugetsu_testkit::model::script::{Script, Step};
use kugetsu_testkit::{ModelServer, RealAgent, Repository, eventually_within};
use serde_json::Value;

use crate::world::World;

/// How long real agents may take on a slow machine.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1500);

pub(super) struct Stage {
    /// Its description in kugetsu, which the tests compare with what they see.
    pub(super) profile: Profile,
    pub(super) world: World,
    pub(super) model: ModelServer,
    pub(super) repository: Repository,
}

impl Stage {
    /// With the agent as the default one. Prints a line and returns `None` if it is not installed.
    pub(super) fn new(agent: RealAgent) -> Option<Self> {
        let program = agent.installed()?;
        let model = ModelServer::start(Script::say("hello"));
        let mut world = World::bare();
        world.limit = TIMEOUT;
        agent.write_files(&world.home, &model);
        let name = agent.name;
        let config =
            format!("[agent]\ndefault = {name:?}\n\n[agents.{name}]\nprogram = {program:?}\nargs = {:?}\n", agent.args);
        std::fs::write(world.home.kugetsu().join("config.toml"), config).unwrap();
        for (variable, value) in agent.env(&model) {
            world.run(["env", "set", variable, &value, name]);
        }
        let repository = world.repository("demo");
        Some(Self { profile: profile(name, &[]).unwrap(), world, model, repository })
    }

    /// Whether the agent's description names this exception. The test then expects it: an exception that is no longer true
    /// fails it.
    pub(super) fn has(&self, exception: Exception) -> bool {
        self.profile.exceptions().contains(&exception)
    }

    pub(super) fn queue(&self, steps: impl IntoIterator<Item = Step>) -> String {
        self.world.queue(&self.repository, &message(steps))
    }

    /// Waits until the latest run has ended, and returns it.
    #[track_caller]
    pub(super) fn ended(&self, reference: &str) -> Value {
        let is_end =
            |state: &Value| ["done", "blocked", "failed", "timeout", "canceled"].iter().any(|end| state == end);
        eventually_within(TIMEOUT, &format!("{reference} to end"), || {
            let run = self.world.latest(reference);
            if is_end(&run["state"]) { Ok(run) } else { Err(run) }
        })
    }
}

pub(super) fn message(steps: impl IntoIterator<Item = Step>) -> String {
    format!("do the job\n{}", Script::new(steps).as_message())
}

/// Writes a file and commits it.
pub(super) fn work() -> [Step; 2] {
    [Step::write("a.txt", "one\n"), Step::bash("git add -A && git commit -qm 'add a'")]
}

/// One test for each agent.
macro_rules! with_each_agent {
    ($run:ident: $($name:ident $agent:ident,)*) => {$(
        #[test]
        fn $name() {
            $run(kugetsu_testkit::real_agent::$agent);
        }
    )*};
}
pub(super) use with_each_agent;
