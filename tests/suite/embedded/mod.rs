//! The stack without a container engine, as a person runs it: the program itself, a state directory of the test's
//! own, a port of its own, and no process left behind.

mod logs;
pub mod machine;
pub mod moving;
mod ports;
mod story;
mod trouble;
