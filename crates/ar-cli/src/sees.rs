//! What a model is, in words and numbers, from its config alone.

use ar_models::columns::Column;
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::made::MadeSettings;
use ar_models::nade::{LevelNadeConfig, Likelihood};
use ar_models::orderless::OrderlessSettings;
use ar_models::pixel::{ImageLayout, PixelConfig, PixelKind, PixelSettings};
use ar_models::rnade::RnadeSettings;
use ar_models::tables::ColumnTables;
use ar_models::window::{KernelSettings, free_bandwidths};
use num_bigint::BigUint;
use prob_core::ordering::{Ordering, OrderingKind};
use prob_core::{Error as ProbError, count, joint};

use crate::output::grouped;

/// What each conditional p(x_t | …) may look at, in words.
pub(crate) fn sees(model: &ModelConfig, event: &EventSpec) -> String {
    let (one, many) = match event.shape.len() {
        _ if event.columns.is_some() => ("column", "columns"),
        2 => ("pixel", "pixels"),
        _ => ("variable", "variables"),
    };
    let all = event.variables().saturating_sub(1);
    let along = |ordering: &OrderingKind| match ordering {
        OrderingKind::Raster => String::new(),
        other => format!(", in {other} order"),
    };
    match model {
        ModelConfig::Uniform {} => "nothing, not even the data".into(),
        ModelConfig::Independent { .. } => "nothing".into(),
        ModelConfig::Markov { order: 0, .. } => "nothing".into(),
        ModelConfig::Markov { order, ordering, .. } => match *order {
            k if k >= all => format!("all {many} before it{}", along(ordering)),
            1 => format!("the 1 {one} before it{}", along(ordering)),
            k => format!("the {k} {many} before it{}", along(ordering)),
        },
        ModelConfig::Neighbourhood { offsets, .. } => {
            let names: Vec<String> =
                offsets.iter().map(|&[row, column]| compass(row, column)).collect();
            match names.len() {
                0 => "nothing".into(),
                1 => format!("the pixel at {}", names[0]),
                _ => format!("the pixels at {}", names.join(", ")),
            }
        }
        ModelConfig::BayesianNetwork { parents, .. } => {
            let most = parents.iter().map(Vec::len).max().unwrap_or(0);
            format!("its parents in a graph, at most {most}")
        }
        ModelConfig::FullTable { .. } => format!("all {many} before it"),
        ModelConfig::Kernel(KernelSettings { max_rows, ordering, .. }) => {
            let rows = grouped(&max_rows.to_string());
            format!(
                "all {many} before it in any order through at most {rows} rows{}",
                along(ordering)
            )
        }
        ModelConfig::Logistic { ordering } => {
            format!("all {many} before it, linearly{}", along(ordering))
        }
        ModelConfig::Nade { hidden, ordering, classes, likelihood, components, .. } => {
            let units = if *hidden == 1 { "unit" } else { "units" };
            let label = if classes.is_some() { " and its label" } else { "" };
            format!(
                "all {many} before it{label} through {hidden} shared hidden {units}{}{}",
                as_mixture(*likelihood, *components),
                along(ordering)
            )
        }
        ModelConfig::Made(settings) => made_sees(settings, many, &along(&settings.ordering)),
        ModelConfig::Rnade(settings) => {
            let RnadeSettings { hidden, components, .. } = settings;
            let units = if *hidden == 1 { "unit" } else { "units" };
            let gaussians = if *components == 1 { "Gaussian" } else { "Gaussians" };
            format!(
                "all {many} before it through {hidden} shared hidden {units}, as {components} \
                 {gaussians}{}",
                along(&settings.ordering)
            )
        }
        ModelConfig::OrderlessNade(settings) => {
            orderless_sees(settings, many, &along(&settings.ordering))
        }
        other => match other.pixel() {
            Some((kind, settings)) => pixel_sees(kind, settings, event),
            None => format!("what a model of kind {} sees", other.kind()),
        },
    }
}

/// That a symbol is described by a mixture, if it is.
fn as_mixture(likelihood: Likelihood, components: usize) -> String {
    match likelihood {
        Likelihood::Softmax => String::new(),
        Likelihood::LogisticMixture if components == 1 => ", as 1 logistic".into(),
        Likelihood::LogisticMixture => format!(", as {components} logistics"),
    }
}

