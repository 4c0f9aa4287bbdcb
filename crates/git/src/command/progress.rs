//! Progress of long operations.

/// One status line, such as `Receiving objects 45%`. A later line replaces it.
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

/// Receives progress. It is called often, so it should return at once.
pub type ProgressSink<'a> = &'a mut (dyn FnMut(Progress) + Send);

/// Parses git's progress lines and drops repeated percentages.
#[derive(Default)]
pub(crate) struct ProgressParser {
    last: String,
}

impl ProgressParser {
    /// Returns the progress in one line of git's stderr, if it is new.
    pub(crate) fn parse(&mut self, line: &[u8]) -> Option<Progress> {
        let line = String::from_utf8_lossy(line);
        let line = line.trim().strip_prefix("remote: ").unwrap_or(line.trim());
        let (phase, rest) = line.split_once(':')?;
        let (percent, _) = rest.trim_start().split_once('%')?;
        let percent: u8 = percent.parse().ok()?;
        let text = format!("{phase} {percent}%");
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
    fn each_percentage_is_reported_once() {
        let mut parser = ProgressParser::default();
        let lines: [&[u8]; 5] = [
            b"Receiving objects:  45% (45/100), 1.2 MiB | 2 MiB/s",
            b"Receiving objects:  45% (46/100)",
            b"remote: Counting objects: 100% (5/5), done.",
            b"fatal: repository 'x' not found",
            b"From https://host/x",
        ];
        let reported: Vec<_> = lines.iter().filter_map(|line| parser.parse(line)).map(|p| p.text).collect();
        assert_eq!(reported, ["Receiving objects 45%", "Counting objects 100%"]);
    }
}
