//! `cargo xtask experiment`: train, evaluate and compare by the `chainrule` binary, and compare its numbers with what is
//! committed.

pub(crate) mod anomalies;
pub(crate) mod config;
pub(crate) mod result;
pub(crate) mod table;

use crate::chainrule::{self, Chainrule, Inspected};
use crate::failure::Mistake;
use crate::terminal;
use crate::workspace::{self, relative};
use anomalies::Anomalies;
use anyhow::{Context as _, Result, bail};
use config::{Experiment, Rung};
use result::{Outcome, Paper, Results, Unit};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What `cargo xtask experiment` runs when nothing is named.
const DEFAULT: &str = "ladder-digits";

/// The picture of samples of an experiment.
const SHEET: &str = "samples.png";

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
            committed(&root, &experiment.name)?;
        }
    }

    let device = args.device.as_deref();
    let chainrule = match &args.chainrule {
        Some(program) => Chainrule::at(&root, absolute(program)?, device),
        None => Chainrule::build(&root, device)?,
    };
    if args.list {
        return list(&root, &chainrule);
    }
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
            terminal::note(&format!("error: {}: {error:#}", experiment.name));
            failed.push(experiment.name.as_str());
        }
    }
    if !failed.is_empty() {
        bail!(Mistake::new(format!("{} failed: {}", failed.len(), failed.join(", "))));
    }
    Ok(())
}

