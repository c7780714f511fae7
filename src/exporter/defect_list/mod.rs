//! Bytes of a defect list in, defects out: whatever a tracker exports, under the names our rules use.
//!
//! Pure, with limits, and lenient: a row that cannot be used is left out with a warning that names its line, and
//! a list of which nothing can be used is an error, never "0 defects". What counts as production is decided by
//! the rules of `quality`, not here.

mod csv;
mod dates;
mod fields;

use crate::quality::Defect;
use serde::Serialize;

/// How a defect list was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListFormat {
    /// Comma, semicolon or tab separated values with a header row, Jira's and GitLab's exports among them.
    Csv,
}

/// A row that was mended or left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListWarning {
    /// The line of the file, from 1.
    pub line: u64,
    /// What was wrong with it.
    pub text: String,
}

/// A defect list, read.
#[derive(Debug, Clone, PartialEq)]
pub struct DefectList {
    /// How it was written.
    pub format: ListFormat,
    /// The defects; where a key stands twice, the later row.
    pub defects: Vec<Defect>,
    /// How many rows were left out.
    pub left_out: u64,
    /// What was mended or left out, at most [`MOST_WARNINGS`] of them.
    pub warnings: Vec<ListWarning>,
}

/// Warnings that are kept; a list of a hundred thousand bad rows is one trouble and not a hundred thousand.
pub const MOST_WARNINGS: usize = 100;

/// Rows that are read.
pub const MOST_ROWS: usize = 200_000;

/// A list of which nothing can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It holds nothing, or only a header.
    #[error("the list has no rows")]
    Empty,
    /// The first row is not a header we know a column of.
    #[error("the first row names no column with the defect's key (key, id, issue key, iid, number)")]
    NoKeyColumn,
    /// Every row was left out.
    #[error("none of the {rows} rows can be used; line {line}: {reason}")]
    NoUsableRow {
        /// How many there are.
        rows: u64,
        /// The line of the first.
        line: u64,
        /// What is wrong with the first.
        reason: String,
    },
    /// More rows than are read.
    #[error("the list has more than {MOST_ROWS} rows")]
    TooMany,
    /// The bytes are no such list.
    #[error("line {line}: {reason}")]
    Malformed {
        /// The line.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}

/// Reads a defect list. `received_at`, in seconds since 1970, stands in for the creation time where the list has
/// no such column at all.
///
/// # Errors
/// Nothing in it can be used.
pub fn read(bytes: &[u8], received_at: i64) -> Result<DefectList, Unusable> {
    csv::read(bytes, received_at)
}

/// Collects the usable rows.
#[derive(Debug, Default)]
struct Collector {
    defects: Vec<Defect>,
    places: std::collections::HashMap<String, usize>,
    rows: u64,
    left_out: u64,
    warnings: Vec<ListWarning>,
    first_reason: Option<ListWarning>,
}

impl Collector {
    fn warn(&mut self, line: u64, text: impl Into<String>) {
        if self.warnings.len() < MOST_WARNINGS {
            self.warnings.push(ListWarning { line, text: text.into() });
        }
    }

    /// Takes a row, or the reason why it cannot be used.
    fn take(&mut self, line: u64, row: Result<Defect, String>) -> Result<(), Unusable> {
        self.rows += 1;
        if self.rows > MOST_ROWS as u64 {
            return Err(Unusable::TooMany);
        }
        match row {
            Ok(defect) => match self.places.get(&defect.key) {
                Some(&place) => {
                    self.warn(line, format!("{} stands in the list more than once; the last row counts", defect.key));
                    self.defects[place] = defect;
                }
                None => {
                    self.places.insert(defect.key.clone(), self.defects.len());
                    self.defects.push(defect);
                }
            },
            Err(reason) => {
                self.left_out += 1;
                self.warn(line, format!("left out: {reason}"));
                self.first_reason.get_or_insert(ListWarning { line, text: reason });
            }
        }
        Ok(())
    }

    fn finish(self, format: ListFormat) -> Result<DefectList, Unusable> {
        if self.defects.is_empty() {
            return Err(match self.first_reason {
                Some(first) => Unusable::NoUsableRow { rows: self.rows, line: first.line, reason: first.text },
                None => Unusable::Empty,
            });
        }
        Ok(DefectList { format, defects: self.defects, left_out: self.left_out, warnings: self.warnings })
    }
}
