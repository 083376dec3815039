//! The command line, as clap parses it.

mod files;
#[cfg(feature = "serve")]
mod serve;
mod values;

use std::path::PathBuf;

use ar_data::Split;
use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory as _, Parser, Subcommand};

pub(crate) use files::{DraftArgs, FileArgs, InfoArgs, OwnData, WholeFileArgs, column_of};
#[cfg(feature = "serve")]
pub(crate) use serve::ServeArgs;
pub(crate) use values::{
    BadRows, Family, Prior, ScoreKind, Shard, TableFormat, Temperature, TestKind,
};
use values::{count_parser, fraction, pixel, seed_parser, split_parser, whole_number};

/// Exact-likelihood autoregressive models: train, evaluate, sample, count
///
/// Any joint distribution factors exactly into p(x) = Π p(x_t | what came before). A model is a choice
/// of the ordering and of what each conditional may look at; this program shows what each choice buys,
/// from a coin flip to PixelRNN, in nats on held-out data.
#[derive(Debug, Parser)]
#[command(
    name = "chainrule",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 something is wrong with the input or the machine, 2 a bug."
)]
pub(crate) struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Print one JSON object on stdout instead of words
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print nothing on stderr but errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Say on stderr what was found where, and show no progress bars
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// Where data files are looked for first, and fetched to; then CHAINRULE_DATA, then the user's
    /// cache folder
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Threads to compute with [default: one per core]; results do not depend on it
    #[arg(long, global = true, value_name = "N", value_parser = whole_number::<u16>(1, 1024))]
    pub(crate) threads: Option<u16>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train (or fit) the model of a config and evaluate it, or that of a data file without a config
    ///
    /// Of a data file the columns are taken as what they are found to be, a tenth of the rows validates and
    /// another tests, and the model is one for such columns; the run holds the config that this comes to.
    /// `chainrule init FILE` prints it, to be edited.
    Train(TrainArgs),
    /// Print a config for a data file, with comments, to be edited
    Init(InitArgs),
    /// Evaluate a trained model: mean negative log-likelihood of a set
    Eval(EvalArgs),
    /// Draw samples from a trained model
    Sample(SampleArgs),
    /// Draw the missing part of images or fill in the missing cells of a table, given what is observed
    ///
    /// The walk that draws a sample, but what is observed stays as it is. The completions are exact draws
    /// from p(missing | observed) where the observed pixels are a prefix of the model's ordering (the top
    /// half, in raster order), and whatever is observed of a model that takes any ordering
    /// (orderless-nade). Elsewhere they come from sequential Monte Carlo: many walks at a time, of which
    /// those go on that make the observed pixels likely; the more particles, the nearer to p(missing |
    /// observed). The record says which: `method` is "exact" or "smc".
    ///
    /// Of a table every missing cell of a row is filled in given all others of the row, in the table's own words.
    /// --hide measures how well.
    Complete(CompleteArgs),
    /// How probable it is that a row of a table meets conditions
    ///
    /// Exact where the columns up to the last condition can be enumerated; elsewhere the mean over walks that draw
    /// allowed values alone and multiply the masses that these have (progressive sampling), with its standard
    /// error. With --data the fraction of its rows that meet the conditions stands beside it.
    Probability(ProbabilityArgs),
    /// Score each row of a set: its log-likelihood, and whether it is an anomaly
    ///
    /// A conformal p-value is the rank of a row's score among those of held-out normal rows
    /// (--calibrate): p = (1 + how many are at least as extreme) / (their number + 1). If a row is as
    /// normal as they are, p ≤ alpha happens with probability at most alpha, whatever the model.
    /// Two tests: `low likelihood` ranks log p(x), so that unlikely rows are flagged; `typicality` ranks
    /// the distance of −log p(x) from its mean over the normal rows, so that rows that are too likely
    /// are flagged as well. Simple rows are likely whatever they show (--test ratio, --test complexity).
    ///
    /// Files may be longer than memory. A row that cannot be read is reported with its place and counted,
    /// and has an empty score in its place of the output.
    Score(ScoreArgs),
    /// Write what a model makes of each event, its features, or probe them for the labels
    ///
    /// Features are the hidden units of a `nade` or `rnade` after all variables, those of the last layer
    /// of an `orderless-nade` that is given all variables or of a `made` (mean over its masks), or the
    /// maps of the last layer of a PixelRNN or PixelCNN, mean over the positions. A probe reads the
    /// labels off the features and off the raw values: by the nearest neighbours, and linearly
    /// (multinomial logistic regression). It learns on the training split, the number of neighbours and
    /// the penalty are those that are best on the validation split, and the test split is only reported
    /// on.
    Features(FeaturesArgs),
    /// Put runs side by side: what the same rows cost under each, and by how much they differ
    ///
    /// Two runs find the same rows hard, so the error of the difference of their mean costs is mostly far smaller than
    /// both errors say: it is taken row by row, and said in standard errors. Runs whose rows differ, or mean different
    /// things (a mass, a density), stand under headings of their own and are not compared. What a run's config says
    /// is published stands beside it; the folds of a config stand below their mean.
    Compare(CompareArgs),
    /// Write a report of a run: one HTML file with curves, samples, scores and costs
    Report(ReportArgs),
    /// Classify by Bayes' rule with class-conditional models
    ///
    /// p(y | x) is p(x | y) p(y) over the sum of that for all classes. p(x | y) is one run whose model has
    /// classes (model.classes), or one run per class, of any kind, each trained on its own class alone
    /// (data.class). Where the data has labels, says how often the predictions are right, and whether
    /// p(y | x) can be believed: log-loss, Brier score, calibration error, confusion matrix.
    Classify(ClassifyArgs),
    /// Serve runs to a browser and to programs: a page to draw on, and JSON in and out
    ///
    /// The page shows what a model expects next, given what is there: completions while one draws, what every pixel costs, a
    /// table's row and what each of its cells would be. The service answers score, complete, sample, conditional and classify
    /// with the numbers of the commands of the same names; GET /v1/openapi.json describes it. Only this machine may ask,
    /// unless --bind says otherwise.
    #[cfg(feature = "serve")]
    Serve(ServeArgs),
    /// Compress a set without loss, by the conditionals of a trained model
    ///
    /// A range coder gives each value the part of its interval that p(x_t | what came before) says, so
    /// the file has the size of -log2 p(x) under the model. What is compressed are symbols as the model
    /// sees them, after the run's preprocessing, without labels; or the cells of a table, if the run is one
    /// over columns. Decompressing needs the same run and a machine that computes alike: see --portable.
    Compress(CompressArgs),
    /// Restore what `compress` has compressed
    Decompress(DecompressArgs),
    /// Show what a model is: ordering, what each conditional sees, free parameters, memory
    Inspect(InspectArgs),
    /// Count the free parameters of a family, exactly
    Count(CountArgs),
    /// List, describe, fetch and export datasets
    #[command(subcommand)]
    Data(DataCommand),
    /// List the devices that can be computed on: what is compiled in, and what answers on this machine
    Devices,
    /// Print a shell completion script
    Completions(CompletionsArgs),
}

