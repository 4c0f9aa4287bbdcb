//! The process that sends a request: whether it belongs to a run. An agent without a sandbox can open the daemon's
//! socket, and must not give orders.
//!
//! A process of a run is recognized by its marker, by its cgroup, or by those of a process that started it. Orphans are
//! children of their runner. A process that leaves all of them, such as one that another daemon starts for the agent,
//! is not recognized.

use std::io;
use std::path::Path;

use kugetsu_api::home::Home;
use kugetsu_api::location::Location;
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::regular_file;
use kugetsu_api::run_spec::{IssueTool, Tool};
use kugetsu_domain::ids::RunId;
use kugetsu_process::{Ancestor, Pid, lineage};
use serde_json::Value;

/// The name under which the daemon starts runners.
const RUNNER: &str = "runner";

/// The process at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A process of no run, as far as that can be seen.
    Person,
    /// The runner of a run itself.
    Runner(RunId),
    /// A process that the agent or the runner of a run has started; `None` if it belongs to other work with an agent,
    /// such as the deletion of its session.
    Agent(Option<RunId>),
    /// It has ended, so it cannot be seen what it was.
    Gone,
}

impl Caller {
    /// Finds out which process this is. Where processes cannot be seen (no `/proc`), and for one in a pid namespace
    /// that this process does not see (0), the caller is a person: every process of a run is in this namespace or in
    /// one below it.
    pub fn of(home: &Home, pid: Option<i32>) -> Self {
        match pid {
            None | Some(..=0) => Self::Person,
            Some(pid) => Self::seen(home, lineage(Pid::from_raw(pid), Some(Pid::this()))),
        }
    }

    /// Finds out whether this process belongs to a run.
    pub fn this_process(home: &Home) -> Self {
        Self::seen(home, lineage(Pid::this(), None))
    }

    fn seen(home: &Home, lineage: io::Result<Vec<Ancestor>>) -> Self {
        match (lineage, Location::of(home)) {
            (Ok(lineage), Ok(location)) => classify(&lineage, &location.suffix(), |run| home.run(run).path().is_dir()),
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => Self::Gone,
            // Without a home there are no runs.
            (Ok(_), Err(_)) | (Err(_), _) => Self::Person,
        }
    }
}

/// `suffix` ends the markers of the home; `has_run` returns whether the home has a run with this ID.
fn classify(lineage: &[Ancestor], suffix: &str, has_run: impl Fn(RunId) -> bool) -> Caller {
    let runner = |ancestor: &Ancestor| runner_of(ancestor).filter(|run| has_run(*run));
    for (generation, ancestor) in lineage.iter().enumerate() {
        let markers = ancestor.cgroups.iter().chain(&ancestor.marker);
        if let Some(name) = markers.filter_map(|marker| marker.strip_suffix(suffix)).next_back() {
            return Caller::Agent(Location::run_of_marker(name).parse().ok());
        }
        match runner(ancestor) {
            Some(run) if generation == 0 => return Caller::Runner(run),
            Some(run) => return Caller::Agent(Some(run)),
            None => {}
        }
    }
    Caller::Person
}

/// The run whose runner was started with these arguments. The home may have been moved since, so only the run counts.
fn runner_of(ancestor: &Ancestor) -> Option<RunId> {
    let [_, command, directory, ..] = ancestor.arguments.as_slice() else { return None };
    let name = Path::new(directory).file_name()?.to_str()?;
    (command == RUNNER).then(|| name.parse().ok()).flatten()
}

/// The refusal of a request by a process of a run, if the caller is one.
pub fn refusal_inside_a_run(home: &Home, caller: Caller) -> Option<Problem> {
    let run = match caller {
        Caller::Person => return None,
        Caller::Runner(run) | Caller::Agent(Some(run)) => Some(run),
        Caller::Agent(None) => None,
        Caller::Gone => {
            let message = "the process that sent the request has ended, so whether it may do this is not known";
            return Some(Problem::new(ProblemKind::Forbidden, message));
        }
    };
    let (who, tools) = match run.and_then(|run| described(home, run)) {
        Some((reference, tools)) => (format!("an agent of {reference}"), tools),
        None => ("a process of an agent".to_owned(), String::new()),
    };
    let instead = if tools.is_empty() { tools } else { format!("; it has the tools {tools} instead") };
    let problem = Problem::new(ProblemKind::Forbidden, format!("{who} may not use kugetsu{instead}"));
    Some(problem.hint("run the command in a terminal that was not started by an agent"))
}

