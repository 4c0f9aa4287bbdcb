//! The process table by the program `ps`, which every Unix has. It has no start times, and environments only as far as `ps`
//! prints them. It is used where `/proc` is missing; the tests run it on Linux too.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::time::Duration;

use crate::child::{OneShot, run};
use crate::os::{Process, Usage, closure};

/// A listing takes about 20 ms, and much longer on a machine under load.
const TIME_LIMIT: Duration = Duration::from_secs(20);
const LISTING_MAX: usize = 64 * 1024 * 1024;

/// Lists all visible processes.
pub(crate) async fn table() -> io::Result<Vec<Process>> {
    let listing = ps(&["-A", "-o", "pid=,ppid=,pgid=,stat="]).await?;
    Ok(listing.lines().filter_map(parse_process).collect())
}

fn parse_process(line: &str) -> Option<Process> {
    let mut fields = line.split_ascii_whitespace();
    let mut number = || fields.next()?.parse().ok();
    let (pid, parent, group) = (number()?, number()?, number()?);
    Some(Process { pid, parent, group, born: 0, dead: fields.next()?.starts_with('Z') })
}

/// Lists these processes, what they have started, and the groups of all these, with their number and resident memory.
pub(crate) async fn usage(roots: &[i32]) -> io::Result<(Vec<i32>, Usage)> {
    let listing = ps(&["-A", "-o", "pid=,ppid=,pgid=,stat=,rss="]).await?;
    let table: Vec<Process> = listing.lines().filter_map(parse_process).collect();
    let resident: BTreeMap<i32, u64> = listing.lines().filter_map(parse_resident).collect();
    let us = BTreeSet::from([std::process::id().cast_signed()]);
    let members = closure(&table, &roots.iter().copied().collect(), &us);
    let pids: Vec<i32> = members.iter().map(|process| process.pid).collect();
    let memory = pids.iter().filter_map(|pid| resident.get(pid)).sum();
    let usage = Usage { memory, tasks: pids.len() as u64 };
    Ok((pids, usage))
}

/// The pid, and bytes in memory.
fn parse_resident(line: &str) -> Option<(i32, u64)> {
    let mut fields = line.split_ascii_whitespace();
    Some((fields.next()?.parse().ok()?, fields.nth(3)?.parse::<u64>().ok()?.checked_mul(1024)?))
}

/// Lists the processes that were started with these arguments in a row, as far as `ps` shows where one ends.
pub(crate) async fn with_arguments(arguments: &[OsString]) -> io::Result<Vec<i32>> {
    let wanted: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let wanted = format!(" {} ", wanted.join(" "));
    let listing = ps(&["-A", "-ww", "-o", "pid=,args="]).await?;
    let pid = |line: &str| {
        let (pid, arguments) = line.trim_start().split_once(' ')?;
        format!("{arguments} ").contains(&wanted).then(|| pid.parse().ok()).flatten()
    };
    Ok(listing.lines().filter_map(pid).collect())
}

/// Lists the processes whose environment has the variable `name`, with its value up to the first blank.
pub(crate) async fn marked(name: &str) -> io::Result<Vec<(i32, Vec<u8>)>> {
    let plain = ps(&["-A", "-ww", "-o", "pid=,args="]).await?;
    let with_environment = if cfg!(target_os = "macos") { &["-A", "-E", "-ww"][..] } else { &["axeww"][..] };
    let with_environment = ps(&[with_environment, &["-o", "pid=,args="]].concat()).await?;
    Ok(with_environment.lines().filter_map(|line| parse_variable(line, &plain, name)).collect())
}

/// Finds the variable in a line that shows arguments and then the environment. The arguments are removed first, because
/// they may contain the same text, as those of `grep NAME=` do.
fn parse_variable(line: &str, plain: &str, name: &str) -> Option<(i32, Vec<u8>)> {
    let (pid, _) = line.trim_start().split_once(' ')?;
    let arguments =
        plain.lines().find(|line| line.trim_start().split_once(' ').is_some_and(|(other, _)| other == pid))?;
    let environment = line.strip_prefix(arguments.trim_end())?;
    let value = environment.split_ascii_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
    Some((pid.parse().ok()?, value.as_bytes().to_vec()))
}

async fn ps(args: &[&str]) -> io::Result<String> {
    let one_shot = OneShot::new("ps").args(args).env("LC_ALL", "C").stdout_max(LISTING_MAX).time_limit(TIME_LIMIT);
    let ended = run(one_shot).await.map_err(io::Error::other)?;
    if !ended.status.success() {
        let stderr = String::from_utf8_lossy(&ended.stderr);
        return Err(io::Error::other(format!("`ps {}` failed: {}", args.join(" "), stderr.trim())));
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{marked, parse_process, parse_resident, parse_variable, table, usage};

    #[test]
    fn lines_of_ps_are_parsed() {
        let child = parse_process("  12     1    34 Ss+").unwrap();
        assert_eq!((child.pid, child.parent, child.group, child.dead), (12, 1, 34, false));
        assert!(parse_process("  12     1    34 Z+").unwrap().dead);
        assert!(parse_process("").is_none());
        assert_eq!(parse_resident("  12     1    34 Ss+   20"), Some((12, 20_480)));
        assert_eq!(parse_process("  12     1    34 Ss+   20").unwrap().group, 34);
    }

    #[tokio::test]
    async fn a_child_and_what_it_started_are_measured() {
        use std::os::unix::process::CommandExt;
        let mut child = std::process::Command::new("sh");
        let mut child = child.args(["-c", "sleep 60 & wait"]).process_group(0).spawn().unwrap();
        let pid = child.id().cast_signed();
        let mut found = (Vec::new(), crate::os::Usage::default());
        while found.0.len() < 2 {
            found = usage(&[pid]).await.unwrap();
        }
        nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(found.0.contains(&pid) && found.1.tasks == 2 && found.1.memory > 0, "{found:?}");
    }

    #[test]
    fn a_variable_among_the_arguments_is_ignored() {
        let plain = "   7 grep MARK=x\n   8 sleep 9";
        assert_eq!(parse_variable("   7 grep MARK=x HOME=/ LANG=C", plain, "MARK"), None);
        assert_eq!(parse_variable("   8 sleep 9 HOME=/ MARK=y", plain, "MARK"), Some((8, b"y".to_vec())));
    }

    #[tokio::test]
    async fn a_child_is_listed_with_its_marker() {
        let mut child = std::process::Command::new("sleep").arg("60").env("PORTABLE_MARK", "abc").spawn().unwrap();
        let pid = child.id().cast_signed();
        let listing = table().await;
        let marked = marked("PORTABLE_MARK").await;
        child.kill().unwrap();
        child.wait().unwrap();
        let listed = listing.unwrap().into_iter().find(|process| process.pid == pid).unwrap();
        assert_eq!(listed.parent, std::process::id().cast_signed());
        assert!(marked.unwrap().contains(&(pid, b"abc".to_vec())));
    }
}
