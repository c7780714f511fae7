//! Drives a plan: lock, apply in parallel, wait, prove, roll back. It tells what happens as events and never prints.

pub mod event;
