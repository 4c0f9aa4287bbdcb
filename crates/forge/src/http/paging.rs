//! Finds the next page of a list.

use reqwest::Url;
use reqwest::header::LINK;

use super::base_url::BaseUrl;
use super::message::Response;

/// Entries requested per page. It is Gitea's default maximum; the other kinds allow 100.
pub(crate) const PER_PAGE: usize = 50;

/// Entries per page after a page was too large.
pub(super) const SMALLER_PAGES: [usize; 2] = [5, 1];

/// Query parameters that hold the number of entries per page.
const SIZE: &[&str] = &["per_page", "limit"];

/// Query parameters that hold the position in a list: a page number or a cursor.
const POSITION: &[&str] = &["page", "cursor", "after", "id_after"];

/// How a kind of server announces the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paging {
    /// `Link` only.
    Link,
    /// `Link`; if a proxy or an old version drops it, `X-Total-Count` or, failing that, a full page.
    LinkOrCount,
    /// `X-Next-Page`, empty on the last page; `Link` for lists without page numbers.
    NextPage,
}

/// `query` with another number of entries per page; `None` if it names none.
pub(super) fn with_size<'a>(query: &[(&'a str, &'a str)], size: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let is_size = |name: &str| SIZE.contains(&name);
    let resized = query.iter().map(|(name, value)| (*name, if is_size(name) { size } else { *value }));
    query.iter().any(|(name, _)| is_size(name)).then(|| resized.collect())
}

/// Returns the address of the page that follows `response`, which has `here` entries after `before` earlier ones. Full pages have
/// `size` entries.
///
/// A link is followed unchanged only within the origin of `base`. A server behind a proxy may name its internal host; then
/// only the position is taken from the link, so that the token never leaves the origin, whatever a server sends.
pub(super) fn next(
    paging: Paging,
    base: &BaseUrl,
    response: &Response,
    (here, size): (usize, usize),
    before: usize,
) -> Option<Url> {
    // Even if the page is empty: GitLab removes what the token may not see from a page after it was cut.
    if paging == Paging::NextPage
        && let Some(page) = response.header("x-next-page")
    {
        return Some(with_page(&response.url, page.parse().ok()?));
    }
    if here == 0 {
        return None;
    }
    if let Some(links) = response.header(LINK.as_str()) {
        let linked = response.url.join(link(links, "next")?).ok()?;
        let next = if base.is_same_origin(&linked) { linked } else { with_position_of(&response.url, &linked)? };
        return (next != response.url).then_some(next);
    }
    if paging != Paging::LinkOrCount {
        return None;
    }
    let more = match response.header("x-total-count").and_then(|total| total.parse::<usize>().ok()) {
        Some(total) => before + here < total,
        None => here >= size,
    };
    more.then(|| with_page(&response.url, page(&response.url).unwrap_or(1).saturating_add(1)))
}

/// The target of the link with this relation in a `Link` header.
fn link<'a>(header: &'a str, relation: &str) -> Option<&'a str> {
    let mut left = header;
    while let Some((_, rest)) = left.split_once('<') {
        let (target, rest) = rest.split_once('>')?;
        let parameters = rest.split('<').next().unwrap_or_default();
        let mut relations = parameters.split([';', ',']).filter_map(|parameter| parameter.trim().strip_prefix("rel="));
        if relations.any(|names| names.trim_matches('"').split(' ').any(|name| name == relation)) {
            return Some(target);
        }
        left = rest;
    }
    None
}

fn page(url: &Url) -> Option<u64> {
    url.query_pairs().find(|(name, _)| name == "page")?.1.parse().ok()
}

/// `url` at the position in the list that `linked` has; `None` if it has none.
fn with_position_of(url: &Url, linked: &Url) -> Option<Url> {
    let is_position = |name: &str| POSITION.contains(&name);
    let position: Vec<_> = linked.query_pairs().filter(|(name, _)| is_position(name)).collect();
    let rest: Vec<_> = url.query_pairs().filter(|(name, _)| !is_position(name)).collect();
    let mut next = url.clone();
    next.query_pairs_mut().clear().extend_pairs(rest).extend_pairs(&position);
    (!position.is_empty()).then_some(next)
}

