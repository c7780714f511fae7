//! Tokens: only hashes of them are stored, and whoever presents one is found without asking the disk.

use super::error::StoreError;
use super::model::{NewToken, Scope, Token};
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// A token's last use is written down at most this often, in seconds.
const USE_GRANULARITY: i64 = 60;

/// The tokens that are not revoked, by the hashes of their secrets.
///
/// A hash is looked up, not compared byte by byte in a loop: it is the SHA-256 of 256 random bits, so that the
/// time a look-up takes tells nothing about any secret.
#[derive(Debug, Default)]
pub(super) struct TokenBook(RwLock<HashMap<[u8; 32], Token>>);

impl TokenBook {
    /// The book as it is stored.
    pub(super) fn load(connection: &Connection) -> Result<Self, StoreError> {
        let mut statement = connection.prepare(&format!("{TOKENS} WHERE revoked_at IS NULL"))?;
        let rows = statement.query_map([], |row| Ok((row.get(7)?, read(row)?)))?;
        Ok(Self(RwLock::new(rows.collect::<Result<_, _>>()?)))
    }

    /// The token with this hash.
    pub(super) fn find(&self, sha256: &[u8; 32]) -> Option<Token> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(sha256).cloned()
    }

    /// Notes a use; says whether it is to be written down.
    pub(super) fn used(&self, sha256: &[u8; 32], now: i64) -> bool {
        let mut book = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(token) = book.get_mut(sha256) else { return false };
        if token.last_used_at.is_some_and(|last| now - last < USE_GRANULARITY) {
            return false;
        }
        token.last_used_at = Some(now);
        true
    }

    pub(super) fn add(&self, sha256: [u8; 32], token: Token) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(sha256, token);
    }

    /// Takes the place of this book's tokens.
    pub(super) fn replace(&self, with: Self) {
        let with = with.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = with;
    }

    pub(super) fn remove(&self, id: i64) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|_, token| token.id != id);
    }
}

const TOKENS: &str = "SELECT id, name, scopes, project, created_at, last_used_at, revoked_at, sha256 FROM token";

/// Whether a token was ever made.
pub(super) fn any(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection.query_row("SELECT EXISTS (SELECT 1 FROM token)", [], |row| row.get(0))?)
}

/// All tokens, revoked ones among them, in the order they were made.
pub(super) fn list(connection: &Connection) -> Result<Vec<Token>, StoreError> {
    let mut statement = connection.prepare(&format!("{TOKENS} ORDER BY id"))?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Stores a token.
pub(super) fn insert(connection: &Connection, new: &NewToken) -> Result<Token, StoreError> {
    let taken: Option<i64> = connection
        .query_row("SELECT id FROM token WHERE name = ?1 AND revoked_at IS NULL", [&new.name], |row| row.get(0))
        .optional()?;
    if taken.is_some() {
        return Err(StoreError::Taken { what: format!("token named {:?}", new.name) });
    }
    let scopes: Vec<&str> = new.scopes.iter().map(|scope| word(*scope)).collect();
    connection.execute(
        "INSERT INTO token (name, sha256, scopes, project, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        (&new.name, new.sha256, scopes.join(" "), &new.project, new.created_at),
    )?;
    let id = connection.last_insert_rowid();
    Ok(connection.query_row(&format!("{TOKENS} WHERE id = ?1"), [id], read)?)
}

/// Revokes a token, by its number or its name.
pub(super) fn revoke(connection: &Connection, name_or_id: &str, now: i64) -> Result<Token, StoreError> {
    let sql = format!("{TOKENS} WHERE revoked_at IS NULL AND (name = ?1 OR id = ?2) ORDER BY name = ?1 DESC LIMIT 1");
    let id = name_or_id.parse::<i64>().ok();
    let token = connection.query_row(&sql, (name_or_id, id), read).optional()?;
    let Some(mut token) = token else {
        return Err(StoreError::Unknown { what: format!("token {name_or_id:?} that is not revoked") });
    };
    connection.execute("UPDATE token SET revoked_at = ?1 WHERE id = ?2", (now, token.id))?;
    token.revoked_at = Some(now);
    Ok(token)
}

/// Writes down when a token was last used.
pub(super) fn note_use(connection: &Connection, id: i64, now: i64) -> Result<(), StoreError> {
    connection.execute("UPDATE token SET last_used_at = ?1 WHERE id = ?2", (now, id))?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Token> {
    let scopes: String = row.get(2)?;
    let all = [Scope::Ingest, Scope::Read, Scope::Admin];
    Ok(Token {
        id: row.get(0)?,
        name: row.get(1)?,
        scopes: all.into_iter().filter(|scope| scopes.split(' ').any(|text| text == word(*scope))).collect(),
        project: row.get(3)?,
        created_at: row.get(4)?,
        last_used_at: row.get(5)?,
        revoked_at: row.get(6)?,
    })
}

fn word(scope: Scope) -> &'static str {
    match scope {
        Scope::Ingest => "ingest",
        Scope::Read => "read",
        Scope::Admin => "admin",
    }
}
