//! Tables and images as people have them: one file means one thing, whatever it is written as.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::common::{Place, text};
use crate::npy::npy;

/// 60 rows of three decimals with names, and the same as Parquet (columns c, a, b; three row groups) and as
/// Arrow (four batches), both written by pyarrow 26.
const REAL: &str = include_str!("../data/real.csv");
const PARQUET: &[u8] = include_bytes!("../data/real.parquet");
const ARROW: &[u8] = include_bytes!("../data/real.arrow");

const RNADE: &str =
    "[model]\nkind = \"rnade\"\nhidden = 8\ncomponents = 3\n[train]\nepochs = 3\nbatch_size = 20\n";
const NADE: &str = "[model]\nkind = \"nade\"\nhidden = 4\n[train]\nepochs = 2\nbatch_size = 20\n";
const MARKOV: &str = "[model]\nkind = \"markov\"\norder = 1\n";

fn config(place: &Place, data: &str, model: &str) {
    place.file("c.toml", format!("name = \"c\"\nseed = 1\n[data]\n{data}\n{model}"));
}

fn cells() -> Vec<Vec<&'static str>> {
    REAL.lines().skip(1).map(|line| line.split(',').collect()).collect()
}

fn joined(header: &str, separator: &str, row: impl Fn(usize, &[&str]) -> Vec<String>) -> String {
    let mut text = format!("{header}\n");
    for (i, cells) in cells().iter().enumerate() {
        writeln!(text, "{}", row(i, cells).join(separator)).unwrap();
    }
    text
}

fn own(_: usize, cells: &[&str]) -> Vec<String> {
    cells.iter().map(|&cell| cell.to_owned()).collect()
}

fn nll(record: &Value) -> f64 {
    record["nll_nats"].as_f64().unwrap_or_else(|| panic!("no number in {record}"))
}

/// Bits of which the last is nearly always the one before it.
fn bits(rows: usize) -> Vec<[u8; 6]> {
    (0..rows)
        .map(|i| {
            let bit = |k: usize| u8::from((i * (2 * k + 3)) % 7 < 3);
            [bit(0), bit(1), bit(2), bit(3), bit(4), bit(4) ^ u8::from(i % 19 == 0)]
        })
        .collect()
}

#[test]
fn the_training_file_in_any_form_has_the_scores_of_training() {
    let place = Place::new();
    place.file("real.csv", REAL);
    config(&place, "train = \"real.csv\"\ntest = \"real.csv\"", RNADE);
    let trained = place.json(&["train", "c.toml", "--out", "run"]);
    let reversed = joined("c,b,a", ",", |_, cells| own(0, cells).into_iter().rev().collect());
    let extra = joined("a,b,label,c", ",", |i, cells| {
        vec![cells[0].into(), cells[1].into(), (i % 7).to_string(), cells[2].into()]
    });
    let r = joined("\"a\" \"b\" \"c\"", " ", |i, cells| {
        [vec![format!("\"{}\"", i + 1)], own(0, cells)].concat()
    });
    let comma = joined("a;b;c", ";", |_, cells| own(0, cells)).replace('.', ",");
    let utf16: Vec<u8> = REAL.encode_utf16().fold(vec![0xff, 0xfe], |mut bytes, unit| {
        bytes.extend(unit.to_le_bytes());
        bytes
    });
    let columns: Vec<u8> = (0..3)
        .flat_map(|k| cells().into_iter().map(move |row| row[k].parse::<f64>().unwrap()))
        .flat_map(f64::to_le_bytes)
        .collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, REAL.as_bytes()).unwrap();
    place.json(&["score", "run", "--data", "real.csv", "--out", "expected.csv"]);
    let expected = fs::read_to_string(place.path("expected.csv")).unwrap();
    for (name, content) in [
        ("reversed.csv", reversed.into_bytes()),
        ("extra.csv", extra.into_bytes()),
        ("tabs.tsv", joined("a\tb\tc", "\t", own).into_bytes()),
        ("bars.txt", joined("a|b|c", "|", own).into_bytes()),
        ("excel.csv", format!("sep=;\n{}", joined("a;b;c", ";", own)).into_bytes()),
        ("comma.csv", comma.into_bytes()),
        ("r.txt", r.into_bytes()),
        (
            "trailing.csv",
            joined("a,b,c,", ",", |_, c| [own(0, c), vec![String::new()]].concat()).into_bytes(),
        ),
        ("comment.csv", joined("# made by a logger\n# a,b,c", ",", own).into_bytes()),
        ("mac.csv", REAL.replace('\n', "\r").into_bytes()),
        ("bom.csv", [b"\xef\xbb\xbf", REAL.as_bytes()].concat()),
        ("utf16.csv", utf16),
        ("bare.csv", REAL.split_once('\n').unwrap().1.as_bytes().to_vec()),
        ("real.csv.gz", gzip.finish().unwrap()),
        ("fortran.npy", npy("<f8", true, "60, 3", &columns)),
        ("real.parquet", PARQUET.to_vec()),
        ("real.arrow", ARROW.to_vec()),
    ] {
        place.file(name, content);
        let evaluated = place.json(&["eval", "run", "--data", name]);
        assert_eq!(evaluated["nll_nats"], trained["test"]["nll_nats"], "{name}");
        place.json(&["score", "run", "--data", name, "--out", "s.csv"]);
        assert_eq!(fs::read_to_string(place.path("s.csv")).unwrap(), expected, "{name}");
    }
    // From standard input, too.
    let mut command =
        place.chainrule(&["score", "run", "--data", "-", "--out", "s.csv", "--quiet"]);
    command.write_stdin(REAL).assert().success();
    assert_eq!(fs::read_to_string(place.path("s.csv")).unwrap(), expected);
    let mut command = place.chainrule(&["eval", "run", "--data", "-", "--json", "--quiet"]);
    let output = command.write_stdin(REAL).output().unwrap();
    let evaluated: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&evaluated["nll_nats"], &evaluated["examples"]),
        (&trained["test"]["nll_nats"], &60.into())
    );
    // What differs is said, and an error where asked for.
    let output = place.chainrule(&["score", "run", "--data", "extra.csv"]).output().unwrap();
    assert!(
        text(&output.stderr).contains("1 column is not known to the run and left out: \"label\"")
    );
    for (name, part) in [("extra.csv", "\"label\""), ("reversed.csv", "another order")] {
        let message = place.mistake(&["score", "run", "--data", name, "--strict"]);
        assert!(message.contains(part), "{message}");
    }
    place.json(&["eval", "run", "--data", "extra.csv", "--drop", "label", "--strict"]);
    // Every missing column is named at once.
    place.file("renamed.csv", joined("p,b,q", ",", own));
    let message = place.mistake(&["eval", "run", "--data", "renamed.csv"]);
    assert!(message.contains("2 columns are missing: \"a\", \"c\""), "{message}");
    assert!(message.contains("2 columns are not expected: \"p\", \"q\""), "{message}");
}

