//! Every command, end to end, on the embedded digits.

use std::fs;

use crate::common::{NADE, Place, config, text};
use serde_json::Value;

fn number(record: &Value, field: &str) -> f64 {
    record[field].as_f64().unwrap_or_else(|| panic!("{field} in {record}"))
}

#[test]
fn a_neural_run_from_config_to_samples() {
    let place = Place::new();
    place.file("small.toml", NADE);
    let trained = place.json(&["train", "small.toml"]);
    insta::assert_json_snapshot!("train", trained, {
        ".seconds" => "[seconds]",
        ".*.seconds" => "[seconds]",
        ".*.nll_nats" => "[nats]",
        ".*.nll_nats_stderr" => "[nats]",
        ".*.bits_per_dim" => "[bits]",
        ".best_epoch" => "[epoch]",
        ".environment" => "[environment]",
    });
    for file in [
        "config.toml",
        "environment.json",
        "metrics.jsonl",
        "checkpoint.safetensors",
        "seal.json",
        "model.safetensors",
        "result.json",
    ] {
        assert!(place.path("runs/small").join(file).is_file(), "{file}");
    }
    let metrics = fs::read_to_string(place.path("runs/small/metrics.jsonl")).unwrap();
    let epochs: Vec<Value> =
        metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(epochs.len(), 3);
    assert!(number(&epochs[2], "train_nll_nats") < number(&epochs[0], "train_nll_nats"));

    // The same numbers again, from the run alone.
    let evaluated = place.json(&["eval", "runs/small"]);
    insta::assert_json_snapshot!("eval", evaluated, {
        ".seconds" => "[seconds]",
        ".nll_nats" => "[nats]",
        ".nll_nats_stderr" => "[nats]",
        ".bits_per_dim" => "[bits]",
    });
    assert_eq!(evaluated["nll_nats"], trained["test"]["nll_nats"]);
    let valid = place.json(&["eval", "runs/small", "--split", "valid"]);
    assert_eq!(valid["nll_nats"], trained["valid"]["nll_nats"]);

    // The costs of the variables are the cost of the event.
    place.json(&["eval", "runs/small", "--per-variable", "costs.npy"]);
    let costs = fs::read(place.path("costs.npy")).unwrap();
    assert!(
        text(&costs[..128]).contains("'descr': '<f4', 'fortran_order': False, 'shape': (8, 8), }")
    );
    let values = &costs[costs.len() - 64 * 4..];
    let sum: f32 = values.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).sum();
    assert!((f64::from(sum) - number(&evaluated, "nll_nats")).abs() < 1e-3, "{sum}");

    // Samples in three formats, the same for the same seed.
    for out in ["a.npy", "b.npy", "a.csv", "a.png"] {
        let record =
            place.json(&["sample", "runs/small", "--out", out, "--count", "5", "--seed", "2"]);
        assert_eq!((record["out"].as_str(), record["count"].as_u64()), (Some(out), Some(5)));
    }
    let npy = fs::read(place.path("a.npy")).unwrap();
    assert_eq!(npy, fs::read(place.path("b.npy")).unwrap());
    assert!(
        text(&npy[..128]).contains("'descr': '|u1', 'fortran_order': False, 'shape': (5, 8, 8), }")
    );
    let bits = &npy[npy.len() - 5 * 64..];
    assert!(bits.iter().all(|&bit| bit < 2) && bits.contains(&1));
    let csv = fs::read_to_string(place.path("a.csv")).unwrap();
    assert!(csv.starts_with("x0,x1,") && csv.lines().count() == 6, "{csv}");
    let second_row: Vec<String> = bits[64..128].iter().map(ToString::to_string).collect();
    assert_eq!(csv.lines().nth(2), Some(second_row.join(",").as_str()));
    assert!(fs::read(place.path("a.png")).unwrap().starts_with(b"\x89PNG"));

    // Samples are bits: they are scored as they are, not binarized again.
    let scored = place.json(&["eval", "runs/small", "--data", "a.npy"]);
    assert_eq!((scored["split"].as_str(), scored["examples"].as_u64()), (Some("all"), Some(5)));
    assert!(number(&scored, "nll_nats") < 64.0 * 2.0_f64.ln());

    // Inspecting the run and the config says the same of the model.
    let from_run = place.json(&["inspect", "runs/small"]);
    insta::assert_json_snapshot!("inspect", from_run, {
        ".run.seconds" => "[seconds]",
        ".run.*.seconds" => "[seconds]",
        ".run.*.nll_nats" => "[nats]",
        ".run.*.nll_nats_stderr" => "[nats]",
        ".run.*.bits_per_dim" => "[bits]",
        ".run.best_epoch" => "[epoch]",
    });
    let from_config = place.json(&["inspect", "small.toml"]);
    assert_eq!(from_config["parameters"], from_run["parameters"]);
    let wide =
        ["inspect", "small.toml", "--set", "model.hidden=9", "--set", "model.ordering=snake"];
    let wide = place.json(&wide);
    assert_eq!((&wide["parameters"], &wide["ordering"]), (&"1225".into(), &"snake".into()));
    assert_eq!(from_config["run"], Value::Null);
    assert_eq!(from_run["parameters"], trained["parameters"]);
}

