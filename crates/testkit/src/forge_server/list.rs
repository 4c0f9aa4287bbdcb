//! Pages of a list.

use serde_json::Value;

use super::question::Question;
use super::reply::Reply;
use super::world::World;

/// The name of the parameter that says how long a page is, and how long it is without.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    pub(super) name: &'static str,
    pub(super) default: usize,
}

/// One page out of all entries, and where it is in them.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<Value>,
    pub(super) total: usize,
    pub(super) number: usize,
    pub(super) length: usize,
}

impl Page {
    pub(super) fn of(all: Vec<Value>, question: &Question, world: &World, length: Length) -> Self {
        let number = question.number("page").unwrap_or(1).max(1);
        let length = question.number(length.name).unwrap_or(length.default).clamp(1, world.page_max);
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
    pub(super) fn links(&self, question: &Question) -> Option<String> {
        let (path, query) = question.target.split_once('?').unwrap_or((&question.target, ""));
        let kept: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("page=")).collect();
        let target = |page: usize| {
            let page = format!("page={page}");
            let pairs: Vec<&str> = kept.iter().copied().chain([page.as_str()]).collect();
            format!("{}{path}?{}", question.base, pairs.join("&"))
        };
        let next = self.next()?;
        Some(format!("<{}>; rel=\"next\", <{}>; rel=\"last\"", target(next), target(self.last())))
    }

    pub(super) fn reply(self) -> Reply {
        Reply::ok(Value::Array(self.entries))
    }
}
