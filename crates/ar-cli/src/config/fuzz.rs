//! Configs that nobody wrote: each is checked or refused with a hint, in little time and memory.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::Config;
use crate::error::render;

#[path = "../../tests/promises/mutate.rs"]
mod mutate;

/// Configs of the checkout, from which those that nobody wrote are made; a package does not hold them.
const CONFIGS: [&str; 3] = ["nade-digits.toml", "markov3-digits.toml", "made-digits.toml"];

const SEED: &str = "name = \"x\"\n[data]\ntrain = \"a.csv\"\nshape = [2, 3]\nlevels = 5\ndrop = [\"a\", 1]\n\
     folds = 5\n[model]\nkind = \"row-lstm\"\nlayers = 2\nhidden = 8\n[train]\nepochs = 2\n";

#[test]
#[expect(clippy::print_stdout, reason = "how many inputs were tried is a part of the result")]
fn configs_are_checked_or_refused() {
    let effort = std::env::var("CHAINRULE_PROMISES").ok().and_then(|text| text.parse().ok());
    let count = 2000 * effort.unwrap_or(1_u64);
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let seeds: Vec<Vec<u8>> = match configs.is_dir() {
        true => CONFIGS.iter().map(|name| fs::read(configs.join(name)).unwrap()).collect(),
        false => Vec::new(),
    };
    let seeds = [seeds, vec![SEED.as_bytes().to_vec()]].concat();
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
