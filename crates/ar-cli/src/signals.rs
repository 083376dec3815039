//! INT, TERM and HUP: the first one cleans up and ends the program, a second one ends it at once.

#[cfg(all(unix, feature = "serve"))]
pub(crate) use unix::instead_of_ending;
#[cfg(unix)]
pub(crate) use unix::watch;

/// Where there are no signals, nothing is watched.
#[cfg(not(unix))]
pub(crate) fn watch() {}

/// Where there are no signals, nothing is done on one.
#[cfg(all(not(unix), feature = "serve"))]
pub(crate) fn instead_of_ending(_: impl Fn() + Send + Sync + 'static) {}

#[cfg(unix)]
mod unix {
    use std::sync::{OnceLock, mpsc};
    use std::thread;

    use ar_models::atomic_file::abandon_all;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    /// Enough for a thread that hardly does anything.
    const STACK_BYTES: usize = 256 << 10;

    /// What the first signal does instead of ending the process.
    static INSTEAD: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

    /// Has the first signal do this instead of ending the process; a second one ends it at once.
    #[cfg(feature = "serve")]
    pub(crate) fn instead_of_ending(f: impl Fn() + Send + Sync + 'static) {
        // One who serves does so once.
        let _ = INSTEAD.set(Box::new(f));
    }

    /// Starts the thread that waits for signals. The process then ends by the signal, so that a shell sees
    /// what ended it; its files are the old ones or whole, and none is left under a temporary name.
    pub(crate) fn watch() {
        // Without it a signal ends the program at once, as it would any other.
        let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
        let (ready, is_ready) = mpsc::channel();
        let waiting = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            // What a thread takes for itself is taken before anybody asks how much memory is left.
            let _ = ready.send(Box::new(()));
            let mut is_cleaning = false;
            for signal in signals.forever() {
                if is_cleaning {
                    let _ = emulate_default_handler(signal);
                }
                is_cleaning = true;
                if let Some(instead) = INSTEAD.get() {
                    instead();
                    continue;
                }
                // Apart, so that a second signal is heard while a slow disk keeps the first waiting.
                thread::spawn(move || {
                    abandon_all();
                    let _ = emulate_default_handler(signal);
                });
            }
        });
        if waiting.is_ok() {
            let _ = is_ready.recv();
        }
    }
}