/// `chainrule init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// A table or images
    pub(crate) file: PathBuf,
    /// What the config is to say.
    #[command(flatten)]
    pub(crate) draft: DraftArgs,
}

/// `chainrule train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// The config, for example configs/nade-digits.toml; or a data file
    #[arg(value_name = "CONFIG.toml|FILE")]
    pub(crate) config: PathBuf,
    /// What the config of a data file is to say.
    #[command(flatten)]
    pub(crate) draft: DraftArgs,
    /// The run directory to write [default: runs/NAME, the name in the config]
    #[arg(long, value_name = "RUN")]
    pub(crate) out: Option<PathBuf>,
    /// Override a key of the config with a TOML value, for example --set model.hidden=100; a plain
    /// word needs no quotes: --set model.ordering=snake; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Where to compute: flex, ndarray, cuda:N or wgpu, as compiled in
    #[arg(long)]
    pub(crate) device: Option<String>,
    /// Continue the run in RUN, or start it if there is none; with --set train.epochs=N for longer than
    /// it was planned (or not as long), where the learning rate does not depend on that, so that it
    /// ends as if N had been planned from the start
    #[arg(long)]
    pub(crate) resume: bool,
    /// The run's own data.
    #[command(flatten)]
    pub(crate) own_data: OwnData,
}

