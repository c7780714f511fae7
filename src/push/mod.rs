//! `push`, below the command line: which files are reports, which run they belong to, and how they get there.
//!
//! It speaks to the exporter over HTTP only. A job must never fail because the exporter is away: what cannot be
//! delivered is kept in the spool and goes with the next push.

pub mod attempts;
pub mod backlog;
pub mod ci;
pub mod deliver;
pub mod find;
pub mod git;
pub mod patience;
pub mod spool;
pub mod standard_input;
