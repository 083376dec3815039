//! How a command that fails says so: in words on stderr, and with `--json` as one object on stdout too.
//!
//! ```text
//! {"version":1,"command":"train","error":{"kind":"config","message":"c.toml:9: unknown key …",
//!  "file":"c.toml","place":"line 9","hint":"did you mean `hidden`?"}}      (one line)
//! ```

use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;
use std::panic::PanicHookInfo;

use serde::Serialize;

use crate::args;
use crate::error::{Account, ErrorKind, ExitStatus, REPORT, account_of, causes, render, status_of};
use crate::output::{RECORD_VERSION, color_stderr, print};

/// What is asked of the program, as far as it can be told from a line that may make no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Whether there is a `--json` anywhere.
    json: bool,
    /// Whether standard output is a file, `--out -`: then the object goes to standard error.
    takes_stdout: bool,
    /// `train`, `data list`, …
    command: Option<String>,
}

impl Asked {
    /// What the arguments ask for, the name of the program first.
    pub(crate) fn of(line: &[OsString]) -> Self {
        let definition = args::definition();
        let mut command = &definition;
        let mut names = Vec::new();
        // Behind `--` there are no flags.
        let line: Vec<&OsString> = line.iter().skip(1).take_while(|word| *word != "--").collect();
        let mut words = line.iter();
        while let Some(word) = words.next().filter(|_| command.has_subcommands()) {
            let text = word.to_string_lossy();
            if let Some(found) = command.find_subcommand(word) {
                names.push(found.get_name());
                command = found;
            } else if definition.get_arguments().any(|arg| takes_next(arg, &text)) {
                words.next();
            } else if !text.starts_with('-') {
                break;
            }
        }
        Self {
            json: line.iter().any(|word| **word == "--json"),
            takes_stdout: line.iter().any(|word| **word == "-" || **word == "--out=-"),
            command: (!names.is_empty()).then(|| names.join(" ")),
        }
    }
}

/// Whether `word` is an option whose value is the next word.
fn takes_next(arg: &clap::Arg, word: &str) -> bool {
    arg.get_action().takes_values() && arg.get_long() == word.strip_prefix("--")
}

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    status: ExitStatus,
    /// As they stand on stderr.
    words: String,
    /// What went wrong.
    pub(crate) refused: Refused,
}

/// What is printed on stdout.
#[derive(Debug, Serialize)]
struct Record<'a> {
    version: u32,
    /// `null` where the line names none.
    command: Option<&'a str>,
    error: &'a Refused,
}

/// An error as `chainrule --json` states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// `usage`, `config`, `data`, `model`, `run`, `io`, `machine` or `internal`.
    pub kind: &'static str,
    /// The error and its causes, in one line.
    pub message: String,
    /// The file at fault; `None` where it is none, or not known.
    pub file: Option<String>,
    /// The place in it, such as `line 2, column 3`, or the `--set KEY` at fault; `None` where it is none.
    pub place: Option<String>,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nhint: {}", self.message, self.hint)
    }
}

impl From<&anyhow::Error> for Failure {
    fn from(error: &anyhow::Error) -> Self {
        let Account { kind, hint, file, place } = account_of(error);
        let message = in_one_line(&causes(error).join(": "));
        let file = file.map(|file| file.display().to_string());
        Self {
            status: status_of(error),
            words: render(error, color_stderr()),
            refused: Refused { kind: kind.name(), message, file, place, hint },
        }
    }
}

/// What to do about a line that clap refuses and has no tip for.
const HELP: &str = "add --help to the command";

/// What to do about a line without a command.
const NAME_ONE: &str = "name a command; --help lists them";

impl From<&clap::Error> for Failure {
    fn from(error: &clap::Error) -> Self {
        use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand as NoCommand;
        let styled = error.render();
        let plain = styled.to_string();
        let words = if color_stderr() { styled.ansi().to_string() } else { plain.clone() };
        let words = words.split("For more information, try").next().unwrap_or_default();
        let tips: Vec<&str> =
            plain.lines().filter_map(|line| line.trim().strip_prefix("tip: ")).collect();
        // Help alone, or a message, tips and the usage, with empty lines between them.
        let (message, advice) = match error.kind() {
            NoCommand => ("no command, expected one", NAME_ONE),
            _ => (plain.split("\n\n").next().unwrap_or_default(), HELP),
        };
        let hint = if tips.is_empty() { advice.to_owned() } else { tips.join("; ") };
        Self {
            status: ExitStatus::Mistake,
            words: format!("{}\n\nhint: {advice}\n", words.trim_end()),
            refused: Refused {
                kind: ErrorKind::Usage.name(),
                message: in_one_line(message.trim_start_matches("error: ")),
                file: None,
                place: None,
                hint,
            },
        }
    }
}

impl From<&PanicHookInfo<'_>> for Failure {
    fn from(info: &PanicHookInfo<'_>) -> Self {
        let place = info.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
        let message = info.payload_as_str().unwrap_or("no reason given");
        let message = format!("internal error: {message}{}", place.unwrap_or_default());
        Self {
            status: ExitStatus::Internal,
            words: format!("error: {message}\nhint: {REPORT}\n"),
            refused: Refused {
                kind: ErrorKind::Internal.name(),
                message: in_one_line(&message),
                file: None,
                place: None,
                hint: REPORT.to_owned(),
            },
        }
    }
}

