//! Log output of the daemon, of runners, and of commands with `-v`: lines on stderr, with every secret masked.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use kugetsu_agent::environment::Variable;
use kugetsu_api::home::Home;
use kugetsu_domain::redact::Redactor;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use super::log_file;
use crate::env_files;
use crate::failure::Failure;

/// Log filter: a level, or `target=level` pairs separated by commas.
const VARIABLE: &str = "KUGETSU_LOG";

/// A writer factory that masks secrets. Clones share the set of secrets.
#[derive(Clone, Debug)]
pub(crate) struct Masks {
    redactor: Arc<RwLock<Redactor>>,
    /// The log file that is rotated while it is stderr.
    file: Option<PathBuf>,
}

impl Masks {
    /// Replaces the set of secrets by those among `variables`.
    pub(crate) fn set(&self, variables: &[Variable]) {
        *self.redactor.write().unwrap_or_else(PoisonError::into_inner) = env_files::redactor(variables);
    }
}

/// Starts logging to stderr. `file` is rotated while it is stderr.
pub(crate) fn init(file: Option<PathBuf>) -> Result<Masks, Failure> {
    let masks = Masks { redactor: Arc::new(RwLock::new(env_files::redactor(&[]))), file };
    let filter = std::env::var(VARIABLE).ok().filter(|filter| !filter.is_empty());
    let targets: Targets = filter.as_deref().unwrap_or("info").parse().map_err(|error| {
        Failure::usage(format!("invalid value of {VARIABLE}: {error}"))
            .hint(format!("use a level such as {VARIABLE}=debug"))
    })?;
    start(fmt::layer().with_ansi(false).with_writer(masks.clone()).with_filter(targets))?;
    Ok(masks)
}

/// Starts logging a command to stderr: what it does with `-v`, in detail with `-vv`, everything with `-vvv`. Masks the
/// secrets of all env files in the home and of the environment.
pub(crate) fn init_verbose(verbosity: u8, home: Option<&Home>) -> Result<(), Failure> {
    let level = match verbosity {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let files = home.map(env_files::all_variables).unwrap_or_default();
    let redactor = Redactor::new(kugetsu_agent::environment::secrets(std::env::vars_os(), &files));
    let masks = Masks { redactor: Arc::new(RwLock::new(redactor)), file: None };
    let format = fmt::layer().with_ansi(false).with_target(false).without_time().with_writer(masks);
    start(format.with_filter(Targets::new().with_target("kugetsu", level)))
}

fn start(layer: impl Layer<Registry> + Send + Sync) -> Result<(), Failure> {
    let started = tracing_subscriber::registry().with(layer).try_init();
    started.map_err(|error| Failure::new(format!("could not start the log: {error}")))
}

impl<'a> MakeWriter<'a> for Masks {
    type Writer = Masked<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Masked { masks: self, message: Vec::new() }
    }
}

/// Buffers one message. It is masked and written as a whole, so that no secret is split between two writes.
#[derive(Debug)]
pub(crate) struct Masked<'a> {
    masks: &'a Masks,
    message: Vec<u8>,
}

impl Write for Masked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.message.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let Masks { redactor, file } = self.masks;
        let redactor = redactor.read().unwrap_or_else(PoisonError::into_inner);
        let masked = redactor.mask(&String::from_utf8_lossy(&self.message));
        self.message.clear();
        // Locked, so that of two threads one rotates.
        let mut stderr = io::stderr().lock();
        stderr.write_all(masked.as_bytes())?;
        match file {
            Some(file) => log_file::rotate_stderr(file),
            None => Ok(()),
        }
    }
}

impl Drop for Masked<'_> {
    fn drop(&mut self) {
        if !self.message.is_empty() {
            // A failure to write to the log cannot be logged.
            let _ = self.flush();
        }
    }
}
