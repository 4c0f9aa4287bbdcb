//! A limit that a run has exceeded, as the reason for its end.

use std::fmt;

use kugetsu_domain::reference::COORDINATOR;
use kugetsu_process::Excess;

const MIB: u64 = 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    Memory {
        /// `None` if the kernel has killed the agent, or a check, before it was measured.
        used: Option<u64>,
        limit: u64,
    },
    Processes {
        used: u64,
        limit: u64,
    },
    /// Bytes by which the run's files have grown.
    Growth {
        used: u64,
        limit: u64,
    },
}

impl From<Excess> for Exceeded {
    fn from(excess: Excess) -> Self {
        match excess {
            Excess::Memory { used, limit } => Self::Memory { used: Some(used), limit },
            Excess::Tasks { used, limit } => Self::Processes { used, limit },
        }
    }
}

impl Exceeded {
    /// Whether the machine suffers until the run has ended.
    pub(crate) fn is_urgent(self) -> bool {
        !matches!(self, Self::Growth { .. })
    }

    /// The command that doubles the limit, and the one that continues the work on the issue.
    pub(crate) fn hint(self, issue: &str) -> String {
        let (setting, value) = match self {
            Self::Memory { limit, .. } => ("run.memory", limit.div_ceil(MIB)),
            Self::Processes { limit, .. } => ("run.processes", limit),
            Self::Growth { limit, .. } => ("run.worktree_growth", limit.div_ceil(MIB)),
        };
        let raise = format!("`kugetsu config set {setting} {}` doubles the limit", value.saturating_mul(2));
        match issue {
            "" | COORDINATOR => raise,
            issue => format!("{raise}; resume the work with `kugetsu continue {issue} \"<message>\"`"),
        }
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Memory { used: Some(used), limit } => {
                write!(f, "the run used more memory than run.memory allows ({} of {})", Size(used), Size(limit))
            }
            Self::Memory { used: None, limit } => write!(
                f,
                "the run used more memory than run.memory allows ({}), so the kernel killed its main process",
                Size(limit)
            ),
            Self::Processes { used, limit } => {
                write!(f, "the run had as many processes and threads as run.processes allows ({used} of {limit})")
            }
            Self::Growth { used, limit } => write!(
                f,
                "the run made its files larger than run.worktree_growth allows (by {} of {})",
                Size(used),
                Size(limit)
            ),
        }
    }
}

/// Bytes for display.
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = |unit: u64| (self.0 / unit, self.0 % unit * 10 / unit);
        let ((whole, tenth), unit) = match self.0 {
            bytes if bytes < 1024 * MIB => (tenths(MIB), "MiB"),
            _ => (tenths(1024 * MIB), "GiB"),
        };
        match tenth {
            0 => write!(f, "{whole} {unit}"),
            tenth => write!(f, "{whole}.{tenth} {unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_has_both_numbers_and_the_hint_can_be_typed() {
        let exceeded = Exceeded::Memory { used: Some(6 * 1024 * MIB + 110 * MIB), limit: 6 * 1024 * MIB };
        assert_eq!(exceeded.to_string(), "the run used more memory than run.memory allows (6.1 GiB of 6 GiB)");
        assert_eq!(
            exceeded.hint("local/demo#1"),
            "`kugetsu config set run.memory 12288` doubles the limit; resume the work with `kugetsu continue local/demo#1 \"<message>\"`"
        );
        let growth = Exceeded::Growth { used: 31 * MIB + MIB / 2, limit: 30 * MIB };
        assert_eq!(
            growth.to_string(),
            "the run made its files larger than run.worktree_growth allows (by 31.5 MiB of 30 MiB)"
        );
        assert_eq!(growth.hint(COORDINATOR), "`kugetsu config set run.worktree_growth 60` doubles the limit");
    }
}