#[test]
fn a_reordered_validation_file_chooses_the_same_epoch() {
    let place = Place::new();
    place.file("real.csv", REAL);
    let reversed = joined("c,b,a", ",", |_, cells| own(0, cells).into_iter().rev().collect());
    place.file("reversed.csv", reversed);
    let records = ["real.csv", "reversed.csv"].map(|other| {
        config(
            &place,
            &format!("train = \"real.csv\"\nvalid = \"{other}\"\ntest = \"{other}\""),
            RNADE,
        );
        place.json(&["train", "c.toml", "--out", &format!("run-{other}")])
    });
    assert_eq!(records[0]["valid"]["nll_nats"], records[1]["valid"]["nll_nats"]);
    assert_eq!(records[0]["best_epoch"], records[1]["best_epoch"]);
}

#[test]
fn what_a_file_is_said_to_be_holds_in_every_command() {
    let place = Place::new();
    let floats: Vec<u8> =
        bits(60).concat().into_iter().flat_map(|bit| f32::from(bit).to_le_bytes()).collect();
    place.file("bits.npy", npy("<f4", false, "60, 6", &floats));
    fs::create_dir(place.path("images")).unwrap();
    for (i, row) in bits(12).into_iter().enumerate() {
        let pixels = row.map(|bit| 255 * bit).to_vec();
        let image = image::GrayImage::from_raw(3, 2, pixels).unwrap();
        image.save(place.path("images").join(format!("{i:02}.png"))).unwrap();
        // What macOS leaves beside every file.
        fs::write(place.path("images").join(format!("._{i:02}.png")), b"\0\x05\x16\x07").unwrap();
    }
    for (data, stated) in [
        ("bits.npy", "kind = \"binary\""),
        ("bits.npy", "kind = \"symbols\""),
        ("bits.npy", ""),
        ("images", "kind = \"binary\""),
    ] {
        let _ = fs::remove_dir_all(place.path("run"));
        config(&place, &format!("train = \"{data}\"\ntest = \"{data}\"\n{stated}"), NADE);
        let trained = place.json(&["train", "c.toml", "--out", "run"]);
        let number = trained["test"]["nll_nats"].clone();
        assert_eq!(place.json(&["eval", "run", "--data", data])["nll_nats"], number, "{stated}");
        let scored = place.json(&["score", "run", "--data", data]);
        assert!((nll(&scored["data"]) - number.as_f64().unwrap()).abs() < 1e-6);
        place.json(&["compress", "run", data, "--out", "a.chr"]);
        place.json(&["features", "run", "--data", data, "--out", "f.npy"]);
        place.json(&["report", "run", "--against", data]);
        if data == "images" {
            place.json(&[
                "complete",
                "run",
                "--data",
                data,
                "--observe",
                "top-half",
                "--out",
                "completed.npy",
            ]);
        }
    }
}

