//! Where an API begins, and the addresses below it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

use crate::api::error::ForgeError;

/// All but what RFC 3986 calls unreserved: a `/` inside of a part must arrive as `%2F`.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The base of an API: scheme, host, port and the path that all its addresses begin with.
#[derive(Clone, Debug)]
pub(in crate::api) struct BaseUrl {
    base: Url,
}

impl BaseUrl {
    /// Reads the address of an API, for instance `https://git.example.co/api/v1`.
    ///
    /// # Errors
    /// It is no web address, or holds a user, a password, a query or a fragment. The error does not repeat it.
    pub(in crate::api) fn new(api: &str, server: &str) -> Result<Self, ForgeError> {
        let refused = |why| ForgeError::Address { server: server.to_owned(), why };
        let base = Url::parse(api.trim_end_matches('/')).map_err(|_| refused("it is no address"))?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(refused("it is not an address of the web (http:// or https://)"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(refused("it holds a user or a password"));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(refused("it holds a query or a fragment"));
        }
        Ok(Self { base })
    }

    /// The address, as errors name the server.
    pub(in crate::api) fn name(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The address of `parts` below the base, each of them encoded whole.
    pub(in crate::api) fn at(&self, parts: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        let encoded: Vec<String> = parts.iter().map(|part| utf8_percent_encode(part, PART).to_string()).collect();
        url.set_path(&format!("{}/{}", self.base.path().trim_end_matches('/'), encoded.join("/")));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Whether a token for this site may be sent there: scheme, host and port are the same.
    pub(in crate::api) fn has(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// How an error names a request: its method and its path below the site, without the query.
    pub(in crate::api) fn request(&self, url: &Url) -> String {
        let below = url.path().strip_prefix(self.base.path().trim_end_matches('/')).unwrap_or(url.path());
        format!("GET {below}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_belongs_to_one_scheme_host_and_port() {
        let base_url = BaseUrl::new("https://git.example.co/api/v1", "x").unwrap();
        let has = |url: &str| base_url.has(&Url::parse(url).unwrap());
        assert!(has("https://git.example.co/elsewhere") && has("https://GIT.example.co:443/"));
        for other in [
            "http://git.example.co/api/v1",
            "https://git.example.co:8443/api/v1",
            "https://git.example.co.evil.example/api/v1",
            "https://git.example.co@evil.example/api/v1",
            "https://example.co/api/v1",
        ] {
            assert!(!has(other), "{other}");
        }
    }

    #[test]
    fn a_slash_inside_of_a_part_stays_encoded() {
        let base_url = BaseUrl::new("http://127.0.0.1:8080/gitlab/api/v4/", "x").unwrap();
        let url = base_url.at(&["projects", "group/sub/proj", "issues", "12"], &[("source_branch", "a/b&c d")]);
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:8080/gitlab/api/v4/projects/group%2Fsub%2Fproj/issues/12?source_branch=a%2Fb%26c+d"
        );
        assert_eq!(base_url.request(&url), "GET /projects/group%2Fsub%2Fproj/issues/12");
        assert_eq!(
            BaseUrl::new("https://api.github.com", "x").unwrap().at(&["user"], &[]).as_str(),
            "https://api.github.com/user"
        );
    }

    #[test]
    fn an_address_with_secrets_is_refused_and_not_repeated() {
        for api in [
            "https://bot:SECRET@h/api",
            "https://SECRET@h",
            "https://h/?t=SECRET",
            "https://h/#SECRET",
            "SECRET",
            "ssh://SECRET/",
            "https://",
        ] {
            let error = BaseUrl::new(api, "https://h").unwrap_err().to_string();
            assert!(!error.contains("SECRET") && error.contains("config.toml"), "{error}");
        }
    }
}
