//! Rows of a table under conditions: drawn, found probable, filled in; and ranked by how near training rows are.

use std::fs;

use crate::common::Place;

/// 400 rows: a word, a number that follows from it but for some noise, and a colour, some missing.
fn table() -> String {
    let row = |i: usize| {
        let kind = ["ant", "bee", "cat"][(i * i + i / 3) % 3];
        let size = 10 * kind.len()
            + usize::from(kind != "ant") * 20
            + usize::from(kind == "cat") * 20
            + i * 7 % 19;
        let colour =
            if i.is_multiple_of(11) { "" } else { ["red", "blue"][usize::from(size + i % 5 > 50)] };
        let stars = i % 4 + 1;
        format!("{kind},{size},{colour},{stars}\n")
    };
    let rows: String = (0..400).map(row).collect();
    format!("kind,size,colour,stars\n{rows}")
}

fn trained() -> Place {
    let place = Place::new();
    place.file("t.csv", table());
    place.json(&["train", "t.csv", "--model", "nade", "--out", "run", "--set", "train.epochs=20"]);
    place
}

fn lines(place: &Place, name: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(place.path(name)).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn rows_are_drawn_and_weighed_under_conditions() {
    let place = trained();
    let drawn = place.json(&[
        "sample",
        "run",
        "--given",
        "size=45..60",
        "--given",
        "colour=blue",
        "--count",
        "50",
        "--out",
        "s.csv",
    ]);
    assert_eq!((drawn["method"].as_str(), drawn["count"].as_u64()), (Some("smc"), Some(50)));
    let rows = lines(&place, "s.csv");
    assert_eq!(rows.len(), 50);
    for row in rows {
        let size: u32 = row[1].parse().expect("a whole number");
        assert!((45..=60).contains(&size) && row[2] == "blue", "{row:?}");
    }
    let drawn =
        place.json(&["sample", "run", "--given", "kind=bee", "--count", "9", "--out", "b.csv"]);
    assert_eq!(drawn["method"], "exact", "nothing is drawn before it");
    assert!(lines(&place, "b.csv").iter().all(|row| row[0] == "bee"));

    let p = |conditions: &[&str]| {
        let given = conditions.iter().flat_map(|&condition| ["--where", condition]);
        let arguments: Vec<&str> = ["probability", "run"].into_iter().chain(given).collect();
        place.json(&arguments)
    };
    let kinds = ["ant", "bee", "cat"].map(|kind| p(&[&format!("kind={kind}")]));
    assert!(kinds.iter().all(|p| p["method"] == "exact" && p["probability_stderr"] == 0.0));
    let sum: f64 = kinds.iter().map(|p| p["probability"].as_f64().unwrap()).sum();
    // What is left is for kinds that training never saw.
    assert!(sum < 1.0 && sum > 0.99, "{sum}");
    let both = p(&["kind=bee", "size<30"]);
    let other = p(&["kind=bee", "size>=30"]);
    let number = |p: &serde_json::Value| p["probability"].as_f64().unwrap();
    assert!((number(&both) + number(&other) - number(&kinds[1])).abs() < 1e-3);
    let counted = place.json(&["probability", "run", "--where", "kind=ant", "--data", "t.csv"]);
    let count = counted["counted"]["count"].as_u64().unwrap();
    let found = table().lines().filter(|line| line.starts_with("ant")).count();
    assert_eq!((count, counted["counted"]["rows"].as_u64()), (found as u64, Some(400)));

    for (conditions, found) in [
        (&["sizes=3"][..], "did you mean \"size\"?"),
        (&["kind=bea"], "did you mean \"bee\"?"),
        (&["size=big"], "\"big\" is no number"),
        (&["size"], "expected a relation"),
    ] {
        let message = place.mistake(&["probability", "run", "--where", conditions[0]]);
        assert!(message.contains(found), "{message}");
    }
}

#[test]
fn missing_cells_are_filled_in_and_the_others_stay() {
    let place = trained();
    place.file(
        "holes.csv",
        "kind,size,colour,stars\n,35,red,2\ncat,,,\nbee,51,blue,3\nant,NA,blue,\n",
    );
    let filled = place.json(&["complete", "run", "--data", "holes.csv", "--out", "f.csv"]);
    assert_eq!((filled["cells"].as_u64(), filled["rows_with_holes"].as_u64()), (Some(6), Some(3)));
    let rows = lines(&place, "f.csv");
    assert!(rows.iter().flatten().all(|cell| !cell.is_empty()), "{rows:?}");
    assert_eq!(rows[2], ["bee", "51", "blue", "3"]);
    assert_eq!(
        (rows[0][1].as_str(), rows[1][0].as_str(), rows[3][2].as_str()),
        ("35", "cat", "blue")
    );
    let several = ["complete", "run", "--data", "holes.csv", "--out", "g.csv", "--samples", "3"];
    place.json(&several);
    let rows = lines(&place, "g.csv");
    assert_eq!((rows.len(), rows[4][0].as_str(), rows[4][1].as_str()), (12, "1", "1"));
    place.json(&["complete", "run", "--data", "holes.csv", "--out", "h.csv", "--most-likely"]);
    assert_eq!(lines(&place, "h.csv")[0][0], "ant", "35 is the size of an ant");

    // What is known of a row says more of a cell than how common its values are.
    let hidden =
        place.json(&["complete", "run", "--data", "t.csv", "--hide", "0.2", "--out", "i.csv"]);
    let kind = &hidden["hidden"][0];
    let nats = |key: &str| kind[key].as_f64().unwrap();
    assert!(kind["cells"].as_u64().unwrap() > 40, "{kind}");
    assert!(nats("log_loss_nats") < 0.9 * nats("marginal_log_loss_nats"), "{kind}");
    assert!(nats("accuracy") > nats("marginal_accuracy"), "{kind}");
    let message = place.mistake(&["complete", "run", "--observe", "top-half", "--out", "x.csv"]);
    assert!(message.contains("--hide"), "{message}");
}

#[test]
fn rows_are_ranked_by_how_near_training_rows_are() {
    let place = trained();
    place.file(
        "new.csv",
        "kind,size,colour,stars\nant,12,red,2\nant,12,red,9\nant,12,red,900\ncat,-500,red,1\n",
    );
    let of = |name: &str, extra: &[&str]| {
        let arguments = [&["score", "run", "--data", "new.csv", "--out", name][..], extra].concat();
        let record = place.json(&arguments);
        let column = |k: usize| -> Vec<f64> {
            lines(&place, name).iter().map(|row| row[k].parse().unwrap()).collect()
        };
        (record["score"].as_str().map(str::to_owned), column(1), column(3))
    };
    let (by, log_probs, scores) = of("w.csv", &[]);
    assert_eq!(by.as_deref(), Some("window"));
    assert!(
        scores[0] > scores[1] && scores[1] > scores[2],
        "a number is as far as it is: {scores:?}"
    );
    assert_eq!(log_probs[1], log_probs[2], "to the model both are labels that training never saw");
    assert!(scores[3] < scores[0]);
    let (by, log_probs, scores) = of("l.csv", &["--score", "log-prob"]);
    assert_eq!((by.as_deref(), &log_probs), (Some("log-prob"), &scores));
    // A run that keeps no rows says so.
    let none = ["train", "t.csv", "--model", "nade", "--out", "bare", "--set", "train.epochs=2"];
    place.json(&[&none[..], &["--set", "data.keep_rows=0"]].concat());
    assert!(!place.path("bare/window.safetensors").exists());
    let message = place.mistake(&["score", "bare", "--data", "new.csv", "--score", "window"]);
    assert!(message.contains("keeps no training rows"), "{message}");
}

#[test]
fn a_window_answers_exactly_under_any_conditions() {
    let place = Place::new();
    place.file("t.csv", table());
    place.json(&["train", "t.csv", "--model", "kernel", "--out", "run"]);
    // Ranges of several columns, in any order, are drawn from exactly.
    let given = ["--given", "size=45..60", "--given", "stars>=2", "--given", "colour=blue"];
    let sample = [&["sample", "run", "--count", "50", "--out", "s.csv"][..], &given].concat();
    let drawn = place.json(&sample);
    assert_eq!((drawn["method"].as_str(), drawn["count"].as_u64()), (Some("exact"), Some(50)));
    for row in lines(&place, "s.csv") {
        let (size, stars): (u32, u32) = (row[1].parse().unwrap(), row[3].parse().unwrap());
        assert!((45..=60).contains(&size) && stars >= 2 && row[2] == "blue", "{row:?}");
    }
    let p = |conditions: &[&str]| {
        let given = conditions.iter().flat_map(|&condition| ["--where", condition]);
        let arguments: Vec<&str> = ["probability", "run"].into_iter().chain(given).collect();
        let record = place.json(&arguments);
        assert_eq!(
            (record["method"].as_str(), record["probability_stderr"].as_f64()),
            (Some("exact"), Some(0.0))
        );
        record["probability"].as_f64().unwrap()
    };
    let (small, large) = (p(&["kind=bee", "size<50"]), p(&["kind=bee", "size>=50"]));
    let missing = p(&["kind=bee", "size="]);
    assert!((small + large + missing - p(&["kind=bee"])).abs() < 1e-12);
    // Negative control: the kind and the size are not independent.
    assert!((large - p(&["kind=bee"]) * p(&["size>=50"])).abs() > 0.01);
    let message = place.mistake(&["sample", "run", "--given", "size=41.2..41.8", "--out", "x.csv"]);
    assert!(message.contains("impossible"), "{message}");

    place.file(
        "holes.csv",
        "kind,size,colour,stars\n,35,red,2\ncat,,,\nbee,51,blue,3\nant,NA,blue,\n",
    );
    let fill = ["complete", "run", "--data", "holes.csv", "--out"];
    let filled = place.json(&[&fill[..], &["f.csv", "--samples", "2"]].concat());
    assert_eq!((filled["cells"].as_u64(), filled["exact_rows"].as_u64()), (Some(6), Some(3)));
    assert_eq!(filled["method"], "exact");
    let rows = lines(&place, "f.csv");
    assert!(rows.len() == 8 && rows.iter().flatten().all(|cell| !cell.is_empty()), "{rows:?}");
    place.json(&[&fill[..], &["h.csv", "--most-likely"]].concat());
    assert_eq!(lines(&place, "h.csv")[0][0], "ant", "35 is the size of an ant");
    let hidden =
        place.json(&["complete", "run", "--data", "t.csv", "--hide", "0.2", "--out", "i.csv"]);
    let kind = &hidden["hidden"][0];
    let nats = |key: &str| kind[key].as_f64().unwrap();
    assert!(nats("log_loss_nats") < 0.9 * nats("marginal_log_loss_nats"), "{kind}");
    assert!(nats("accuracy") > nats("marginal_accuracy"), "{kind}");
    // What it does not do it says.
    let message = place.mistake(&["compress", "run", "t.csv", "--out", "t.chr"]);
    assert!(message.contains("kernel"), "{message}");
}
