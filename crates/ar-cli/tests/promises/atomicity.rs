//! Every operation on files that a command makes fails in turn, or the process dies there: afterwards a
//! file is the old one or the new one, whole, and a run can be continued.

use std::fs;
use std::path::Path;

use crate::common::{NADE, Place, text};
use crate::failing_files::{FailingFiles, How};
use crate::trained;

/// What lies in a folder, by name, without the temporary files that only a dead process leaves.
fn whole_files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| !name.ends_with(".partial"))
        .collect();
    files.sort();
    files
}

fn partials(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".partial")).count()
}

/// A copy of a folder of files and of folders of files.
fn copy(from: &Place) -> Place {
    let to = Place::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        fs::create_dir_all(to.path(&folder)).unwrap();
        for entry in fs::read_dir(from.path(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(format!("{name}/"));
            } else {
                fs::copy(entry.path(), to.path(&name)).unwrap();
            }
        }
    }
    to
}

/// Lets every operation of a command that writes `outs` go wrong in every way.
fn outputs_are_old_or_new(files: &FailingFiles, start: &Place, command: &[&str], outs: &[&str]) {
    for out in outs {
        start.file(out, "old");
    }
    let there = copy(start);
    let operations = files.count(&there, command);
    assert!(operations >= 4 * outs.len() as u64, "{command:?}: {operations}");
    let new: Vec<Vec<u8>> = outs.iter().map(|out| fs::read(there.path(out)).unwrap()).collect();
    assert!(new.iter().all(|content| content != b"old"), "{command:?}");
    for how in How::FATAL {
        for at in 1..=operations {
            let place = copy(start);
            let output = files.run(&place, command, at, how);
            let what = format!("{command:?}, {how:?} at {at} of {operations}");
            let stderr = text(&output.stderr);
            match output.status.code() {
                None => assert_eq!(how, How::Kill, "{what}"),
                // An operation whose failure does no harm, such as the removal of a temporary file.
                Some(0) => {}
                Some(1) => {
                    assert!(stderr.contains("hint: "), "{what}: {stderr}");
                    let is_named = outs.iter().any(|out| stderr.contains(out));
                    assert!(is_named, "{what}: does not name the file: {stderr}");
                }
                other => panic!("{what}: ended with {other:?}: {stderr}"),
            }
            for (out, new) in outs.iter().zip(&new) {
                let found = fs::read(place.path(out)).unwrap();
                assert!(found == b"old" || found == *new, "{what}: half of {out}");
                if output.status.code() == Some(0) {
                    assert!(found == *new, "{what}: says that {out} is written, and it is not");
                }
            }
            if how == How::Full {
                assert_eq!(partials(&place.path("")), 0, "{what}");
            }
        }
    }
}

#[test]
fn outputs_are_the_old_ones_or_the_new_ones() {
    let Some(files) = FailingFiles::new() else { return };
    let start = trained();
    let sets: [(&[&str], &[&str]); 9] = [
        (&["score", "run", "--calibrate", "valid", "--out", "s.csv"], &["s.csv"]),
        (
            &["score", "run", "--out", "s.npy", "--per-variable", "costs.npy"],
            &["s.npy", "costs.npy"],
        ),
        (&["compress", "run", "digits", "--no-baselines", "--out", "d.chr"], &["d.chr"]),
        (&["decompress", "run", "digits.chr", "--out", "d.npy"], &["d.npy"]),
        (&["sample", "run", "--count", "9", "--out", "s.png"], &["s.png"]),
        (&["report", "run", "--examples", "20", "--out", "r.html"], &["r.html"]),
        (&["eval", "run", "--per-variable", "c.npy"], &["c.npy"]),
        (&["features", "run", "--out", "f.npy"], &["f.npy"]),
        (&["data", "export", "run", "--out", "e.csv"], &["e.csv"]),
    ];
    for (command, outs) in sets {
        // A report and a record hold the time that they took.
        let outs: Vec<&str> = outs.iter().copied().filter(|out| !out.ends_with(".html")).collect();
        if outs.is_empty() {
            report_is_old_or_whole(&files, &start, command);
        } else {
            outputs_are_old_or_new(&files, &start, command, &outs);
        }
    }
}

