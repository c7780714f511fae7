//! When Grafana last refused a password of ours, so that it is not tried again and again: five refusals within five
//! minutes lock the user out, and then even the right password is refused.
//!
//! The note lies in the state directory. Losing it costs one more attempt.

use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::grafana::{self, GrafanaError, Login};
use crate::hex::hex;
use crate::stack::sha256;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How long Grafana counts a refusal.
const WINDOW_SECONDS: i64 = 5 * 60;

/// The note of one project.
#[derive(Debug, Clone)]
pub struct Refusals {
    path: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Grafana's container: another one may have another volume.
    container: String,
    at: Timestamp,
    salt: String,
    /// Enough to see that another password is meant by now, too little to find one out.
    fingerprint: String,
}

impl Refusals {
    /// The note of a project in a state directory.
    pub fn of(state_directory: &Path, project: &str) -> Self {
        Self { path: state_directory.join("refused").join(format!("{project}.json")) }
    }

    /// Logs in to the Grafana in this container, unless the login was refused a moment ago; a refusal is noted.
    ///
    /// # Errors
    /// The login is refused or was, or Grafana does not answer.
    pub async fn log_in(&self, client: &grafana::Client, container: &str, login: &Login) -> Result<()> {
        self.check(container, login, Timestamp::now())?;
        let outcome = grafana::check_login(client).await;
        if let Err(GrafanaError::PasswordRefused { .. }) = outcome {
            self.note(container, login, Timestamp::now());
        }
        Ok(outcome?)
    }

    /// Whether a login may be tried on the Grafana in this container.
    ///
    /// # Errors
    /// It was refused a moment ago.
    pub fn check(&self, container: &str, login: &Login, now: Timestamp) -> Result<()> {
        let note = std::fs::read(&self.path).ok().and_then(|text| serde_json::from_slice::<Note>(&text).ok());
        let is_this = |note: &Note| note.container == container && note.fingerprint == fingerprint(&note.salt, login);
        let Some(note) = note.filter(is_this) else { return Ok(()) };
        let ago = now.duration_since(note.at).as_secs();
        if !(0..WINDOW_SECONDS).contains(&ago) {
            return Ok(());
        }
        let again = WINDOW_SECONDS - ago;
        Err(Error::new(
            Code::GrafanaPassword,
            format!("Grafana refused this password {ago} s ago; it is not tried again for {again} s"),
        ))
    }

    /// Notes that a login was refused. A note that cannot be written is no reason to end anything.
    pub fn note(&self, container: &str, login: &Login, now: Timestamp) {
        let mut bytes = [0_u8; 8];
        if getrandom::fill(&mut bytes).is_err() {
            return;
        }
        let salt = hex(&bytes);
        let note = Note { container: container.to_owned(), at: now, fingerprint: fingerprint(&salt, login), salt };
        let write = || {
            if let Some(directory) = self.path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            let mut options = std::fs::OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
            serde_json::to_writer(file, &note).map_err(std::io::Error::from)
        };
        let _ = write();
    }

    /// Forgets it: Grafana takes another password by now.
    pub fn clear(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Sixteen bits of a hash.
fn fingerprint(salt: &str, Login { user, password }: &Login) -> String {
    sha256(format!("{salt}{user}:{}", password.expose()).as_bytes()).chars().take(4).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn login(user: &str, password: &str) -> Login {
        Login { user: user.to_owned(), password: Secret::new(password) }
    }

    #[test]
    fn a_refused_password_is_not_tried_again_for_five_minutes_and_another_one_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let refusals = Refusals::of(directory.path(), "qastack");
        let at = |seconds: i64| Timestamp::from_second(1_700_000_000 + seconds).expect("a time");
        // Two that differ in their fingerprint, whatever the salt: of three one does with near certainty.
        let (refused, others) = (login("admin", "refused"), ["a", "b", "c"].map(|word| login("admin", word)));
        assert!(refusals.check("c", &refused, at(0)).is_ok());
        refusals.note("c", &refused, at(0));
        let error = refusals.check("c", &refused, at(10)).expect_err("refused");
        assert_eq!(error.code(), Code::GrafanaPassword);
        assert!(error.message().contains("10 s ago") && error.message().contains("for 290 s"), "{error}");
        assert!(others.iter().any(|other| refusals.check("c", other, at(10)).is_ok()));
        assert!(refusals.check("c", &refused, at(WINDOW_SECONDS)).is_ok());
        assert!(refusals.check("c", &refused, at(-10)).is_ok(), "a clock that was set back holds nobody up");
        let other_users = ["a", "b", "c"].map(|user| login(user, "refused"));
        assert!(other_users.iter().any(|other| refusals.check("c", other, at(10)).is_ok()));
        assert!(refusals.check("another", &refused, at(10)).is_ok());
        refusals.clear();
        assert!(refusals.check("c", &refused, at(10)).is_ok());
    }

    #[test]
    fn the_note_tells_nothing_of_the_password_and_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory");
        let refusals = Refusals::of(directory.path(), "qastack");
        refusals.note("c", &login("admin", "hunter2"), Timestamp::UNIX_EPOCH);
        let text = std::fs::read_to_string(&refusals.path).expect("the note");
        assert!(!text.contains("hunter2"), "{text}");
        let mode = std::fs::metadata(&refusals.path).expect("the note").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
