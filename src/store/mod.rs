//! SQLite: runs, tests, executions, defects, and what is folded from them. One writer; acknowledged means on disk.
//!
//! Only this room speaks SQL. A report is stored whole or not at all, and counted once, however often it is
//! pushed. It never acknowledges anything before the disk has it.

mod error;
mod model;
mod views;

pub use error::StoreError;
pub use model::*;
pub use views::*;