#[test]
fn a_run_is_the_same_whatever_the_number_of_threads() {
    let place = Place::new();
    place.file("small.toml", NADE);
    for (out, threads) in [("one", "1"), ("two", "2"), ("three", "3")] {
        place.json(&["train", "small.toml", "--out", out, "--threads", threads]);
    }
    let weights = |run: &str| fs::read(place.path(run).join("model.safetensors")).unwrap();
    assert_eq!(weights("one"), weights("two"));
    assert_eq!(weights("one"), weights("three"));
}

#[test]
fn a_run_is_continued_only_with_its_own_config() {
    let place = Place::new();
    place.file("small.toml", NADE);
    let first = place.json(&["train", "small.toml", "--out", "run", "--set", "train.epochs=1"]);
    let message = place.mistake(&["train", "small.toml", "--out", "run"]);
    assert!(
        message.contains("run holds a run already") && message.contains("--resume"),
        "{message}"
    );
    let message = place.mistake(&["train", "small.toml", "--out", "run", "--resume"]);
    assert!(message.contains("`train.epochs = 3`, planned were 1 in run/config.toml"), "{message}");
    assert!(message.contains("a cosine schedule spreads the learning rate"), "{message}");
    let hidden = ["train", "small.toml", "--out", "run", "--resume", "--set", "model.hidden=9"];
    let message = place.mistake(&hidden);
    assert!(message.contains("`model.hidden = 9`, expected 8 as in run/config.toml"), "{message}");
    let again =
        place.json(&["train", "small.toml", "--out", "run", "--set", "train.epochs=1", "--resume"]);
    assert_eq!(first, again, "a finished run returns its record");
    let again = place.json(&["train", "run/config.toml", "--out", "run", "--resume"]);
    assert_eq!(first, again, "a run's own config continues it");
    // Notes about a run are not the run.
    let again = place.json(&[
        "train",
        "small.toml",
        "--out",
        "run",
        "--set",
        "train.epochs=1",
        "--set",
        "paper.source=x",
        "--resume",
    ]);
    assert_eq!(first, again);
}

