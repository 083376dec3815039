//! `chainrule compress` and `decompress`: what went in comes out, and nothing else ever does.

use std::fs;

use crate::common::{NADE, Place, text};
use serde_json::Value;

fn number(record: &Value, key: &str) -> f64 {
    record[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {record}"))
}

/// A trained run `run` of the config, changed by `--set`.
fn trained(config: &str, set: &[&str]) -> Place {
    let place = Place::new();
    place.file("c.toml", config);
    let set = set.iter().flat_map(|set| ["--set", set]);
    place.json(&["train", "c.toml", "--out", "run"].into_iter().chain(set).collect::<Vec<_>>());
    place
}

const MARKOV: &str = r#"
name = "greys"
[data]
name = "digits"
[model]
kind = "markov"
order = 2
"#;

#[test]
fn the_test_set_comes_back_at_the_price_of_its_likelihood() {
    for (config, set, arithmetic) in [
        (NADE, &[][..], None),
        (NADE, &["model.kind=made", "model.hidden=[9]", "model.masks=2"], Some("flex on ")),
        (MARKOV, &[], Some("plain")),
        (MARKOV, &["data.binarize=stochastic", "model.kind=independent"], Some("plain")),
    ] {
        // A Markov chain's order is no setting of the others.
        let config = if set.iter().any(|s| s.contains("independent")) {
            config.replace("order = 2\n", "")
        } else {
            config.to_owned()
        };
        let place = trained(&config, set);
        let record = place.json(&["compress", "run", "digits", "--out", "d.chr", "--verify"]);
        let size = fs::metadata(place.path("d.chr")).unwrap().len() as f64;
        assert_eq!(number(&record, "bytes"), size);
        let nll_bytes = number(&record, "nll_bytes");
        assert!(size > nll_bytes && size < 1.005 * nll_bytes + 64.0, "{record}");
        let nats = number(&place.json(&["eval", "run"]), "nll_nats");
        let bits = nats / std::f64::consts::LN_2 * number(&record, "events");
        assert!((bits / 8.0 - nll_bytes).abs() < 1e-6 * nll_bytes, "{record}");
        let lossy = config != MARKOV;
        assert_eq!(record["values"], if lossy { "binarized" } else { "unchanged" });
        if let Some(arithmetic) = arithmetic {
            assert!(record["arithmetic"].as_str().unwrap().starts_with(arithmetic), "{record}");
        }
        // Everything general is larger than a model of the data.
        for baseline in record["baselines"].as_array().unwrap() {
            let larger = ["xz -9", "gzip -9", "png", "packed"].map(Value::from);
            if larger.contains(&baseline["name"]) && record["model"] != "independent" {
                assert!(number(baseline, "bytes") > size, "{record}");
            }
        }

        let record = place.json(&["decompress", "run", "d.chr", "--out", "back.npy"]);
        assert_eq!(record["events"], 359);
        place.json(&["data", "export", "run", "--out", "export.npy"]);
        let [back, export] = ["back.npy", "export.npy"].map(|f| fs::read(place.path(f)).unwrap());
        assert!(back == export, "{record}");
    }
}

#[test]
fn a_file_of_the_models_values_comes_back_in_every_format() {
    let place = trained(MARKOV, &[]);
    place.json(&["data", "export", "digits", "--split", "valid", "--out", "v.npy"]);
    let record = place.json(&["compress", "run", "v.npy", "--out", "v.chr", "--no-baselines"]);
    assert_eq!((&record["split"], &record["values"]), (&"all".into(), &"unchanged".into()));
    assert_eq!(record["baselines"], Value::Array(vec![]));
    for out in ["b.npy", "b.csv", "b-idx3-ubyte", "b.png"] {
        place.json(&["decompress", "run", "v.chr", "--out", out]);
    }
    assert_eq!(fs::read(place.path("b.npy")).unwrap(), fs::read(place.path("v.npy")).unwrap());
    // Each of them is the same data to the program itself.
    for back in ["b.csv", "b-idx3-ubyte"] {
        place.json(&["compress", "run", back, "--out", "again.chr", "--no-baselines"]);
        let [first, again] = ["v.chr", "again.chr"].map(|f| fs::read(place.path(f)).unwrap());
        assert!(first == again, "{back}");
    }
    let grid = image::open(place.path("b.png")).unwrap();
    assert!(grid.width() > 8 * 9 && grid.height() > 8 * 9);
}

#[test]
fn the_same_file_is_written_and_read_with_any_number_of_threads() {
    let place = trained(NADE, &[]);
    for threads in ["1", "2", "3"] {
        let out = format!("{threads}.chr");
        let arguments = ["compress", "run", "digits", "--out", &out, "--no-baselines"];
        place.json(&[&arguments[..], &["--threads", threads]].concat());
        let npy = format!("{threads}.npy");
        place.json(&["decompress", "run", "1.chr", "--out", &npy, "--threads", threads]);
    }
    for end in ["chr", "npy"] {
        let [one, two, three] =
            ["1", "2", "3"].map(|n| fs::read(place.path(&format!("{n}.{end}"))).unwrap());
        assert!(one == two && two == three, "{end}");
    }
}

#[test]
fn portable_files_say_so_and_come_back() {
    let place = trained(NADE, &[]);
    let arguments =
        ["compress", "run", "digits", "--out", "p.chr", "--portable", "--verify", "--no-baselines"];
    assert_eq!(place.json(&arguments)["arithmetic"], "portable");
    place.json(&["decompress", "run", "p.chr", "--out", "p.npy"]);
    let made = trained(NADE, &["model.kind=made", "model.hidden=[9]"]);
    let message = made.mistake(&arguments);
    assert!(message.contains("--portable: `made` is walked by tensor operations"), "{message}");
    assert!(!made.path("p.chr").exists());
}

#[test]
fn what_is_lost_before_compressing_is_said() {
    let place = trained(NADE, &[]);
    let output = place
        .chainrule(&["compress", "run", "digits", "--out", "d.chr", "--no-baselines"])
        .output()
        .unwrap();
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("its 17 levels binarized to 2; these are what is compressed"),
        "{stderr}"
    );
    let stdout = text(&output.stdout);
    assert!(stdout.starts_with("359 events of digits to d.chr in "), "{stdout}");
    assert!(stdout.contains("\nnade") && stdout.contains("\nits -log2 p"), "{stdout}");
    let output =
        place.chainrule(&["decompress", "run", "d.chr", "--out", "d.csv"]).output().unwrap();
    assert!(text(&output.stdout).contains("the values were binarized"), "{output:?}");
    // Bits that are bits already lose nothing.
    place.json(&["data", "export", "run", "--out", "bits.npy"]);
    let record = place.json(&["compress", "run", "bits.npy", "--out", "b.chr"]);
    assert_eq!(record["values"], "unchanged");
    let names: Vec<&Value> =
        record["baselines"].as_array().unwrap().iter().map(|b| &b["name"]).collect();
    assert_eq!(names, ["neighbourhood-10", "xz -9", "gzip -9", "png", "packed"]);
}

