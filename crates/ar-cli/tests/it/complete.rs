//! `chainrule complete`: what is observed stays, what is missing is drawn.

use std::fs;

use crate::common::{NADE, Place, text};
use serde_json::Value;

/// The values of a `.npy` of `u8`, and its shape as it stands in the header.
fn npy(place: &Place, file: &str) -> (String, Vec<u8>) {
    let bytes = fs::read(place.path(file)).unwrap();
    let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[..data]);
    let shape = header.split("'shape': (").nth(1).unwrap().split(')').next().unwrap().to_owned();
    (shape, bytes[data..].to_vec())
}

/// Trains a small NADE on the digits, in the order given.
fn digits(ordering: &str) -> Place {
    let place = Place::new();
    place.file("small.toml", NADE);
    let ordering = format!("model.ordering={ordering}");
    place.json(&["train", "small.toml", "--out", "run", "--set", &ordering]);
    place.json(&["data", "export", "run", "--out", "first.npy", "--count", "3"]);
    place
}

fn complete(place: &Place, observe: &str, out: &str) -> Value {
    place.json(&[
        "complete",
        "run",
        "--observe",
        observe,
        "--out",
        out,
        "--count",
        "3",
        "--samples",
        "5",
    ])
}

fn nats(record: &Value) -> f64 {
    record["missing_nll_nats"].as_f64().unwrap_or_else(|| panic!("no number in {record}"))
}

#[test]
fn what_is_observed_stays_and_the_rest_is_drawn() {
    let place = digits("raster");
    let record = complete(&place, "top-half", "c.npy");
    assert_eq!((record["count"].as_u64(), record["samples"].as_u64()), (Some(3), Some(5)));
    assert_eq!(record["missing_variables"], 32.0);
    assert_eq!(record["exact_conditional"], true);
    let (shape, values) = npy(&place, "c.npy");
    assert_eq!(shape, "3, 5, 8, 8");
    let (_, originals) = npy(&place, "first.npy");
    let completions = values.as_chunks::<{ 5 * 64 }>().0;
    let mut differ = 0;
    for (original, completions) in originals.chunks_exact(64).zip(completions) {
        for completion in completions.as_chunks::<64>().0 {
            assert_eq!(completion[..32], original[..32]);
            assert!(completion.iter().all(|&bit| bit < 2));
            differ += usize::from(completion[32..] != original[32..]);
        }
    }
    assert!(differ > 10, "{differ} of 15 are drawn");
    // The same seed draws the same, another one does not.
    complete(&place, "top-half", "again.npy");
    assert_eq!(npy(&place, "again.npy").1, values);
    place.json(&[
        "complete",
        "run",
        "--observe",
        "top-half",
        "--out",
        "other.npy",
        "--count",
        "3",
        "--samples",
        "5",
        "--seed",
        "2",
    ]);
    assert_ne!(npy(&place, "other.npy").1, values);
    // The first three images of the split are those of the file.
    let of_file = place.json(&[
        "complete",
        "run",
        "--data",
        "first.npy",
        "--observe",
        "top-half",
        "--out",
        "file.npy",
        "--samples",
        "5",
    ]);
    assert_eq!((of_file["split"].as_str(), of_file["count"].as_u64()), (Some("all"), Some(3)));
    assert_eq!(npy(&place, "file.npy").1, values);
    assert_eq!(of_file["missing_nll_nats"], record["missing_nll_nats"]);
}