/// `chainrule eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// The run directory
    pub(crate) run: PathBuf,
    /// Other data than the run's: a built-in name, or a path (which has no splits)
    #[arg(long, value_name = "SPEC")]
    pub(crate) data: Option<String>,
    /// Which part of the data [default: test]
    #[arg(long, value_parser = split_parser())]
    pub(crate) split: Option<Split>,
    /// Average the probability over this many orderings (orderless-nade) [default: model.orderings]
    #[arg(long, value_name = "K", value_parser = count_parser())]
    pub(crate) orderings: Option<usize>,
    /// Also write the mean cost of each variable, in nats, as f32 in the shape of an event
    #[arg(long, value_name = "FILE.npy")]
    pub(crate) per_variable: Option<PathBuf>,
    /// The file of the data.
    #[command(flatten)]
    pub(crate) file: WholeFileArgs,
    /// The run's own data.
    #[command(flatten)]
    pub(crate) own_data: OwnData,
    /// Where to compute: flex, ndarray, cuda:N or wgpu, as compiled in
    #[arg(long)]
    pub(crate) device: Option<String>,
}

/// `chainrule sample`.
#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// The run directory
    pub(crate) run: PathBuf,
    /// The file to write: a grid of images (.png), an array [count, ...event shape] of u8, or f32 for
    /// real numbers (.npy), the same as IDX (-ubyte), or a table with a row per sample (.csv, .parquet); - is
    /// standard output, as a table
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Number of samples
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = count_parser())]
    pub(crate) count: usize,
    /// Seed; the same seed and count draw the same samples
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = seed_parser())]
    pub(crate) seed: u64,
    /// Draw given this label, for a model with classes [default: of all labels]
    #[arg(long, value_name = "Y", value_parser = whole_number::<usize>(0, 255))]
    pub(crate) class: Option<usize>,
    /// Draw rows of a table for which this holds, such as 'age=30..40', 'sex=Female|Male', 'hours>=20' or 'age='
    /// (missing); several hold together
    #[arg(long, value_name = "CONDITION")]
    pub(crate) given: Vec<String>,
    /// Columns of the grid (.png only) [default: about a square]
    #[arg(long, value_name = "C", value_parser = count_parser())]
    pub(crate) columns: Option<usize>,
    /// Where to compute: flex, ndarray, cuda:N or wgpu, as compiled in
    #[arg(long)]
    pub(crate) device: Option<String>,
}

/// `chainrule complete`.
#[derive(Debug, Args)]
pub(crate) struct CompleteArgs {
    /// The run directory; its events must be images, or rows of a table
    pub(crate) run: PathBuf,
    /// What is observed of images: top-half, left-half, every-other-row, fraction:P (each pixel with
    /// probability P), or MASK.png (an image of the same size, not black where it is observed)
    #[arg(long, value_name = "WHAT")]
    pub(crate) observe: Option<String>,
    /// The file to write: a row per image of the original, what is observed (the rest in blue) and
    /// the completions (.png), or the completions as an array [count, samples, ...event shape] of u8
    /// (.npy); of a table its rows with every missing cell filled in (.csv, .parquet)
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Other data than the run's: a built-in name, or a path (which has no splits)
    #[arg(long, value_name = "SPEC")]
    pub(crate) data: Option<String>,
    /// Which part of the data [default: test]
    #[arg(long, value_parser = split_parser())]
    pub(crate) split: Option<Split>,
    /// Number of images or rows, from the first on [default: 8 images, all rows]
    #[arg(long, value_name = "N", value_parser = count_parser())]
    pub(crate) count: Option<usize>,
    /// Completions of each image [default: 4], or of each row [default: 1]
    #[arg(long, value_name = "K", value_parser = count_parser())]
    pub(crate) samples: Option<usize>,
    /// Fill each missing cell of a table with the commonest label or the median of its draws, in place of one draw
    #[arg(long, conflicts_with = "samples")]
    pub(crate) most_likely: bool,
    /// Hide this fraction of the cells of a table that are there, fill them in, and say how good that is, column by
    /// column, beside the frequencies of the training rows
    #[arg(long, value_name = "P", value_parser = fraction)]
    pub(crate) hide: Option<f64>,
    /// Walks of each image or row at a time, where completions come from sequential Monte Carlo; 1 does not look
    /// ahead at all
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = count_parser())]
    pub(crate) particles: usize,
    /// Seed of the completions, of `fraction:P` and of --hide
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = seed_parser())]
    pub(crate) seed: u64,
    /// Draw given this label, for a model with classes [default: of all labels]
    #[arg(long, value_name = "Y", value_parser = whole_number::<usize>(0, 255))]
    pub(crate) class: Option<usize>,
    /// The file of the data.
    #[command(flatten)]
    pub(crate) file: WholeFileArgs,
    /// The run's own data.
    #[command(flatten)]
    pub(crate) own_data: OwnData,
    /// Where to compute: flex, ndarray, cuda:N or wgpu, as compiled in
    #[arg(long)]
    pub(crate) device: Option<String>,
}

