//! Faults: whatever goes wrong, a command ends in time with a documented exit code, touches nothing that is not ours,
//! and the next `up` or `down` puts everything right. On an engine that keeps books, so that every single call and
//! every checkpoint can be the one; `e2e::faults` shows the same on a real engine, for some of them.

pub mod desk;
mod engine;
mod grafana;
mod held;
mod loops;
mod operators;
mod state;
