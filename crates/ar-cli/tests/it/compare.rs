//! `chainrule compare`: runs side by side.

use std::fs;

use crate::common::{NADE, Place, text};

/// Two runs of bits of the digits, one of their levels.
fn runs() -> Place {
    let place = Place::new();
    place.file("small.toml", NADE);
    place.json(&["train", "small.toml", "--out", "runs/small"]);
    let wide = ["train", "small.toml", "--set", "model.hidden=24", "--out", "runs/wide"];
    place.json(&wide);
    let markov = "name = \"levels\"\nseed = 1\n[data]\nname = \"digits\"\nbinarize = \"none\"\n\
                  [model]\nkind = \"markov\"\norder = 1\n";
    place.file("levels.toml", markov);
    place.json(&["train", "levels.toml", "--out", "runs/levels"]);
    place
}

#[test]
fn differences_are_those_of_the_rows() {
    let place = runs();
    let record = place.json(&["compare", "runs/small", "runs/wide"]);
    let groups = record["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 1);
    let costs = |run: &str| -> Vec<f64> {
        place.json(&["score", run, "--out", "scores.csv"]);
        let csv = fs::read_to_string(place.path("scores.csv")).unwrap();
        let head: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
        let at = head.iter().position(|name| *name == "log_prob_nats").unwrap();
        let cost = |line: &str| -line.split(',').nth(at).unwrap().parse::<f64>().unwrap();
        csv.lines().skip(1).map(cost).collect()
    };
    let [small, wide] = ["runs/small", "runs/wide"].map(costs);
    assert_eq!(small.len(), 359);
    let each: Vec<f64> = small.iter().zip(&wide).map(|(a, b)| a - b).collect();
    let n = each.len() as f64;
    let mean = each.iter().sum::<f64>() / n;
    let variance = each.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let pair = &groups[0]["pairs"][0];
    let close = |found: &serde_json::Value, expected: f64| {
        assert!((found.as_f64().unwrap() - expected).abs() < 1e-9, "{found} {expected}");
    };
    close(&pair["difference_nats"], mean);
    close(&pair["difference_nats_stderr"], (variance / n).sqrt());
    // The error of the difference is not that of two independent means.
    let errors: Vec<f64> =
        (0..2).map(|i| groups[0]["runs"][i]["nll_nats_stderr"].as_f64().unwrap()).collect();
    assert!((variance / n).sqrt() < 0.7 * errors[0].hypot(errors[1]));
    // The means are those of `eval`.
    let eval = place.json(&["eval", "runs/small"]);
    close(&groups[0]["runs"][0]["nll_nats"], eval["nll_nats"].as_f64().unwrap());
}

#[test]
fn other_rows_are_not_compared() {
    let place = runs();
    let record = place.json(&["compare", "runs/small", "runs/levels", "runs/wide"]);
    let groups = record["groups"].as_array().unwrap();
    let of = |k: usize| -> Vec<&str> {
        let runs = groups[k]["runs"].as_array().unwrap().iter();
        runs.map(|run| run["run"].as_str().unwrap()).collect()
    };
    assert_eq!([of(0), of(1)], [vec!["runs/small", "runs/wide"], vec!["runs/levels"]]);
    assert!(groups[1]["best"].is_null() && groups[1]["runs"][0]["difference_nats"].is_null());
    // The same set, another part of it.
    let record =
        place.json(&["compare", "runs/small", "runs/wide", "--split", "valid", "--examples", "50"]);
    assert_eq!(record["groups"][0]["examples"], 50);
    // One row has no standard error.
    let mut one = place.chainrule(&["compare", "runs/small", "runs/wide", "--examples", "1"]);
    let table = text(&one.output().unwrap().stdout);
    assert!(table.contains("1 example of 64") && !table.contains("NaN"), "{table}");
    // A run that the data does not suit is named.
    place.file("wide.csv", "a,b\n1,0\n0,1\n");
    let message = place.mistake(&["compare", "runs/small", "runs/wide", "--data", "wide.csv"]);
    assert!(message.starts_with("error: runs/small\n"), "{message}");
}

#[test]
fn the_page_and_the_tables_have_the_same_numbers() {
    let place = runs();
    let all = ["compare", "runs/small", "runs/wide", "runs/levels"];
    let record = place.json(&[&all[..], &["--out", "page.html"]].concat());
    assert_eq!(record["out"], "page.html");
    let page = fs::read_to_string(place.path("page.html")).unwrap();
    let rest = page.replace("http://www.w3.org/2000/svg", "");
    for word in ["http:", "https:", "<link", "<script", "@import", "src=\"/"] {
        assert!(!rest.contains(word), "{word}");
    }
    assert!(!page.contains("<img alt=\"\""), "every picture says what it shows");
    // Two groups: real images and 16 of each run, a map of each run, and a scale.
    assert_eq!(page.matches("<img ").count(), (1 + 2) * 16 + 2 + 1 + (1 + 1) * 16 + 1 + 1);
    let printed = |arguments: &[&str]| {
        let output = place.chainrule(&[&all[..], arguments].concat()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let csv = printed(&["--table", "csv"]);
    let markdown = printed(&["--table", "md"]);
    let table = printed(&[]);
    for run in record["groups"][0]["runs"].as_array().unwrap() {
        let nll = run["nll_nats"].as_f64().unwrap();
        assert!(csv.contains(&format!(",{nll},")), "{csv}");
        for words in [&page, &markdown, &table] {
            assert!(words.contains(&format!("{nll:.4} ± ")), "{words}");
        }
    }
    assert_eq!(csv.lines().count(), 1 + 3);
    let mut both = place.chainrule(&[&all[..], &["--table", "csv", "--json"]].concat());
    let output = both.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: --table with --json"));
    let message = place.mistake(&[&all[..], &["--out", "page.png"]].concat());
    assert!(message.contains("expected a name ending in .html"), "{message}");
}

#[test]
fn one_run_stands_beside_what_is_published_of_its_test_split() {
    let place = Place::new();
    place.file("small.toml", NADE.replace("nowhere", "<A> & B 2016"));
    place.json(&["train", "small.toml", "--out", "run"]);
    let record = place.json(&["compare", "run", "--out", "page.html", "--title", "A & B"]);
    let run = &record["groups"][0]["runs"][0];
    assert_eq!(run["paper"]["test_nll_nats"], 20.5);
    assert!(record["groups"][0]["best"].is_null(), "nothing to be compared with");
    let above = run["nll_nats"].as_f64().unwrap() - 20.5;
    let page = fs::read_to_string(place.path("page.html")).unwrap();
    let above = format!("{above:+.2}").replace('-', "−");
    assert!(page.contains(&format!("20.50 nats <span class=\"error below\">{above}")), "{page}");
    let table = text(&place.chainrule(&["compare", "run"]).output().unwrap().stdout);
    assert!(table.contains(&format!("  20.50 nats ({above})  ")), "{table}");
    assert!(page.contains("Published of run: &lt;A&gt; &amp; B 2016."), "{page}");
    assert!(page.contains("<h1>A &amp; B</h1>") && !page.contains("above the best"), "{page}");
    let csv = place.chainrule(&["compare", "run", "--table", "csv"]).output().unwrap();
    assert!(
        text(&csv.stdout).lines().nth(1).unwrap().ends_with(",20.5,,"),
        "{}",
        text(&csv.stdout)
    );
    // Nothing is published of other rows.
    for other in [&["--split", "valid"][..], &["--examples", "50"], &["--data", "digits"]] {
        let record = place.json(&[&["compare", "run"], other].concat());
        assert!(record["groups"][0]["runs"][0]["paper"].is_null(), "{other:?}");
    }
    let message = place.mistake(&["compare", "run", "--title", "A"]);
    assert!(message.starts_with("error: --title without --out"), "a heading of what? {message}");
}

#[test]
fn folds_have_a_mean_and_differences_are_those_of_the_folds() {
    let place = Place::new();
    place.file("small.toml", NADE);
    for (model, hidden) in [("a", 16), ("b", 8)] {
        for fold in 0..3 {
            let hidden = format!("model.hidden={hidden}");
            let fold = format!("data.fold={fold}");
            let run = format!("{model}-{fold}");
            let sets = ["--set", "data.folds=3", "--set", &fold, "--set", &hidden];
            place.json(&[&["train", "small.toml", "--out", &run], &sets[..]].concat());
        }
    }
    let runs = ["a-data.fold=0", "a-data.fold=1", "a-data.fold=2"];
    let others = ["b-data.fold=0", "b-data.fold=1", "b-data.fold=2"];
    let all = [&["compare"], &runs[..], &others].concat();
    let record = place.json(&[&all[..], &["--out", "page.html"]].concat());
    let groups = record["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 3, "one for each fold");
    let folds = record["folds"].as_array().unwrap();
    assert_eq!(folds[0]["runs"], serde_json::json!(runs));
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let stderr = |each: &[f64], mean: f64| {
        let squares: f64 = each.iter().map(|x| (x - mean).powi(2)).sum();
        (squares / (each.len() - 1) as f64 / each.len() as f64).sqrt()
    };
    let costs: Vec<f64> =
        groups.iter().map(|group| number(&group["runs"][0]["nll_nats"])).collect();
    let mean = costs.iter().sum::<f64>() / 3.0;
    assert!((number(&folds[0]["nll_nats"]) - mean).abs() < 1e-9);
    assert!((number(&folds[0]["nll_nats_stderr"]) - stderr(&costs, mean)).abs() < 1e-9);
    // a − b in each fold, and the spread of that.
    let each: Vec<f64> = groups.iter().map(|g| number(&g["pairs"][0]["difference_nats"])).collect();
    let mean = each.iter().sum::<f64>() / 3.0;
    let (other, sign) = if mean > 0.0 { (&folds[0], 1.0) } else { (&folds[1], -1.0) };
    assert!((number(&other["difference_nats"]) - sign * mean).abs() < 1e-9, "{folds:?}");
    assert!((number(&other["difference_nats_stderr"]) - stderr(&each, mean)).abs() < 1e-9);
    let page = fs::read_to_string(place.path("page.html")).unwrap();
    assert!(page.contains("digits, test: 3 folds, 1797 examples of 64 variables"), "{page}");
    assert_eq!(page.matches(", mean of 3</th>").count(), 2);
    // On the same rows they are runs like others.
    let record = place.json(&[&all[..], &["--data", "digits", "--split", "valid"]].concat());
    assert!(record["groups"].as_array().unwrap().len() == 1 && record["folds"].is_null());
}

#[test]
fn the_sheet_has_a_line_of_samples_for_each_run() {
    let place = runs();
    let all = ["compare", "runs/small", "runs/wide", "runs/levels", "--sheet", "sheet.png"];
    assert_eq!(place.json(&all)["sheet"], "sheet.png");
    let sheet = fs::read(place.path("sheet.png")).unwrap();
    let png = png::Decoder::new(std::io::Cursor::new(&sheet)).read_info().unwrap();
    // Two kinds of rows: the data of each, two runs and one.
    assert_eq!(png.info().height, 2 * 16 + 5 * 48 + 4 * 6);
    place.json(&all);
    assert_eq!(fs::read(place.path("sheet.png")).unwrap(), sheet, "the same seed");
    let message = place.mistake(&["compare", "runs/small", "--sheet", "runs/small/config.toml"]);
    assert!(message.contains("expected a name ending in .png"), "{message}");
    place.file("table.csv", "a,b\n1,0\n0,1\n1,1\n0,0\n1,0\n0,1\n1,1\n0,0\n1,0\n0,1\n");
    let train = ["train", "table.csv", "--model", "independent", "--out", "runs/table"];
    place.json(&train);
    let message = place.mistake(&["compare", "runs/table", "--sheet", "table.png"]);
    assert!(message.starts_with("error: --sheet is a picture of samples"), "{message}");
    assert!(message.contains("hint: remove --sheet"), "{message}");
}
