//! `classify`: Bayes' rule over the classes of one run, and over one run per class.

use std::fs;

use serde_json::Value;

use crate::common::{Place, config, text};

/// A small NADE of p(x | y) on the digits.
const NADE: &str = r#"
name = "nade-classes"
seed = 5
[data]
name = "digits"
binarize = "threshold"
[model]
kind = "nade"
hidden = 16
classes = 10
[train]
epochs = 4
batch_size = 50
optimizer = { kind = "adam", learning_rate = 1e-2 }
"#;

/// A table of p(x | y) for one y.
const TABLE: &str = r#"
name = "table"
[data]
name = "digits"
binarize = "threshold"
class = 0
[model]
kind = "neighbourhood"
offsets = [[0, -1], [-1, 0]]
"#;

fn number(record: &Value, field: &str) -> f64 {
    record[field].as_f64().unwrap_or_else(|| panic!("no {field} in {record}"))
}

/// The rows of a table of predictions as cells, and its header.
fn table(place: &Place, name: &str) -> (String, Vec<Vec<String>>) {
    let text = fs::read_to_string(place.path(name)).unwrap();
    let mut lines = text.lines();
    let header = lines.next().unwrap().to_owned();
    (header, lines.map(|line| line.split(',').map(str::to_owned).collect()).collect())
}

/// Runs `y0` to `y9`, one per class of the digits.
fn one_run_per_class(place: &Place) -> Vec<String> {
    place.file("table.toml", TABLE);
    let train = |class: usize| {
        let (run, key) = (format!("y{class}"), format!("data.class={class}"));
        place.json(&["train", "table.toml", "--out", &run, "--set", &key]);
        run
    };
    (0..10).map(train).collect()
}

