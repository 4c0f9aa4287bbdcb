//! An agent's stderr: read to the end whatever comes, kept in a file as its beginning and its end.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStderr;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::pump::Tail;

const CHUNK: usize = 16 * 1024;
const TAIL_MAX: usize = 64 * 1024;
const LIMIT_MIN: usize = 1024;
/// Room for the line that says how much was left out.
const GAP_MAX: usize = 64;
/// How long somebody outside the tree may keep the pipe open.
const PATIENCE: Duration = Duration::from_secs(2);

/// Turns a stream into what may be kept of it, piece by piece: given the next piece, and an empty one at the end, it
/// answers with what is settled by now.
pub type Filter = Box<dyn FnMut(&[u8]) -> Vec<u8> + Send>;

pub(crate) struct Capture {
    tail: Arc<Mutex<Tail>>,
    stop: Arc<Notify>,
    copying: JoinHandle<io::Result<()>>,
}

impl Capture {
    /// Copies until the pipe closes. The file gets at most `limit` bytes (at least 1 KiB): the beginning as it comes,
    /// the last part (a quarter of the limit, at most 64 KiB) once there is no more.
    pub(crate) fn start(pipe: ChildStderr, file: File, limit: usize, filter: Option<Filter>) -> Self {
        let limit = limit.max(LIMIT_MIN);
        let end = TAIL_MAX.min(limit / 4);
        let tail = Arc::new(Mutex::new(Tail::new(TAIL_MAX)));
        let stop = Arc::new(Notify::new());
        let sink = Sink { file: file.into(), room: limit - end - GAP_MAX, end, beyond: 0, failed: None };
        let filter = filter.unwrap_or_else(|| Box::new(<[u8]>::to_vec));
        let copying = tokio::spawn(copy(pipe, sink, filter, Arc::clone(&tail), Arc::clone(&stop)));
        Self { tail, stop, copying }
    }

    /// The last bytes so far, `max` at most.
    pub(crate) fn tail(&self, max: usize) -> Vec<u8> {
        let mut bytes = lock(&self.tail).bytes();
        bytes.split_off(bytes.len().saturating_sub(max))
    }

    /// Completes the file.
    pub(crate) async fn finish(mut self) -> io::Result<()> {
        let copied = match timeout(PATIENCE, &mut self.copying).await {
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
    /// Bytes the beginning may still take.
    room: usize,
    /// Bytes the end may take.
    end: usize,
    /// Bytes that came after the beginning was full.
    beyond: u64,
    /// A full disk must not stop the reading: the child would block.
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
                // What is known should be there even if we are killed.
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
        let left_out = self.beyond - kept as u64;
        if left_out > 0 {
            self.file.write_all(format!("\n[{left_out} bytes left out]\n").as_bytes()).await?;
        }
        self.file.write_all(&tail[tail.len() - kept..]).await?;
        self.file.flush().await
    }
}
