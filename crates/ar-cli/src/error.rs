//! Exit codes, and errors that end in advice.

use std::fmt::{self, Display, Write as _};
use std::io;

use ar_models::codec::Fault;
use prob_core::Error as ProbError;

/// What the process says with its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ExitStatus {
    /// 0: done. A reader that closes our stdout early (`chainrule … | head`) counts as that.
    Success = 0,
    /// 1: the user's input or machine is at fault, or a check failed; stderr says what to do.
    Mistake = 1,
    /// 2: our failure.
    Internal = 2,
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

/// What is wrong with the user's input, and what to do about it.
#[derive(Debug)]
pub(crate) struct Mistake {
    message: String,
    hint: String,
}

impl Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

/// An error with advice of its own.
pub(crate) fn mistake(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Mistake { message: message.into(), hint: hint.into() })
}

/// Marks an error that no input should be able to cause.
#[derive(Debug)]
pub(crate) struct Internal(pub(crate) &'static str);

impl Display for Internal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "internal error: {}", self.0)
    }
}

impl std::error::Error for Internal {}

/// What to do about an error of ours.
pub(crate) const REPORT: &str =
    concat!("this is a bug; please report it at ", env!("CARGO_PKG_REPOSITORY"), "/issues");

/// The exit code for an error.
pub(crate) fn status_of(error: &anyhow::Error) -> ExitStatus {
    if error.downcast_ref::<Internal>().is_some() {
        return ExitStatus::Internal;
    }
    let broken_pipe = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
    if broken_pipe { ExitStatus::Success } else { ExitStatus::Mistake }
}

/// The error as it stands on stderr, `hint:` last.
pub(crate) fn render(error: &anyhow::Error, color: bool) -> String {
    let [red, cyan, plain] = if color { ["\x1b[1;31m", "\x1b[1;36m", "\x1b[0m"] } else { [""; 3] };
    let mut text = format!("{red}error:{plain} ");
    let mut last = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        // Some libraries repeat their source in their own message.
        if last.ends_with(&cause) {
            continue;
        }
        if !last.is_empty() {
            text.push_str("\n  because: ");
        }
        text.push_str(&cause);
        last = cause;
    }
    let _ = write!(text, "\n{cyan}hint:{plain} {}\n", hint_of(error));
    text
}

/// What to do about an error: the advice it carries, or what its kind suggests.
fn hint_of(error: &anyhow::Error) -> String {
    if error.downcast_ref::<Internal>().is_some() {
        return REPORT.into();
    }
    if let Some(mistake) = error.downcast_ref::<Mistake>() {
        return mistake.hint.clone();
    }
    if let Some(error) = error.downcast_ref::<ar_data::Error>() {
        return data_hint(error);
    }
    if let Some(error) = error.downcast_ref::<ar_models::Error>() {
        return model_hint(error);
    }
    if let Some(error) = error.downcast_ref::<ProbError>() {
        return structure_hint(error);
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return io_hint(error);
    }
    "run `chainrule help` for what each command takes".into()
}

fn data_hint(error: &ar_data::Error) -> String {
    use ar_data::Error;
    if let Some(hint) = error.hint() {
        return hint;
    }
    match error {
        Error::Io { source, .. } => io_hint(source),
        Error::Malformed(malformed) if malformed.flaw == ar_data::Flaw::Empty => {
            "name a data file, or a folder of .png images".into()
        }
        Error::Malformed(_) => {
            "the file is damaged or not what its name says; get it again, or name it by its format"
                .into()
        }
        Error::UnknownName { .. } => "`chainrule data list` shows the built-in names".into(),
        Error::NoSplit { .. } => "choose another --split, or name the file with --data".into(),
        Error::UnknownWord { expected, .. } => format!("write {expected}"),
        _ => "`chainrule data info SPEC` shows what a file holds".into(),
    }
}

/// What to do about an error of a model or its training.
pub(crate) fn model_hint(error: &ar_models::Error) -> String {
    use ar_models::Error;
    match error {
        Error::Config { key, .. } => {
            format!("change `{key}` in the config, or try a value with --set {key}=VALUE")
        }
        Error::Mismatch { needed, found, .. }
            if needed.contains("binary") && found != "real numbers" =>
        {
            "set data.binarize = \"threshold\"".into()
        }
        Error::Mismatch { needed, .. } if needed.contains("image") => {
            "set data.shape = [rows, columns] to say how the variables form an image".into()
        }
        Error::Labels { found: None, .. } => {
            "remove model.classes, or choose data with labels; `chainrule data info SPEC` shows \
             whether it has them"
                .into()
        }
        Error::Labels { found: Some(label), .. } => {
            format!("set model.classes = {} or more", usize::from(*label) + 1)
        }
        Error::Mismatch { found, .. } if found == "real numbers" => {
            "set model.kind = \"rnade\", or bin the values into at most 256 symbols first".into()
        }
        Error::Mismatch { needed, .. } if needed == "real numbers" => {
            "set data.kind = \"real\" if the values are real numbers that happen to be whole, or \
             data.dequantize = true for images"
                .into()
        }
        Error::Mismatch { .. } => "choose a model and data that suit each other".into(),
        Error::Prob(error) => structure_hint(error),
        Error::Constant { .. } => {
            "leave the column out with data.drop = [\"NAME\"], or an index counted from 0".into()
        }
        Error::Rows { .. } => {
            "set data.shape to what a row of the file holds; `chainrule data info SPEC` shows it"
                .into()
        }
        Error::Value { .. } => {
            "set data.levels above the largest value, or correct the file; `chainrule data info \
             SPEC` shows what it holds"
                .into()
        }
        Error::Empty(_) => "check the data files: `chainrule data info SPEC`".into(),
        Error::NonFinite { .. } => {
            "lower train.optimizer.learning_rate, or set train.clip_norm = 1.0".into()
        }
        Error::Compressed(fault) => compressed_hint(fault),
        Error::Stored(_) => {
            "the file is damaged or of another version or config; train again".into()
        }
        Error::OtherRun { .. } => {
            "resume with the config and data that the run was started with, or choose another --out"
                .into()
        }
        Error::Io { source, .. } => io_hint(source),
        _ => "see the [model] and [train] tables of the config".into(),
    }
}

