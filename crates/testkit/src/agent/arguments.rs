//! The arguments of the scripted agent, and the variables that add to them.

use std::collections::HashMap;
use std::time::Duration;

/// Environment variable with more arguments, separated by spaces, for tests that do not control the command line.
pub const EXTRA_ARGUMENTS: &str = "KUGETSU_SCRIPTED_AGENT_ARGS";

/// Environment variable with the directory of the stored sessions. The default is `$XDG_DATA_HOME/kugetsu-scripted-agent`
/// or `~/.local/share/kugetsu-scripted-agent`.
pub const STATE: &str = "KUGETSU_SCRIPTED_AGENT_HOME";

pub const HELP: &str = "\
kugetsu-scripted-agent [acp] [OPTIONS]       speak ACP on stdin and stdout
kugetsu-scripted-agent session delete ID     delete a session
kugetsu-scripted-agent export ID             print a session in opencode's format
kugetsu-scripted-agent session list          print ID, a tab and the directory of each session
kugetsu-scripted-agent --version

  --hang-at POINT         stop answering at POINT: start, initialize, new, load, prompt
  --crash-at POINT        die by SIGKILL at POINT
  --slow-start MS         wait before doing anything
  --banner TEXT           print a line that is not JSON first
  --complain TEXT         print a line on stderr first
  --stubborn              ignore SIGTERM, SIGINT, SIGHUP and the end of stdin
  --no-load, --no-resume, --no-close, --no-list
                          do not support that method
  --no-tools              do not load the client's MCP servers
  --late-tools MS         load them after that time, while the session is open
  --delete                support session/delete
  --lose-sessions         know no session of an earlier process
  --needs-login           answer session/new with \"authentication required\"
  --protocol-version N    answer initialize with version N
  --pretend-version V     report V as the program's version
";

/// A point at which the agent can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// Before the first message is read.
    Start,
    /// On `initialize`.
    Initialize,
    /// On `session/new`.
    New,
    /// On `session/load` and `session/resume`.
    Load,
    /// On `session/prompt`.
    Prompt,
}

/// How the agent fails at a [`Point`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It stops answering.
    Hang,
    /// It dies by SIGKILL, without cleaning up.
    Crash,
}

/// The mode of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// An agent on stdio.
    Agent(Box<Options>),
    DeleteSession(String),
    ExportSession(String),
    ListSessions,
    Version(String),
    Help,
    /// Sleeps for this many seconds: the process that the command `orphan` leaves behind.
    Orphan(u64),
}

/// Options of the agent; [`HELP`] describes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub failures: HashMap<Point, Failure>,
    pub slow_start: Duration,
    pub banner: Option<String>,
    pub complaint: Option<String>,
    pub stubborn: bool,
    pub load: bool,
    pub resume: bool,
    pub close: bool,
    pub list: bool,
    /// When the tools are loaded, counted from the opening of the session.
    pub tools_after: Duration,
    pub tools: bool,
    pub delete: bool,
    pub lose_sessions: bool,
    pub needs_login: bool,
    pub protocol_version: u64,
    pub version: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            failures: HashMap::new(),
            slow_start: Duration::ZERO,
            banner: None,
            complaint: None,
            stubborn: false,
            load: true,
            resume: true,
            close: true,
            list: true,
            tools: true,
            tools_after: Duration::ZERO,
            delete: false,
            lose_sessions: false,
            needs_login: false,
            protocol_version: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl Invocation {
    /// Parses the arguments, without the program's name.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Options::default();
        let mut prints_version = false;
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                // opencode's name for the same mode.
                "acp" => {}
                "orphan" => return Ok(Self::Orphan(number(&value()?)?)),
                "export" => return Ok(Self::ExportSession(value()?)),
                "session" => return session_command(&value()?, args),
                "--help" => return Ok(Self::Help),
                "--version" => prints_version = true,
                "--hang-at" => drop(options.failures.insert(point(&value()?)?, Failure::Hang)),
                "--crash-at" => drop(options.failures.insert(point(&value()?)?, Failure::Crash)),
                "--slow-start" => options.slow_start = Duration::from_millis(number(&value()?)?),
                "--banner" => options.banner = Some(value()?),
                "--complain" => options.complaint = Some(value()?),
                "--stubborn" => options.stubborn = true,
                "--no-load" => options.load = false,
                "--no-resume" => options.resume = false,
                "--no-close" => options.close = false,
                "--no-list" => options.list = false,
                "--no-tools" => options.tools = false,
                "--late-tools" => options.tools_after = Duration::from_millis(number(&value()?)?),
                "--delete" => options.delete = true,
                "--lose-sessions" => options.lose_sessions = true,
                "--needs-login" => options.needs_login = true,
                "--protocol-version" => options.protocol_version = number(&value()?)?,
                "--pretend-version" => options.version = value()?,
                _ => return Err(format!("unknown argument {arg}; see --help")),
            }
        }
        Ok(if prints_version { Self::Version(options.version) } else { Self::Agent(Box::new(options)) })
    }
}

fn session_command(verb: &str, mut args: impl Iterator<Item = String>) -> Result<Invocation, String> {
    match (verb, args.next()) {
        ("delete", Some(id)) => Ok(Invocation::DeleteSession(id)),
        ("list", _) => Ok(Invocation::ListSessions),
        _ => Err("expected \"session delete ID\" or \"session list\"".to_owned()),
    }
}

fn point(name: &str) -> Result<Point, String> {
    match name {
        "start" => Ok(Point::Start),
        "initialize" => Ok(Point::Initialize),
        "new" => Ok(Point::New),
        "load" => Ok(Point::Load),
        "prompt" => Ok(Point::Prompt),
        _ => Err(format!("unknown point {name}; see --help")),
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Invocation, String> {
        Invocation::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_parsed() {
        let Ok(Invocation::Agent(options)) = parse("acp --hang-at new --crash-at load --slow-start 5 --no-load") else {
            panic!("not an agent");
        };
        assert_eq!(options.failures[&Point::New], Failure::Hang);
        assert_eq!(options.failures[&Point::Load], Failure::Crash);
        assert_eq!(options.slow_start, Duration::from_millis(5));
        assert!(!options.load && options.resume);
    }

    #[test]
    fn other_modes_are_parsed() {
        assert_eq!(parse("session delete ses_1"), Ok(Invocation::DeleteSession("ses_1".into())));
        assert_eq!(parse("export ses_1"), Ok(Invocation::ExportSession("ses_1".into())));
        assert_eq!(parse("session list"), Ok(Invocation::ListSessions));
        assert_eq!(parse("--version --pretend-version 9.9"), Ok(Invocation::Version("9.9".into())));
        assert_eq!(parse("--hang-at lunch"), Err("unknown point lunch; see --help".into()));
        assert_eq!(parse("--wrong"), Err("unknown argument --wrong; see --help".into()));
    }
}