/// What a conditional of a MADE sees.
fn made_sees(settings: &MadeSettings, many: &str, along: &str) -> String {
    let MadeSettings { hidden, direct, masks, .. } = settings;
    let layers: Vec<String> = hidden.iter().map(usize::to_string).collect();
    let (layers, direct) = (layers.join(" and "), if *direct { " and directly" } else { "" });
    let units = if hidden[..] == [1] { "unit" } else { "units" };
    let blocks = if settings.residual { " in residual blocks" } else { "" };
    let masks = match masks {
        1 => String::new(),
        masks => format!(", mean of {masks} masks"),
    };
    format!("all {many} before it through {layers} masked {units}{blocks}{direct}{along}{masks}")
}

/// What a conditional of an order-agnostic NADE sees.
fn orderless_sees(settings: &OrderlessSettings, many: &str, along: &str) -> String {
    let OrderlessSettings { hidden, orderings, .. } = settings;
    let layers: Vec<String> = hidden.iter().map(usize::to_string).collect();
    let units = if hidden[..] == [1] { "unit" } else { "units" };
    let orderings = match orderings {
        1 => String::new(),
        orderings => format!(", mean of {orderings} orderings"),
    };
    format!(
        "all {many} before it in any order through {} hidden {units}{along}{orderings}",
        layers.join(" and ")
    )
}

/// What a conditional of a PixelRNN or PixelCNN sees.
fn pixel_sees(kind: PixelKind, settings: &PixelSettings, event: &EventSpec) -> String {
    let PixelSettings { layers, hidden, .. } = settings;
    let layers = if *layers == 1 { "1 layer".into() } else { format!("{layers} layers") };
    let region = match kind {
        PixelKind::RowLstm => "the pixels in a triangle above it",
        PixelKind::DiagonalLstm => "the pixels above it and to the left (and 3 further right)",
        PixelKind::DiagonalBilstm => "all pixels before it but the end of the row above",
        PixelKind::PixelCnn => "the pixels in a bounded window before it",
    };
    let colours = ImageLayout::of(kind.name(), &event.shape).map_or(1, |image| image.colours);
    let own = match (colours > 1, settings.classes.is_some()) {
        (false, false) => "",
        (true, false) => " and its own earlier colours",
        (false, true) => " and its label",
        (true, true) => ", its own earlier colours and its label",
    };
    let mixture = as_mixture(settings.likelihood, settings.components);
    format!("{region}{own}, through {layers} of {hidden} maps{mixture}")
}

/// What the features of a model are, and how many; `None` for a model that has none.
pub(crate) fn features(model: &ModelConfig, event: &EventSpec) -> Option<(usize, String)> {
    let variables = event.variables();
    let units = |n: usize| if n == 1 { "unit" } else { "units" };
    match model {
        ModelConfig::Nade { hidden, .. } | ModelConfig::Rnade(RnadeSettings { hidden, .. }) => {
            Some((
                *hidden,
                format!("{hidden} hidden {} after all {variables} variables", units(*hidden)),
            ))
        }
        ModelConfig::OrderlessNade(settings) => {
            let last = *settings.hidden.last()?;
            Some((last, format!("{last} {} of the last hidden layer, all known", units(last))))
        }
        ModelConfig::Made(settings) => {
            let last = *settings.hidden.last()?;
            let mean = match settings.masks {
                1 => String::new(),
                masks => format!(", mean over {masks} masks"),
            };
            Some((last, format!("{last} {} of the last hidden layer{mean}", units(last))))
        }
        other => {
            let (kind, settings) = other.pixel()?;
            let image = ImageLayout::of(kind.name(), &event.shape).ok()?;
            let maps = 2 * settings.hidden;
            let classes = match settings.classes {
                Some(classes) => format!(" and, by p(y | x), over {classes} classes"),
                None => String::new(),
            };
            let positions = format!("{}×{} positions", image.height, image.width);
            Some((maps, format!("{maps} maps of the last layer, mean over {positions}{classes}")))
        }
    }
}

/// The direction of an offset: `W` is one to the left, `NNE` two up and one to the right.
fn compass(row: isize, column: isize) -> String {
    let name = match (row, column) {
        (0, -1) => "W",
        (-1, -1) => "NW",
        (-1, 0) => "N",
        (-1, 1) => "NE",
        (0, -2) => "WW",
        (-2, 0) => "NN",
        (-1, -2) => "WNW",
        (-1, 2) => "ENE",
        (-2, -1) => "NNW",
        (-2, 1) => "NNE",
        _ => return format!("({row}, {column})"),
    };
    name.into()
}

