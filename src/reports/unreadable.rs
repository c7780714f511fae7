//! Why a report cannot be used at all: the line, the reason, and a documented word for each.

use crate::error::Error;
use crate::exit_code::Code;

/// A report that cannot be used. It is never read as "no tests".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No bytes, or nothing but white space.
    #[error("the file is empty")]
    Empty,
    /// A report as it should be, with no test in it: nearly always of a run that went wrong.
    #[error("there is no test in it")]
    NoTests,
    /// More bytes than the limit.
    #[error("{size} bytes are more than the limit of {limit}")]
    TooLarge {
        /// The report's size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// None of the formats that are read.
    #[error("line {line}: no format that is read here: {found}")]
    UnknownFormat {
        /// The line it was decided on.
        line: u64,
        /// What stands there instead.
        found: String,
    },
    /// A document type declaration, with which entities could be declared.
    #[error("line {line}: a DOCTYPE is not allowed in a report")]
    Doctype {
        /// The line of the declaration.
        line: u64,
    },
    /// The file ends too early.
    #[error("line {line}: the file ends too early, {inside}")]
    Truncated {
        /// The line the file ends on.
        line: u64,
        /// What was still open there.
        inside: String,
    },
    /// Not well formed.
    #[error("line {line}: {reason}")]
    Malformed {
        /// The line of the mistake.
        line: u64,
        /// The mistake.
        reason: String,
    },
    /// More levels than the limit.
    #[error("line {line}: more than {limit} levels inside each other")]
    TooDeep {
        /// The line where the limit is passed.
        line: u64,
        /// The limit.
        limit: usize,
    },
    /// An element with more attributes than the limit.
    #[error("line {line}: an element with more than {limit} attributes")]
    TooManyAttributes {
        /// The line of the element.
        line: u64,
        /// The limit.
        limit: usize,
    },
    /// More test cases than the limit.
    #[error("line {line}: more than {limit} test cases")]
    TooManyCases {
        /// The line where the limit is passed.
        line: u64,
        /// The limit.
        limit: u64,
    },
}

impl Unreadable {
    /// The documented word for the kind of trouble, as the exporter's answers and counters use it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NoTests => "no_tests",
            Self::TooLarge { .. } => "too_large",
            Self::UnknownFormat { .. } => "unknown_format",
            Self::Doctype { .. } => "doctype_forbidden",
            Self::Truncated { .. } => "truncated",
            Self::Malformed { .. } => "malformed",
            Self::TooDeep { .. } => "too_deep",
            Self::TooManyAttributes { .. } => "too_many_attributes",
            Self::TooManyCases { .. } => "too_many_cases",
        }
    }

    /// The line it was seen on, from 1, where there is one.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Empty | Self::NoTests | Self::TooLarge { .. } => None,
            Self::UnknownFormat { line, .. }
            | Self::Doctype { line }
            | Self::Truncated { line, .. }
            | Self::Malformed { line, .. }
            | Self::TooDeep { line, .. }
            | Self::TooManyAttributes { line, .. }
            | Self::TooManyCases { line, .. } => Some(*line),
        }
    }

    /// What whoever made the report can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty | Self::Truncated { .. } => {
                "The test run probably died while it wrote the report; look at its own output, and run it again."
            }
            Self::NoTests => "Look at the output of the test run: it may have stopped before its first test.",
            Self::UnknownFormat { .. } => {
                "JUnit XML, CTRF, Playwright JSON, go test -json, TRX, NUnit 3 and xUnit v2 are read."
            }
            Self::Doctype { .. } => "Remove the DOCTYPE: no producer of test reports needs one.",
            Self::Malformed { .. } => "Mend the named line, or report it to whoever wrote the producer.",
            Self::TooLarge { .. }
            | Self::TooDeep { .. }
            | Self::TooManyAttributes { .. }
            | Self::TooManyCases { .. } => "Split the report into several files.",
        }
    }
}

impl From<Unreadable> for Error {
    fn from(unreadable: Unreadable) -> Self {
        Self::new(Code::ReportRejected, unreadable.to_string()).hint(unreadable.hint())
    }
}
