//! The package that a program belongs to, as npm and pip record it. Some agents take a minute to print their version on a busy
//! machine.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Bytes of a file that are read.
const FILE_MAX: u64 = 1024 * 1024;

/// Returns the version of the package that installed the program; `None` if no package names it.
pub(super) fn version(program: &Path) -> Option<String> {
    let program = program.canonicalize().ok()?;
    let version = of_npm(&program).or_else(|| of_pip(&program))?;
    version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
}

/// The nearest package above the program, if its `bin` is the program.
fn of_npm(program: &Path) -> Option<String> {
    let directory = program.ancestors().skip(1).find(|directory| directory.join("package.json").is_file())?;
    let package: Value = serde_json::from_str(&read(&directory.join("package.json"))?).ok()?;
    let bin = &package["bin"];
    let all = bin.as_object().into_iter().flat_map(serde_json::Map::values);
    let mut names = all.chain([bin]).filter_map(Value::as_str);
    let is_program = |name: &str| directory.join(name).canonicalize().is_ok_and(|path| path == program);
    names.any(is_program).then(|| package["version"].as_str().map(str::to_owned)).flatten()
}

/// The only package beside the program that has an entry point with its name.
fn of_pip(program: &Path) -> Option<String> {
    let name = program.file_name()?.to_str()?;
    let libraries = program.parent()?.parent()?.join("lib");
    let pythons = entries(&libraries).into_iter().filter(|path| starts_with(path, "python3"));
    let packages = pythons.flat_map(|python| {
        let directories = ["site-packages", "dist-packages"].map(|packages| entries(&python.join(packages)));
        directories.into_iter().flatten()
    });
    let is_owner = |package: &PathBuf| {
        package.extension().is_some_and(|extension| extension == "dist-info")
            && read(&package.join("entry_points.txt")).is_some_and(|points| has_entry_point(&points, name))
    };
    let mut owners = packages.filter(is_owner);
    let owner = owners.next().filter(|_| owners.next().is_none())?;
    let metadata = read(&owner.join("METADATA"))?;
    metadata.lines().find_map(|line| line.strip_prefix("Version:")).map(|version| version.trim().to_owned())
}

fn has_entry_point(points: &str, name: &str) -> bool {
    points.lines().filter_map(|line| line.split_once('=')).any(|(point, _)| point.trim() == name)
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn starts_with(path: &Path, prefix: &str) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix))
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(FILE_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn version_of_a_package_of_npm_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let package = directory.path().join("lib/node_modules/@a/agent");
        write(&package.join("dist/main.js"), "#!/usr/bin/env node\n");
        write(&package.join("dist/other.js"), "");
        let link = directory.path().join("agent");
        symlink(package.join("dist/main.js"), &link).unwrap();
        for bin in [r#""./dist/main.js""#, r#"{"x": "dist/other.js", "agent": "dist/main.js"}"#] {
            write(&package.join("package.json"), &format!(r#"{{"version": "1.2.3", "bin": {bin}}}"#));
            assert_eq!(version(&link).as_deref(), Some("1.2.3"), "{bin}");
        }
        for other in [r#"{"version": "1.2.3", "bin": "dist/other.js"}"#, r#"{"bin": "dist/main.js"}"#, "{"] {
            write(&package.join("package.json"), other);
            assert_eq!(version(&link), None, "{other}");
        }
    }

    #[test]
    fn version_of_a_package_of_pip_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("bin/agent-acp");
        write(&program, "#!/usr/bin/python3\n");
        assert_eq!(version(&program), None);
        let packages = directory.path().join("lib/python3.13/site-packages");
        write(&packages.join("other-9.dist-info/entry_points.txt"), "[console_scripts]\nagent=other:main\n");
        let own = packages.join("an_agent-3.0.2.dist-info");
        write(&own.join("entry_points.txt"), "[console_scripts]\nagent-acp = an.agent:main\n");
        write(&own.join("METADATA"), "Metadata-Version: 2.4\nName: an-agent\nVersion: 3.0.2\n\nText\n");
        assert_eq!(version(&program).as_deref(), Some("3.0.2"));
        // Which of the two it starts is not known.
        write(&packages.join("twin-1.dist-info/entry_points.txt"), "agent-acp=twin:main\n");
        assert_eq!(version(&program), None);
    }
}
