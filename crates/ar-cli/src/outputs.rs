//! Files that a command writes because somebody named them: what they may not be written over, and how
//! they are written.
//!
//! | `--out` is | what happens |
//! |---|---|
//! | new, or a regular file | it has its name once it is whole ([`ar_models::atomic_file`]); a link is followed |
//! | a device or a pipe | it is written into, and stays what it is |
//! | `-` | standard output; what the command has to say goes to standard error |
//! | a file of a run, a config, or what the command itself reads, in any spelling | an error |

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal as _, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ar_data::{Locations, Spec, builtin};
use ar_models::atomic_file::{AtomicFile, folder_of, target_of};

use crate::config::{Config, DataSource};
use crate::data::pattern::matching;
use crate::error::{Attempt, Mistake, cannot, mistake};
use crate::run_dir::{self, RunDir};

/// A file that an option names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The option.
    pub(crate) option: &'static str,
    /// What it says.
    pub(crate) path: &'a Path,
}

/// The file that `--out` names.
pub(crate) fn out(path: &Path) -> Asked<'_> {
    Asked { option: "--out", path }
}

/// Whether a path stands for standard output.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Whether a path is standard output, a device or a pipe: something to write into, whose name says
/// nothing about a format.
pub(crate) fn is_stream(path: &Path) -> bool {
    let is_special = |metadata: fs::Metadata| !metadata.is_file() && !metadata.is_dir();
    is_stdout(path) || fs::metadata(path).is_ok_and(is_special)
}

/// What a name ends in after its last dot, in lower case.
pub(crate) fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

impl Asked<'_> {
    /// Checks that the name ends in `.{wanted}`, before there is anything to write; a stream may have any.
    ///
    /// # Errors
    /// When it ends in something else.
    pub(crate) fn must_end_in(&self, wanted: &str, hint: &str) -> Result<()> {
        let end = ending(self.path);
        if end == wanted || (end.is_empty() && is_stream(self.path)) {
            return Ok(());
        }
        Err(self.refused(format!("{self}: expected a name ending in .{wanted}"), hint))
    }
}

impl std::fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.option, self.path.display())
    }
}

/// What a command reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    paths: Vec<PathBuf>,
}

impl Inputs {
    /// A run and the data that its config names.
    pub(crate) fn of_run(run: &RunDir, config: &Config, locations: &Locations) -> Self {
        let mut inputs = Self::default();
        inputs.run(run, config, locations);
        inputs
    }

    /// Adds a run and the data that its config names.
    pub(crate) fn run(&mut self, run: &RunDir, config: &Config, locations: &Locations) {
        self.paths.extend(run_dir::FILES.map(|name| run.file(name)));
        self.config(config, locations);
    }

    /// Adds the data that a config names.
    pub(crate) fn config(&mut self, config: &Config, locations: &Locations) {
        match &config.data.source {
            DataSource::Builtin(name) => self.builtin(name, locations),
            DataSource::Files { train, valid, test, .. } => {
                for paths in [Some(train), valid.as_ref(), test.as_ref()].into_iter().flatten() {
                    self.paths.extend_from_slice(paths.all());
                }
                self.paths.extend(config.data.table.labels.iter().flatten().cloned());
            }
        }
    }

    /// Adds the data of a SPEC, if there is one.
    #[must_use]
    pub(crate) fn and_spec(mut self, spec: Option<&str>, locations: &Locations) -> Self {
        match spec.map(str::parse::<Spec>) {
            Some(Ok(Spec::Builtin(builtin))) => self.builtin(builtin.name, locations),
            Some(Ok(Spec::Path(path))) => self.paths.push(path),
            // A pattern; or the name of a split of the run's own data, or a mistake that is found elsewhere.
            Some(Err(_)) | None => {
                let files = spec.and_then(|pattern| matching(Path::new(pattern)));
                self.paths.extend(files.into_iter().flatten());
            }
        }
        self
    }

    /// Adds a file.
    #[must_use]
    pub(crate) fn and(mut self, path: &Path) -> Self {
        self.paths.push(path.to_owned());
        self
    }

    fn builtin(&mut self, name: &str, locations: &Locations) {
        // Files that are not here cannot be written over.
        let files = builtin::find(name).and_then(|builtin| builtin.locate(locations));
        self.paths.extend(files.into_iter().flatten());
    }

    /// The input that writing to `target` would destroy, or change as a folder of images does by one
    /// more.
    fn hit_by(&self, target: &Path) -> Option<&PathBuf> {
        let (file, folder) = (Identity::of(target), Identity::of(folder_of(target)));
        self.paths.iter().find(|path| {
            Identity::of(path).is_some_and(|input| {
                Some(&input) == file.as_ref() || (path.is_dir() && Some(&input) == folder.as_ref())
            })
        })
    }
}

/// What two spellings of one file have in common.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    #[cfg(unix)]
    device_and_inode: (u64, u64),
    #[cfg(not(unix))]
    canonical: PathBuf,
}