#[test]
fn large_numbers_of_small_spread_keep_their_values() {
    let place = Place::new();
    let rows: String =
        (0..60).map(|i| format!("{},{}\n", 1_700_000_000 + i, (i * 7) % 13)).collect();
    place.file("t.csv", format!("time,v\n{rows}"));
    config(&place, "train = \"t.csv\"\nkind = \"real\"", RNADE);
    place.json(&["train", "c.toml", "--out", "run"]);
    place.json(&["data", "export", "run", "--split", "train", "--out", "e.csv"]);
    let exported = fs::read_to_string(place.path("e.csv")).unwrap();
    assert_eq!(exported.lines().nth(2), Some("1700000001,7"));
    place.json(&["sample", "run", "--out", "s.csv", "--count", "50"]);
    let samples = fs::read_to_string(place.path("s.csv")).unwrap();
    let times: Vec<f64> = samples
        .lines()
        .skip(1)
        .map(|row| row.split(',').next().unwrap().parse().unwrap())
        .collect();
    assert!(times.iter().all(|time| (time - 1.7e9).abs() < 1000.0));
    let distinct: std::collections::BTreeSet<u64> =
        times.iter().map(|time| time.to_bits()).collect();
    assert!(distinct.len() > 40, "in single precision they would be few: {}", distinct.len());
}

#[test]
fn headers_names_and_columns_are_what_they_look_like() {
    let place = Place::new();
    let lines: String =
        bits(40).iter().map(|row| row.map(|bit| bit.to_string()).join(",") + "\n").collect();
    // A data frame without names.
    place.file("counted.csv", format!("0,1,2,3,4,5\n{lines}"));
    let info = place.json(&["data", "info", "counted.csv"]);
    assert_eq!((&info["table"]["rows"], &info["parts"][0]["levels"]), (&40.into(), &2.into()));
    // A name that occurs twice cannot say which column is meant.
    place.file("twice.csv", joined("a,b,a", ",", own));
    config(&place, "train = \"twice.csv\"\ndrop = [\"a\"]", RNADE);
    let message = place.mistake(&["train", "c.toml", "--out", "run"]);
    assert!(message.contains("found \"a\" over columns 0 and 2 (from 0)"), "{message}");
    config(&place, "train = \"twice.csv\"\ndrop = [-1]", RNADE);
    place.json(&["train", "c.toml", "--out", "run"]);
    // A rarer separator inside a name does not win.
    place.file("name.csv", joined("temp (mean; C),b,c", ",", own));
    let info = place.json(&["data", "info", "name.csv"]);
    assert_eq!(info["table"]["columns"][0]["name"], "temp (mean; C)");
    // All constant columns are named at once.
    let constant = joined("a,k,b,c,l", ",", |_, cells| {
        vec![cells[0].into(), "7".into(), cells[1].into(), cells[2].into(), "0.5".into()]
    });
    place.file("constant.csv", constant);
    config(&place, "train = \"constant.csv\"", RNADE);
    let message = place.mistake(&["train", "c.toml", "--out", "run2"]);
    assert!(
        message.contains("2 columns have one value in all 60 training rows: `k`, `l`"),
        "{message}"
    );
    assert!(message.contains("data.drop = [\"k\", \"l\"]"), "{message}");
    // The file at fault is named.
    place.file("whole.csv", "a,b\n1,2\n0,1\n2,0\n1,1\n");
    place.file("half.csv", "a,b\n1,2\n0.5,1\n");
    config(
        &place,
        "train = \"whole.csv\"\ntest = \"half.csv\"",
        "[model]\nkind = \"independent\"\n",
    );
    let message = place.mistake(&["train", "c.toml", "--out", "run3"]);
    assert!(message.contains("half.csv: line 3, column 1"), "{message}");
}