/// `chainrule probability`.
#[derive(Debug, Args)]
pub(crate) struct ProbabilityArgs {
    /// The run directory; its events must be rows of a table
    pub(crate) run: PathBuf,
    /// A condition on a column, such as 'age>=30', 'age=30..40', 'sex=Female', 'sex!=Female', or 'age=' (missing);
    /// several hold together
    #[arg(long = "where", value_name = "CONDITION", required = true)]
    pub(crate) conditions: Vec<String>,
    /// Also count the rows of this data for which the conditions hold: a path, or a split of the run's own data
    #[arg(long, value_name = "SPEC")]
    pub(crate) data: Option<String>,
    /// Walks of the estimate, where the probability cannot be enumerated
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = count_parser())]
    pub(crate) particles: usize,
    /// Seed of the walks
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = seed_parser())]
    pub(crate) seed: u64,
    /// The file of the data.
    #[command(flatten)]
    pub(crate) file: WholeFileArgs,
    /// The run's own data.
    #[command(flatten)]
    pub(crate) own_data: OwnData,
    /// Where to compute: flex, ndarray, cuda:N or wgpu, as compiled in
    #[arg(long)]
    pub(crate) device: Option<String>,
}

/// `chainrule score`.
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// The run directory
    pub(crate) run: PathBuf,
    /// Other data than the run's: a built-in name, a path (which has no splits), or a pattern such as 'part-*.parquet', whose
    /// files are scored one after the other
    #[arg(long, value_name = "SPEC")]
    pub(crate) data: Option<String>,
    /// Which part of the data [default: test]
    #[arg(long, value_parser = split_parser())]
    pub(crate) split: Option<Split>,
    /// The file to write, a row per row of the data: row, log_prob_nats, bits_per_dim, of a table score, with --calibrate
    /// p_low_likelihood, flag_low_likelihood, p_typicality, flag_typicality, and error (.csv, .parquet); or the
    /// log-likelihood, bits/dim and the two p-values, NaN where there is none, as f64 (.npy); - is standard
    /// output, as a table
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// What rows are ranked by: `log-prob` is log p(x) under the model, `window` that under the Parzen window over the
    /// training rows that a run of a table keeps [default: window where the run has one]
    #[arg(long, value_name = "SCORE", value_enum)]
    pub(crate) score: Option<ScoreKind>,
    /// Held-out normal rows to rank among: a split of the run's own data (valid), a built-in name (its
    /// validation part), or a path
    #[arg(long, value_name = "SPEC")]
    pub(crate) calibrate: Option<String>,
    /// Flag rows whose p-value is at most this: about that fraction of normal rows
    #[arg(long, value_name = "P", default_value_t = 0.01, value_parser = fraction)]
    pub(crate) alpha: f64,
    /// Also test rows by log p(x) less what is simple about them: `ratio` takes off log p(x) under a table of few
    /// neighbours, counted over the training rows, `complexity` adds the length of the row under DEFLATE. May be
    /// given for both; with --calibrate, `any` ranks the least of all ranks
    #[arg(long = "test", value_name = "TEST", value_enum)]
    pub(crate) tests: Vec<TestKind>,
    /// Anomalies to tell from the rows of the data, by AUROC and average precision: a built-in name (its
    /// test part), a split of the run's own data, or a path
    #[arg(long, value_name = "SPEC")]
    pub(crate) against: Option<String>,
    /// Rows of the data that have this value in a column of the file are anomalies, to be told from its
    /// other rows, by AUROC and average precision; the column need not be one of the run's
    #[arg(long, value_name = "COLUMN=VALUE", conflicts_with = "against")]
    pub(crate) anomaly_label: Option<String>,
    /// Also write the K variables that cost the most in each row, with their nats (--out FILE.csv)
    #[arg(long, value_name = "K", value_parser = count_parser())]
    pub(crate) costliest: Option<usize>,
    /// Also write the cost of each variable of each row in nats, as f32 of [rows, ...event shape]
    #[arg(long, value_name = "FILE.npy")]
    pub(crate) per_variable: Option<PathBuf>,
    /// What to do about rows of a file that cannot be read: report and count them, or stop at the first
    #[arg(
        long,
        value_enum,
        value_name = "report|stop",
        hide_possible_values = true,
        default_value = "report"
    )]
    pub(crate) bad_rows: BadRows,
    /// Score one of N shares of a file's rows, for N processes that share the work: every N-th block of rows, which keep
    /// their numbers
    #[arg(long, value_name = "K/N", requires = "data")]
    pub(crate) shard: Option<Shard>,
    /// Values in files are 0 to N − 1 [default: bits if nothing is above 1, else as many levels as the
    /// run's own data has before preprocessing]
    #[arg(long, value_name = "N", value_parser = whole_number::<u16>(2, 256))]
    pub(crate) levels: Option<u16>,
    /// The file of the data.
    #[command(flatten)]
    pub(crate) file: FileArgs,
    /// The run's own data.
    #[command(flatten)]
    pub(crate) own_data: OwnData,
    /// Where to compute: flex, ndarray, cuda:N or wgpu, as compiled in
    #[arg(long)]
    pub(crate) device: Option<String>,
}

