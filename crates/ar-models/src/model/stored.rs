//! A model as a safetensors file, and back.

use burn::tensor::Device;
use prob_core::joint::{
    BayesianNetwork, FullTable, Independent, Markov, Neighbourhood, Tabular, Uniform,
};

use super::config::ModelConfig;
use super::{Model, Start, host_f32, levels, pairs, rows_columns};
use crate::foundation::column::Column;
use crate::foundation::error::Error;
use crate::foundation::event::EventSpec;
use crate::foundation::standardization::Standardization;
use crate::foundation::store::Arrays;
use crate::kinds::tables::ColumnTables;
use crate::kinds::window::KernelWindow;
use crate::parts::columns::{Links, Origin, Units};
use crate::parts::neural;

impl Model {
    /// The model as a safetensors file that holds its own SHA-256.
    ///
    /// # Errors
    /// When the format refuses it, which it does not for these shapes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        self.arrays(FORMAT).into_checked_bytes()
    }

    /// What the model's file holds, as bytes that a digest of the model is made of: those of the first
    /// format, so that compressed files stay those of their model.
    pub(crate) fn content_bytes(&self) -> Result<Vec<u8>, Error> {
        self.arrays(FORMAT_1).to_bytes()
    }

    fn arrays(&self, format: &str) -> Arrays {
        let mut arrays = Arrays::default();
        each!(
            self,
            tabular model => {
                for (k, table) in model.table_arrays().into_iter().enumerate() {
                    arrays.f64s.push((format!("table.{k}"), vec![table.len()], table.to_vec()));
                }
            },
            columns model => model.store(&mut arrays),
            window model => model.store(&mut arrays),
            neural model => {
                for weight in neural::weights(model) {
                    arrays.f32s.push((weight.name, weight.shape, host_f32(weight.values)));
                }
            },
        );
        if let Some(standardization) = self.standardization() {
            let (means, scales) = (standardization.means(), standardization.scales());
            for (name, values) in [(MEANS, means), (SCALES, scales)] {
                arrays.f64s.push((name.into(), vec![values.len()], values.to_vec()));
            }
        }
        if let Some(layout) = self.layout() {
            let units = layout.units();
            let (links, unseen) = (layout.links(), &[units.unseen()][..]);
            let ranges = (0..units.columns().len()).map(|i| units.range(i));
            let (lows, highs): (Vec<f64>, Vec<f64>) = ranges.unzip();
            let spikes: Vec<f64> = units.spikes().iter().map(|&count| count as f64).collect();
            let [listed, of_rows, indices, times] = units.lists();
            for (name, values) in [
                (COLUMN_MEANS, units.means()),
                (COLUMN_SCALES, units.scales()),
                (COLUMN_LOWS, &lows),
                (COLUMN_HIGHS, &highs),
                (COLUMN_SPIKES, &spikes),
                (COLUMN_LISTED, &listed),
                (LISTED_ROWS, &of_rows),
                (LISTED_INDICES, &indices),
                (LISTED_TIMES, &times),
                (UNSEEN, unseen),
                (GAINS, &links.gains),
                (SHIFTS, &links.shifts),
            ] {
                arrays.f64s.push((name.into(), vec![values.len()], values.to_vec()));
            }
        }
        arrays.texts.push(("format".into(), format.into()));
        arrays.texts.push(("kind".into(), self.kind().into()));
        arrays
    }

    /// The model that [`to_bytes`](Self::to_bytes) stored, given the config it was made from.
    ///
    /// # Errors
    /// When the bytes are not such a file, are not as they were written, hold what is no finite number,
    /// or do not belong to the config.
    pub fn from_bytes(
        config: &ModelConfig,
        event: &EventSpec,
        bytes: &[u8],
        device: &Device,
    ) -> Result<Self, Error> {
        let checked = config.checked(event)?;
        let (arrays, is_checked) = Arrays::from_bytes(bytes)?;
        let is_of_old = arrays.text("format")? == FORMAT_1;
        let format = if is_of_old { FORMAT_1 } else { FORMAT };
        for (key, expected) in [("format", format), ("kind", config.kind())] {
            let found = arrays.text(key)?;
            if found != expected {
                return Err(Error::Stored(format!(
                    "the stored model has {key} `{found}`, expected `{expected}`"
                )));
            }
        }
        if !is_checked && !is_of_old {
            return Err(Arrays::unchecked());
        }
        arrays.check_finite()?;
        if let ModelConfig::Kernel(settings) = config {
            return Ok(KernelWindow::restore(settings, event, &arrays)?.into());
        }
        if config.is_neural() {
            let start = match (&event.columns, event.levels) {
                (Some(columns), _) => {
                    let units = arrays.units(columns)?;
                    let links = arrays.links(&units, config)?;
                    Start::Units(units, Origin::Stored(links))
                }
                (None, Some(levels))
                    if levels > 2 && matches!(config, ModelConfig::Nade { .. }) =>
                {
                    Start::Counts(vec![0; event.variables() * levels])
                }
                (None, Some(_)) => Start::Means(vec![0.5; event.variables()]),
                (None, None) => Start::Standardization(arrays.standardization(event.variables())?),
            };
            let blank = Self::init_with(checked, &start, 0, device)?;
            return Ok(network!(blank, model => neural::load_weights(model, &arrays.f32s)?.into()));
        }
        if event.columns.is_some() {
            return Ok(Self::ColumnTables(ColumnTables::restore(
                &config.family(event)?,
                event,
                arrays,
            )?));
        }
        let tables = tables_in_order(arrays)?;
        let (n, states) = (event.variables(), levels(event));
        let of_each = vec![states; n];
        Ok(match config {
            ModelConfig::Uniform {} => Self::Uniform(Uniform::new(n, states)?),
            ModelConfig::Independent { .. } => {
                Self::Independent(Independent::from_tables(&of_each, tables)?)
            }
            ModelConfig::Markov { order, .. } => {
                let ordering = config.ordering(event)?;
                Self::Markov(Markov::from_tables(*order, ordering, &of_each, tables)?)
            }
            ModelConfig::Neighbourhood { offsets, .. } => {
                let (shape, offsets) = (rows_columns(event), pairs(offsets));
                Self::Neighbourhood(Neighbourhood::from_tables(shape, &offsets, &of_each, tables)?)
            }
            ModelConfig::BayesianNetwork { parents, .. } => {
                Self::BayesianNetwork(BayesianNetwork::from_tables(parents, &of_each, tables)?)
            }
            ModelConfig::FullTable { .. } => {
                Self::FullTable(FullTable::from_tables(n, states, tables)?)
            }
            _ => unreachable!("networks and windows are loaded above"),
        })
    }
}

