//! `chainrule report`: one file about a run.

use std::fs;

use crate::common::{NADE, Place, text};

/// The page of a report, checked for what every one must have.
fn page(place: &Place, arguments: &[&str], out: &str) -> String {
    let record = place.json(&[&["report"], arguments].concat());
    assert_eq!(record["out"], out);
    let page = fs::read_to_string(place.path(out)).unwrap();
    assert_eq!(record["bytes"], page.len());
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    // Nothing is fetched: no address but the name space of SVG, no file beside it.
    let rest = page.replace("http://www.w3.org/2000/svg", "");
    for word in ["http:", "https:", "<link", "<script", "@import", "src=\"/"] {
        assert!(!rest.contains(word), "{word}");
    }
    assert_eq!(page.matches("<img ").count(), page.matches("src=\"data:image/png;base64,").count());
    assert_eq!(page.matches("<img ").count(), page.matches("<img alt=\"").count());
    assert!(!page.contains("<img alt=\"\""), "every picture says what it shows");
    page
}

#[test]
fn images_have_samples_completions_and_a_map() {
    let place = Place::new();
    place.file("small.toml", NADE);
    place.json(&["train", "small.toml", "--out", "run"]);
    let first = page(&place, &["run"], "run/report.html");
    for part in [
        "<h2>Training</h2>",
        "<h2>Samples</h2>",
        "<h2>Completions</h2>",
        "<h2>Where the nats go</h2>",
        "<h2>Scores</h2>",
        "<h2>The dearest images</h2>",
        "<h2>Compression</h2>",
        "digits, test",
        "digits, train",
        "all pixels before it through 8 shared hidden units",
        "draws from p(missing | observed)",
        "PNG, all images in one",
        "this nade",
        "chainrule report run --examples 1000 --seed 1",
    ] {
        assert!(first.contains(part), "{part}");
    }
    // 16 real, 32 drawn, 6 rows of an original, a half and 4 completions, a map and its scale, the dearest.
    assert_eq!(first.matches("<img ").count(), 16 + 32 + 6 * 6 + 2 + 16);
    assert_eq!(first.matches("<svg ").count(), 2);
    // The same again; another seed draws others.
    assert_eq!(page(&place, &["run"], "run/report.html"), first);
    let other = page(&place, &["run", "--out", "o.html", "--seed", "2"], "o.html");
    assert_ne!(other, first.replace("--seed 1", "--seed 2"));
    // The numbers are those of `eval`.
    let eval = place.json(&["eval", "run"]);
    let nll = format!("{:.2}", eval["nll_nats"].as_f64().unwrap());
    assert!(first.contains(&format!("<td class=\"number\">{nll}")), "{nll}");
    // Against another set, here the samples of the model.
    place.json(&["sample", "run", "--out", "drawn.npy", "--count", "50"]);
    let against = page(
        &place,
        &["run", "--against", "drawn.npy", "--examples", "200", "--out", "a.html"],
        "a.html",
    );
    assert!(against.contains("drawn.npy") && !against.contains("digits, train"));
    assert!(against.contains("<td class=\"number\">200</td>"));
    assert!(against.contains("<td class=\"number\">50</td>"));
}

#[test]
fn a_pixel_rnn_of_levels_and_an_ordering_without_a_prefix() {
    let place = Place::new();
    place.file(
        "p.toml",
        "name = \"p\"\n[data]\nname = \"digits\"\n\
         [model]\nkind = \"diagonal-bilstm\"\nlayers = 1\nhidden = 3\nhead = 4\n[train]\nepochs = 1\n",
    );
    place.json(&["train", "p.toml", "--out", "run"]);
    let of_levels = page(&place, &["run", "--examples", "40"], "run/report.html");
    assert!(of_levels.contains("ln 17 = 2.833") && of_levels.contains("8 bits a value"));
    place.file("small.toml", NADE);
    let spiral = ["--set", "model.ordering=spiral", "--out", "spiral"];
    place.json(&[&["train", "small.toml"], &spiral[..]].concat());
    let spiral = page(&place, &["spiral", "--examples", "40"], "spiral/report.html");
    assert!(spiral.contains("sequential Monte Carlo"));
}

