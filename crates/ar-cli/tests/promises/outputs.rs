//! What `--out` may be, and what it may not be written over.

use std::fs;

use crate::common::{Place, text};
use crate::{NADE, trained};

#[cfg(unix)]
#[test]
fn devices_and_pipes_are_written_into_and_stay_what_they_are() {
    use std::os::unix::fs::FileTypeExt as _;
    let place = trained();
    for command in [
        &["score", "run"][..],
        &["sample", "run"],
        &["compress", "run", "digits", "--no-baselines"],
        &["decompress", "run", "digits.chr"],
        &["report", "run", "--examples", "9"],
        &["features", "run"],
        &["data", "export", "run"],
        &["inspect", "run"],
    ] {
        place.json(&[command, &["--out", "/dev/null"]].concat());
        let null = fs::metadata("/dev/null").unwrap().file_type();
        assert!(null.is_char_device(), "{command:?} replaced /dev/null");
    }
    // What a pipe is given is what a file would hold.
    for (out, command) in [
        ("s.csv", &["score", "run"][..]),
        ("s.npy", &["score", "run"]),
        ("d.chr", &["compress", "run", "digits", "--no-baselines"]),
        ("f.npy", &["features", "run"]),
    ] {
        place.json(&[command, &["--out", out]].concat());
        let expected = fs::read(place.path(out)).unwrap();
        let pipe = format!("pipe-{out}");
        let made = std::process::Command::new("mkfifo").arg(place.path(&pipe)).status().unwrap();
        assert!(made.success());
        let reader = std::thread::spawn({
            let pipe = place.path(&pipe);
            move || fs::read(pipe).unwrap()
        });
        place.json(&[command, &["--out", &pipe]].concat());
        assert!(reader.join().unwrap() == expected, "{command:?} {out}");
        assert!(fs::metadata(place.path(&pipe)).unwrap().file_type().is_fifo());
    }
}

#[test]
fn a_dash_is_standard_output_and_the_words_go_to_standard_error() {
    let place = trained();
    for (out, command) in [
        ("s.csv", &["score", "run"][..]),
        ("x.csv", &["sample", "run", "--count", "5"]),
        ("e.csv", &["data", "export", "run"]),
        ("d.csv", &["decompress", "run", "digits.chr"]),
        ("d.chr", &["compress", "run", "digits", "--no-baselines"]),
        ("f.npy", &["features", "run"]),
    ] {
        place.json(&[command, &["--out", out]].concat());
        let expected = fs::read(place.path(out)).unwrap();
        let output = place.chainrule(command).args(["--out", "-"]).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
        assert!(output.stdout == expected, "{command:?}");
        assert!(!output.stderr.is_empty(), "{command:?}");
        let output = place.chainrule(command).args(["--out", "-", "--json"]).output().unwrap();
        assert!(output.stdout == expected, "{command:?}");
        let record = text(&output.stderr);
        let record = record.lines().last().unwrap_or_default();
        let record: serde_json::Value = serde_json::from_str(record).unwrap();
        assert_eq!(record["version"], 1, "{command:?}");
    }
    let message = place.mistake(&["complete", "run", "--observe", "top-half", "--out", "-"]);
    assert!(message.contains("expected a name ending in .png or .npy"), "{message}");
    let message = place.mistake(&["score", "run", "--out", "-", "--per-variable", "-"]);
    assert!(message.contains("are both"), "{message}");
    assert!(!place.path("-").exists());
}

#[cfg(unix)]
#[test]
fn links_are_followed() {
    use std::os::unix::fs::symlink;
    let place = trained();
    place.json(&["sample", "run", "--out", "plain.csv"]);
    place.file("real.csv", "old");
    symlink("real.csv", place.path("link.csv")).unwrap();
    place.json(&["sample", "run", "--out", "link.csv"]);
    assert!(fs::symlink_metadata(place.path("link.csv")).unwrap().is_symlink());
    let [plain, real] = ["plain.csv", "real.csv"].map(|name| fs::read(place.path(name)).unwrap());
    assert!(plain == real);
    // A link that was planted under a temporary name is not.
    place.file("victim", "dear");
    symlink("victim", place.path(".s.csv.partial")).unwrap();
    place.json(&["score", "run", "--out", "s.csv"]);
    assert_eq!(fs::read(place.path("victim")).unwrap(), b"dear");
}

#[test]
fn commands_write_the_endings_that_are_theirs() {
    let place = trained();
    let model = fs::read(place.path("run/model.safetensors")).unwrap();
    for command in [
        &["compress", "run", "digits"][..],
        &["decompress", "run", "digits.chr"],
        &["sample", "run"],
        &["score", "run"],
        &["report", "run"],
        &["features", "run"],
        &["complete", "run", "--observe", "top-half"],
        &["data", "export", "run"],
    ] {
        for out in
            ["run/model.safetensors", "run/config.toml", "c.toml", "x.jpg", "run/result.json"]
        {
            let message = place.mistake(&[command, &["--out", out]].concat());
            assert!(message.contains("expected a name ending in"), "{command:?} {out}: {message}");
        }
    }
    assert!(fs::read(place.path("run/model.safetensors")).unwrap() == model);
}

