//! Names that people give to agents and servers.

/// Whether it can be one: letters, digits, `-`, `_` and `.` only, so that it is part of a file's name as it is, and neither
/// hides that file nor looks like an option.
pub(crate) fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with(['.', '-']) && name.chars().all(plain)
}