#[test]
fn tables_have_named_columns() {
    let place = Place::new();
    let mut rows = "left,right & <wrong>,both\n".to_owned();
    rows.extend(
        (0..60).map(|i| format!("{},{},{}\n", i % 2, (i / 2) % 2, (i % 2) * ((i / 2) % 2))),
    );
    place.file("a.csv", rows);
    place.file(
        "t.toml",
        "name = \"t\"\n[data]\ntrain = \"a.csv\"\n[model]\nkind = \"markov\"\norder = 2\n",
    );
    place.json(&["train", "t.toml", "--out", "run"]);
    let page = page(&place, &["run"], "run/report.html");
    assert!(page.contains("fitted by counting"), "no curves");
    assert!(page.contains("right &amp; &lt;wrong&gt;"), "{page}");
    assert!(!page.contains("<h2>Completions</h2>") && !page.contains("<img "));
    // The third column follows from the others: it costs little and comes last.
    let costs = &page[page.find("<h2>Where the nats go</h2>").unwrap()..];
    assert!(costs.find("left").unwrap() < costs.find("both").unwrap(), "{costs}");
    // Without a test file it is about the training file, once.
    assert_eq!(page.matches("a.csv, train").count(), 4, "{page}");
    // The rows that `score` finds dearest, in its numbers.
    let dearest = &page[page.find("<h2>The dearest rows</h2>").unwrap()..];
    assert!(page.contains("simple rows can cost less"), "{page}");
    place.json(&["score", "run", "--split", "train", "--out", "scores.csv"]);
    let csv = fs::read_to_string(place.path("scores.csv")).unwrap();
    let head: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let at = |name: &str| head.iter().position(|found| *found == name).unwrap();
    let rows = csv.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let cost = |row: &[&str]| -row[at("log_prob_nats")].parse::<f64>().unwrap();
    let most = rows.max_by(|a, b| cost(a).total_cmp(&cost(b)).then(std::cmp::Ordering::Greater));
    let most = format!("<td class=\"number\">{:.2}</td>", cost(&most.unwrap()));
    assert!(dearest.find(&most).unwrap() < dearest.find("figcaption").unwrap(), "{dearest}");
}

#[test]
fn mistakes_are_named() {
    let place = Place::new();
    place.file("small.toml", NADE);
    place.json(&["train", "small.toml", "--out", "run", "--set", "train.epochs=1"]);
    let message = place.mistake(&["report", "run", "--out", "r.pdf"]);
    assert!(message.contains("--out r.pdf") && message.contains("ending in .html"), "{message}");
    let message = place.mistake(&["report", "run", "--against", "digitz"]);
    assert!(message.contains("did you mean \"digits\"?"), "{message}");
    fs::remove_file(place.path("run/model.safetensors")).unwrap();
    let message = place.mistake(&["report", "run"]);
    assert!(message.contains("run is not trained"), "{message}");
    assert!(!place.path("run/report.html").exists());
    let output = place.chainrule(&["report", "--help"]).output().unwrap();
    assert!(text(&output.stdout).contains("--against"));
}

#[test]
fn tables_of_real_numbers_are_drawn_and_probed_as_such() {
    let place = Place::new();
    let row = |i: i32| format!("{},{:.3}\n", f64::from(i % 7) / 2.0, (f64::from(i) * 0.7).sin());
    place.file("a.csv", "length,width\n".to_owned() + &(0..80).map(row).collect::<String>());
    place.file(
        "r.toml",
        "name = \"r\"\n[data]\ntrain = \"a.csv\"\nkind = \"real\"\n\
         [model]\nkind = \"rnade\"\nhidden = 3\ncomponents = 2\n[train]\nepochs = 2\n",
    );
    place.json(&["train", "r.toml", "--out", "run"]);
    let page = page(&place, &["run"], "run/report.html");
    assert!(page.contains("of a density, so it may be negative"), "{page}");
    assert!(
        page.contains("<th scope=\"row\">width</th>") && !page.contains("<h2>Compression</h2>")
    );
    let record = place.json(&["features", "run", "--out", "f.npy", "--split", "train"]);
    assert_eq!(record["what"], "3 hidden units after all 2 variables");
    assert_eq!(record["written"]["examples"], 80);
}
