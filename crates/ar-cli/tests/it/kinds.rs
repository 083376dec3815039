//! Every kind of model goes through every command with the file that it was trained on.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::common::Place;
use crate::npy::npy;

/// A model of the table below, and what of it is possible.
struct Kind {
    kind: &'static str,
    keys: &'static str,
    is_neural: bool,
    /// Whether `model.classes` is a key of it.
    has_classes: bool,
    /// Whether there are hidden units to be features.
    has_features: bool,
}

const fn counted(kind: &'static str, keys: &'static str) -> Kind {
    Kind { kind, keys, is_neural: false, has_classes: false, has_features: false }
}

const fn neural(kind: &'static str, keys: &'static str, has_classes: bool) -> Kind {
    Kind { kind, keys, is_neural: true, has_classes, has_features: true }
}

/// All kinds of bits.
const KINDS: [Kind; 15] = [
    counted("uniform", ""),
    counted("independent", ""),
    counted("markov", "order = 2"),
    counted("neighbourhood", "offsets = [[0, -1], [-1, 0]]"),
    counted("bayesian-network", "parents = { b = [\"a\"], f = [\"e\", 0] }"),
    counted("full-table", ""),
    counted("kernel", ""),
    Kind { has_features: false, ..neural("logistic", "", false) },
    neural("nade", "hidden = 4", true),
    neural("made", "hidden = [5]", false),
    neural("orderless-nade", "hidden = [5]", false),
    neural("row-lstm", "hidden = 2\nlayers = 1", true),
    neural("diagonal-lstm", "hidden = 2\nlayers = 1", true),
    neural("diagonal-bilstm", "hidden = 2\nlayers = 1", true),
    neural("pixel-cnn", "hidden = 2\nlayers = 1", true),
];

/// 80 rows of two by three bits, of two classes.
fn rows() -> Vec<([u8; 6], &'static str)> {
    (0..80_usize)
        .map(|i| {
            let class = usize::from(i % 5 < 2);
            let bit = |k: usize| u8::from((i * (2 * k + 3) + class) % 7 < 3 + class);
            let row = [bit(0), bit(1), bit(2), bit(3), bit(4), bit(4) ^ u8::from(i % 19 == 0)];
            (row, ["ham", "spam"][class])
        })
        .collect()
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// The table with its columns in this order, the classes after the last one where they are asked for.
fn table(order: &[usize], separator: &str, with_classes: bool) -> String {
    let mut head: Vec<&str> = order.iter().map(|&k| NAMES[k]).collect();
    head.extend(with_classes.then_some("class"));
    let mut text = head.join(separator) + "\n";
    for (bits, class) in rows() {
        let mut cells: Vec<String> = order.iter().map(|&k| bits[k].to_string()).collect();
        cells.extend(with_classes.then(|| class.to_owned()));
        writeln!(text, "{}", cells.join(separator)).unwrap();
    }
    text
}

fn config(kind: &Kind, data: &str, more: &str) -> String {
    let train = if kind.is_neural { "[train]\nepochs = 2\nbatch_size = 16\n" } else { "" };
    format!(
        "name = \"c\"\n[data]\n{data}\n[model]\nkind = \"{}\"\n{}\n{more}\n{train}",
        kind.kind, kind.keys
    )
}

fn fortran() -> Vec<u8> {
    let columns = (0..6).flat_map(|k| rows().into_iter().map(move |(bits, _)| bits[k]));
    npy("|i1", true, "80, 6", &columns.collect::<Vec<u8>>())
}

#[test]
fn every_kind_knows_its_training_file_in_every_command_and_form() {
    let place = Place::new();
    let all = [0, 1, 2, 3, 4, 5];
    let own = table(&all, ",", false);
    place.file("own.csv", &own);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, own.as_bytes()).unwrap();
    place.file("own.csv.gz", gzip.finish().unwrap());
    place.file("permuted.csv", table(&[3, 0, 5, 1, 4, 2], ",", false));
    place.file("more.csv", table(&all, ",", true));
    place.file("tabs.tsv", table(&all, "\t", false));
    place.file("fortran.npy", fortran());
    for kind in &KINDS {
        let name = kind.kind;
        let _ = fs::remove_dir_all(place.path("run"));
        let data = "train = \"own.csv\"\ntest = \"own.csv\"\nshape = [2, 3]";
        place.file("c.toml", config(kind, data, ""));
        let trained = place.json(&["train", "c.toml", "--out", "run"]);
        let number = &trained["test"]["nll_nats"];
        let evaluated = place.json(&["eval", "run", "--data", "own.csv"]);
        assert_eq!(&evaluated["nll_nats"], number, "{name}");
        let scored = place.json(&["score", "run", "--data", "own.csv", "--out", "own.npy"]);
        let mean = scored["data"]["nll_nats"].as_f64().unwrap();
        assert!((mean - number.as_f64().unwrap()).abs() < 1e-9 * mean.abs(), "{name}: {scored}");
        let expected = fs::read(place.path("own.npy")).unwrap();
        place.json(&["data", "export", "run", "--split", "train", "--out", "own.parquet"]);
        for form in
            ["own.csv.gz", "permuted.csv", "more.csv", "tabs.tsv", "fortran.npy", "own.parquet"]
        {
            place.json(&["score", "run", "--data", form, "--out", "form.npy"]);
            assert_eq!(fs::read(place.path("form.npy")).unwrap(), expected, "{name}: {form}");
        }
        place.json(&["compress", "run", "own.csv", "--out", "own.chr"]);
        place.json(&["decompress", "run", "own.chr", "--out", "back.csv"]);
        assert_eq!(fs::read_to_string(place.path("back.csv")).unwrap(), own, "{name}");
        let half = ["--observe", "top-half", "--out", "completed.npy"];
        place.json(&[&["complete", "run", "--data", "own.csv"], &half[..]].concat());
        let report = place.json(&["report", "run", "--against", "own.csv"]);
        assert!(report.is_object(), "{name}: {report}");
        let features = ["features", "run", "--data", "own.csv", "--out", "f.npy"];
        if kind.has_features {
            place.json(&features);
        } else {
            place.mistake(&features);
        }
        place.json(&["sample", "run", "--count", "9", "--out", "s.csv"]);
        let samples = fs::read_to_string(place.path("s.csv")).unwrap();
        assert!(samples.starts_with("a,b,c,d,e,f\n") && samples.lines().count() == 10, "{samples}");
    }
}

