//! Defaults and checks of keys that several kinds of models have.

use super::error::Error;

/// Components of a mixture where a config does not say.
pub(crate) fn default_components() -> usize {
    8
}

/// Whether these are what a config that leaves them out means.
pub(crate) fn are_default_components(components: &usize) -> bool {
    *components == default_components()
}

/// Checks the key `model.components`.
pub(crate) fn check_components(components: usize) -> Result<(), Error> {
    if (1..=1 << 12).contains(&components) {
        return Ok(());
    }
    Err(Error::Config {
        key: "model.components",
        value: components.to_string(),
        expected: "1 to 4096 components".into(),
    })
}

/// Checks a number of classes; labels are bytes.
pub(crate) fn check_classes(classes: Option<usize>) -> Result<(), Error> {
    match classes.filter(|classes| !(2..=256).contains(classes)) {
        Some(classes) => Err(Error::Config {
            key: "model.classes",
            value: classes.to_string(),
            expected: "2 to 256".into(),
        }),
        None => Ok(()),
    }
}
