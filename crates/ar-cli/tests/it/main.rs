//! The binary from outside: one test program, so that it is linked once.

mod classes;
mod commands;
mod common;
mod complete;
mod golden;
mod reals;
mod resume;
mod score;
mod transcripts;