/// The ordering in words.
pub(crate) fn ordering(model: &ModelConfig) -> String {
    match model {
        ModelConfig::Markov { ordering, .. }
        | ModelConfig::Logistic { ordering }
        | ModelConfig::Nade { ordering, .. } => ordering.to_string(),
        ModelConfig::Made(settings) => settings.ordering.to_string(),
        ModelConfig::Rnade(settings) => settings.ordering.to_string(),
        ModelConfig::OrderlessNade(settings) => settings.ordering.to_string(),
        ModelConfig::Kernel(settings) => settings.ordering.to_string(),
        ModelConfig::BayesianNetwork { .. } => "topological".into(),
        _ => "raster".into(),
    }
}

/// How large a model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Free parameters.
    pub(crate) free_parameters: BigUint,
    /// Bytes that its weights or tables take in memory.
    pub(crate) bytes: BigUint,
}

/// The size of a model that need not exist.
///
/// # Errors
/// When its structure is impossible.
pub(crate) fn size(model: &ModelConfig, event: &EventSpec) -> Result<Size, ProbError> {
    // Only models of symbols and categories have tables, and `ModelConfig::check` has seen that the data has them.
    let (n, m) = (event.variables(), event.levels.unwrap_or_default());
    if model.describes_categories() && event.columns.is_some() {
        let [entries, free_parameters] = ColumnTables::size(model, event)?;
        return Ok(Size { free_parameters, bytes: entries * size_of::<f64>() });
    }
    Ok(match model {
        ModelConfig::Uniform {} => {
            // Its equal probabilities are stored like any others.
            Size { free_parameters: BigUint::ZERO, ..tables(vec![0; n], m) }
        }
        ModelConfig::Independent { .. } => tables(vec![0; n], m),
        ModelConfig::Markov { order, .. } => tables((0..n).map(|t| t.min(*order)), m),
        ModelConfig::Neighbourhood { offsets, .. } => {
            let shape = event.shape.as_slice().try_into().map_err(|_| ProbError::Shape {
                what: "an event",
                got: event.shape.clone(),
                expected: "[rows, columns]".into(),
            })?;
            let offsets: Vec<(isize, isize)> = offsets.iter().map(|&[r, c]| (r, c)).collect();
            tables(joint::neighbours(shape, &offsets)?.iter().map(Vec::len), m)
        }
        ModelConfig::BayesianNetwork { parents, .. } => {
            count::bayesian_network(parents, m)?;
            tables(parents.iter().map(Vec::len), m)
        }
        // Stored as its own chain of conditionals, which has as many parameters.
        ModelConfig::FullTable { .. } => tables(0..n, m),
        ModelConfig::Kernel(settings) => Size {
            free_parameters: free_bandwidths(settings, event).into(),
            // At most: how many rows there are is not known before they are read.
            bytes: BigUint::from(settings.max_rows) * n * size_of::<f64>(),
        },
        ModelConfig::Logistic { .. } => {
            // The masked half of the square matrix is stored too.
            let bytes = BigUint::from(n) * (n + 1) * size_of::<f32>();
            Size { free_parameters: logistic(n), bytes }
        }
        ModelConfig::Nade { hidden, components, .. } if event.columns.is_some() => {
            let columns = event.columns.as_deref().unwrap_or_default();
            let free_parameters = column_nade(columns, *hidden, *components);
            Size { bytes: &free_parameters * size_of::<f32>(), free_parameters }
        }
        ModelConfig::Nade { hidden, components, likelihood, .. } if m > 2 => {
            let free_parameters =
                BigUint::from(level_nade(n, m, *hidden, *likelihood, *components));
            Size { bytes: &free_parameters * size_of::<f32>(), free_parameters }
        }
        ModelConfig::Nade { hidden, classes, .. } => {
            // Biases of all, and of each class.
            let of_classes = BigUint::from(classes.unwrap_or(0)) * (n + hidden);
            let free_parameters = nade(n, *hidden) + of_classes;
            Size { bytes: &free_parameters * size_of::<f32>(), free_parameters }
        }
        ModelConfig::Made(settings) => {
            let config = settings.config(settings.ordering.build(&event.shape)?);
            let [stored, free] = match &event.columns {
                Some(columns) => config.column_parameters(columns, settings.components),
                None => config.parameters(),
            };
            Size { free_parameters: free.into(), bytes: BigUint::from(stored) * size_of::<f32>() }
        }
        ModelConfig::Rnade(settings) => {
            let free_parameters = rnade(n, settings.hidden, settings.components);
            Size { bytes: &free_parameters * size_of::<f32>(), free_parameters }
        }
        ModelConfig::OrderlessNade(settings) => {
            let ordering = settings.ordering.build(&event.shape)?;
            let config = settings.config(ordering);
            let free_parameters = BigUint::from(match &event.columns {
                Some(columns) => config.column_parameters(columns),
                None => config.parameters(),
            });
            Size { bytes: &free_parameters * size_of::<f32>(), free_parameters }
        }
        other => {
            let Some((kind, settings)) = other.pixel() else {
                unreachable!("a model of kind {} was added without its size", other.kind());
            };
            let image =
                ImageLayout::of(kind.name(), &event.shape).map_err(|_| ProbError::Shape {
                    what: "an event",
                    got: event.shape.clone(),
                    expected: "[rows, columns], [3, rows, columns] or [rows, columns, 3]".into(),
                })?;
            let config = PixelConfig { kind, settings: settings.clone(), image, levels: m };
            let [stored, free] = config.parameters();
            Size { free_parameters: free.into(), bytes: BigUint::from(stored) * size_of::<f32>() }
        }
    })
}