impl Identity {
    /// Of what is there.
    fn of(path: &Path) -> Option<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let metadata = fs::metadata(path).ok()?;
            Some(Self { device_and_inode: (metadata.dev(), metadata.ino()) })
        }
        #[cfg(not(unix))]
        {
            Some(Self { canonical: fs::canonicalize(path).ok()? })
        }
    }
}

/// Checks, before anything is computed, that what a command is asked to write can be written and
/// destroys nothing: no input of it, no file of any run, no config.
///
/// # Errors
/// When it would.
pub(crate) fn check(asked: &[Asked<'_>], inputs: &Inputs) -> Result<()> {
    for (k, one) in asked.iter().enumerate() {
        let is_same = |other: &&Asked<'_>| {
            one.path == other.path
                || target_of(one.path).ok() == target_of(other.path).ok()
                || Identity::of(one.path).is_some_and(|id| Some(id) == Identity::of(other.path))
        };
        if let Some(other) = asked[..k].iter().find(is_same) {
            return Err(mistake(
                format!("{} and {} are both {}", other.option, one.option, one.path.display()),
                "choose two names",
            ));
        }
        one.check(inputs)?;
    }
    Ok(())
}

impl Asked<'_> {
    fn check(&self, inputs: &Inputs) -> Result<()> {
        if is_stream(self.path) {
            return Ok(());
        }
        let target =
            target_of(self.path).with_context(|| format!("{self}: cannot follow the link"))?;
        if target.is_dir() {
            return Err(
                self.refused(format!("{self}: a folder, expected a file"), "name a file in it")
            );
        }
        let folder = folder_of(&target);
        if !folder.is_dir() {
            return Err(self.refused(
                format!("{self}: there is no folder {}", folder.display()),
                format!("make it with `mkdir -p {}`, or choose another name", folder.display()),
            ));
        }
        if let Some(name) = run_dir::file_of_run(&target) {
            return Err(self.refused(
                format!("{self}: {name} of the run {} would be written over", folder.display()),
                "choose another name; the run is that file",
            ));
        }
        if ending(&target) == "toml" {
            return Err(self.refused(
                format!("{self}: a config would be written over, {}", target.display()),
                "choose another name",
            ));
        }
        if let Some(input) = inputs.hit_by(&target) {
            let (what, hint) = if input.is_dir() {
                ("would become a part of", "choose a place outside of the folder that is read")
            } else {
                ("would be written over", "choose another name for the output")
            };
            return Err(
                self.refused(format!("{self} {what} {}, which is read", input.display()), hint)
            );
        }
        Ok(())
    }

    /// An error about the name.
    fn refused(&self, message: String, hint: impl Into<String>) -> anyhow::Error {
        Mistake::new(message, hint).in_file(self.path).into()
    }

    /// Starts the file.
    ///
    /// # Errors
    /// When it cannot be made, or opened.
    pub(crate) fn create(self) -> Result<Output> {
        let what = self.attempt();
        let sink = if is_stream(self.path) {
            Sink::Stream(BufWriter::new(self.stream()?))
        } else {
            Sink::File(AtomicFile::create(self.path).with_context(|| what.clone())?)
        };
        Ok(Output { sink, what })
    }

    /// Starts a file that is not written from the front to the end alone. What goes into a stream is
    /// kept on the disk until it is whole.
    ///
    /// # Errors
    /// When it cannot be made, or opened.
    pub(crate) fn create_seekable(self) -> Result<Output> {
        if !is_stream(self.path) {
            return self.create();
        }
        let what = self.attempt();
        let spool = tempfile::tempfile().context("cannot make a temporary file")?;
        let sink = Sink::Spooled { spool: BufWriter::new(spool), into: self.stream()? };
        Ok(Output { sink, what })
    }

    /// Writes the whole file.
    ///
    /// # Errors
    /// When it cannot be written; what was there is then still there.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<()> {
        let mut output = self.create()?;
        output.push(bytes)?;
        output.commit()
    }

    fn stream(self) -> Result<Box<dyn Write + Send>> {
        if is_stdout(self.path) {
            return Ok(Box::new(io::stdout()));
        }
        let file = File::options().write(true).open(self.path).with_context(|| self.attempt())?;
        Ok(Box::new(file))
    }

    /// Refuses to fill a terminal with bytes that are no text.
    ///
    /// # Errors
    /// When standard output is a terminal.
    pub(crate) fn refuse_terminal(&self) -> Result<()> {
        if is_stdout(self.path) && io::stdout().is_terminal() {
            return Err(mistake(
                format!("{self}: standard output is a terminal, and these are no words"),
                "add `> FILE` or `| PROGRAM`, or name a file",
            ));
        }
        Ok(())
    }

    /// What cannot be done, if it cannot.
    fn attempt(&self) -> Attempt {
        cannot("write", self.path).named_by(self.option)
    }
}

/// A file that is being written.
pub(crate) struct Output {
    sink: Sink,
    /// What could not be done, where something fails.
    what: Attempt,
}

