//! Panics that are answers: of decoders that other people wrote, about files that are broken.
//!
//! Where they are caught, a panic hook has nothing to say and nothing to end; [`is_expected`] tells it so.

use std::cell::Cell;

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic on this thread, at this moment, will be caught and made an error of.
///
/// ```
/// assert!(!ar_data::panics::is_expected());
/// ```
pub fn is_expected() -> bool {
    EXPECTED.get()
}

/// What `run` gives, or the words of its panic.
#[cfg(feature = "arrow")]
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    let before = EXPECTED.replace(true);
    // What a panic leaves half done is not used again: callers make an error of it and stop.
    let result = catch_unwind(AssertUnwindSafe(run));
    EXPECTED.set(before);
    result.map_err(|payload| {
        let words = payload.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| payload.downcast_ref::<&str>().copied());
        words.unwrap_or("no reason given").to_owned()
    })
}

#[cfg(all(test, feature = "arrow"))]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_expected_only_where_it_is_caught() {
        assert_eq!(caught(is_expected), Ok(true));
        assert_eq!(caught(|| caught(|| ()).map(|()| is_expected())), Ok(Ok(true)));
        assert!(!is_expected());
        let (one, two) = (1, 2);
        assert_eq!(
            caught(|| assert!(one == two, "{one} is not {two}")),
            Err("1 is not 2".to_owned())
        );
        assert_eq!(caught(|| panic!("plainly")), Err::<(), _>("plainly".to_owned()));
        assert!(!is_expected());
    }
}
