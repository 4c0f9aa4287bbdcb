//! What a long operation says while it runs.

/// One line for a person who waits, such as `Receiving objects 45%`. A later line replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The line, without a full stop.
    pub text: String,
}

impl Progress {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

/// Where progress goes. Called often, so it should return at once.
pub type ProgressSink<'a> = &'a mut (dyn FnMut(Progress) + Send);

/// Reads git's progress lines; the same figure is not told twice.
#[derive(Default)]
pub(crate) struct Meter {
    last: String,
}

impl Meter {
    /// The progress in one line of git's stderr, if it holds any.
    pub(crate) fn read(&mut self, line: &[u8]) -> Option<Progress> {
        let line = String::from_utf8_lossy(line);
        let line = line.trim().strip_prefix("remote: ").unwrap_or(line.trim());
        let (what, rest) = line.split_once(':')?;
        let (percent, _) = rest.trim_start().split_once('%')?;
        let percent: u8 = percent.parse().ok()?;
        let text = format!("{what} {percent}%");
        if text == self.last {
            return None;
        }
        self.last.clone_from(&text);
        Some(Progress { text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_told_once_and_other_lines_not_at_all() {
        let mut meter = Meter::default();
        let lines: [&[u8]; 5] = [
            b"Receiving objects:  45% (45/100), 1.2 MiB | 2 MiB/s",
            b"Receiving objects:  45% (46/100)",
            b"remote: Counting objects: 100% (5/5), done.",
            b"fatal: repository 'x' not found",
            b"From https://host/x",
        ];
        let told: Vec<_> = lines.iter().filter_map(|line| meter.read(line)).map(|p| p.text).collect();
        assert_eq!(told, ["Receiving objects 45%", "Counting objects 100%"]);
    }
}
