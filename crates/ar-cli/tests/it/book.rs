//! README.md and the book in `docs/src`: every command block is run, in the order of its page, in a folder of its own.
//!
//! Of a block of ```` ```console ````, lines that begin with `$ ` are commands (`> ` goes on), and the others are what they
//! print: all of standard output, and as much of standard error as the page shows. A line `…` stands for any lines.
//! Of a block of ```` ```sh ```` every line is a command that has to succeed; those of `cargo` and `python` are left to
//! `cargo xtask check --only tidy`. A comment before a block says what it needs:
//!
//! | Comment | The block |
//! |---|---|
//! | `<!-- file: NAME -->` | is the content of that file, for the commands below it |
//! | `<!-- data: NAME … -->` | runs where the folder `CHAINRULE_DATA` has these sets, or files in its `tables/` |
//! | `<!-- long -->` | runs with `CHAINRULE_BOOK=long`, since it takes minutes; may stand beside `data:` |
//! | `<!-- not run: WHY -->` | is not run |
//!
//! Times and speeds are not compared, nor after how many epochs a training ended. Other numbers that a trained model is
//! behind may differ by 2 %, since another processor rounds otherwise. `CHAINRULE_BOOK=overwrite` writes what was printed into
//! the page where it is something else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A page, and the test that runs it.
macro_rules! pages {
    ($($test:ident: $page:literal),* $(,)?) => {
        const PAGES: &[&str] = &[$($page),*];
        $(#[test] fn $test() { Page::read($page).run(); })*
    };
}

pages! {
    readme: "README.md",
    backends: "docs/src/backends.md",
    classify: "docs/src/classify.md",
    commands: "docs/src/commands.md",
    compare: "docs/src/compare.md",
    complete: "docs/src/complete.md",
    compress: "docs/src/compress.md",
    features: "docs/src/features.md",
    images: "docs/src/images.md",
    lecture: "docs/src/lecture.md",
    real_numbers: "docs/src/real-numbers.md",
    records: "docs/src/records.md",
    reproduce: "docs/src/reproduce.md",
    scale: "docs/src/scale.md",
    score_images: "docs/src/score-images.md",
    score: "docs/src/score.md",
    serve: "docs/src/serve.md",
    table_models: "docs/src/table-models.md",
    tables: "docs/src/tables.md",
}

/// Pages whose blocks are those of another one, in another language.
const TRANSLATIONS: &[[&str; 2]] =
    &[["README.md", "README.ko.md"], ["docs/src/lecture.md", "docs/src/ko/lecture.md"]];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// README.md and all pages of the book, relative to the root.
fn all_pages() -> BTreeSet<String> {
    fn below(folder: &Path, pages: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => below(&path, pages),
                Some(end) if end == "md" => pages.push(path),
                _ => {}
            }
        }
    }
    let root = root();
    let mut pages = Vec::new();
    below(&root.join("docs"), &mut pages);
    for entry in fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "md") {
            pages.push(path);
        }
    }
    let relative =
        |path: PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
    pages.into_iter().map(relative).collect()
}

/// A fenced block.
struct Block {
    /// The first word behind the fence.
    language: String,
    /// What the comment before it says.
    comment: Option<String>,
    /// The index of its first line, behind the fence.
    start: usize,
    lines: Vec<String>,
}

struct Page {
    name: String,
    lines: Vec<String>,
    blocks: Vec<Block>,
}

impl Page {
    fn read(name: &str) -> Self {
        let text = fs::read_to_string(root().join(name)).unwrap();
        Self::parse(name, &text)
    }

    fn parse(name: &str, text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut blocks: Vec<Block> = Vec::new();
        let mut open: Option<(String, Block)> = None;
        let mut comment = None;
        for (i, line) in lines.iter().enumerate() {
            let trimmed = line.trim_start();
            let ticks = trimmed.len() - trimmed.trim_start_matches('`').len();
            if let Some((fence, block)) = &mut open {
                if trimmed == fence.as_str() {
                    blocks.extend(open.take().map(|(_, block)| block));
                } else {
                    block.lines.push(line.clone());
                }
            } else if ticks >= 3 {
                let language = trimmed[ticks..].split(',').next().unwrap_or("").trim().to_owned();
                let comment = comment.take();
                let block = Block { language, comment, start: i + 1, lines: Vec::new() };
                open = Some(("`".repeat(ticks), block));
            } else if let Some(said) = trimmed.strip_prefix("<!-- ") {
                comment = said.strip_suffix(" -->").map(str::to_owned);
            } else if !trimmed.is_empty() {
                comment = None;
            }
        }
        assert!(open.is_none(), "{name}: a block has no end");
        Self { name: name.to_owned(), lines, blocks }
    }

