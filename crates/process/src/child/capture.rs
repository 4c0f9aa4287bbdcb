//! Captures an agent's stderr in a file that keeps its beginning and its end. The pipe is always read to the end, so that
//! the agent never blocks on it.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStderr;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::pump::Tail;

const CHUNK: usize = 16 * 1024;
const TAIL_MAX: usize = 64 * 1024;
const LIMIT_MIN: usize = 1024;
/// Room for the line that says how much was omitted.
const NOTE_MAX: usize = 64;
/// How long a process outside of the tree may keep the pipe open.
const PIPE_GRACE: Duration = Duration::from_secs(2);

/// Rewrites a stream chunk by chunk, to redact secrets. It is called with each chunk, and with an empty one at the end, and
/// returns the output that later chunks can no longer change.
pub type Filter = Box<dyn FnMut(&[u8]) -> Vec<u8> + Send>;

pub(crate) struct Capture {
    tail: Arc<Mutex<Tail>>,
    stop: Arc<Notify>,
    copying: JoinHandle<io::Result<()>>,
}

impl Capture {
    /// Copies until the pipe closes. The file gets at most `limit` bytes (at least 1 KiB): the beginning as it arrives, and
    /// the end (a quarter of the limit, at most 64 KiB) when the stream is over.
    pub(crate) fn start(pipe: ChildStderr, file: File, limit: usize, filter: Option<Filter>) -> Self {
        let limit = limit.max(LIMIT_MIN);
        let end = TAIL_MAX.min(limit / 4);
        let tail = Arc::new(Mutex::new(Tail::new(TAIL_MAX)));
        let stop = Arc::new(Notify::new());
        let sink = Sink { file: file.into(), room: limit - end - NOTE_MAX, end, beyond: 0, failed: None };
        let filter = filter.unwrap_or_else(|| Box::new(<[u8]>::to_vec));
        let copying = tokio::spawn(copy(pipe, sink, filter, Arc::clone(&tail), Arc::clone(&stop)));
        Self { tail, stop, copying }
    }

    /// Returns the last bytes so far, `max` at most.
    pub(crate) fn tail(&self, max: usize) -> Vec<u8> {
        let mut bytes = lock(&self.tail).bytes();
        bytes.split_off(bytes.len().saturating_sub(max))
    }

    /// Writes the end of the file.
    pub(crate) async fn finish(mut self) -> io::Result<()> {
        let copied = match timeout(PIPE_GRACE, &mut self.copying).await {
            Ok(copied) => copied,
            Err(_) => {
                self.stop.notify_one();
                self.copying.await
            }
        };
        copied.map_err(io::Error::other)?
    }
}

fn lock(tail: &Mutex<Tail>) -> MutexGuard<'_, Tail> {
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn copy(
    mut pipe: ChildStderr,
    mut sink: Sink,
    mut filter: Filter,
    tail: Arc<Mutex<Tail>>,
    stop: Arc<Notify>,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let n = tokio::select! {
            n = pipe.read(&mut chunk) => n?,
            () = stop.notified() => 0,
        };
        let kept = filter(&chunk[..n]);
        lock(&tail).push(&kept);
        sink.write(&kept).await;
        if n == 0 {
            let tail = lock(&tail).bytes();
            return sink.close(&tail).await;
        }
    }
}

struct Sink {
    file: tokio::fs::File,
    /// Bytes that still fit into the beginning.
    room: usize,
    /// Bytes reserved for the end.
    end: usize,
    /// Bytes that arrived after the beginning was full.
    beyond: u64,
    /// The first write error. Reading continues after it, or the child would block.
    failed: Option<io::Error>,
}

impl Sink {
    async fn write(&mut self, bytes: &[u8]) {
        let (now, later) = bytes.split_at(bytes.len().min(self.room));
        self.room -= now.len();
        self.beyond += later.len() as u64;
        if self.failed.is_none() && !now.is_empty() {
            let written = async {
                self.file.write_all(now).await?;
                // The file should hold what arrived even if this process is killed.
                self.file.flush().await
            };
            self.failed = written.await.err();
        }
    }

    async fn close(mut self, tail: &[u8]) -> io::Result<()> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let kept = usize::try_from(self.beyond).unwrap_or(usize::MAX).min(self.end).min(tail.len());
        let omitted = self.beyond - kept as u64;
        if omitted > 0 {
            self.file.write_all(format!("\n[{omitted} bytes omitted]\n").as_bytes()).await?;
        }
        self.file.write_all(&tail[tail.len() - kept..]).await?;
        self.file.flush().await
    }
}
