//! The support of every kind of model of symbols: outside it nothing is possible, whichever
//! question is asked, and nothing is trained on. In f32, on the kernels of the default device.

use std::collections::BTreeSet;

use ar_models::Error;
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::made::MadeSettings;
use ar_models::model::Model;
use ar_models::orderless::{Activation, OrderlessSettings};
use ar_models::pixel::{Likelihood, PixelSettings};
use ar_models::rnade::RnadeSettings;
use ar_models::train::{Run, TrainConfig, train};
use ar_models::window::KernelSettings;
use burn::tensor::Device;
use prob_core::laws::{support_per_variable, support_rows};
use prob_core::ordering::OrderingKind;

const SHAPE: [usize; 2] = [3, 4];
const VARIABLES: usize = 12;
const CLASSES: usize = 3;

/// What the tables and networks of f32 may differ by where a batch is another.
const TOLERANCE: f64 = 1e-5;

fn event(levels: usize) -> EventSpec {
    EventSpec::symbols(SHAPE.to_vec(), levels)
}

/// Some symbols below `levels`.
fn data(rows: usize, levels: usize) -> Vec<u8> {
    (0..rows * VARIABLES).map(|k| ((k * k + k / 7) % levels) as u8).collect()
}

/// Every kind of model of symbols, and what its data may have for levels.
fn configs() -> Vec<(ModelConfig, usize)> {
    let ordering = OrderingKind::Random { seed: 2 };
    let pixel = PixelSettings { head: 5, ..PixelSettings::new(2, 3) };
    let labelled = PixelSettings { classes: Some(CLASSES), ..pixel.clone() };
    let nade = |classes| ModelConfig::Nade {
        hidden: 6,
        ordering,
        init_scale: 0.5,
        classes,
        components: 1,
        likelihood: Default::default(),
    };
    let mut of_logistics = nade(None);
    if let ModelConfig::Nade { likelihood, .. } = &mut of_logistics {
        *likelihood = Likelihood::LogisticMixture;
    }
    let mixed = PixelSettings { likelihood: Likelihood::LogisticMixture, ..pixel.clone() };
    let parents = (0..VARIABLES).map(|i| if i < 5 { vec![] } else { vec![i - 2, i - 5] }).collect();
    let made = MadeSettings::new(vec![7, 8]);
    let orderless = OrderlessSettings { orderings: 3, ..OrderlessSettings::new(vec![6]) };
    let deep =
        OrderlessSettings { activation: Activation::Relu, ..OrderlessSettings::new(vec![6, 5]) };
    let offsets = vec![[0, -1], [-1, 1]];
    let pseudo_count = 1.0;
    let mut configs = vec![
        (ModelConfig::Uniform {}, 3),
        (ModelConfig::Independent { pseudo_count }, 3),
        (ModelConfig::Markov { order: 2, ordering, pseudo_count }, 3),
        (ModelConfig::Neighbourhood { offsets, pseudo_count }, 3),
        (ModelConfig::BayesianNetwork { parents, pseudo_count }, 3),
        (ModelConfig::FullTable { pseudo_count }, 2),
        (ModelConfig::Kernel(KernelSettings::default()), 3),
        (ModelConfig::Logistic { ordering }, 2),
        (nade(None), 2),
        (nade(Some(CLASSES)), 2),
        (nade(None), 5),
        (of_logistics, 5),
        (ModelConfig::Made(made.clone()), 2),
        (ModelConfig::Made(MadeSettings { masks: 3, direct: true, ..made }), 2),
        (ModelConfig::OrderlessNade(orderless), 2),
        (ModelConfig::OrderlessNade(deep), 2),
    ];
    for settings in [pixel, labelled, mixed] {
        for levels in [2, 5] {
            if levels == 2 && settings.likelihood == Likelihood::LogisticMixture {
                continue;
            }
            configs.extend([
                (ModelConfig::RowLstm(settings.clone()), levels),
                (ModelConfig::DiagonalLstm(settings.clone()), levels),
                (ModelConfig::DiagonalBilstm(settings.clone()), levels),
                (ModelConfig::PixelCnn(settings.clone()), levels),
            ]);
        }
    }
    configs
}

fn model(config: &ModelConfig, levels: usize) -> Model {
    let data = InMemory::new(data(50, levels), VARIABLES);
    if config.is_neural() {
        Model::init(config, &event(levels), &data, 3, &Device::default()).unwrap()
    } else {
        Model::fit(config, &event(levels), &data).unwrap()
    }
}

#[test]
fn every_kind_is_among_them() {
    let configs = configs();
    let kinds: BTreeSet<&str> = configs.iter().map(|(config, _)| config.kind()).collect();
    let of_symbols = ModelConfig::KINDS.into_iter().filter(|&kind| kind != "rnade");
    assert_eq!(kinds, of_symbols.collect());
}