#[test]
fn missing_cells_words_and_labels_are_used_or_said() {
    let place = Place::new();
    let mut rows = cells().iter().map(|row| row.join(",")).collect::<Vec<_>>();
    rows[4] = "0.5,?,-2".into();
    place.file("holes.csv", format!("a,b,c\n{}\n", rows.join("\n")));
    config(&place, "train = \"holes.csv\"", RNADE);
    let message = place.mistake(&["train", "c.toml", "--out", "run"]);
    assert!(message.contains("line 6, column 2: missing: expected a number in \"b\""), "{message}");
    assert!(message.contains("data.bad_rows = \"skip\""), "{message}");
    config(&place, "train = \"holes.csv\"\nbad_rows = \"skip\"", RNADE);
    let output = place.chainrule(&["train", "c.toml", "--out", "run"]).output().unwrap();
    assert!(text(&output.stderr).contains("holes.csv: 1 of 60 rows are left out"));
    // Words, one of them missing, are categories; a missing one is an outcome of its own.
    let words: String = (0..80)
        .map(|i| {
            let colour = ["red", "blue", ""][i % 3];
            format!("{colour},{},{}\n", ["s", "m", "l"][(i % 3 + i / 40) % 3], ["no", "yes"][i % 2])
        })
        .collect();
    place.file("words.csv", format!("colour,size,class\n{words}"));
    config(&place, "train = \"words.csv\"\ntest = \"words.csv\"\nlabel = \"class\"", MARKOV);
    let trained = place.json(&["train", "c.toml", "--out", "words"]);
    assert_eq!((&trained["levels"], &trained["train_labels"][1]), (&Value::Null, &40.into()));
    let evaluated = place.json(&["eval", "words", "--data", "words.csv"]);
    assert_eq!(evaluated["nll_nats"], trained["test"]["nll_nats"]);
    place.file("new.csv", "size,colour\ns,green\ns,red\n");
    // A word that training never saw is unlikely, and no error.
    place.json(&["score", "words", "--data", "new.csv", "--out", "n.csv", "--score", "log-prob"]);
    let scores = fs::read_to_string(place.path("n.csv")).unwrap();
    let nats: Vec<f64> = scores
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).unwrap().parse().unwrap())
        .collect();
    assert!(nats[0].is_finite() && nats[0] < nats[1] - 1.0, "{scores}");
    // What is drawn comes in the words of the table, and is read again.
    place.json(&["sample", "words", "--out", "s.csv", "--count", "40"]);
    let samples = fs::read_to_string(place.path("s.csv")).unwrap();
    assert!(samples.starts_with("colour,size\n") && samples.contains("blue,"), "{samples}");
    place.json(&["eval", "words", "--data", "s.csv"]);
    // Words beside numbers: which columns a model of today leaves over is said, ready to be pasted.
    let mixed: String = REAL
        .lines()
        .zip(format!("class\n{words}").lines())
        .map(|(a, b)| format!("{a},{b}\n"))
        .collect();
    place.file(
        "mixed.csv",
        mixed.replace("class\n", "colour,size,class\n").replacen(",class,", ",", 1),
    );
    config(&place, "train = \"mixed.csv\"", RNADE);
    let message = place.mistake(&["train", "c.toml", "--out", "mixed"]);
    assert!(message.contains("data.drop = [\"colour\", \"size\", \"class\"]"), "{message}");
}

/// A table of categories of 2, 3 and 7 labels, one of which may be missing, that depend on each other.
fn of_categories() -> String {
    let row = |i: usize| {
        let size = ["s", "m", "l"][(i * i + i / 7) % 3];
        let colour = ["", "red", "blue", "green", "white", "black", "grey"][(i * 5 + i / 11) % 7];
        let is_light = ["no", "yes"][usize::from(size == "s" || i.is_multiple_of(9))];
        format!("{is_light},{colour},{size}\n")
    };
    let rows: String = (0..200).map(row).collect();
    format!("light,colour,size\n{rows}")
}

#[test]
fn tables_of_categories_go_through_every_command_in_their_own_words() {
    for (kind, parents) in [
        ("independent", ""),
        ("markov", "model.order = 2"),
        ("bayesian-network", "model.parents = [[], [2], [0]]"),
    ] {
        let place = Place::new();
        place.file("t.csv", of_categories());
        let mut train = vec!["train", "t.csv", "--model", kind, "--out", "run"];
        let parents = parents.replace(" = ", "=");
        if !parents.is_empty() {
            train.extend(["--set", &parents]);
        }
        let trained = place.json(&train);
        let evaluated = place.json(&["eval", "run"]);
        assert_eq!(evaluated["nll_nats"], trained["test"]["nll_nats"], "{kind}");
        // A whole file comes back, a word that training never saw and an empty cell included.
        place.file("all.csv", format!("{}maybe,pink,xl\nyes,,s\n", of_categories()));
        place.json(&["compress", "run", "all.csv", "--out", "all.chr"]);
        place.json(&["decompress", "run", "all.chr", "--out", "back.csv"]);
        let read = |name: &str| fs::read_to_string(place.path(name)).unwrap();
        assert_eq!(read("back.csv"), read("all.csv"), "{kind}");
        // Draws are of the words of training, and meet conditions on later columns.
        place.json(&[
            "sample", "run", "--count", "100", "--given", "size=s|l", "--given", "colour!=",
            "--out", "d.csv",
        ]);
        for line in read("d.csv").lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            assert!(["no", "yes"].contains(&cells[0]) && ["s", "l"].contains(&cells[2]), "{line}");
            assert!(!cells[1].is_empty() && cells[1] != "pink", "{line}");
        }
        // Probabilities of parts add up.
        let p = |condition: &str| {
            let record = place.json(&["probability", "run", "--where", condition]);
            record["log_prob_nats"].as_f64().unwrap_or_else(|| panic!("{record}")).exp()
        };
        let sum = p("size=s") + p("size=m") + p("size=l");
        // But for any other word, 1 / (n + 1).
        assert!((sum - (1.0 - 1.0 / 161.0)).abs() < 1e-9, "{kind}: {sum}");
        place.json(&["complete", "run", "--data", "t.csv", "--hide", "0.1", "--out", "f.csv"]);
        place.json(&["data", "export", "run", "--split", "train", "--out", "e.csv"]);
        place.json(&["report", "run", "--against", "t.csv"]);
    }
    // Columns of numbers are refused as ever.
    let place = Place::new();
    let numbers: String =
        (0..100).map(|i| format!("{},{}.5\n", ["a", "b", "c"][i % 3], i * 7)).collect();
    place.file("t.csv", format!("word,number\n{numbers}"));
    config(&place, "train = \"t.csv\"", MARKOV);
    let message = place.mistake(&["train", "c.toml", "--out", "run"]);
    assert!(message.contains("describes categories, which these are not: \"number\""), "{message}");
}

