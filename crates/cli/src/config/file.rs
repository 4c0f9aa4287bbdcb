//! Reads `config.toml`.

use std::ops::Range;
use std::path::Path;

use kugetsu_agent::CustomProfile;
use kugetsu_forge::servers::Server;
use toml_edit::{Document, Item, TableLike, Value};

use super::error::ConfigError;
use super::key::{self, Key, Kind};
use super::layer::{Entry, Layer, holds_credentials, server, token_variable};
use super::source::Source;
use crate::names::{is_plain, suggestions};

/// Names that an agent of one's own cannot have: they are settings or files of their own.
const TAKEN: [&str; 3] = ["max", "default", "pm-agent"];

/// What was read of the file. One wrong value does not take the rest away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) layer: Layer,
    /// What means nothing and is passed over.
    pub(crate) warnings: Vec<ConfigError>,
    /// What means something and cannot be used.
    pub(crate) invalid: Vec<Invalid>,
}

/// A mistake, and what it takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invalid {
    pub(crate) part: Part,
    pub(crate) error: ConfigError,
}

/// A part of the file that counts as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Everything,
    Value(Key),
    Server(String),
    Agent(String),
}

/// Reads the text of the file at `path`.
///
/// # Errors
/// It is not TOML, so that nothing in it can be told from the rest.
pub(crate) fn read(path: &Path, text: &str) -> Result<Read, ConfigError> {
    let document = Document::parse(text).map_err(|error| {
        let why = error.message().trim().replace('\n', "; ");
        ConfigError::new(place(path, text, error.span()), format!("this is not TOML: {why}"))
    })?;
    let mut reader = Reader { path, text, read: Read::default() };
    for (section, item) in document.iter() {
        let Some(table) = item.as_table_like() else {
            reader.warn(item, format!("`{section}` is not a setting; settings stand in sections"));
            continue;
        };
        match section {
            "servers" => reader.servers(table),
            "agents" => reader.agents(table),
            _ => table.iter().for_each(|(name, item)| reader.setting(&format!("{section}.{name}"), item)),
        }
    }
    Ok(reader.read)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    read: Read,
}

