//! Reads `config.toml`.

use std::ops::Range;
use std::path::Path;

use kugetsu_agent::CustomProfile;
use toml_edit::{Document, Item, TableLike, Value};

use super::error::ConfigError;
use super::key::{self, Key};
use super::layer::{Entry, Layer, holds_credentials, server};
use super::source::Source;

/// Names that an agent of one's own cannot have: they are settings or files of their own.
const TAKEN: [&str; 3] = ["max", "default", "pm-agent"];

/// Reads the text of the file at `path`.
///
/// # Errors
/// The first thing that is wrong, with its line: a mistake in the settings must not be passed over.
pub(crate) fn read(path: &Path, text: &str) -> Result<Layer, ConfigError> {
    let document = Document::parse(text).map_err(|error| {
        ConfigError::new(place(path, text, error.span()), error.message().trim().replace('\n', "; "))
    })?;
    let mut reader = Reader { path, text, layer: Layer::default() };
    for (section, item) in document.iter() {
        let table = item
            .as_table_like()
            .ok_or_else(|| reader.error(item, format!("`{section}` is not a setting; settings stand in sections")))?;
        match section {
            "servers" => reader.servers(table)?,
            "agents" => reader.agents(table)?,
            _ => {
                for (name, item) in table.iter() {
                    reader.setting(&format!("{section}.{name}"), item)?;
                }
            }
        }
    }
    Ok(reader.layer)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    layer: Layer,
}

impl Reader<'_> {
    fn error(&self, item: &Item, message: impl Into<String>) -> ConfigError {
        ConfigError::new(place(self.path, self.text, span(item)), message)
    }

    fn source(&self, item: &Item) -> Source {
        Source::File { path: self.path.to_owned(), line: line(self.text, span(item)) }
    }

    fn setting(&mut self, name: &str, item: &Item) -> Result<(), ConfigError> {
        let key = Key::from_name(name).ok_or_else(|| self.error(item, key::unknown(name)))?;
        let value = match item.as_value() {
            Some(Value::Integer(number)) if key.is_number() => number.value().to_string(),
            Some(Value::String(text)) if !key.is_number() => text.value().clone(),
            _ if key.is_number() => return Err(self.error(item, format!("{name} must be a number without quotes"))),
            _ => return Err(self.error(item, format!("{name} must be a text in quotes, such as {:?}", key.default()))),
        };
        key.check(&value).map_err(|why| self.error(item, why))?;
        let source = self.source(item);
        self.layer.values.push(Entry { key, value, source });
        Ok(())
    }

    fn servers(&mut self, servers: &dyn TableLike) -> Result<(), ConfigError> {
        for (name, item) in servers.iter() {
            let table = item
                .as_table_like()
                .ok_or_else(|| self.error(item, format!("write the server as [servers.{name}] with its url")))?;
            self.known(table, &format!("servers.{name}"), &["url", "kind", "api_url"])?;
            let url = self.text_of(table, "url")?;
            let url = url.ok_or_else(|| self.error(item, format!("the server {name} has no url")))?;
            let (kind, api) = (self.text_of(table, "kind")?, self.text_of(table, "api_url")?);
            if holds_credentials(url) || api.is_some_and(holds_credentials) {
                let why = "an address here holds no user, password or query; a token goes into the env file: \
                           kugetsu env set GITEA_TOKEN - (or GITHUB_TOKEN, GITLAB_TOKEN)";
                return Err(self.error(item, format!("servers.{name}: {why}")));
            }
            let server =
                server(name, url, kind, api).map_err(|why| self.error(item, format!("servers.{name}: {why}")))?;
            let source = self.source(item);
            self.layer.servers.push((server, source));
        }
        Ok(())
    }

    fn agents(&mut self, agents: &dyn TableLike) -> Result<(), ConfigError> {
        for (name, item) in agents.iter() {
            let Some(table) = item.as_table_like() else {
                self.setting(&format!("agents.{name}"), item)?;
                continue;
            };
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if TAKEN.contains(&name) || name.starts_with(['.', '-']) || name.is_empty() || !name.chars().all(plain) {
                return Err(self.error(item, format!("an agent cannot be called {name:?}")));
            }
            self.known(table, &format!("agents.{name}"), &["program", "args", "env", "delete", "attach"])?;
            let program = self.text_of(table, "program")?;
            let program = program.ok_or_else(|| self.error(item, format!("the agent {name} has no program")))?;
            if program.contains('/') && !program.starts_with('/') {
                let why = format!("the program {program:?} must be a name that is on the PATH, or a whole path");
                return Err(self.error(item, format!("agents.{name}: {why}")));
            }
            let profile = CustomProfile {
                name: name.to_owned(),
                program: program.into(),
                args: self.texts_of(table, "args")?,
                env: self.pairs_of(table, "env")?,
                delete: Some(self.texts_of(table, "delete")?).filter(|words| !words.is_empty()),
                attach: Some(self.texts_of(table, "attach")?).filter(|words| !words.is_empty()),
            };
            let source = self.source(item);
            self.layer.agents.push((profile, source));
        }
        Ok(())
    }

    fn known(&self, table: &dyn TableLike, of: &str, names: &[&str]) -> Result<(), ConfigError> {
        match table.iter().find(|(name, _)| !names.contains(name)) {
            None => Ok(()),
            Some((name, item)) => {
                Err(self.error(item, format!("there is no setting \"{of}.{name}\"; there are {}", names.join(", "))))
            }
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
        read(Path::new("c.toml"), text)
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
            ("[servers.a]\nurl = \"h\"\nuser = \"x\"\n", "c.toml:3", "api_url"),
            ("[agents.\"../x\"]\nprogram = \"x\"\n", "c.toml:1", "called"),
            ("[agents.x]\nprogram = \"./x\"\n", "c.toml:1", "on the PATH"),
            ("[agents.x]\nargs = [1]\nprogram = \"x\"\n", "c.toml:2", "list of texts"),
        ] {
            let error = layer(text).unwrap_err();
            assert_eq!(error.place, place, "{text}: {error}");
            assert!(error.message.contains(word), "{text}: {error}");
        }
    }
}
