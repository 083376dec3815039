//! The command: runs, a token and limits as they are stated.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::http::HeaderValue;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Limits, Plan, Served, run as serve};
use crate::args::ServeArgs;
use crate::commands::Session;
use crate::device;
use crate::error::{cannot, mistake};
use crate::output::{RECORD_VERSION, Terminal};
use crate::reading;
use crate::run_dir::RunDir;

/// What the command prints once it answers.
#[derive(Debug, Serialize)]
struct Record {
    version: u32,
    command: &'static str,
    /// Where the page is.
    address: String,
    models: Vec<String>,
    /// Whether a token is asked for.
    token: bool,
    device: String,
}

/// The most of a file with a token.
const TOKEN_BYTES: u64 = 4096;

/// The variable that a token is in, where no file is named.
const TOKEN: &str = "CHAINRULE_TOKEN";

/// Loads the runs and serves them until a signal ends the process.
///
/// # Errors
/// When a run is not trained, two have one name, the token cannot be read, or the address cannot be bound.
pub(crate) fn run(args: &ServeArgs, session: &Session) -> Result<()> {
    let device = device::choose(args.device.as_deref())?;
    let quiet = Terminal { json: true, quiet: true, verbose: false, results_on_stderr: false };
    let mut models = Vec::new();
    for path in &args.runs {
        let run = RunDir::open(path)?;
        let own = Session { terminal: quiet, locations: session.locations.clone() };
        let served = Served::load(&run, &device, own)?;
        session.terminal.detail(format!("{}: {} is loaded", served.name, served.model.kind()));
        models.push(served);
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = models.iter().find(|model| !names.insert(model.name.clone())) {
        return Err(mistake(
            format!("two runs are called {:?}, and a request names one", twice.name),
            "rename one of the folders",
        ));
    }
    let token = token(args.token_file.as_deref())?;
    let origin = args.cors.as_deref().map(|origin| {
        HeaderValue::from_str(origin)
            .ok()
            .filter(|_| origin.starts_with("http://") || origin.starts_with("https://"))
            .ok_or_else(|| {
                mistake(
                    format!("--cors {origin}: expected an origin"),
                    "name one such as https://example.org, without a path",
                )
            })
    });
    let names: Vec<String> = models.iter().map(|model| model.name.clone()).collect();
    let plan = Plan {
        models,
        bind: args.bind,
        token,
        origin: origin.transpose()?,
        limits: Limits {
            body: args.max_body << 20,
            rows: args.max_rows,
            particles: args.max_particles,
            time: Duration::from_secs(args.timeout),
            waiting: args.max_waiting,
        },
        verbose: session.terminal.verbose,
    };
    serve(plan, |address| {
        warn(address, token.is_some(), session);
        let record = Record {
            version: RECORD_VERSION,
            command: "serve",
            address: format!("http://{address}/"),
            models: names,
            token: token.is_some(),
            device: device.name,
        };
        session.terminal.result(&record, || {
            format!("{} on {} (Ctrl-C ends it)", record.models.join(", "), record.address)
        })
    })
}

/// Says who may ask, where that is not this machine alone.
fn warn(address: SocketAddr, has_token: bool, session: &Session) {
    if address.ip().is_loopback() {
        return;
    }
    session.terminal.note(match has_token {
        true => format!(
            "WARNING: {address} is reached from other machines. The token goes over the wire as it is: put a server with TLS in \
             front."
        ),
        false => format!(
            "WARNING: {address} is reached from other machines, and ANYONE who reaches it may ask: no token is asked for. Name \
             one with --token-file, or bind 127.0.0.1."
        ),
    });
}

/// SHA-256 of the token that a file or the environment holds.
fn token(file: Option<&Path>) -> Result<Option<[u8; 32]>> {
    let token = match file {
        Some(path) => {
            let bytes = reading::bytes(path, TOKEN_BYTES).with_context(|| cannot("read", path))?;
            let text = String::from_utf8_lossy(&bytes).trim().to_owned();
            if text.is_empty() {
                return Err(mistake(
                    format!("--token-file {}: nothing is in it", path.display()),
                    "write a long random word into it, such as that of `openssl rand -hex 32`",
                ));
            }
            Some(text)
        }
        None => match std::env::var(TOKEN) {
            Ok(token) if !token.trim().is_empty() => Some(token.trim().to_owned()),
            Err(std::env::VarError::NotPresent) => None,
            // Somebody meant to ask for one.
            Ok(_) | Err(_) => {
                return Err(mistake(
                    format!("{TOKEN} is set, and no word is in it"),
                    format!(
                        "set it to a long random word, or unset it; {TOKEN} is what requests must know"
                    ),
                ));
            }
        },
    };
    Ok(token.map(|token| Sha256::digest(token.as_bytes()).into()))
}
