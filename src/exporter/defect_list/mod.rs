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
use std::collections::{BTreeMap, BTreeSet};

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
    /// Columns that somebody named, and that are not there.
    pub missing_columns: Vec<String>,
    /// Every column, or field, there is.
    pub columns: Vec<String>,
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
    let (bytes, is_guessed) = in_utf_8(bytes);
    let mut list = read_text(&bytes, received_at, map)?;
    if is_guessed {
        let text = "the list is not in UTF-8: it is read as Windows-1252, as western spreadsheets save it";
        list.warnings.insert(0, ListWarning { line: 1, text: text.to_owned() });
    }
    let from_the_future =
        |defect: &&Defect| received_at > dates::EARLIEST && defect.created_at > received_at + 2 * 86_400;
    let later = list.defects.iter().filter(from_the_future);
    if let Some(first) = later.clone().next() {
        let text = format!(
            "{} of the defects, {} the first, are created in the future: they are in no window before that day",
            later.count(),
            first.key
        );
        list.warnings.insert(0, ListWarning { line: 1, text });
    }
    Ok(list)
}

fn read_text(bytes: &[u8], received_at: i64, map: &FieldMap) -> Result<DefectList, Unusable> {
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
/// it redirects in UTF-16. What is no UTF-8 without such a mark is taken for Windows-1252, and that is said.
fn in_utf_8(bytes: &[u8]) -> (Cow<'_, [u8]>, bool) {
    let owned = |text: Cow<'_, str>| text.into_owned().into_bytes().into();
    match encoding_rs::Encoding::for_bom(bytes) {
        None if std::str::from_utf8(bytes).is_ok() => (Cow::Borrowed(bytes), false),
        None => (owned(encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0), true),
        Some((encoding, mark)) if encoding == encoding_rs::UTF_8 => (Cow::Borrowed(&bytes[mark..]), false),
        Some((encoding, _)) => (owned(encoding.decode(bytes).0), false),
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
    /// What there is, by its plain name.
    seen_columns: BTreeMap<String, String>,
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
        self.seen_columns.entry(fields::plain_column(column)).or_insert_with(|| column.trim().to_owned());
    }

    fn finish(mut self, format: ListFormat, map: &FieldMap) -> Result<DefectList, Unusable> {
        let is_missing = |column: &&str| !self.seen_columns.contains_key(&fields::plain_column(column));
        let missing_columns: Vec<String> = map.columns().filter(is_missing).map(str::to_owned).collect();
        for column in &missing_columns {
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
            missing_columns,
            columns: self.seen_columns.into_values().collect(),
        })
    }
}
