//! Which step of a script is due, as a pure function of the conversation and of the faults already made.

use super::script::{Cut, Script, Step};

/// What the server does next for one request.
#[derive(Debug, PartialEq)]
pub(super) enum Due<'a> {
    /// This step, at this index of the script.
    Step(usize, &'a Step),
    /// The script is at its end.
    End,
}

/// The step that is due after `answers`. `spent(index)` says how often the fault at `index` was made in this turn;
/// `open(gate)` whether the test has opened that gate.
pub(super) fn due<'a>(
    script: &'a Script,
    answers: &[String],
    spent: impl Fn(usize) -> u32,
    open: impl Fn(&str) -> bool,
) -> Due<'a> {
    let mut answered = answers.iter().filter(|answer| !is_cut(script, answer)).count();
    for (index, step) in script.steps.iter().enumerate() {
        let past = match step {
            Step::Status(status) => answered > 0 || spent(index) >= status.times,
            Step::Cut(cut) => answered > 0 || spent(index) >= cut.times,
            Step::Wait(gate) => answered > 0 || open(gate),
            _ => {
                let past = answered > 0;
                answered = answered.saturating_sub(1);
                past
            }
        };
        if !past {
            return Due::Step(index, step);
        }
    }
    Due::End
}

/// Clients keep the piece they got of a broken answer in the conversation; it is no answer to a step.
fn is_cut(script: &Script, answer: &str) -> bool {
    let is_piece = |text: &str| !text.is_empty() && text.trim() == answer.trim();
    script.steps.iter().any(|step| matches!(step, Step::Cut(Cut { text, .. }) if is_piece(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(script: &Script, answers: &[&str], spent: u32, open: bool) -> Option<usize> {
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        match due(script, &answers, |_| spent, |_| open) {
            Due::Step(index, _) => Some(index),
            Due::End => None,
        }
    }

    #[test]
    fn answers_move_the_script_on() {
        let script = Script::new([Step::bash("ls"), Step::Say("a".into())]);
        assert_eq!(index(&script, &[], 0, false), Some(0));
        assert_eq!(index(&script, &[""], 0, false), Some(1));
        assert_eq!(index(&script, &["", "a"], 0, false), None);
    }

    #[test]
    fn a_status_is_due_until_it_is_spent_and_never_again_after_an_answer() {
        let script = Script::new([Step::status(429, 2), Step::Say("a".into())]);
        assert_eq!(index(&script, &[], 1, false), Some(0));
        assert_eq!(index(&script, &[], 2, false), Some(1));
        assert_eq!(index(&script, &["a"], 0, false), None);
    }

    #[test]
    fn a_status_between_two_answers_waits_for_the_first() {
        let script = Script::new([Step::bash("ls"), Step::status(500, 1), Step::Say("a".into())]);
        assert_eq!(index(&script, &[], 0, false), Some(0));
        assert_eq!(index(&script, &[""], 0, false), Some(1));
        assert_eq!(index(&script, &[""], 1, false), Some(2));
    }

    #[test]
    fn a_kept_piece_of_a_cut_answer_does_not_count() {
        let script = Script::new([Step::cut("half", 1), Step::Say("whole".into())]);
        assert_eq!(index(&script, &["half"], 1, false), Some(1));
        assert_eq!(index(&script, &["half", "whole"], 1, false), None);
    }

    #[test]
    fn a_closed_gate_holds_the_next_step() {
        let script = Script::new([Step::wait("g"), Step::Say("a".into())]);
        assert_eq!(index(&script, &[], 0, false), Some(0));
        assert_eq!(index(&script, &[], 0, true), Some(1));
    }
}
