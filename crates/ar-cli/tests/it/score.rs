//! `chainrule score`: the scores are those of `eval`, and what is bad or strange is said.

use std::fs;

use crate::common::{NADE, Place, text};
use serde_json::Value;

/// Trains a small NADE on the digits and exports what the tests score.
fn digits() -> Place {
    let place = Place::new();
    place.file("small.toml", NADE);
    place.json(&["train", "small.toml", "--out", "run"]);
    place
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// A table with a header: the rows as maps from names to cells.
fn table(place: &Place, name: &str) -> Vec<std::collections::HashMap<String, String>> {
    let mut reader = csv::Reader::from_path(place.path(name)).unwrap();
    reader.deserialize().collect::<Result<_, _>>().unwrap()
}

/// The shape in the header of a `.npy`, and its elements as bytes.
fn npy(place: &Place, name: &str) -> (String, Vec<u8>) {
    let bytes = fs::read(place.path(name)).unwrap();
    let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    (text(&bytes[..data]), bytes[data..].to_vec())
}

fn f64s(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()
}

/// A table of values with a line per row.
fn lines(values: &[u8], variables: usize) -> Vec<String> {
    let line = |row: &[u8]| row.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    values.chunks_exact(variables).map(line).collect()
}

#[test]
fn scores_are_those_of_eval_in_every_output() {
    let place = digits();
    let evaluated = place.json(&["eval", "run"]);
    let record = place.json(&[
        "score",
        "run",
        "--out",
        "s.csv",
        "--costliest",
        "3",
        "--per-variable",
        "c.npy",
    ]);
    for field in ["nll_nats", "nll_nats_stderr", "bits_per_dim"] {
        let (found, expected) = (number(&record["data"][field]), number(&evaluated[field]));
        assert!((found - expected).abs() < 1e-9, "{field}: {found} {expected}");
    }
    assert_eq!((&record["data"]["rows"], &record["data"]["bad_rows"]), (&359.into(), &0.into()));
    assert_eq!(record["calibration"], Value::Null);
    let rows = table(&place, "s.csv");
    assert_eq!(rows.len(), 359);
    let log_probs: Vec<f64> =
        rows.iter().map(|row| row["log_prob_nats"].parse().unwrap()).collect();
    let mean = -log_probs.iter().sum::<f64>() / 359.0;
    assert!((mean - number(&evaluated["nll_nats"])).abs() < 1e-9);

    // The same numbers as an array.
    place.json(&["score", "run", "--out", "s.npy"]);
    let (header, data) = npy(&place, "s.npy");
    assert!(header.contains("'descr': '<f8', 'fortran_order': False, 'shape': (359, 2), }"));
    let values = f64s(&data);
    for (row, pair) in rows.iter().zip(values.chunks_exact(2)) {
        assert_eq!(row["log_prob_nats"].parse(), Ok(pair[0]));
        assert_eq!(row["bits_per_dim"].parse(), Ok(pair[1]));
        assert!((pair[1] + pair[0] / 64.0 / 2.0_f64.ln()).abs() < 1e-12);
    }

    // The costs of the variables sum to that of the row, and the costliest are the largest.
    let (header, data) = npy(&place, "c.npy");
    assert!(header.contains("'descr': '<f4', 'fortran_order': False, 'shape': (359, 8, 8), }"));
    let costs: Vec<f64> =
        data.as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))).collect();
    for (row, costs) in rows.iter().zip(costs.chunks_exact(64)) {
        let log_prob: f64 = row["log_prob_nats"].parse().unwrap();
        assert!((costs.iter().sum::<f64>() + log_prob).abs() < 1e-3);
        let mut sorted = costs.to_vec();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        for k in 1..=3 {
            let name = &row[&format!("costliest_{k}")];
            let (y, x) = name[1..].split_once('_').unwrap();
            let index = 8 * y.parse::<usize>().unwrap() + x.parse::<usize>().unwrap();
            let nats: f64 = row[&format!("costliest_{k}_nats")].parse().unwrap();
            assert!((nats - sorted[k - 1]).abs() < 1e-6 && (costs[index] - nats).abs() < 1e-6);
        }
    }
}

