//! The commit, tree and branch of the working directory, as git tells them.

use std::process::{Command, Stdio};

/// The code in the working directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkout {
    /// The commit. Nothing where files under git's care differ from it: the code tested is not that commit's.
    pub commit: Option<String>,
    /// The tree, under the same condition.
    pub tree: Option<String>,
    /// The branch; nothing where a commit and no branch is checked out.
    pub branch: Option<String>,
    /// Whether files differ from the commit.
    pub changed: bool,
}

/// Asks git about the working directory; nothing where there is no git or no repository.
pub fn checkout() -> Checkout {
    let Some(commit) = git(&["rev-parse", "--verify", "--quiet", "HEAD"]) else { return Checkout::default() };
    // Reports and build products are not under git's care and change nothing.
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some();
    let kept = |text: Option<String>| if changed { None } else { text };
    Checkout {
        commit: kept(Some(commit)),
        tree: kept(git(&["rev-parse", "--verify", "--quiet", "HEAD^{tree}"])),
        branch: git(&["symbolic-ref", "--quiet", "--short", "HEAD"]),
        changed,
    }
}

/// What git prints, where it succeeds and prints something.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        // A question must not take a lock that the job's own git waits for.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
