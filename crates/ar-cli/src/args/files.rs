//! The options about files of data: which columns are meant, what to do about rows that cannot be read, and
//! where a run's own data has changed.

use ar_data::Column;
use clap::{Args, ValueEnum};

use crate::config::Config;
use crate::draft::Wishes;

/// What to do where the files of a run's own data are not what the run was trained with.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OwnData {
    /// Go on though a file of the run's own data has changed since it was trained; what has changed is
    /// noted in the result
    #[arg(long)]
    pub(crate) accept_changed_data: bool,
}

impl OwnData {
    /// The config of a run, with what is to be done about its data.
    #[must_use]
    pub(crate) fn accepted(self, mut config: Config) -> Config {
        if self.accept_changed_data {
            config.data.expected.accept();
        }
        config
    }
}

/// Which columns of a file of --data are meant.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct FileArgs {
    /// A column of a table that is left out, by name or by index from 0 or from the end (-1); may be
    /// repeated
    #[arg(long, value_name = "COLUMN", value_parser = column)]
    pub(crate) drop: Vec<Column>,
    /// The column of classes, if it is called otherwise than in the run's own data; of images the file of their
    /// labels
    #[arg(long, value_name = "COLUMN", value_parser = column)]
    pub(crate) label: Option<Column>,
    /// Make any difference between the columns and those of the run an error: another order, one too many
    #[arg(long)]
    pub(crate) strict: bool,
    /// The array of a .npz [default: X, or the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) key: Option<String>,
}

/// What to do about rows of a file that cannot be read, where the file is read as a whole.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct WholeFileArgs {
    /// Which columns are meant.
    #[command(flatten)]
    pub(crate) file: FileArgs,
    /// What to do about rows that cannot be read: stop at the first, or skip and count them [default: as
    /// data.bad_rows in the run]
    #[arg(long, value_enum, value_name = "stop|skip", hide_possible_values = true)]
    pub(crate) bad_rows: Option<Unreadable>,
}

/// See [`WholeFileArgs::bad_rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unreadable {
    /// An error.
    Stop,
    /// Said and counted.
    Skip,
}

impl WholeFileArgs {
    /// Whether rows that cannot be read are left out.
    pub(crate) fn skips(&self, config: &Config) -> bool {
        match self.bad_rows {
            Some(unreadable) => unreadable == Unreadable::Skip,
            None => config.data.table.skips_bad_rows,
        }
    }
}

/// A column by its index, or else by its name.
pub(crate) fn column_of(text: &str) -> Column {
    match text.parse() {
        Ok(index) => Column::Index(index),
        Err(_) => Column::Name(text.to_owned()),
    }
}

fn column(text: &str) -> Result<Column, std::convert::Infallible> {
    Ok(column_of(text))
}

/// What the config of a data file is to say.
#[derive(Clone, Debug, Args)]
pub(crate) struct DraftArgs {
    /// The column of classes of a data file, by name or by index from 0 or from the end (-1); it is no
    /// variable
    #[arg(long, value_name = "COLUMN", value_parser = column)]
    pub(crate) label: Option<Column>,
    /// A column of a data file that is left out, likewise; may be repeated
    #[arg(long, value_name = "COLUMN", value_parser = column)]
    pub(crate) drop: Vec<Column>,
    /// The kind of the model for a data file: nade, made and orderless-nade describe columns of any types
    /// [default: rnade for numbers alone, none of them missing, else nade]
    #[arg(long, value_name = "KIND")]
    pub(crate) model: Option<String>,
    /// The array of a .npz [default: X, or the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) key: Option<String>,
}

impl DraftArgs {
    /// What the user says.
    pub(crate) fn wishes(&self) -> Wishes<'_> {
        let Self { label, drop, model, key } = self;
        Wishes { label: label.as_ref(), drop, model: model.as_deref(), key: key.as_deref() }
    }

    /// Whether the user says anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.label.is_none() && self.drop.is_empty() && self.model.is_none() && self.key.is_none()
    }
}

/// Which columns of a table `chainrule data info` describes.
#[derive(Clone, Debug, Args)]
pub(crate) struct InfoArgs {
    /// A column of a table that is left out, by name or by index from 0 or from the end (-1); may be
    /// repeated
    #[arg(long, value_name = "COLUMN", value_parser = column)]
    pub(crate) drop: Vec<Column>,
    /// The column of classes, likewise
    #[arg(long, value_name = "COLUMN", value_parser = column)]
    pub(crate) label: Option<Column>,
    /// The array of a .npz [default: X, or the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) key: Option<String>,
}
