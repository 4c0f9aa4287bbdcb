//! A token and the name of the variable that it came from.

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::api::error::ForgeError;

/// Who we are to a server. `Debug` shows the variable and never the token.
#[derive(Clone, Debug)]
pub struct Credentials {
    variable: String,
    token: Option<SecretString>,
}

impl Credentials {
    /// Takes the value of `variable`, for instance of `GITEA_TOKEN`. An empty value is none: then only what everybody
    /// may see can be asked for.
    ///
    /// # Errors
    /// The value holds something that no token holds, such as a line break in its middle.
    pub fn new(variable: impl Into<String>, token: Option<&SecretString>) -> Result<Self, ForgeError> {
        let variable = variable.into();
        let Some(token) = token.map(|token| token.expose_secret().trim()).filter(|token| !token.is_empty()) else {
            return Ok(Self { variable, token: None });
        };
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ForgeError::TokenMalformed {
                variable,
                why: "it holds a space, a line break or a letter beyond ASCII",
            });
        }
        Ok(Self { variable, token: Some(SecretString::from(token)) })
    }

    /// Without a token, for questions that everybody may ask.
    pub(in crate::api) fn nobody() -> Self {
        Self { variable: String::new(), token: None }
    }

    /// The variable that a token is expected in.
    pub fn variable(&self) -> &str {
        &self.variable
    }

    /// Whether there is a token.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The value of a header: `before` and the token. Marked, so that no log of HTTP traffic shows it.
    pub(super) fn header(&self, before: &str) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("{before}{}", self.token.as_ref()?.expose_secret())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The text with `***` where it repeats the token.
    pub(super) fn masked(&self, text: &str) -> String {
        match &self.token {
            Some(token) => text.replace(token.expose_secret(), "***"),
            None => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let credentials = Credentials::new("GITEA_TOKEN", Some(&" SECRET\n".into())).unwrap();
        assert!(credentials.has_token() && !format!("{credentials:?}").contains("SECRET"), "{credentials:?}");
        let header = credentials.header("token ").unwrap();
        assert_eq!(header.to_str().unwrap(), "token SECRET");
        assert!(!format!("{header:?}").contains("SECRET"));
        assert_eq!(credentials.masked("a SECRET b"), "a *** b");
    }

    #[test]
    fn an_empty_token_is_none_and_a_broken_one_an_error_that_names_the_variable() {
        assert!(!Credentials::new("X", Some(&" \n".into())).unwrap().has_token());
        assert!(!Credentials::new("X", None).unwrap().has_token());
        for broken in ["SECRET SECRET", "SEC\nRET", "SECRET\u{e9}"] {
            let error = Credentials::new("GITHUB_TOKEN", Some(&broken.into())).unwrap_err().to_string();
            assert!(error.contains("GITHUB_TOKEN") && !error.contains("SEC"), "{error}");
        }
    }
}