enum Sink {
    File(AtomicFile),
    Stream(BufWriter<Box<dyn Write + Send>>),
    Spooled { spool: BufWriter<File>, into: Box<dyn Write + Send> },
}

impl Output {
    /// Adds bytes.
    ///
    /// # Errors
    /// When they cannot be written; the error names the file and what asked for it.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).with_context(|| self.what.clone())
    }

    /// The error of something that could not be done to the file.
    pub(crate) fn failed(&self, error: io::Error) -> anyhow::Error {
        anyhow::Error::new(error).context(self.what.clone())
    }

    /// What is being done, for errors of who takes the file.
    pub(crate) fn what(&self) -> Attempt {
        self.what.clone()
    }

    /// Gives the file its name, or the stream the rest.
    ///
    /// # Errors
    /// When that cannot be done.
    pub(crate) fn commit(self) -> Result<()> {
        let done = match self.sink {
            Sink::File(file) => file.commit(),
            Sink::Stream(mut stream) => stream.flush(),
            Sink::Spooled { spool, mut into } => {
                spool.into_inner().map_err(io::IntoInnerError::into_error).and_then(|mut spool| {
                    spool.seek(SeekFrom::Start(0))?;
                    io::copy(&mut spool, &mut into)?;
                    into.flush()
                })
            }
        };
        done.context(self.what)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::File(file) => file.write(bytes),
            Sink::Stream(stream) => stream.write(bytes),
            Sink::Spooled { spool, .. } => spool.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::File(file) => file.flush(),
            Sink::Stream(stream) => stream.flush(),
            Sink::Spooled { spool, .. } => spool.flush(),
        }
    }
}

impl Seek for Output {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.sink {
            Sink::File(file) => file.seek(to),
            Sink::Stream(_) => Err(io::ErrorKind::NotSeekable.into()),
            Sink::Spooled { spool, .. } => spool.seek(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(asked: &[Asked<'_>], inputs: &Inputs) -> String {
        check(asked, inputs).map_or_else(|error| format!("{error:#}"), |()| String::new())
    }

    #[cfg(unix)]
    #[test]
    fn an_input_is_known_in_every_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("images")).unwrap();
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("a.csv"), "1\n").unwrap();
        std::os::unix::fs::symlink("a.csv", at("link.csv")).unwrap();
        fs::hard_link(at("a.csv"), at("hard.csv")).unwrap();
        let inputs = Inputs::default().and(&at("a.csv")).and(&at("images"));
        for name in ["a.csv", "link.csv", "hard.csv", "sub/../a.csv", "./a.csv"] {
            let message = refused(&[out(&at(name))], &inputs);
            assert!(message.contains("would be written over"), "{name}: {message}");
        }
        let message = refused(&[out(&at("images/new.png"))], &inputs);
        assert!(message.contains("would become a part of"), "{message}");
        assert_eq!(refused(&[out(&at("b.csv"))], &inputs), "");
        assert_eq!(refused(&[out(Path::new("/dev/null"))], &inputs), "");
    }

    #[cfg(unix)]
    #[test]
    fn files_of_runs_and_configs_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("config.toml"), "").unwrap();
        fs::write(at("model.safetensors"), "").unwrap();
        std::os::unix::fs::symlink("model.safetensors", at("scores.csv")).unwrap();
        std::os::unix::fs::symlink("seal.json", at("later.csv")).unwrap();
        for (name, part) in [
            ("model.safetensors", "model.safetensors of the run"),
            ("scores.csv", "model.safetensors of the run"),
            ("later.csv", "seal.json of the run"),
            ("other.toml", "a config would be"),
            ("none/a.csv", "there is no folder"),
            (".", "a folder, expected a file"),
        ] {
            let message = refused(&[out(&at(name))], &Inputs::default());
            assert!(message.contains(part), "{name}: {message}");
        }
        assert_eq!(refused(&[out(&at("samples.csv"))], &Inputs::default()), "");
        let (a, b) = (at("a.npy"), at("./a.npy"));
        let costs = Asked { option: "--per-variable", path: &b };
        assert!(refused(&[out(&a), costs], &Inputs::default()).contains("are both"));
        let stdout = Path::new("-");
        let costs = Asked { option: "--per-variable", path: stdout };
        assert!(refused(&[out(stdout), costs], &Inputs::default()).contains("are both"));
    }

    #[test]
    fn endings_are_those_that_are_written() {
        let of = |name: &str| out(Path::new(name)).must_end_in("chr", "a hint").is_ok();
        assert!(of("a.chr") && of("A.CHR") && of("-"));
        assert!(!of("model.safetensors") && !of("chr") && !of("a.chr.toml"));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_written_into_and_stays_a_pipe() {
        use std::os::unix::fs::FileTypeExt as _;
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe.npy");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        let mut output = out(&pipe).create_seekable().unwrap();
        output.push(b"head tail").unwrap();
        output.seek(SeekFrom::Start(0)).unwrap();
        output.push(b"HEAD").unwrap();
        output.commit().unwrap();
        assert_eq!(reader.join().unwrap(), b"HEAD tail");
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