/// The record agrees with the table of predictions that it wrote, and with itself.
fn is_consistent(record: &Value, rows: &[Vec<String>]) {
    let examples = rows.len();
    assert_eq!(record["examples"], examples);
    let (mut right, mut log_loss, mut cost, mut brier) = (0, 0.0, 0.0, 0.0);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!((row.len(), &row[0]), (14, &index.to_string()));
        let (label, prediction): (usize, usize) =
            (row[1].parse().unwrap(), row[2].parse().unwrap());
        let p: Vec<f64> = row[3..13].iter().map(|cell| cell.parse().unwrap()).collect();
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{row:?}");
        assert!(p.iter().all(|&other| other <= p[prediction]), "{row:?}");
        right += usize::from(label == prediction);
        log_loss -= p[label].ln();
        brier += (0..10).map(|y| (p[y] - f64::from(u8::from(y == label))).powi(2)).sum::<f64>();
        cost -= row[13].parse::<f64>().unwrap();
    }
    let mean = |sum: f64| sum / examples as f64;
    let close = |field: &str, expected: f64| {
        assert!((number(record, field) - expected).abs() < 1e-6, "{field}: {expected} in {record}");
    };
    close("accuracy", mean(right as f64));
    close("log_loss_nats", mean(log_loss));
    close("brier", mean(brier));
    close("nll_nats", mean(cost));
    let confusion = record["confusion"].as_array().unwrap();
    let of = |y: usize, z: usize| confusion[y][z].as_u64().unwrap();
    let all = |f: &dyn Fn(usize, usize) -> u64| -> u64 {
        (0..10).flat_map(|y| (0..10).map(move |z| (y, z))).map(|(y, z)| f(y, z)).sum()
    };
    assert_eq!(all(&of), examples as u64);
    assert_eq!((0..10).map(|y| of(y, y)).sum::<u64>(), right as u64);
    for z in 0..10 {
        let column: u64 = (0..10).map(|y| of(y, z)).sum();
        assert_eq!(record["predicted"][z], column);
    }
    let bins = record["reliability"].as_array().unwrap();
    assert_eq!(bins.len(), 15);
    let counted: u64 = bins.iter().map(|bin| bin["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, examples as u64);
    let gap = |bin: &Value| {
        let gap =
            bin["accuracy"].as_f64().unwrap_or(0.0) - bin["confidence"].as_f64().unwrap_or(0.0);
        bin["count"].as_f64().unwrap() * gap.abs()
    };
    close("calibration_error", mean(bins.iter().map(gap).sum()));
}

#[test]
fn one_run_with_classes_classifies() {
    let place = Place::new();
    place.file("nade.toml", NADE);
    let inspected = place.json(&["inspect", "nade.toml"]);
    let sees = inspected["sees"].as_str().unwrap();
    assert_eq!(sees, "all pixels before it and its label through 16 shared hidden units");
    let trained = place.json(&["train", "nade.toml", "--out", "run"]);
    assert_eq!(trained["parameters"], inspected["parameters"]);
    // W and V, c and b, and C and B.
    assert_eq!(trained["parameters"], (2 * 64 * 16 + 16 + 64 + 10 * (16 + 64)).to_string());
    let labels = trained["train_labels"].as_array().unwrap();
    assert_eq!(labels.iter().map(|n| n.as_u64().unwrap()).sum::<u64>(), 1079);

    let record = place.json(&["classify", "run", "--out", "p.csv"]);
    let (header, rows) = table(&place, "p.csv");
    assert_eq!(header, "row,label,prediction,p_0,p_1,p_2,p_3,p_4,p_5,p_6,p_7,p_8,p_9,log_p_x");
    is_consistent(&record, &rows);
    // What `eval` says of the same thing.
    let evaluation = place.json(&["eval", "run"]);
    assert_eq!(number(&record, "accuracy"), number(&evaluation, "accuracy"));
    assert!((number(&record, "nll_nats") - number(&evaluation, "nll_nats")).abs() < 1e-9);
    assert!(number(&record, "accuracy") > 0.6, "{record}");
    assert_eq!(record["prior"], "uniform");
    assert_eq!(number(&record, "temperature"), 1.0);

    // Priors and temperatures are said, and change what they should.
    let prior = place.json(&["classify", "run", "--prior", "train"]);
    let p = prior["prior_probabilities"].as_array().unwrap();
    assert!((p[0].as_f64().unwrap() - labels[0].as_f64().unwrap() / 1079.0).abs() < 1e-12);
    assert_ne!(prior["nll_nats"], record["nll_nats"]);
    let warm = place.json(&["classify", "run", "--temperature", "valid"]);
    assert_eq!(warm["temperature_from"], "valid");
    // It is the best of the validation split, whatever it does for the test split.
    let valid = |temperature: &str| {
        let arguments = ["classify", "run", "--split", "valid", "--temperature", temperature];
        number(&place.json(&arguments), "log_loss_nats")
    };
    assert_ne!(number(&warm, "temperature"), 1.0);
    let best = valid("valid");
    let fitted = number(&warm, "temperature");
    for other in [1.0, 0.9 * fitted, 1.1 * fitted] {
        assert!(best < valid(&other.to_string()), "{other} instead of {fitted}");
    }
    for field in ["accuracy", "nll_nats", "confusion"] {
        assert_eq!(warm[field], record[field], "{field}");
    }
    let given = number(&warm, "temperature").to_string();
    let again = place.json(&["classify", "run", "--temperature", &given]);
    assert_eq!(again["log_loss_nats"], warm["log_loss_nats"]);
    assert_eq!(again["temperature_from"], "given");

    // In words.
    let output = place.chainrule(&["classify", "run", "--split", "valid"]).output().unwrap();
    let words = text(&output.stdout);
    assert!(words.starts_with("nade on digits valid: p(y | x) of "), "{words}");
    for part in ["accuracy", "log-loss", "calibration error", "label \\ predicted", "cost of x"] {
        assert!(words.contains(part), "{part}: {words}");
    }

    // The samples of a class are of that class; as a file they have no labels.
    place.json(&["sample", "run", "--class", "3", "--count", "50", "--out", "three.npy"]);
    let arguments = ["classify", "run", "--data", "three.npy", "--out", "three.csv"];
    let output = place.chainrule(&arguments).arg("--json").output().unwrap();
    assert!(text(&output.stderr).contains("three.npy: no labels, so there are predictions only"));
    let bare: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert!(bare.get("accuracy").is_none() && bare["split"] == "all", "{bare}");
    let predicted = bare["predicted"].as_array().unwrap();
    assert!(predicted[3].as_u64().unwrap() > 25, "{bare}");
    let (header, rows) = table(&place, "three.csv");
    assert!(header.starts_with("row,prediction,p_0,"), "{header}");
    assert_eq!(rows.len(), 50);
    assert!(text(&place.chainrule(&arguments).output().unwrap().stdout).contains("predicted"));
}

#[test]
fn one_run_per_class_classifies() {
    let place = Place::new();
    let runs = one_run_per_class(&place);
    let inspected = place.chainrule(&["inspect", "y3"]).output().unwrap();
    assert!(text(&inspected.stdout).contains("digits, class 3 alone, binarized"));
    let run: Vec<&str> = runs.iter().map(String::as_str).collect();
    // In any order.
    let record = place.json(&[&["classify"], &run[..], &["--out", "p.csv"]].concat());
    is_consistent(&record, &table(&place, "p.csv").1);
    assert!(number(&record, "accuracy") > 0.8, "{record}");
    let reversed: Vec<&str> = run.iter().rev().copied().collect();
    let other = place.json(&[&["classify"], &reversed[..]].concat());
    assert_eq!(other["log_loss_nats"], record["log_loss_nats"]);
    assert_eq!(other["runs"], record["runs"]);

    // Each run's own data is its class alone, and log p(x | y) of it is what `eval` says.
    let evaluation = place.json(&["eval", "y3"]);
    let threes: u64 =
        record["confusion"][3].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(evaluation["examples"], threes);
    let (_, rows) = table(&place, "p.csv");
    // log p(x | y) = log p(y | x) + log p(x) − log p(y)
    let likelihood = |row: &Vec<String>| {
        let [p, log_p_x] = [&row[3 + 3], &row[13]].map(|cell| cell.parse::<f64>().unwrap());
        p.ln() + log_p_x + 10.0_f64.ln()
    };
    let threes: Vec<f64> = rows.iter().filter(|row| row[1] == "3").map(likelihood).collect();
    let mean = -threes.iter().sum::<f64>() / threes.len() as f64;
    assert!((mean - number(&evaluation, "nll_nats")).abs() < 1e-9, "{mean} and {evaluation}");

    // The prior of training is that of the runs' own counts.
    let prior = place.json(&[&["classify"], &run[..], &["--prior", "train"]].concat());
    let p: Vec<f64> = prior["prior_probabilities"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p.as_f64().unwrap())
        .collect();
    assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12 && p[0] != p[1], "{p:?}");

    // Two classes of ten, of different kinds: without --data, the examples of these two.
    let table = TABLE.replace("class = 0", "class = 8");
    let independent = table.split("kind").next().unwrap().to_owned() + "kind = \"independent\"\n";
    place.file("independent.toml", independent);
    place.json(&["train", "independent.toml", "--out", "other8"]);
    let two = place.json(&["classify", "other8", "y3", "--temperature", "valid"]);
    assert_eq!(two["classes"], serde_json::json!([3, 8]));
    assert_eq!(two["model"], "independent, neighbourhood");
    assert!(number(&two, "accuracy") > 0.9, "{two}");
    assert!(two["examples"].as_u64().unwrap() < 100);
    // But all of the named data must be of them.
    let message = place.mistake(&["classify", "other8", "y3", "--data", "digits"]);
    assert!(message.contains("digits: row 0 has the label 4, expected one of 3, 8"), "{message}");
}