#[test]
fn images_come_with_their_classes() {
    let place = Place::new();
    for (class, name) in ["3", "7"].iter().enumerate() {
        fs::create_dir_all(place.path("root").join(name)).unwrap();
        for i in 0..6_u8 {
            // An alpha that is opaque throughout is nothing.
            let pixels =
                (0..4).flat_map(|k| [255 * u8::from((k + i as usize) % 2 == class), 255]).collect();
            let image = image::GrayAlphaImage::from_raw(2, 2, pixels).unwrap();
            image.save(place.path("root").join(name).join(format!("{i}.png"))).unwrap();
        }
    }
    let model = NADE.replace("hidden = 4", "hidden = 4\nclasses = 8");
    config(&place, "train = \"root\"\ntest = \"root\"\nbinarize = \"threshold\"", &model);
    let trained = place.json(&["train", "c.toml", "--out", "run"]);
    assert_eq!((&trained["train_labels"][3], &trained["train_labels"][7]), (&6.into(), &6.into()));
    let record = place.json(&["classify", "run", "--data", "root"]);
    assert_eq!(record["examples"], 12);
    // A file of labels beside IDX.
    let images: Vec<u8> =
        [vec![0, 0, 8, 3, 0, 0, 0, 20, 0, 0, 0, 2, 0, 0, 0, 2], vec![1; 80]].concat();
    let labels: Vec<u8> =
        [vec![0, 0, 8, 1, 0, 0, 0, 20], (0..20).map(|i| i % 2).collect()].concat();
    place.file("x-ubyte", images);
    place.file("y-ubyte", labels);
    let model = NADE.replace("hidden = 4", "hidden = 4\nclasses = 2");
    config(&place, "train = \"x-ubyte\"\nlabels = \"y-ubyte\"\nlevels = 2", &model);
    let trained = place.json(&["train", "c.toml", "--out", "idx"]);
    assert_eq!(trained["train_labels"][1], 10);
    // Several files, as a list or a pattern.
    let record = |label: u8| [vec![label], vec![9; 3072]].concat();
    place.file("b_1.bin", [record(1), record(2)].concat());
    place.file("b_2.bin", record(3));
    for files in ["[\"b_1.bin\", \"b_2.bin\"]", "\"b_*.bin\""] {
        let _ = fs::remove_dir_all(place.path("cifar"));
        config(&place, &format!("train = {files}"), "[model]\nkind = \"independent\"\n");
        let trained = place.json(&["train", "c.toml", "--out", "cifar"]);
        assert_eq!(trained["train_labels"], serde_json::json!([0, 1, 1, 1]));
    }
}

#[test]
fn a_file_alone_is_enough_to_train_on() {
    let place = Place::new();
    let table = joined(",a,b,c,k,class", ",", |i, cells| {
        let class = ["low", "high"][usize::from(i > 30)].to_owned();
        [vec![(i + 1).to_string()], own(0, cells), vec!["5".into(), class]].concat()
    });
    place.file("t.csv", table);
    let output =
        place.chainrule(&["train", "t.csv", "--label", "class", "--out", "run"]).output().unwrap();
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let (index, constant) =
        ("column 0 (from 0): counts the rows: an index", "\"k\": one value throughout");
    assert!(stderr.contains(index) && !stderr.contains(&format!("; {constant}")), "{stderr}");
    // A constant is a category, whose change is what a detector of anomalies must see.
    let inspected = place.json(&["inspect", "run"]);
    assert_eq!((&inspected["model"], &inspected["variables"]), (&"nade".into(), &4.into()));
    let numbers = ["train", "t.csv", "--label", "class", "--model", "rnade", "--out", "numbers"];
    let output = place.chainrule(&numbers).output().unwrap();
    assert!(text(&output.stderr).contains(constant), "{}", text(&output.stderr));
    assert_eq!(place.json(&["inspect", "numbers"])["variables"], 3);
    // What `init` prints is the config that this was.
    let printed = place.json(&["init", "t.csv", "--label", "class"]);
    place.file("init.toml", printed["config"].as_str().unwrap());
    place.json(&["train", "init.toml", "--out", "again"]);
    let [first, again] = ["run", "again"].map(|run| place.json(&["eval", run]));
    assert_eq!(first["nll_nats"], again["nll_nats"]);
    let message = place.mistake(&["train", "t.csv", "--model", "nad"]);
    assert!(message.contains("did you mean nade?"), "{message}");
}