#[cfg(unix)]
#[test]
fn files_of_a_run_are_not_written_over_under_any_name() {
    use std::os::unix::fs::symlink;
    let place = trained();
    let files = ["config.toml", "model.safetensors", "seal.json", "result.json", "metrics.jsonl"];
    let before = files.map(|file| fs::read(place.path("run").join(file)).unwrap());
    for file in files {
        for (name, command) in [
            ("x.csv", &["score", "run"][..]),
            ("x.npy", &["sample", "run"]),
            ("x.chr", &["compress", "run", "digits"]),
            ("x.html", &["report", "run"]),
            ("x.png", &["inspect", "run"]),
        ] {
            let _ = fs::remove_file(place.path(name));
            symlink(format!("run/{file}"), place.path(name)).unwrap();
            let message = place.mistake(&[command, &["--out", name]].concat());
            assert!(message.contains("of the run"), "{file} {name}: {message}");
            fs::remove_file(place.path(name)).unwrap();
            fs::hard_link(place.path("run").join(file), place.path(name)).unwrap();
            let message = place.mistake(&[command, &["--out", name]].concat());
            assert!(message.contains("which is read"), "{file} {name}: {message}");
        }
    }
    let after = files.map(|file| fs::read(place.path("run").join(file)).unwrap());
    assert!(before == after);
}

#[test]
fn data_that_a_config_names_is_not_written_over_in_any_spelling() {
    let place = Place::new();
    let rows: String = (0..40).map(|i| format!("{},{}\n", i % 2, (i / 2) % 2)).collect();
    place.file("normal.csv", format!("a,b\n{rows}"));
    fs::create_dir(place.path("sub")).unwrap();
    let data = "train = \"normal.csv\"\nvalid = \"normal.csv\"\ntest = \"normal.csv\"";
    place.file("c.toml", NADE.replace("name = \"digits\"\nbinarize = \"threshold\"", data));
    place.json(&["train", "c.toml", "--out", "run"]);
    let before = fs::read(place.path("normal.csv")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("normal.csv", place.path("link.csv")).unwrap();
    let absolute = place.path("normal.csv");
    let mut spellings = vec!["normal.csv", "./normal.csv", "sub/../normal.csv"];
    spellings.extend(absolute.to_str());
    if cfg!(unix) {
        spellings.push("link.csv");
    }
    for out in spellings {
        for command in [
            &["sample", "run"][..],
            &["score", "run"],
            &["data", "export", "run"],
            &["data", "export", "c.toml"],
            &["data", "export", "normal.csv"],
        ] {
            let message = place.mistake(&[command, &["--out", out]].concat());
            assert!(message.contains("which is read"), "{command:?} {out}: {message}");
        }
    }
    assert!(fs::read(place.path("normal.csv")).unwrap() == before);
}

#[test]
fn a_folder_of_images_is_not_made_longer_by_its_own_samples() {
    let place = trained();
    fs::create_dir(place.path("images")).unwrap();
    let exported = ["data", "export", "digits", "--count", "1", "--columns", "1", "--out"];
    place.json(&[&exported[..], &["images/0.png"]].concat());
    let message = place.mistake(&["score", "run", "--data", "images", "--out", "images/s.csv"]);
    assert!(message.contains("would become a part of"), "{message}");
}

#[test]
fn a_config_of_ones_own_is_not_written_over_by_training() {
    let place = Place::new();
    place.file("config.toml", NADE);
    for out in [".", "./"] {
        let message = place.mistake(&["train", "config.toml", "--out", out]);
        assert!(message.contains("is no config of a run"), "{message}");
    }
    assert_eq!(text(&fs::read(place.path("config.toml")).unwrap()), NADE);
    // That of a run is the run's.
    place.json(&["train", "config.toml", "--out", "run"]);
    place.json(&["train", "run/config.toml", "--out", "run", "--resume"]);
}

#[cfg(unix)]
#[test]
fn a_read_only_file_stays_and_permissions_too() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = trained();
    place.file("s.csv", "dear");
    let set = |mode| {
        fs::set_permissions(place.path("s.csv"), fs::Permissions::from_mode(mode)).unwrap();
    };
    set(0o444);
    let message = place.mistake(&["score", "run", "--out", "s.csv"]);
    assert!(message.contains("cannot write s.csv (--out)") && message.contains("read-only"));
    assert_eq!(fs::read(place.path("s.csv")).unwrap(), b"dear");
    set(0o600);
    place.json(&["score", "run", "--out", "s.csv"]);
    let mode = fs::metadata(place.path("s.csv")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
