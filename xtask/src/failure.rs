//! Whose failure it is: decides the exit code.

use std::fmt;

/// A failure that the person at the keyboard can put right: a wrong name, missing data, a check
/// that did not hold. Exit code 1; every other error is ours, exit code 2.
#[derive(Debug)]
pub(crate) struct Mistake {
    message: String,
    hint: Option<String>,
}

impl Mistake {
    /// A mistake with no more to say than `message`.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Mistake {}

/// The exit code of a failed run: 1 when a [`Mistake`] is in the chain, else 2.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<Mistake>().is_some() || error.chain().any(|cause| cause.is::<Mistake>())
    {
        1
    } else {
        2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_mistake_exits_with_1_even_under_context_and_anything_else_with_2() {
        let mistake: anyhow::Result<()> = Err(Mistake::new("no such config").into());
        assert_eq!(exit_code(&mistake.context("while reading").unwrap_err()), 1);
        let ours: anyhow::Result<()> = Err(anyhow::anyhow!("disk on fire"));
        assert_eq!(exit_code(&ours.context("while writing").unwrap_err()), 2);
    }
}
