//! Names of agents, servers, settings and commands as users type them.

use strsim::levenshtein;

/// Whether a name is valid for an agent or a server: letters, digits, `-`, `_` and `.` only. Such a name can be part of a
/// file name: it neither hides the file nor looks like an option.
pub(crate) fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with(['.', '-']) && name.chars().all(plain)
}

/// The names closest to a mistyped one: all at the smallest edit distance, at most three, in alphabetical order.
pub(crate) fn suggestions<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
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
        assert_eq!(suggestions("agent.max", names), ["agents.max"]);
        assert_eq!(suggestions("run.timout", names), ["run.timeout"]);
        assert_eq!(suggestions("b", ["a", "c"]), ["a", "c"]);
    }
}
