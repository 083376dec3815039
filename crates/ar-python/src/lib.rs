//! `chainrule._chainrule`: the commands of the `chainrule` program inside a Python interpreter.
//!
//! There is one function, and no second implementation: what Python asks for is the command that a shell would ask
//! for, so its numbers are the command's to the bit, and its messages the command's to the letter. Rows go in and out by
//! files (`.npy` and Arrow IPC), which hold them exactly. What is friendlier than that is in `python/chainrule`.

use std::time::{Duration, Instant};

use ar_cli::host::{self, Host, Progress, Stopped};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

/// How often the interpreter is asked whether somebody wants to stop.
const PERIOD: Duration = Duration::from_millis(50);

/// What a Python program hears of a command.
struct Listener {
    /// Called with a line that the program would write to stderr.
    note: Option<Py<PyAny>>,
    /// Called with epoch, step, steps and nats of the batch, and of an epoch that is over with its record.
    progress: Option<Py<PyAny>>,
    asked: Instant,
    /// Why the command should stop.
    stop: Raised,
}

/// What was raised while a command worked, for whoever waits for it.
type Raised = std::sync::Arc<std::sync::Mutex<Option<PyErr>>>;

impl Listener {
    /// Calls into Python, if it is time to.
    fn ask(&mut self, progress: Progress<'_>) -> PyResult<()> {
        let is_due = self.asked.elapsed() >= PERIOD;
        match (progress, &self.note, &self.progress) {
            (Progress::Note(line), Some(note), _) => {
                Python::attach(|py| note.call1(py, (line,)).map(drop))?;
            }
            (Progress::Step { epoch, step, steps, nll_nats }, _, Some(hears)) if is_due => {
                Python::attach(|py| hears.call1(py, (epoch, step, steps, nll_nats)).map(drop))?;
            }
            (Progress::Epoch(record), _, Some(hears)) => {
                let (epoch, valid) = (record.epoch, record.valid_nll_nats);
                Python::attach(|py| {
                    hears.call1(py, (epoch, 0, 0, record.train_nll_nats, valid)).map(drop)
                })?;
            }
            _ => {}
        }
        if is_due {
            Python::attach(|py| py.check_signals())?;
            self.asked = Instant::now();
        }
        Ok(())
    }
}

impl Host for Listener {
    fn hear(&mut self, progress: Progress<'_>) -> bool {
        match self.ask(progress) {
            Ok(()) => true,
            Err(error) => {
                *self.stop.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
                false
            }
        }
    }
}

/// Runs a command, `words` without the name of the program, and returns what it prints to standard output.
///
/// `note` is called with each line that the program would write to standard error; `progress` with `(epoch, step,
/// steps, nll_nats)` some times a second while a model is trained, and with `(epoch, 0, 0, train_nll_nats,
/// valid_nll_nats)` when an epoch is over. What they raise ends the command, as KeyboardInterrupt does. `threads` of
/// the command's own work on it, or those of the process. Other Python threads run meanwhile.
///
/// A command that is refused raises ``refused(kind, message, hint, file, place)``.
#[pyfunction]
#[pyo3(signature = (words, refused, note=None, progress=None, threads=None))]
fn call(
    py: Python<'_>,
    words: Vec<String>,
    refused: Py<PyAny>,
    note: Option<Py<PyAny>>,
    progress: Option<Py<PyAny>>,
    threads: Option<usize>,
) -> PyResult<String> {
    let stop = Raised::default();
    let listener = Listener { note, progress, asked: Instant::now(), stop: stop.clone() };
    let outcome = py.detach(|| host::call(&words, threads, listener));
    match outcome {
        Ok(text) => Ok(text),
        Err(Stopped::Refused(host::Refused { kind, message, file, place, hint })) => {
            let error = refused.call1(py, (kind, message, hint, file, place))?;
            Err(PyErr::from_value(error.into_bound(py)))
        }
        Err(Stopped::ByHost) => {
            let raised = stop.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            Err(raised.unwrap_or_else(|| PyKeyboardInterrupt::new_err(())))
        }
    }
}

/// The commands of the `chainrule` program.
#[pymodule]
mod _chainrule {
    #[pymodule_export]
    use super::call;
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
