//! Why a compressed file is not decoded.

/// Why a file is not decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Another kind of file.
    #[error("not a file that `compress` wrote")]
    Foreign,
    /// Another version of the format.
    #[error("version {found} of the format, expected {expected}")]
    Version {
        /// What the file says.
        found: u8,
        /// What this program reads.
        expected: u8,
    },
    /// The file ends early.
    #[error("the file ends before its time")]
    Truncated,
    /// The file goes on.
    #[error("the file goes on after its end")]
    Longer,
    /// A part of the file is not what was written.
    #[error("the file is damaged: its {0} is not what was written")]
    Damaged(&'static str),
    /// The file claims too much.
    #[error("the file claims {values} values, expected at most {most}")]
    TooLarge {
        /// Events times variables.
        values: u64,
        /// The limit.
        most: u64,
    },
    /// Compressed with another model.
    #[error("compressed with another model ({found}), this one is {expected}")]
    OtherModel {
        /// Digest in the file.
        found: String,
        /// Digest of the model.
        expected: String,
    },
    /// The arithmetic of the encoder is not there.
    #[error("compressed with `{found}` arithmetic, which is not to be had here (there is {here})")]
    Arithmetic {
        /// What the file says.
        found: String,
        /// What there is.
        here: String,
    },
    /// The model's variables are real numbers, or columns of different types.
    #[error("`{model}` is a model of {what}; expected one of symbols")]
    NoSymbols {
        /// Kind of the model.
        model: &'static str,
        /// What it describes.
        what: &'static str,
    },
    /// The walk did not reproduce the encoder's conditionals.
    #[error(
        "decoding gives other data than was compressed: this machine's `{arithmetic}` arithmetic \
         differs from the encoder's"
    )]
    OtherContent {
        /// What the file says, and what was used.
        arithmetic: String,
    },
}