/// Tables of `m` log-probabilities in each of m^k contexts, k for each variable in `sees`.
fn tables(sees: impl IntoIterator<Item = usize>, m: usize) -> Size {
    let contexts: BigUint =
        sees.into_iter().map(|k| BigUint::from(m).pow(u32::try_from(k).unwrap_or(u32::MAX))).sum();
    Size { free_parameters: &contexts * (m - 1), bytes: contexts * m * size_of::<f64>() }
}

/// One bias per variable, and one weight for each variable before it: n (n + 1) / 2.
pub(crate) fn logistic(variables: usize) -> BigUint {
    BigUint::from(variables) * (variables + 1) / 2_u8
}

/// W and V of n × h, c of h, b of n.
pub(crate) fn nade(variables: usize, hidden: usize) -> BigUint {
    BigUint::from(variables) * hidden * 2_u8 + hidden + variables
}

/// Of n symbols of m levels.
fn level_nade(
    n: usize,
    levels: usize,
    hidden: usize,
    likelihood: Likelihood,
    components: usize,
) -> usize {
    let ordering = Ordering::raster(n);
    LevelNadeConfig { ordering, levels, hidden, init_scale: 0.0, likelihood, components }
        .parameters()
}

/// W of n × h, c of h, ρ of n; for each of the 3 k outputs of a variable h weights and a bias.
pub(crate) fn rnade(variables: usize, hidden: usize, components: usize) -> BigUint {
    let outputs = BigUint::from(variables) * components * 3_u8;
    BigUint::from(variables) * hidden + hidden + variables + outputs * (hidden + 1)
}

/// W of all features × h, c of h, ρ of n; for each output h weights and a bias.
fn column_nade(columns: &[Column], hidden: usize, components: usize) -> BigUint {
    let features: usize = columns.iter().map(Column::features).sum();
    let outputs: usize = columns.iter().map(|column| column.outputs(components)).sum();
    BigUint::from(features + 1) * hidden + columns.len() + BigUint::from(outputs) * (hidden + 1)
}

/// W, M and V of n × h, c of h, b of n.
pub(crate) fn orderless_nade(variables: usize, hidden: usize) -> BigUint {
    nade(variables, hidden) + BigUint::from(variables) * hidden
}

/// A MADE of one hidden layer and one mask: a unit that knows k variables feeds the n − k others, so that
/// it has n weights whatever k is; h + n biases.
pub(crate) fn made(variables: usize, hidden: usize) -> BigUint {
    BigUint::from(variables) * hidden + hidden + variables
}

#[cfg(test)]
mod tests {
    use ar_models::examples::InMemory;
    use ar_models::model::Model;
    use burn::tensor::Device;

    use super::*;

    fn model(text: &str) -> ModelConfig {
        toml::from_str(text).unwrap()
    }

    const IMAGE: [usize; 2] = [3, 4];

    fn event(levels: usize) -> EventSpec {
        EventSpec::symbols(IMAGE.to_vec(), levels)
    }

