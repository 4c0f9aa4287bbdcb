//! Suggestions for a mistyped name.

use strsim::levenshtein;

/// The names closest to a mistyped one: all at the smallest edit distance, at most three, in alphabetical order.
pub(crate) fn closest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<(usize, &str)> = names.into_iter().map(|name| (levenshtein(typed, name), name)).collect();
    names.sort_unstable();
    let smallest = names.first().map_or(0, |(distance, _)| *distance);
    names.into_iter().take_while(|(distance, _)| *distance == smallest).map(|(_, name)| name).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_closest_names_are_suggested() {
        let names = ["agents.max", "agent.default", "run.timeout"];
        assert_eq!(closest("agent.max", names), ["agents.max"]);
        assert_eq!(closest("run.timout", names), ["run.timeout"]);
        assert_eq!(closest("b", ["a", "c"]), ["a", "c"]);
    }
}
