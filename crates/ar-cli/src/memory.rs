//! What a model takes in memory, from its config alone, and whether this process can still take as
//! much. Without the question, the first allocation that fails ends the process.
//!
//! W is the size of the weights, M · W that of what the optimizer remembers, E is 1 where an
//! average of the weights is kept. A network takes
//!
//! ```text
//! kept         weights W, moments M W, average E W, best weights W
//! a step       kept + gradient W + masked weights + activations of the batch
//! a checkpoint kept + 4 kept:  the arrays, their copy, their bytes, the file
//! loading      the file, its arrays, the blank model, the loaded one, what a walk copies of it: 5 W
//! ```
//!
//! and training it the larger of the two in the middle. A table of T takes T, and 3 T more while it
//! is written. The activations are those that are kept for the backward pass, and the gradients of
//! one layer.

use anyhow::Result;
use ar_data::memory::available_memory;
use ar_models::columns::Column;
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::nade::Likelihood;
use ar_models::pixel::{ImageLayout, PixelKind, PixelSettings};
use ar_models::train::TrainConfig;
use burn::tensor::Device;
use num_bigint::BigUint;
use prob_core::Error as ProbError;
use prob_core::joint::DEFAULT_MEMORY_LIMIT_BYTES;

use crate::config::Config;
use crate::device;
use crate::output::human_bytes;
use crate::sees;

/// Copies of all that is kept while a checkpoint is written.
const CHECKPOINT_COPIES: u32 = 4;
/// Copies of a model's weights or tables while it is written.
const WRITTEN_COPIES: u32 = 3;
/// Copies of a network's weights while it is loaded: on the host, and for a device with memory of its
/// own.
const LOADED_COPIES: [u32; 2] = [5, 2];
/// What allocators lose between blocks: a sixteenth.
const LOST: u32 = 16;

/// What is held at one time, part by part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Need {
    parts: Vec<(&'static str, BigUint)>,
}

/// The part of a [`Need`] that another key of the config is to blame for.
const ACTIVATIONS: &str = "activations of a batch";
/// Those that the host holds whatever the device.
const BEST: &str = "best weights";
const CHECKPOINT: &str = "copies for a checkpoint";

impl Need {
    /// All parts together, in bytes.
    pub(crate) fn total(&self) -> BigUint {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// The parts in words, the largest first.
    fn words(&self) -> String {
        let mut parts: Vec<_> =
            self.parts.iter().filter(|(_, bytes)| *bytes > BigUint::ZERO).collect();
        parts.sort_by(|(_, a), (_, b)| b.cmp(a));
        let words = parts.iter().map(|(name, bytes)| format!("{name} {}", human(bytes)));
        words.collect::<Vec<_>>().join(", ")
    }

    /// The name of the largest part.
    fn largest(&self) -> &'static str {
        self.parts.iter().max_by(|(_, a), (_, b)| a.cmp(b)).map_or("", |(name, _)| name)
    }
}

fn human(bytes: &BigUint) -> String {
    human_bytes(&bytes.to_string())
}

/// What training takes, in batches of `batch` examples, where the weights are in the memory of the
/// process.
///
/// # Errors
/// When the model's structure is impossible.
pub(crate) fn training(
    model: &ModelConfig,
    event: &EventSpec,
    train: Option<&TrainConfig>,
    batch: usize,
) -> Result<Need, ProbError> {
    let weights = sees::size(model, event)?.bytes;
    let Some(train) = train.filter(|_| model.is_neural()) else {
        let written = stored_tables(model, event, &weights) * WRITTEN_COPIES;
        let mut parts = vec![("tables", weights), ("copies while they are written", written)];
        parts.extend(joint(model, event).map(|joint| ("the joint distribution", joint)));
        return Ok(Need { parts });
    };
    let average = if train.ema_decay.is_some() { weights.clone() } else { BigUint::ZERO };
    let mut parts = vec![
        ("weights", weights.clone()),
        ("moments of the optimizer", &weights * train.optimizer.moments().len()),
        ("moving average", average),
        (BEST, weights.clone()),
    ];
    let kept: BigUint = parts.iter().map(|(_, bytes)| bytes).sum();
    let step = [
        ("gradient", weights.clone()),
        ("masked weights", masked(model, &weights)),
        (ACTIVATIONS, activations(model, event) * batch),
    ];
    let checkpoint = kept * CHECKPOINT_COPIES;
    if step.iter().map(|(_, bytes)| bytes).sum::<BigUint>() > checkpoint {
        parts.extend(step);
    } else {
        parts.push((CHECKPOINT, checkpoint));
    }
    Ok(Need { parts })
}