fn with_page(url: &Url, page: u64) -> Url {
    let mut next = url.clone();
    let rest: Vec<_> = url.query_pairs().filter(|(name, _)| name != "page").collect();
    next.query_pairs_mut().clear().extend_pairs(rest).append_pair("page", &page.to_string());
    next
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::{HeaderMap, HeaderName};

    use super::*;

    fn after(paging: Paging, headers: &[(&str, &str)], here: usize, before: usize) -> Option<String> {
        let pair = |(name, value): &(&str, &str)| (HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        let headers: HeaderMap = headers.iter().map(pair).collect();
        let url = Url::parse("https://h/api/repos/a/b/pulls?state=all&page=2&limit=50").unwrap();
        let response = Response { url, status: StatusCode::OK, headers, body: Vec::new() };
        let base = BaseUrl::parse("https://h/api", "x").unwrap();
        next(paging, &base, &response, (here, PER_PAGE), before).map(String::from)
    }

    #[test]
    fn a_link_within_the_origin_is_followed_unchanged() {
        let links = r#"<https://h/repositories/1/pulls?page=3>; rel="next", <https://h/x?page=9>; rel="last""#;
        assert_eq!(
            after(Paging::Link, &[("link", links)], 50, 50).as_deref(),
            Some("https://h/repositories/1/pulls?page=3")
        );
        let last = r#"<https://h/x?page=1>; rel="prev first""#;
        assert_eq!(after(Paging::Link, &[("link", last)], 50, 50), None);
        assert_eq!(after(Paging::Link, &[], 50, 50), None);
    }

    #[test]
    fn only_the_position_is_taken_from_a_link_to_another_host() {
        let third = Some("https://h/api/repos/a/b/pulls?state=all&limit=50&page=3".to_owned());
        for link in [
            "<https://evil.example/steal?page=3&state=open>; rel=next",
            "<http://h/api/x?page=3>; rel=\"next\"",
            "<https://h:444/?page=3>; rel=\"next\"",
            "<https://h@evil.example/?page=3>; rel=\"next\"",
            "<//evil.example/?page=3>; rel=\"next\"",
        ] {
            assert_eq!(after(Paging::Link, &[("link", link)], 50, 50), third, "{link}");
            assert_eq!(after(Paging::LinkOrCount, &[("link", link)], 50, 50), third, "{link}");
        }
        let cursor =
            after(Paging::Link, &[("link", "<https://evil.example/?state=open&after=Y3Vy>; rel=next")], 50, 50);
        assert_eq!(cursor.as_deref(), Some("https://h/api/repos/a/b/pulls?state=all&limit=50&after=Y3Vy"));
        assert_eq!(after(Paging::Link, &[("link", "<https://evil.example/steal>; rel=next")], 50, 0), None);
    }

    #[test]
    fn a_list_that_does_not_advance_ends() {
        let same = "<https://h/api/repos/a/b/pulls?state=all&page=2&limit=50>; rel=next";
        assert_eq!(after(Paging::Link, &[("link", same)], 50, 50), None);
        assert_eq!(after(Paging::Link, &[("link", "<https://h/?page=3>; rel=next")], 0, 50), None);
        assert_eq!(after(Paging::Link, &[("link", "<<<>;;,\"rel=next")], 50, 0), None);
    }

    #[test]
    fn totals_full_pages_and_next_page_headers_are_understood() {
        let third = Some("https://h/api/repos/a/b/pulls?state=all&limit=50&page=3".to_owned());
        assert_eq!(
            after(Paging::LinkOrCount, &[("x-total-count", "61")], 30, 30),
            third,
            "a server may send shorter pages than requested"
        );
        assert_eq!(after(Paging::LinkOrCount, &[("x-total-count", "60")], 30, 30), None);
        assert_eq!(after(Paging::LinkOrCount, &[], 50, 50), third);
        assert_eq!(after(Paging::LinkOrCount, &[], 49, 50), None);
        assert_eq!(after(Paging::NextPage, &[("x-next-page", "3")], 50, 50), third);
        assert_eq!(after(Paging::NextPage, &[("x-next-page", "3")], 0, 50), third, "all of the page may be hidden");
        assert_eq!(after(Paging::NextPage, &[("x-next-page", "")], 50, 50), None);
    }
}