/// `chainrule features`.
#[derive(Debug, Args)]
pub(crate) struct FeaturesArgs {
    /// The run directory
    pub(crate) run: PathBuf,
    /// The file to write: an f32 array [examples, features]; may be left out with --probe
    #[arg(long, value_name = "FILE.npy", required_unless_present = "probe")]
    pub(crate) out: Option<PathBuf>,
    /// Other data than the run's: a built-in name, or a path (which has no splits)
    #[arg(long, value_name = "SPEC")]
    pub(crate) data: Option<String>,
    /// Which part of the data --out is of [default: test]
    #[arg(long, value_parser = split_parser(), requires = "out")]
    pub(crate) split: Option<Split>,
    /// Report how well labels can be read off the features, beside the raw values; the data must have
    /// labels and three splits
    #[arg(long)]
    pub(crate) probe: bool,
    /// Probes learn from at most N training examples, evenly spaced [default: all]
    #[arg(long, value_name = "N", requires = "probe", value_parser = count_parser())]
    pub(crate) probe_examples: Option<usize>,
    /// The file of the data.
    #[command(flatten)]
    pub(crate) file: WholeFileArgs,
    /// The run's own data.
    #[command(flatten)]
    pub(crate) own_data: OwnData,
    /// Where to compute: flex, ndarray, cuda:N or wgpu, as compiled in
    #[arg(long)]
    pub(crate) device: Option<String>,
}

/// `chainrule compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The run directories; one alone is shown beside what is published
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// Other data than the runs' own: a built-in name, or a path (which has no splits)
    #[arg(long, value_name = "SPEC")]
    pub(crate) data: Option<String>,
    /// Which part of the data [default: test, or without one valid, or train]
    #[arg(long, value_parser = split_parser())]
    pub(crate) split: Option<Split>,
    /// At most N examples, evenly spaced [default: all]
    #[arg(long, value_name = "N", value_parser = count_parser())]
    pub(crate) examples: Option<usize>,
    /// Also write a report: one HTML file with the table, samples, curves and costs
    #[arg(long, value_name = "FILE.html")]
    pub(crate) out: Option<PathBuf>,
    /// Heading of the report [default: how many runs there are]
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// Also write a picture of samples: a line of 16 from each run, below one of the data
    #[arg(long, value_name = "FILE.png")]
    pub(crate) sheet: Option<PathBuf>,
    /// How the table is printed [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) table: Option<TableFormat>,
    /// Seed of the samples
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = seed_parser())]
    pub(crate) seed: u64,
    /// The file of the data.
    #[command(flatten)]
    pub(crate) file: WholeFileArgs,
    /// The run's own data.
    #[command(flatten)]
    pub(crate) own_data: OwnData,
    /// Where to compute: flex, ndarray, cuda:N or wgpu, as compiled in
    #[arg(long)]
    pub(crate) device: Option<String>,
}

