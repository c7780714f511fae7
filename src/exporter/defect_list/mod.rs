//! Bytes of a defect list in, defects out: whatever a tracker exports, under the names our rules use.
//!
//! Pure, with limits, and lenient: a row that cannot be used is left out with a warning that names its line, and
//! a list of which nothing can be used is an error, never "0 defects". What counts as production is decided by
//! the rules of `quality`, not here.

mod csv;
mod dates;
mod fields;
mod issues;
mod json;

use fields::Field;
pub use fields::{FieldMap, MAPPABLE};
pub use json::write;

use crate::quality::Defect;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// How a defect list was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListFormat {
    /// Comma, semicolon or tab separated values with a header row.
    Csv,
    /// The same, as Jira exports them.
    JiraCsv,
    /// The same, as GitLab exports them.
    GitlabCsv,
    /// JSON objects with fields of the names that a CSV's columns have.
    Json,
    /// Issues of Jira's REST search.
    JiraJson,
    /// Issues of GitHub, of its REST API or its `gh` tool.
    GithubJson,
    /// Issues of GitLab's REST API.
    GitlabJson,
}

impl ListFormat {
    /// Its word, as its JSON form has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JiraCsv => "jira-csv",
            Self::GitlabCsv => "gitlab-csv",
            Self::Json => "json",
            Self::JiraJson => "jira-json",
            Self::GithubJson => "github-json",
            Self::GitlabJson => "gitlab-json",
        }
    }
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
    /// Columns that mean nothing to us, kept under their own names for rules to ask for.
    pub other_columns: Vec<String>,
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
    /// It is something else.
    #[error("it is no list of defects: {what}")]
    SomethingElse {
        /// What it is.
        what: String,
    },
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
    read_with(bytes, received_at, &FieldMap::default())
}

/// Reads a defect list whose columns somebody has said the meaning of.
///
/// # Errors
/// Nothing in it can be used.
pub fn read_with(bytes: &[u8], received_at: i64, map: &FieldMap) -> Result<DefectList, Unusable> {
    let bytes = &*in_utf_8(bytes);
    match bytes.trim_ascii_start().first() {
        None => Err(Unusable::Empty),
        Some(b'{' | b'[') => json::read(bytes, received_at, map),
        Some(b'<') => Err(Unusable::SomethingElse { what: "it begins as XML or HTML does".to_owned() }),
        Some(_) if bytes.starts_with(b"PK\x03\x04") => {
            Err(Unusable::SomethingElse { what: "it is a zip archive, as a spreadsheet is; save it as CSV".to_owned() })
        }
        Some(_) => csv::read(bytes, received_at, map),
    }
}

/// Excel writes a byte order mark, which would become part of the first column's name, and PowerShell writes what
/// it redirects in UTF-16.
fn in_utf_8(bytes: &[u8]) -> Cow<'_, [u8]> {
    match encoding_rs::Encoding::for_bom(bytes) {
        None => Cow::Borrowed(bytes),
        Some((encoding, mark)) if encoding == encoding_rs::UTF_8 => Cow::Borrowed(&bytes[mark..]),
        Some((encoding, _)) => match encoding.decode(bytes).0 {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        },
    }
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
    other_columns: BTreeSet<String>,
    seen_columns: BTreeSet<String>,
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

    /// Remembers what stands in a list under a name.
    fn see(&mut self, column: &str, field: &Field) {
        self.see_empty(column);
        if let Field::Custom(name) = field
            && !name.is_empty()
        {
            self.other_columns.insert(name.clone());
        }
    }

    /// Remembers a name under which nothing stands.
    fn see_empty(&mut self, column: &str) {
        self.seen_columns.insert(fields::plain_column(column));
    }

    fn finish(mut self, format: ListFormat, map: &FieldMap) -> Result<DefectList, Unusable> {
        for column in map.columns().filter(|column| !self.seen_columns.contains(&fields::plain_column(column))) {
            // At the head of the list: it may make all of it wrong.
            let text = format!("a field is mapped to {column:?}, and there is no such column");
            self.warnings.insert(0, ListWarning { line: 1, text });
        }
        if self.defects.is_empty() {
            return Err(match self.first_reason {
                Some(first) => Unusable::NoUsableRow { rows: self.rows, line: first.line, reason: first.text },
                None => Unusable::Empty,
            });
        }
        Ok(DefectList {
            format,
            defects: self.defects,
            left_out: self.left_out,
            warnings: self.warnings,
            other_columns: self.other_columns.into_iter().collect(),
        })
    }
}