/// What loading takes, on the host or on a device with memory of its own.
///
/// # Errors
/// When the model's structure is impossible.
fn loading(model: &ModelConfig, event: &EventSpec, on_host: bool) -> Result<Need, ProbError> {
    let bytes = sees::size(model, event)?.bytes;
    if model.is_neural() {
        let copies = LOADED_COPIES[usize::from(!on_host)];
        return Ok(Need { parts: vec![("weights and their copies", bytes * copies)] });
    }
    let file = stored_tables(model, event, &bytes);
    let mut parts = vec![("tables", bytes), ("their file", file)];
    parts.extend(joint(model, event).map(|joint| ("the joint distribution", joint)));
    Ok(Need { parts })
}

/// The full table that is kept beside its chain of conditionals.
fn joint(model: &ModelConfig, event: &EventSpec) -> Option<BigUint> {
    let states = BigUint::from(event.levels?);
    let variables = u32::try_from(event.variables()).unwrap_or(u32::MAX);
    matches!(model, ModelConfig::FullTable { .. }).then(|| states.pow(variables) * size_of::<f64>())
}

/// Bytes of the arrays that a tabular model is stored as.
fn stored_tables(model: &ModelConfig, event: &EventSpec, tables: &BigUint) -> BigUint {
    joint(model, event).unwrap_or_else(|| tables.clone())
}

/// What is multiplied into the weights or put together of them for a step, and kept for its
/// backward pass.
fn masked(model: &ModelConfig, weights: &BigUint) -> BigUint {
    match model {
        // The masks and what they leave of the weights.
        ModelConfig::Made(settings) => weights * (2 * settings.masks),
        ModelConfig::Logistic { .. } => weights.clone(),
        // The rows of the classes above those of the variables.
        ModelConfig::Nade { classes: Some(_), .. } => weights.clone(),
        _ => BigUint::ZERO,
    }
}

/// Bytes that one example keeps for the backward pass, at least.
fn activations(model: &ModelConfig, event: &EventSpec) -> BigUint {
    let layers = |hidden: &[usize]| BigUint::from(hidden.iter().sum::<usize>());
    // Features; and outputs, parameters and their gradients under each mask.
    let of_columns = |masks: usize| -> BigUint {
        let components = model.components().unwrap_or_default();
        let of = |column: &Column| column.features() + 4 * column.outputs(components) * masks;
        event.columns.iter().flatten().map(of).sum::<usize>().into()
    };
    let values = match model {
        ModelConfig::Made(settings) => {
            layers(&settings.hidden) * settings.masks + of_columns(settings.masks)
        }
        ModelConfig::OrderlessNade(settings) => layers(&settings.hidden) + of_columns(1),
        // The outputs and their gradients.
        ModelConfig::Nade { likelihood, components, .. } if event.levels.is_some_and(|m| m > 2) => {
            let of_value = match likelihood {
                Likelihood::Softmax => event.levels.unwrap_or_default(),
                Likelihood::LogisticMixture => 3 * components,
            };
            BigUint::from(2 * of_value) * event.variables()
        }
        ModelConfig::Nade { .. } => of_columns(1),
        other => match other.pixel() {
            Some((kind, settings)) => of_pixels(kind, settings, event),
            None => BigUint::ZERO,
        },
    };
    (values + event.variables()) * size_of::<f32>()
}

