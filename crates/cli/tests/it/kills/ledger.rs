//! The record that agents keep outside of their worktrees: the runs that executed a prompt, and the files that they wrote.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use kugetsu_testkit::Home;

use crate::world::script;

pub(super) struct Ledger {
    folder: PathBuf,
}

/// How a task of the campaign ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Committed,
    /// With a file that is in no commit.
    Uncommitted,
    /// The first run kills its runner; the next one ends well.
    Lost,
    /// With a commit that contains the value of `DEPLOY_TOKEN`.
    Secret,
}

impl Ledger {
    pub(super) fn new(home: &Home) -> Self {
        Self { folder: home.folder("ledger") }
    }

    /// A message whose agent writes and commits several files, with pauses in which it can be killed.
    ///
    /// A file's name and content name the run and the step. It is recorded after it was written, so whatever is recorded
    /// must be found later.
    pub(super) fn message(&self, task: &str) -> String {
        self.message_with(task, Ending::Committed)
    }

    pub(super) fn message_with(&self, task: &str, ending: Ending) -> String {
        let folder = self.folder.to_str().expect("a path that is text");
        // Not every process with the number is the agent: if an agent dies while it starts the shell, the shell's parent is
        // another process, and numbers are used again. A zombie has no command line.
        let alone = format!(
            "run cd '{folder}'; if grep -qs kugetsu-scripted-agent /proc/$(cat agent-{task} || echo none)/cmdline; \
             then echo {task} $KUGETSU_RUN >> two-at-once; fi; echo $PPID > agent-{task}; \
             echo $KUGETSU_RUN >> started-{task}"
        );
        let write = |step: u32| {
            format!(
                "run echo {task} $KUGETSU_RUN {step} > {task}-$KUGETSU_RUN-{step} && \
                 echo {task}-$KUGETSU_RUN-{step} {task} $KUGETSU_RUN {step} >> '{folder}/written'"
            )
        };
        let last = match ending {
            Ending::Committed => "commit the third".to_owned(),
            Ending::Uncommitted => "slow 1".to_owned(),
            // The agent is the shell's parent, and the runner the agent's.
            Ending::Lost => format!(
                "run grep -qs kugetsu-scripted-agent /proc/$PPID/cmdline && mkdir '{folder}/lost-{task}' 2>/dev/null && \
                 kill -9 $(sed 's/.*) [A-Z] //' /proc/$PPID/stat | cut -d' ' -f1)"
            ),
            Ending::Secret => "run echo $DEPLOY_TOKEN > leak.txt; git add --all; git commit -q -m secret".to_owned(),
        };
        let end = format!("run rm '{folder}/agent-{task}'");
        script(&[
            "say I begin",
            &alone,
            &write(1),
            "slow 40",
            "commit the first",
            &write(2),
            "slow 40",
            "run git push -q origin HEAD",
            "commit the second",
            &write(3),
            "run git stash -u -q && git stash pop -q",
            "slow 40",
            &last,
            &end,
            "say I end",
        ])
    }

    /// The content of every file that an agent wrote, by name.
    pub(super) fn written(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.folder.join("written")).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, content)| (name.to_owned(), format!("{content}\n")))
            .collect()
    }

    /// The tasks whose agent was started while another one of the same task lived, with the second run.
    pub(super) fn two_at_once(&self) -> String {
        fs::read_to_string(self.folder.join("two-at-once")).unwrap_or_default()
    }

    /// The runs that executed the message of `task`, in their order.
    pub(super) fn started(&self, task: &str) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join(format!("started-{task}"))).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}