/// `chainrule report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The run directory
    pub(crate) run: PathBuf,
    /// The file to write [default: report.html in the run directory]
    #[arg(long, value_name = "FILE.html")]
    pub(crate) out: Option<PathBuf>,
    /// The set whose scores are laid over those of the test split, a built-in name (its test split) or a
    /// path [default: the training split]
    #[arg(long, value_name = "SPEC")]
    pub(crate) against: Option<String>,
    /// At most N examples of each set, evenly spaced
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = count_parser())]
    pub(crate) examples: usize,
    /// Seed of the samples and completions
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = seed_parser())]
    pub(crate) seed: u64,
    /// The file of the data.
    #[command(flatten)]
    pub(crate) file: WholeFileArgs,
    /// The run's own data.
    #[command(flatten)]
    pub(crate) own_data: OwnData,
    /// Where to compute: flex, ndarray, cuda:N or wgpu, as compiled in
    #[arg(long)]
    pub(crate) device: Option<String>,
}

/// `chainrule classify`.
#[derive(Debug, Args)]
pub(crate) struct ClassifyArgs {
    /// A run whose model has classes, or one run per class
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// Other data than the runs': a built-in name, or a path (which has no splits and no labels)
    #[arg(long, value_name = "SPEC")]
    pub(crate) data: Option<String>,
    /// Which part of the data [default: test]
    #[arg(long, value_parser = split_parser())]
    pub(crate) split: Option<Split>,
    /// Tell the labels of this column of the run's own table from its other columns, which p(x, y) of
    /// a run that was trained on all of them says
    #[arg(long, value_name = "COLUMN", conflicts_with = "prior")]
    pub(crate) target: Option<String>,
    /// p(y): the same for all classes, or as often as in training
    #[arg(long, value_enum, default_value_t = Prior::Uniform)]
    pub(crate) prior: Prior,
    /// Divide log p(x | y) by a number, or by the one of the least log-loss on the runs' validation
    /// split (`valid`); 1 is Bayes' rule
    #[arg(long, value_name = "T|valid", default_value = "1")]
    pub(crate) temperature: Temperature,
    /// Also write a table with a row per example: label, prediction, p(y | x) of each class, log p(x)
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// The file of the data.
    #[command(flatten)]
    pub(crate) file: WholeFileArgs,
    /// The run's own data.
    #[command(flatten)]
    pub(crate) own_data: OwnData,
    /// Where to compute: flex, ndarray, cuda:N or wgpu, as compiled in
    #[arg(long)]
    pub(crate) device: Option<String>,
}

/// `chainrule compress`.
#[derive(Debug, Args)]
pub(crate) struct CompressArgs {
    /// The run directory
    pub(crate) run: PathBuf,
    /// The data: a built-in name, or a path (which has no splits)
    #[arg(value_name = "INPUT")]
    pub(crate) input: String,
    /// The file to write, or - for standard output
    #[arg(long, value_name = "FILE.chr")]
    pub(crate) out: PathBuf,
    /// Which part of the data [default: test]
    #[arg(long, value_parser = split_parser())]
    pub(crate) split: Option<Split>,
    /// Decode the result and compare before the file is written
    #[arg(long)]
    pub(crate) verify: bool,
    /// Use arithmetic that every machine has: slower, and only for models that are walked without
    /// tensor operations (all but logistic, made, orderless-nade and models with classes)
    #[arg(long)]
    pub(crate) portable: bool,
    /// Do not compress with anything else for comparison
    #[arg(long)]
    pub(crate) no_baselines: bool,
    /// The file of the data.
    #[command(flatten)]
    pub(crate) file: WholeFileArgs,
    /// The run's own data.
    #[command(flatten)]
    pub(crate) own_data: OwnData,
    /// Where to compute: flex, ndarray, cuda:N or wgpu, as compiled in
    #[arg(long)]
    pub(crate) device: Option<String>,
}

/// `chainrule decompress`.
#[derive(Debug, Args)]
pub(crate) struct DecompressArgs {
    /// The run directory that the file was compressed with
    pub(crate) run: PathBuf,
    /// The file that `compress` wrote
    #[arg(value_name = "FILE.chr")]
    pub(crate) file: PathBuf,
    /// The file to write: an array [count, ...event shape] of u8 (.npy), the same as IDX (-ubyte), a
    /// table with a row per example (.csv, .parquet), or a grid of images (.png); - is standard output, as a table
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Columns of the grid (.png only) [default: about a square]
    #[arg(long, value_name = "C", value_parser = count_parser())]
    pub(crate) columns: Option<usize>,
    /// Where to compute: flex, ndarray, cuda:N or wgpu, as compiled in
    #[arg(long)]
    pub(crate) device: Option<String>,
}