/// Names of a standardization's arrays in the file.
const MEANS: &str = "standardization.means";
const SCALES: &str = "standardization.scales";
/// Names of the arrays of columns' units.
const COLUMN_MEANS: &str = "columns.means";
const COLUMN_SCALES: &str = "columns.scales";
const COLUMN_LOWS: &str = "columns.lows";
const COLUMN_HIGHS: &str = "columns.highs";
const COLUMN_SPIKES: &str = "columns.spikes";
const COLUMN_LISTED: &str = "columns.listed";
const LISTED_ROWS: &str = "columns.listed_rows";
const LISTED_INDICES: &str = "columns.listed_indices";
const LISTED_TIMES: &str = "columns.listed_times";
const UNSEEN: &str = "columns.unseen";
const GAINS: &str = "columns.gains";
const SHIFTS: &str = "columns.shifts";

impl Arrays {
    /// An array of so many numbers.
    fn numbers(&self, name: &str, len: usize) -> Result<Vec<f64>, Error> {
        let found = self.f64s.iter().find(|(found, ..)| found == name);
        let values = found.map(|(.., values)| values.clone());
        values.filter(|values| values.len() == len).ok_or_else(|| {
            Error::Stored(format!("the stored model has no `{name}` of {len} values"))
        })
    }

    /// The standardization of so many variables.
    fn standardization(&self, variables: usize) -> Result<Standardization, Error> {
        Standardization::new(self.numbers(MEANS, variables)?, self.numbers(SCALES, variables)?)
    }

    /// The links of the outputs of columns.
    fn links(&self, units: &Units, config: &ModelConfig) -> Result<Links, Error> {
        let Some(components) = config.components() else {
            return Err(Error::Stored(format!("a model `{}` of columns", config.kind())));
        };
        let columns = units.columns().iter().map(|column| column.outputs(components));
        let lists = (0..units.columns().len()).filter(|&i| units.listed(i).is_some()).count();
        let outputs = columns.sum::<usize>() + 3 * units.spikes().iter().sum::<usize>() + lists;
        Ok(Links { gains: self.numbers(GAINS, outputs)?, shifts: self.numbers(SHIFTS, outputs)? })
    }

    /// The units of columns.
    fn units(&self, columns: &[Column]) -> Result<Units, Error> {
        let means = self.numbers(COLUMN_MEANS, columns.len())?;
        let scales = self.numbers(COLUMN_SCALES, columns.len())?;
        let unseen = self.numbers(UNSEEN, 1)?;
        let lows = self.numbers(COLUMN_LOWS, columns.len())?;
        let highs = self.numbers(COLUMN_HIGHS, columns.len())?;
        let unseen = unseen.first().copied().unwrap_or_default();
        let spikes = self.numbers(COLUMN_SPIKES, columns.len())?;
        let listed = self.numbers(COLUMN_LISTED, columns.len())?;
        let of_rows = self.numbers(LISTED_ROWS, columns.len())?;
        let entries = listed.iter().sum::<f64>() as usize;
        let (indices, times) =
            (self.numbers(LISTED_INDICES, entries)?, self.numbers(LISTED_TIMES, entries)?);
        Units::new(columns, means, scales, unseen)?
            .with_ranges(&lows, &highs)?
            .with_spikes(&spikes)?
            .with_listed([&listed, &of_rows, &indices, &times])
    }
}

/// Name and version of the file format.
const FORMAT: &str = "chainrule-model-2";
/// The one before, whose files hold no digest of themselves.
const FORMAT_1: &str = "chainrule-model-1";

/// The tables by their number.
fn tables_in_order(arrays: Arrays) -> Result<Vec<Vec<f64>>, Error> {
    let mut tables = vec![None; arrays.f64s.len()];
    for (name, _, values) in arrays.f64s {
        let slot = name
            .strip_prefix("table.")
            .and_then(|k| k.parse::<usize>().ok())
            .and_then(|k| tables.get_mut(k))
            .ok_or_else(|| Error::Stored(format!("unexpected stored array `{name}`")))?;
        *slot = Some(values);
    }
    Ok(tables.into_iter().flatten().collect())
}