impl Reader<'_> {
    fn error(&self, item: &Item, message: impl Into<String>) -> ConfigError {
        ConfigError::new(place(self.path, self.text, span(item)), message)
    }

    fn warn(&mut self, item: &Item, message: impl Into<String>) {
        self.read.warnings.push(self.error(item, message));
    }

    fn source(&self, item: &Item) -> Source {
        Source::File { path: self.path.to_owned(), line: line(self.text, span(item)) }
    }

    fn setting(&mut self, name: &str, item: &Item) {
        let Some(key) = Key::from_name(name) else { return self.warn(item, key::unknown(name)) };
        let source = self.source(item);
        match value(key, item) {
            Ok(value) => self.read.layer.values.push(Entry { key, value, source }),
            Err(why) => {
                let error = self.error(item, why);
                self.read.invalid.push(Invalid { part: Part::Value(key), error });
            }
        }
    }

    fn servers(&mut self, servers: &dyn TableLike) {
        for (name, item) in servers.iter() {
            match self.server(name, item) {
                Ok(server) => self.read.layer.servers.push((server, self.source(item))),
                Err(error) => {
                    let error = ConfigError { message: format!("servers.{name}: {}", error.message), ..error };
                    self.read.invalid.push(Invalid { part: Part::Server(name.to_owned()), error });
                }
            }
        }
    }

    fn server(&mut self, name: &str, item: &Item) -> Result<Server, ConfigError> {
        let table = item
            .as_table_like()
            .ok_or_else(|| self.error(item, format!("write the server as [servers.{name}] with its url")))?;
        self.known(table, &format!("servers.{name}"), &["url", "kind", "api_url", "token_env"]);
        let url = self.text_of(table, "url")?;
        let url = url.ok_or_else(|| self.error(item, "it has no url"))?;
        let (kind, api) = (self.text_of(table, "kind")?, self.text_of(table, "api_url")?);
        if holds_credentials(url) || api.is_some_and(holds_credentials) {
            let why = "an address here holds no user, password or query; a token goes into the env file: \
                       kugetsu env set GITEA_TOKEN - (or the variable of another kind)";
            return Err(self.error(item, why));
        }
        let mut server = server(name, url, kind, api).map_err(|why| self.error(item, why))?;
        let variable = self.text_of(table, "token_env")?.map(token_variable);
        server.token_env = variable.transpose().map_err(|why| self.error(item, why))?;
        Ok(server)
    }

    fn agents(&mut self, agents: &dyn TableLike) {
        for (name, item) in agents.iter() {
            let Some(table) = item.as_table_like() else {
                self.setting(&format!("agents.{name}"), item);
                continue;
            };
            match self.agent(name, item, table) {
                Ok(profile) => self.read.layer.agents.push((profile, self.source(item))),
                Err(error) => {
                    let error = ConfigError { message: format!("agents.{name}: {}", error.message), ..error };
                    self.read.invalid.push(Invalid { part: Part::Agent(name.to_owned()), error });
                }
            }
        }
    }

    fn agent(&mut self, name: &str, item: &Item, table: &dyn TableLike) -> Result<CustomProfile, ConfigError> {
        if TAKEN.contains(&name) || !is_plain(name) {
            return Err(self.error(item, format!("an agent cannot be called {name:?}")));
        }
        self.known(table, &format!("agents.{name}"), &["program", "args", "env", "delete", "attach"]);
        let program = self.text_of(table, "program")?;
        let program = program.ok_or_else(|| self.error(item, "it has no program"))?;
        if program.contains('/') && !program.starts_with('/') {
            let why = format!("the program {program:?} must be a name that is on the PATH, or a whole path");
            return Err(self.error(item, why));
        }
        Ok(CustomProfile {
            name: name.to_owned(),
            program: program.into(),
            args: self.texts_of(table, "args")?,
            env: self.pairs_of(table, "env")?,
            delete: Some(self.texts_of(table, "delete")?).filter(|words| !words.is_empty()),
            attach: Some(self.texts_of(table, "attach")?).filter(|words| !words.is_empty()),
        })
    }

    fn known(&mut self, table: &dyn TableLike, of: &str, names: &[&str]) {
        for (name, item) in table.iter().filter(|(name, _)| !names.contains(name)) {
            let near = suggestions(name, names.iter().copied()).join(" or ");
            let there_are = names.join(", ");
            let why = format!("there is no setting \"{of}.{name}\"; did you mean {near}? There are {there_are}");
            self.warn(item, why);
        }
    }

    fn text_of<'t>(&self, table: &'t dyn TableLike, name: &str) -> Result<Option<&'t str>, ConfigError> {
        match table.get(name) {
            None => Ok(None),
            Some(item) => match item.as_str() {
                Some(text) if !text.trim().is_empty() => Ok(Some(text)),
                _ => Err(self.error(item, format!("{name} must be a text in quotes"))),
            },
        }
    }

    fn texts_of(&self, table: &dyn TableLike, name: &str) -> Result<Vec<String>, ConfigError> {
        let Some(item) = table.get(name) else { return Ok(Vec::new()) };
        let texts = item.as_array().map(|array| array.iter().map(|one| one.as_str().map(str::to_owned)).collect());
        match texts {
            Some(Some(texts)) => Ok(texts),
            _ => Err(self.error(item, format!("{name} must be a list of texts, such as [\"acp\"]"))),
        }
    }

    fn pairs_of(&self, table: &dyn TableLike, name: &str) -> Result<Vec<(String, String)>, ConfigError> {
        let Some(item) = table.get(name) else { return Ok(Vec::new()) };
        let refused = || self.error(item, format!("{name} must hold texts, such as {{ NAME = \"value\" }}"));
        let pairs = item.as_table_like().ok_or_else(refused)?;
        pairs
            .iter()
            .map(|(name, value)| Ok((name.to_owned(), value.as_str().ok_or_else(refused)?.to_owned())))
            .collect()
    }
}

/// The value that the key takes.
fn value(key: Key, item: &Item) -> Result<String, String> {
    let name = key.name();
    let value = match (item.as_value(), key.kind()) {
        (Some(Value::Integer(number)), Kind::Number) => number.value().to_string(),
        (Some(Value::Boolean(on)), Kind::Switch) => on.value().to_string(),
        (Some(Value::String(text)), Kind::Text) => text.value().clone(),
        (_, Kind::Number) => return Err(format!("{name} must be a number without quotes")),
        (_, Kind::Switch) => return Err(format!("{name} must be true or false, without quotes")),
        (_, Kind::Text) => return Err(format!("{name} must be a text in quotes, such as {:?}", key.default())),
    };
    key.check(&value).map(|()| value)
}

fn span(item: &Item) -> Option<Range<usize>> {
    // A section written by its parts only ([servers.x] without [servers]) has no place of its own.
    item.span().or_else(|| item.as_table_like()?.iter().find_map(|(_, inner)| inner.span()))
}