/// Every ladder, and the configs that no ladder runs.
fn all_once(experiments: Vec<Experiment>) -> Vec<Experiment> {
    let ladders = experiments.iter().filter(|experiment| experiment.is_ladder());
    let in_ladders: Vec<String> =
        ladders.flat_map(|ladder| &ladder.rungs).map(|rung| rung.name.clone()).collect();
    let mut all = experiments;
    all.retain(|experiment| experiment.is_ladder() || !in_ladders.contains(&experiment.name));
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
    let name = &experiment.name;
    let folder = out.join(name);
    let start = Instant::now();
    let (mut outcomes, mut models, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    for (i, rung) in experiment.rungs.iter().enumerate() {
        let model = inspect(chainrule, rung)?;
        let run = if experiment.is_ladder() { folder.join(&rung.name) } else { folder.clone() };
        let mut progress = Progress::new(i + 1, experiment.rungs.len(), &rung.name, start);
        let climb = Climb { chainrule, rung, model: &model, resume: args.resume };
        let (outcome, of_rung) = climb
            .folds(&run, &mut progress)
            .inspect_err(|_| progress.clear())
            .with_context(|| format!("{} failed", rung.name))?;
        progress.finish(&outcome);
        runs.extend(of_rung);
        outcomes.push(outcome);
        models.push(model);
    }
    let title = experiment.title.clone().unwrap_or_else(|| {
        let Inspected { config, data, .. } = &models[0];
        format!("{} on {data}", table::label(config, data))
    });
    let results = Results::new(name, title, outcomes);

    let mut written = show(chainrule, experiment, (&folder, &runs), &models, &results)?;
    written.push(folder.join("results.json"));
    results.write(&folder.join("results.json"))?;
    if args.save {
        let path = results_path(root, name);
        results.save(&path)?;
        let sheet = folder.join(SHEET);
        if experiment.is_ladder() && written.contains(&sheet) {
            let bytes = fs::read(&sheet).with_context(|| format!("reading {}", sheet.display()))?;
            workspace::write(&path.with_extension("png"), &bytes)?;
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

/// Prints the tables, and leaves reports and a picture of samples; says which files these are.
fn show(
    chainrule: &Chainrule,
    experiment: &Experiment,
    (folder, runs): (&Path, &[PathBuf]),
    models: &[Inspected],
    results: &Results,
) -> Result<Vec<PathBuf>> {
    let (page, sheet) = (folder.join("report.html"), folder.join(SHEET));
    // One run has a report of its own.
    let is_one_run = runs == [folder.to_owned()];
    let compared = (!is_one_run).then_some((page.as_path(), results.title.as_str()));
    let sheet = models.iter().any(Inspected::is_of_images).then_some(sheet);
    let table = chainrule.compare(runs, models[0].seed, compared, sheet.as_deref())?;
    terminal::out(&format!("{}\n\n{}", results.title, table.trim_end()))?;
    if is_one_run {
        chainrule.report(folder, None, &page)?;
    }
    let mut written: Vec<PathBuf> = std::iter::once(page).chain(sheet).collect();
    if let Some(table) = anomalies::table(&results.outcomes) {
        terminal::out(&format!("\n{}", table.trim_end()))?;
    }
    for rung in &experiment.rungs {
        if let Some(sets) = &rung.anomalies {
            let run = folder.join(&rung.name);
            let page = run.join("report.html");
            chainrule.report(&run, Some(&sets.against), &page)?;
            written.push(page);
        }
    }
    Ok(written)
}

/// What a config says.
fn inspect(chainrule: &Chainrule, rung: &Rung) -> Result<Inspected> {
    let model = chainrule.inspect(&rung.path)?;
    if model.config != rung.name {
        let message = format!("configs/{}.toml says name = {:?}", rung.name, model.config);
        bail!(Mistake::new(message).hint(format!("name = {:?}", rung.name)));
    }
    if model.paper.as_ref().is_some_and(|paper| paper.numbers().next().is_none()) {
        let message = format!("configs/{}.toml: [paper] has no number", rung.name);
        bail!(Mistake::new(message).hint("name the published number, or remove [paper]"));
    }
    Ok(model)
}

/// How one model is trained and evaluated.
struct Climb<'a> {
    chainrule: &'a Chainrule,
    rung: &'a Rung,
    model: &'a Inspected,
    resume: bool,
}

impl Climb<'_> {
    /// The model, or where its data is cross-validated one per fold below the folder `run`; and these runs.
    fn folds(&self, run: &Path, progress: &mut Progress) -> Result<(Outcome, Vec<PathBuf>)> {
        let Some([_, folds]) = self.model.fold else {
            progress.run = run.to_owned();
            return Ok((self.one(run, None, progress)?, vec![run.to_owned()]));
        };
        let (mut outcomes, mut runs) = (Vec::new(), Vec::new());
        for fold in 0..folds {
            let run = run.join(format!("fold-{fold}"));
            (progress.run, progress.part) = (run.clone(), format!("fold {}/{folds}  ", fold + 1));
            outcomes.push(self.one(&run, Some(fold), progress)?);
            runs.push(run);
        }
        Ok((Outcome::of_folds(outcomes), runs))
    }

    /// One run.
    fn one(&self, run: &Path, fold: Option<u64>, progress: &mut Progress) -> Result<Outcome> {
        let Self { chainrule, rung, model, resume } = *self;
        let start = Instant::now();
        let resume = prepare(run, resume)?;
        let trained = chainrule.train(&rung.path, run, fold, resume, || progress.tick())?;
        let test = chainrule.eval(run, None)?;
        // The same split twice; a disagreement is a broken checkpoint.
        let (before, after) = (trained.test.nll_nats, test.mean.nll_nats);
        let gap = (before - after).abs();
        if gap.is_nan() || gap > 1e-3 {
            bail!("test NLL is {before} after training but {after} after loading the run");
        }
        let anomalies = rung.anomalies.as_ref().map(|sets| {
            let scored = chainrule.score(run, sets)?;
            Anomalies::new(sets.clone(), &scored).context("an unexpected record of chainrule score")
        });
        let anomalies = anomalies.transpose()?;
        let test_one_ordering = match test.orderings {
            Some(2..) => Some(chainrule.eval(run, Some(1))?.mean),
            _ => None,
        };
        let wall_seconds = start.elapsed().as_secs_f64();
        let mut outcome = Outcome::new(rung, model, trained, test, wall_seconds);
        (outcome.anomalies, outcome.test_one_ordering) = (anomalies, test_one_ordering);
        if outcome.trained.epochs > 1 {
            outcome.curve = chainrule::epochs(run);
        }
        Ok(outcome)
    }
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

/// One line on stderr for each rung; on a terminal it follows the epochs meanwhile.
struct Progress {
    prefix: String,
    /// Whose epochs they are.
    run: PathBuf,
    /// Which part of the rung it is, if it has several.
    part: String,
    start: Instant,
    is_live: bool,
    last_line: Instant,
}

impl Progress {
    fn new(rung: usize, rungs: usize, name: &str, start: Instant) -> Self {
        let prefix = if rungs > 1 { format!("[{rung}/{rungs}] {name}") } else { name.to_owned() };
        let is_live = terminal::is_live();
        if is_live {
            terminal::rewrite_line(&prefix);
        }
        let (prefix, last_line) = (format!("{prefix:<40}"), Instant::now());
        Self { prefix, run: PathBuf::new(), part: String::new(), start, is_live, last_line }
    }

    fn tick(&mut self) {
        if !self.is_live && self.last_line.elapsed() < QUIET_PERIOD {
            return;
        }
        self.last_line = Instant::now();
        let epochs = chainrule::epochs(&self.run);
        let news = epochs.last().map_or_else(String::new, |last| {
            let valid = last.valid_nll_nats.map(|nats| format!(", validation {nats:.2} nats"));
            format!("epoch {:>4}{}", last.epoch, valid.unwrap_or_default())
        });
        let (prefix, part, seconds) = (&self.prefix, &self.part, self.start.elapsed().as_secs());
        let line = format!("{prefix}  {part}{news}  {seconds} s");
        if self.is_live {
            terminal::rewrite_line(&line);
        } else {
            terminal::note(&line);
        }
    }

    fn clear(&self) {
        if self.is_live {
            terminal::clear_line();
        }
    }

    fn finish(&self, outcome: &Outcome) {
        self.clear();
        let (nll_nats, elapsed) =
            (outcome.trained.test.nll_nats, self.start.elapsed().as_secs_f64());
        terminal::note(&format!("{}  {nll_nats:>9.4} nats  {elapsed:>6.1} s", self.prefix));
    }
}

/// Prints what can be run.
fn list(root: &Path, chainrule: &Chainrule) -> Result<()> {
    let mut rows = vec![["experiment", "model", "data", "paper", "committed"].map(str::to_owned)];
    for experiment in config::all(&root.join("configs"))? {
        let committed = Results::load(&results_path(root, &experiment.name))?;
        let outcomes = committed.as_ref().map_or(&[][..], |results| &results.outcomes);
        let Inspected { model, data, paper, .. } = inspect(chainrule, &experiment.rungs[0])?;
        let paper = paper.filter(|_| !experiment.is_ladder());
        let paper = paper.as_ref().and_then(|paper| Paper::numbers(paper).next());
        let unit = paper.map_or(Unit::Nats, |(unit, _)| unit);
        // Of a ladder the best of those that compare with its first rung.
        let of = |outcome: &Outcome| (outcome.trained.data.clone(), outcome.trained.levels);
        let alike = outcomes.iter().filter(|outcome| of(outcome) == of(&outcomes[0]));
        let best = alike.map(|outcome| outcome.cost(unit).0).min_by(f64::total_cmp);
        let number = |number: Option<f64>, decimals: usize| {
            let text = number.map(|number| format!("{number:.decimals$} {}", unit.name()));
            text.unwrap_or_else(|| "–".to_owned())
        };
        let paper = number(paper.map(|(_, number)| number), 2);
        let rungs = experiment.rungs.len();
        let model = if experiment.is_ladder() { format!("{rungs} rungs") } else { model };
        rows.push([experiment.name, model, data, paper, number(best, 4)]);
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
        let mut names: Vec<&str> = all
            .iter()
            .flat_map(|experiment| &experiment.rungs)
            .map(|rung| rung.name.as_str())
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.contains(&"nade-digits"));
    }
}