    /// Runs its blocks, and compares.
    fn run(mut self) {
        let settings = std::env::var("CHAINRULE_BOOK").unwrap_or_default();
        let folder = tempfile::tempdir().unwrap();
        let session = Session::new(folder.path());
        let mut wrong = Vec::new();
        let mut replaced: Vec<(usize, usize, Vec<String>)> = Vec::new();
        for block in &self.blocks {
            let place = format!("{}:{}", self.name, block.start);
            let mut run = true;
            match block.comment.as_deref().map(|c| c.split_once(": ").unwrap_or((c, ""))) {
                Some(("file", name)) => {
                    // A reader does not see the comment.
                    let is_said = self.lines[..block.start].iter().any(|line| {
                        !line.starts_with("<!-- ") && line.contains(&format!("`{name}`"))
                    });
                    assert!(is_said, "{place}: the page does not say that this is `{name}`");
                    fs::write(folder.path().join(name), block.lines.join("\n") + "\n").unwrap();
                    run = false;
                }
                Some(("not run", why)) => {
                    assert!(!why.is_empty(), "{place}: a reason is missing");
                    run = false;
                }
                Some(("data", names)) => run = session.has_data(names, &place),
                Some(("long", "")) => run = settings.contains("long"),
                Some(("long data", names)) => {
                    run = settings.contains("long") && session.has_data(names, &place);
                }
                _ => {}
            }
            if !run {
                wrong.extend(session.misspelt(block).map(|said| format!("{place}: {said}")));
                continue;
            }
            match block.language.as_str() {
                "sh" => {
                    for command in commands_of_sh(&block.lines) {
                        let output = session.run(&command);
                        if !output.status.success() {
                            wrong.push(format!("{place}: `{command}`: {}", words(&output.stderr)));
                        }
                    }
                }
                "console" => {
                    for Said { command, from, to } in commands_of_console(&block.lines) {
                        let output = session.run(&command);
                        let expected = &block.lines[from..to];
                        let printed = Printed::of(&output, folder.path());
                        if let Err(difference) = printed.compare(expected, is_exact(&command)) {
                            wrong.push(format!("{place}: `{command}`: {difference}"));
                            let [from, to] = [from, to].map(|at| block.start + at);
                            replaced.push((from, to, printed.all()));
                        }
                    }
                }
                _ => {}
            }
        }
        if settings.contains("overwrite") {
            for (from, to, lines) in replaced.into_iter().rev() {
                self.lines.splice(from..to, lines);
            }
            fs::write(root().join(&self.name), self.lines.join("\n") + "\n").unwrap();
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }
}

/// The commands of a block of `sh` that are ours to run, without comments.
fn commands_of_sh(lines: &[String]) -> Vec<String> {
    let joined = lines.join("\n").replace("\\\n", " ");
    joined
        .lines()
        .map(|line| line.split_once("  #").map_or(line, |(command, _)| command).trim())
        .filter(|line| line.starts_with("chainrule "))
        .map(str::to_owned)
        .collect()
}

/// A command, and between which lines of its block stands what it prints.
struct Said {
    command: String,
    from: usize,
    to: usize,
}

fn commands_of_console(lines: &[String]) -> Vec<Said> {
    let mut all: Vec<Said> = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            if let Some(last) = all.last_mut() {
                last.to = i;
            }
            all.push(Said { command: command.to_owned(), from: i + 1, to: lines.len() });
        } else if let (Some(more), Some(last)) = (line.strip_prefix("> "), all.last_mut())
            && last.from == i
        {
            last.command.push('\n');
            last.command.push_str(more);
            last.from = i + 1;
        }
    }
    all
}

/// Whether a command prints the same on every machine.
fn is_exact(command: &str) -> bool {
    ["chainrule count", "chainrule data", "chainrule init"].iter().any(|c| command.starts_with(c))
}

/// Where the commands of a page run.
struct Session<'a> {
    folder: &'a Path,
    path: std::ffi::OsString,
}

impl<'a> Session<'a> {
    fn new(folder: &'a Path) -> Self {
        std::os::unix::fs::symlink(root().join("configs"), folder.join("configs")).unwrap();
        let program = PathBuf::from(assert_cmd::cargo::cargo_bin!("chainrule"));
        let mut path = vec![program.parent().unwrap().to_path_buf()];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        Self { folder, path: std::env::join_paths(path).unwrap() }
    }

    fn run(&self, command: &str) -> Output {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(self.folder).env("PATH", &self.path);
        shell.env("COLUMNS", "100").env("NO_COLOR", "1").output().unwrap()
    }