/// As above, for a page that is another one each time.
fn report_is_old_or_whole(files: &FailingFiles, start: &Place, command: &[&str]) {
    start.file("r.html", "old");
    let operations = files.count(&copy(start), command);
    for how in How::FATAL {
        for at in 1..=operations {
            let place = copy(start);
            let output = files.run(&place, command, at, how);
            let page = text(&fs::read(place.path("r.html")).unwrap());
            let is_whole = page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>");
            assert!(page == "old" || is_whole, "{how:?} at {at}: half a page");
            assert!(output.status.code().is_none_or(|code| code < 2), "{how:?} at {at}");
        }
    }
}

/// The weights, and the metrics without the clock.
fn outcome(place: &Place, run: &str) -> (Vec<u8>, Vec<serde_json::Value>) {
    let read = |file: &str| fs::read(place.path(run).join(file)).unwrap();
    let metrics = text(&read("metrics.jsonl"));
    let epochs = metrics.lines().map(|line| {
        let mut epoch: serde_json::Value = serde_json::from_str(line).unwrap();
        epoch["seconds"].take();
        epoch
    });
    (read("model.safetensors"), epochs.collect())
}

/// Lets every operation of a training go wrong in every way, looks at the run as it is then, and trains on:
/// the end is that of a training that was left alone.
fn goes_on(files: &FailingFiles, start: &Place, train: &[&str], look: impl Fn(&Place, &str)) {
    let there = copy(start);
    let operations = files.count(&there, train);
    let expected = outcome(&there, "run");
    for how in How::FATAL {
        for at in 1..=operations {
            let place = copy(start);
            let output = files.run(&place, train, at, how);
            let what = format!("{how:?} at {at} of {operations}: {}", text(&output.stderr));
            assert!(output.status.code().is_none_or(|code| code < 2), "{what}");
            look(&place, &what);
            place.json(train);
            assert!(outcome(&place, "run") == expected, "{what}");
            let verified = &place.json(&["inspect", "run"])["run"]["verified_files"];
            assert_eq!(verified, 5, "{what}");
            // Who died over the last file has left it nothing to be trained; the next to write it cleans up.
            assert!(partials(&place.path("run")) <= usize::from(how == How::Kill), "{what}");
            assert_eq!(whole_files(&place.path("run")).len(), 9, "{what}");
        }
    }
}

#[test]
fn a_run_can_be_continued_wherever_it_was_stopped() {
    let Some(files) = FailingFiles::new() else { return };
    let start = Place::new();
    start.file("c.toml", NADE.replace("epochs = 3", "epochs = 2\ncheckpoint_steps = 20"));
    let train = ["train", "c.toml", "--out", "run", "--resume"];
    goes_on(&files, &start, &train, |place, what| {
        // Whoever looks in between sees no half a run.
        let looked = place.chainrule(&["inspect", "run"]).output().unwrap();
        assert!(looked.status.code().is_some_and(|code| code < 2), "{what}: {looked:?}");
    });
}

#[test]
fn a_run_that_goes_on_for_longer_stays_usable_wherever_it_is_stopped() {
    let Some(files) = FailingFiles::new() else { return };
    let start = Place::new();
    let constant = NADE.replace("epochs = 3", "epochs = 1").replace("\"cosine\"", "\"constant\"");
    start.file("c.toml", constant);
    start.json(&["train", "c.toml", "--out", "run"]);
    let nll = |place: &Place| place.json(&["eval", "run"])["nll_nats"].clone();
    let old = nll(&start);
    let train = ["train", "c.toml", "--out", "run", "--resume", "--set", "train.epochs=2"];
    let there = copy(&start);
    there.json(&train);
    let new = nll(&there);
    assert_ne!(old, new);
    goes_on(&files, &start, &train, |place, what| {
        let nll = nll(place);
        assert!(nll == old || nll == new, "{what}: {nll}");
        // What the validation rows scored is of the model that is there.
        let ranked = place.json(&["score", "run", "--calibrate", "valid"])["calibration"].clone();
        let valid = place.json(&["eval", "run", "--split", "valid"]);
        let [ranked, valid] = [&ranked, &valid].map(|record| record["nll_nats"].as_f64().unwrap());
        assert!((ranked - valid).abs() < 1e-9, "{what}: {ranked} {valid}");
    });
}

#[test]
fn a_full_disk_is_said_of_the_file_by_its_name() {
    let Some(files) = FailingFiles::new() else { return };
    let place = trained();
    let output = files.run(&place, &["score", "run", "--out", "s.csv"], 2, How::Full);
    let stderr = text(&output.stderr);
    assert_eq!(
        stderr,
        "error: cannot write s.csv (--out)\n  because: No space left on device (os error 28)\n\
         hint: make room on the disk\n"
    );
}