#[test]
fn files_of_ones_own_are_trained_on_and_described_by_the_run() {
    let place = Place::new();
    let rows: String = (0..40).map(|i| format!("{},{},{}\n", i % 2, (i / 2) % 2, i % 2)).collect();
    place.file("train.csv", format!("rain,wind,wet\n{rows}"));
    place.file("test.csv", "rain,wind,wet\n1,0,1\n0,1,0\n1,1,1\n");
    place.file(
        "weather.toml",
        "name = \"weather\"\n[data]\ntrain = \"train.csv\"\ntest = \"test.csv\"\n\
         [model]\nkind = \"full-table\"\n",
    );
    let trained = place.json(&["train", "weather.toml"]);
    assert_eq!((trained["data"].as_str(), &trained["valid"]), (Some("train.csv"), &Value::Null));
    assert_eq!(trained["parameters"], "7");
    assert!(number(&trained["test"], "nll_nats") < 2.0);
    // The run needs no data to be used, and remembers the names of the columns.
    fs::remove_file(place.path("train.csv")).unwrap();
    place.json(&["sample", "runs/weather", "--out", "s.csv", "--count", "3"]);
    let csv = fs::read_to_string(place.path("s.csv")).unwrap();
    assert!(csv.starts_with("rain,wind,wet\n"), "{csv}");
    let scored = place.json(&["eval", "runs/weather", "--data", "test.csv"]);
    assert_eq!(scored["nll_nats"], trained["test"]["nll_nats"]);
    assert_eq!(place.json(&["inspect", "runs/weather"])["parameters"], "7");
    let message = place.mistake(&["eval", "runs/weather", "--split", "valid"]);
    assert!(message.contains("(train.csv) has no valid split, only train and test"), "{message}");
    // Where a split is missing, there is a way on.
    let folds = "train with data.valid = \"FILE\", or data.folds = 10";
    for (arguments, parts) in [
        (&["eval", "runs/weather", "--split", "valid"][..], &["--data FILE", folds][..]),
        (&["score", "runs/weather", "--split", "valid"], &["--data FILE", folds]),
        (
            &["score", "runs/weather", "--data", "test.csv", "--calibrate", "valid"],
            &["--calibrate valid: ", "--calibrate FILE", folds],
        ),
        (
            &["score", "runs/weather", "--data", "test.csv", "--against", "valid"],
            &["--against valid: ", "--against FILE", folds],
        ),
        (
            &["data", "export", "weather.toml", "--split", "valid", "--out", "v.csv"],
            &["choose another --split", folds],
        ),
    ] {
        let message = place.mistake(arguments);
        for part in parts {
            assert!(message.contains(part), "{arguments:?} says not {part:?}: {message}");
        }
    }
    let message = place.mistake(&[
        "train",
        "weather.toml",
        "--set",
        "model={ kind = \"nade\", hidden = 3 }",
        "--set",
        "train={ epochs = 2, early_stopping = 1 }",
    ]);
    assert!(message.contains("`early_stopping = 1` without validation data"), "{message}");
    assert!(message.contains("remove the key, or set data.valid = \"FILE\""), "{message}");
    let message = place.mistake(&["sample", "runs/weather", "--out", "s.png"]);
    assert!(message.contains("no images") && message.contains(".npy"), "{message}");
}

#[test]
fn stochastic_bits_are_fresh_in_training_and_fixed_in_evaluation() {
    let place = Place::new();
    place.file("small.toml", NADE);
    let stochastic = |out: &str, each_epoch: &str, seed: &str| {
        place.json(&[
            "train",
            "small.toml",
            "--out",
            out,
            "--set",
            "data.binarize=stochastic",
            "--set",
            each_epoch,
            "--set",
            seed,
        ])
    };
    let fixed = stochastic("fixed", "data.binarize_each_epoch=false", "seed=1");
    let fresh = stochastic("fresh", "data.binarize_each_epoch=true", "seed=1");
    assert_ne!(fixed["test"]["nll_nats"], fresh["test"]["nll_nats"]);
    for (run, record) in [("fixed", fixed), ("fresh", fresh)] {
        assert_eq!(place.json(&["eval", run])["nll_nats"], record["test"]["nll_nats"]);
    }
    // Runs with other seeds are evaluated on the same bits.
    stochastic("other", "data.binarize_each_epoch=true", "seed=2");
    for run in ["fixed", "other"] {
        place.json(&["data", "export", run, "--out", &format!("{run}.npy")]);
    }
    let exported = |run: &str| fs::read(place.path(&format!("{run}.npy"))).unwrap();
    assert_eq!(exported("fixed"), exported("other"));
}

#[test]
fn requantized_data_is_the_same_everywhere() {
    let place = Place::new();
    place.file(
        "deep.toml",
        "name = \"deep\"\n[data]\nname = \"digits\"\nrequantize = 4\n\
         [model]\nkind = \"independent\"\n",
    );
    let trained = place.json(&["train", "deep.toml", "--out", "run"]);
    assert_eq!(trained["parameters"], (64 * 3).to_string());
    assert_eq!(place.json(&["eval", "run"])["nll_nats"], trained["test"]["nll_nats"]);
    let inspected = place.json(&["inspect", "run"]);
    assert_eq!((&inspected["levels"], &inspected["requantize"]), (&4.into(), &4.into()));
    // The test set as the model sees it, as it is, and as the built-in: the same numbers.
    place.json(&["data", "export", "run", "--out", "deep.npy"]);
    place.json(&["data", "export", "digits", "--out", "greys.npy"]);
    let values = |file: &str| fs::read(place.path(file)).unwrap()[128..].to_vec();
    let expected: Vec<u8> = values("greys.npy").iter().map(|&grey| grey * 4 / 17).collect();
    assert_eq!(values("deep.npy"), expected);
    for spec in ["deep.npy", "greys.npy", "digits"] {
        let evaluated = place.json(&["eval", "run", "--data", spec]);
        assert_eq!(evaluated["nll_nats"], trained["test"]["nll_nats"], "{spec}");
    }
    // Without stated levels the files decide, and a config that asks for more is refused.
    let files = "name = \"files\"\n[data]\ntrain = \"deep.npy\"\nrequantize = 4\n\
                 [model]\nkind = \"independent\"\n";
    place.file("files.toml", files);
    let message = place.mistake(&["train", "files.toml"]);
    assert!(message.contains("fewer than the 4 of the data, found 4"), "{message}");
    place.json(&["train", "files.toml", "--set", "data.requantize=3"]);
    assert_eq!(place.json(&["inspect", "runs/files"])["levels"], 3);
}