    /// Commands of a block which is not run that the program would not take.
    fn misspelt<'b>(&'b self, block: &'b Block) -> impl Iterator<Item = String> + 'b {
        let is_shell = ["sh", "console"].contains(&block.language.as_str());
        let lines = block.lines.iter().filter(move |_| is_shell);
        let commands = lines.filter_map(|line| {
            let line = line.trim_start_matches(['$', '>', ' ']);
            let line = line.split("  #").next().unwrap_or(line).trim_end_matches('\\');
            let end = [" | ", " > ", " && ", ";"].iter().filter_map(|cut| line.find(cut)).min();
            line.starts_with("chainrule ").then(|| &line[..end.unwrap_or(line.len())])
        });
        commands.filter_map(|command| {
            // clap sees a flag or a value at fault before it comes to --help.
            let output = self.run(&format!("{command} --help"));
            (!output.status.success()).then(|| format!("`{command}`: {}", words(&output.stderr)))
        })
    }

    /// Whether the data is there; tables are linked to where the commands look for them.
    #[expect(clippy::print_stderr, reason = "a test that does not run says so")]
    fn has_data(&self, names: &str, place: &str) -> bool {
        let there = std::env::var_os("CHAINRULE_DATA").map(PathBuf::from);
        names.split_whitespace().all(|name| {
            let found = there.as_ref().and_then(|folder| {
                let table = folder.join("tables").join(name);
                [table, folder.join(name), folder.join("binary").join(name)]
                    .into_iter()
                    .find(|path| path.exists())
            });
            match &found {
                None => eprintln!("{place}: not run: CHAINRULE_DATA names no folder with {name}"),
                Some(path) if path.is_file() => {
                    let _ = std::os::unix::fs::symlink(path, self.folder.join(name));
                }
                Some(_) => {}
            }
            found.is_some()
        })
    }
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// What a command printed.
struct Printed {
    out: Vec<String>,
    err: Vec<String>,
    code: Option<i32>,
}

impl Printed {
    fn of(output: &Output, folder: &Path) -> Self {
        // Absolute paths are written `…/name` in the pages.
        let folder = folder.canonicalize().unwrap();
        let lines = |bytes: &[u8]| {
            let text = words(bytes).replace(folder.to_str().unwrap(), "…");
            text.lines().map(|line| line.trim_end().to_owned()).collect()
        };
        Self { out: lines(&output.stdout), err: lines(&output.stderr), code: output.status.code() }
    }

    /// What a page is to show: standard output, or the error.
    fn all(&self) -> Vec<String> {
        let errors = self.err.iter().filter(|_| self.code != Some(0));
        self.out.iter().chain(errors).cloned().collect()
    }

    /// Whether a page shows this.
    fn compare(&self, expected: &[String], exact: bool) -> Result<(), String> {
        let fails = expected.iter().any(|line| line.starts_with("error: "));
        if self.code != Some(i32::from(fails)) {
            return Err(format!("exit code {:?}: {}", self.code, self.err.join("\n")));
        }
        let mut out = self.out.iter().filter(|line| !line.is_empty()).peekable();
        let mut err = self.err.iter();
        let mut skips = false;
        for line in expected.iter().filter(|line| !line.is_empty()) {
            if line.trim() == "…" {
                skips = true;
                continue;
            }
            while skips && out.peek().is_some_and(|next| !alike(line, next, exact)) {
                out.next();
            }
            if out.peek().is_some_and(|next| alike(line, next, exact)) {
                out.next();
                skips = false;
            } else if !err.any(|said| alike(line, said, exact)) {
                let next = out.peek().map_or("nothing", |line| line.as_str());
                return Err(format!("the page says\n  {line}\nand printed was\n  {next}"));
            }
        }
        match out.next() {
            Some(line) if !skips => Err(format!("the page does not say\n  {line}")),
            _ => Ok(()),
        }
    }
}

/// A part of a line.
#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    Number(f64),
    /// A time, a speed, or a number of epochs.
    Elided,
}

/// Whether two lines say the same, times and speeds aside.
fn alike(page: &str, printed: &str, exact: bool) -> bool {
    if page == printed {
        return true;
    }
    let (page, printed) = (parts(page), parts(printed));
    let near = |a: f64, b: f64| match exact {
        true => a == b,
        false => (a - b).abs() <= 0.02 * a.abs().max(b.abs()) + 0.02,
    };
    page.len() == printed.len()
        && page.iter().zip(&printed).all(|pair| match pair {
            (Part::Number(a), Part::Number(b)) => near(*a, *b),
            (a, b) => a == b,
        })
}