#[test]
fn p_values_are_ranks_among_the_calibration_rows() {
    let place = digits();
    place.json(&["score", "run", "--split", "valid", "--out", "valid.csv"]);
    let score = |row: &std::collections::HashMap<String, String>| -> f64 {
        row["log_prob_nats"].parse().unwrap()
    };
    let normal: Vec<f64> = table(&place, "valid.csv").iter().map(score).collect();
    let record = place.json(&[
        "score",
        "run",
        "--calibrate",
        "valid",
        "--alpha",
        "0.05",
        "--out",
        "s.csv",
        "--against",
        "train",
    ]);
    assert_eq!(record["calibration"]["split"], "valid");
    assert_eq!(number(&record["calibration"]["smallest_p"]), 1.0 / 360.0);
    let rows = table(&place, "s.csv");
    let mut flagged = [0, 0];
    for row in &rows {
        let as_low = normal.iter().filter(|&&s| s <= score(row)).count();
        let p: f64 = row["p_low_likelihood"].parse().unwrap();
        assert_eq!(p, (1 + as_low) as f64 / 360.0);
        for (k, test) in ["low_likelihood", "typicality"].into_iter().enumerate() {
            let p: f64 = row[&format!("p_{test}")].parse().unwrap();
            assert_eq!(row[&format!("flag_{test}")], u8::from(p <= 0.05).to_string());
            flagged[k] += usize::from(p <= 0.05);
        }
    }
    let of_record = &record["data"]["flagged"];
    assert_eq!(of_record["low_likelihood"], flagged[0]);
    assert_eq!(of_record["typicality"], flagged[1]);
    // Normal rows, so about one in twenty: 359 of them have a standard deviation of 4, and as many
    // calibration rows add as much again.
    assert!((4..=40).contains(&flagged[0]) && (4..=40).contains(&flagged[1]), "{flagged:?}");
    // Digits against digits: nothing to tell.
    let auroc = number(&record["against"]["low_likelihood"]["auroc"]);
    assert!((0.4..0.6).contains(&auroc), "{auroc}");
    // p-values in the array as well.
    place.json(&["score", "run", "--calibrate", "valid", "--out", "s.npy"]);
    let (header, data) = npy(&place, "s.npy");
    assert!(header.contains("'shape': (359, 4), }"), "{header}");
    for (row, values) in rows.iter().zip(f64s(&data).chunks_exact(4)) {
        assert_eq!(row["p_low_likelihood"].parse(), Ok(values[2]));
        assert_eq!(row["p_typicality"].parse(), Ok(values[3]));
    }
}

#[test]
fn noise_is_told_from_digits_and_blank_images_only_by_typicality() {
    let place = digits();
    let noise: Vec<u8> = (0..100 * 64_u32).map(|i| ((i * i / 7 + i / 3) % 2) as u8).collect();
    place.file("noise.csv", lines(&noise, 64).join("\n"));
    let record = place.json(&["score", "run", "--calibrate", "valid", "--against", "noise.csv"]);
    for test in ["low_likelihood", "typicality"] {
        let detection = &record["against"][test];
        assert!(number(&detection["auroc"]) > 0.97, "{detection}");
        assert!(number(&detection["average_precision"]) > 0.9, "{detection}");
    }
    assert!(number(&record["against"]["flagged"]["low_likelihood_fraction"]) > 0.5);
    // Nothing is likelier than the likeliest image: all of them are simple.
    place.file("blank.csv", vec![vec!["0"; 64].join(","); 50].join("\n"));
    let record = place.json(&["score", "run", "--calibrate", "valid", "--data", "blank.csv"]);
    assert_eq!(record["data"]["flagged"]["low_likelihood"], 0);
}

