//! Reasons: texts for people, apart from the commands that they can type next.

use std::fmt;

/// Why something is in its state, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    pub text: String,
    /// A command that the user can type next, or other advice. Lists do not show it.
    pub hint: Option<String>,
}

impl Reason {
    /// A text, such as an error, with its hint.
    pub fn new(text: impl fmt::Display, hint: Option<String>) -> Self {
        Self { text: text.to_string(), hint }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Text and hint in one line, for a text that has no hint of its own.
    pub fn in_one_line(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.text),
            None => self.text.clone(),
        }
    }

    /// Changes the text and keeps the hint.
    #[must_use]
    pub fn map_text(self, change: impl FnOnce(String) -> String) -> Self {
        Self { text: change(self.text), ..self }
    }

    /// Puts what failed before the text: `what: text`.
    #[must_use]
    pub fn of(self, what: &str) -> Self {
        self.map_text(|text| format!("{what}: {text}"))
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text, hint: None }
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// The text without the hint.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