#[test]
fn the_cost_of_what_is_missing_is_that_of_the_walk() {
    let place = digits("raster");
    let all = place.json(&["eval", "run", "--data", "first.npy"])["nll_nats"].as_f64().unwrap();
    // Nothing is observed: the cost of the whole image. All is: nothing is drawn.
    let nothing = complete(&place, "fraction:0", "c.npy");
    assert!((nats(&nothing) - all).abs() < 1e-3, "{nothing} {all}");
    assert_eq!(nothing["exact_conditional"], true);
    let everything = complete(&place, "fraction:1", "c.npy");
    assert_eq!((nats(&everything), &everything["exact_conditional"]), (0.0, &true.into()));
    let (_, originals) = npy(&place, "first.npy");
    let (_, values) = npy(&place, "c.npy");
    for (original, completions) in originals.chunks_exact(64).zip(values.chunks_exact(5 * 64)) {
        assert_eq!(completions, original.repeat(5));
    }
    // What is observed and what is missing share out the cost, exactly and by particles.
    let mut rest = vec![0_u8; 64];
    rest[..32].fill(255);
    mask(&place, "top.png", 8, 8, &rest);
    rest.iter_mut().for_each(|value| *value = 255 - *value);
    mask(&place, "bottom.png", 8, 8, &rest);
    let top = complete(&place, "top.png", "c.npy");
    let bottom = complete(&place, "bottom.png", "c.npy");
    assert_eq!(nats(&top), nats(&complete(&place, "top-half", "t.npy")));
    for (record, method, particles) in
        [(&top, "exact", Value::Null), (&bottom, "smc", Value::from(100))]
    {
        assert_eq!((&record["method"], &record["particles"]), (&method.into(), &particles));
        assert_eq!(record["exact_conditional"], method == "exact");
        let observed = record["observed_nll_nats"].as_f64().unwrap();
        assert!((nats(record) + observed - all).abs() < 1e-3, "{record} {all}");
    }
    // The draws keep what is observed, and other particles draw others.
    let (_, originals) = npy(&place, "first.npy");
    let (_, values) = npy(&place, "c.npy");
    for (k, completion) in values.as_chunks::<64>().0.iter().enumerate() {
        assert_eq!(completion[32..], originals[k / 5 * 64 + 32..k / 5 * 64 + 64]);
    }
    let again = complete(&place, "bottom.png", "again.npy");
    assert_eq!(npy(&place, "again.npy").1, values);
    assert_eq!(nats(&again), nats(&bottom));
    // Other particles, another estimate.
    let few = place.json(&[
        "complete",
        "run",
        "--observe",
        "bottom.png",
        "--out",
        "few.npy",
        "--count",
        "3",
        "--samples",
        "1",
        "--particles",
        "1",
    ]);
    assert_eq!((&few["method"], &few["particles"]), (&"smc".into(), &1.into()));
    assert_ne!(nats(&few), nats(&bottom));
}

#[test]
fn any_number_of_particles_gives_as_many_completions_as_are_asked_for() {
    let place = Place::new();
    place.file("small.toml", NADE);
    for (kind, overrides) in [
        ("nade", &["model.hidden=40", "train.epochs=40"][..]),
        ("labels", &["model.classes=10"]),
        ("table", &["model={ kind = \"markov\", order = 2 }"]),
        ("pixels", &["model={ kind = \"row-lstm\", layers = 1, hidden = 4 }", "train.epochs=1"]),
    ] {
        let mut text = NADE.to_owned();
        if kind == "table" {
            text = text.replace(&text[text.find("[train]").unwrap()..], "");
        }
        place.file("c.toml", text);
        let overrides = overrides.iter().flat_map(|set| ["--set", set]);
        let train: Vec<&str> =
            ["train", "c.toml", "--out", kind].into_iter().chain(overrides).collect();
        place.json(&train);
        place.json(&["data", "export", kind, "--out", "first.npy", "--count", "3"]);
        let (_, originals) = npy(&place, "first.npy");
        for (observe, method) in [("top-half", "exact"), ("every-other-row", "smc")] {
            for particles in ["1", "3", "30"] {
                let mut line = vec!["complete", kind, "--observe", observe, "--out", "c.npy"];
                line.extend(["--count", "3", "--samples", "5", "--particles", particles]);
                if kind == "labels" {
                    line.extend(["--class", "4"]);
                }
                let record = place.json(&line);
                assert_eq!(record["method"], method, "{kind} {particles}");
                assert!(nats(&record) > 0.0 && record["observed_nll_nats"].as_f64() > Some(0.0));
                let (shape, values) = npy(&place, "c.npy");
                assert_eq!(shape, "3, 5, 8, 8");
                let kept =
                    |i: usize| if method == "exact" { i < 32 } else { (i / 8).is_multiple_of(2) };
                for (k, completion) in values.as_chunks::<64>().0.iter().enumerate() {
                    let original = &originals[k / 5 * 64..k / 5 * 64 + 64];
                    assert!((0..64).filter(|&i| kept(i)).all(|i| completion[i] == original[i]));
                }
                // Walks of their own: none is the copy of another.
                if particles == "1" {
                    let first = &values.as_chunks::<64>().0[..5];
                    let same = first.iter().filter(|completion| **completion == first[0]).count();
                    assert_eq!(same, 1, "{kind} {observe}");
                }
            }
        }
    }
    // What the observed rows cost: a walk that does not look ahead meets them with less probability.
    let cost = |particles: &str| {
        let line = ["complete", "nade", "--observe", "every-other-row", "--out", "c.npy"];
        let more = ["--count", "100", "--samples", "20", "--particles", particles];
        place.json(&[&line[..], &more].concat())["observed_nll_nats"].as_f64().unwrap()
    };
    let costs = ["1", "7", "70"].map(cost);
    assert!(costs.is_sorted_by(|fewer, more| fewer > more), "{costs:?}");
    let line = ["complete", "nade", "--observe", "every-other-row", "--out", "c.png"];
    let output = place.chainrule(&[&line[..], &["--particles", "1"]].concat()).output().unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(stderr.contains("1 particle does not look ahead"), "{stderr}");
    assert!(stdout.contains("drawn from p(x_t | what came before) by 1 particle\n"), "{stdout}");
}