/// `chainrule inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A run directory or a config
    #[arg(value_name = "RUN|CONFIG.toml")]
    pub(crate) target: PathBuf,
    /// Override a key of the config, as in `train`; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Also draw what the conditional of a pixel looks at, of a run of images of bits or levels: on the left what it may
    /// look at (light), on the right by how much each pixel changes it, measured on images that the model draws
    #[arg(long, value_name = "FILE.png")]
    pub(crate) out: Option<PathBuf>,
    /// The pixel, from 0 [default: the middle one]
    #[arg(long, value_name = "ROW,COLUMN", requires = "out", value_parser = pixel)]
    pub(crate) pixel: Option<[usize; 2]>,
    /// Where to compute: flex, ndarray, cuda:N or wgpu, as compiled in
    #[arg(long, requires = "out")]
    pub(crate) device: Option<String>,
}

/// `chainrule count`.
#[derive(Debug, Args)]
pub(crate) struct CountArgs {
    /// What each conditional sees
    #[arg(long, value_enum)]
    pub(crate) family: Family,
    /// Number of variables
    #[arg(long, value_name = "N", value_parser = count_parser())]
    pub(crate) variables: Option<usize>,
    /// Number of states of each variable [default: 2]
    #[arg(long, value_name = "M", value_parser = count_parser())]
    pub(crate) states: Option<usize>,
    /// How many predecessors each variable sees (markov)
    #[arg(long, value_name = "K", value_parser = whole_number::<usize>(0, u32::MAX.into()))]
    pub(crate) order: Option<usize>,
    /// The image, for example 28x28, instead of --variables (neighbourhood)
    #[arg(long, value_name = "ROWSxCOLUMNS")]
    pub(crate) shape: Option<String>,
    /// 4: W, NW, N, NE; 10: those, WW, NN and the four knight's moves (neighbourhood) [default: 4]
    #[arg(long, value_name = "4|10", hide_possible_values = true, value_parser = PossibleValuesParser::new(["4", "10"]))]
    pub(crate) neighbours: Option<String>,
    /// Hidden units (nade, made, orderless-nade, rnade)
    #[arg(long, value_name = "H", value_parser = count_parser())]
    pub(crate) hidden: Option<usize>,
    /// Gaussians of each conditional (rnade) [default: 20]
    #[arg(long, value_name = "K", value_parser = count_parser())]
    pub(crate) components: Option<usize>,
}

/// `chainrule data`.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// List the built-in datasets and whether their files are here
    List,
    /// Describe a built-in dataset or a file
    Info {
        /// A built-in name or a path
        spec: String,
        /// Which columns of a table are meant.
        #[command(flatten)]
        file: InfoArgs,
    },
    /// Download a built-in dataset, or verify the files that are here
    Fetch {
        /// A built-in name
        name: String,
    },
    /// Write a split as the model of a config or run sees it (preprocessed), or as it is
    Export {
        /// A config, a run directory, a built-in name or a data file
        #[arg(value_name = "CONFIG.toml|RUN|SPEC")]
        source: String,
        /// Which part of the data [default: test]
        #[arg(long, value_parser = split_parser())]
        split: Option<Split>,
        /// The file to write: .npy, -ubyte, .csv, .parquet or .png, or - for standard output, as for `sample`
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Only the first N examples
        #[arg(long, value_name = "N", value_parser = count_parser())]
        count: Option<usize>,
        /// Columns of the grid (.png only) [default: about a square]
        #[arg(long, value_name = "C", value_parser = count_parser())]
        columns: Option<usize>,
        /// The run's own data.
        #[command(flatten)]
        own_data: OwnData,
    },
}

/// `chainrule completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// The command line, in which a negative number after an option is its value and no flag: so the check of
/// the option refuses it, and says what is allowed.
pub(crate) fn definition() -> clap::Command {
    with_negative_numbers(Cli::command())
}