#[test]
fn what_is_simple_is_taken_off_where_it_is_asked_for() {
    let place = digits();
    place.file(
        "simple.toml",
        "name = \"simple\"\n[data]\nname = \"digits\"\nbinarize = \"threshold\"\n[model]\nkind = \"neighbourhood\"\n\
         offsets = [[0, -1], [-1, -1], [-1, 0], [-1, 1]]\n",
    );
    place.json(&["train", "simple.toml", "--out", "simple"]);
    place.json(&["score", "simple", "--out", "simple.csv"]);
    let noise: Vec<u8> = (0..100 * 64_u32).map(|i| ((i * i / 7 + i / 3) % 2) as u8).collect();
    place.file("noise.csv", lines(&noise, 64).join("\n"));
    let both = ["score", "run", "--test", "ratio", "--test", "complexity"];
    let of = |extra: &[&str]| place.json(&[&both[..], extra].concat());
    of(&["--split", "valid", "--out", "valid.csv"]);
    let record = of(&["--calibrate", "valid", "--against", "noise.csv", "--out", "s.csv"]);
    let cell = |row: &std::collections::HashMap<String, String>, name: &str| -> f64 {
        row[name].parse().unwrap()
    };
    let (normal, rows) = (table(&place, "valid.csv"), table(&place, "s.csv"));
    // Without a calibration there is nothing to rank among.
    assert!(normal[0].contains_key("ratio_nats") && !normal[0].contains_key("p_ratio"));
    // A run of its own says what was taken off.
    for (row, simple) in rows.iter().zip(table(&place, "simple.csv")) {
        let expected = cell(row, "log_prob_nats") - cell(&simple, "log_prob_nats");
        assert!((cell(row, "ratio_nats") - expected).abs() < 1e-9, "{row:?}");
        // Whole bytes were added.
        let bytes = (cell(row, "complexity_nats") - cell(row, "log_prob_nats"))
            / (8.0 * std::f64::consts::LN_2);
        assert!((bytes - bytes.round()).abs() < 1e-6 && (4.0..40.0).contains(&bytes), "{bytes}");
    }
    let mut flagged = 0;
    for row in &rows {
        for test in ["ratio", "complexity"] {
            let own = cell(row, &format!("{test}_nats"));
            let as_low = normal.iter().filter(|n| cell(n, &format!("{test}_nats")) <= own).count();
            assert_eq!(cell(row, &format!("p_{test}")), (1 + as_low) as f64 / 360.0);
        }
        flagged += usize::from(row["flag_any"] == "1");
        assert_eq!(row["flag_any"], u8::from(cell(row, "p_any") <= 0.01).to_string());
    }
    let of_record = &record["data"]["flagged"];
    assert_eq!(of_record["any"], flagged);
    assert!(number(&of_record["ratio_fraction"]) < 0.05, "{of_record}");
    // Noise is as unlikely to a simple model, but one of the tests is enough.
    assert!(number(&record["against"]["any"]["auroc"]) > 0.99, "{}", record["against"]);
    assert!(number(&record["against"]["ratio"]["auroc"]) > 0.6, "{}", record["against"]);
    // Numbers alone, in the same order.
    of(&["--calibrate", "valid", "--out", "s.npy"]);
    let (header, data) = npy(&place, "s.npy");
    assert!(header.contains("'shape': (359, 9), }"), "{header}");
    for (row, values) in rows.iter().zip(f64s(&data).chunks_exact(9)) {
        for (name, value) in ["ratio_nats", "complexity_nats"].iter().zip(&values[2..]) {
            assert_eq!(cell(row, name), *value);
        }
        assert_eq!(cell(row, "p_any"), values[8]);
    }
    // One of them alone.
    let one = place.json(&["score", "run", "--test", "complexity", "--against", "noise.csv"]);
    assert!(one["against"]["complexity"]["auroc"].is_number(), "{one}");
    assert!(one["against"].get("ratio").is_none() && one["against"].get("any").is_none());
}

