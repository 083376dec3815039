//! Configs that nobody wrote: each is checked or refused with a hint, in little time and memory.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Config;
use crate::error::render;

#[path = "../../tests/promises/mutate.rs"]
mod mutate;

const SEEDS: [&str; 4] = [
    include_str!("../../../../configs/nade-digits.toml"),
    include_str!("../../../../configs/markov3-digits.toml"),
    include_str!("../../../../configs/made-digits.toml"),
    "name = \"x\"\n[data]\ntrain = \"a.csv\"\nshape = [2, 3]\nlevels = 5\ndrop = [\"a\", 1]\n\
     folds = 5\n[model]\nkind = \"row-lstm\"\nlayers = 2\nhidden = 8\n[train]\nepochs = 2\n",
];

#[test]
#[expect(clippy::print_stdout, reason = "how many inputs were tried is a part of the result")]
fn configs_are_checked_or_refused() {
    let effort = std::env::var("CHAINRULE_PROMISES").ok().and_then(|text| text.parse().ok());
    let count = 2000 * effort.unwrap_or(1_u64);
    let seeds: Vec<Vec<u8>> = SEEDS.iter().map(|text| text.as_bytes().to_vec()).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    let mut taken = 0;
    for k in 0..count {
        let mut random = mutate::Random::new(k);
        let input = mutate::mutated(&seeds, &mut random);
        fs::write(&path, &input).unwrap();
        let ended = catch_unwind(AssertUnwindSafe(|| match Config::load(&path, &[]) {
            Ok(config) => {
                // What is checked is written down and read again as the same.
                let text = config.to_toml().unwrap();
                fs::write(&path, &text).unwrap();
                let back = Config::load(&path, &[]).unwrap();
                assert!(config.differences(&back).unwrap().is_empty());
                true
            }
            Err(error) => {
                assert!(render(&error, false).contains("\nhint: "));
                false
            }
        }));
        match ended {
            Ok(is_taken) => taken += u64::from(is_taken),
            Err(_) => panic!("input {k}: {}", String::from_utf8_lossy(&input)),
        }
    }
    println!("config: {count} inputs, {taken} taken, {} refused", count - taken);
    assert!(taken > 0 && taken < count);
}
