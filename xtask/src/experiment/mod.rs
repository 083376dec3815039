//! `cargo xtask experiment`: train, evaluate and sample by the `chainrule` binary, then tables,
//! pictures, a report, and the comparison with what is committed.

pub(crate) mod anomalies;
pub(crate) mod config;
pub(crate) mod result;
pub(crate) mod table;

use crate::chainrule::{self, Chainrule};
use crate::failure::Mistake;
use crate::npy;
use crate::report::{self, Images, Pictures, SheetRow};
use crate::terminal;
use crate::workspace::{self, relative};
use anomalies::Anomalies;
use anyhow::{Context as _, Result, bail};
use config::{Config, Experiment};
use result::{
    LEVELS_DIFFER, Mean, Outcome, Provenance, Results, Unit, comparable, data_differ, levels_differ,
};
use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use table::Table;

/// What `cargo xtask experiment` runs when nothing is named.
const DEFAULT: &str = "ladder-digits";

/// Samples of each model in pictures.
const SAMPLES: usize = 16;

/// Least time between two lines of progress where lines cannot be rewritten.
const QUIET_PERIOD: Duration = Duration::from_secs(30);

/// Run experiments: a ladder of models, or single configs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files in configs/ without .toml [default: ladder-digits]
    names: Vec<String>,
    /// List what can be run and what is committed, and stop
    #[arg(long, conflicts_with_all = ["names", "all", "check", "save", "resume"])]
    list: bool,
    /// Run every ladder, then every config that is in none
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Compare with the committed results/NAME.json; exit 1 where they differ by more than its tolerance
    #[arg(long)]
    check: bool,
    /// Write results/NAME.json (and results/NAME.png for a ladder) to be committed
    #[arg(long, conflicts_with = "check")]
    save: bool,
    /// Device of chainrule: flex, ndarray, cuda:0, wgpu
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Folder for runs and reports
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Continue runs that were interrupted instead of starting anew
    #[arg(long)]
    resume: bool,
    /// Use this chainrule binary instead of building one
    #[arg(long, value_name = "FILE")]
    chainrule: Option<PathBuf>,
}

