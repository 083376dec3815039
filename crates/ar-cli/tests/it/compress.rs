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

/// A table of every type of column, with what is in it for row k.
fn birds(rows: std::ops::Range<u32>) -> String {
    let mut text = "id;species;mass;bill;depth;sex;note\n".to_owned();
    for k in rows {
        let [species, sex] =
            [["Adelie", "Gentoo", "Chinstrap"][(k % 3) as usize], ["f", "m"][(k % 2) as usize]];
        let mass = if k % 17 == 3 { "NA".into() } else { (3000 + k * 37 % 900).to_string() };
        let bill = 36.5 + f64::from(k * 7 % 150) / 10.0;
        let depth = (f64::from(k) * 0.7).sin() / 3.0;
        text.push_str(&format!("{k};{species};{mass};{bill};{depth};{sex};same\n"));
    }
    text
}

const BIRDS: &str = r#"
name = "birds"
[data]
train = "birds.csv"
drop = ["id"]
label = "sex"
[model]
kind = "nade"
hidden = 8
[train]
epochs = 3
"#;

#[test]
fn a_table_of_columns_comes_back_cell_by_cell() {
    let place = Place::new();
    place.file("birds.csv", birds(0..600));
    place.file("c.toml", BIRDS);
    place.json(&["train", "c.toml", "--out", "run"]);
    // What training never saw: words, a missing label and number, numbers off the grid and far away.
    let strange = "bill;depth;mass;note;species;more\n\
                   41.25;1e300;1e9;other;Emperor;1\n\
                   NA;-1e-300;NA;;\"King; or; \"\"not\"\"\";2\n\
                   -3;0.1;3500.5;same;NA;3\n\
                   40;0;3500;other;Emperor;4\n38;0.25;3100;same;Adelie;5\n";
    for (name, content) in [("all.csv", birds(0..2500)), ("strange.csv", strange.to_owned())] {
        place.file(name, content);
        let record = place.json(&["compress", "run", name, "--out", "t.chr", "--verify"]);
        assert_eq!((&record["real_columns"], &record["values"]), (&1.into(), &"unchanged".into()));
        let size = fs::metadata(place.path("t.chr")).unwrap().len() as f64;
        assert_eq!(number(&record, "bytes"), size);
        let grid = size - number(&record, "real_bytes");
        if name == "all.csv" {
            let nll = number(&record, "nll_bytes");
            assert!(grid > nll && grid < 1.005 * nll + 65.0, "{record}");
            let baselines = record["baselines"].as_array().unwrap();
            assert!(baselines.iter().all(|other| number(other, "bytes") > size), "{record}");
        } else {
            assert_eq!(record["unseen_labels"], 3, "{record}");
        }
        for back in ["back.csv", "back.parquet", "back.npy"] {
            let restored = place.json(&["decompress", "run", "t.chr", "--out", back]);
            assert_eq!(restored["events"], record["events"]);
        }
        // Again from what came back: the same file, so the same cells.
        let first = fs::read(place.path("t.chr")).unwrap();
        for back in ["back.csv", "back.parquet"] {
            place.json(&["compress", "run", back, "--out", "again.chr", "--no-baselines"]);
            assert_eq!(fs::read(place.path("again.chr")).unwrap(), first, "{name} {back}");
        }
    }
    let back = fs::read_to_string(place.path("back.csv")).unwrap();
    let expected = "species,mass,bill,depth,note\n\
                    Emperor,1000000000,41.25,1e300,other\n\
                    \"King; or; \"\"not\"\"\",,,-1e-300,\n\
                    ,3500.5,-3,0.1,same\n\
                    Emperor,3500,40,0,other\nAdelie,3100,38,0.25,same\n";
    assert_eq!(back, expected);
}

#[test]
fn files_of_tables_are_of_their_run_alone() {
    let place = Place::new();
    place.file("birds.csv", birds(0..300));
    place.file("c.toml", BIRDS);
    place.json(&["train", "c.toml", "--out", "run"]);
    place.json(&["train", "c.toml", "--out", "other", "--set", "seed=2"]);
    for threads in ["1", "2"] {
        let out = format!("{threads}.chr");
        let arguments = ["compress", "run", "birds.csv", "--out", &out, "--no-baselines"];
        place.json(&[&arguments[..], &["--threads", threads]].concat());
    }
    let file = fs::read(place.path("1.chr")).unwrap();
    assert!(file == fs::read(place.path("2.chr")).unwrap());
    let mut flipped = file.clone();
    flipped[file.len() / 2] ^= 1;
    place.file("flipped.chr", flipped);
    place.file("cut.chr", &file[..file.len() - 1]);
    for (run, file, expected) in [
        ("other", "1.chr", "compressed with another model"),
        ("run", "flipped.chr", "damaged"),
        ("run", "cut.chr", "ends before its time"),
        ("run", "birds.csv", "not a file that `compress` wrote"),
    ] {
        let message = place.mistake(&["decompress", run, file, "--out", "out.csv"]);
        assert!(message.contains(expected), "{message}");
        assert!(!place.path("out.csv").exists());
    }
    let message = place.mistake(&["compress", "run", "birds.csv", "--out", "p.chr", "--portable"]);
    assert!(message.contains("--portable"), "{message}");
    let output = place
        .chainrule(&["compress", "run", "birds.csv", "--out", "n.chr", "--no-baselines"])
        .output()
        .unwrap();
    let stderr = text(&output.stderr);
    assert!(stderr.contains("no variables of the run: \"id\", \"sex\""), "{stderr}");
}