#[test]
fn runs_that_do_not_belong_together_are_refused() {
    let place = Place::new();
    place.file("table.toml", TABLE);
    let train = |run: &str, keys: &[&str]| {
        let sets = keys.iter().flat_map(|key| ["--set", key]);
        let arguments: Vec<&str> =
            ["train", "table.toml", "--out", run].into_iter().chain(sets).collect();
        place.json(&arguments);
    };
    train("zero", &[]);
    train("one", &["data.class=1"]);
    place.file("all.toml", TABLE.replace("class = 0\n", ""));
    place.json(&["train", "all.toml", "--out", "all"]);
    place.file("nade.toml", NADE);
    place.json(&["train", "nade.toml", "--out", "nade", "--set", "train.epochs=1"]);
    train("levels", &["data.class=1", "data.binarize=none", "data.requantize=3"]);
    train("drawn", &["data.class=1", "data.binarize=stochastic"]);
    let row = "0,1,1,0\n1,0,0,1\n";
    place.file("small.csv", row.repeat(10));
    place.file(
        "small.toml",
        TABLE.replace("name = \"digits\"", "train = \"small.csv\"\nshape = [2, 2]\nlevels = 2"),
    );
    place.json(&["train", "small.toml", "--out", "small", "--set", "data.class=1"]);
    for (runs, message) in [
        (&["all"][..], "all: the model has no classes"),
        (&["zero"], "zero is of class 0 alone, expected a run per class"),
        (&["zero", "all"], "all: the config has no data.class, so which class is it?"),
        (&["zero", "nade"], "nade: the model has classes of its own"),
        (&["nade", "nade"], "nade: the model has classes of its own"),
        (&["zero", "one", "zero"], "zero and zero are both of class 0"),
        (&["zero", "small"], "small: events of shape [2, 2], expected [8, 8] as in zero"),
        (&["zero", "levels"], "levels: values of 3 levels, expected 2 levels as in zero"),
        (
            &["zero", "drawn"],
            "drawn: data.binarize = \"stochastic\" with data.binarize_seed = 0, expected \
             data.binarize = \"threshold\" as in zero",
        ),
        (&["zero", "none"], "none does not exist, expected a run directory"),
        (&["zero", "one", "--out", "p.txt"], "--out p.txt: expected a name ending in .csv"),
        (&["zero", "one", "--data", "small.csv"], "small.csv: "),
        (&["zero", "one", "--split", "test", "--data", "small.csv"], "a path has no splits"),
    ] {
        let found = place.mistake(&[&["classify"], runs].concat());
        assert!(found.contains(message), "{runs:?}: {found}");
    }
    // A run of an earlier version, which counted no labels.
    let result = fs::read_to_string(place.path("one/result.json")).unwrap();
    let mut old: Value = serde_json::from_str(&result).unwrap();
    old.as_object_mut().unwrap().remove("train_labels");
    place.file("one/result.json", old.to_string());
    fs::remove_file(place.path("one/seal.json")).unwrap();
    let message = place.mistake(&["classify", "zero", "one", "--prior", "train"]);
    assert!(
        message.contains("one/result.json does not say how often it saw each label"),
        "{message}"
    );
    assert!(message.contains("hint: use --prior uniform"), "{message}");
}

