//! Whether one process comes from another, as their parents say.

use nix::unistd::Pid;

#[cfg(target_os = "linux")]
use crate::linux::process;
#[cfg(not(target_os = "linux"))]
use crate::unix::process;

/// Longer than any line of parents; ends the walk if the table changes faster than it is read.
const DEPTH: usize = 10_000;

/// Whether `who` is `of` or comes from it, by its parent, its parent's parent and so on; for the process number of a
/// peer, which a unix socket tells. `None`: it cannot be told, because one of them has ended or because this system does
/// not show it (Linux does).
///
/// A process whose parent has ended belongs to the nearest process that adopts orphans, or to init: so ask for a process
/// that adopts ([`crate::adopt_orphans`]), or an orphan is taken for a stranger. A number says which process is meant only
/// as long as that process exists, so the answer is about this moment.
pub fn is_descendant(of: Pid, who: Pid) -> Option<bool> {
    let first = process(who.as_raw())?;
    let ancestor = process(of.as_raw())?;
    let mut one = first;
    for _ in 0..DEPTH {
        if one.pid == ancestor.pid {
            // Its number may be another process's by now, and so may the first one's.
            let same = [first, ancestor].iter().all(|seen| process(seen.pid).is_some_and(|now| now.id() == seen.id()));
            return same.then_some(true);
        }
        if one.parent <= 0 {
            return Some(false);
        }
        let parent = process(one.parent)?;
        if parent.born > one.born {
            // The parent ended between two looks, and its number was given away.
            return None;
        }
        one = parent;
    }
    None
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use nix::unistd::Pid;

    use super::is_descendant;

    #[test]
    fn a_child_comes_from_us_and_not_the_other_way_round() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (us, it) = (Pid::this(), Pid::from_raw(child.id().cast_signed()));
        let answers = [is_descendant(us, us), is_descendant(us, it), is_descendant(it, us)];
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(answers, [Some(true), Some(true), Some(false)]);
        assert_eq!(is_descendant(us, it), None);
    }
}