#[test]
fn bad_rows_are_reported_and_counted_and_keep_their_place() {
    let place = digits();
    place.json(&["data", "export", "run", "--out", "good.npy"]);
    let (_, values) = npy(&place, "good.npy");
    let good = lines(&values[..8 * 64], 64);
    let mut rows = good.clone();
    rows[1] = "1,0,1".to_owned();
    rows[3] = good[3].replacen('0', "x", 1);
    rows[4] = good[4].replacen('0', "77", 1);
    rows.insert(2, String::new());
    place.file("bad.csv", rows.join("\r\n"));
    place.file("good.csv", good.join("\n"));
    place.json(&["score", "run", "--data", "good.csv", "--out", "good-scores.csv"]);
    let arguments =
        ["score", "run", "--data", "bad.csv", "--out", "s.csv", "--per-variable", "c.npy"];
    let record = place.json(&arguments);
    assert_eq!((&record["data"]["rows"], &record["data"]["bad_rows"]), (&8.into(), &3.into()));
    assert_eq!(record["data"]["first_bad_rows"][1]["row"], 3);
    let output = place.chainrule(&arguments).output().unwrap();
    let stderr = text(&output.stderr);
    for part in [
        "bad row 1: bad.csv: line 2: ragged: expected 64 values as in line 1, found 3",
        "bad row 3: bad.csv: line 5, column ",
        "not a number: expected 0 or 1, found \"x\"",
        "bad row 4: bad.csv: line 6, column ",
        "found \"77\"",
        "bad.csv: 3 of 8 rows are bad",
    ] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    let (scores, expected) = (table(&place, "s.csv"), table(&place, "good-scores.csv"));
    assert_eq!(scores.len(), 8);
    for (k, (row, expected)) in scores.iter().zip(&expected).enumerate() {
        assert_eq!(row["row"], k.to_string());
        if [1, 3, 4].contains(&k) {
            assert_eq!((row["log_prob_nats"].as_str(), row["bits_per_dim"].as_str()), ("", ""));
            assert!(row["error"].starts_with("bad.csv: line "), "{}", row["error"]);
        } else {
            assert_eq!(row, expected);
        }
    }
    let (header, costs) = npy(&place, "c.npy");
    assert!(header.contains("'shape': (8, 8, 8), }"), "{header}");
    for (k, row) in costs.as_chunks::<{ 64 * 4 }>().0.iter().enumerate() {
        let is_nan = row.as_chunks().0.iter().all(|&b| f32::from_le_bytes(b).is_nan());
        assert_eq!(is_nan, [1, 3, 4].contains(&k), "row {k}");
    }
    // Or the first of them ends it, and no file is left behind.
    fs::remove_file(place.path("s.csv")).unwrap();
    let message = place.mistake(&[
        "score",
        "run",
        "--data",
        "bad.csv",
        "--out",
        "s.csv",
        "--bad-rows",
        "stop",
        "--quiet",
    ]);
    assert!(message.contains("bad.csv: line 2: ragged"), "{message}");
    let left: Vec<_> =
        fs::read_dir(place.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("s.csv.partial")), "{left:?}");
    assert!(!place.path("s.csv").exists());
}

#[test]
fn files_are_read_as_the_run_reads_its_own_data() {
    let place = digits();
    // Grey levels are binarized, bits are not binarized again; a folder of images is read one by one.
    place.json(&["data", "export", "digits", "--out", "greys.npy"]);
    place.json(&["data", "export", "run", "--out", "bits.npy"]);
    place.json(&["data", "export", "digits", "--out", "greys.csv"]);
    let of = |data: &str, extra: &[&str]| {
        let arguments = [&["score", "run", "--data", data][..], extra].concat();
        number(&place.json(&arguments)["data"]["nll_nats"])
    };
    let own = number(&place.json(&["eval", "run"])["nll_nats"]);
    for data in ["greys.npy", "bits.npy", "greys.csv", "digits"] {
        assert!((of(data, &[]) - own).abs() < 1e-9, "{data}");
    }
    // Levels that are stated decide: bits that are greys of 17 levels are all black.
    assert!((of("bits.npy", &["--levels", "17"]) - own).abs() > 1.0);
    let output = place.chainrule(&["score", "run", "--data", "greys.npy"]).output().unwrap();
    let stderr = text(&output.stderr);
    assert!(stderr.contains("greys.npy: values of 17 levels, made bits as in the run"), "{stderr}");
    fs::create_dir(place.path("images")).unwrap();
    let (_, greys) = npy(&place, "greys.npy");
    for (k, image) in greys[..5 * 64].as_chunks::<64>().0.iter().enumerate() {
        let pixels = image.iter().map(|&x| x * 15).collect();
        let image = image::GrayImage::from_raw(8, 8, pixels).unwrap();
        image.save(place.path("images").join(format!("{k}.png"))).unwrap();
    }
    let record = place.json(&["score", "run", "--data", "images", "--out", "images.csv"]);
    assert_eq!(record["data"]["rows"], 5);
    // 8 of 17 levels is the threshold, 120 of 256 is not above it: only close.
    assert!(number(&record["data"]["nll_nats"]) < 40.0);
}

