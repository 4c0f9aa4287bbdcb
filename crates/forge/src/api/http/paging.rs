//! How a list goes on.

use reqwest::Url;
use reqwest::header::LINK;

use super::answer::Answer;
use super::base_url::BaseUrl;

/// Entries asked for per page: what Gitea allows by default; the others allow a hundred.
pub(in crate::api) const PER_PAGE: usize = 50;

/// The parameters that say where in a list to go on: a page's number, or behind which entry.
const PLACES: &[&str] = &["page", "cursor", "after", "id_after"];

/// The way a kind of server says that there is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Paging {
    /// GitHub: `Link` only.
    Link,
    /// Gitea: `Link`, and where a proxy or an old version left it out, `X-Total-Count` or full pages.
    Count,
    /// GitLab: `X-Next-Page`, empty on the last; `Link` for lists that have no page numbers.
    NextPage,
}

/// The address of the page behind this one, which held `here` entries and had `before` before it.
///
/// A `Link` is followed as it stands only on the site itself. Servers behind proxies name hosts of their own in it; then
/// only the place in the list is taken. That way the token stays at home, whatever a server writes.
pub(super) fn next(paging: Paging, base_url: &BaseUrl, answer: &Answer, here: usize, before: usize) -> Option<Url> {
    if here == 0 {
        return None;
    }
    if paging == Paging::NextPage
        && let Some(page) = answer.header("x-next-page")
    {
        return Some(with_page(&answer.url, page.parse().ok()?));
    }
    if let Some(links) = answer.header(LINK.as_str()) {
        let linked = answer.url.join(link(links, "next")?).ok()?;
        let next = if base_url.has(&linked) { linked } else { moved(&answer.url, &linked)? };
        return (next != answer.url).then_some(next);
    }
    if paging != Paging::Count {
        return None;
    }
    let more = match answer.header("x-total-count").and_then(|total| total.parse::<usize>().ok()) {
        Some(total) => before + here < total,
        None => here >= PER_PAGE,
    };
    more.then(|| with_page(&answer.url, page(&answer.url).unwrap_or(1).saturating_add(1)))
}

/// The target of the link with this relation.
fn link<'a>(header: &'a str, relation: &str) -> Option<&'a str> {
    let mut left = header;
    while let Some((_, rest)) = left.split_once('<') {
        let (target, rest) = rest.split_once('>')?;
        let parameters = rest.split('<').next().unwrap_or_default();
        let named = parameters.split([';', ',']).filter_map(|parameter| parameter.trim().strip_prefix("rel="));
        if named.into_iter().any(|names| names.trim_matches('"').split(' ').any(|name| name == relation)) {
            return Some(target);
        }
        left = rest;
    }
    None
}

fn page(url: &Url) -> Option<u64> {
    url.query_pairs().find(|(name, _)| name == "page")?.1.parse().ok()
}

/// The same list at the place that `linked` leads to; none where that names no place.
fn moved(url: &Url, linked: &Url) -> Option<Url> {
    let is_place = |name: &str| PLACES.contains(&name);
    let places: Vec<_> = linked.query_pairs().filter(|(name, _)| is_place(name)).collect();
    let kept: Vec<_> = url.query_pairs().filter(|(name, _)| !is_place(name)).collect();
    let mut next = url.clone();
    next.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(&places);
    (!places.is_empty()).then_some(next)
}

fn with_page(url: &Url, page: u64) -> Url {
    let mut next = url.clone();
    let kept: Vec<_> = url.query_pairs().filter(|(name, _)| name != "page").collect();
    next.query_pairs_mut().clear().extend_pairs(kept).append_pair("page", &page.to_string());
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
        let answer = Answer { url, status: StatusCode::OK, headers, body: Vec::new() };
        let base_url = BaseUrl::new("https://h/api", "x").unwrap();
        next(paging, &base_url, &answer, here, before).map(String::from)
    }

    #[test]
    fn a_link_on_the_site_is_followed_as_it_stands() {
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
    fn a_link_to_another_host_gives_its_page_number_and_nothing_else() {
        let own = Some("https://h/api/repos/a/b/pulls?state=all&limit=50&page=3".to_owned());
        for link in [
            "<https://evil.example/steal?page=3&state=open>; rel=next",
            "<http://h/api/x?page=3>; rel=\"next\"",
            "<https://h:444/?page=3>; rel=\"next\"",
            "<https://h@evil.example/?page=3>; rel=\"next\"",
            "<//evil.example/?page=3>; rel=\"next\"",
        ] {
            assert_eq!(after(Paging::Link, &[("link", link)], 50, 50), own, "{link}");
            assert_eq!(after(Paging::Count, &[("link", link)], 50, 50), own, "{link}");
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
    fn gitea_counts_and_gitlab_names_the_next_page() {
        let third = Some("https://h/api/repos/a/b/pulls?state=all&limit=50&page=3".to_owned());
        assert_eq!(
            after(Paging::Count, &[("x-total-count", "61")], 30, 30),
            third,
            "a server may give less than asked"
        );
        assert_eq!(after(Paging::Count, &[("x-total-count", "60")], 30, 30), None);
        assert_eq!(after(Paging::Count, &[], 50, 50), third);
        assert_eq!(after(Paging::Count, &[], 49, 50), None);
        assert_eq!(after(Paging::NextPage, &[("x-next-page", "3")], 50, 50), third);
        assert_eq!(after(Paging::NextPage, &[("x-next-page", "")], 50, 50), None);
    }
}
