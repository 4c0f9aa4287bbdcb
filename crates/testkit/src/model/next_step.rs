//! Chooses the next step of a script, as a pure function of the conversation and of the faults already injected.

use super::script::{Cut, Script, Step};

/// The next step for a request.
#[derive(Debug, PartialEq)]
pub(super) enum NextStep<'a> {
    /// The step and its index in the script.
    Step(usize, &'a Step),
    /// The script has ended.
    End,
}

/// Returns the step after `answers`. `injected(index)` is how often the fault at `index` was injected in this turn;
/// `is_open(gate)` is whether the test has opened that gate.
pub(super) fn next_step<'a>(
    script: &'a Script,
    answers: &[String],
    injected: impl Fn(usize) -> u32,
    is_open: impl Fn(&str) -> bool,
) -> NextStep<'a> {
    let mut answered = answers.iter().filter(|answer| !is_cut(script, answer)).count();
    for (index, step) in script.steps.iter().enumerate() {
        let past = match step {
            Step::Status(status) => answered > 0 || injected(index) >= status.times,
            Step::Cut(cut) => answered > 0 || injected(index) >= cut.times,
            Step::Wait(gate) => answered > 0 || is_open(gate),
            _ => {
                let past = answered > 0;
                answered = answered.saturating_sub(1);
                past
            }
        };
        if !past {
            return NextStep::Step(index, step);
        }
    }
    NextStep::End
}

/// Whether the answer is the part of a cut answer that the client received and kept. It does not count as an answer.
fn is_cut(script: &Script, answer: &str) -> bool {
    let is_piece = |text: &str| !text.is_empty() && text.trim() == answer.trim();
    script.steps.iter().any(|step| matches!(step, Step::Cut(Cut { text, .. }) if is_piece(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(script: &Script, answers: &[&str], injected: u32, open: bool) -> Option<usize> {
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        match next_step(script, &answers, |_| injected, |_| open) {
            NextStep::Step(index, _) => Some(index),
            NextStep::End => None,
        }
    }

    #[test]
    fn each_answer_advances_the_script() {
        let script = Script::new([Step::bash("ls"), Step::Say("a".into())]);
        assert_eq!(index(&script, &[], 0, false), Some(0));
        assert_eq!(index(&script, &[""], 0, false), Some(1));
        assert_eq!(index(&script, &["", "a"], 0, false), None);
    }

    #[test]
    fn status_repeats_until_used_up_and_never_after_an_answer() {
        let script = Script::new([Step::status(429, 2), Step::Say("a".into())]);
        assert_eq!(index(&script, &[], 1, false), Some(0));
        assert_eq!(index(&script, &[], 2, false), Some(1));
        assert_eq!(index(&script, &["a"], 0, false), None);
    }

    #[test]
    fn status_between_two_answers_follows_the_first() {
        let script = Script::new([Step::bash("ls"), Step::status(500, 1), Step::Say("a".into())]);
        assert_eq!(index(&script, &[], 0, false), Some(0));
        assert_eq!(index(&script, &[""], 0, false), Some(1));
        assert_eq!(index(&script, &[""], 1, false), Some(2));
    }

    #[test]
    fn partial_text_of_a_cut_answer_does_not_count() {
        let script = Script::new([Step::cut("half", 1), Step::Say("whole".into())]);
        assert_eq!(index(&script, &["half"], 1, false), Some(1));
        assert_eq!(index(&script, &["half", "whole"], 1, false), None);
    }

    #[test]
    fn closed_gate_blocks_the_next_step() {
        let script = Script::new([Step::wait("g"), Step::Say("a".into())]);
        assert_eq!(index(&script, &[], 0, false), Some(0));
        assert_eq!(index(&script, &[], 0, true), Some(1));
    }
}
