//! What does not fit in memory is refused before anything is taken, with both numbers and the way
//! on; what may have no end is not read.

use std::process::{Command, Output};

use crate::common::{Place, text};

/// Four rows of 64 bits.
fn rows() -> String {
    (0..4)
        .map(|row| {
            (0..64).map(|i| ((i * i + row) % 3 % 2).to_string()).collect::<Vec<_>>().join(",")
                + "\n"
        })
        .collect()
}

fn config(model: &str, train: &str) -> String {
    format!("name = \"m\"\n[data]\ntrain = \"t.csv\"\nshape = [8, 8]\n[model]\n{model}\n{train}")
}

/// The program in a process that may map so many MiB.
fn limited(place: &Place, mebibytes: u64, arguments: &[&str]) -> Output {
    let binary = assert_cmd::cargo::cargo_bin!("chainrule");
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -v {}; exec \"$0\" \"$@\"", mebibytes << 10)).arg(binary);
    command.args(arguments).current_dir(place.path("")).env_remove("CHAINRULE_DATA");
    command.output().unwrap()
}

/// The stderr of a command that is refused under a limit.
fn refused(place: &Place, mebibytes: u64, arguments: &[&str]) -> String {
    let output = limited(place, mebibytes, arguments);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("backtrace"), "{stderr}");
    stderr
}

#[test]
fn a_model_that_is_too_large_is_refused_before_anything_is_taken() {
    let place = Place::new();
    place.file("t.csv", rows());
    let train = "[train]\nepochs = 1\n";
    for (model, key, advice) in [
        (
            "kind = \"row-lstm\"\nlayers = 100\nhidden = 16384",
            "big.toml:8: training `row-lstm` (copies for a checkpoint",
            "lower model.hidden or model.layers",
        ),
        ("kind = \"nade\"\nhidden = 1000000", "big.toml:7: training `nade`", "lower model.hidden;"),
        (
            "kind = \"made\"\nhidden = [50000, 50000]\nmasks = 2",
            "big.toml:7: training `made`",
            "lower the numbers of model.hidden, or model.masks",
        ),
        (
            "kind = \"orderless-nade\"\nhidden = [50000, 50000]",
            "big.toml:7: training `orderless-nade`",
            "lower the numbers of model.hidden;",
        ),
        (
            "kind = \"pixel-cnn\"\nlayers = 1000\nhidden = 2000",
            "big.toml:8: training `pixel-cnn`",
            "lower model.hidden or model.layers",
        ),
    ] {
        place.file("big.toml", config(model, train));
        let stderr = refused(&place, 6000, &["train", "big.toml"]);
        assert!(stderr.contains(key) && stderr.contains(advice), "{stderr}");
        assert!(stderr.contains(" takes ") && stderr.contains(", expected at most 5"), "{stderr}");
        assert!(!place.path("runs").exists());
        // What it would take is no secret.
        let stdout = place.chainrule(&["inspect", "big.toml"]).output().unwrap().stdout;
        assert!(text(&stdout).contains("memory to train"), "{}", text(&stdout));
    }
}

#[test]
fn tables_that_are_too_large_are_refused_alike() {
    let place = Place::new();
    place.file("t.csv", rows());
    let parents: Vec<Vec<usize>> = (0..64).map(|i| (i.max(40) - 40..i).collect()).collect();
    for (model, key, advice) in [
        ("kind = \"markov\"\norder = 40".into(), "big.toml:7: ", "lower model.order;"),
        ("kind = \"full-table\"".into(), "big.toml:6: ", "set model.kind = \"markov\" or \"nade\""),
        (
            format!("kind = \"bayesian-network\"\nparents = {parents:?}"),
            "big.toml:7: ",
            "list fewer parents",
        ),
    ] {
        let model: String = model;
        place.file("big.toml", config(&model, ""));
        let stderr = place.mistake(&["train", "big.toml"]);
        assert!(stderr.contains(key) && stderr.contains(advice), "{stderr}");
        assert!(stderr.contains(", expected at most 1024.0 MiB"), "{stderr}");
    }
    // Below that limit, but above that of the process.
    place.file("big.toml", config("kind = \"markov\"\norder = 19", ""));
    let stderr = refused(&place, 700, &["train", "big.toml"]);
    assert!(stderr.contains("big.toml:7: training `markov` (copies"), "{stderr}");
    assert!(stderr.contains("lower model.order"), "{stderr}");
}

/// Under any limit on what it may map, in MiB, the program does its work or says that it cannot:
/// `arguments` are those under a limit.
fn never_ends_otherwise(
    place: &Place,
    [least, most]: [u64; 2],
    arguments: impl Fn(u64) -> Vec<String>,
) {
    let codes: Vec<Option<i32>> = (0..=12)
        .map(|k| {
            let mebibytes = least + (most - least) * k / 12;
            let arguments = arguments(mebibytes);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = limited(place, mebibytes, &arguments);
            let (code, stderr) = (output.status.code(), text(&output.stderr));
            // Under the least of them not even threads have room.
            let is_refused = stderr.contains("what this process can still take")
                || stderr.contains("expected that many to start");
            let is_fine = code == Some(0) || code == Some(1) && is_refused;
            assert!(is_fine, "{arguments:?} under {mebibytes} MiB: {code:?}, {stderr}");
            code
        })
        .collect();
    assert_eq!((codes[0], codes[12]), (Some(1), Some(0)), "{codes:?}");
}

