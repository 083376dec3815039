//! Two commands at once, on one run and one output: each ends well or says why not, and the output is
//! that of one of them.

use std::fs;
use std::process::Output;

use crate::common::{Place, text};
use crate::{NADE, start, trained};

/// What a file holds; of a page, which says how long it took, that it is whole.
fn content(place: &Place, out: &str) -> Vec<u8> {
    let bytes = fs::read(place.path(out)).unwrap();
    if !out.ends_with(".html") {
        return bytes;
    }
    let page = text(&bytes);
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    b"a whole page".to_vec()
}

/// A run that every command takes.
fn with_classes() -> Place {
    let place = Place::new();
    place.file("c.toml", NADE.replace("hidden = 8", "hidden = 8\nclasses = 10"));
    place.json(&["train", "c.toml", "--out", "run"]);
    place.json(&["compress", "run", "digits", "--out", "digits.chr", "--no-baselines"]);
    place
}

#[test]
fn two_of_every_pair_of_commands_get_along() {
    let place = with_classes();
    let files =
        |out: &'static str, commands: &[&[&'static str]]| -> Vec<(String, Vec<&'static str>)> {
            let with_out = |command: &&[&'static str]| {
                let option = if command[0] == "eval" { "--per-variable" } else { "--out" };
                (out.to_owned(), [command, &[option, out][..]].concat())
            };
            commands.iter().map(with_out).collect()
        };
    let mut commands = files(
        "x.npy",
        &[
            &["eval", "run"],
            &["score", "run"],
            &["sample", "run", "--count", "50"],
            &["decompress", "run", "digits.chr"],
            &["features", "run"],
            &["complete", "run", "--observe", "top-half"],
            &["data", "export", "run"],
        ],
    );
    commands.extend(files("x.csv", &[&["score", "run"], &["classify", "run"]]));
    commands.extend(files("x.chr", &[&["compress", "run", "digits", "--no-baselines"]]));
    commands.extend(files("x.html", &[&["report", "run", "--examples", "9"]]));
    commands.push((String::new(), vec!["train", "c.toml", "--out", "run", "--resume"]));
    commands.push((String::new(), vec!["inspect", "run"]));
    let solo: Vec<Option<Vec<u8>>> = commands
        .iter()
        .map(|(out, command)| {
            place.json(command);
            (!out.is_empty()).then(|| content(&place, out))
        })
        .collect();
    for i in 0..commands.len() {
        for j in 0..=i {
            let pair = [i, j];
            let children = pair.map(|k| start(&place, &commands[k].1));
            for (k, child) in pair.into_iter().zip(children) {
                let output: Output = child.wait_with_output().unwrap();
                let stderr = text(&output.stderr);
                assert!(output.status.success(), "{:?}: {stderr}", commands[k].1);
            }
            for k in pair {
                let out = &commands[k].0;
                if out.is_empty() {
                    continue;
                }
                let found = content(&place, out);
                let is_of_one =
                    pair.iter().any(|&k| solo[k].as_ref() == Some(&found) && commands[k].0 == *out);
                assert!(is_of_one, "{:?} and {:?}", commands[i].1, commands[j].1);
            }
        }
    }
    let leftover = |name: &str| name.ends_with(".partial");
    let names = fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| leftover(name.to_str().unwrap())));
}

#[test]
fn two_that_train_one_run_do_not_mix() {
    let place = Place::new();
    place.file("c.toml", NADE.replace("epochs = 3", "epochs = 30"));
    place.json(&["train", "c.toml", "--out", "whole"]);
    let train = ["train", "c.toml", "--out", "run", "--resume"];
    let outputs = [start(&place, &train), start(&place, &train)].map(|child| {
        let output: Output = child.wait_with_output().unwrap();
        (output.status.code(), text(&output.stderr))
    });
    assert!(outputs.iter().any(|(code, _)| *code == Some(0)), "{outputs:?}");
    for (code, stderr) in outputs {
        let is_busy = stderr.contains("another process is training in run");
        assert!(code == Some(0) || (code == Some(1) && is_busy), "{code:?}: {stderr}");
    }
    let weights = |run: &str| fs::read(place.path(run).join("model.safetensors")).unwrap();
    assert!(weights("whole") == weights("run"));
}

#[test]
fn scores_of_two_at_once_are_those_of_one() {
    let place = trained();
    let line = |bit: &str| vec![bit; 64].join(",") + "\n";
    place.file("zeros.csv", line("0").repeat(20_000));
    place.file("ones.csv", line("1").repeat(20_000));
    let score = |data: &'static str| ["score", "run", "--data", data, "--out", "s.csv"];
    let alone = ["zeros.csv", "ones.csv"].map(|data| {
        place.json(&score(data));
        fs::read(place.path("s.csv")).unwrap()
    });
    for _ in 0..5 {
        let children = ["zeros.csv", "ones.csv"].map(|data| start(&place, &score(data)));
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        assert!(alone.contains(&fs::read(place.path("s.csv")).unwrap()));
    }
}
