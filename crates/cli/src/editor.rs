//! Files that the user edits in an editor.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Command;

use tempfile::NamedTempFile;

use crate::failure::Failure;
use crate::ui;

/// The user's editor.
#[derive(Debug)]
pub(crate) struct Editor(OsString);

impl Editor {
    /// The value of `VISUAL`, or else of `EDITOR`; `None` if neither is set.
    pub(crate) fn from_environment() -> Option<Self> {
        ["VISUAL", "EDITOR"].into_iter().filter_map(env::var_os).find(|value| !value.is_empty()).map(Self)
    }

    /// Lets the user edit a draft, and returns its text.
    ///
    /// # Errors
    /// The editor could not be started, or failed; or the draft could not be read.
    pub(crate) fn edit(&self, draft: &NamedTempFile) -> Result<String, Failure> {
        self.open(draft.path())?;
        // Some editors write another file and rename it, so read the path and not the open file.
        std::fs::read_to_string(draft.path())
            .map_err(|error| Failure::new(format!("could not read {}: {error}", draft.path().display())))
    }

    fn open(&self, path: &Path) -> Result<(), Failure> {
        let Self(editor) = self;
        let shown = ui::one_line(&editor.to_string_lossy());
        // As git does: the variable may contain options, so a shell splits it.
        let mut script = editor.clone();
        script.push(" \"$@\"");
        match Command::new("sh").arg("-c").arg(script).arg(editor).arg(path).status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::new(format!("the editor {shown} failed ({status})"))),
            Err(error) => Err(Failure::new(format!("could not start the editor {shown}: {error}"))),
        }
    }
}

/// Creates a temporary file for the editor, whose name has `prefix` and `suffix` around random letters.
pub(crate) fn draft(prefix: &str, suffix: &str, content: &str) -> io::Result<NamedTempFile> {
    let file = tempfile::Builder::new().prefix(prefix).suffix(suffix).tempfile()?;
    std::fs::write(file.path(), content)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editor_may_have_options_and_replace_the_file() {
        let draft = draft("draft-", ".txt", "old").unwrap();
        let replace = Editor(r#"sh -c 'echo new > "$1.x" && mv "$1.x" "$1"' sh"#.into());
        assert_eq!(replace.edit(&draft).unwrap(), "new\n");
        let failed = Editor("false".into()).edit(&draft).unwrap_err();
        assert!(failed.message.starts_with("the editor false failed"), "{}", failed.message);
    }
}
