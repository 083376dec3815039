//! What a program is told of a command that fails: one object on stdout, beside the words on stderr.

use std::fs;

use serde_json::{Value, json};

use crate::common::{NADE, Place, config, text};

/// The object that a failing command prints with `--json`, which it has beside the words of one without.
fn error(place: &Place, arguments: &[&str]) -> Value {
    let words = place.mistake(arguments);
    let output = place.chainrule(arguments).arg("--json").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    assert_eq!(text(&output.stderr), words, "{arguments:?} says the same on stderr");
    let stdout = text(&output.stdout);
    assert!(stdout.ends_with('\n') && stdout.lines().count() == 1, "{arguments:?}: {stdout}");
    let record: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(record["version"], 1);
    let keys: Vec<&String> = record["error"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["file", "hint", "kind", "message", "place"]);
    record
}

#[test]
fn an_error_is_one_object_that_says_what_where_and_what_to_do() {
    let place = Place::new();
    place.file("small.toml", NADE);
    place.json(&["train", &config("independent-digits"), "--out", "run"]);
    place.file("words.csv", "0,1\n1,yes\n");
    place.file(
        "words.toml",
        "name = \"x\"\n[data]\ntrain = \"words.csv\"\nkind = \"binary\"\n[model]\nkind = \"independent\"\n",
    );
    place.file("empty.csv", "");
    place.file("typo.toml", NADE.replace("hidden = 8", "hiden = 8"));
    place.file("broken.toml", "name = [\n");
    place.file("no.chr", "not compressed at all");
    fs::create_dir_all(place.path("damaged")).unwrap();
    fs::copy(place.path("run/config.toml"), place.path("damaged/config.toml")).unwrap();
    fs::write(place.path("damaged/model.safetensors"), "no model").unwrap();
    for (arguments, command, kind, file, at) in [
        (&["sample", "run", "--out", "a.png", "--seed", "-1"][..], "sample", "usage", None, None),
        (&["sample", "run", "--out", "a.jpg"], "sample", "usage", None, None),
        (&["train", "none.toml"], "train", "io", Some("none.toml"), None),
        (&["train", "typo.toml"], "train", "config", Some("typo.toml"), Some("line 9")),
        (&["train", "broken.toml"], "train", "config", Some("broken.toml"), Some("line 1")),
        (
            &["train", "small.toml", "--set", "model.hidden=0"],
            "train",
            "config",
            None,
            Some("--set model.hidden"),
        ),
        (&["data", "info", "empty.csv"], "data info", "data", Some("empty.csv"), None),
        (
            &["score", "run", "--data", "words.csv", "--bad-rows", "stop", "--quiet"],
            "score",
            "data",
            Some("words.csv"),
            None,
        ),
        (&["data", "info", "mnits"], "data info", "data", None, None),
        (
            &["data", "export", "run", "--out", "a/b.npy"],
            "data export",
            "usage",
            Some("a/b.npy"),
            None,
        ),
        (&["eval", "damaged"], "eval", "run", Some("damaged/model.safetensors"), None),
        (
            &["decompress", "run", "no.chr", "--out", "a.npy"],
            "decompress",
            "data",
            Some("no.chr"),
            None,
        ),
        (&["eval", "run", "--device", "wgpu"], "eval", "machine", None, None),
    ] {
        let found = error(&place, arguments);
        assert_eq!(found["command"], command, "{found}");
        let details = &found["error"];
        assert_eq!(
            (&details["kind"], &details["file"], &details["place"]),
            (&json!(kind), &json!(file), &json!(at)),
            "{arguments:?}"
        );
        let hint = details["hint"].as_str().unwrap();
        assert!(!hint.is_empty() && !hint.contains('\n'), "{found}");
        let words = place.mistake(arguments);
        let first = words.lines().next().unwrap().trim_start_matches("error: ");
        assert!(details["message"].as_str().unwrap().starts_with(first), "{found}");
        assert!(words.ends_with(&format!("hint: {hint}\n")), "{words}");
    }
    // The file of a config that names it is its absolute path.
    let found = error(&place, &["train", "words.toml"]);
    let file = found["error"]["file"].as_str().unwrap();
    assert!(file.ends_with("words.csv"), "{found}");
    assert_eq!(found["error"]["place"], "line 2, column 2");
}

#[test]
fn a_line_that_makes_no_sense_is_refused_in_one_object_too() {
    let place = Place::new();
    for (arguments, command, message, hint) in [
        (&["train"][..], json!("train"), "<CONFIG.toml|FILE>", "add --help to the command"),
        (&["trains", "x.toml"], Value::Null, "'trains'", "a similar subcommand exists: 'train'"),
        (&["data"], json!("data"), "no command, expected one", "name a command"),
        (&["eval", "run", "--splits", "valid"], json!("eval"), "'--splits'", "'--split'"),
    ] {
        let output = place.chainrule(&["--json"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let stdout = text(&output.stdout);
        assert_eq!(stdout.lines().count(), 1, "{arguments:?}: {stdout}");
        let record: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((&record["command"], &record["error"]["kind"]), (&command, &json!("usage")));
        for (key, part) in [("message", message), ("hint", hint)] {
            assert!(record["error"][key].as_str().unwrap().contains(part), "{record}");
        }
        assert!(text(&output.stderr).contains("hint: "), "{arguments:?}");
    }
    // A flag of that name is one; what stands behind `--` is none.
    let output = place.chainrule(&["train", "--", "--json"]).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()));
    // Help is a result.
    let output = place.chainrule(&["--json", "eval", "--help"]).output().unwrap();
    assert!(output.status.success() && text(&output.stdout).contains("Usage: chainrule eval"));
}

#[cfg(unix)]
#[test]
fn a_reader_that_closes_the_pipe_is_told_nothing() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("chainrule"))
        .args(["count", "--family", "full", "--variables", "1000000", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}