/// What to do about a compressed file that is not decoded.
fn compressed_hint(fault: &Fault) -> String {
    match fault {
        Fault::Foreign => "name a file that `chainrule compress` wrote",
        Fault::Version { .. } => "decompress it with the version of the program that wrote it",
        Fault::TooLarge { .. } => "compress the data in several parts",
        Fault::NoSymbols { .. } => {
            "bring the values to at most 256 levels, and train a model of symbols on them"
        }
        Fault::OtherModel { .. } => {
            "name the run that it was compressed with, as it was then: a run that is trained again has \
             another model"
        }
        Fault::Arithmetic { .. } | Fault::OtherContent { .. } => {
            "decompress it with the same --device on a machine like the one that wrote it; `chainrule \
             compress --portable` writes files for every machine"
        }
        _ => "get the file again, or compress the data again",
    }
    .into()
}

/// What to do about an impossible distribution or structure.
fn structure_hint(error: &ProbError) -> String {
    match error {
        ProbError::TooLarge { .. } => {
            "choose a model that looks at less: a lower order, a neighbourhood, or `nade`"
        }
        ProbError::OrderingShape { .. } => {
            "set data.shape = [rows, columns], or choose `raster`, `reverse-raster` or `random`"
        }
        ProbError::PseudoCount(_) => "model.pseudo_count = 1.0 is Laplace's estimate",
        ProbError::NotCausal { .. } | ProbError::Repeated { what: "neighbour", .. } => {
            "list each of model.offsets once, as [row, column]: [0, -1] is the pixel to the left, \
             [-1, 0] the one above"
        }
        ProbError::Cycle(_) | ProbError::NoSuchVariable { .. } | ProbError::Repeated { .. } => {
            "model.parents lists, for each variable, the indices (from 0) of those it depends on"
        }
        _ => "check the [model] table of the config against `chainrule data info`",
    }
    .into()
}

fn io_hint(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "check the spelling of the path",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose a place that you may read and write"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk",
        io::ErrorKind::IsADirectory => "name a file, not a folder",
        io::ErrorKind::InvalidInput => {
            "name a file; what a pipe or a device gives is written to one first"
        }
        io::ErrorKind::FileTooLarge => {
            "name the file that is meant: this one is another, or damaged"
        }
        io::ErrorKind::OutOfMemory => "end other programs, or choose a smaller file",
        io::ErrorKind::NotADirectory => "name a folder, not a file",
        _ => "check the path, and that the disk works",
    }
    .into()
}

/// The word of `known` that was probably meant by `word`.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|known| (distance(word, known), known))
        .filter(|&(distance, known)| distance <= 1 + known.len() / 4)
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein's distance, in characters; long words are not compared.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn the_hint_comes_last_and_causes_are_not_repeated() {
        let source = io::Error::new(io::ErrorKind::NotFound, "gone");
        let error = ar_models::Error::Io { path: "a/b".into(), source };
        let error = anyhow::Error::new(error).context("cannot save the run");
        assert_eq!(
            render(&error, false),
            "error: cannot save the run\n  because: a/b: gone\n\
             hint: check the spelling of the path\n"
        );
        assert_eq!(status_of(&error), ExitStatus::Mistake);
    }

    #[test]
    fn a_hint_survives_context() {
        let error = Err::<(), _>(mistake("no", "say yes")).context("outer").unwrap_err();
        assert!(render(&error, false).ends_with("hint: say yes\n"));
    }

    #[test]
    fn a_broken_pipe_is_success_and_a_bug_is_not_the_users() {
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        let error = anyhow::Error::new(pipe).context("cannot write to stdout");
        assert_eq!(status_of(&error), ExitStatus::Success);
        let error = anyhow::Error::new(Internal("a record"));
        assert_eq!(status_of(&error), ExitStatus::Internal);
        assert!(render(&error, false).contains("please report"));
    }

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["hidden", "ordering", "init_scale"];
        assert_eq!(nearest("hiden", known), Some("hidden"));
        assert_eq!(nearest("initscale", known), Some("init_scale"));
        assert_eq!(nearest("zebra", known), None);
        assert_eq!(nearest(&"x".repeat(1000), known), None);
    }
}
