//! Pagination.

use serde_json::Value;

use super::api_request::ApiRequest;
use super::reply::Reply;
use super::state::ForgeState;

/// The query parameter for the entries per page, and its default.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    pub(super) name: &'static str,
    pub(super) default: usize,
}

/// One page of a list.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<Value>,
    pub(super) total: usize,
    pub(super) number: usize,
    pub(super) length: usize,
}

impl Page {
    pub(super) fn of(all: Vec<Value>, request: &ApiRequest, forge: &ForgeState, length: Length) -> Self {
        let number = request.number("page").unwrap_or(1).max(1);
        let length = request.number(length.name).unwrap_or(length.default).clamp(1, forge.page_max);
        let total = all.len();
        let entries = all.into_iter().skip((number - 1).saturating_mul(length)).take(length).collect();
        Self { entries, total, number, length }
    }

    pub(super) fn last(&self) -> usize {
        self.total.div_ceil(self.length).max(1)
    }

    pub(super) fn next(&self) -> Option<usize> {
        (self.number < self.last()).then_some(self.number + 1)
    }

    /// The header `Link`, as GitHub and Gitea write it.
    pub(super) fn links(&self, request: &ApiRequest) -> Option<String> {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let other: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("page=")).collect();
        let target = |page: usize| {
            let page = format!("page={page}");
            let pairs: Vec<&str> = other.iter().copied().chain([page.as_str()]).collect();
            format!("{}{path}?{}", request.base, pairs.join("&"))
        };
        let next = self.next()?;
        Some(format!("<{}>; rel=\"next\", <{}>; rel=\"last\"", target(next), target(self.last())))
    }

    pub(super) fn reply(self) -> Reply {
        Reply::ok(Value::Array(self.entries))
    }
}
