//! How much of a report is read: bounds that keep a hostile or broken file from costing more than it is worth.

/// The bounds of one reading. Whoever calls `read` also holds the deadline: this room reads no clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The size of the report, in bytes.
    pub bytes: usize,
    /// Elements or JSON values inside each other.
    pub depth: usize,
    /// Attributes of one XML element.
    pub attributes: usize,
    /// Test cases in one report.
    pub cases: u64,
    /// Message and text kept of one test case, in bytes; the rest is read over.
    pub kept_text: usize,
    /// One name (of a suite, a class, a test), in bytes; what is longer is cut, with a warning.
    pub name: usize,
    /// Attempts kept of one test case element; further ones are counted in a warning.
    pub attempts: usize,
    /// Warnings kept; further ones are only counted.
    pub warnings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            depth: 64,
            attributes: 64,
            cases: 200_000,
            kept_text: 64 << 10,
            name: 4 << 10,
            attempts: 100,
            warnings: 200,
        }
    }
}