/// Values that one image keeps: the input of every layer, the gates and cells of recurrent ones,
/// and the logits; and the gradients of the layer that the backward pass is in.
fn of_pixels(kind: PixelKind, settings: &PixelSettings, event: &EventSpec) -> BigUint {
    let Ok(image) = ImageLayout::of(kind.name(), &event.shape) else {
        return BigUint::ZERO;
    };
    let PixelSettings { layers, hidden, head, recompute, .. } = *settings;
    let maps = 2 * hidden;
    // Inside of a layer, and of its gradients.
    let (inside, gradients) = match kind {
        // A block has two maps of h between its convolutions.
        PixelKind::PixelCnn => (2 * hidden, 0),
        _ if recompute => (0, 0),
        PixelKind::RowLstm | PixelKind::DiagonalLstm => (5 * hidden, 4 * hidden),
        PixelKind::DiagonalBilstm => (2 * 5 * hidden, 4 * hidden),
    };
    let logits = match (event.levels, settings.likelihood) {
        (Some(levels), Likelihood::Softmax) if levels > 2 => levels * image.colours,
        (Some(3..), Likelihood::LogisticMixture) => 3 * settings.components * image.colours,
        _ => image.colours,
    };
    let of_position = layers * (maps + inside) + (maps + head + logits) + (maps + gradients);
    BigUint::from(of_position) * image.height * image.width
}

/// Whether training fits, in batches of at most as many examples as there are, where that is known.
///
/// # Errors
/// When it does not: with what it takes, and what can be taken.
pub(crate) fn check_training(
    config: &Config,
    event: &EventSpec,
    examples: Option<usize>,
    device: &Device,
) -> Result<()> {
    let batch = match (&config.train, examples) {
        (Some(train), Some(examples)) => train.batch_size.min(examples),
        _ => 0,
    };
    let mut need = training(&config.model, event, config.train.as_ref(), batch)?;
    if config.model.is_neural() && !device::is_host(device) {
        need.parts.retain(|(name, _)| [BEST, CHECKPOINT].contains(name));
    }
    check(config, event, "training", &need)
}

/// The most that the file of a model can have: its weights or tables, and what says where they are.
///
/// # Errors
/// When the model's structure is impossible.
pub(crate) fn file_limit(config: &Config, event: &EventSpec) -> Result<u64> {
    let bytes = sees::size(&config.model, event)?.bytes;
    // A name and a shape of each array: a table per variable, or some arrays per layer.
    let names = (1 << 10) * event.variables() as u64 + (64 << 20);
    Ok(u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(names))
}

/// Whether the model of a run can be loaded.
///
/// # Errors
/// When it cannot: with what it takes, and what can be taken.
pub(crate) fn check_loading(config: &Config, event: &EventSpec, device: &Device) -> Result<()> {
    let need = loading(&config.model, event, device::is_host(device))?;
    check(config, event, "loading", &need)
}

fn check(config: &Config, event: &EventSpec, what: &str, need: &Need) -> Result<()> {
    // Threads take address space of their own, so they are there before what is left is asked for.
    rayon::broadcast(|_| ());
    let model = &config.model;
    let total = need.total();
    let (key, advice) = key_of(model, event, need.largest());
    let refuse = |what: String, bytes: &BigUint, most: u64, why: &str| {
        Err(config.mistake(
            &["model", key],
            format!(
                "{what} takes {}, expected at most {}, {why}",
                human(bytes),
                human(&most.into())
            ),
            format!("{advice}; `chainrule inspect CONFIG.toml` says what a model takes"),
        ))
    };
    if !model.is_neural() {
        let tables = sees::size(model, event)?.bytes + joint(model, event).unwrap_or_default();
        if tables > BigUint::from(DEFAULT_MEMORY_LIMIT_BYTES) {
            let what = format!("the model `{}`", model.kind());
            let why = "the most for tables of any model";
            return refuse(what, &tables, DEFAULT_MEMORY_LIMIT_BYTES, why);
        }
    }
    match available_memory() {
        Some(available) if &total + &total / LOST > BigUint::from(available) => {
            let what = format!("{what} `{}` ({})", model.kind(), need.words());
            refuse(what, &total, available, "what this process can still take")
        }
        _ => Ok(()),
    }
}