impl Failure {
    /// Says it, unless it is none: a reader that has seen enough is told nothing more.
    pub(crate) fn say(&self, asked: &Asked) -> ExitStatus {
        if self.status != ExitStatus::Success {
            // Nothing can be done about a stdout or stderr that is gone.
            if asked.json && asked.takes_stdout {
                let _ = std::io::stderr().write_all(self.record(asked).as_bytes());
            } else if asked.json {
                let _ = print(self.record(asked).as_bytes());
            }
            let _ = std::io::stderr().write_all(self.words.as_bytes());
        }
        self.status
    }

    /// The line for stdout.
    fn record(&self, asked: &Asked) -> String {
        let command = asked.command.as_deref();
        let record = Record { version: RECORD_VERSION, command, error: &self.refused };
        // Strings and numbers alone are always JSON.
        serde_json::to_string(&record).map_or_else(|_| String::new(), |text| text + "\n")
    }
}

/// A text of several lines as one.
fn in_one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::error::{Internal, Mistake};

    fn asked(line: &str) -> Asked {
        Asked::of(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    fn record(failure: &Failure, line: &str) -> Value {
        let text = failure.record(&asked(line));
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_line_that_makes_no_sense_still_tells_the_command() {
        for (line, json, command) in [
            ("chainrule train c.toml", false, Some("train")),
            (
                "chainrule --json --threads 2 --data-dir eval sample run --counts 3",
                true,
                Some("sample"),
            ),
            ("chainrule --threads=x data export digits --out --json", true, Some("data export")),
            ("chainrule data lists --json", true, Some("data")),
            ("chainrule trains train --json", true, None),
            ("chainrule --json", true, None),
            ("chainrule eval -- --json", false, Some("eval")),
            ("chainrule", false, None),
        ] {
            let command = command.map(str::to_owned);
            let takes_stdout = line.contains("--out -") && !line.contains("--out --");
            assert_eq!(asked(line), Asked { json, takes_stdout, command }, "{line}");
        }
        assert!(asked("chainrule score run --json --out -").takes_stdout);
        let nothing = Asked { json: false, takes_stdout: false, command: None };
        assert_eq!(Asked::of(&[]), nothing);
    }

    #[test]
    fn an_error_is_one_object_with_what_is_known_of_it() {
        let mistake = Mistake::new("c.toml:9: no\nsuch key", "spell it")
            .of(ErrorKind::Config)
            .in_file("c.toml");
        let error = anyhow::Error::from(mistake.at("line 9")).context("cannot train");
        assert_eq!(
            record(&Failure::from(&error), "chainrule train c.toml --json"),
            json!({
                "version": 1,
                "command": "train",
                "error": {
                    "kind": "config",
                    "message": "cannot train: c.toml:9: no such key",
                    "file": "c.toml",
                    "place": "line 9",
                    "hint": "spell it",
                },
            })
        );
        let bug = Failure::from(&anyhow::Error::new(Internal("a record is no JSON")));
        let found = record(&bug, "chainrule --json");
        assert_eq!((&found["command"], &found["error"]["file"]), (&Value::Null, &Value::Null));
        assert_eq!(found["error"]["kind"], "internal");
        assert_eq!(bug.status, ExitStatus::Internal);
    }

    #[test]
    fn a_panic_is_an_error_of_ours() {
        use std::sync::mpsc::sync_channel;
        use std::{panic, thread};
        // The hook is the whole process's: those of other tests go on to the one before.
        let (told, heard) = sync_channel(1);
        let before = std::sync::Arc::new(panic::take_hook());
        let otherwise = before.clone();
        panic::set_hook(Box::new(move |info| {
            if info.payload_as_str() == Some("a shape\nis wrong") {
                let _ = told.send(Failure::from(info));
            } else {
                otherwise(info);
            }
        }));
        let _ = thread::spawn(|| panic!("a shape\nis wrong")).join();
        let failure = heard.recv().unwrap();
        panic::set_hook(Box::new(move |info| before(info)));
        assert_eq!(failure.status, ExitStatus::Internal);
        let found = record(&failure, "chainrule --json eval run");
        let message = found["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("internal error: a shape is wrong ("), "{message}");
        assert_eq!(
            (&found["command"], &found["error"]["kind"]),
            (&json!("eval"), &json!("internal"))
        );
        assert!(found["error"]["hint"].as_str().unwrap().contains("please report"), "{found}");
        assert!(failure.words.ends_with(&format!("hint: {REPORT}\n")));
    }

    #[test]
    fn what_clap_refuses_is_one_line_and_its_tip_the_hint() {
        let refused = |line: &str| {
            let error = args::definition().try_get_matches_from(line.split(' ')).unwrap_err();
            let found = record(&Failure::from(&error), line);
            let text = |key: &str| found["error"][key].as_str().unwrap().to_owned();
            assert_eq!(text("kind"), "usage", "{line}");
            [text("message"), text("hint")]
        };
        for (line, message, hint) in [
            (
                "chainrule sample run --seed -1",
                "invalid value '-1' for '--seed <S>': expected a whole number from 0 to \
                 18446744073709551615",
                HELP,
            ),
            (
                "chainrule train",
                "the following required arguments were not provided: <CONFIG.toml|FILE>",
                HELP,
            ),
            (
                "chainrule trains x",
                "unrecognized subcommand 'trains'",
                "a similar subcommand exists: 'train'",
            ),
            (
                "chainrule score run --bad-rows ignore",
                "invalid value 'ignore' for '--bad-rows <report|stop>' [possible values: report, \
                 stop]",
                HELP,
            ),
            ("chainrule", "no command, expected one", NAME_ONE),
        ] {
            assert_eq!(refused(line), [message, hint], "{line}");
        }
    }
}
