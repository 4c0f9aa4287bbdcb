//! Commands in comments: `/kugetsu <verb>` at the start of a line.

/// A request in a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start the issue, whatever its labels are.
    Start,
    /// Cancel what is queued and running, and take no more feedback.
    Stop,
    /// Run the last task again, with fresh budgets.
    Retry,
    /// Give the agent this message.
    Ask(String),
}

/// The discussion that has a person's question to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerOn {
    Issue,
    /// The number of the issue's pull request.
    PullRequest(u64),
}

impl AnswerOn {
    /// The name under which it is stored.
    pub fn name(self) -> String {
        match self {
            Self::Issue => "issue".to_owned(),
            Self::PullRequest(number) => format!("{PULL_REQUEST}{number}"),
        }
    }

    /// The inverse of [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        match name.strip_prefix(PULL_REQUEST) {
            Some(number) => number.parse().ok().map(Self::PullRequest),
            None => (name == "issue").then_some(Self::Issue),
        }
    }
}

const PULL_REQUEST: &str = "pull_request/";

/// A line that looks like a command but is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCommand {
    /// The word after the name, shortened.
    pub verb: String,
}

const NAME: &str = "/kugetsu";
/// Characters of an unknown verb that are kept.
const VERB_MAX: usize = 20;

/// Returns the commands of a comment in their order. Lines in code blocks and quoted lines are none. `/kugetsu ask` takes the rest of
/// the comment.
pub fn commands(body: &str) -> Vec<Result<Command, UnknownCommand>> {
    let mut found = Vec::new();
    let mut fence: Option<&str> = None;
    let mut lines = body.lines();
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        // Four spaces make a block of code, too.
        let indent = line.len() - trimmed.len();
        if let Some(mark) = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark)) {
            match fence {
                Some(open) if open == mark => fence = None,
                Some(_) => {}
                None => fence = Some(mark),
            }
            continue;
        }
        if fence.is_some() || indent > 3 {
            continue;
        }
        let Some(rest) = trimmed.strip_prefix(NAME).filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
        else {
            continue;
        };
        let rest = rest.trim();
        let (verb, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        found.push(match verb {
            "start" => Ok(Command::Start),
            "stop" => Ok(Command::Stop),
            "retry" => Ok(Command::Retry),
            "ask" => {
                let more: Vec<&str> = lines.by_ref().collect();
                let text = [argument].into_iter().chain(more).collect::<Vec<_>>().join("\n");
                Ok(Command::Ask(text.trim().to_owned()))
            }
            other => Err(UnknownCommand { verb: other.chars().take(VERB_MAX).collect() }),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_at_the_start_of_a_line() {
        assert_eq!(commands("/kugetsu start"), [Ok(Command::Start)]);
        assert_eq!(commands("please\r\n/kugetsu stop \r\n/kugetsu retry"), [Ok(Command::Stop), Ok(Command::Retry)]);
        let ask = commands("/kugetsu ask why is it slow?\n\nIt took an hour.\n/kugetsu stop");
        assert_eq!(ask, [Ok(Command::Ask("why is it slow?\n\nIt took an hour.\n/kugetsu stop".to_owned()))]);
        for none in [
            "run /kugetsu start",
            "> /kugetsu start",
            "/kugetsustart",
            "```\n/kugetsu start\n```",
            "    /kugetsu start",
        ] {
            assert_eq!(commands(none), [], "{none:?}");
        }
        assert_eq!(commands("~~~\n```\n/kugetsu start\n~~~\n/kugetsu stop"), [Ok(Command::Stop)]);
    }

    #[test]
    fn discussion_is_found_by_its_name() {
        for on in [AnswerOn::Issue, AnswerOn::PullRequest(12)] {
            assert_eq!(AnswerOn::from_name(&on.name()), Some(on));
        }
        for name in ["", "issue/1", "pull_request/", "pull_request/x"] {
            assert_eq!(AnswerOn::from_name(name), None, "{name:?}");
        }
    }

    #[test]
    fn unknown_verb_is_reported_shortened() {
        let unknown = |verb: &str| Err(UnknownCommand { verb: verb.to_owned() });
        assert_eq!(commands("/kugetsu merge now"), [unknown("merge")]);
        assert_eq!(commands("/kugetsu"), [unknown("")]);
        assert_eq!(commands(&format!("/kugetsu {}", "x".repeat(900))), [unknown(&"x".repeat(20))]);
    }
}