#[test]
fn data_is_listed_described_verified_and_exported() {
    let place = Place::new();
    let list = place.json(&["data", "list"]);
    let names: Vec<_> =
        list["datasets"].as_array().unwrap().iter().map(|d| d["name"].clone()).collect();
    assert_eq!(names[..5], ["digits", "mnist", "binarized-mnist", "fashion-mnist", "cifar10"]);
    assert_eq!(names[5..11], ["adult", "connect4", "dna", "mushrooms", "nips", "ocr-letters"]);
    assert_eq!(names[11..], ["winequality-red"]);
    assert_eq!(list["datasets"][11]["levels"], Value::Null);
    assert_eq!(list["datasets"][0]["present"], true);
    assert_eq!(list["datasets"][1]["present"], false);

    let info = place.json(&["data", "info", "digits"]);
    assert_eq!(info["parts"][2]["examples"], 359);
    place.file("t.csv", "a,b\n0,3\n1,2\n");
    let info = place.json(&["data", "info", "t.csv"]);
    assert_eq!((&info["parts"][0]["levels"], &info["parts"][0]["mean"]), (&4.into(), &1.5.into()));

    let fetched = place.json(&["data", "fetch", "digits"]);
    assert_eq!(fetched["downloaded"], 0);

    let ladder = config("independent-digits");
    let record = place.json(&["data", "export", &ladder, "--split", "test", "--out", "bits.npy"]);
    assert_eq!((record["count"].as_u64(), record["split"].as_str()), (Some(359), Some("test")));
    let bits = fs::read(place.path("bits.npy")).unwrap();
    assert!(text(&bits[..128]).contains("'shape': (359, 8, 8), }"));
    assert!(bits[bits.len() - 359 * 64..].iter().all(|&bit| bit < 2));
    // As it is, without a config: 17 levels.
    place.json(&["data", "export", "digits", "--out", "greys.npy", "--count", "2"]);
    let greys = fs::read(place.path("greys.npy")).unwrap();
    assert!(greys[greys.len() - 2 * 64..].contains(&16));
    place.json(&[
        "data",
        "export",
        "digits",
        "--out",
        "greys.png",
        "--count",
        "9",
        "--columns",
        "3",
    ]);
    let info = place.json(&["data", "info", "greys.png"]);
    assert_eq!(info["parts"][0]["shape"], serde_json::json!([28, 28]));
}

#[test]
fn counts_are_exact_at_any_size() {
    let place = Place::new();
    let count = |arguments: &[&str]| {
        let record = place.json(&[&["count", "--family"], arguments].concat());
        record["free_parameters"].as_str().unwrap().to_owned()
    };
    assert_eq!(count(&["coin"]), "1");
    assert_eq!(count(&["die", "--states", "6"]), "5");
    assert_eq!(count(&["full", "--variables", "3", "--states", "256"]), "16777215");
    assert_eq!(count(&["markov", "--variables", "784", "--states", "2", "--order", "1"]), "1567");
    let full = count(&["full", "--variables", "784", "--states", "2"]);
    assert_eq!((full.len(), &full[..5]), (237, "10174"));
    assert_eq!(full, count(&["chain-rule", "--variables", "784", "--states", "2"]));
}

#[test]
fn completions_are_scripts() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = place.chainrule(&["completions", shell]).output().unwrap();
        assert!(output.status.success() && text(&output.stdout).contains("chainrule"), "{shell}");
    }
}