#[test]
fn every_kind_classifies_its_training_file_by_names() {
    let place = Place::new();
    let all = [0, 1, 2, 3, 4, 5];
    place.file("own.csv", table(&all, ",", true));
    place.file("permuted.csv", table(&[4, 5, 0, 1, 2, 3], ",", true));
    for kind in &KINDS {
        let name = kind.kind;
        let data = "train = \"own.csv\"\ntest = \"own.csv\"\nlabel = \"class\"\nshape = [2, 3]";
        let mut runs: Vec<String> = Vec::new();
        if kind.has_classes {
            place.file("c.toml", config(kind, data, "classes = 2"));
            let run = format!("{name}-both");
            place.json(&["train", "c.toml", "--out", &run]);
            runs.push(run);
        } else {
            for class in ["0", "1"] {
                place.file("c.toml", config(kind, &format!("{data}\nclass = {class}"), ""));
                let run = format!("{name}-{class}");
                place.json(&["train", "c.toml", "--out", &run]);
                runs.push(run);
            }
        }
        let classify = |more: &[&str]| -> Value {
            let runs: Vec<&str> = runs.iter().map(String::as_str).collect();
            place.json(&[&["classify"], &runs[..], more].concat())
        };
        let of_own = classify(&["--data", "own.csv", "--out", "own-p.csv"]);
        let of_split = classify(&["--split", "test", "--out", "split-p.csv"]);
        let permuted = classify(&["--data", "permuted.csv", "--out", "permuted-p.csv"]);
        assert_eq!(of_own["class_names"], serde_json::json!(["ham", "spam"]), "{name}");
        for other in [&of_split, &permuted] {
            for key in ["accuracy", "log_loss_nats", "confusion", "nll_nats"] {
                assert_eq!(of_own[key], other[key], "{name}: {key}");
            }
        }
        let read = |file: &str| fs::read_to_string(place.path(file)).unwrap();
        assert_eq!(read("own-p.csv"), read("permuted-p.csv"), "{name}");
        assert_eq!(read("own-p.csv"), read("split-p.csv"), "{name}");
        assert!(
            read("own-p.csv").starts_with("row,label,prediction,p_ham,p_spam,log_p_x\n0,spam,")
        );
    }
}
