//! `chainrule score RUN`: the log-likelihood of each row, and whether it is an anomaly.

pub(crate) mod anomaly;
mod files;
mod labels;
mod record;
pub(crate) mod rows;

use std::time::Instant;

use anyhow::{Context as _, Result};
use ar_data::{Spec, Split};
use ar_models::config::EventSpec;
use ar_models::window::KernelWindow;
use burn::tensor::Device;
use prob_core::anomaly::{Calibration, atypicality, auroc, average_precision};

use super::{Session, finite};
use crate::args::{ScoreArgs, ScoreKind};
use crate::calibration;
use crate::config::Config;
use crate::data::sets::{Finder, Set};
use crate::device;
use crate::error::mistake;
use crate::output::RECORD_VERSION;
use crate::outputs::Inputs;
use crate::ranking::Ranking;
use crate::run_dir::RunDir;
use anomaly::{Extras, Measures, Normal, Test, Tested};
use files::{Files, check_files, check_places, variable_names};
use labels::AnomalyLabel;
use record::{AgainstRecord, AnomaliesRecord, CalibrationRecord, Detection, Record};
use rows::{Named, Scorer, Scores};

/// Scores and prints.
///
/// # Errors
/// When the run is not trained, a set does not suit it, or a file cannot be written.
pub(crate) fn run(args: &ScoreArgs, session: &Session) -> Result<()> {
    let start = Instant::now();
    check_files(args)?;
    let run = RunDir::open(&args.run)?;
    let config = args.own_data.accepted(run.load_config()?);
    let mut inputs = Inputs::of_run(&run, &config, &session.locations);
    for spec in [&args.data, &args.calibrate, &args.against] {
        inputs = inputs.and_spec(spec.as_deref(), &session.locations);
    }
    check_places(args, &inputs)?;
    let device = device::choose(args.device.as_deref())?;
    let event = config.event_of_run()?;
    let model = run.load_model(&config, &event, &device.device)?;
    let ranks = Ranks::of(&run, &config, &event, args.score, &device.device)?;
    let ranked_by = ranks.by;
    let Ranks { ranking, window, .. } = &ranks;
    let has_window = run.has_window();
    let out = args.out.as_deref();
    let terminal = &session.terminal.beside(out).beside(args.per_variable.as_deref());
    terminal.detail(format!("device {}, {} threads", device.name, rayon::current_num_threads()));

    // All sets are found before the work begins.
    let finder = Finder {
        terminal,
        levels: args.levels,
        cells: ranks.tells_cells(),
        ..Finder::new(&config, session.reader(), &args.file)
    };
    let split = args.split.unwrap_or(Split::Test);
    if let (Some(split), Some(spec)) = (args.split, &args.data)
        && matches!(spec.parse::<Spec>()?, Spec::Path(_))
    {
        return Err(mistake(
            format!("--split {split} with --data {spec}: a path has no splits"),
            "remove --split, or name a built-in dataset",
        ));
    }
    let mut data = match &args.data {
        Some(spec) => finder.several(spec, split)?.only(args.shard)?,
        None => finder.own(split)?,
    };
    // The validation rows have been scored when the run was trained, but for what only some ask for.
    let is_known = args.calibrate.as_deref() == Some("valid") && args.tests.is_empty();
    let known = if is_known { ranks.known(&run)? } else { None };
    let calibration = args.calibrate.as_deref().filter(|_| known.is_none());
    let calibration = calibration.map(|spec| finder.named("--calibrate", spec, Split::Valid));
    let mut calibration = calibration.transpose()?;
    let against = args.against.as_deref();
    let against = against.map(|spec| finder.named("--against", spec, Split::Test));
    let mut against = against.transpose()?;
    let names = match &config.data.columns {
        Some(columns) => columns.clone(),
        None => variable_names(&event.shape),
    };
    let anomalies = AnomalyLabel::of(args)?;
    let missing =
        config.data.schema.as_ref().map_or_else(Vec::new, |schema| schema.missing.clone());
    let labels = anomalies.as_ref().map(|anomalies| anomalies.read(&missing)).transpose()?;
    let extras = Extras::of(&args.tests, &event, &finder)?;
    let tests = extras.tests(calibration.is_some());
    let mut files = Files::create(args, &event.shape, names, has_window, tests)?;
    let ranked_among = match (&calibration, &known) {
        (Some(set), _) => Some((set.name.clone(), set.split)),
        (None, Some(_)) => Some((config.data.label(), Some(Split::Valid))),
        (None, None) => None,
    };
    if let Some((name, split)) = ranked_among {
        warn_of_calibration((&name, split), &data, &config.data.label(), session);
    }

    let scorer = Scorer {
        model: &model,
        window: window.as_ref(),
        ranking: ranking.as_ref(),
        extras: &extras,
        session,
        bad_rows: args.bad_rows,
        alpha: args.alpha,
    };
    let normal = calibration.as_mut().map(|set| -> Result<_> {
        let mut rows = Vec::new();
        let record = scorer.run(set, None, false, |row| {
            rows.extend(row.scores.map(|scores| scores.measures));
            Ok(())
        })?;
        Ok((Normal::of(&rows, &tests)?, record))
    });
    let known = known.map(|known| -> Result<_> {
        let score = ranks.scores_of(&known);
        let named = Named { name: &config.data.label(), split: Split::Valid.to_string() };
        let (record, rows) = rows::known(&named, &known.log_prob, score, model.variables());
        Ok((Normal::of(&rows, &tests)?, record))
    });
    let (normal, calibration) = known.or(normal).transpose()?.unzip();
    if let Some(normal) = &normal
        && normal.score.smallest_p() > args.alpha
    {
        let needed = (1.0 / args.alpha).ceil() - 1.0;
        terminal.note(format!(
            "--alpha {} is below every p-value that {} calibration rows can give, so nothing is \
             flagged: at least {needed} are needed",
            args.alpha,
            normal.score.len()
        ));
    }
    if files.need_costs() && model.orderings().is_some_and(|orderings| orderings > 1) {
        terminal.note(
            "an ensemble has no cost of a variable, so these are of its first ordering and do not add up \
             to log_prob_nats",
        );
    }
    let mut of_data = Vec::new();
    let keep = against.is_some();
    // Scores of normal rows and of anomalies, as a column of the file says.
    let mut apart = [Vec::new(), Vec::new()];
    let mut row_number = 0;
    let data = scorer.run(&mut data, normal.as_ref(), files.need_costs(), |row| {
        if keep {
            of_data.extend(row.scores.map(|scores| Ranked::of(&scores)));
        }
        let label = labels.as_ref().and_then(|labels| labels.get(row_number).copied().flatten());
        if let (Some(scores), Some(is_anomaly)) = (row.scores, label) {
            apart[usize::from(is_anomaly)].push(Ranked::of(&scores));
        }
        row_number += 1;
        files.write(row)
    })?;
    files.complete()?;
    let anomalies = anomalies.map(|anomalies| -> Result<_> {
        let [of_normal, of_anomalies] = &apart;
        let entropy_nats = entropy(normal.as_ref(), of_normal)?;
        Ok(AnomaliesRecord {
            label: anomalies.asked,
            rows: of_anomalies.len(),
            normal_rows: of_normal.len(),
            detections: detections(of_normal, of_anomalies, entropy_nats, &tests),
        })
    });
    let against = against.as_mut().map(|set| compare(&scorer, set, normal.as_ref(), &of_data));
    let record = Record {
        version: RECORD_VERSION,
        command: "score",
        run: run.display(),
        model: model.kind().to_owned(),
        score: has_window.then_some(ranked_by.name()),
        device: device.name,
        shard: args.shard,
        data,
        calibration: calibration
            .zip(normal)
            .map(|(set, normal)| CalibrationRecord { set, smallest_p: normal.score.smallest_p() }),
        against: against.transpose()?,
        anomalies: anomalies.transpose()?,
        out: args.out.as_ref().map(|path| path.display().to_string()),
        per_variable: args.per_variable.as_ref().map(|path| path.display().to_string()),
        accepted_changes: config.data.expected.accepted(),
        seconds: start.elapsed().as_secs_f64(),
    };
    terminal.result(&record, || record.words())
}

