//! What the daemon and the runners say of themselves: lines on stderr, with every secret masked (B8).

use std::io::{self, Write};
use std::sync::{Arc, PoisonError, RwLock};

use kugetsu_agent::environment::Variable;
use kugetsu_domain::redact::Redactor;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::env_files;
use crate::failure::Failure;

/// Which messages are kept: a level, or `part=level` pairs with commas between.
const VARIABLE: &str = "KUGETSU_LOG";

/// What is masked in the log. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Masks(Arc<RwLock<Redactor>>);

impl Masks {
    /// Masks these variables' secrets from now on.
    pub(crate) fn set(&self, variables: &[Variable]) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = env_files::redactor(variables);
    }
}

/// Begins to log to stderr.
pub(crate) fn begin() -> Result<Masks, Failure> {
    let masks = Masks(Arc::new(RwLock::new(env_files::redactor(&[]))));
    let wanted = std::env::var(VARIABLE).ok().filter(|wanted| !wanted.is_empty());
    let targets: Targets = wanted.as_deref().unwrap_or("info").parse().map_err(|error| {
        Failure::usage(format!("{VARIABLE} cannot be used: {error}")).hint(format!("for example {VARIABLE}=debug"))
    })?;
    let layer = fmt::layer().with_ansi(false).with_writer(masks.clone()).with_filter(targets);
    tracing_subscriber::registry()
        .with(layer)
        .try_init()
        .map_err(|error| Failure::new(format!("the log could not begin: {error}")))?;
    Ok(masks)
}

impl<'a> MakeWriter<'a> for Masks {
    type Writer = Masked<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Masked { masks: self, message: Vec::new() }
    }
}

/// One message on its way out; it is written as a whole, so that no secret is cut in two.
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
        let masked =
            self.masks.0.read().unwrap_or_else(PoisonError::into_inner).mask(&String::from_utf8_lossy(&self.message));
        self.message.clear();
        io::stderr().lock().write_all(masked.as_bytes())
    }
}

impl Drop for Masked<'_> {
    fn drop(&mut self) {
        if !self.message.is_empty() {
            // A log that cannot be written cannot say so.
            let _ = self.flush();
        }
    }
}
