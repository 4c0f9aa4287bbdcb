//! The topics of `kugetsu help <topic>`; `kugetsu man` prints them as well.

/// Name and text.
pub(crate) const TOPICS: [(&str, &str); 5] = [
    ("refs", include_str!("refs.txt")),
    ("config", include_str!("config.txt")),
    ("env", include_str!("env.txt")),
    ("agents", include_str!("agents.txt")),
    ("exit-codes", include_str!("exit-codes.txt")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_fit_a_terminal_of_80_columns_and_two_screens() {
        for (name, text) in TOPICS {
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{name}");
            assert!(text.lines().count() <= 48 && text.ends_with('\n'), "{name}");
        }
    }
}
