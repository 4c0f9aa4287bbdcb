//! The address at which an API begins, and the addresses below it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, Url};

use crate::error::ForgeError;

/// Everything but RFC 3986's unreserved characters: a `/` inside a segment has to arrive as `%2F`.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Scheme, host, port and leading path of an API.
#[derive(Clone, Debug)]
pub(crate) struct BaseUrl {
    url: Url,
}

impl BaseUrl {
    /// Parses an address such as `https://git.example.co/api/v1`. `server` is the name that an error shows instead of it.
    ///
    /// # Errors
    /// [`ForgeError::Address`] unless it is an http or https address without user, password, query and fragment.
    pub(crate) fn parse(api: &str, server: &str) -> Result<Self, ForgeError> {
        let refused = |reason| ForgeError::Address { server: server.to_owned(), reason };
        let url = Url::parse(api.trim_end_matches('/')).map_err(|_| refused("it is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(refused("it is not an http:// or https:// address"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it contains a user or a password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("it contains a query or a fragment"));
        }
        Ok(Self { url })
    }

    pub(crate) fn scheme(&self) -> &str {
        self.url.scheme()
    }

    /// The address without a trailing slash, as errors name the server.
    pub(crate) fn as_str(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Appends path segments, each percent-encoded as a whole, and a query.
    pub(crate) fn join(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        let encoded: Vec<String> = segments.iter().map(|part| utf8_percent_encode(part, SEGMENT).to_string()).collect();
        url.set_path(&format!("{}/{}", self.url.path().trim_end_matches('/'), encoded.join("/")));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The address of GitHub's other API, which an Enterprise Server has beside this one.
    pub(crate) fn graphql(&self) -> Url {
        let mut url = self.url.clone();
        let path = url.path().trim_end_matches('/');
        let root = path.strip_suffix("/v3").unwrap_or(path).to_owned();
        url.set_path(&format!("{root}/graphql"));
        url
    }

    /// Whether the token for this API may be sent to `url`: scheme, host and port are the same.
    pub(crate) fn is_same_origin(&self, url: &Url) -> bool {
        url.origin() == self.url.origin()
    }

    /// The method and the path below the base, without the query: how errors name a request.
    pub(crate) fn describe(&self, method: &Method, url: &Url) -> String {
        let below = url.path().strip_prefix(self.url.path().trim_end_matches('/')).unwrap_or(url.path());
        format!("{method} {below}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_belongs_to_one_scheme_host_and_port() {
        let base = BaseUrl::parse("https://git.example.co/api/v1", "x").unwrap();
        let same = |url: &str| base.is_same_origin(&Url::parse(url).unwrap());
        assert!(same("https://git.example.co/elsewhere") && same("https://GIT.example.co:443/"));
        for other in [
            "http://git.example.co/api/v1",
            "https://git.example.co:8443/api/v1",
            "https://git.example.co.evil.example/api/v1",
            "https://git.example.co@evil.example/api/v1",
            "https://example.co/api/v1",
        ] {
            assert!(!same(other), "{other}");
        }
    }

    #[test]
    fn a_slash_inside_a_segment_stays_encoded() {
        let base = BaseUrl::parse("http://127.0.0.1:8080/gitlab/api/v4/", "x").unwrap();
        let url = base.join(&["projects", "group/sub/proj", "issues", "12"], &[("source_branch", "a/b&c d")]);
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:8080/gitlab/api/v4/projects/group%2Fsub%2Fproj/issues/12?source_branch=a%2Fb%26c+d"
        );
        assert_eq!(base.describe(&Method::GET, &url), "GET /projects/group%2Fsub%2Fproj/issues/12");
        let github = BaseUrl::parse("https://api.github.com", "x").unwrap();
        assert_eq!(github.join(&["user"], &[]).as_str(), "https://api.github.com/user");
        assert_eq!(github.graphql().as_str(), "https://api.github.com/graphql");
        let enterprise = BaseUrl::parse("https://ghe.example.com/api/v3", "x").unwrap();
        assert_eq!(enterprise.graphql().as_str(), "https://ghe.example.com/api/graphql");
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
            let error = BaseUrl::parse(api, "https://h").unwrap_err();
            assert!(!error.to_string().contains("SECRET"), "{error}");
        }
    }
}
