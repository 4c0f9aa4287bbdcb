//! The user's base directories (XDG Base Directory Specification) in the environment of an agent, where agents keep their login
//! and settings.

use std::ffi::OsString;
use std::path::PathBuf;

/// Returns the directory of [`Profile::login_files`](crate::Profile::login_files). `variable` looks a variable up in the env files,
/// and then in the environment of kugetsu. `None` if the variables name no directory.
pub fn data_directory(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    base_directory(variable, "XDG_DATA_HOME", ".local/share")
}

/// Returns the directory of [`Profile::config_directories`](crate::Profile::config_directories); otherwise as
/// [`data_directory`].
pub fn config_directory(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    base_directory(variable, "XDG_CONFIG_HOME", ".config")
}

fn base_directory(variable: impl Fn(&str) -> Option<OsString>, name: &str, below_home: &str) -> Option<PathBuf> {
    // The specification ignores relative paths.
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(name).or_else(|| Some(absolute("HOME")?.join(below_home)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_directory_is_named_by_its_variable_or_is_below_the_home() {
        let of = |all: &[(&str, &str)]| {
            let variable = |name: &str| Some(all.iter().find(|(other, _)| *other == name)?.1.into());
            (data_directory(variable), config_directory(variable))
        };
        let paths = |data: &str, config: &str| (Some(PathBuf::from(data)), Some(PathBuf::from(config)));
        assert_eq!(of(&[("HOME", "/h")]), paths("/h/.local/share", "/h/.config"));
        assert_eq!(of(&[("HOME", "/h"), ("XDG_DATA_HOME", "/d")]), paths("/d", "/h/.config"));
        assert_eq!(of(&[("XDG_DATA_HOME", "/d"), ("XDG_CONFIG_HOME", "/c")]), paths("/d", "/c"));
        for ignored in ["", "relative"] {
            let expected = paths("/h/.local/share", "/h/.config");
            assert_eq!(of(&[("HOME", "/h"), ("XDG_DATA_HOME", ignored), ("XDG_CONFIG_HOME", ignored)]), expected);
        }
        assert_eq!(of(&[("HOME", "")]), (None, None));
    }
}
