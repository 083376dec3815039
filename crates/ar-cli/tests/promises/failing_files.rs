//! The program on a file system that fails: see `failing_files.c`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::Place;

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// It fails once.
    Error,
    /// It and all later ones fail that need space.
    Full,
    /// The process dies before it, or in the middle of a write.
    Kill,
    /// Removing a file takes a minute.
    Slow,
}

impl How {
    pub(crate) const FATAL: [Self; 3] = [Self::Error, Self::Full, Self::Kill];

    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Full => "full",
            Self::Kill => "kill",
            Self::Slow => "slow",
        }
    }
}

/// The library that is preloaded.
pub(crate) struct FailingFiles {
    folder: tempfile::TempDir,
}

impl FailingFiles {
    /// Compiles it; `None` where that cannot be done, which is said.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    pub(crate) fn new() -> Option<Self> {
        let this = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promises/failing_files.c");
        let compiled = cfg!(target_os = "linux")
            && Command::new("cc")
                .args(["-shared", "-fPIC", "-O1", "-o"])
                .args([&this.library(), &source])
                .arg("-ldl")
                .status()
                .is_ok_and(|status| status.success());
        if !compiled {
            eprintln!("skipped: needs Linux and a C compiler to make a file system that fails");
        }
        compiled.then_some(this)
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("failing_files.so")
    }

    /// Runs the program in a folder; operation `at` (from 1; 0 for none) on files in it goes wrong.
    pub(crate) fn run(&self, place: &Place, arguments: &[&str], at: u64, how: How) -> Output {
        self.command(place, arguments, at, how).output().expect("the program starts")
    }

    /// How many operations on files a command makes that goes well.
    pub(crate) fn count(&self, place: &Place, arguments: &[&str]) -> u64 {
        let count = self.folder.path().join("count");
        let mut command = self.command(place, arguments, 0, How::Error);
        let output = command.env("FAULT_COUNT", &count).output().expect("the program starts");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let text = fs::read_to_string(&count).expect("the library counts");
        text.trim().parse().expect("a number")
    }

    /// The command that [`run`](Self::run) runs.
    pub(crate) fn command(&self, place: &Place, arguments: &[&str], at: u64, how: How) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("chainrule"));
        command
            .current_dir(place.path(""))
            .args(arguments)
            .args(["--json", "--quiet", "--threads", "1"])
            .env_remove("CHAINRULE_DATA")
            .env("LD_PRELOAD", self.library())
            .env("FAULT_FOLDER", place.path("").canonicalize().expect("the folder is there"))
            .env("FAULT_AT", at.to_string())
            .env("FAULT_HOW", how.name());
        command
    }
}
