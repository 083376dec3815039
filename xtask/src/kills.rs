//! `cargo xtask kills`: a run that is killed at random moments and resumed ends with the same bits.

use crate::chainrule::Chainrule;
use crate::failure::Mistake;
use crate::terminal;
use crate::workspace::root;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Kill a training run at random moments, resume it each time, and compare the final weights with
/// those of a run that was left alone; after every twenty kills a new run begins.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the config to train
    #[arg(default_value = "nade-digits")]
    config: String,
    /// How many times to kill
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// Seed of the moments
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the runs go
    #[arg(long, default_value = "runs/kills")]
    out: PathBuf,
    /// A built binary to use
    #[arg(long, value_name = "FILE")]
    chainrule: Option<PathBuf>,
}

/// Trains once in peace and once under fire.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = root()?;
    let chainrule = match &args.chainrule {
        Some(program) => Chainrule::at(&root, program.clone(), None),
        None => Chainrule::build(&root, None)?,
    };
    let config = root.join("configs").join(format!("{}.toml", args.config));
    if !config.is_file() {
        bail!(
            Mistake::new(format!("no config `{}`", args.config))
                .hint("cargo xtask experiment --list names them")
        );
    }
    let out = root.join(&args.out);
    let [whole, killed] = ["whole", "killed"].map(|name| out.join(name));
    for run in [&whole, &killed] {
        if run.exists() {
            fs::remove_dir_all(run).with_context(|| format!("removing {}", run.display()))?;
        }
    }

    let start = Instant::now();
    chainrule.train(&config, &whole, None, false, || ())?;
    let alone = start.elapsed();
    terminal::note(&format!("left alone: {:.1} s", alone.as_secs_f64()));

    let weights = |run: &Path| {
        let path = run.join("model.safetensors");
        fs::read(&path).with_context(|| format!("reading {}", path.display()))
    };
    let expected = weights(&whole)?;

    // Lives of a random length around a part of the run, so that the kills of a run spread over it.
    let mut moments = SplitMix64(args.seed);
    let mean = alone.as_secs_f64() / f64::from(args.kills.min(KILLS_OF_A_RUN) + 1);
    let (mut kills, mut runs) = (0, 0);
    while kills < args.kills {
        let most = (args.kills - kills).min(KILLS_OF_A_RUN);
        let mut of_this_run = 0;
        while of_this_run < most {
            let life = Duration::from_secs_f64(2.0 * mean * moments.unit());
            let mut child = chainrule.start_training(&config, &killed)?;
            std::thread::sleep(life);
            if child.try_wait().context("waiting for chainrule")?.is_some() {
                terminal::note("the run had ended before");
                break;
            }
            child.kill().context("killing chainrule")?;
            child.wait().context("waiting for chainrule")?;
            of_this_run += 1;
            let epochs = fs::read_to_string(killed.join("metrics.jsonl")).unwrap_or_default();
            terminal::note(&format!(
                "kill {}: after {:.3} s, {} epochs over",
                kills + of_this_run,
                life.as_secs_f64(),
                epochs.lines().count()
            ));
        }
        chainrule.train(&config, &killed, None, true, || ())?;
        kills += of_this_run;
        runs += 1;
        if weights(&killed)? != expected {
            bail!(Mistake::new(format!("after {kills} kills the weights differ")));
        }
        fs::remove_dir_all(&killed).with_context(|| format!("removing {}", killed.display()))?;
    }
    terminal::out(&format!(
        "{}: killed {kills} times in {runs} runs and resumed, all {} bytes of the weights are those of \
         the run that was left alone",
        args.config,
        expected.len()
    ))
}

/// How often a run is killed at most.
const KILLS_OF_A_RUN: u32 = 20;

/// Steele, Lea and Flood 2014: enough to choose moments with, and no dependency.
struct SplitMix64(u64);

impl SplitMix64 {
    /// A number in [0, 1).
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_repeat_and_fill_the_unit_interval() {
        let draw = |seed| {
            let mut moments = SplitMix64(seed);
            (0..1000).map(|_| moments.unit()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        let mean = draw(1).iter().sum::<f64>() / 1000.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
        assert!(draw(1).iter().all(|u| (0.0..1.0).contains(u)));
    }
}
