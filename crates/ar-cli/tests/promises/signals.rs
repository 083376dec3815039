//! The first INT or TERM cleans up and ends the program by that signal.

#![cfg(unix)]

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::common::{NADE, Place};
use crate::failing_files::{FailingFiles, How};
use crate::{start, trained};

fn names(place: &Place, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(place.path(folder)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn an_interrupted_command_leaves_the_old_file_and_no_other() {
    let place = trained();
    // Rows without an end: the program reads until it is told to stop.
    let row = vec!["0"; 64].join(",") + "\n";
    place.file("long.csv", row.repeat(400_000));
    place.file("s.csv", "old");
    let before = names(&place, "");
    for (signal, number) in [("-INT", 2), ("-TERM", 15), ("-HUP", 1)] {
        let mut child = start(&place, &["score", "run", "--data", "long.csv", "--out", "s.csv"]);
        let deadline = Instant::now() + Duration::from_secs(60);
        while names(&place, "") == before {
            assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "{signal}");
            std::thread::sleep(Duration::from_millis(1));
        }
        send(signal, &child);
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(number), "{signal}: {status:?}");
        assert_eq!(names(&place, ""), before, "{signal}");
        assert_eq!(fs::read(place.path("s.csv")).unwrap(), b"old");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let Some(files) = FailingFiles::new() else { return };
    let place = trained();
    let row = vec!["0"; 64].join(",") + "\n";
    place.file("long.csv", row.repeat(400_000));
    let before = names(&place, "").len();
    let score = ["score", "run", "--data", "long.csv", "--out", "s.csv"];
    let mut child = files.command(&place, &score, 0, How::Slow).spawn().unwrap();
    while names(&place, "").len() == before {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(1));
    }
    send("-INT", &child);
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "the first one waits for the slow disk");
    let start = Instant::now();
    send("-INT", &child);
    assert_eq!(child.wait().unwrap().signal(), Some(2));
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn an_interrupted_training_goes_on() {
    let place = Place::new();
    place.file("c.toml", NADE.replace("epochs = 3", "epochs = 60\ncheckpoint_steps = 1"));
    place.json(&["train", "c.toml", "--out", "whole"]);
    for _ in 0..3 {
        let mut child = start(&place, &["train", "c.toml", "--out", "run", "--resume"]);
        std::thread::sleep(Duration::from_millis(150));
        send("-INT", &child);
        child.wait().unwrap();
        let partial = |name: &String| name.ends_with(".partial");
        assert!(!place.path("run").exists() || !names(&place, "run").iter().any(partial));
    }
    place.json(&["train", "c.toml", "--out", "run", "--resume"]);
    let weights = |run: &str| fs::read(place.path(run).join("model.safetensors")).unwrap();
    assert!(weights("whole") == weights("run"));
}