#[test]
fn devices_are_what_answers_and_what_does_not_with_a_reason() {
    let place = Place::new();
    let found = place.json(&["devices"]);
    let devices = found["devices"].as_array().unwrap();
    assert_eq!(devices[0]["device"], "flex", "the default is the first: {found}");
    assert!(devices[0]["memory_bytes"].as_u64().is_none_or(|bytes| bytes > 1 << 20), "{found}");
    let none = found["unavailable"].as_array().unwrap();
    for backend in ["flex", "ndarray", "cuda", "wgpu"] {
        let answers = devices.iter().any(|device| {
            let name = device["device"].as_str().unwrap();
            name == backend || name.starts_with(&format!("{backend}:"))
        });
        let reason = none.iter().find(|missing| missing["backend"] == backend);
        assert!(answers || reason.is_some_and(|missing| missing["reason"] != ""), "{found}");
    }
    let words = place.chainrule(&["devices"]).output().unwrap();
    let words = text(&words.stdout);
    assert!(words.lines().next().unwrap().starts_with("flex "), "{words}");
    if let Some(missing) = none.iter().find(|missing| missing["compiled_in"] == false) {
        let feature = format!("--features {}", missing["backend"].as_str().unwrap());
        assert!(words.contains(&feature), "{words}");
    }
    // What answers can be computed on, and a name of the list is one of --device.
    place.file("small.toml", NADE);
    for device in devices {
        let name = device["device"].as_str().unwrap();
        let out = format!("on-{}", name.replace(':', "-"));
        place.json(&["train", "small.toml", "--out", &out, "--device", name]);
    }
}

#[test]
fn human_words_go_to_stdout_and_the_rest_to_stderr() {
    let place = Place::new();
    place.file("small.toml", NADE);
    let output = place.chainrule(&["train", "small.toml"]).output().unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.contains("8 shared hidden units") && stdout.contains("bits/dim"), "{stdout}");
    assert_eq!(stderr.lines().filter(|line| line.starts_with("epoch ")).count(), 3, "{stderr}");
    assert!(!stderr.contains('\x1b') && !stdout.contains('\x1b'));
    let output = place.chainrule(&["--quiet", "inspect", "runs/small"]).output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert!(text(&output.stdout).contains("each conditional sees"));
}