/// The key of `[model]` that decides about its size, and what to do about it.
fn key_of(model: &ModelConfig, event: &EventSpec, largest: &str) -> (&'static str, String) {
    let (key, mut advice) = match model {
        ModelConfig::Uniform {} | ModelConfig::Independent { .. } => {
            ("kind", "set data.shape to a smaller event".to_owned())
        }
        ModelConfig::Markov { .. } => ("order", "lower model.order".into()),
        ModelConfig::Neighbourhood { .. } => ("offsets", "list fewer model.offsets".into()),
        ModelConfig::BayesianNetwork { .. } => {
            ("parents", "list fewer parents of each variable in model.parents".into())
        }
        ModelConfig::FullTable { .. } => {
            ("kind", "set model.kind = \"markov\" or \"nade\", which look at less or share".into())
        }
        ModelConfig::Kernel(_) => ("max_rows", "lower model.max_rows".into()),
        ModelConfig::Logistic { .. } => {
            ("kind", "set model.kind = \"nade\", whose size grows with the variables alone".into())
        }
        ModelConfig::Made(settings) if settings.masks > 1 => {
            ("hidden", "lower the numbers of model.hidden, or model.masks".into())
        }
        ModelConfig::Made(_) | ModelConfig::OrderlessNade(_) => {
            ("hidden", "lower the numbers of model.hidden".into())
        }
        ModelConfig::Rnade(_) => ("hidden", "lower model.hidden or model.components".into()),
        ModelConfig::Nade { likelihood: Likelihood::Softmax, .. } if event.levels > Some(16) => {
            let advice = "lower model.hidden, or set model.likelihood = \"logistic-mixture\"";
            ("hidden", advice.into())
        }
        ModelConfig::Nade { .. } => ("hidden", "lower model.hidden".into()),
        _ => ("hidden", "lower model.hidden or model.layers".into()),
    };
    if largest == ACTIVATIONS {
        advice = match model.pixel() {
            Some((kind, settings)) if kind != PixelKind::PixelCnn && !settings.recompute => {
                format!("lower train.batch_size, set model.recompute = true, or {advice}")
            }
            _ => format!("lower train.batch_size, or {advice}"),
        };
    }
    (key, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> ModelConfig {
        toml::from_str(text).unwrap()
    }

    fn event(shape: &[usize], levels: usize) -> EventSpec {
        EventSpec::symbols(shape.to_vec(), levels)
    }

    fn total(text: &str, event: &EventSpec, train: &TrainConfig, batch: usize) -> u64 {
        let need = training(&model(text), event, Some(train), batch).unwrap();
        need.total().try_into().unwrap()
    }

    #[test]
    fn training_takes_a_multiple_of_the_weights_by_what_is_kept_of_each() {
        let event = event(&[8, 8], 2);
        let nade = "kind = \"nade\"\nhidden = 1000";
        let weights = 4 * (2 * 64 * 1000 + 1000 + 64);
        let with =
            |text: &str| -> TrainConfig { toml::from_str(&format!("epochs = 1\n{text}")).unwrap() };
        for (text, kept) in [
            ("", 4),
            ("ema_decay = 0.9", 5),
            ("optimizer = { kind = \"rmsprop\", learning_rate = 0.1 }", 4),
            ("optimizer = { kind = \"sgd\", learning_rate = 0.1 }", 3),
        ] {
            assert_eq!(total(nade, &event, &with(text), 100), 5 * kept * weights, "{text}");
        }
    }

    #[test]
    fn small_networks_on_large_batches_take_what_the_batch_keeps() {
        let (event, train) = (event(&[28, 28], 2), TrainConfig::epochs(1));
        let rows = |text: &str, batch| {
            total(
                &format!("kind = \"row-lstm\"\nlayers = 3\nhidden = 32\n{text}"),
                &event,
                &train,
                batch,
            )
        };
        // Of each pixel, 3 layers keep an input of 64, gates of 128 and cells of 32.
        let of_image = 4 * (784 * (3 * 224 + 64 + 32 + 1 + 64 + 128) + 784);
        assert_eq!(rows("", 500) - rows("", 400), 100 * of_image);
        assert!(rows("recompute = true", 500) < rows("", 500) / 2);
    }

    #[test]
    fn a_table_is_counted_as_it_is_limited() {
        // 25 variables fit, 26 do not.
        let table = model("kind = \"full-table\"");
        for (variables, fits) in [(25, true), (26, false)] {
            let event = event(&[variables], 2);
            let size = sees::size(&table, &event).unwrap().bytes + joint(&table, &event).unwrap();
            assert_eq!(size <= BigUint::from(DEFAULT_MEMORY_LIMIT_BYTES), fits);
        }
    }
}