#[test]
fn formats_that_are_not_read_are_named_with_a_way_on() {
    let place = Place::new();
    for (name, content, found, hint) in [
        ("page.csv", &b"<!DOCTYPE html><html>"[..], "a web page", "raw address"),
        ("lfs.csv", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS", "git lfs pull"),
        ("m.mat", b"MATLAB 5.0 MAT-file", "a MATLAB file", "scipy.io.loadmat"),
        ("t.arff", b"@relation r\n", "ARFF", "loadarff"),
        ("t.libsvm", b"+1 1:0.5 3:1\n", "sparse rows", "load_svmlight_file"),
        ("t.csv.xz", b"\xfd7zXZ\0", "xz", "unxz"),
        ("t.h5", b"\x89HDF\r\n\x1a\n", "HDF5", "h5py"),
        ("t.parquet", b"PAR1", "t.parquet", ""),
    ] {
        place.file(name, content);
        let message = place.mistake(&["data", "info", name]);
        assert!(message.contains(found) && message.contains(hint), "{message}");
    }
    for (descr, hint) in [("|O", "Python objects are pickled"), ("<c8", "two real ones")] {
        place.file("a.npy", npy(descr, false, "2, 2", &[0; 64]));
        let message = place.mistake(&["data", "info", "a.npy"]);
        assert!(message.contains(hint), "{message}");
    }
}

#[test]
fn classes_with_names_are_told_apart_by_them() {
    let place = Place::new();
    let image = |folder: &str, i: u8, is_dark: bool| {
        let pixels = (0..4).map(|k| 255 * u8::from((k + i).is_multiple_of(3) || is_dark)).collect();
        let image = image::GrayImage::from_raw(2, 2, pixels).unwrap();
        fs::create_dir_all(place.path(folder)).unwrap();
        image.save(place.path(folder).join(format!("{i}.png"))).unwrap();
    };
    for i in 0..8 {
        image("root/cat", i, false);
        image("root/dog", i, true);
        image("root/owl", i, i % 2 == 0);
        // Other files lack the first class, so that a dog is the first there.
        image("test/dog", i, true);
        image("test/owl", i, i % 2 == 0);
        image("wrong/dog", i, true);
        image("wrong/emu", i, false);
    }
    let model = NADE.replace("hidden = 4", "hidden = 4\nclasses = 3");
    config(&place, "train = \"root\"\ntest = \"test\"\nbinarize = \"threshold\"", &model);
    let trained = place.json(&["train", "c.toml", "--out", "run"]);
    assert_eq!(trained["train_labels"], serde_json::json!([8, 8, 8]));
    assert!(fs::read_to_string(place.path("run/config.toml")).unwrap().contains("\"cat\""));
    let own = place.json(&["classify", "run"]);
    let named = place.json(&["classify", "run", "--data", "test", "--out", "p.parquet"]);
    assert_eq!(named["class_names"], serde_json::json!(["cat", "dog", "owl"]));
    for record in [&own, &named] {
        let sums: Vec<u64> = record["confusion"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum())
            .collect();
        assert_eq!(sums, [0, 8, 8]);
    }
    assert_eq!(own["accuracy"], named["accuracy"]);
    let message = place.mistake(&["classify", "run", "--data", "wrong", "--quiet"]);
    assert!(message.contains("emu") && message.contains("cat, dog, owl"), "{message}");
    // What has no use for classes does not ask for them.
    let independent = "[model]\nkind = \"independent\"\n";
    config(&place, "train = \"root\"\ntest = \"test\"\nbinarize = \"threshold\"", independent);
    place.json(&["train", "c.toml", "--out", "plain"]);
    place.json(&["score", "plain", "--data", "wrong"]);
    let info = place.json(&["data", "info", "p.parquet"]);
    assert_eq!(info["table"]["rows"], 16, "{info}");
    // Names may be stated, too.
    let stated =
        "train = \"root\"\nbinarize = \"threshold\"\nclasses = [\"owl\", \"dog\", \"cat\"]";
    config(&place, stated, &model);
    place.json(&["train", "c.toml", "--out", "stated"]);
    let named = place.json(&["classify", "stated", "--data", "test"]);
    assert_eq!(named["class_names"], serde_json::json!(["owl", "dog", "cat"]));
    config(&place, &stated.replace("\"cat\"]", "\"dog\"]"), &model);
    let message = place.mistake(&["train", "c.toml"]);
    assert!(message.contains("the class \"dog\" twice"), "{message}");
}

#[test]
fn what_is_written_as_parquet_is_what_is_written_as_text() {
    let place = Place::new();
    place.file("real.csv", REAL);
    config(&place, "train = \"real.csv\"\nfolds = 5\nfold_seed = 1", RNADE);
    place.json(&["train", "c.toml", "--out", "run"]);
    let score = |out: &str| {
        let costs = ["--costliest", "2", "--calibrate", "valid", "--out", out];
        place.json(&[&["score", "run", "--data", "real.csv"], &costs[..]].concat());
    };
    let sample = |out: &str| {
        place.json(&["sample", "run", "--count", "40", "--seed", "3", "--out", out]);
    };
    score("s.csv");
    score("s.parquet");
    sample("x.csv");
    sample("x.parquet");
    for (csv, parquet) in [("s.csv", "s.parquet"), ("x.csv", "x.parquet")] {
        let columns = |name: &str| {
            let mut info = place.json(&["data", "info", name]);
            let columns = info["table"]["columns"].take();
            let of = |column: &Value| {
                ["name", "distinct", "missing", "min", "max"].map(|key| column[key].clone())
            };
            columns.as_array().unwrap().iter().map(of).collect::<Vec<_>>()
        };
        assert!(columns(csv).len() >= 3);
        assert_eq!(columns(csv), columns(parquet), "{csv}");
    }
    let message = place.mistake(&["score", "run", "--data", "real.csv", "--out", "s.xlsx"]);
    assert!(message.contains(".csv, .parquet or .npy"), "{message}");
}

#[test]
fn what_looks_wrong_with_a_column_is_said_in_training() {
    let place = Place::new();
    let row = |i: usize| {
        let x = (i * 7 % 23) as f64 + 0.25;
        let wild = if i == 17 { 1e9 } else { (i * 5 % 11) as f64 + 0.5 };
        format!("{i},{x},{wild},{x}\n")
    };
    let rows: String = (0..60).map(row).collect();
    place.file("t.csv", format!("n,x,wild,again\n{rows}"));
    config(&place, "train = \"t.csv\"", RNADE);
    let output = place.chainrule(&["train", "c.toml", "--out", "run"]).output().unwrap();
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    for part in [
        "\"n\": counts the rows: an index",
        "\"wild\": row 17 (from 0), 1000000000, has 99 % of its variance",
        "\"again\": a copy of \"x\"",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    // A draft leaves out what is no variable, and training says the rest once.
    let output = place.chainrule(&["train", "t.csv", "--out", "draft"]).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(stderr.matches("of its variance").count(), 1, "{stderr}");
}

#[test]
fn a_table_of_words_numbers_and_holes_is_described_whole() {
    let place = Place::new();
    let row = |i: usize| {
        let kind = ["ant", "bee", "cat"][(i * 5 + i / 7) % 3];
        let legs = match kind {
            "ant" => "6".to_owned(),
            "bee" => "?".to_owned(),
            _ => (1000 + i % 40).to_string(),
        };
        let weight = ((i * 7) % 50) as f64 / 10.0 + if kind == "cat" { 30.0 } else { 0.0 };
        format!("{kind},{legs},{weight:.1},5\n")
    };
    let rows: String = (0..200).map(row).collect();
    place.file("t.csv", format!("kind,legs,weight,always\n{rows}"));
    let set = ["--set", "train.epochs=80", "--set", "train.batch_size=20"];
    place.json(&[&["train", "t.csv", "--out", "run"], &set[..]].concat());
    let inspected = place.json(&["inspect", "run"]);
    assert_eq!((&inspected["model"], &inspected["variables"]), (&"nade".into(), &4.into()));
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    assert!(config.contains("kind = \"columns\""), "{config}");
    // Its own rows, from a config and again, cost what they cost in training.
    let trained = place.json(&[&["train", "t.csv", "--out", "run", "--resume"], &set[..]].concat());
    let evaluated = place.json(&["eval", "run", "--split", "test"]);
    assert_eq!(evaluated["nll_nats"], trained["test"]["nll_nats"]);
    // In any form, with another order of columns.
    let permuted: String = rows
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            format!("{}\t{}\t{}\t{}\n", cells[2], cells[3], cells[0], cells[1])
        })
        .collect();
    place.file("p.tsv", format!("weight\talways\tkind\tlegs\n{permuted}"));
    for (data, out) in [("t.csv", "a.npy"), ("p.tsv", "b.npy")] {
        place.json(&["score", "run", "--data", data, "--out", out]);
    }
    assert_eq!(fs::read(place.path("a.npy")).unwrap(), fs::read(place.path("b.npy")).unwrap());
    // Draws are in the table's own words: whole numbers, one place, nothing where there was nothing.
    place.json(&["sample", "run", "--count", "300", "--out", "s.csv"]);
    let samples = fs::read_to_string(place.path("s.csv")).unwrap();
    for line in samples.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        assert!(["ant", "bee", "cat"].contains(&cells[0]), "{line}");
        assert!(cells[1].is_empty() || cells[1].parse::<i64>().is_ok(), "{line}");
        assert!(cells[2].split_once('.').is_none_or(|(_, places)| places.len() == 1), "{line}");
        assert_eq!(cells[3], "5", "{line}");
    }
    assert!(samples.lines().filter(|line| line.starts_with("bee,,")).count() > 50, "{samples}");
    // Words, holes and constants that are new are unlikely, and no error.
    place.file(
        "new.csv",
        "kind,legs,weight,always\nant,6,1.5,5\ndog,6,1.5,5\nant,6,,5\nant,6,1.5,7\n",
    );
    place.json(&["score", "run", "--data", "new.csv", "--out", "n.csv"]);
    let scores = fs::read_to_string(place.path("n.csv")).unwrap();
    let nats: Vec<f64> = scores
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).unwrap().parse().unwrap())
        .collect();
    assert!(nats[1..].iter().all(|&odd| odd.is_finite() && odd < nats[0]), "{nats:?}");
    // What was trained on is exported in the table's own words, too.
    place.json(&["data", "export", "run", "--split", "train", "--out", "e.csv"]);
    let exported = fs::read_to_string(place.path("e.csv")).unwrap();
    let own: Vec<String> = rows.lines().map(|line| line.replace('?', "")).collect();
    for line in exported.lines().skip(1) {
        let line = line.split(',').collect::<Vec<_>>();
        let weight = format!("{:.1}", line[2].parse::<f64>().unwrap());
        let line = [line[0], line[1], &weight, line[3]].join(",");
        assert!(own.contains(&line), "{line} is no row of the table");
    }
    for command in [
        &["features", "run", "--data", "t.csv", "--out", "f.npy"][..],
        &["report", "run", "--against", "new.csv"],
        &["data", "export", "run", "--split", "train", "--out", "e.parquet"],
    ] {
        place.json(command);
    }
    let page = fs::read_to_string(place.path("run/report.html")).unwrap();
    assert!(page.contains(">bee<") && !page.contains(">-0"), "samples in the table's words");
    place.json(&["compress", "run", "t.csv", "--out", "a.chr", "--verify"]);
}

