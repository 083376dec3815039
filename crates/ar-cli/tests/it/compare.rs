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
