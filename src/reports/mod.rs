//! Bytes of a test report in, a [`TestRun`] out: pure, streaming, lenient, with limits.
//!
//! This room does no I/O and reads no clock. It never trusts a counter: it counts elements.

pub mod model;

pub use model::{Attempt, Counts, Execution, Format, Outcome, TestIdentity, TestRun, Warning};