#[test]
fn names_of_columns_name_the_costliest() {
    let place = Place::new();
    let rows: String = (0..60).map(|i| format!("{},{},{}\n", i % 2, i % 2, i / 30)).collect();
    place.file("t.csv", format!("left,right,half\n{rows}"));
    place.file(
        "t.toml",
        "name = \"t\"\n[data]\ntrain = \"t.csv\"\ntest = \"t.csv\"\n\
         [model]\nkind = \"markov\"\norder = 1\n",
    );
    place.json(&["train", "t.toml", "--out", "run"]);
    place.file("odd.csv", "0,1,0\n0,0,1\n");
    place.json(&["score", "run", "--data", "odd.csv", "--out", "s.csv", "--costliest", "1"]);
    let rows = table(&place, "s.csv");
    // `right` follows `left`, but not in the first row.
    assert_eq!(rows[0]["costliest_1"], "right");
    assert!(rows[0]["costliest_1_nats"].parse::<f64>().unwrap() > 3.0);
    assert_ne!(rows[1]["costliest_1"], "right");
    // Columns are found by their names, in any order.
    place.file("odd.csv", "left,half,right\n0,0,1\n0,1,0\n");
    place.json(&["score", "run", "--data", "odd.csv", "--out", "o.csv", "--costliest", "1"]);
    assert_eq!(table(&place, "o.csv"), rows);
    let message = place.mistake(&["score", "run", "--data", "odd.csv", "--strict"]);
    assert!(message.contains("the columns are in another order than in training"), "{message}");
}