#[cfg(unix)]
#[test]
fn a_reader_that_closes_the_pipe_is_no_error() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("chainrule"))
        .args(["count", "--family", "full", "--variables", "1000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn mistakes_are_explained_and_end_in_a_hint() {
    let place = Place::new();
    place.file("small.toml", NADE);
    place.json(&["train", &config("independent-digits"), "--out", "run"]);
    place.file("ragged.csv", "0,1\n1\n");
    place.file("words.csv", "0,1\n1,yes\n");
    place.file("wide.csv", "0,1,1\n");
    place.file("binary.toml", [0xff, 0xfe, 0x00]);
    place.file("bad.safetensors", "no model");
    fs::create_dir(place.path("empty")).unwrap();
    fs::create_dir(place.path("full")).unwrap();
    fs::write(place.path("full/thesis.tex"), "").unwrap();
    let with = |train: &str| {
        format!("name = \"x\"\n[data]\ntrain = \"{train}\"\n[model]\nkind = \"independent\"\n")
    };
    for (name, train) in
        [("ragged.toml", "ragged.csv"), ("words.toml", "words.csv"), ("missing.toml", "none.csv")]
    {
        place.file(name, with(train));
    }
    let mnist = with("x").replace("train = \"x\"", "name = \"mnist\"");
    place.file("mnist.toml", mnist);
    for (arguments, parts) in [
        (&["train", "none.toml"][..], &["cannot read none.toml", "spelling"][..]),
        (&["train", "empty"], &["expected a folder with .png files"]),
        (&["train", "binary.toml"], &["byte 0", "UTF-8"]),
        (
            &["train", "small.toml", "--set", "model.hidden=0"],
            &["--set model.hidden", "1 to 1048576"],
        ),
        (&["train", "small.toml", "--set", "model.hiden=5"], &["did you mean `hidden`?"]),
        (
            &[
                "train",
                "small.toml",
                "--set",
                "data.binarize=none",
                "--set",
                "model={ kind = \"logistic\" }",
            ],
            &["17 levels", "data.binarize = \"threshold\"", "model.kind = \"nade\""],
        ),
        (&["train", "small.toml", "--out", "full"], &["thesis.tex"]),
        (&["train", "small.toml", "--out", "small.toml"], &["small.toml"]),
        (&["train", "small.toml", "--device", "gpu"], &["unknown device `gpu`"]),
        (&["train", "small.toml", "--device", "wgpu"], &["feature `wgpu`", "--features wgpu"]),
        (&["train", "ragged.toml"], &["ragged.csv: line 2", "expected 2"]),
        (
            &["train", "words.toml", "--set", "data.kind=binary"],
            &["words.csv: line 2, column 2", "\"yes\""],
        ),
        (&["train", "missing.toml"], &["none.csv"]),
        (&["train", "mnist.toml"], &["train-images-idx3-ubyte", "chainrule data fetch mnist"]),
        (&["eval", "none"], &["none does not exist"]),
        (&["eval", "empty"], &["no config.toml"]),
        (&["eval", "run", "--data", "digit"], &["did you mean \"digits\"?"]),
        (&["eval", "run", "--data", "wide.csv"], &["wide.csv", "3 columns, expected 64"]),
        (&["eval", "run", "--data", "wide.csv", "--split", "test"], &["a path has no splits"]),
        (&["eval", "run", "--data", "mnist"], &["mnist"]),
        (&["eval", "run", "--per-variable", "costs.txt"], &["ending in .npy"]),
        (&["sample", "run", "--out", "a.jpg"], &[".png, .npy, .csv, .parquet or -ubyte"]),
        (&["sample", "run", "--out", "no/a.png"], &["no/a.png"]),
        (&["sample", "run", "--out", "a.csv", "--columns", "3"], &["only with .png"]),
        (&["sample", "run", "--out", "a.npy", "--count", "4000000000"], &["at most"]),
        (&["inspect", "ragged.csv"], &["ragged.csv:1"]),
        (&["count", "--family", "markov", "--variables", "5"], &["needs --order"]),
        (&["data", "fetch", "mnits"], &["did you mean \"mnist\"?"]),
        (
            &["data", "export", "digits", "--split", "test", "--out", "a"],
            &[".png, .npy, .csv, .parquet or -ubyte"],
        ),
        (&["frobnicate"], &["frobnicate"]),
        (
            &["sample", "run", "--out", "a.png", "--count", "0"],
            &["expected a whole number from 1 to 4294967295"],
        ),
        (&["data", "list", "--threads", "0"], &["expected a whole number from 1 to 1024"]),
        (
            &["sample", "run", "--out", "a.png", "--seed", "-1"],
            &["'-1' for '--seed <S>'", "from 0"],
        ),
        (
            &["score", "run", "--alpha", "-0.1"],
            &["'-0.1' for '--alpha <P>'", "above 0 and below 1"],
        ),
        (
            &["train", "small.toml", "--set", "train.epochs=-1"],
            &["--set train.epochs: `train.epochs = -1`, expected a whole number, 0 or more"],
        ),
        (
            &["inspect", "run", "--set", "seed=2"],
            &["--set seed=2 with run", "run/config.toml --set"],
        ),
        (&["inspect", "small.toml", "--set", "model.hiden=5"], &["did you mean `hidden`?"]),
        (&["inspect", "small.toml", "--set", "model.hidden"], &["no `=`, expected KEY=VALUE"]),
    ] {
        let message = place.mistake(arguments);
        for part in parts {
            assert!(message.contains(part), "{arguments:?} says not {part:?}: {message}");
        }
    }

    // A damaged run.
    fs::copy(place.path("bad.safetensors"), place.path("run/model.safetensors")).unwrap();
    let message = place.mistake(&["eval", "run"]);
    assert!(message.contains("run/model.safetensors is not the file that the run wrote"));
    let seal = fs::read(place.path("run/seal.json")).unwrap();
    fs::remove_file(place.path("run/seal.json")).unwrap();
    let message = place.mistake(&["eval", "run"]);
    assert!(
        message.contains("model.safetensors") && message.contains("safetensors file"),
        "{message}"
    );
    place.file("run/seal.json", seal);
    fs::remove_file(place.path("run/model.safetensors")).unwrap();
    let message = place.mistake(&["eval", "run"]);
    assert!(message.contains("run is not trained") && message.contains("--resume"), "{message}");
    // Its record is gone with it: resuming fits it again.
    let ladder = config("independent-digits");
    place.json(&["train", &ladder, "--out", "run", "--resume"]);
    place.json(&["eval", "run"]);
}
