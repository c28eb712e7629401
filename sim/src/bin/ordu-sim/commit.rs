//! Which code this is.

use std::process::Command;

/// Returns the commit that is checked out, `-changed` if there are changes; `unknown` where that
/// cannot be found out.
pub(crate) fn commit() -> String {
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return "unknown".to_owned() };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        Some(_) | None => format!("{commit}-changed"),
    }
}

/// Returns the first seed of a soak of `commit`: new with every commit, the same for the same.
pub(crate) fn base_seed(commit: &str) -> u64 {
    let digits = commit.get(..8).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or(0)
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
