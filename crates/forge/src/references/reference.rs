//! A reference as the user typed it, classified by its form.

use std::fmt;

use kugetsu_domain::reference::COORDINATOR;

use super::local::is_path_like;

/// A user's reference to an issue or a repository. Classified once, where a request comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A path on this machine, not yet expanded: `.`, `../x`, `/x`, `~/x` or `file://...`.
    Path(String),
    /// The coordinator, `pm`.
    Coordinator,
    /// An agent's session id: a single word.
    Session(String),
    /// Anything else, which [`parse`](super::parser::parse) reads once servers and current repository are known.
    Address(String),
}

impl Reference {
    pub fn new(text: &str) -> Self {
        let text = text.trim();
        // No address is a single word of these characters.
        let is_session = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if is_path_like(text) {
            Self::Path(text.to_owned())
        } else if text == COORDINATOR {
            Self::Coordinator
        } else if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Self::Address(format!("#{text}"))
        } else if !text.is_empty() && text.chars().all(is_session) {
            Self::Session(text.to_owned())
        } else {
            Self::Address(text.to_owned())
        }
    }

    pub fn is_path(&self) -> bool {
        matches!(self, Self::Path(_))
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Coordinator => COORDINATOR,
            Self::Path(text) | Self::Session(text) | Self::Address(text) => text,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_classified_by_their_form() {
        for (text, expected) in [
            (" . ", Reference::Path(".".to_owned())),
            ("~/x", Reference::Path("~/x".to_owned())),
            ("pm", Reference::Coordinator),
            ("ses_7f-3", Reference::Session("ses_7f-3".to_owned())),
            ("#12", Reference::Address("#12".to_owned())),
            ("12", Reference::Address("#12".to_owned())),
            ("acme/api#12", Reference::Address("acme/api#12".to_owned())),
            ("", Reference::Address(String::new())),
        ] {
            assert_eq!(Reference::new(text), expected, "{text}");
        }
    }
}