#[test]
fn mistakes_are_named_and_nothing_is_written() {
    let place = trained(NADE, &[]);
    place.json(&["train", "c.toml", "--out", "other", "--set", "seed=6"]);
    place.json(&["train", "c.toml", "--out", "wider", "--set", "model.hidden=9"]);
    place.json(&["compress", "run", "digits", "--out", "d.chr", "--no-baselines"]);
    let good = fs::read(place.path("d.chr")).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    place.file("flipped.chr", &flipped);
    place.file("cut.chr", &good[..good.len() - 1]);
    place.file("long.chr", [&good[..], b"more"].concat());
    place.file("none.chr", b"");
    let mut newer = good.clone();
    newer[4] = 9;
    place.file("newer.chr", &newer);
    for (run, file, parts) in [
        ("other", "d.chr", &["compressed with another model", "as it was then"][..]),
        ("wider", "d.chr", &["compressed with another model"]),
        ("run", "flipped.chr", &["cannot decompress flipped.chr", "damaged", "get the file again"]),
        ("run", "cut.chr", &["ends before its time", "get the file again"]),
        ("run", "long.chr", &["goes on after its end"]),
        ("run", "none.chr", &["not a file that `compress` wrote"]),
        ("run", "c.toml", &["not a file that `compress` wrote", "`chainrule compress` wrote"]),
        ("run", "newer.chr", &["version 9 of the format, expected 1"]),
        ("run", "nowhere.chr", &["cannot read nowhere.chr"]),
        ("nowhere", "d.chr", &["expected a run directory"]),
    ] {
        let message = place.mistake(&["decompress", run, file, "--out", "out.npy"]);
        for part in parts {
            assert!(message.contains(part), "{run} {file} says not {part:?}: {message}");
        }
        assert!(!place.path("out.npy").exists(), "{run} {file}");
    }
    // What is there already stays.
    place.file("out.npy", b"mine");
    place.mistake(&["decompress", "run", "flipped.chr", "--out", "out.npy"]);
    assert_eq!(fs::read(place.path("out.npy")).unwrap(), b"mine");
    for (arguments, parts) in [
        (&["decompress", "run", "d.chr", "--out", "d.txt"][..], &["-ubyte"][..]),
        (&["decompress", "run", "d.chr", "--out", "d.npy", "--columns", "3"], &["only with .png"]),
        (&["compress", "run", "digitz", "--out", "x.chr"], &["did you mean \"digits\"?"]),
        (&["compress", "run", "out.npy", "--out", "x.chr"], &["out.npy"]),
        (&["compress", "run", "d.npy", "--split", "test", "--out", "x.chr"], &["d.npy"]),
    ] {
        let message = place.mistake(arguments);
        for part in parts {
            assert!(message.contains(part), "{arguments:?} says not {part:?}: {message}");
        }
    }
    assert!(!place.path("x.chr").exists());
}

