//! Names of agents, servers, settings and commands as users type them.

use strsim::osa_distance;

/// Whether a name is valid for an agent or a server: letters, digits, `-`, `_` and `.` only. Such a name can be part of a
/// file name: it neither hides the file nor looks like an option.
pub(crate) fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with(['.', '-']) && name.chars().all(plain)
}

/// Returns `; did you mean <name> or <name>?` with the names closest to a mistyped one: all at the smallest edit distance, at
/// most three, in alphabetical order. Empty if none is close: more than a third of it would have to change.
pub(crate) fn did_you_mean<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let similar = similar(typed, names);
    if similar.is_empty() { String::new() } else { format!("; did you mean `{}`?", similar.join("` or `")) }
}

fn similar<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<(usize, &str)> = names.into_iter().map(|name| (osa_distance(typed, name), name)).collect();
    names.sort_unstable();
    let most = (typed.chars().count() / 3).max(1);
    let smallest = names.first().map_or(0, |(distance, _)| *distance).min(most);
    names.into_iter().take_while(|(distance, _)| *distance == smallest).map(|(_, name)| name).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_closest_names_are_suggested() {
        let names = ["agents.max", "agent.default", "run.timeout"];
        assert_eq!(similar("agent.max", names), ["agents.max"]);
        assert_eq!(similar("run.timout", names), ["run.timeout"]);
        assert_eq!(similar("b", ["a", "c"]), ["a", "c"]);
        assert_eq!(did_you_mean("b", ["a", "c"]), "; did you mean `a` or `c`?");
        assert_eq!(did_you_mean("foo.bar", names), "", "none is close");
    }
}
