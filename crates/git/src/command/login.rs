//! Credentials that stand in a URL. Git gets the URL without them and the credentials through its environment, as it gets
//! tokens: a URL ends up in config files and in argument lists, which every user of the machine can read.

use std::fmt;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;

/// User and secret for one server.
#[derive(Clone)]
pub(crate) struct Login {
    /// The beginning of the server's URLs: scheme, host and port.
    pub(crate) base: String,
    pub(crate) user: String,
    pub(crate) secret: SecretString,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.base)
    }
}

impl Login {
    /// The credentials in an http or https URL. In other URLs git ignores a password.
    pub(crate) fn from_url(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
        let authority = rest.split('/').next().unwrap_or(rest);
        let (user, host) = authority.rsplit_once('@')?;
        let (user, secret) = user.split_once(':').unwrap_or((user, ""));
        Some(Self {
            base: format!("{scheme}://{host}"),
            user: percent_decode(user),
            secret: percent_decode(secret).into(),
        })
    }
}

/// The URL without credentials; an ssh URL keeps its login name.
pub(crate) fn strip_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match (scheme, authority.rsplit_once('@')) {
        ("http" | "https", Some((_, host))) => format!("{scheme}://{host}{path}"),
        (_, Some((user, host))) => {
            let user = user.split_once(':').map_or(user, |(user, _)| user);
            format!("{scheme}://{user}@{host}{path}")
        }
        (_, None) => url.to_owned(),
    }
}

fn percent_decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn credentials_are_read_from_http_urls() {
        let read = |url: &str| {
            Login::from_url(url).map(|login| (login.base, login.user, login.secret.expose_secret().to_owned()))
        };
        let login = |base: &str, user: &str, secret: &str| Some((base.to_owned(), user.to_owned(), secret.to_owned()));
        assert_eq!(read("http://bot:s%40cret%@h:3000/a/b@c"), login("http://h:3000", "bot", "s@cret%"));
        assert_eq!(read("https://ghp_abc@h/a"), login("https://h", "ghp_abc", ""));
        assert_eq!(read("https://h/a@b"), None);
        assert_eq!(read("ssh://git@h/a"), None);
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let login = Login::from_url("https://bot:s3cret@h/a").unwrap();
        assert_eq!(format!("{login:?}"), "Login(https://h)");
    }
}
