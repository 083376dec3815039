//! Exit codes, and errors that end in advice.

use std::fmt::{self, Display, Write as _};
use std::io;
use std::path::{Path, PathBuf};

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

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The command line.
    Usage,
    /// A config or a `--set`.
    Config,
    /// Data that is missing, malformed, or not what the run or the model takes.
    Data,
    /// A model that cannot be, or that leaves the finite numbers in training.
    Model,
    /// A run directory: not there, not trained, damaged, or not one that can do what is asked.
    Run,
    /// The operating system, which refused to read or write.
    Io,
    /// A device, threads or a network that is not to be had.
    Machine,
    /// This program.
    Internal,
}

impl ErrorKind {
    /// As records call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Config => "config",
            Self::Data => "data",
            Self::Model => "model",
            Self::Run => "run",
            Self::Io => "io",
            Self::Machine => "machine",
            Self::Internal => "internal",
        }
    }
}

/// What is wrong with the user's input, and what to do about it.
#[derive(Debug)]
pub(crate) struct Mistake {
    kind: ErrorKind,
    message: String,
    hint: String,
    file: Option<PathBuf>,
    place: Option<String>,
}

impl Mistake {
    /// A mistake on the command line, unless [`of`](Self::of) says otherwise.
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        let (message, hint) = (message.into(), hint.into());
        Self { kind: ErrorKind::Usage, message, hint, file: None, place: None }
    }

    /// The same, about something else.
    pub(crate) fn of(self, kind: ErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// The same, in a file that the message names.
    pub(crate) fn in_file(self, file: impl Into<PathBuf>) -> Self {
        Self { file: Some(file.into()), ..self }
    }

    /// The same, at a place that the message names: `line 9`.
    pub(crate) fn at(self, place: impl Display) -> Self {
        Self { place: Some(place.to_string()), ..self }
    }
}

impl Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

/// An error with advice of its own, about the command line; a [`Mistake`] can say more.
pub(crate) fn mistake(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    Mistake::new(message, hint).into()
}

/// An error about data, with advice of its own.
pub(crate) fn data_mistake(error: &ar_data::Error, hint: impl Into<String>) -> anyhow::Error {
    Mistake {
        file: error.file().map(Path::to_owned),
        place: error.place().map(|place| place.to_string()),
        ..Mistake::new(error.to_string(), hint).of(data_kind(error))
    }
    .into()
}

/// What was attempted with a file: context that knows which.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    action: &'static str,
    file: PathBuf,
    /// The option that named it.
    option: Option<&'static str>,
}

impl Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.option {
            Some(option) if self.file == Path::new("-") => {
                write!(f, "cannot {} to standard output ({option} -)", self.action)
            }
            Some(option) => {
                write!(f, "cannot {} {} ({option})", self.action, self.file.display())
            }
            None => write!(f, "cannot {} {}", self.action, self.file.display()),
        }
    }
}

/// `cannot read FILE`, or whatever else was attempted, as the context of the reason.
pub(crate) fn cannot(action: &'static str, file: &Path) -> Attempt {
    Attempt { action, file: file.to_owned(), option: None }
}

impl Attempt {
    /// The same, with a file that an option named.
    pub(crate) fn named_by(self, option: &'static str) -> Self {
        Self { option: Some(option), ..self }
    }
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
    let mut text = format!("{red}error:{plain} {}", causes(error).join("\n  because: "));
    let _ = write!(text, "\n{cyan}hint:{plain} {}\n", account_of(error).hint);
    text
}

/// What the error and its causes say, the outermost first.
pub(crate) fn causes(error: &anyhow::Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        // Some libraries repeat their source in their own message.
        if causes.last().is_none_or(|last| !last.ends_with(&cause)) {
            causes.push(cause);
        }
    }
    causes
}

/// What is known of an error besides its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// What it is about.
    pub(crate) kind: ErrorKind,
    /// What to do about it: the advice that it carries, or what its kind suggests.
    pub(crate) hint: String,
    /// The file that it is in.
    pub(crate) file: Option<PathBuf>,
    /// The place in the file, or the `--set` that is at fault.
    pub(crate) place: Option<String>,
}

impl Account {
    fn of(kind: ErrorKind, hint: impl Into<String>) -> Self {
        Self { kind, hint: hint.into(), file: None, place: None }
    }
}