/// What the rows of a run are ranked by.
pub(crate) struct Ranks {
    /// The model's log p(x), or that of the window.
    pub(crate) by: ScoreKind,
    /// The window, where that is it.
    pub(crate) window: Option<KernelWindow>,
    /// What rows of a table are to it.
    pub(crate) ranking: Option<Ranking>,
}

impl Ranks {
    /// As `asked` for, or by the window where the run has one.
    ///
    /// # Errors
    /// When the run has none that is asked for, or it is not the one that the run wrote.
    pub(crate) fn of(
        run: &RunDir,
        config: &Config,
        event: &EventSpec,
        asked: Option<ScoreKind>,
        device: &Device,
    ) -> Result<Self> {
        let schema = config.data.schema.as_ref();
        let ranking = schema.and_then(|schema| Ranking::of_run(schema, event));
        let has_window = run.has_window();
        let by = match asked {
            Some(ScoreKind::Window) if !has_window => {
                return Err(mistake(
                    format!("--score window: {} keeps no training rows", run.display()),
                    "rank by --score log-prob; runs of tables keep some, unless data.keep_rows = 0 says otherwise or there \
                     are more than 128 columns of bits or levels",
                ));
            }
            Some(score) => score,
            None if has_window => ScoreKind::Window,
            None => ScoreKind::LogProb,
        };
        let of_window = ranking.as_ref().map_or(event, Ranking::event);
        let window = match by {
            ScoreKind::Window => run.load_window(of_window, device)?,
            ScoreKind::LogProb => None,
        };
        Ok(Self { by, window, ranking })
    }

