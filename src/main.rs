//! The `qastack` command: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    qastack::cli::main(std::env::args_os())
}
