//! Every cell of the table in `docs/agents.md`, and every exception, is compared with what the real agents do.

use kugetsu_agent::{Exception, agent_names, profile};
use kugetsu_testkit::real_agent;

const SCENARIOS: [(&str, &str); 10] = [
    ("canceled.rs", include_str!("canceled.rs")),
    ("continued.rs", include_str!("continued.rs")),
    ("coordinator.rs", include_str!("coordinator.rs")),
    ("killed.rs", include_str!("killed.rs")),
    ("main_job.rs", include_str!("main_job.rs")),
    ("model_choice.rs", include_str!("model_choice.rs")),
    ("model_failures.rs", include_str!("model_failures.rs")),
    ("outside.rs", include_str!("outside.rs")),
    ("refused.rs", include_str!("refused.rs")),
    ("silent.rs", include_str!("silent.rs")),
];

#[test]
fn every_built_in_agent_is_in_each_scenario() {
    let names: Vec<&str> = real_agent::ALL.iter().map(|agent| agent.name).collect();
    assert_eq!(agent_names(&[]), names);
    for (file, text) in SCENARIOS {
        for name in &names {
            assert!(text.contains(&format!(" needs_{name}_")), "{file} does not run with {name}");
        }
    }
}

#[test]
fn every_cell_and_exception_is_compared_with_the_agents() {
    let is_compared = |text: &str| SCENARIOS.iter().any(|(_, scenario)| scenario.contains(text));
    for cell in
        ["permission_support", "resume_support", "token_support", "cost_support", "deletion_support", "tool_support"]
    {
        assert!(is_compared(&format!("profile.{cell}()")), "no scenario compares {cell}");
    }
    let profiles: Vec<_> = agent_names(&[]).iter().map(|name| profile(name, &[]).unwrap()).collect();
    for exception in Exception::ALL {
        assert!(is_compared(&format!("Exception::{exception:?}")), "no scenario compares {exception:?}");
        assert!(profiles.iter().any(|profile| profile.exceptions().contains(&exception)), "{exception:?} is not used");
    }
}
