//! A token and the name of the variable that it came from.

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::error::ForgeError;

/// Token for one server, if there is one. `Debug` shows the variable, never the token.
#[derive(Clone, Debug)]
pub struct Credentials {
    variable: String,
    token: Option<SecretString>,
}

impl Credentials {
    /// Takes the value of `variable`, for example of `GITEA_TOKEN`. An empty value counts as no token; then only public
    /// data can be read.
    ///
    /// # Errors
    /// [`ForgeError::TokenMalformed`] if the value contains white space, control or non-ASCII characters.
    pub fn new(variable: impl Into<String>, token: Option<&SecretString>) -> Result<Self, ForgeError> {
        let variable = variable.into();
        let Some(token) = token.map(|token| token.expose_secret().trim()).filter(|token| !token.is_empty()) else {
            return Ok(Self { variable, token: None });
        };
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason = "it contains a space, a line break or a non-ASCII character";
            return Err(ForgeError::TokenMalformed { variable, reason });
        }
        Ok(Self { variable, token: Some(SecretString::from(token)) })
    }

    /// No token.
    pub(crate) fn anonymous() -> Self {
        Self { variable: String::new(), token: None }
    }

    /// The variable in which the token is expected.
    pub fn variable(&self) -> &str {
        &self.variable
    }

    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The value of a header: `prefix` and the token. It is marked as sensitive, so that HTTP logs do not show it.
    pub(super) fn header(&self, prefix: &str) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("{prefix}{}", self.token.as_ref()?.expose_secret())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Replaces the token in `text` with `***`.
    pub(super) fn mask(&self, text: &str) -> String {
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
        assert_eq!(credentials.mask("a SECRET b"), "a *** b");
    }

    #[test]
    fn an_empty_token_is_none_and_a_malformed_one_is_an_error() {
        assert!(!Credentials::new("X", Some(&" \n".into())).unwrap().has_token());
        assert!(!Credentials::new("X", None).unwrap().has_token());
        for malformed in ["SECRET SECRET", "SEC\nRET", "SECRET\u{e9}"] {
            let error = Credentials::new("GITHUB_TOKEN", Some(&malformed.into())).unwrap_err().to_string();
            assert!(error.contains("GITHUB_TOKEN") && !error.contains("SEC"), "{error}");
        }
    }
}
