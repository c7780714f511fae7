//! Standard input as a report: what `-` stands for where files are named.

use crate::error::{Error, Result};
use crate::exit_code::Code;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

/// What is typed for it. A file of this name is `./-`.
pub const ARGUMENT: &str = "-";

/// What it is called in answers.
pub const NAME: &str = "standard input";

/// Refuses to wait for a report that nobody sends: on a terminal somebody would have to type it.
///
/// # Errors
/// Standard input is a terminal.
pub fn is_sent() -> Result<()> {
    if io::stdin().is_terminal() {
        return Err(Error::new(Code::Usage, "standard input is a terminal, and `-` reads a report from it")
            .hint("Send one in, as with cat report.xml | qastack push -, or name its file."));
    }
    Ok(())
}

/// All of it, however it is packed. Its arguments are those of a file's reader.
///
/// # Errors
/// It cannot be read, or there is nothing in it.
pub fn read(_name: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        let reason = "it is empty: what should have written the report wrote nothing";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
    }
    Ok(bytes)
}