impl Args {
    /// The quick experiment of `cargo xtask check`.
    pub(crate) fn quick_check(chainrule: Option<PathBuf>) -> Self {
        Self {
            names: vec![DEFAULT.to_owned()],
            list: false,
            all: false,
            check: true,
            save: false,
            device: None,
            out: "runs".into(),
            resume: false,
            chainrule,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = workspace::root()?;
    let configs = root.join("configs");
    if args.list {
        return list(&root, &config::all(&configs)?);
    }
    let experiments = if args.all {
        all_once(config::all(&configs)?)
    } else if args.names.is_empty() {
        vec![config::load(&configs, DEFAULT)?]
    } else {
        args.names.iter().map(|name| config::load(&configs, name)).collect::<Result<_>>()?
    };
    if args.check {
        // Before minutes of work: is there anything to compare with?
        for experiment in &experiments {
            committed(&root, experiment.name())?;
        }
    }

    let device = args.device.as_deref();
    let chainrule = match &args.chainrule {
        Some(program) => Chainrule::at(&root, absolute(program)?, device),
        None => Chainrule::build(&root, device)?,
    };
    let out = absolute(&args.out)?;
    let mut failed = Vec::new();
    for (i, experiment) in experiments.iter().enumerate() {
        if i > 0 {
            terminal::out("")?;
        }
        if let Err(error) = conduct(&root, &chainrule, experiment, &out, args) {
            if !args.all {
                return Err(error);
            }
            // The others may still run, such as those whose data is there.
            terminal::note(&format!("error: {}: {error:#}", experiment.name()));
            failed.push(experiment.name());
        }
    }
    if !failed.is_empty() {
        bail!(Mistake::new(format!("{} failed: {}", failed.len(), failed.join(", "))));
    }
    Ok(())
}

/// Every ladder, and the configs that no ladder runs.
fn all_once(experiments: Vec<Experiment>) -> Vec<Experiment> {
    let ladders = experiments.iter().filter(|e| matches!(e, Experiment::Ladder { .. }));
    let in_ladders: Vec<String> =
        ladders.flat_map(|ladder| ladder.rungs()).map(|rung| rung.name.clone()).collect();
    let mut all = experiments;
    all.retain(|experiment| match experiment {
        Experiment::Single(config) => !in_ladders.contains(&config.name),
        Experiment::Ladder { .. } => true,
    });
    all
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("no such path: {}", path.display()))
}

/// Where the committed results of an experiment are.
pub(crate) fn results_path(root: &Path, name: &str) -> PathBuf {
    root.join("results").join(format!("{name}.json"))
}

fn committed(root: &Path, name: &str) -> Result<Results> {
    Results::load(&results_path(root, name))?.ok_or_else(|| {
        Mistake::new(format!("results/{name}.json is missing, so there is nothing to check"))
            .hint(format!("`cargo xtask experiment {name} --save` writes it"))
            .into()
    })
}

/// Runs one experiment and leaves its report.
fn conduct(
    root: &Path,
    chainrule: &Chainrule,
    experiment: &Experiment,
    out: &Path,
    args: &Args,
) -> Result<()> {
    let name = experiment.name();
    let folder = out.join(name);
    let provenance = Provenance {
        git: workspace::git(root),
        machine: workspace::machine(),
        date: workspace::now(),
    };
    let rungs = experiment.rungs();
    let start = Instant::now();
    let (mut outcomes, mut pictures) = (Vec::new(), Vec::new());
    for (i, config) in rungs.iter().enumerate() {
        let run = match experiment {
            Experiment::Single(_) => folder.clone(),
            Experiment::Ladder { .. } => folder.join(&config.name),
        };
        let progress = Progress::new(i + 1, rungs.len(), &config.name, start, &run);
        let (outcome, picture) = climb(chainrule, config, &run, args.resume, progress)?;
        outcomes.push(outcome);
        pictures.push(picture);
    }
    let results = Results::new(name, experiment.title(), provenance, outcomes);
    terminal::out(&format!(
        "{}\n\n{}",
        results.title,
        Table::of_outcomes(&results.outcomes).text()
    ))?;
    if levels_differ(&results.outcomes) && !data_differ(&results.outcomes) {
        terminal::out(LEVELS_DIFFER)?;
    }
    for outcome in results.outcomes.iter().filter(|outcome| !outcome.folds.is_empty()) {
        terminal::out(&format!("\n{}", outcome.folds_text()))?;
    }
    if let Some(table) = anomalies::table(&results.outcomes) {
        terminal::out(&format!("\n{}", table.text()))?;
    }

    let test_images = match (rungs.first(), results.outcomes.first()) {
        // Those of one set say nothing about samples of another.
        (Some(config), Some(outcome))
            if pictures.iter().any(|p| p.samples.is_some())
                && rungs.iter().all(|rung| rung.data == config.data) =>
        {
            test_images(chainrule, config, outcome.levels.unwrap_or(2), &folder)
        }
        _ => None,
    };
    let mut written = vec![folder.join("report.html"), folder.join("results.json")];
    match experiment {
        Experiment::Single(config) if config.folds.is_none() => {
            chainrule.report(&folder, &written[0])?;
        }
        // Folds are several runs.
        Experiment::Single(_) | Experiment::Ladder { .. } => {
            let page = report::render(&results, &pictures, test_images.as_ref())?;
            workspace::write(&written[0], page.as_bytes())?;
        }
    }
    results.write(&written[1])?;
    let sheet = sample_sheet(&results, &pictures, test_images.as_ref())?;
    if let Some(sheet) = &sheet {
        written.insert(0, folder.join("samples.png"));
        workspace::write(&written[0], sheet)?;
    }
    if args.save {
        let path = results_path(root, name);
        results.save(&path)?;
        if let (Experiment::Ladder { .. }, Some(sheet)) = (experiment, &sheet) {
            workspace::write(&path.with_extension("png"), sheet)?;
            written.push(path.with_extension("png"));
        }
        written.push(path);
    }
    let files: Vec<String> = written.iter().map(|path| format!("  {}", relative(path))).collect();
    terminal::out(&format!("\nwritten:\n{}", files.join("\n")))?;

    if args.check {
        let differences = committed(root, name)?.differences(&results);
        if !differences.is_empty() {
            let message =
                format!("{name} differs from results/{name}.json:\n  {}", differences.join("\n  "));
            let hint = format!("if that is meant, `cargo xtask experiment {name} --save`");
            bail!(Mistake::new(message).hint(hint));
        }
        terminal::out(&format!("\n{name} agrees with results/{name}.json"))?;
    }
    Ok(())
}

/// Trains, evaluates and samples one model, or one per fold where its data is cross-validated.
fn climb(
    chainrule: &Chainrule,
    config: &Config,
    run: &Path,
    resume: bool,
    mut progress: Progress<'_>,
) -> Result<(Outcome, Pictures)> {
    let outcome = match config.folds {
        None => climb_fold(chainrule, config, run, None, resume, &mut progress),
        Some(folds) => climb_folds(chainrule, config, run, folds, resume, &mut progress),
    };
    match outcome {
        Ok((outcome, pictures)) => {
            progress.finish(&outcome);
            Ok((outcome, pictures))
        }
        Err(error) => {
            progress.abandon();
            Err(error.context(format!("{} failed", config.name)))
        }
    }
}

/// Every fold below the folder `run`; the pictures are those of the first.
fn climb_folds(
    chainrule: &Chainrule,
    config: &Config,
    run: &Path,
    folds: u64,
    resume: bool,
    progress: &mut Progress<'_>,
) -> Result<(Outcome, Pictures)> {
    let (mut outcomes, mut pictures) = (Vec::new(), None);
    for fold in 0..folds {
        let run = run.join(format!("fold-{fold}"));
        progress.follow(&run, format!("fold {}/{folds}", fold + 1));
        let (outcome, picture) = climb_fold(chainrule, config, &run, Some(fold), resume, progress)?;
        outcomes.push(outcome);
        pictures.get_or_insert(picture);
    }
    let pictures = pictures.context("a config has no folds")?;
    Ok((Outcome::of_folds(config, outcomes), pictures))
}

/// Trains, evaluates and samples one model.
fn climb_fold(
    chainrule: &Chainrule,
    config: &Config,
    run: &Path,
    fold: Option<u64>,
    resume: bool,
    progress: &mut Progress<'_>,
) -> Result<(Outcome, Pictures)> {
    let start = Instant::now();
    let resume = prepare(run, resume)?;
    let costs = run.join("test-cost.npy");
    let samples = run.join("samples.npy");
    let trained = chainrule.train(&config.path, run, fold, resume, || progress.tick())?;
    let test = chainrule.eval(run, &costs)?;
    // The same split twice; a disagreement is a broken checkpoint.
    let gap = (trained.test.nll_nats - test.nll_nats).abs();
    if gap.is_nan() || gap > 1e-3 {
        let (before, after) = (trained.test.nll_nats, test.nll_nats);
        bail!("test NLL is {before} after training but {after} after loading the run");
    }
    let anomalies = match &config.anomalies {
        Some(sets) => Some(Anomalies::new((**sets).clone(), &chainrule.score(run, sets)?)),
        None => None,
    };
    let one_ordering = match test.orderings {
        Some(2..) => Some(chainrule.eval_one_ordering(run)?),
        _ => None,
    };
    chainrule.sample(run, &samples, SAMPLES, config.seed)?;
    let epochs = chainrule::epochs(run);
    let wall_seconds = start.elapsed().as_secs_f64();
    let outcome = Outcome::new(config, &trained, &test, &epochs, wall_seconds);
    let test_one_ordering = one_ordering.as_ref().map(Mean::from);
    let outcome = Outcome { anomalies, test_one_ordering, ..outcome };
    let pictures = Pictures {
        samples: match trained.levels {
            Some(levels) => Images::new(npy::read(&samples)?, levels),
            None => None,
        },
        costs: Some(npy::read(&costs)?),
    };
    Ok((outcome, pictures))
}

/// Makes room for a run and says whether there is one to resume.
fn prepare(run: &Path, resume: bool) -> Result<bool> {
    let is_run = run.join("config.toml").is_file();
    if resume || !run.exists() {
        return Ok(resume && is_run);
    }
    let is_empty = fs::read_dir(run).is_ok_and(|mut entries| entries.next().is_none());
    if !is_run && !is_empty {
        let message = format!("{} is in the way: it is no run of chainrule", relative(run));
        bail!(Mistake::new(message).hint("move it, or choose another folder with --out"));
    }
    fs::remove_dir_all(run).with_context(|| format!("cannot remove {}", run.display()))?;
    Ok(false)
}

/// Images of the test split, evenly spaced because some splits are sorted by class, to lay beside
/// the samples.
fn test_images(
    chainrule: &Chainrule,
    config: &Config,
    levels: u64,
    folder: &Path,
) -> Option<Images> {
    let file = folder.join("test-images.npy");
    let images = chainrule.export(&config.path, &file).and_then(|()| npy::read(&file));
    match images {
        Ok(array) => Images::new(array.evenly_spaced(SAMPLES), levels),
        Err(error) => {
            terminal::note(&format!("warning: no row of test images: {error:#}"));
            None
        }
    }
}

/// The picture of all samples; none where the examples are no images.
fn sample_sheet(
    results: &Results,
    pictures: &[Pictures],
    test_images: Option<&Images>,
) -> Result<Option<Vec<u8>>> {
    let real = test_images.map(|images| SheetRow {
        label: "Test images".to_owned(),
        note: "real".to_owned(),
        images,
    });
    let drawn = results.outcomes.iter().zip(pictures).filter_map(|(outcome, pictures)| {
        Some(SheetRow {
            label: outcome.label(),
            note: outcome.note(levels_differ(&results.outcomes)),
            images: pictures.samples.as_ref()?,
        })
    });
    let drawn: Vec<SheetRow<'_>> = drawn.collect();
    if drawn.is_empty() {
        return Ok(None);
    }
    report::sheet(&real.into_iter().chain(drawn).collect::<Vec<_>>()).map(Some)
}

/// One line on stderr for each rung; on a terminal it follows the epochs meanwhile.
struct Progress<'a> {
    prefix: String,
    run: Cow<'a, Path>,
    /// Which part of the run it is, if it has several.
    part: String,
    start: Instant,
    is_live: bool,
    last_line: Instant,
}

