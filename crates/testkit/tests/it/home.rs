//! The hermetic home with the other test doubles in it.

use kugetsu_testkit::{Home, scripted_agent};
use serde_json::json;

use crate::acp::Agent;
#[cfg(target_os = "linux")]
use crate::alive::is_alive;

#[cfg(target_os = "linux")]
#[test]
fn dropping_the_home_kills_agents_programs_and_orphans() {
    let home = Home::new();
    let directory = home.path().to_owned();
    let (mut agent, session) = Agent::with_session(&home, home.path());
    agent.prompt(&session, "orphan").unwrap();
    agent.start_prompt(&session, "run sleep 600");
    agent.await_update(|update| update["status"] == "in_progress");
    kugetsu_testkit::eventually("the agent, its program and the orphan", || home.processes().len() >= 3);
    let processes = home.processes();
    drop(home);
    assert!(!agent.wait().success());
    assert!(!directory.exists());
    let left: Vec<_> = processes.into_iter().filter(|process| is_alive(process.pid)).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn path_of_the_home_is_searched_first() {
    let mut home = Home::new();
    let programs = home.folder("programs");
    std::os::unix::fs::symlink(scripted_agent(), programs.join("opencode")).unwrap();
    home.prepend_path(&programs);
    // Started by a shell of the home: `Command` would search the PATH of the test.
    let mut agent = Agent::spawn({
        let mut command = home.command("sh");
        command.args(["-c", "exec opencode acp"]);
        command
    });
    assert_eq!(agent.call("initialize", json!({})).unwrap()["agentInfo"]["name"], "Scripted agent");
}
