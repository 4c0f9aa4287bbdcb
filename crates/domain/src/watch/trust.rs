//! Whose text enters prompts and whose comments are commands.

use std::fmt;
use std::str::FromStr;

/// The permission of a user in a project, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// No more than everybody.
    None,
    /// May read it, also if it is private.
    Read,
    /// May label and close issues.
    Triage,
    /// May push.
    Write,
    /// May change settings.
    Maintain,
    /// Owns it, or may do what owners may.
    Admin,
}

/// The people of a repository who are trusted. What they may do is looked up on the server, never inferred from a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Who administers the project.
    Owners,
    /// Who may push to it.
    Members,
    /// Who may label its issues.
    Collaborators,
    /// Exactly these logins.
    Names(Vec<String>),
}

impl Trust {
    /// `permission` is what the server says about `login`; `None` if it is not known, which is no trust.
    pub fn includes(&self, login: &str, permission: Option<Permission>) -> bool {
        let at_least = |least: Permission| permission.is_some_and(|permission| permission >= least);
        match self {
            Self::Owners => at_least(Permission::Admin),
            Self::Members => at_least(Permission::Write),
            Self::Collaborators => at_least(Permission::Triage),
            // Servers do not distinguish upper and lower case in logins.
            Self::Names(names) => names.iter().any(|name| name.eq_ignore_ascii_case(login)),
        }
    }

    /// Whether everybody whom `self` includes is included by `other`: a repository's own file may narrow trust, and never widen it.
    pub fn is_within(&self, other: &Self) -> bool {
        let rank = |trust: &Self| match trust {
            Self::Owners => Some(0),
            Self::Members => Some(1),
            Self::Collaborators => Some(2),
            Self::Names(_) => None,
        };
        match (self, other) {
            (Self::Names(own), Self::Names(all)) => {
                own.iter().all(|name| all.iter().any(|other| other.eq_ignore_ascii_case(name)))
            }
            (Self::Names(_), _) | (_, Self::Names(_)) => false,
            (own, all) => rank(own) <= rank(all),
        }
    }
}

impl FromStr for Trust {
    type Err = String;

    /// Reads the name of a group, or logins with commas between them. A login that resembles a group is written with `@`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(mistake) = text.split(',').find_map(|word| resembles_group(word.trim(), text.trim())) {
            return Err(mistake);
        }
        match text.trim() {
            "owners" => return Ok(Self::Owners),
            "members" => return Ok(Self::Members),
            "collaborators" => return Ok(Self::Collaborators),
            _ => {}
        }
        let names: Result<Vec<String>, String> = text.split(',').map(login).collect();
        names
            .map(Self::Names)
            .map_err(|name| format!("{name:?} is neither owners, members or collaborators, nor a login"))
    }
}

/// Returns a login, which may be written with `@`.
///
/// # Errors
/// The text, if it cannot be a login.
pub fn login(text: &str) -> Result<String, String> {
    let name = text.trim().trim_start_matches('@');
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '[' | ']');
    let is_login = !name.is_empty() && name.len() <= 100 && name.chars().all(is_allowed);
    if is_login { Ok(name.to_owned()) } else { Err(name.to_owned()) }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owners => f.write_str("owners"),
            Self::Members => f.write_str("members"),
            Self::Collaborators => f.write_str("collaborators"),
            Self::Names(names) => {
                let written = names.iter().map(|name| match group_like(name) {
                    Some(_) => format!("@{name}"),
                    None => name.clone(),
                });
                f.write_str(&written.collect::<Vec<_>>().join(","))
            }
        }
    }
}

const GROUPS: [&str; 3] = ["owners", "members", "collaborators"];
/// Names of groups that do not exist.
const NO_GROUPS: [&str; 6] = ["all", "any", "anyone", "everybody", "everyone", "public"];

/// The group that a name means, in another case or in the singular; `Some(None)` if there is no such group.
fn group_like(word: &str) -> Option<Option<&'static str>> {
    let word = word.to_ascii_lowercase();
    let group = GROUPS.into_iter().find(|group| *group == word || group.strip_suffix('s') == Some(&word));
    if group.is_some() {
        return Some(group);
    }
    NO_GROUPS.contains(&word.as_str()).then_some(None)
}

/// Why a name in `all` is no login, if it only looks like the name of a group.
fn resembles_group(word: &str, all: &str) -> Option<String> {
    let group = group_like(word).filter(|group| *group != Some(all))?;
    let login = format!("`@{word}` is the user of that name");
    Some(match group {
        Some(group) if word == group => format!("{group} cannot be combined with logins; {login}"),
        Some(group) => format!("{word:?} is not a group; did you mean `{group}`? {login}"),
        None => format!("{word:?} is not a group; the groups are owners, members and collaborators, and {login}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_permission_decides() {
        let includes = |trust: &str, permission| trust.parse::<Trust>().unwrap().includes("kim[bot]", permission);
        for (trust, least) in
            [("owners", Permission::Admin), ("members", Permission::Write), ("collaborators", Permission::Triage)]
        {
            assert!(includes(trust, Some(least)) && includes(trust, Some(Permission::Admin)));
            assert!(!includes(trust, Some(Permission::Read)) && !includes(trust, None), "{trust}");
        }
        assert!(includes("lee, KIM[bot]", None) && !includes("kim", Some(Permission::Admin)));
    }

    #[test]
    fn groups_and_logins_are_read_and_nothing_else() {
        for text in ["owners", "members", "collaborators", "kim", "kim,lee"] {
            assert_eq!(text.parse::<Trust>().unwrap().to_string(), text);
        }
        assert_eq!("@kim, lee".parse::<Trust>().unwrap().to_string(), "kim,lee");
        for text in ["", "kim,", "all the others", "a/b", "*"] {
            assert!(text.parse::<Trust>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_groups_are_no_logins() {
        for (text, part) in [
            ("member", "did you mean `members`"),
            ("Members", "did you mean `members`"),
            ("OWNER", "did you mean `owners`"),
            ("kim,collaborator", "did you mean `collaborators`"),
            ("kim, members", "members cannot be combined"),
            ("everybody", "owners, members and collaborators"),
            ("Anyone", "owners, members and collaborators"),
            ("all", "`@all` is the user"),
        ] {
            let error = text.parse::<Trust>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let trust: Trust = "@member,kim".parse().unwrap();
        assert!(trust.includes("member", None) && !trust.includes("lee", Some(Permission::Admin)));
        assert_eq!(trust.to_string().parse::<Trust>().unwrap(), trust);
    }

    #[test]
    fn trust_is_only_narrowed() {
        let within = |own: &str, all: &str| own.parse::<Trust>().unwrap().is_within(&all.parse().unwrap());
        assert!(within("owners", "members") && within("members", "members") && within("kim", "lee,KIM"));
        assert!(!within("collaborators", "members") && !within("kim", "owners") && !within("owners", "kim"));
        assert!(!within("kim,max", "kim"));
    }
}