    #[test]
    fn words_for_every_kind() {
        for (text, words) in [
            ("kind = \"uniform\"", "nothing, not even the data"),
            ("kind = \"independent\"", "nothing"),
            ("kind = \"markov\"\norder = 0", "nothing"),
            ("kind = \"markov\"\norder = 1", "the 1 pixel before it"),
            (
                "kind = \"markov\"\norder = 3\nordering = \"snake\"",
                "the 3 pixels before it, in snake order",
            ),
            ("kind = \"markov\"\norder = 11", "all pixels before it"),
            (
                "kind = \"neighbourhood\"\noffsets = [[0, -1], [-1, -1], [-1, 0], [-1, 1], [-2, 1], [-3, 0]]",
                "the pixels at W, NW, N, NE, NNE, (-3, 0)",
            ),
            ("kind = \"full-table\"", "all pixels before it"),
            ("kind = \"kernel\"", "all pixels before it in any order through at most 10,000 rows"),
            ("kind = \"logistic\"", "all pixels before it, linearly"),
            (
                "kind = \"nade\"\nhidden = 500",
                "all pixels before it through 500 shared hidden units",
            ),
        ] {
            assert_eq!(sees(&model(text), &event(2)), words);
        }
        for (shape, region) in [
            (vec![3, 4], "the pixels in a triangle above it and its label"),
            (
                vec![3, 4, 3],
                "the pixels in a triangle above it, its own earlier colours and its label",
            ),
        ] {
            let config = model("kind = \"row-lstm\"\nlayers = 1\nhidden = 4\nclasses = 2");
            let words = sees(&config, &EventSpec::of(shape, Some(2)));
            assert!(words.starts_with(&format!("{region}, through")), "{words}");
        }
        for (kind, words) in [
            ("row-lstm", "the pixels in a triangle above it, through 1 layer of 4 maps"),
            (
                "diagonal-bilstm",
                "all pixels before it but the end of the row above, through 1 layer of 4 maps",
            ),
        ] {
            let text = format!("kind = \"{kind}\"\nlayers = 1\nhidden = 4");
            assert_eq!(sees(&model(&text), &event(2)), words);
        }
        let colours = EventSpec::symbols(vec![3, 4, 4], 256);
        let words = sees(&model("kind = \"pixel-cnn\"\nlayers = 3\nhidden = 4"), &colours);
        assert!(words.contains("and its own earlier colours, through 3 layers"), "{words}");
        for (text, words) in [
            ("hidden = [1]", "all pixels before it through 1 masked unit"),
            (
                "hidden = [20, 30]\ndirect = true\nmasks = 4\nordering = \"snake\"",
                "all pixels before it through 20 and 30 masked units and directly, in snake order, \
                 mean of 4 masks",
            ),
        ] {
            assert_eq!(sees(&model(&format!("kind = \"made\"\n{text}")), &event(2)), words);
        }
        let reals = EventSpec::reals(vec![5]);
        assert_eq!(
            sees(&model("kind = \"rnade\"\nhidden = 50\ncomponents = 10"), &reals),
            "all variables before it through 50 shared hidden units, as 10 Gaussians"
        );
        for (text, words) in [
            ("hidden = [1]", "all pixels before it in any order through 1 hidden unit"),
            (
                "hidden = [20, 30]\nactivation = \"relu\"\norderings = 4\nordering = \"snake\"",
                "all pixels before it in any order through 20 and 30 hidden units, in snake order, mean of \
                 4 orderings",
            ),
        ] {
            assert_eq!(
                sees(&model(&format!("kind = \"orderless-nade\"\n{text}")), &event(2)),
                words
            );
        }
        let table = EventSpec::symbols(vec![5], 2);
        let chain = model("kind = \"markov\"\norder = 2");
        assert_eq!(sees(&chain, &table), "the 2 variables before it");
    }