#[test]
fn every_network_of_columns_goes_through_every_command() {
    let place = Place::new();
    let row = |i: usize| {
        let kind = ["ant", "bee", "cat"][(i * 5 + i / 7) % 3];
        let legs = if kind == "bee" { "?".to_owned() } else { (i % 40).to_string() };
        let weight = ((i * 7) % 50) as f64 / 10.0 + if kind == "cat" { 30.0 } else { 0.0 };
        format!("{kind},{legs},{weight:.1},{}\n", ["old", "new"][usize::from(weight > 3.0)])
    };
    let rows: String = (0..120).map(row).collect();
    place.file("t.csv", format!("kind,legs,weight,age\n{rows}"));
    for (kind, keys) in [
        ("made", "model.masks=2"),
        ("made", "model.dropout=0.3"),
        ("orderless-nade", "model.orderings=3"),
        ("orderless-nade", "model.dropout=0.3"),
    ] {
        let train = |out: &str, more: &[&str]| {
            let _ = fs::remove_dir_all(place.path(out));
            let given = ["train", "t.csv", "--model", kind, "--out", out, "--set", keys];
            place.json(&[&given[..], &["--set", "train.epochs=3"], more].concat())
        };
        let trained = train("run", &[]);
        let evaluated = place.json(&["eval", "run", "--split", "test"]);
        assert_eq!(evaluated["nll_nats"], trained["test"]["nll_nats"], "{kind} {keys}");
        let inspected = place.json(&["inspect", "run"]);
        let found = (&inspected["model"], &inspected["variables"]);
        assert_eq!(found, (&kind.into(), &4.into()), "{inspected}");
        assert_eq!(inspected["free_parameters"], trained["free_parameters"], "{kind} {keys}");
        place.json(&["score", "run", "--data", "t.csv", "--out", "s.csv", "--costliest", "2"]);
        place.json(&["sample", "run", "--count", "20", "--out", "d.csv"]);
        let drawn = fs::read_to_string(place.path("d.csv")).unwrap();
        assert_eq!(drawn.lines().count(), 21, "{kind} {keys}: {drawn}");
        place.json(&["score", "run", "--data", "d.csv", "--out", "s.csv"]);
        place.json(&["features", "run", "--data", "t.csv", "--out", "f.npy"]);
        assert!(place.json(&["report", "run", "--against", "t.csv"]).is_object());
        // A run per class.
        for class in ["0", "1"] {
            let class_key = format!("data.class={class}");
            train(class, &["--label", "age", "--set", &class_key]);
        }
        let classified = place.json(&["classify", "0", "1", "--split", "test"]);
        assert!(classified["accuracy"].is_number(), "{classified}");
    }
}
