//! Colours, only where they are seen; everything reads the same without them.

use std::io::IsTerminal;

/// How text may be styled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// For text on stdout.
    pub fn for_stdout() -> Self {
        Self { colour: allowed() && std::io::stdout().is_terminal() }
    }

    /// For text on stderr.
    pub fn for_stderr() -> Self {
        Self { colour: allowed() && std::io::stderr().is_terminal() }
    }

    /// Text without any colour, for tests and files.
    pub const PLAIN: Self = Self { colour: false };

    /// Something is as it should be.
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Something needs a look.
    pub fn warning(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Something is wrong.
    pub fn error(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// What to do about it.
    pub fn hint(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// The figure, the word that counts.
    pub fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What can be passed over.
    pub fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// One of several names that stand beside each other; each number has a colour of its own.
    pub fn name(self, number: usize, text: &str) -> String {
        const COLOURS: [&str; 3] = ["36", "33", "35"];
        self.paint(COLOURS[number % COLOURS.len()], text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// <https://no-color.org>: any value that is not empty means no colour.
fn allowed() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