#[test]
fn mistakes_are_named() {
    let place = digits();
    place.file("wide.csv", "0,1\n1,0\n");
    place.file("named.csv", "a,b\n1,0\n");
    place.file("empty.csv", "");
    for (arguments, parts) in [
        (&["--out", "s.txt"][..], &["--out s.txt", ".csv, .parquet or .npy"][..]),
        (&["--costliest", "2"], &["--costliest 2 without a table", "--out scores.csv"]),
        (&["--costliest", "2", "--out", "s.npy"], &["--costliest 2"]),
        (&["--per-variable", "c.csv"], &["--per-variable c.csv", ".npy"]),
        (&["--calibrate", "mnits"], &["unknown dataset \"mnits\"", "did you mean"]),
        (
            &["--data", "wide.csv"],
            &["wide.csv: does not suit what was trained on", "2 columns, expected 64 columns"],
        ),
        (&["--data", "named.csv"], &["2 columns, expected 64 columns"]),
        (&["--data", "empty.csv"], &["empty.csv: empty"]),
        (&["--data", "wide.csv", "--split", "test"], &["a path has no splits"]),
        (&["--out", "none/s.csv"], &["--out none/s.csv: there is no folder none"]),
        (&["--data", "wide.csv", "--out", "./wide.csv"], &["over wide.csv, which is read"]),
        (&["--out", "s.npy", "--per-variable", "s.npy"], &["are both s.npy"]),
        (&["--alpha", "1"], &["above 0 and below 1"]),
        (&["--alpha", "x"], &["--alpha"]),
    ] {
        let message = place.mistake(&[&["--quiet", "score", "run"][..], arguments].concat());
        for part in parts {
            assert!(message.contains(part), "{arguments:?} says not {part:?}: {message}");
        }
    }
    // What cannot be flagged, and what ranks too low, is said.
    for (arguments, part) in [
        (&["--calibrate", "valid", "--alpha", "0.001"][..], "at least 999 are needed"),
        (&["--calibrate", "train"], "the model was fitted to these rows"),
        (&["--calibrate", "test"], "ranked among themselves"),
    ] {
        let output =
            place.chainrule(&[&["score", "run"][..], arguments].concat()).output().unwrap();
        let stderr = text(&output.stderr);
        assert!(output.status.success() && stderr.contains(part), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_column_of_the_file_says_which_rows_are_anomalies() {
    let place = Place::new();
    let row =
        |i: usize, y: u8| format!("{},{}.5,{y}\n", i % 10, (i % 10) * 2 + 30 * usize::from(y));
    let rows = |ys: &[u8]| ys.iter().enumerate().map(|(i, &y)| row(i, y)).collect::<String>();
    place.file("train.csv", format!("a,b,y\n{}", rows(&[0; 300])));
    let ys: Vec<u8> = (0..200).map(|i| u8::from(i % 10 == 3)).collect();
    // A row that cannot be read stands among them.
    let text = rows(&ys).replacen("\n7,14.5,0\n", "\n7,14.5,0\n7,14.5\n", 1);
    place.file("test.csv", format!("a,b,y\n{text}"));
    place.json(&["train", "train.csv", "--drop", "y", "--out", "run"]);
    let score = |label: &str| {
        place.json(&[
            "score",
            "run",
            "--data",
            "test.csv",
            "--anomaly-label",
            label,
            "--out",
            "s.csv",
        ])
    };
    let record = score("y=1");
    let found = &record["anomalies"];
    assert_eq!((found["rows"].as_u64(), found["normal_rows"].as_u64()), (Some(20), Some(180)));
    assert_eq!(found["low_likelihood"]["auroc"], 1.0, "{record}");
    // The same by position, and the other way round.
    assert_eq!(score("2=1")["anomalies"]["low_likelihood"], found["low_likelihood"]);
    assert_eq!(score("y=0")["anomalies"]["low_likelihood"]["auroc"], 0.0);
    for (label, message) in [
        ("y", "expected a column and the value that anomalies have"),
        ("y=2", "no row has this value"),
        ("z=1", "z"),
    ] {
        let found =
            place.mistake(&["score", "run", "--data", "test.csv", "--anomaly-label", label]);
        assert!(found.contains(message), "{label}: {found}");
    }
    let found = place.mistake(&["score", "run", "--anomaly-label", "y=1"]);
    assert!(found.contains("without a file in --data"), "{found}");
}

/// A table of words, counts and numbers, some missing.
fn mixed(place: &Place) {
    let row = |i: usize| {
        let word = ["cook", "nurse", "", "pilot"][i % 7 % 4];
        format!("{},{word},{}.{}\n", i * i % 23, i % 19, i % 10)
    };
    place.file("t.csv", format!("age,job,wage\n{}", (0..400).map(row).collect::<String>()));
}

#[test]
fn a_run_knows_what_its_validation_rows_scored() {
    let place = digits();
    mixed(&place);
    place.json(&["train", "t.csv", "--out", "mixed", "--set", "train.epochs=3"]);
    place.json(&["train", "t.csv", "--model", "kernel", "--out", "window"]);
    let reals = "a,b\n".to_owned()
        + &(0..200).map(|i| format!("{}.5,{}.25\n", i * 7 % 31, i * 3 % 17)).collect::<String>();
    place.file("r.csv", reals);
    place.json(&["train", "r.csv", "--out", "reals", "--set", "train.epochs=3"]);
    let text = NADE.replace("kind = \"nade\"", "kind = \"nade\"\nclasses = 10");
    place.file("classes.toml", text);
    place.json(&["train", "classes.toml", "--out", "classes"]);

    let data_of = |run: &str| match run {
        "mixed" | "window" => "t.csv",
        "reals" => "r.csv",
        _ => "digits",
    };
    let scored = |run: &str, more: &[&str]| {
        let line = ["score", run, "--data", data_of(run), "--calibrate", "valid", "--out", "s.csv"];
        let mut record = place.json(&[&line[..], more].concat());
        record["seconds"] = Value::Null;
        (record, fs::read_to_string(place.path("s.csv")).unwrap())
    };
    for (run, more) in [
        ("run", &[][..]),
        ("classes", &[]),
        ("mixed", &[]),
        ("mixed", &["--score", "log-prob"]),
        ("window", &[]),
        ("reals", &[]),
        ("reals", &["--score", "log-prob"]),
    ] {
        let file = place.path(&format!("{run}/calibration.safetensors"));
        let known = scored(run, more);
        let bytes = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(scored(run, more), known, "{run} {more:?}");
        // Of another run, or altered, it is no calibration of this one.
        let mut other = bytes.clone();
        *other.last_mut().unwrap() ^= 1;
        fs::write(&file, other).unwrap();
        let failed = place.mistake(&["score", run, "--data", data_of(run), "--calibrate", "valid"]);
        assert!(
            failed.contains("calibration.safetensors is not the file that the run wrote"),
            "{failed}"
        );
        fs::write(&file, bytes).unwrap();
    }
    // A run that has gone on knows what its rows score now.
    let longer =
        ["train", "mixed/config.toml", "--out", "mixed", "--resume", "--set", "train.epochs=4"];
    place.mistake(&longer);
    place.json(&[
        "train",
        "t.csv",
        "--out",
        "longer",
        "--set",
        "train.epochs=2",
        "--set",
        "train.schedule={ kind = \"constant\" }",
    ]);
    let before = fs::read(place.path("longer/calibration.safetensors")).unwrap();
    place.json(&[
        "train",
        "longer/config.toml",
        "--out",
        "longer",
        "--resume",
        "--set",
        "train.epochs=3",
    ]);
    assert_ne!(fs::read(place.path("longer/calibration.safetensors")).unwrap(), before);
    // So nothing is read of what it was trained on, whose changes would be noticed.
    let new = fs::read_to_string(place.path("t.csv"))
        .unwrap()
        .lines()
        .take(30)
        .collect::<Vec<_>>()
        .join("\n");
    place.file("new.csv", new);
    fs::remove_file(place.path("t.csv")).unwrap();
    place.json(&["score", "mixed", "--data", "new.csv", "--calibrate", "valid"]);
    let failed = place.mistake(&["score", "mixed", "--data", "new.csv", "--calibrate", "train"]);
    assert!(failed.contains("t.csv"), "{failed}");
}

#[test]
fn the_shares_of_several_processes_are_the_whole() {
    let place = Place::new();
    mixed(&place);
    place.json(&["train", "t.csv", "--out", "run", "--set", "train.epochs=2"]);
    // Five blocks of 2,000 rows, the last one short, and a row that cannot be read.
    let row = |i: usize| match i {
        5000 => "17,cook,much\n".to_owned(),
        _ => format!("{},nurse,{}.5\n", i % 29, i % 23),
    };
    place.file("big.csv", format!("age,job,wage\n{}", (0..9100).map(row).collect::<String>()));
    let score_of = |data: &str, more: &[&str]| {
        let line = [
            "score",
            "run",
            "--data",
            data,
            "--calibrate",
            "valid",
            "--costliest",
            "1",
            "--out",
            "s.csv",
        ];
        let record = place.json(&[&line[..], more].concat());
        let text = fs::read_to_string(place.path("s.csv")).unwrap();
        (record, text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>())
    };
    let score = |more: &[&str]| score_of("big.csv", more);
    let (_, whole) = score(&[]);
    let number = |line: &String| line.split(',').next().unwrap().parse::<usize>().unwrap();
    for count in [1, 2, 5] {
        let mut all = Vec::new();
        for k in 1..=count {
            let (record, lines) = score(&["--shard", &format!("{k}/{count}")]);
            assert_eq!(record["shard"], format!("{k}/{count}"));
            assert_eq!(record["data"]["rows"], lines.len());
            all.extend(lines);
        }
        all.sort_by_key(number);
        assert_eq!(all, whole, "{count} processes");
    }
    // The same rows in three files.
    let text = fs::read_to_string(place.path("big.csv")).unwrap();
    let (heading, rows) = text.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    for (i, part) in [&rows[..2500], &rows[2500..2501], &rows[2501..]].iter().enumerate() {
        place.file(&format!("part-{i}.csv"), format!("{heading}\n{}\n", part.join("\n")));
    }
    let without_place = |lines: &[String]| -> Vec<String> {
        lines
            .iter()
            .map(|line| {
                line.split("big.csv").next().unwrap().split("part-").next().unwrap().to_owned()
            })
            .collect()
    };
    let (record, lines) = score_of("part-*.csv", &[]);
    assert_eq!(
        (&record["data"]["name"], &record["data"]["bad_rows"]),
        (&"part-*.csv".into(), &1.into())
    );
    assert_eq!(without_place(&lines), without_place(&whole));
    let mut all: Vec<String> =
        (1..=2).flat_map(|k| score_of("part-*.csv", &["--shard", &format!("{k}/2")]).1).collect();
    all.sort_by_key(number);
    assert_eq!(all, lines);
    let failed = place.mistake(&["score", "run", "--data", "part-*.csv", "--out", "part-1.csv"]);
    assert!(failed.contains("part-1.csv"), "{failed}");
    let failed = place.mistake(&["score", "run", "--data", "none-*.csv"]);
    assert!(failed.contains("no file of such a name"), "{failed}");

    let (record, lines) = score(&["--shard", "6/6"]);
    assert!(lines.is_empty() && record["data"]["nll_nats"].is_null(), "{record}");
    for (shard, word) in [("0/3", "expected K/N"), ("4/3", "expected K/N"), ("x", "expected K/N")] {
        let failed = place.mistake(&["score", "run", "--data", "big.csv", "--shard", shard]);
        assert!(failed.contains(word), "{failed}");
    }
    let failed =
        place.mistake(&["score", "run", "--data", "t.csv", "--split", "valid", "--shard", "1/2"]);
    assert!(failed.contains("a path has no splits"), "{failed}");
}