#[test]
fn no_kind_of_model_gives_what_is_outside_the_support_a_probability() {
    for (config, levels) in configs() {
        let model = model(&config, levels);
        let rows = |of: &dyn Fn(&[u8]) -> Vec<f64>| {
            support_rows(VARIABLES, levels, TOLERANCE, of)
                .unwrap_or_else(|violation| panic!("{config:?}: {violation}"));
        };
        let per_variable = |of: &dyn Fn(&[u8]) -> Vec<f64>| {
            support_per_variable(model.ordering(), levels, TOLERANCE, of)
                .unwrap_or_else(|violation| panic!("{config:?}: {violation}"));
        };
        rows(&|rows| model.log_prob(rows));
        per_variable(&|rows| model.log_prob_per_variable(rows));
        for class in 0..model.classes().unwrap_or(0) {
            let labels = |rows: &[u8]| vec![class as u8; rows.len() / VARIABLES];
            rows(&|rows| model.log_prob_given(rows, &labels(rows)));
            rows(&|rows| {
                let of_classes = model.log_prob_per_class(rows);
                of_classes.into_iter().skip(class).step_by(CLASSES).collect()
            });
            per_variable(&|rows| model.log_prob_per_variable_given(rows, &labels(rows)));
        }
        for known in [0, 5, VARIABLES] {
            let observed = |rows: &[u8]| {
                (0..rows.len()).map(|k| (7 * k + 3) % VARIABLES < known).collect::<Vec<bool>>()
            };
            if model.takes_any_mask() {
                rows(&|rows| model.log_prob_conditional(rows, &observed(rows)).unwrap());
            }
        }
    }
}

/// What training on these sets says.
fn trained(
    (model, event): (&ModelConfig, &EventSpec),
    train_set: &InMemory,
    valid: Option<&InMemory>,
) -> Result<(), Error> {
    let run = Run {
        model,
        event,
        config: &TrainConfig::epochs(1),
        seed: 1,
        device: &Device::default(),
        train: train_set,
        valid: valid.map(|valid| valid as _),
        checkpoint: None,
    };
    train(&run, &mut ()).map(|_| ())
}

/// With one label per example.
fn labelled(values: Vec<u8>) -> InMemory {
    let labels = (0..values.len() / VARIABLES).map(|row| (row % CLASSES) as u8).collect();
    InMemory::new(values, VARIABLES).with_labels(labels)
}

#[test]
fn no_kind_of_model_is_trained_or_validated_on_what_is_outside_the_support() {
    for (config, levels) in configs() {
        let good = data(40, levels);
        let mut bad = good.clone();
        bad[17 * VARIABLES + 4] = levels as u8 + 5;
        let (good, bad) = (labelled(good), labelled(bad));
        let event = event(levels);
        trained((&config, &event), &good, Some(&good)).unwrap();
        for (name, train_set, valid) in [
            ("training", &bad, None),
            ("training", &bad, Some(&good)),
            ("validation", &good, Some(&bad)),
        ] {
            let error = trained((&config, &event), train_set, valid).unwrap_err();
            let expected = format!(
                "the {name} set has the symbol {} in row 17, variable 4 (both from 0), expected a symbol \
                 less than {levels}",
                levels + 5
            );
            assert_eq!(error.to_string(), expected, "{config:?}");
        }
    }
}

#[test]
fn rows_of_another_length_or_kind_are_refused_with_both_numbers() {
    // Twelve rows of five variables are fifteen rows of four.
    let values = InMemory::new(vec![1; 60], 4);
    for (config, _) in configs() {
        for variables in [5, 7] {
            // Structures that need another shape say so themselves.
            let event = EventSpec::symbols(vec![1, variables], 2);
            if config.check(&event).is_err() {
                continue;
            }
            let expected = format!(
                "the training set has rows of 4 symbols, expected {variables} symbols as in the shape \
                 [1, {variables}]"
            );
            let errors = [
                trained((&config, &event), &values, None).unwrap_err(),
                if config.is_neural() {
                    Model::init(&config, &event, &values, 1, &Device::default()).unwrap_err()
                } else {
                    Model::fit(&config, &event, &values).unwrap_err()
                },
            ];
            for error in errors {
                assert_eq!(error.to_string(), expected, "{config:?}");
            }
            let right = InMemory::new(vec![1; 60 * variables], variables);
            let error = trained((&config, &event), &right, Some(&values)).unwrap_err();
            assert!(error.to_string().starts_with("the validation set has rows of 4 symbols"));
        }
    }
    let rnade = ModelConfig::Rnade(RnadeSettings::new(3));
    let event = EventSpec::reals(vec![4]);
    let error = trained((&rnade, &event), &values, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the training set has rows of 4 symbols, expected 4 real numbers as in the shape [4]"
    );
    let mut reals: Vec<f64> = (0..60).map(|k| f64::from(k * k % 11)).collect();
    let good = InMemory::reals(reals.clone(), 4);
    trained((&rnade, &event), &good, None).unwrap();
    reals[9] = f64::INFINITY;
    let bad = InMemory::reals(reals, 4);
    for (name, train_set, valid) in [("training", &bad, None), ("validation", &good, Some(&bad))] {
        let error = trained((&rnade, &event), train_set, valid).unwrap_err();
        let expected = format!(
            "the {name} set has inf in row 2, variable 1 (both from 0), expected a finite number"
        );
        assert_eq!(error.to_string(), expected);
    }
}