#[test]
fn a_model_of_any_ordering_takes_any_mask() {
    let place = Place::new();
    place.file(
        "any.toml",
        NADE.replace(
            "kind = \"nade\"\nhidden = 8",
            "kind = \"orderless-nade\"\nhidden = [40]\norderings = 3",
        ),
    );
    place.json(&["train", "any.toml", "--out", "run"]);
    place.json(&["data", "export", "run", "--out", "first.npy", "--count", "3"]);
    let (_, originals) = npy(&place, "first.npy");
    for observe in ["top-half", "left-half", "every-other-row", "fraction:0.3"] {
        let record = complete(&place, observe, "c.npy");
        assert_eq!(
            (&record["method"], &record["exact_conditional"]),
            (&"exact".into(), &true.into())
        );
        assert!(record.get("particles").is_none() && record.get("observed_nll_nats").is_none());
        assert!(nats(&record) > 1.0);
        let (_, values) = npy(&place, "c.npy");
        assert_eq!(values.len(), 3 * 5 * 64);
        if observe == "left-half" {
            for (k, completion) in values.as_chunks::<64>().0.iter().enumerate() {
                let kept = |i: usize| completion[i] == originals[k / 5 * 64 + i];
                assert!((0..64).filter(|i| i % 8 < 4).all(kept));
            }
        }
    }
    // Nothing observed: the likelihood, over as many orderings as the config says or one asks for.
    let eval =
        |more: &[&str]| place.json(&[&["eval", "run", "--data", "first.npy"], more].concat());
    let all = eval(&[]);
    assert_eq!(all["orderings"], 3);
    let nothing = complete(&place, "fraction:0", "c.npy");
    assert!((nats(&nothing) - all["nll_nats"].as_f64().unwrap()).abs() < 1e-3, "{nothing} {all}");
    let one = eval(&["--orderings", "1", "--per-variable", "cost.npy"]);
    assert_eq!(one["orderings"], 1);
    let many = eval(&["--orderings", "40"]);
    assert!(many["nll_nats"].as_f64() < one["nll_nats"].as_f64(), "{many} {one}");
    let message = place.mistake(&["eval", "run", "--orderings", "5000"]);
    assert!(message.contains("expected at most 4096"), "{message}");
    place.json(&["sample", "run", "--out", "s.npy", "--count", "5"]);
}

#[test]
fn whether_the_draws_are_conditional_depends_on_the_ordering() {
    for (ordering, top, left) in
        [("raster", true, false), ("column-major", false, true), ("spiral", false, false)]
    {
        let place = digits(ordering);
        for (observe, exact) in [("top-half", top), ("left-half", left), ("every-other-row", false)]
        {
            let record = complete(&place, observe, "c.npy");
            assert_eq!(record["exact_conditional"], exact, "{ordering} {observe}");
        }
        // Words say it too, on stderr where they are no result.
        let output = place
            .chainrule(&["complete", "run", "--observe", "every-other-row", "--out", "c.png"])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("no prefix of the ordering"), "{stderr}");
        assert!(stderr.contains("with 100 particles"), "{stderr}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(stdout.contains("by sequential Monte Carlo, 100 particles"), "{stdout}");
        // Eight images in rows of an original, what is observed, and four completions.
        let grid = image::open(place.path("c.png")).unwrap().to_rgb8();
        assert_eq!(grid.dimensions(), (6 * 9 + 1, 8 * 9 + 1));
        assert_eq!(grid.get_pixel(10 + 3, 1 + 1).0, [72, 116, 196], "a missing pixel is blue");
    }
}

