//! The commands inside another program, such as a Python interpreter: what one prints is returned, what it says
//! on the way is heard by a [`Host`], an error is a value, and so is a panic.
//!
//! A line is what would be typed; with `--json` the text that comes back is the command's record.
//!
//! ```
//! use ar_cli::host::{self, Silent};
//!
//! let words = ["count", "--family", "markov", "--variables", "784", "--order", "1", "--json"];
//! let record = host::call(&words, None, Silent)?;
//! assert!(record.contains(r#""free_parameters":"1567""#), "{record}");
//! let Err(host::Stopped::Refused(refused)) = host::call(&["eval", "no-such-run"], None, Silent) else { panic!() };
//! assert_eq!((refused.kind, refused.file.as_deref()), ("run", Some("no-such-run")));
//! # Ok::<(), host::Stopped>(())
//! ```

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use ar_models::train::EpochRecord;
use rand::TryRng;

use crate::args::Cli;
use crate::error::{ErrorKind, REPORT};
use crate::failure::Failure;
pub use crate::failure::Refused;
use crate::panic::message_of;
use crate::{dispatch, is_result, parse, too_many};

/// Where a command is while it works.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress<'a> {
    /// A line that the program would write to stderr.
    Note(&'a str),
    /// A step of training.
    Step {
        /// From 1.
        epoch: usize,
        /// Of the epoch, from 1.
        step: usize,
        /// Of an epoch.
        steps: usize,
        /// Of the step's batch.
        nll_nats: f64,
    },
    /// An epoch is over.
    Epoch(&'a EpochRecord),
    /// Some examples are done.
    Pulse,
}

/// Hears of a command while it works.
pub trait Host: Send + 'static {
    /// Hears of it, and says whether to go on. A command that is told to stop leaves its files as they were, and
    /// training its checkpoint of the last epoch.
    fn hear(&mut self, progress: Progress<'_>) -> bool;
}

/// Lets the command work.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Host for Silent {
    fn hear(&mut self, _: Progress<'_>) -> bool {
        true
    }
}

/// Why a command came to no end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It cannot do what it was asked for.
    Refused(Refused),
    /// The host said so.
    ByHost,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            Self::ByHost => f.write_str("stopped by the program that it works for"),
        }
    }
}

impl std::error::Error for Stopped {}

/// A command's host, and what it has printed.
struct Inside {
    host: Box<dyn Host>,
    printed: Vec<u8>,
}

thread_local! {
    /// The command on this thread; not there while its host hears of it, which may give a command itself.
    static INSIDE: RefCell<Option<Inside>> = const { RefCell::new(None) };
}

/// What unwinds through a command whose host says that it should stop.
struct StoppedByHost;

/// Runs a command, `words` without the name of the program, and returns what it prints to stdout. `threads` of its own
/// work on it; without a number, those of the process. Results do not depend on how many.
///
/// # Errors
/// [`Stopped::Refused`] for all that ends the program with an error, a panic included; [`Stopped::ByHost`] where `host`
/// says so.
pub fn call<W: AsRef<OsStr>>(
    words: &[W],
    threads: Option<usize>,
    host: impl Host,
) -> Result<String, Stopped> {
    let program = OsString::from("chainrule");
    let line: Vec<OsString> =
        std::iter::once(program).chain(words.iter().map(|word| word.as_ref().to_owned())).collect();
    let cli = match parse(&line) {
        Ok(cli) => cli,
        // Help and versions are results.
        Err(text) if is_result(text.kind()) => return Ok(text.to_string()),
        Err(error) => return Err(Stopped::Refused(Failure::from(&error).refused)),
    };
    let threads = threads.or(cli.global.threads.map(usize::from));
    let work = || here(cli, Box::new(host));
    let Some(threads) = threads else { return work() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| refused(&too_many(threads, &error).into()))?.install(work)
}

