//! Notices that a test process has nothing to do, however long that takes on a loaded machine.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use std::{fs, io};

/// Longest wait for threads that never rest: those of other tests, if they run in the same process.
const LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);
/// How often the other tasks of the runtime may run before it counts as idle.
const YIELDS: usize = 3;

/// Waits until every other thread of the process sleeps, and so does every other task of this thread's runtime.
///
/// A timer does not tell: on a loaded machine a thread may wait longer for a processor than the timer takes.
pub async fn quiet() {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        let before = sleeping_threads();
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
        }
        // A thread that was woken by one that sleeps since has run in between.
        if before.is_some() && before == sleeping_threads() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The other threads with the number of times that each has given up its processor; `None` if one of them runs or waits for a
/// processor or a disk.
fn sleeping_threads() -> Option<BTreeMap<String, Vec<String>>> {
    threads().unwrap_or_else(|error| panic!("cannot list the threads of this process: {error}"))
}

fn threads() -> io::Result<Option<BTreeMap<String, Vec<String>>>> {
    let own = fs::read_link("/proc/thread-self")?;
    let mut sleeping = BTreeMap::new();
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?;
        if own.file_name() == Some(&thread.file_name()) {
            continue;
        }
        let Ok(status) = fs::read_to_string(thread.path().join("status")) else {
            // It has ended meanwhile.
            return Ok(None);
        };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        if !field("State:").starts_with('S') {
            return Ok(None);
        }
        let switches = ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"].map(|name| field(name).to_owned());
        sleeping.insert(thread.file_name().to_string_lossy().into_owned(), switches.to_vec());
    }
    Ok(Some(sleeping))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn thread_that_computes_is_waited_for() {
        let is_done = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let is_done = Arc::clone(&is_done);
            move || {
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(300) {
                    std::hint::spin_loop();
                }
                is_done.store(true, Ordering::Release);
            }
        });
        quiet().await;
        assert!(is_done.load(Ordering::Acquire));
        thread.join().unwrap();
    }

    #[tokio::test]
    async fn task_of_the_same_runtime_is_waited_for() {
        let is_done = Arc::new(AtomicBool::new(false));
        tokio::spawn({
            let is_done = Arc::clone(&is_done);
            async move {
                tokio::task::yield_now().await;
                is_done.store(true, Ordering::Release);
            }
        });
        quiet().await;
        assert!(is_done.load(Ordering::Acquire));
    }
}
