//! A page to draw on and a service to ask: `chainrule serve RUN …`.
//!
//! ```text
//! connection ──► http: who may ask, how much ──► queue: its turn, with others ──► score, complete, sample, conditional, classify
//!                                                                                  (the commands' own code, on the request's rows)
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | this one | the server's life from the first connection to the last answer |
//! | `command` | the command line |
//! | `http` | routes, tokens, headers, and the OpenAPI document |
//! | `limits` | how much may be asked for |
//! | `body` | what a request brings |
//! | `queue` | requests that are evaluated together |
//! | `served` | a run in memory, and what is said of it |
//! | `rows`, `given` | rows as JSON has them; those of a request as the run's cells |
//! | `score`, `complete`, `sample`, `conditional`, `classify` | what is asked for, what is answered |
//! | `fault` | what goes wrong |
//! | `patience` | connections whose other side has to read |
//! | `metrics` | what is counted |
//! | `page` | the files of the page |
//!
//! A request's rows are evaluated by themselves: the answer to one does not depend on who else asked, to the bit, and is what
//! the command of the same name says of the same rows.

mod body;
mod classify;
pub(crate) mod command;
mod complete;
mod conditional;
mod fault;
mod given;
mod http;
mod limits;
mod metrics;
mod page;
mod patience;
mod queue;
mod rows;
mod sample;
mod score;
mod served;

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::http::HeaderValue;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};

use crate::error::Internal;
use crate::signals;
use http::Service;
use limits::Limits;
use metrics::Metrics;
use patience::Patience;
use queue::Queue;
use served::Served;

/// Bodies of at most so many largest ones are in memory.
const BODIES: u64 = 16;

/// Connections that are open at a time.
const CONNECTIONS: usize = 512;

/// How long the head of a request may take to arrive.
const HEAD: Duration = Duration::from_secs(10);

/// What is served, and to whom.
pub(crate) struct Plan {
    pub(crate) models: Vec<Served>,
    pub(crate) bind: SocketAddr,
    /// SHA-256 of the token that is asked for.
    pub(crate) token: Option<[u8; 32]>,
    /// The origin whose pages may ask, besides our own.
    pub(crate) origin: Option<HeaderValue>,
    pub(crate) limits: Limits,
    /// Whether every request is noted on stderr.
    pub(crate) verbose: bool,
}

/// Serves until a signal ends the process; `ready` hears where.
///
/// # Errors
/// When the address cannot be bound, or there are no threads to be had.
pub(crate) fn run(plan: Plan, ready: impl FnOnce(SocketAddr) -> Result<()>) -> Result<()> {
    let Plan { models, bind, token, origin, limits, verbose } = plan;
    log_to_stderr(verbose);
    crate::panic::answered();
    let ending = Arc::new(Notify::new());
    let signal = Arc::clone(&ending);
    signals::instead_of_ending(move || signal.notify_one());
    let service = Arc::new(Service {
        models: models.into_iter().map(Arc::new).collect(),
        scores: Queue::start("scores", limits.waiting)?,
        walks: Queue::start("walks", limits.waiting)?,
        bytes: Arc::new(Semaphore::new(usize::try_from(BODIES * limits.body)?)),
        metrics: Metrics::new(),
        token,
        hosts: hosts_of(bind),
        origin,
        is_ending: AtomicBool::new(false),
        limits,
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("connections")
        .enable_all()
        .build()
        .context(Internal("no threads for connections"))?;
    runtime.block_on(async {
        let listener = TcpListener::bind(bind).await.map_err(|error| cannot_bind(bind, &error))?;
        ready(listener.local_addr()?)?;
        accept(listener, &service, &ending).await;
        Ok(())
    })
}

/// The names that a server on this address is asked for by; none where it is on all of a machine's, or another than the
/// loopback's.
fn hosts_of(bind: SocketAddr) -> Vec<String> {
    if !bind.ip().is_loopback() {
        return Vec::new();
    }
    ["localhost", "127.0.0.1", "[::1]"]
        .map(str::to_owned)
        .into_iter()
        .chain([bind.ip().to_string()])
        .collect()
}

fn cannot_bind(bind: SocketAddr, error: &io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has it: choose another port with --bind, 127.0.0.1:0 for any that is free"
        }
        _ => "choose another address with --bind",
    };
    crate::error::Mistake::new(format!("--bind {bind}: {error}"), hint)
        .of(crate::error::ErrorKind::Machine)
        .into()
}

/// Answers connections until the end; then those that are being answered.
async fn accept(listener: TcpListener, service: &Arc<Service>, ending: &Notify) {
    let router = http::router(Arc::clone(service));
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let open = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            () = ending.notified() => break,
            accepted = listener.accept() => accepted,
        };
        match stream {
            // One too many is closed, and asks again.
            Ok((stream, _)) => {
                // Answers are small and whole.
                let _ = stream.set_nodelay(true);
                if let Ok(permit) = Arc::clone(&connections).try_acquire_owned() {
                    let stream = Patience::new(stream, service.limits.time);
                    answer(stream, router.clone(), &open, permit);
                }
            }
            // No more files may be open: others will be closed.
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    // Who comes now is refused by the system.
    drop(listener);
    service.is_ending.store(true, Ordering::Relaxed);
    tracing::info!("ending: what is asked for is answered first");
    let _ = tokio::time::timeout(service.limits.time, open.shutdown()).await;
}

fn answer<P: Send + 'static>(stream: Patience, router: Router, open: &GracefulShutdown, permit: P) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let connection = open.watch(connection);
    tokio::spawn(async move {
        // A client that goes away is no failure of ours.
        let _ = connection.await;
        drop(permit);
    });
}

/// Notes requests on stderr: all of them, or what RUST_LOG says, or warnings alone.
fn log_to_stderr(verbose: bool) {
    let default = if verbose { "info" } else { "warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .finish();
    // Another one is there already where a program hosts us.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_this_machine_is_asked_for_by_its_names() {
        let names = hosts_of("127.0.0.1:8787".parse().unwrap());
        assert!(names.iter().any(|name| name == "localhost"));
        assert!(hosts_of("0.0.0.0:8787".parse().unwrap()).is_empty());
    }
}
