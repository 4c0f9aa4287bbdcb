//! A session in the files of its agent.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use super::record::SessionRecord;
use super::{gemini, kimi, location};
use crate::profile::{SessionFile, SessionFormat};
use crate::session_id::SessionId;

/// Pauses in milliseconds before the file is read again, if it does not have the end of the turn yet.
const PAUSES_MS: [u64; 7] = [20, 50, 100, 200, 500, 1000, 2000];

#[derive(Clone, Debug)]
pub(crate) struct KeptSession {
    file: &'static SessionFile,
    /// The path of [`SessionFile::directory`].
    directory: PathBuf,
    session: SessionId,
}

impl KeptSession {
    pub(crate) fn new(file: &'static SessionFile, directory: PathBuf, session: SessionId) -> Self {
        Self { file, directory, session }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// The reason why it cannot be read, for users.
    pub(crate) async fn read(&self) -> Result<SessionRecord, String> {
        let kept = self.clone();
        match tokio::task::spawn_blocking(move || kept.read_blocking()).await {
            Ok(Ok(Some(record))) => Ok(record),
            Ok(Ok(None)) => Err(format!("it has no file below {}", self.directory.display())),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Reads the file until it has the end of a turn that began after `before` was read.
    ///
    /// # Errors
    /// The reason why it cannot be read, for users.
    pub(crate) async fn read_turn(&self, before: &SessionRecord) -> Result<SessionRecord, String> {
        let has_end = |record: &SessionRecord| record.prompts > before.prompts && record.end.is_some();
        for pause in PAUSES_MS {
            if let Ok(record) = self.read().await
                && has_end(&record)
            {
                return Ok(record);
            }
            sleep(Duration::from_millis(pause)).await;
        }
        self.read().await.and_then(|record| match has_end(&record) {
            true => Ok(record),
            false => Err(format!("the one below {} has no end of this turn", self.directory.display())),
        })
    }

    fn read_blocking(&self) -> io::Result<Option<SessionRecord>> {
        for path in location::find(&self.directory, self.file.path, &self.session)? {
            let record = match self.file.format {
                SessionFormat::Gemini => gemini::read(&path, &self.session)?,
                SessionFormat::Kimi => Some(kimi::read(&path)?),
            };
            if record.is_some() {
                return Ok(record);
            }
        }
        Ok(None)
    }
}