#[test]
fn a_class_is_a_label_that_the_data_has() {
    let place = Place::new();
    place.file("table.toml", TABLE);
    let refused = |keys: &[&str]| {
        let sets = keys.iter().flat_map(|key| ["--set", key]);
        let arguments = ["train", "table.toml", "--out", "run"].into_iter().chain(sets);
        place.mistake(&arguments.collect::<Vec<&str>>())
    };
    let message = refused(&["data.class=10"]);
    assert!(message.contains("data.class = 10: digits has no such example in its train split"));
    assert!(
        message.contains("expected one of the labels 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        "{message}"
    );
    let message = refused(&["data.class=256"]);
    assert!(message.contains("`class = 256`, expected 0 to 255"), "{message}");
    place.file("nade.toml", NADE);
    let both = ["train", "nade.toml", "--out", "run", "--set", "data.class=1"];
    let message = place.mistake(&both);
    assert!(message.contains("`class = 1` beside `model.classes = 10`"), "{message}");
    assert!(!place.path("run").exists());

    // Files have no labels: the key says what their rows are.
    let [ones, zeros] = ["1,1,0\n1,1,1\n", "0,0,1\n0,0,0\n"].map(|rows| rows.repeat(20));
    place.file("ones.csv", &ones);
    place.file("zeros.csv", &zeros);
    for (class, name) in ["zeros", "ones"].into_iter().enumerate() {
        let text = format!(
            "name = \"{name}\"\n[data]\ntrain = \"{name}.csv\"\nkind = \"binary\"\nclass = {class}\n\
             [model]\nkind = \"independent\"\n"
        );
        place.file("file.toml", text);
        place.json(&["train", "file.toml", "--out", name]);
    }
    let message = place.mistake(&["classify", "zeros", "ones"]);
    assert!(message.contains("zeros and ones have other data"), "{message}");
    let record = place.json(&["classify", "ones", "zeros", "--data", "ones.csv", "--out", "p.csv"]);
    assert_eq!(record["predicted"], serde_json::json!([0, 40]));
    // A temperature is fitted to validation data, if there is any.
    let fitted = ["classify", "ones", "zeros", "--data", "ones.csv", "--temperature", "valid"];
    let fitted = [&fitted[..], &["--quiet"]].concat();
    let message = place.mistake(&fitted);
    assert!(
        message.contains("ones have other data") && message.contains("--temperature as a number")
    );
    place.json(&["train", "file.toml", "--out", "zeros-2", "--set", "data.class=0"]);
    let message = place.mistake(&[&fitted[..2], &["zeros-2"], &fitted[3..]].concat());
    for part in [
        "--temperature valid: the data (ones.csv) has no valid split, only train\n",
        "hint: give a number, 1 for Bayes' rule as it is; or train with data.valid = \"FILE\"",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn the_committed_config_of_digits_is_right_nine_times_in_ten() {
    let place = Place::new();
    place.json(&["train", &config("nade-classes-digits"), "--out", "run"]);
    let record = place.json(&["classify", "run"]);
    assert!(number(&record, "accuracy") > 0.9, "{record}");
}

/// Rows whose kind follows from the other two columns, but for one in ten.
fn kinds(n: usize) -> String {
    let mut text = "size,colour,kind\n".to_owned();
    for i in 0..n {
        let (size, is_red) = (i * 7 % 20, i % 3 == 0);
        let kind = if (size > 9) ^ is_red ^ i.is_multiple_of(10) { "cat" } else { "dog" };
        text += &format!("{size},{},{kind}\n", if is_red { "red" } else { "blue" });
    }
    text
}

#[test]
fn a_column_of_a_table_is_told_from_the_others() {
    let place = Place::new();
    place.file("kinds.csv", kinds(900));
    place.json(&["train", "kinds.csv", "--out", "run"]);
    place.file(
        "new.csv",
        kinds(1000)
            .lines()
            .take(1)
            .chain(kinds(1000).lines().skip(901))
            .fold(String::new(), |text, line| text + line + "\n"),
    );
    let classify = ["classify", "run", "--data", "new.csv", "--out", "p.csv", "--target"];
    let record = place.json(&[&classify[..], &["kind"]].concat());
    let (header, rows) = table(&place, "p.csv");
    assert_eq!(header, "row,label,prediction,p_cat,p_dog,log_p_x");
    assert_eq!(rows.len(), 100);
    assert_eq!(record["prior"], "model");
    assert!(number(&record, "accuracy") > 0.85, "{record}");
    // Bayes' rule: the joint probability of both, and their sum.
    let lines = |kind: &str| -> String {
        let keep = |line: &str| line.rsplit_once(',').unwrap().0.to_owned();
        let text = fs::read_to_string(place.path("new.csv")).unwrap();
        text.lines().skip(1).fold("size,colour,kind\n".to_owned(), |text, line| {
            text + &keep(line) + "," + kind + "\n"
        })
    };
    let joint = |kind: &str| -> Vec<f64> {
        place.file("joint.csv", lines(kind));
        place.json(&[
            "score",
            "run",
            "--data",
            "joint.csv",
            "--out",
            "s.csv",
            "--score",
            "log-prob",
        ]);
        let (_, rows) = table(&place, "s.csv");
        rows.iter().map(|row| row[1].parse().unwrap()).collect()
    };
    for ((row, cat), dog) in rows.iter().zip(joint("cat")).zip(joint("dog")) {
        let all = (cat.exp() + dog.exp()).ln();
        let [p, log_p] = [&row[3], &row[5]].map(|cell| cell.parse::<f64>().unwrap());
        assert!((p - (cat - all).exp()).abs() < 1e-5 && (log_p - all).abs() < 1e-4, "{row:?}");
    }
    // Predictions alone where a label is none of those of training, and mistakes.
    place.file("odd.csv", "size,colour,kind\n3,red,bird\n4,blue,cat\n");
    let odd = place.json(&["classify", "run", "--data", "odd.csv", "--target", "kind"]);
    assert!(odd["accuracy"].is_null() && odd["examples"] == 2, "{odd}");
    for (arguments, message) in [
        (&["run"][..], "a run of a table, of which column?"),
        (&["run", "--target", "knd"], "did you mean \"kind\"?"),
        (&["run", "--target", "size"], "\"size\" is a column of numbers"),
        (&["run", "run", "--target", "kind"], "--target with 2 runs"),
        (&["run", "--target", "kind", "--prior", "train"], "cannot be used with"),
    ] {
        let found = place.mistake(&[&["classify"], arguments].concat());
        assert!(found.contains(message), "{arguments:?}: {found}");
    }
}