impl<'a> Progress<'a> {
    fn new(rung: usize, rungs: usize, name: &str, start: Instant, run: &'a Path) -> Self {
        let prefix = if rungs > 1 { format!("[{rung}/{rungs}] {name}") } else { name.to_owned() };
        let is_live = terminal::is_live();
        if is_live {
            terminal::rewrite_line(&prefix);
        }
        let (prefix, run) = (format!("{prefix:<40}"), Cow::Borrowed(run));
        Self { prefix, run, part: String::new(), start, is_live, last_line: Instant::now() }
    }

    /// Follows the epochs of another run, which is a part of the same.
    fn follow(&mut self, run: &Path, part: String) {
        self.run = Cow::Owned(run.to_owned());
        self.part = format!("{part}  ");
    }

    fn tick(&mut self) {
        if !self.is_live && self.last_line.elapsed() < QUIET_PERIOD {
            return;
        }
        self.last_line = Instant::now();
        let epochs = chainrule::epochs(&self.run);
        let news = epochs.last().map_or_else(String::new, |epoch| {
            let valid = epoch.valid_nll_nats.unwrap_or(f64::NAN);
            format!("epoch {:>4}, validation {valid:.2} nats", epoch.epoch)
        });
        let (prefix, part, seconds) =
            (&self.prefix, &self.part, self.start.elapsed().as_secs_f64());
        let line = format!("{prefix}  {part}{news}  {seconds:.0} s");
        if self.is_live {
            terminal::rewrite_line(&line);
        } else {
            terminal::note(&line);
        }
    }