/// Writes a grey PNG.
fn mask(place: &Place, name: &str, width: u32, height: u32, pixels: &[u8]) {
    let image = image::GrayImage::from_raw(width, height, pixels.to_vec()).unwrap();
    image.save(place.path(name)).unwrap();
}

#[test]
fn colours_are_completed_in_both_layouts() {
    let place = Place::new();
    for (name, shape) in [("first", "3, 2, 4"), ("last", "2, 4, 3")] {
        // Forty images; a header of NumPy's, padded to 128 bytes.
        let head = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': (40, {shape}), }}");
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(format!("{head:<117}\n").bytes());
        bytes.extend((0..40 * 24).map(|i| (i * i / 7 % 4) as u8));
        place.file(&format!("{name}.npy"), bytes);
        let text = format!(
            "name = \"{name}\"\n[data]\ntrain = \"{name}.npy\"\ntest = \"{name}.npy\"\n\
             [model]\nkind = \"markov\"\norder = 2\n"
        );
        place.file("c.toml", text);
        place.json(&["train", "c.toml", "--out", "run"]);
        let record = complete(&place, "left-half", "c.npy");
        assert_eq!(record["missing_variables"], 12.0);
        let (found, values) = npy(&place, "c.npy");
        assert_eq!(found, format!("3, 5, {shape}"));
        let originals: Vec<u8> = (0..3 * 24).map(|i| (i * i / 7 % 4) as u8).collect();
        for (k, completion) in values.chunks_exact(24).enumerate() {
            for (i, &value) in completion.iter().enumerate() {
                let column = if name == "first" { i % 4 } else { i / 3 % 4 };
                assert!(column >= 2 || value == originals[k / 5 * 24 + i], "{name} {i}");
            }
        }
        complete(&place, "left-half", "c.png");
        let grid = image::open(place.path("c.png")).unwrap().to_rgb8();
        assert_eq!(grid.dimensions(), (7 * 5 + 1, 3 * 3 + 1));
        fs::remove_dir_all(place.path("run")).unwrap();
    }
}

#[test]
fn mistakes_are_named() {
    let place = digits("raster");
    mask(&place, "wide.png", 9, 8, &[255; 72]);
    for (observe, out, parts) in [
        ("top-hlf", "c.png", &["--observe top-hlf", "did you mean `top-half`?"][..]),
        ("bottom", "c.png", &["top-half, left-half, every-other-row, fraction:P or MASK.png"]),
        ("fraction:2", "c.png", &["from 0 to 1", "fraction:0.5"]),
        ("wide.png", "c.png", &["wide.png: 8×9 pixels, expected 8×8", "size of an image"]),
        ("none.png", "c.png", &["none.png"]),
        ("top-half", "c.csv", &["--out c.csv", ".png or .npy"]),
    ] {
        let message = place.mistake(&["complete", "run", "--observe", observe, "--out", out]);
        for part in parts {
            assert!(message.contains(part), "{observe} says not {part:?}: {message}");
        }
    }
    let message = place.mistake(&["eval", "run", "--orderings", "2"]);
    assert!(message.contains("a model of kind nade has one ordering"), "{message}");
    let rows: String = (0..40).map(|i| format!("{},{}\n", i % 2, (i / 2) % 2)).collect();
    place.file("a.csv", rows);
    place.file(
        "table.toml",
        "name = \"t\"\n[data]\ntrain = \"a.csv\"\n[model]\nkind = \"independent\"\n",
    );
    place.json(&["train", "table.toml", "--out", "table"]);
    let message = place.mistake(&["complete", "table", "--observe", "top-half", "--out", "c.png"]);
    assert!(message.contains("shape [2], expected images"), "{message}");
}
