//! What follows the path of an address: `#12`, `!3`, a query, a fragment.

use crate::address::Target;
use crate::error::Fault;
use crate::page_path;

/// A path and what follows it. A query is dropped: it may hold a token, and never says which issue is meant.
pub(crate) struct Suffix<'a> {
    pub(crate) path: &'a str,
    bang: Option<&'a str>,
    fragment: Option<&'a str>,
    pub(crate) had_query: bool,
}

impl<'a> Suffix<'a> {
    pub(crate) fn split(text: &'a str) -> Result<Self, Fault> {
        let (rest, fragment) = match text.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment)),
            None => (text, None),
        };
        let (path, had_query) = rest.split_once('?').map_or((rest, false), |(path, _)| (path, true));
        let (path, bang) = match path.rsplit_once('!') {
            Some((path, bang)) => (path, Some(bang)),
            None => (path, None),
        };
        if bang.is_some() && fragment.is_some() {
            return Err(Fault::OtherPage);
        }
        Ok(Self { path, bang, fragment, had_query })
    }

    /// The number behind `#` or `!`. Behind a path without a scheme (`strict`) nothing else may stand there but a
    /// comment; a page may have any fragment, such as a heading's.
    pub(crate) fn short(&self, strict: bool) -> Result<Option<Target>, Fault> {
        if let Some(bang) = self.bang {
            return page_path::number(bang).map(|number| Some(Target::PullRequest(number)));
        }
        match self.fragment {
            Some("") if strict => Err(Fault::NumberMissing),
            Some(text) if self.comment().is_none() => match page_path::number(text) {
                Ok(number) => Ok(Some(Target::Issue(number))),
                Err(fault) if strict => Err(fault),
                Err(_) => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// The comment that the fragment points at.
    pub(crate) fn comment(&self) -> Option<u64> {
        let fragment = self.fragment?;
        ["issuecomment-", "discussion_r", "pullrequestreview-", "note_"]
            .iter()
            .find_map(|begin| page_path::number(fragment.strip_prefix(begin)?).ok())
    }
}
