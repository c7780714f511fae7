//! A store leaves as one file, and one takes another's place: both whole, while reports come in.
//!
//! The copy is one moment of the store. What takes its place is opened, checked and folded beside it first; then one
//! transaction of SQLite's own copy replaces every page, so that a crash leaves the old one or the new one.

use super::error::StoreError;
use super::live::Live;
use super::model::StoreOptions;
use super::schema::Place;
use super::tokens::TokenBook;
use super::writer::Writer;
use super::{folded, tokens};
use crate::quality::CompiledRules;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// How long a reader that blocks the exchange for a moment is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether a store that holds something may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfFull {
    /// It stays, and the exchange is refused.
    Refuse,
    /// It goes.
    Replace,
}

/// Writes the store of a place, as it is now, into a new file.
pub(super) fn copy(place: &Place, to: &Path) -> Result<(), StoreError> {
    let connection = place.open_copier()?;
    let name = to.to_str().ok_or_else(|| StoreError::Invalid { reason: format!("{} is no text", to.display()) })?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(|error| StoreError::from(error).in_file(place.path()))?;
    Ok(())
}

/// A store that is to take another's place: opened, brought to the newest version, checked and folded.
pub(super) struct Replacement {
    connection: Connection,
    live: Live,
    tokens: TokenBook,
}

impl Replacement {
    /// Opens a file. Reads all of it.
    pub(super) fn open(path: &Path, rules: Arc<CompiledRules>) -> Result<Self, StoreError> {
        let place = Place::File(path.to_owned());
        let connection = place.open_existing(&StoreOptions::default())?;
        let open = || {
            let finding: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
            if finding != "ok" {
                return Err(StoreError::Damaged { reason: finding });
            }
            let rules = folded::stored_rules(&connection)?.unwrap_or(rules);
            let mut live = folded::load(&connection, rules)?;
            // What readers see is prepared here, so that nothing is left that could fail.
            live.snapshot();
            let tokens = TokenBook::load(&connection)?;
            // Its pages say how they are written; a store in memory can have no log beside it, and one in a file marks
            // its own.
            connection.pragma_update(None, "journal_mode", "delete")?;
            Ok((live, tokens))
        };
        let (live, tokens) = open().map_err(|error: StoreError| error.in_file(path))?;
        Ok(Self { connection, live, tokens })
    }
}

/// What came of an exchange.
pub(super) struct Exchanged {
    /// The tokens of the store that is there now.
    pub(super) tokens: TokenBook,
    /// The rules that the figures followed before, where the new store's were folded under others.
    pub(super) wanted: Option<Arc<CompiledRules>>,
}

impl Writer {
    /// Puts another store in the place of this one.
    pub(super) fn replace(&mut self, with: Replacement, if_full: IfFull) -> Result<Exchanged, StoreError> {
        let shared = Arc::clone(&self.shared);
        let mut live = shared.live.write().unwrap_or_else(PoisonError::into_inner);
        if live.folding.is_some() {
            return Err(StoreError::Folding);
        }
        if if_full == IfFull::Refuse && (shared.snapshot().has_input() || tokens::any(&self.connection)?) {
            return Err(StoreError::NotEmpty);
        }
        let Replacement { connection: source, live: mut new, tokens } = with;
        let mut outcome = Ok(());
        self.with_room(|writer| {
            outcome = copy_over(&source, &mut writer.connection).map_err(|error| error.in_file(shared.place.path()));
        });
        // A failed copy was undone as a whole; either way what the index knew is to be read again.
        self.index.forget();
        outcome?;
        let wanted = Some(Arc::clone(&live.rules)).filter(|rules| rules.version != new.rules.version);
        let snapshot = Arc::new(new.snapshot());
        *live = new;
        *shared.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
        drop(live);
        self.put_right();
        // The log that the copy went through is as large as the store: it is merged at once.
        let merged = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = merged {
            tracing::warn!(%error, "the log of the store is merged later");
        }
        Ok(Exchanged { tokens, wanted })
    }
}

/// Copies every page in one transaction.
fn copy_over(source: &Connection, to: &mut Connection) -> Result<(), StoreError> {
    to.flush_prepared_statement_cache();
    let begun = Instant::now();
    let copy = Backup::new(source, to)?;
    loop {
        match copy.step(-1)? {
            StepResult::Done => return Ok(()),
            _ if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(10)),
            _ => return Err(StoreError::InUse { path: "the store".into() }),
        }
    }
}
