//! Finds the cause of a failure in what a program printed on standard error.

/// Characters of it in a reason.
const COMPLAINT_MAX: usize = 400;

/// Returns the last error that the program printed, with the line that explains it, or else its last line. Without colors
/// and control characters, and not masked.
///
/// The last line alone is often only the end of a longer message, such as a stack or a quoted file.
pub(crate) fn complaint(stderr: &str) -> Option<String> {
    let stderr = without_escapes(stderr);
    let is_progress = |line: &str| PROGRESS.iter().any(|start| line.starts_with(start));
    let lines = stderr.lines().filter(|line| line.contains(char::is_alphanumeric) && !is_progress(line));
    let lines: Vec<&str> = lines.collect();
    let found = match lines.iter().rposition(|line| is_error(line)) {
        Some(index) => {
            let explained = lines.get(index + 1).filter(|next| EXPLAINS.iter().any(|start| next.starts_with(start)));
            lines[index..=index].iter().chain(explained).map(|line| line.trim()).collect::<Vec<_>>().join(" ")
        }
        None => lines.last()?.trim().to_owned(),
    };
    Some(found.chars().filter(|c| !c.is_control()).take(COMPLAINT_MAX).collect())
}

/// How lines begin that belong to the error before them: details of opencode, and causes of Rust and Node programs. Stacks
/// are indented, too, and say nothing to a user.
const EXPLAINS: &[&str] = &["↳", "Caused by", "[cause]"];

/// How lines begin that report normal work: phases of claude 0.101.0.
const PROGRESS: &[&str] = &["[session/"];

/// Whether the line begins an error: `Error:`, `error:`, `fatal:`, `ValueError:`, `thread 'main' panicked at`.
fn is_error(line: &str) -> bool {
    let line = line.trim();
    let first = line.split(' ').next().unwrap_or_default().to_ascii_lowercase();
    let names_one = ["error:", "exception:", "fatal:", "panic:"].iter().any(|end| first.ends_with(end));
    names_one || line.contains("panicked at") || line.starts_with("Uncaught ")
}

/// Removes the escape sequences of terminals.
fn without_escapes(text: &str) -> String {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = match after.strip_prefix('[') {
            // Parameters, and one letter that ends the sequence.
            Some(sequence) => sequence.trim_start_matches(|c: char| !c.is_ascii_alphabetic() && c != '\n'),
            None => after,
        };
        rest = rest.strip_prefix(|c: char| c.is_ascii_alphabetic()).unwrap_or(rest);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cause_further_up_is_found() {
        // As opencode 1.18.33 prints it.
        let json = "\u{1b}[91m\u{1b}[1mError: \u{1b}[0mConfig file at /h/opencode.json is not valid JSON(C): \n--- JSONC \
                    Input ---\n{\"key\": oops\n\n--- Errors ---\nInvalidSymbol at line 1, column 16\n--- End ---\n";
        assert_eq!(complaint(json).as_deref(), Some("Error: Config file at /h/opencode.json is not valid JSON(C):"));
        let invalid = "\u{1b}[91m\u{1b}[1mError: \u{1b}[0mConfiguration is invalid at /h/opencode.json\n↳ Expected object | \
                       undefined, got 5 provider\n";
        assert_eq!(
            complaint(invalid).as_deref(),
            Some("Error: Configuration is invalid at /h/opencode.json ↳ Expected object | undefined, got 5 provider")
        );
        let node = "node:internal\n  throw err;\n  ^\nError: Cannot find module 'x'\n    at f (a.js:1)\n    at g\n\nNode.js v22\n";
        assert_eq!(complaint(node).as_deref(), Some("Error: Cannot find module 'x'"));
        let python = "Traceback (most recent call last):\n  File \"x\"\nValueError: bad key\n";
        assert_eq!(complaint(python).as_deref(), Some("ValueError: bad key"));
        let panic = "thread 'main' panicked at src/x.rs:7:9:\noverflow\nnote: run with `RUST_BACKTRACE=1`\n";
        assert_eq!(complaint(panic).as_deref(), Some("thread 'main' panicked at src/x.rs:7:9:"));
    }

    #[test]
    fn last_line_counts_if_none_is_an_error() {
        assert_eq!(complaint("one\ntwo\n---\n").as_deref(), Some("two"));
        assert_eq!(complaint("\u{1b}[31mred\u{1b}[0m\n").as_deref(), Some("red"));
        assert_eq!(complaint("\u{1b}\u{1b}[\n\u{7}x"), Some("x".to_owned()));
        assert_eq!(complaint("\n---\n"), None);
        assert_eq!(complaint("[session/create] phase=register durationMs=33\n"), None);
        assert!(complaint(&"x".repeat(10_000)).unwrap().len() <= COMPLAINT_MAX);
    }
}
