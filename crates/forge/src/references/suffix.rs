//! The suffix of an address, behind its path: `#12`, `!3`, a query, a fragment.

use super::address::Target;
use super::error::Reason;
use super::page_path;
use crate::kinds::table::dialects;

/// A path, and what follows it. A query is dropped: it may contain a token and never shows which issue is meant.
pub(crate) struct Suffixed<'a> {
    pub(crate) path: &'a str,
    /// The text behind the sign of a pull request.
    pull_request: Option<&'a str>,
    fragment: Option<&'a str>,
    pub(crate) had_query: bool,
}

impl<'a> Suffixed<'a> {
    pub(crate) fn split(text: &'a str) -> Result<Self, Reason> {
        let (rest, fragment) = match text.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment)),
            None => (text, None),
        };
        let (path, had_query) = rest.split_once('?').map_or((rest, false), |(path, _)| (path, true));
        let (path, pull_request) = match path.rsplit_once(is_pull_request_sign) {
            Some((path, number)) => (path, Some(number)),
            None => (path, None),
        };
        if pull_request.is_some() && fragment.is_some() {
            return Err(Reason::OtherPage);
        }
        Ok(Self { path, pull_request, fragment, had_query })
    }

    /// The target that `#12` or `!3` names. After a path without a scheme (`strict`), the fragment has to be a number or a
    /// comment; the address of a page may have any other fragment, such as that of a heading.
    pub(crate) fn target(&self, strict: bool) -> Result<Option<Target>, Reason> {
        if let Some(text) = self.pull_request {
            return page_path::number(text).map(|number| Some(Target::PullRequest(number)));
        }
        match self.fragment {
            Some("") if strict => Err(Reason::NumberMissing),
            Some(text) if self.comment().is_none() => match page_path::number(text) {
                Ok(number) => Ok(Some(Target::Issue(number))),
                Err(reason) if strict => Err(reason),
                Err(_) => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// The id of the comment that the fragment names.
    pub(crate) fn comment(&self) -> Option<u64> {
        let fragment = self.fragment?;
        let mut anchors = dialects().flat_map(|dialect| dialect.pages.comment_anchors);
        anchors.find_map(|anchor| page_path::number(fragment.strip_prefix(anchor)?).ok())
    }
}

/// Whether a kind of forge writes a pull request with this sign, as `!3`.
pub(crate) fn is_pull_request_sign(c: char) -> bool {
    dialects().any(|dialect| dialect.pages.pull_request_sign == Some(c))
}
