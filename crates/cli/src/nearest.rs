//! What a mistyped word may have been meant for.

use strsim::levenshtein;

/// The names that are most like a mistyped one, best first; at most three.
pub(crate) fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<(usize, &str)> = names.into_iter().map(|name| (levenshtein(typed, name), name)).collect();
    names.sort_unstable();
    let best = names.first().map_or(0, |(distance, _)| *distance);
    names.into_iter().take_while(|(distance, _)| *distance == best).map(|(_, name)| name).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_come_first() {
        let names = ["agents.max", "agent.default", "run.timeout"];
        assert_eq!(nearest("agent.max", names), ["agents.max"]);
        assert_eq!(nearest("run.timout", names), ["run.timeout"]);
        assert_eq!(nearest("b", ["a", "c"]), ["a", "c"]);
    }
}