    fn abandon(&self) {
        if self.is_live {
            terminal::clear_line();
        }
    }

    fn finish(&self, outcome: &Outcome) {
        self.abandon();
        let (nll_nats, elapsed) = (outcome.test.nll_nats, self.start.elapsed().as_secs_f64());
        terminal::note(&format!("{}  {nll_nats:>9.4} nats  {elapsed:>6.1} s", self.prefix));
    }
}

/// Prints what can be run.
fn list(root: &Path, experiments: &[Experiment]) -> Result<()> {
    let mut rows = vec![["experiment", "model", "data", "paper", "committed"].map(str::to_owned)];
    for experiment in experiments {
        let committed = Results::load(&results_path(root, experiment.name()))?;
        let (model, data, paper, number) = match experiment {
            Experiment::Ladder { rungs, .. } => {
                let best = committed.as_ref().and_then(|results| {
                    let outcomes = comparable(&results.outcomes).into_iter();
                    outcomes.map(|o| o.test.nll_nats).min_by(f64::total_cmp)
                });
                let best = best.map(|nats| (nats, Unit::Nats));
                let data = rungs.first().map(|rung| rung.data.clone()).unwrap_or_default();
                (format!("{} rungs", rungs.len()), data, None, best)
            }
            Experiment::Single(config) => {
                let outcome = committed.as_ref().and_then(|results| results.outcomes.first());
                let paper = config.paper.as_ref().and_then(|paper| {
                    let nats = paper.test_nll_nats.map(|nats| (nats, Unit::Nats));
                    let bits = paper.test_bits_per_dim.map(|bits| (bits, Unit::BitsPerDim));
                    let standardized = paper.test_nll_standardized_nats;
                    let standardized = standardized.map(|nats| (nats, Unit::StandardizedNats));
                    nats.or(bits).or(standardized)
                });
                let unit = paper.map_or(Unit::Nats, |(_, unit)| unit);
                let ours = outcome.map(|outcome| match unit {
                    Unit::Nats => (outcome.test.nll_nats, unit),
                    Unit::BitsPerDim => (outcome.test.bits_per_dim, unit),
                    Unit::StandardizedNats => {
                        (outcome.test.nll_standardized_nats.unwrap_or(f64::NAN), unit)
                    }
                });
                (config.kind.clone(), config.data.clone(), paper, ours)
            }
        };
        let shown = |number: Option<(f64, Unit)>, decimals: usize| {
            number.map_or_else(
                || "–".to_owned(),
                |(number, unit)| format!("{number:.decimals$} {}", unit.name()),
            )
        };
        rows.push([experiment.name().to_owned(), model, data, shown(paper, 2), shown(number, 4)]);
    }
    let widths: [usize; 5] =
        std::array::from_fn(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0));
    for [name, model, data, paper, number] in &rows {
        let [a, b, c, d, e] = widths;
        terminal::out(&format!("{name:a$}  {model:b$}  {data:c$}  {paper:>d$}  {number:>e$}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_or_an_empty_folder_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        assert!(!prepare(&run, false).unwrap());
        assert!(!prepare(&run, true).unwrap());

        fs::create_dir(&run).unwrap();
        fs::write(run.join("thesis.tex"), "years of work").unwrap();
        let error = prepare(&run, false).unwrap_err();
        assert!(format!("{error:#}").contains("is in the way"), "{error:#}");
        assert!(run.join("thesis.tex").is_file());

        fs::write(run.join("config.toml"), "").unwrap();
        assert!(prepare(&run, true).unwrap());
        assert!(!prepare(&run, false).unwrap());
        assert!(!run.exists());
    }

    #[test]
    fn all_runs_no_config_twice() {
        let configs = workspace::root().unwrap().join("configs");
        let all = all_once(config::all(&configs).unwrap());
        let mut names: Vec<&str> =
            all.iter().flat_map(Experiment::rungs).map(|rung| rung.name.as_str()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.contains(&"nade-digits"));
    }
}