#[test]
fn tables_keep_their_names() {
    let place = Place::new();
    let rows: String = (0..60).map(|i| format!("{},{},{}\n", i % 3, i / 3 % 2, i % 2)).collect();
    place.file("t.csv", format!("a,b,c\n{rows}"));
    let config = "name = \"t\"\n[data]\ntrain = \"t.csv\"\n[model]\nkind = \"full-table\"\n";
    place.file("t.toml", config);
    place.json(&["train", "t.toml", "--out", "run"]);
    let record = place.json(&["compress", "run", "t.csv", "--out", "t.chr", "--verify"]);
    let names: Vec<&Value> =
        record["baselines"].as_array().unwrap().iter().map(|b| &b["name"]).collect();
    assert_eq!(names, ["xz -9", "gzip -9", "packed"]);
    place.json(&["decompress", "run", "t.chr", "--out", "back.csv"]);
    let [back, first] = ["back.csv", "t.csv"].map(|f| fs::read_to_string(place.path(f)).unwrap());
    assert_eq!(back, first);
}

#[test]
fn an_input_is_not_written_over() {
    let place = trained(MARKOV, &[]);
    place.json(&["data", "export", "digits", "--split", "valid", "--out", "v.csv"]);
    let before = fs::read(place.path("v.csv")).unwrap();
    for arguments in [
        &["compress", "run", "v.chr", "--out", "v.chr"][..],
        &["eval", "run", "--data", "v.npy", "--per-variable", "./v.npy"],
        &["complete", "run", "--data", "v.npy", "--observe", "top-half", "--out", "v.npy"],
    ] {
        for name in ["v.npy", "v.chr"] {
            fs::copy(place.path("v.csv"), place.path(name)).unwrap();
        }
        let message = place.mistake(arguments);
        assert!(message.contains("would be written over"), "{message}");
    }
    assert_eq!(fs::read(place.path("v.csv")).unwrap(), before);
}
