//! Users and their passwords. A password is compared once; from then on it is known again by a hash.

use super::config::PasswordHash;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Passwords that are compared at once: each takes a tenth of a second of a processor, and others have work to do.
const COMPARED_AT_ONCE: usize = 1;

/// Passwords that are known again; who tries many begins to forget.
const REMEMBERED: usize = 100;

/// Compared with where there is no such user, so that the time that takes does not tell: the hash of nothing anybody
/// knows.
const NOBODY: &str = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

/// The users that may come in.
pub struct Users {
    hashes: BTreeMap<String, String>,
    remembered: Mutex<HashMap<[u8; 32], bool>>,
    turns: Arc<Semaphore>,
}

impl Users {
    pub(super) fn new(hashes: BTreeMap<String, PasswordHash>) -> Self {
        let hashes = hashes.into_iter().map(|(user, PasswordHash(hash))| (user, hash)).collect();
        Self { hashes, remembered: Mutex::default(), turns: Arc::new(Semaphore::new(COMPARED_AT_ONCE)) }
    }

    /// Whether nobody has to say who they are.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether this is a user's password.
    pub async fn know(&self, user: &str, password: &str) -> bool {
        let known = self.hashes.get(user);
        let hash = known.map_or(NOBODY, String::as_str).to_owned();
        let mut digest = Sha256::new();
        for part in [user, &hash, password] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let key: [u8; 32] = digest.finalize().into();
        if let Some(right) = self.remembered().get(&key) {
            return *right;
        }
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else { return false };
        let password = password.to_owned();
        let compared = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            bcrypt::verify(password, &hash).unwrap_or(false)
        });
        let right = compared.await.unwrap_or(false) && known.is_some();
        let mut remembered = self.remembered();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key, right);
        right
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], bool>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.hashes.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        // Hashes at the lowest cost, of "correct horse" and of "".
        let hash = |password: &str| PasswordHash(bcrypt::hash(password, 4).unwrap());
        Users::new(BTreeMap::from([("ann".to_owned(), hash("correct horse")), ("bob".to_owned(), hash("battery"))]))
    }

    #[tokio::test]
    async fn a_user_is_known_by_the_password_again_and_again() {
        let users = users();
        for _ in 0..2 {
            assert!(users.know("ann", "correct horse").await);
            assert!(users.know("bob", "battery").await);
            for (user, password) in
                [("ann", "battery"), ("ann", ""), ("", ""), ("eve", "correct horse"), ("ANN", "correct horse")]
            {
                assert!(!users.know(user, password).await, "{user} {password}");
            }
        }
        assert!(!Users::new(BTreeMap::new()).know("", "").await);
    }

    #[tokio::test]
    async fn who_tries_many_passwords_does_not_fill_the_memory_and_the_right_one_stays_right() {
        let users = users();
        for number in 0..(REMEMBERED * 2 + 5) {
            assert!(!users.know("ann", &number.to_string()).await);
        }
        assert!(users.remembered().len() <= REMEMBERED);
        assert!(users.know("ann", "correct horse").await);
    }

    #[test]
    fn no_hash_is_shown() {
        assert_eq!(format!("{:?}", users()), r#"["ann", "bob"]"#);
    }
}
