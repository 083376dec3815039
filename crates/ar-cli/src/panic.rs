//! No panic reaches the user as a backtrace: it is an internal error, in words, with exit code 2.

use std::any::Any;
use std::cell::Cell;
use std::panic;
use std::sync::{Mutex, Once, PoisonError};

use crate::failure::{Asked, Failure};

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// What panics on other threads said while somebody [`asks`](asked_of_others); `None` where nobody does.
static OTHERS: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Whether panics are answers to requests.
#[cfg(feature = "serve")]
static ARE_ANSWERED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// From now on whoever asked hears of a panic, and the process lives.
#[cfg(feature = "serve")]
pub(crate) fn answered() {
    ARE_ANSWERED.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// Makes every later panic say so and end the process, unless it is [`expected`].
pub(crate) fn install_hook(asked: Asked) {
    // Other threads that panic meanwhile wait here for the end.
    let end = Once::new();
    panic::set_hook(Box::new(move |info| {
        if EXPECTED.get() || ar_data::panics::is_expected() {
            return;
        }
        if let Some(said) = OTHERS.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            said.push(message_of(info.payload()));
            return;
        }
        #[cfg(feature = "serve")]
        if ARE_ANSWERED.load(std::sync::atomic::Ordering::Relaxed) {
            tracing::error!(place = ?info.location(), "{}", message_of(info.payload()));
            return;
        }
        end.call_once(|| {
            let status = Failure::from(info).say(&asked);
            std::process::exit(status as i32);
        });
    }));
}

/// Runs `f`, in which a panic on this thread is an answer and no failure of ours.
pub(crate) fn expected<T>(f: impl FnOnce() -> T) -> T {
    EXPECTED.set(true);
    let result = f();
    EXPECTED.set(false);
    result
}

/// Runs `f`, in which a panic on any thread is an answer and no failure of ours, and says what they said on
/// other threads than this. A backend that finds no driver may find it so on a thread of its own.
pub(crate) fn asked_of_others<T>(f: impl FnOnce() -> T) -> (T, Vec<String>) {
    let others = || OTHERS.lock().unwrap_or_else(PoisonError::into_inner);
    *others() = Some(Vec::new());
    let result = expected(f);
    let said = others().take().unwrap_or_default();
    (result, said)
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