    #[test]
    fn sizes_are_those_of_the_models_themselves() {
        let device = Device::default();
        for (text, levels) in [
            ("kind = \"uniform\"", 3),
            ("kind = \"independent\"", 3),
            ("kind = \"markov\"\norder = 2\nordering = \"spiral\"", 3),
            ("kind = \"neighbourhood\"\noffsets = [[0, -1], [-1, 0], [-1, 2]]", 3),
            (
                "kind = \"bayesian-network\"\nparents = [[], [0], [0, 1], [], [], [], [], [], [], [], [], [2, 9]]",
                3,
            ),
            ("kind = \"full-table\"", 2),
            // Of one row, which is all that there is.
            ("kind = \"kernel\"\nmax_rows = 1", 3),
            ("kind = \"logistic\"", 2),
            ("kind = \"nade\"\nhidden = 5", 2),
            ("kind = \"nade\"\nhidden = 5\nclasses = 3", 2),
            ("kind = \"made\"\nhidden = [5]", 2),
            ("kind = \"made\"\nhidden = [5, 4]\nmasks = 3\ndirect = true\nordering = \"snake\"", 2),
            ("kind = \"orderless-nade\"\nhidden = [5]\norderings = 3", 2),
            ("kind = \"orderless-nade\"\nhidden = [5, 4, 3]\nactivation = \"relu\"", 2),
            ("kind = \"row-lstm\"\nlayers = 2\nhidden = 3", 2),
            ("kind = \"diagonal-lstm\"\nlayers = 1\nhidden = 5\nskip = true", 4),
            ("kind = \"diagonal-bilstm\"\nlayers = 2\nhidden = 4\nhead = 7", 256),
            ("kind = \"pixel-cnn\"\nlayers = 2\nhidden = 4\nskip = true", 3),
            ("kind = \"row-lstm\"\nlayers = 2\nhidden = 3\nclasses = 10", 2),
            ("kind = \"diagonal-bilstm\"\nlayers = 2\nhidden = 4\nclasses = 3", 4),
            ("kind = \"pixel-cnn\"\nlayers = 2\nhidden = 4\nskip = true\nclasses = 7", 3),
        ] {
            let (config, event) = (model(text), event(levels));
            let data = InMemory::new(vec![0; event.variables()], event.variables());
            let real = if config.is_neural() {
                Model::init(&config, &event, &data, 0, &device).unwrap()
            } else {
                Model::fit(&config, &event, &data).unwrap()
            };
            let size = size(&config, &event).unwrap();
            assert_eq!(size.free_parameters, real.free_parameters(), "{text}");
            assert_eq!(size.bytes, real.parameter_bytes().into(), "{text}");
            let features = features(&config, &event).map(|(count, _)| count);
            let made = real.features(&vec![0_u8; event.variables()]);
            assert_eq!(features, made.map(|made| made.len()), "{text}");
        }
        // Columns of different numbers of labels.
        let columns = [2, 5, 1, 3].map(|labels| Column::Category { labels });
        let data = InMemory::reals(vec![0.0; 8], 4);
        for text in [
            "kind = \"independent\"",
            "kind = \"markov\"\norder = 2\nordering = \"reverse-raster\"",
            "kind = \"bayesian-network\"\nparents = [[1], [3, 2], [], []]",
        ] {
            let (config, event) = (model(text), EventSpec::columns(columns.to_vec()));
            let real = Model::fit(&config, &event, &data).unwrap();
            let size = size(&config, &event).unwrap();
            assert_eq!(size.free_parameters, real.free_parameters(), "{text}");
            assert_eq!(size.bytes, real.parameter_bytes().into(), "{text}");
        }
        let config = model("kind = \"rnade\"\nhidden = 7\ncomponents = 4");
        let event = EventSpec::reals(vec![3]);
        let data = InMemory::reals(vec![0.0, 1.0, 2.0, 3.0, 4.0, 6.0], 3);
        let real = Model::init(&config, &event, &data, 0, &device).unwrap();
        let own = size(&config, &event).unwrap();
        assert_eq!(own.free_parameters, real.free_parameters());
        assert_eq!(own.bytes, real.parameter_bytes().into());
        // In colour, where masks hide weights.
        for kind in ["row-lstm", "diagonal-lstm", "diagonal-bilstm", "pixel-cnn"] {
            let config = model(&format!("kind = \"{kind}\"\nlayers = 2\nhidden = 4\nskip = true"));
            let event = EventSpec::symbols(vec![3, 2, 3], 5);
            let data = InMemory::new(vec![0; 18], 18);
            let real = Model::init(&config, &event, &data, 0, &device).unwrap();
            let size = size(&config, &event).unwrap();
            assert_eq!(size.free_parameters, real.free_parameters(), "{kind}");
            assert_eq!(size.bytes, real.parameter_bytes().into(), "{kind}");
            assert!(size.bytes > &size.free_parameters * size_of::<f32>(), "{kind}");
        }
    }
}
