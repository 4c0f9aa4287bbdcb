//! Notices an agent that repeats itself: the same tool calls with the same results, again and again.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use kugetsu_agent::AgentEvent;

/// Longest cycle of tool calls that is noticed.
const PERIOD_MAX: usize = 4;
/// Characters of a tool call's title in a message.
const TITLE_MAX: usize = 100;

/// Compares each tool call that ended with those before it.
#[derive(Debug, Default)]
pub(crate) struct RepetitionDetector {
    /// The latest calls, newest last, at most [`PERIOD_MAX`] and one.
    calls: VecDeque<Call>,
    /// How many calls in a row equal the one that is `index + 1` calls earlier.
    equal: [u32; PERIOD_MAX],
}

#[derive(Debug)]
struct Call {
    title: String,
    /// Of its input and its result.
    hash: u64,
}

/// Tool calls that were repeated too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repetition {
    /// The titles of one cycle.
    titles: Vec<String>,
    times: u32,
}

impl RepetitionDetector {
    /// Takes an event of the agent. Returns the tool calls of which it is the last if they were made `max` times in a row with
    /// the same input and the same result. 0 is no maximum.
    pub(crate) fn take(&mut self, event: &AgentEvent, max: u32) -> Option<Repetition> {
        let AgentEvent::ToolEnded { title, input, ok, output, .. } = event else { return None };
        let mut hasher = DefaultHasher::new();
        (title, input, ok, output).hash(&mut hasher);
        let hash = hasher.finish();
        for (index, equal) in self.equal.iter_mut().enumerate() {
            let earlier = self.calls.iter().rev().nth(index);
            *equal = if earlier.is_some_and(|call| call.hash == hash) { equal.saturating_add(1) } else { 0 };
        }
        self.calls.push_back(Call { title: title.clone(), hash });
        if self.calls.len() > PERIOD_MAX {
            self.calls.pop_front();
        }
        if max == 0 {
            return None;
        }
        self.equal.iter().zip(1_u32..).find_map(|(equal, period)| {
            let times = equal / period + 1;
            let cycle = self.calls.iter().rev().take(period as usize).rev();
            (times >= max.max(2)).then(|| Repetition { titles: cycle.map(|call| call.title.clone()).collect(), times })
        })
    }
}

impl fmt::Display for Repetition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles: Vec<String> = self.titles.iter().map(|title| line(title)).collect();
        let times = self.times;
        match titles.as_slice() {
            [one] => {
                write!(f, "the agent made the same tool call {times} times in a row, with the same result: {one}")?
            }
            more => {
                let (count, more) = (more.len(), more.join(", "));
                write!(
                    f,
                    "the agent repeated the same {count} tool calls {times} times in a row, with the same results: {more}"
                )?;
            }
        }
        f.write_str(" (setting run.max_repeats)")
    }
}

fn line(title: &str) -> String {
    let line: String = title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(TITLE_MAX) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes calls whose letters stand for title, input and result, and returns after how many it stops, and why.
    fn stopped(calls: impl Iterator<Item = (&'static str, usize)>, max: u32) -> Option<(usize, String)> {
        let mut detector = RepetitionDetector::default();
        calls.enumerate().find_map(|(index, (title, output))| {
            let (title, input, output) = (title.to_owned(), title.to_owned(), output.to_string());
            let event =
                AgentEvent::ToolEnded { id: index.to_string(), title, input, ok: true, exit_code: None, output };
            detector.take(&event, max).map(|repetition| (index + 1, repetition.to_string()))
        })
    }

    #[test]
    fn repeated_call_is_noticed() {
        let (count, message) = stopped(std::iter::repeat(("make test", 0)), 20).unwrap();
        assert_eq!(count, 20);
        assert!(
            message.contains("20 times in a row, with the same result: make test (setting run.max_repeats)"),
            "{message}"
        );
    }

    #[test]
    fn repeated_cycle_is_noticed() {
        let (count, message) = stopped([("a", 0), ("b", 0)].into_iter().cycle(), 5).unwrap();
        assert_eq!(count, 10);
        assert!(message.contains("the same 2 tool calls 5 times in a row, with the same results: a, b"), "{message}");
        let (count, _) = stopped([("a", 0), ("a", 0), ("b", 0), ("c", 0)].into_iter().cycle(), 5).unwrap();
        assert_eq!(count, 20);
        let late = [("x", 1), ("y", 2)].into_iter().chain([("a", 0), ("b", 0)].into_iter().cycle());
        assert_eq!(stopped(late, 5).unwrap().0, 12);
    }

    #[test]
    fn progress_is_no_repetition() {
        assert_eq!(stopped((0..1000).map(|n| ("make test", n)), 20), None, "the result changes");
        let interrupted = (0..1000).map(|n| if n % 19 == 0 { ("edit", n) } else { ("make test", 0) });
        assert_eq!(stopped(interrupted, 20), None);
        assert_eq!(stopped(std::iter::repeat_n(("make test", 0), 1000), 0), None, "0 is no maximum");
    }

    #[test]
    fn title_in_the_message_is_one_short_line() {
        let repetition = Repetition { titles: vec!["a\n\u{1b}[2Jb".repeat(100)], times: 2 };
        let text = repetition.to_string();
        assert!(text.len() < 300 && !text.contains(char::is_control), "{text}");
    }
}