/// What is known of an error: from its own type, and the file also from what was attempted.
pub(crate) fn account_of(error: &anyhow::Error) -> Account {
    let mut account = if error.downcast_ref::<Internal>().is_some() {
        Account::of(ErrorKind::Internal, REPORT)
    } else if let Some(mistake) = error.downcast_ref::<Mistake>() {
        let Mistake { kind, hint, file, place, message: _ } = mistake;
        Account { file: file.clone(), place: place.clone(), ..Account::of(*kind, hint.clone()) }
    } else if let Some(error) = error.downcast_ref::<ar_data::Error>() {
        Account {
            file: error.file().map(Path::to_owned),
            place: error.place().map(|place| place.to_string()),
            ..Account::of(data_kind(error), data_hint(error))
        }
    } else if let Some(error) = error.downcast_ref::<ar_models::Error>() {
        let file = match error {
            ar_models::Error::Io { path, .. } => Some(path.clone()),
            _ => None,
        };
        Account { file, ..Account::of(model_kind(error), model_hint(error)) }
    } else if let Some(error) = error.downcast_ref::<ProbError>() {
        Account::of(ErrorKind::Model, structure_hint(error))
    } else if let Some(error) = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()) {
        Account::of(ErrorKind::Io, io_hint(error))
    } else {
        Account::of(ErrorKind::Machine, "run `chainrule help` for what each command takes")
    };
    if account.file.is_none() {
        account.file = error.downcast_ref::<Attempt>().map(|attempt| attempt.file.clone());
    }
    account
}

fn data_kind(error: &ar_data::Error) -> ErrorKind {
    match error {
        ar_data::Error::Io { .. } => ErrorKind::Io,
        ar_data::Error::Fetch { .. } => ErrorKind::Machine,
        _ => ErrorKind::Data,
    }
}

fn model_kind(error: &ar_models::Error) -> ErrorKind {
    use ar_models::Error;
    match error {
        Error::Config { .. } | Error::Mismatch { .. } => ErrorKind::Config,
        Error::Constant { .. } | Error::Empty(_) | Error::Labels { .. } | Error::Compressed(_) => {
            ErrorKind::Data
        }
        Error::Stored(_) | Error::OtherRun { .. } => ErrorKind::Run,
        Error::Io { .. } => ErrorKind::Io,
        _ => ErrorKind::Model,
    }
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
            "set data.binarize = \"threshold\", or model.kind = \"nade\", which describes levels as they \
             are"
                .into()
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
            "set model.kind = \"rnade\", or bin the values into at most 256 symbols first; grey levels that were scaled to 0 to 1 are \
             symbols again as np.rint(255 * array).astype(np.uint8)"
                .into()
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
        Fault::Version { .. } => {
            "name the run that it was compressed with: a table has another format than symbols; or decompress it with \
             the version of the program that wrote it"
        }
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
    fn what_a_mistake_knows_survives_context() {
        let plain = Err::<(), _>(mistake("no", "say yes")).context("outer").unwrap_err();
        assert_eq!(account_of(&plain), Account::of(ErrorKind::Usage, "say yes"));
        let error: anyhow::Error = Mistake::new("no", "say yes")
            .of(ErrorKind::Config)
            .in_file("c.toml")
            .at("line 3")
            .into();
        let account = account_of(&error.context("outer"));
        let expected = Account {
            file: Some("c.toml".into()),
            place: Some("line 3".into()),
            ..Account::of(ErrorKind::Config, "say yes")
        };
        assert_eq!(account, expected);
    }

    #[test]
    fn the_file_of_an_error_is_that_of_its_type_or_of_what_was_attempted() {
        let gone = || io::Error::new(io::ErrorKind::NotFound, "gone");
        let of_type = ar_models::Error::Io { path: "a/b".into(), source: gone() };
        let of_type = anyhow::Error::new(of_type).context(cannot("read", Path::new("c")));
        let attempted = anyhow::Error::new(gone()).context(cannot("read", Path::new("c")));
        let nameless = anyhow::Error::new(gone()).context("cannot write to stdout");
        for (error, file) in [(of_type, Some("a/b")), (attempted, Some("c")), (nameless, None)] {
            let account = account_of(&error);
            assert_eq!((account.kind, account.file), (ErrorKind::Io, file.map(PathBuf::from)));
        }
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