fn parts(line: &str) -> Vec<Part> {
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut parts = Vec::new();
    let mut rest = line.as_str();
    let mut text = String::new();
    while let Some(first) = rest.chars().next() {
        let digits = rest.trim_start_matches('-');
        let is_word = text.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        if is_word
            || !digits.starts_with(|c: char| c.is_ascii_digit())
            || rest.len() > digits.len() + 1
        {
            text.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (number, after) = number(rest);
        let unit = |units: &[&str]| {
            units.iter().find_map(|unit| {
                let after = after.strip_prefix(unit)?;
                after.chars().next().is_none_or(|c| !c.is_alphanumeric()).then_some(after)
            })
        };
        let elided = unit(&[" ms", " s", " min", " h", " µs", " events/s", " rows/s", " epochs"]);
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        let best =
            matches!(parts.last(), Some(Part::Text(text)) if text.ends_with("the best was "));
        rest = elided.unwrap_or(after);
        if elided.is_none() && !best {
            parts.push(Part::Number(number));
        } else if let [.., Part::Elided, Part::Text(space)] = &parts[..]
            && space == " "
        {
            // `3 min 23 s` is one time.
            parts.pop();
        } else {
            parts.push(Part::Elided);
        }
    }
    parts.extend((!text.is_empty()).then_some(Part::Text(text)));
    parts
}

/// A number at the start of a text, `1,079` or `-1.5e-3`, and what follows it.
fn number(text: &str) -> (f64, &str) {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut end = usize::from(bytes[0] == b'-');
    while digit(end) {
        end += 1;
    }
    while bytes.get(end) == Some(&b',') && (1..=3).all(|k| digit(end + k)) && !digit(end + 4) {
        end += 4;
    }
    if bytes.get(end) == Some(&b'.') && digit(end + 1) {
        end += 1;
        while digit(end) {
            end += 1;
        }
        let sign = usize::from(bytes.get(end + 1) == Some(&b'-'));
        if bytes.get(end) == Some(&b'e') && digit(end + 1 + sign) {
            end += 1 + sign;
            while digit(end) {
                end += 1;
            }
        }
    }
    (text[..end].replace(',', "").parse().unwrap(), &text[end..])
}

#[test]
fn every_page_with_commands_is_run() {
    let mut run: BTreeSet<String> = PAGES.iter().map(|&page| page.to_owned()).collect();
    run.extend(TRANSLATIONS.iter().map(|[_, page]| (*page).to_owned()));
    for name in all_pages() {
        let page = Page::read(&name);
        let has_commands = page.blocks.iter().any(|b| {
            b.language == "console" || b.language == "sh" && !commands_of_sh(&b.lines).is_empty()
        });
        assert!(!has_commands || run.contains(&name), "{name} is missing in `pages!`");
    }
}

#[test]
fn translations_have_the_same_blocks() {
    for [page, translation] in TRANSLATIONS {
        let blocks = |name: &str| -> Vec<Vec<String>> {
            Page::read(name).blocks.into_iter().map(|block| block.lines).collect()
        };
        let (ours, theirs) = (blocks(page), blocks(translation));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{translation} is not {page}");
        }
        assert_eq!(ours.len(), theirs.len(), "{translation} has not the blocks of {page}");
    }
}

#[test]
fn configs_and_records_in_pages_can_be_parsed() {
    for name in all_pages() {
        for block in Page::read(&name).blocks {
            let text = block.lines.join("\n");
            let place = format!("{name}:{}", block.start);
            match block.language.as_str() {
                "toml" => drop(text.parse::<toml::Table>().expect(&place)),
                "json" => drop(serde_json::from_str::<serde_json::Value>(&text).expect(&place)),
                _ => {}
            }
        }
    }
}

#[test]
fn what_differs_is_noticed() {
    for (page, printed, exact, expected) in [
        ("a 1.5 s, in runs/x", "a 2 min 3 s, in runs/x", true, true),
        ("66 epochs, the best was 26, 1.1 s", "70 epochs, the best was 31, 1 ms", true, true),
        ("test  17.52 ± 0.20 nats", "test 17.53 ± 0.20 nats", false, true),
        ("test  17.52 ± 0.20 nats", "test 17.53 ± 0.20 nats", true, false),
        ("test  17.52 nats", "test  18.52 nats", false, false),
        ("1,567", "1,576", true, false),
        ("0,-117.85,2.6", "0,-117.86,2.6", false, true),
        ("3 of 1,079 (1,000 events/s)", "3 of 1,079 (9,999 events/s)", true, true),
        ("markov 3 of 5", "nade 3 of 5", false, false),
    ] {
        assert_eq!(alike(page, printed, exact), expected, "{page} and {printed}");
    }
    let printed = |out: &str, err: &str, code| {
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        Printed { out: lines(out), err: lines(err), code: Some(code) }
    };
    let says = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let both = printed("one\ntwo", "a note", 0);
    assert!(both.compare(&says("a note\none\n\ntwo"), true).is_ok());
    assert!(both.compare(&says("one\n…"), true).is_ok());
    for other in ["one", "two\none", "one\ntwo\nthree", "one\ntwo\nerror: no"] {
        assert!(both.compare(&says(other), true).is_err(), "{other}");
    }
    assert!(printed("", "error: no", 1).compare(&says("error: no"), true).is_ok());
}
