//! The binary from outside: one test program, so that it is linked once.

#[cfg(unix)]
mod book;
mod classes;
mod classify;
mod commands;
mod common;
mod compare;
mod complete;
mod compress;
mod errors;
mod features;
mod given;
mod golden;
mod kinds;
mod levels;
mod memory;
mod npy;
mod reals;
mod report;
mod resume;
mod score;
#[cfg(feature = "serve")]
mod serve;
mod tables;
mod transcripts;
mod window;