#[test]
fn under_any_limit_a_run_ends_or_is_refused() {
    let place = Place::new();
    place.file("t.csv", rows());
    let nade = config("kind = \"nade\"\nhidden = 20000", "[train]\nepochs = 1\n");
    place.file("nade.toml", nade);
    let words = |line: String| line.split(' ').map(str::to_owned).collect();
    // W is 10 MiB; twenty of it are needed while a checkpoint is written, five to load the model.
    never_ends_otherwise(&place, [100, 700], |limit| {
        words(format!("--quiet --threads 2 train nade.toml --out {limit}"))
    });
    never_ends_otherwise(&place, [60, 400], |limit| {
        words(format!("--quiet --threads 2 sample 700 --count 1 --out {limit}.npy"))
    });
    // A table of 26 MiB, and four of it.
    place.file("markov.toml", config("kind = \"markov\"\norder = 15", ""));
    never_ends_otherwise(&place, [80, 500], |limit| {
        words(format!("--quiet --threads 2 train markov.toml --out m{limit}"))
    });
}

#[test]
fn a_file_that_is_too_long_says_how_it_can_be_read() {
    let place = Place::new();
    // 40 MiB, of which a process of 160 MiB reads at most a quarter.
    place.file("t.csv", "0,1,1,0\n".repeat(5 << 20));
    let model = "[model]\nkind = \"nade\"\nhidden = 4\n[train]\nepochs = 1\n";
    let data = "name = \"m\"\n[data]\ntrain = \"t.csv\"\n";
    place.file("whole.toml", format!("{data}{model}"));
    let stderr = refused(&place, 160, &["train", "whole.toml"]);
    assert!(stderr.contains("t.csv: too large: expected at most"), "{stderr}");
    let hint = stderr.lines().last().unwrap();
    for part in
        ["hint: ", " MiB of content", "`chainrule score`", "data.train_examples = N", ".npy"]
    {
        assert!(hint.contains(part), "{stderr}");
    }
    place.file("first.toml", format!("{data}train_examples = 1000\n{model}"));
    let output = limited(&place, 160, &["--quiet", "train", "first.toml", "--out", "first"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let checkpoint = place.json(&["inspect", "first"]);
    assert_eq!(checkpoint["levels"], 2);
}

#[test]
fn only_the_first_rows_of_the_training_file_are_read_where_only_they_are_learned_from() {
    let place = Place::new();
    let first = "0,1\n1,1\n0,0\n".repeat(20);
    place.file("first.csv", &first);
    // What comes later has a fault, and symbols that the first rows do not have.
    place.file("long.csv", format!("{first}7,1\nx,1\n"));
    place.file("v.csv", "1,0\n0,2\n");
    let config = |train: &str, more: &str| {
        format!(
            "name = \"m\"\n[data]\nkind = \"symbols\"\ntrain = \"{train}.csv\"\nvalid = \"v.csv\"\n{more}\n\
             [model]\nkind = \"markov\"\norder = 1"
        )
    };
    place.file("first.toml", config("first", ""));
    place.file("long.toml", config("long", "train_examples = 60"));
    let records = ["first", "long"].map(|name| {
        let config = format!("{name}.toml");
        let record = place.json(&["train", &config, "--out", name]);
        (record["valid"]["nll_nats"].clone(), record["levels"].clone())
    });
    assert_eq!(records[0], records[1]);
    assert_eq!(records[0].1, 3);
    let [first, long] = ["first", "long"]
        .map(|name| std::fs::read(place.path(name).join("model.safetensors")).unwrap());
    assert_eq!(first, long);
    // Folds are of all rows, and a class has its first examples anywhere.
    for more in ["folds = 4\ntrain_examples = 60", "class = 3\ntrain_examples = 60"] {
        place.file("all.toml", config("long", more));
        let stderr = place.mistake(&["train", "all.toml", "--out", "all"]);
        assert!(stderr.contains("line 62, column 1: not a number"), "{stderr}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_may_have_no_end_is_neither_read_nor_waited_for() {
    use std::time::Duration;

    let place = Place::new();
    place.file("t.csv", rows());
    place.file("small.toml", config("kind = \"markov\"\norder = 1", ""));
    place.json(&["train", "small.toml", "--out", "run"]);
    let pipe = |name: &str| {
        let path = place.path(name);
        let _ = std::fs::remove_file(&path);
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    pipe("pipe.toml");
    pipe("pipe.csv");
    pipe("mask.png");
    let refused = |arguments: &[&str]| {
        let output = place.chainrule(arguments).timeout(Duration::from_secs(60)).output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert!(stderr.contains("not a regular file"), "{arguments:?}: {stderr}");
        assert!(stderr.contains("hint: name a file; what a pipe or a device gives"), "{stderr}");
    };
    refused(&["decompress", "run", "/dev/zero", "--out", "x.npy"]);
    refused(&["decompress", "run", "pipe.csv", "--out", "x.npy"]);
    for config in ["/dev/zero", "/dev/null", "pipe.toml"] {
        refused(&["train", config, "--out", "other"]);
        refused(&["inspect", config]);
    }
    for data in ["/dev/zero", "pipe.csv"] {
        refused(&["eval", "run", "--data", data]);
        refused(&["score", "run", "--data", data, "--out", "s.csv"]);
    }
    refused(&["complete", "run", "--data", "t.csv", "--observe", "mask.png", "--out", "x.npy"]);
    pipe("run/model.safetensors");
    refused(&["eval", "run"]);
    pipe("run/checkpoint.safetensors");
    let resumed = ["train", "small.toml", "--out", "run", "--resume"];
    let output = place.chainrule(&resumed).timeout(Duration::from_secs(60)).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("not a regular file"), "{}", text(&output.stderr));
    for file in ["run/seal.json", "run/metrics.jsonl", "run/result.json"] {
        pipe(file);
        refused(&["inspect", "run"]);
    }
}
