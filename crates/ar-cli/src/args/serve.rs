//! The options of `chainrule serve`: what is served, to whom, and how much of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::values::whole_number;

/// `chainrule serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Run directories; requests name them by the last part of their paths
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// The address to answer on; 127.0.0.1:0 is any port that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8787")]
    pub(crate) bind: SocketAddr,
    /// A file whose content requests must send as a bearer token [default: CHAINRULE_TOKEN, if it is set]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// An origin whose pages may ask from a browser, such as https://example.org [default: none]
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) cors: Option<String>,
    /// The most MiB of a request
    #[arg(long, value_name = "MIB", default_value = "8", value_parser = whole_number::<u64>(1, 1024))]
    pub(crate) max_body: u64,
    /// The most rows of a request
    #[arg(long, value_name = "N", default_value = "100000", value_parser = whole_number::<u64>(1, 10_000_000))]
    pub(crate) max_rows: u64,
    /// The most walks of a row, and completions of it
    #[arg(long, value_name = "N", default_value = "4096", value_parser = whole_number::<usize>(1, 100_000))]
    pub(crate) max_particles: usize,
    /// How many seconds a request may take to arrive, and to be answered
    #[arg(long, value_name = "S", default_value = "30", value_parser = whole_number::<u64>(1, 3600))]
    pub(crate) timeout: u64,
    /// The most requests that wait; more are answered 429
    #[arg(long, value_name = "N", default_value = "64", value_parser = whole_number::<usize>(1, 65_536))]
    pub(crate) max_waiting: usize,
    /// Where to compute: flex, ndarray, cuda:N or wgpu, as compiled in
    #[arg(long)]
    pub(crate) device: Option<String>,
}