    /// Whether labels that training never saw are told apart.
    pub(crate) fn tells_cells(&self) -> bool {
        self.window.is_some() && self.ranking.is_some()
    }

    /// What the run knows of its validation rows, if that is what rows are ranked by.
    ///
    /// # Errors
    /// When it is not what the run wrote.
    fn known(&self, run: &RunDir) -> Result<Option<calibration::Calibration>> {
        let known = run.calibration()?;
        Ok(known.filter(|known| self.by == ScoreKind::LogProb || known.window.is_some()))
    }

    /// What the validation rows are ranked by.
    fn scores_of<'a>(&self, known: &'a calibration::Calibration) -> &'a [f64] {
        match (self.by, &known.window) {
            (ScoreKind::Window, Some(window)) => window,
            _ => &known.log_prob,
        }
    }

    /// Normal rows to rank others among, of what the run knows of its validation rows, if it does.
    ///
    /// # Errors
    /// When what it knows is not what it wrote, or is impossible.
    #[cfg(feature = "serve")]
    pub(crate) fn normal(&self, run: &RunDir, variables: usize) -> Result<Option<Normal>> {
        let Some(known) = self.known(run)? else { return Ok(None) };
        let named = Named { name: "valid", split: Split::Valid.to_string() };
        let (_, rows) = rows::known(&named, &known.log_prob, self.scores_of(&known), variables);
        Ok(Some(Normal::of(&rows, &Extras::none().tests(true))?))
    }
}

/// What tests rank a row by.
#[derive(Clone, Copy)]
struct Ranked {
    measures: Measures,
    /// The p-value of the least rank, NaN where there is none.
    p_any: f64,
}

impl Ranked {
    fn of(scores: &Scores<'_>) -> Self {
        let p_any = scores.p.and_then(|p| p.of.get(Test::Any)).unwrap_or(f64::NAN);
        Self { measures: scores.measures, p_any }
    }
}

/// How well each test tells the rows of a set from the data, whose scores are given.
fn compare(
    scorer: &Scorer<'_>,
    set: &mut Set,
    normal: Option<&Normal>,
    of_data: &[Ranked],
) -> Result<AgainstRecord> {
    let mut of_set = Vec::new();
    let set = scorer.run(set, normal, false, |row| {
        of_set.extend(row.scores.map(|scores| Ranked::of(&scores)));
        Ok(())
    })?;
    let entropy_nats = entropy(normal, of_data)?;
    let tests = scorer.extras.tests(normal.is_some());
    let detections = detections(of_data, &of_set, entropy_nats, &tests);
    Ok(AgainstRecord { set, entropy_nats: finite(entropy_nats), detections })
}

/// The mean cost of normal rows: of those of a calibration, or of these scores.
fn entropy(normal: Option<&Normal>, rows: &[Ranked]) -> Result<f64> {
    Ok(match normal {
        Some(normal) => normal.score.entropy_nats(),
        None => Calibration::new(rows.iter().map(|row| row.measures.score).collect())
            .context("the data has an impossible score")?
            .entropy_nats(),
    })
}

/// How well each test tells anomalies from normal rows.
fn detections(
    normal: &[Ranked],
    anomalous: &[Ranked],
    entropy_nats: f64,
    tests: &Tested<()>,
) -> Tested<Detection> {
    Tested::of(|test| {
        tests.get(test)?;
        // Higher for anomalies.
        let strangeness = |row: &Ranked| match test {
            Test::LowLikelihood => -row.measures.score,
            Test::Typicality => atypicality(row.measures.score, entropy_nats),
            Test::Ratio => -row.measures.ratio,
            Test::Complexity => -row.measures.complexity,
            Test::Any => -row.p_any,
        };
        let [normal, anomalous] =
            [normal, anomalous].map(|rows| rows.iter().map(strangeness).collect::<Vec<_>>());
        Some(Detection {
            auroc: auroc(&normal, &anomalous),
            average_precision: average_precision(&normal, &anomalous),
        })
    })
}

/// Says where p-values of a calibration set mean less than they seem to.
fn warn_of_calibration(
    (name, split): (&str, Option<Split>),
    data: &Set,
    own: &str,
    session: &Session,
) {
    if split == Some(Split::Train) && name == own {
        session.terminal.note(
            "--calibrate: the model was fitted to these rows, so new ones look less likely than they \
             are and too many are flagged; held-out rows are needed, such as valid",
        );
    }
    if name == data.name && split == data.split && split.is_some() {
        session
            .terminal
            .note("--calibrate: these are the rows that are scored, ranked among themselves");
    }
}