/// The reference of a run's issue, and the tools of its agent, from the run's specification. An agent may have changed
/// it: nothing depends on it but the message.
fn described(home: &Home, run: RunId) -> Option<(String, String)> {
    let spec: Value = serde_json::from_slice(&regular_file::read(&home.run(run).spec()).ok()?).ok()?;
    let reference = spec["reference"].as_str()?;
    let named = |tools: &Value, known: &[&'static str]| {
        let tools = tools.as_array().into_iter().flatten().filter_map(Value::as_str);
        let tools: Vec<String> = tools.filter(|tool| known.contains(tool)).map(|tool| format!("`{tool}`")).collect();
        tools.join(", ")
    };
    let work = &spec["work"];
    let tools = match &work["coordination"]["tools"] {
        Value::Null => named(&work["issue"]["tools"], &IssueTool::ALL.map(IssueTool::name)),
        tools => named(tools, &Tool::ALL.map(Tool::name)),
    };
    Some((reference.to_owned(), tools))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const SUFFIX: &str = ".00112233";

    fn ancestor(marker: Option<String>, cgroups: Vec<String>, arguments: &[&str]) -> Ancestor {
        Ancestor { pid: Pid::from_raw(7), marker, cgroups, arguments: arguments.iter().map(Into::into).collect() }
    }

    #[test]
    fn processes_of_a_run_are_recognized_by_themselves_and_by_those_that_started_them() {
        let run = RunId::new(Uuid::now_v7());
        let directory = format!("/home/me/.kugetsu/runs/{run}");
        let plain = || ancestor(None, vec![], &["sh", "-c", "kugetsu destroy"]);
        let runner = || ancestor(None, vec![], &["/usr/bin/kugetsu", "runner", &directory, "--lock", "7"]);
        let marked = |marker: String| ancestor(Some(marker), vec![], &["sh"]);
        let in_cgroup = |marker: String| ancestor(None, vec![marker], &["sh"]);
        let classified = |lineage: &[Ancestor]| classify(lineage, SUFFIX, |known| known == run);
        let agent = Caller::Agent(Some(run));
        assert_eq!(classified(&[]), Caller::Person);
        assert_eq!(classified(&[plain(), plain()]), Caller::Person);
        assert_eq!(classified(&[runner()]), Caller::Runner(run));
        assert_eq!(classified(&[plain(), runner()]), agent, "an orphan that its runner adopted");
        assert_eq!(classified(&[marked(format!("{run}{SUFFIX}"))]), agent);
        assert_eq!(classified(&[plain(), plain(), marked(format!("{run}{SUFFIX}")), plain()]), agent);
        assert_eq!(classified(&[in_cgroup(format!("{run}{SUFFIX}"))]), agent);
        assert_eq!(classified(&[marked(format!("git-{run}{SUFFIX}"))]), agent, "a hook of a push");
        assert_eq!(classified(&[marked(format!("models{SUFFIX}"))]), Caller::Agent(None), "no run");
        // Another home's.
        assert_eq!(classified(&[marked(format!("{run}.44556677"))]), Caller::Person);
        assert_eq!(classify(&[runner()], SUFFIX, |_| false), Caller::Person);
        // An agent that calls itself a runner.
        let mut disguised = runner();
        disguised.marker = Some(format!("{run}{SUFFIX}"));
        assert_eq!(classified(&[disguised]), agent);
    }

    #[test]
    fn refusal_names_the_issue_and_the_tools_of_its_agent() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().to_owned());
        let run = RunId::new(Uuid::now_v7());
        let refusal = |caller| refusal_inside_a_run(&home, caller).map(|problem| problem.message);
        assert_eq!(refusal(Caller::Person), None);
        assert_eq!(refusal(Caller::Agent(Some(run))).unwrap(), "a process of an agent may not use kugetsu");
        std::fs::create_dir_all(home.run(run).path()).unwrap();
        let spec = r#"{"reference":"acme/api#12","work":{"issue":{"tools":["issue","comment","rm -rf"]}}}"#;
        std::fs::write(home.run(run).spec(), spec).unwrap();
        let expected = "an agent of acme/api#12 may not use kugetsu; it has the tools `issue`, `comment` instead";
        assert_eq!(refusal(Caller::Agent(Some(run))).unwrap(), expected);
        assert_eq!(refusal(Caller::Runner(run)).unwrap(), expected);
        assert!(refusal(Caller::Gone).unwrap().contains("has ended"));
        assert_eq!(Caller::of(&home, None), Caller::Person);
        assert_eq!(Caller::of(&home, Some(0)), Caller::Person, "in another pid namespace");
    }
}
