//! A user and a secret that stand in an address. Git is given the address without them; they reach it as tokens do,
//! through its environment, since an address is written into config files and is seen by every user of the machine.

use std::fmt;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;

/// A user and a secret for one server.
#[derive(Clone)]
pub(crate) struct Login {
    /// The server's address: scheme, host and port.
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
    /// The credentials in an address of http or https. Elsewhere a password in it means nothing to git.
    pub(crate) fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
        let authority = rest.split('/').next().unwrap_or(rest);
        let (user, host) = authority.rsplit_once('@')?;
        let (user, secret) = user.split_once(':').unwrap_or((user, ""));
        Some(Self { base: format!("{scheme}://{host}"), user: plain(user), secret: plain(secret).into() })
    }
}

/// The address without the credentials in it.
pub(crate) fn public(url: &str) -> String {
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

/// The text without the escapes (`%40`) of an address.
fn plain(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn credentials_are_read_out_of_an_address() {
        let read =
            |url: &str| Login::of(url).map(|login| (login.base, login.user, login.secret.expose_secret().to_owned()));
        let login = |base: &str, user: &str, secret: &str| Some((base.to_owned(), user.to_owned(), secret.to_owned()));
        assert_eq!(read("http://bot:s%40cret%@h:3000/a/b@c"), login("http://h:3000", "bot", "s@cret%"));
        assert_eq!(read("https://ghp_abc@h/a"), login("https://h", "ghp_abc", ""));
        assert_eq!(read("https://h/a@b"), None);
        assert_eq!(read("ssh://git@h/a"), None);
    }

    #[test]
    fn no_form_shows_the_secret() {
        let login = Login::of("https://bot:s3cret@h/a").unwrap();
        assert_eq!(format!("{login:?}"), "Login(https://h)");
    }
}