fn line(text: &str, span: Option<Range<usize>>) -> usize {
    let at = span.map_or(0, |span| span.start.min(text.len()));
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn place(path: &Path, text: &str, span: Option<Range<usize>>) -> String {
    format!("{}:{}", path.display(), line(text, span))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> Result<Layer, ConfigError> {
        let read = read(Path::new("c.toml"), text)?;
        let mut mistakes = read.invalid.into_iter().map(|one| one.error).chain(read.warnings);
        mistakes.next().map_or(Ok(read.layer), Err)
    }

    #[test]
    fn settings_are_read_with_their_lines() {
        let layer = layer(
            "[agents]\nmax = 5\n[run]\ntimeout = \"2h\"\n[servers.work]\nurl = \"git.example.co/\"\nkind = \"gitea\"\n\
             [agents.mine]\nprogram = \"/bin/mine\"\nargs = [\"acp\"]\nenv = { A = \"1\" }\ndelete = [\"rm\", \"{session}\"]\n",
        )
        .unwrap();
        let source = |line| Source::File { path: "c.toml".into(), line };
        assert_eq!(
            layer.values,
            [
                Entry { key: Key::AgentsMax, value: "5".to_owned(), source: source(2) },
                Entry { key: Key::RunTimeout, value: "2h".to_owned(), source: source(4) },
            ]
        );
        assert_eq!(layer.servers[0].0.base.as_str(), "https://git.example.co");
        assert_eq!(layer.servers[0].1, source(5));
        let (agent, _) = &layer.agents[0];
        assert_eq!((agent.name.as_str(), agent.args.as_slice()), ("mine", ["acp".to_owned()].as_slice()));
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        for (text, place, word) in [
            ("[run]\ntimout = \"1h\"\n", "c.toml:2", "run.timeout"),
            ("[run]\n\ntimeout = 60\n", "c.toml:3", "text in quotes"),
            ("[agents]\nmax = \"3\"\n", "c.toml:2", "number without quotes"),
            ("[agents]\nmax = -1\n", "c.toml:2", "0 to"),
            ("x = 1\n", "c.toml:1", "sections"),
            ("[run]\ntimeout = \n", "c.toml:2", ""),
            ("[servers.a]\nkind = \"gitea\"\n", "c.toml:1", "no url"),
            ("[servers.a]\nurl = \"h\"\nkind = \"svn\"\n", "c.toml:1", "forgejo"),
            ("[servers.a]\nurl = \"h\"\nurll = \"x\"\n", "c.toml:3", "did you mean url?"),
            ("[destroy]\ncheck_change = \"yes\"\n", "c.toml:2", "true or false"),
            ("[agents.\"../x\"]\nprogram = \"x\"\n", "c.toml:1", "called"),
            ("[agents.x]\nprogram = \"./x\"\n", "c.toml:1", "on the PATH"),
            ("[agents.x]\nargs = [1]\nprogram = \"x\"\n", "c.toml:2", "list of texts"),
        ] {
            let error = layer(text).unwrap_err();
            assert_eq!(error.place, place, "{text}: {error}");
            assert!(error.message.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_not_known_is_passed_over_and_what_is_wrong_takes_itself_away_only() {
        let text = "[run]\ntimout = \"2h\"\nsilence = \"soon\"\ntimeout = \"3h\"\n[agents]\nmax = 4\n[agents.bad]\nargs = []\n\
                    [agents.good]\nprogram = \"good\"\nprogramm = \"x\"\n[servers.bad]\nkind = \"svn\"\nurl = \"h\"\n";
        let read = read(Path::new("c.toml"), text).unwrap();
        let places: Vec<&str> = read.warnings.iter().map(|one| one.place.as_str()).collect();
        assert_eq!(places, ["c.toml:2", "c.toml:11"]);
        let invalid: Vec<_> = read.invalid.iter().map(|one| (one.error.place.as_str(), one.part.clone())).collect();
        assert_eq!(
            invalid,
            [
                ("c.toml:3", Part::Value(Key::RunSilence)),
                ("c.toml:7", Part::Agent("bad".to_owned())),
                ("c.toml:12", Part::Server("bad".to_owned())),
            ]
        );
        let values: Vec<_> = read.layer.values.iter().map(|one| (one.key, one.value.as_str())).collect();
        assert_eq!(values, [(Key::RunTimeout, "3h"), (Key::AgentsMax, "4")]);
        assert_eq!((read.layer.agents.len(), read.layer.servers.len()), (1, 0));
    }
}