/// Runs a command on this thread.
fn here(cli: Cli, host: Box<dyn Host>) -> Result<String, Stopped> {
    let (outcome, inside) = hosted(host, || dispatch(cli));
    match outcome {
        Ok(Ok(())) => {
            let printed = inside.map_or_else(Vec::new, |inside| inside.printed);
            Ok(String::from_utf8_lossy(&printed).into_owned())
        }
        Ok(Err(error)) => Err(refused(&error)),
        Err(payload) if payload.is::<StoppedByHost>() => Err(Stopped::ByHost),
        Err(payload) => Err(Stopped::Refused(panicked(&*payload))),
    }
}

/// Runs `work` on this thread with a host, and gives back what it came to, a panic included, and what it printed.
fn hosted<T>(
    host: Box<dyn Host>,
    work: impl FnOnce() -> T,
) -> (std::thread::Result<T>, Option<Inside>) {
    let outer = INSIDE.replace(Some(Inside { host, printed: Vec::new() }));
    // What a command leaves half done is dropped with it: it shares nothing but the model's kernels, which hold no
    // state, and files, which are whole or not there.
    let outcome = catch_unwind(AssertUnwindSafe(work));
    (outcome, INSIDE.replace(outer))
}

/// Runs `work` on this thread as long as somebody wants it; `None` where it was ended before its end.
///
/// # Errors
/// With the words of a panic.
#[cfg(feature = "serve")]
pub(crate) fn while_wanted<T>(
    is_wanted: impl Fn() -> bool + Send + 'static,
    work: impl FnOnce() -> T,
) -> Result<Option<T>, String> {
    struct Wanted<F>(F);
    impl<F: Fn() -> bool + Send + 'static> Host for Wanted<F> {
        fn hear(&mut self, _: Progress<'_>) -> bool {
            self.0()
        }
    }
    match hosted(Box::new(Wanted(is_wanted)), work).0 {
        Ok(outcome) => Ok(Some(outcome)),
        Err(payload) if payload.is::<StoppedByHost>() => Ok(None),
        Err(payload) => Err(message_of(&*payload)),
    }
}

/// Random numbers, on the way to which the host hears of it now and then: what draws can be ended wherever it is.
pub(crate) struct Heard<R> {
    rng: R,
    drawn: u32,
}

/// Draws between which a host hears nothing.
const DRAWS: u32 = 256;

impl<R> Heard<R> {
    pub(crate) fn new(rng: R) -> Self {
        Self { rng, drawn: 0 }
    }

    fn drawing(&mut self) -> &mut R {
        if self.drawn.is_multiple_of(DRAWS) {
            tell(Progress::Pulse);
        }
        self.drawn = self.drawn.wrapping_add(1);
        &mut self.rng
    }
}

impl<R: TryRng> TryRng for Heard<R> {
    type Error = R::Error;

