//! The folders of the crate stand on each other: what is in one is used by those above it alone.

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up.
const FLOORS: [&str; 6] = ["foundation", "parts", "kinds", "model", "tasks", "train"];

/// The files of a folder and those below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The folders that code, its comments aside, names as `crate::FOLDER`.
fn named(code: &str) -> impl Iterator<Item = &str> {
    let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let names = code.flat_map(|line| line.split("crate::").skip(1));
    names.map(|name| name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(name))
}

#[test]
fn no_folder_uses_one_above_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (height, floor) in FLOORS.iter().enumerate() {
        let files = files(&source.join(floor));
        assert!(!files.is_empty(), "{floor} is empty");
        for file in files {
            for name in named(&fs::read_to_string(&file).unwrap()) {
                let below = FLOORS[..=height].contains(&name);
                assert!(below, "{} uses crate::{name}, which is not below {floor}", file.display());
            }
        }
    }
}

#[test]
fn a_name_is_found_wherever_it_stands() {
    let code =
        "use crate::model::Model;\n// crate::train\nlet x = crate::tasks::f(crate::parts::g());";
    assert_eq!(named(code).collect::<Vec<_>>(), ["model", "tasks", "parts"]);
}
