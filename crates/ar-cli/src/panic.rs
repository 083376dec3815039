//! No panic reaches the user as a backtrace: it is an internal error, in words, with exit code 2.

use std::any::Any;
use std::cell::Cell;
use std::io::Write as _;
use std::panic::{self, PanicHookInfo};

use crate::error::{ExitStatus, REPORT};

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Makes every later panic print a line and end the process, unless it is [`expected`].
pub(crate) fn install_hook() {
    panic::set_hook(Box::new(|info| {
        if EXPECTED.get() {
            return;
        }
        // Nothing can be done about a stderr that is gone.
        let _ = std::io::stderr().write_all(report(info).as_bytes());
        std::process::exit(ExitStatus::Internal as i32);
    }));
}

/// Runs `f`, in which a panic on this thread is an answer and no failure of ours.
pub(crate) fn expected<T>(f: impl FnOnce() -> T) -> T {
    EXPECTED.set(true);
    let result = f();
    EXPECTED.set(false);
    result
}

/// The words of a panic.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> String {
    if let Some(message) = payload.downcast_ref::<&str>() {
        (*message).to_owned()
    } else if let Some(message) = payload.downcast_ref::<String>() {
        message.clone()
    } else {
        "no reason given".to_owned()
    }
}

fn report(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
    let message = info.payload_as_str().unwrap_or("no reason given");
    let place = place.unwrap_or_default();
    format!("error: internal error: {message}{place}\nhint: {REPORT}\n")
}