    fn try_next_u32(&mut self) -> Result<u32, R::Error> {
        self.drawing().try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, R::Error> {
        self.drawing().try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), R::Error> {
        self.drawing().try_fill_bytes(bytes)
    }
}

fn refused(error: &anyhow::Error) -> Stopped {
    Stopped::Refused(Failure::from(error).refused)
}

fn panicked(payload: &(dyn Any + Send)) -> Refused {
    let message = format!("internal error: {}", message_of(payload));
    let hint = REPORT.to_owned();
    Refused { kind: ErrorKind::Internal.name(), message, file: None, place: None, hint }
}

/// Takes what a command prints; `false` where there is no host.
pub(crate) fn takes(bytes: &[u8]) -> bool {
    INSIDE.with_borrow_mut(|inside| match inside {
        Some(inside) => {
            inside.printed.extend_from_slice(bytes);
            true
        }
        None => false,
    })
}

/// Tells the host, if there is one, and ends the command where the host says so: by unwinding, since what works below
/// this knows nothing of hosts. Says whether there is one.
pub(crate) fn tell(progress: Progress<'_>) -> bool {
    let Some(mut inside) = INSIDE.take() else { return false };
    let goes_on = inside.host.hear(progress);
    INSIDE.set(Some(inside));
    if !goes_on {
        // No panic: no hook hears of it.
        resume_unwind(Box::new(StoppedByHost));
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Sends notes on and stops after so many pulses and steps.
    struct Stops {
        after: usize,
        notes: Sender<String>,
    }

    impl Host for Stops {
        fn hear(&mut self, progress: Progress<'_>) -> bool {
            match progress {
                Progress::Note(line) => self.notes.send(line.to_owned()).is_ok(),
                _ => {
                    self.after = self.after.saturating_sub(1);
                    self.after > 0
                }
            }
        }
    }

    #[test]
    fn a_host_hears_and_stops_and_a_resumed_run_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
        let config = folder.path().join("c.toml");
        let text = "name = \"c\"\nseed = 1\n[data]\nname = \"digits\"\nbinarize = \"threshold\"\n[model]\nkind = \"nade\"\n\
                    hidden = 5\n[train]\nepochs = 3\nbatch_size = 100\noptimizer = { kind = \"adam\", learning_rate = 1e-2 }\n";
        std::fs::write(&config, text).unwrap();
        let train = |out: &std::path::Path, after, threads| {
            let (notes, heard) = channel();
            let words = [
                OsStr::new("train"),
                config.as_os_str(),
                OsStr::new("--out"),
                out.as_os_str(),
                OsStr::new("--resume"),
                OsStr::new("--json"),
            ];
            let outcome = call(&words, threads, Stops { after, notes });
            (outcome, heard.iter().collect::<Vec<String>>())
        };
        let (record, notes) = train(&whole, usize::MAX, None);
        assert!(record.unwrap().contains("\"command\":\"train\""));
        assert_eq!(notes.len(), 3, "{notes:?}");
        // In the second epoch, of eleven steps each.
        let (outcome, _) = train(&stopped, 16, Some(1));
        assert_eq!(outcome, Err(Stopped::ByHost));
        let (outcome, notes) = train(&stopped, usize::MAX, Some(2));
        outcome.unwrap();
        assert_eq!(notes[0], "continuing after epoch 1");
        let model = |run: &std::path::Path| std::fs::read(run.join("model.safetensors")).unwrap();
        assert_eq!(model(&whole), model(&stopped));
    }

    #[cfg(feature = "serve")]
    #[test]
    fn work_that_nobody_wants_ends_at_its_next_step() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};

        let asked = Arc::new(AtomicUsize::new(0));
        let of_work = Arc::clone(&asked);
        let wanted = move || of_work.fetch_add(1, Ordering::Relaxed) < 3;
        let steps = |steps: usize| move || (0..steps).filter(|_| tell(Progress::Pulse)).count();
        assert_eq!(while_wanted(wanted.clone(), steps(3)), Ok(Some(3)));
        assert_eq!(while_wanted(wanted, steps(9)), Ok(None));
        assert_eq!(asked.load(Ordering::Relaxed), 4);
        let panics = || crate::panic::expected(|| -> u8 { panic!("at work") });
        assert_eq!(while_wanted(|| true, panics), Err("at work".to_owned()));
        assert!(!tell(Progress::Pulse), "nobody is here");
    }

    #[test]
    fn a_panic_is_an_error_and_the_thread_lives_on() {
        struct Panics;
        impl Host for Panics {
            fn hear(&mut self, _: Progress<'_>) -> bool {
                // As a panic, but that no hook speaks of it.
                resume_unwind(Box::new("a host's own"))
            }
        }
        let line = ["eval", "--data", "digits", "no-such-run"];
        let refused = |host: Result<String, Stopped>| match host {
            Err(Stopped::Refused(refused)) => refused,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(call(&line, None, Silent)).kind, "run");
        let folder = tempfile::tempdir().unwrap();
        let csv = folder.path().join("a.csv");
        let out = folder.path().join("run");
        std::fs::write(&csv, "a,b\n1,x\n2,y\n".repeat(20)).unwrap();
        let words = [OsStr::new("train"), csv.as_os_str(), OsStr::new("--out"), out.as_os_str()];
        let panicked = refused(call(&words, None, Panics));
        assert_eq!(
            (panicked.kind, panicked.message.as_str()),
            ("internal", "internal error: a host's own")
        );
        assert!(call(&["--version"], None, Silent).unwrap().starts_with("chainrule "));
        assert!(!takes(b"nobody is here"));
    }
}