/// A command and all below it, whose options take negative numbers.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let allow = |arg: clap::Arg| {
        if arg.get_action().takes_values() { arg.allow_negative_numbers(true) } else { arg }
    };
    command.mut_args(allow).mut_subcommands(with_negative_numbers)
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;

    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        definition().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_or_after_the_command() {
        for line in ["chainrule --json --quiet data list", "chainrule data list --json --quiet"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert!(cli.global.json && cli.global.quiet, "{line}");
        }
    }

    /// The lines that lead to each option with a value, and whether the value is a number.
    fn options(definition: &clap::Command) -> Vec<(Vec<String>, bool)> {
        fn walk(command: &clap::Command, line: &[String], found: &mut Vec<(Vec<String>, bool)>) {
            for arg in command.get_arguments() {
                if let (true, Some(long)) = (arg.get_action().takes_values(), arg.get_long()) {
                    let option = [line, &[format!("--{long}")]].concat();
                    found.push((option, is_numeric(arg)));
                }
            }
            for command in command.get_subcommands() {
                walk(command, &[line, &[command.get_name().to_owned()]].concat(), found);
            }
        }
        let mut found = Vec::new();
        walk(definition, &[definition.get_name().to_owned()], &mut found);
        found
    }

    fn is_numeric(arg: &clap::Arg) -> bool {
        let numbers = [
            TypeId::of::<u8>(),
            TypeId::of::<u16>(),
            TypeId::of::<u32>(),
            TypeId::of::<u64>(),
            TypeId::of::<usize>(),
            TypeId::of::<i8>(),
            TypeId::of::<i16>(),
            TypeId::of::<i32>(),
            TypeId::of::<i64>(),
            TypeId::of::<isize>(),
            TypeId::of::<f32>(),
            TypeId::of::<f64>(),
            TypeId::of::<Temperature>(),
        ];
        let parsed = arg.get_value_parser().type_id();
        numbers.iter().any(|number| parsed == *number)
    }

    /// What is wrong with the way in which the options of a command line take `-1` and what is no number.
    fn faults(definition: &clap::Command) -> Vec<String> {
        let mut faults = Vec::new();
        for (option, is_numeric) in options(definition) {
            for value in ["-1", "-0.5", "-1e9", "many"] {
                let line = [&option[..], &[value.to_owned()]].concat();
                let Err(error) = definition.clone().try_get_matches_from(&line) else { continue };
                let says = error.to_string();
                let is_explained = error.kind() == ErrorKind::ValueValidation
                    && ["expected a whole number from ", "expected a number "]
                        .iter()
                        .any(|words| says.contains(words));
                if error.kind() == ErrorKind::UnknownArgument || is_numeric && !is_explained {
                    faults.push(format!("{}: {says}", line.join(" ")));
                }
            }
        }
        faults
    }

    #[test]
    fn every_option_takes_a_negative_number_to_the_check_that_says_what_is_allowed() {
        assert_eq!(faults(&definition()), Vec::<String>::new());
        let numeric: Vec<String> = options(&definition())
            .into_iter()
            .filter_map(|(option, is_numeric)| is_numeric.then(|| option[1..].join(" ")))
            .collect();
        for option in ["--threads", "sample --seed", "score --alpha", "data export --count"] {
            assert!(numeric.iter().any(|numeric| numeric == option), "{option}: {numeric:?}");
        }
    }

    #[test]
    fn clap_alone_explains_no_negative_number() {
        let plain = Cli::command();
        let count = options(&plain).len();
        assert_eq!(faults(&plain).len(), 3 * count, "all but words are taken for flags");
        // A number without a parser of its own: taken for a value, and refused in the words of a library.
        let seed = clap::Arg::new("seed").long("seed").value_parser(clap::value_parser!(u64));
        let derived = with_negative_numbers(clap::Command::new("x").arg(seed));
        assert_eq!(faults(&derived).len(), 4);
    }

    #[test]
    fn a_refused_number_is_told_what_is_allowed() {
        for (line, expected) in [
            (
                "sample run --out a.png --seed -1",
                "'-1' for '--seed <S>': expected a whole number from 0 to 18446744073709551615",
            ),
            (
                "score run --alpha -0.1",
                "'-0.1' for '--alpha <P>': expected a number above 0 and below 1",
            ),
            (
                "score run --levels 257",
                "'257' for '--levels <N>': expected a whole number from 2 to 256",
            ),
            (
                "classify run --temperature -2",
                "'-2' for '--temperature <T|valid>': expected a number above 0, or `valid`",
            ),
            (
                "--threads 0 data list",
                "'0' for '--threads <N>': expected a whole number from 1 to 1024",
            ),
        ] {
            let line = ["chainrule"].into_iter().chain(line.split(' '));
            let error = definition().try_get_matches_from(line).unwrap_err().to_string();
            assert!(error.contains(&format!("invalid value {expected}")), "{error}");
        }
        let line = "chainrule train c.toml --set train.epochs=-1 --set -1 --out -1";
        assert!(definition().try_get_matches_from(line.split(' ')).is_ok());
    }
}
