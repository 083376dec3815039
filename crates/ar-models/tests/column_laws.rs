//! The laws of models of columns of different types, in f64, each beside a model that breaks it.

mod common;

use ar_models::columns::{Column, Effort, Region};
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::made::MadeSettings;
use ar_models::model::Model;
use ar_models::neural::Neural;
use ar_models::orderless::{Activation, OrderlessSettings};
use burn::tensor::{Device, Float, Tensor, TensorData};
use common::{Tamper, device, has_the_right_gradient, shaken};
use prob_core::laws::{
    Law, chain_rule, integral, same_draws, same_walks, sampler_cells, sums_to_one,
};
use prob_core::logspace::logsumexp;
use prob_core::ordering::{Ordering, OrderingKind};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt, SeedableRng};

const CATEGORY: Column = Column::Category { labels: 3 };
const GRID: Column = Column::Grid { step: 0.5, can_be_missing: true };
const WHOLE: Column = Column::Grid { step: 1.0, can_be_missing: false };
/// Few numbers far from each other, which recur.
const LISTED: Column = Column::Grid { step: 0.25, can_be_missing: false };
const REAL: Column = Column::Real { can_be_missing: true };

/// Training rows with every label, and missing numbers where there can be some.
fn training(columns: &[Column]) -> InMemory {
    let cell = |column: &Column, i: usize| match *column {
        Column::Category { labels } => (i % labels) as f64,
        _ if *column == LISTED => 0.25 * [-8.0, 9.0, 4.0][i % 3],
        Column::Grid { step, can_be_missing } => {
            if can_be_missing && i.is_multiple_of(5) {
                f64::NAN
            } else {
                step * ((i * 7) % 5) as f64
            }
        }
        Column::Real { can_be_missing } => {
            if can_be_missing && i.is_multiple_of(4) {
                f64::NAN
            } else {
                3.0 + ((i * 3) % 7) as f64 / 7.0
            }
        }
    };
    let rows = (0..9).flat_map(|i| columns.iter().map(move |column| cell(column, i)));
    InMemory::reals(rows.collect(), columns.len())
}

/// Every kind of network, along an ordering.
fn configs(ordering: OrderingKind) -> Vec<ModelConfig> {
    let nade = ModelConfig::Nade {
        hidden: 5,
        ordering,
        init_scale: 0.3,
        classes: None,
        components: 2,
        likelihood: Default::default(),
    };
    let made = |hidden: &[usize]| MadeSettings {
        ordering,
        components: 2,
        ..MadeSettings::new(hidden.to_vec())
    };
    let mixture = MadeSettings { masks: 3, direct: true, ..made(&[16, 15]) };
    let residual = MadeSettings { residual: true, dropout: 0.4, ..made(&[24; 3]) };
    let made = [made(&[24]), mixture, residual].map(ModelConfig::Made);
    [nade].into_iter().chain(made).chain([orderless(ordering, 1)]).collect()
}

/// An order-agnostic network of two layers, and an ensemble of so many orderings.
fn orderless(ordering: OrderingKind, orderings: usize) -> ModelConfig {
    ModelConfig::OrderlessNade(OrderlessSettings {
        ordering,
        orderings,
        activation: Activation::Relu,
        dropout: 0.2,
        components: 2,
        ..OrderlessSettings::new(vec![14, 12])
    })
}

/// A model of columns with weights far from their initial values, where a wrong model shows; and the same question
/// asked of whichever it is.
fn model(config: &ModelConfig, columns: &[Column], device: &Device) -> Model {
    let event = EventSpec::columns(columns.to_vec());
    match Model::init(config, &event, &training(columns), 1, device).unwrap() {
        Model::ColumnNade(model) => shaken(model, 0.6, 2).into(),
        Model::ColumnMade(model) => shaken(model, 0.25, 2).into(),
        Model::ColumnOrderless(model) => shaken(model, 0.25, 2).into(),
        other => panic!("not a model of columns: {}", other.kind()),
    }
}

macro_rules! of {
    ($model:expr, $own:ident => $answer:expr) => {
        match $model {
            Model::ColumnNade($own) => $answer,
            Model::ColumnMade($own) => $answer,
            Model::ColumnOrderless($own) => $answer,
            other => panic!("not a model of columns: {}", other.kind()),
        }
    };
}

fn orderings() -> [OrderingKind; 2] {
    [OrderingKind::Raster, OrderingKind::Random { seed: 5 }]
}

/// Every kind of network along every ordering.
fn all_configs() -> Vec<ModelConfig> {
    orderings().into_iter().flat_map(configs).collect()
}

fn tensor(rows: &[f64], columns: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(rows.to_vec(), [rows.len() / columns, columns]), device)
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

/// All values of a column that hold all but a negligible part of its mass: labels and another one; points of the grid
/// and a missing one.
fn support(column: Column) -> Vec<f64> {
    match column {
        Column::Category { labels } => (0..=labels).map(|label| label as f64).collect(),
        Column::Grid { step, .. } => {
            let far = if column == LISTED { 240 } else { 120 };
            let points = (-far..=far).map(|k| f64::from(k) * step);
            points.chain([f64::NAN]).collect()
        }
        Column::Real { .. } => panic!("a real column has a density"),
    }
}

/// Every combination of these values.
fn product(values: &[Vec<f64>]) -> Vec<f64> {
    let mut rows: Vec<Vec<f64>> = vec![Vec::new()];
    for values in values {
        rows = rows
            .into_iter()
            .flat_map(|row| values.iter().map(move |&value| [&row[..], &[value]].concat()))
            .collect();
    }
    rows.concat()
}

#[test]
fn the_mass_of_all_rows_is_one_missing_cells_and_other_labels_included() {
    let [raster, random] = orderings();
    let all = configs(random).into_iter().chain(configs(raster).into_iter().take(1));
    for (config, last) in all.flat_map(|config| [(config.clone(), WHOLE), (config, LISTED)]) {
        let columns = [CATEGORY, GRID, Column::Category { labels: 1 }, last];
        let rows = product(&columns.map(support));
        let model = model(&config, &columns, &device());
        let log_probs = model.log_prob(&rows);
        // What is beyond the 60 points on either side is not counted.
        sums_to_one(log_probs.iter().copied(), 1e-8).unwrap();
        // Negative controls: without other labels, and without missing cells.
        let without = |leave_out: &dyn Fn(&[f64]) -> bool| {
            let kept = rows.chunks_exact(4).zip(&log_probs).filter(|(row, _)| !leave_out(row));
            sums_to_one(kept.map(|(_, &log_prob)| log_prob), 1e-3).is_err()
        };
        assert!(without(&|row| row[0] == 3.0) && without(&|row| row[1].is_nan()));
        assert!(without(&|row| row[3].is_nan()));
        // Negative control: cells of a grid that is not the model's, as one forgets half a step.
        let shifted: Vec<f64> =
            rows.chunks_exact(4).flat_map(|r| [r[0], 0.5 * r[1], r[2], r[3]]).collect();
        assert!(sums_to_one(model.log_prob(&shifted), 1e-2).is_err());
    }
}

#[test]
fn a_real_column_has_a_density_in_its_own_units() {
    let columns = [CATEGORY, REAL];
    for config in configs(OrderingKind::Raster) {
        let model = model(&config, &columns, &device());
        let mass: f64 = (0..=3)
            .map(|label| {
                let of = |xs: &[f64]| {
                    let rows: Vec<f64> = xs.iter().flat_map(|&x| [f64::from(label), x]).collect();
                    model.log_prob(&rows)
                };
                integral(-12.0, 18.0, 40_000, |xs| of(xs)) + of(&[f64::NAN])[0].exp()
            })
            .sum();
        assert!((mass - 1.0).abs() < 1e-6, "{}: {mass}", model.kind());
    }
}

/// Rows of all columns, some with missing cells, other labels and values far away.
fn events(columns: &[Column], n: usize) -> Vec<f64> {
    let cell = |column: &Column, i: usize| match *column {
        Column::Category { labels } => (i % (labels + 1)) as f64,
        Column::Grid { step, .. } if i % 7 < 6 => {
            step * ((i * 11) % 9) as f64 - 40.0 * f64::from(u8::from(i == 4))
        }
        Column::Real { .. } if i % 5 < 4 => 2.0 + i as f64 / 6.0,
        _ => f64::NAN,
    };
    (0..n).flat_map(|i| columns.iter().map(move |column| cell(column, i))).collect()
}

const ALL: [Column; 5] = [GRID, CATEGORY, REAL, LISTED, Column::Category { labels: 2 }];

fn walks_as_its_density<M: Neural<Kind = Float>>(model: &M) {
    let walk = Neural::ordering(model).clone();
    let x = tensor(&events(&ALL, 40), 5, &device());
    chain_rule(model, &walk, x.clone(), 1e-9).unwrap();
    same_walks(model, &walk, x.clone(), 1e-9).unwrap();
    let per_column = host(model.log_prob_per_variable(x.clone()));
    let sums = per_column.chunks_exact(5).map(|row| row.iter().sum::<f64>());
    for (sum, log_prob) in sums.zip(host(model.log_prob(x.clone()))) {
        assert!((sum - log_prob).abs() < 1e-9 * log_prob.abs());
    }
    // Negative control: values that are fed in another order.
    let other = OrderingKind::ReverseRaster.build(&[5]).unwrap();
    assert!(chain_rule(model, &other, x, 1e-3).is_err());
}

#[test]
fn the_walk_is_the_density_and_sees_only_what_was_before() {
    for config in all_configs() {
        of!(&model(&config, &ALL, &device()), own => walks_as_its_density(own));
    }
}

/// Whether, of the columns in this order, each looks at all before it and at no other one.
fn is_causal(walk: &Ordering, per_column: impl Fn(&[f64]) -> Vec<f64>) -> Result<(), String> {
    let base = [1.5, 2.0, 3.25, 2.0, 1.0];
    let other = [f64::NAN, 0.0, f64::NAN, -7.0, 2.0];
    let before = per_column(&base);
    for (t, &i) in walk.as_slice().iter().enumerate() {
        let mut row = base;
        row[i] = other[i];
        let after = per_column(&row);
        for (s, &j) in walk.as_slice().iter().enumerate() {
            let looks = after[j] != before[j];
            if s != t && looks != (s > t) {
                return Err(format!("whether column {j} looks at {i}: {looks}"));
            }
        }
    }
    Ok(())
}

#[test]
fn no_column_looks_at_itself_or_at_a_later_one() {
    for config in all_configs() {
        let model = model(&config, &ALL, &device());
        let per_column = |row: &[f64]| model.log_prob_per_variable(row);
        is_causal(model.ordering(), per_column).unwrap();
        // Negative control: the last column in the place of the first.
        let backwards =
            Ordering::from_vec(model.ordering().as_slice().iter().rev().copied().collect());
        assert!(is_causal(&backwards.unwrap(), per_column).is_err());
    }
}

#[test]
fn gradients_are_those_of_differences() {
    fn of_training<M: Neural<Kind = Float>>(model: &M, tamper: Tamper<'_>) -> Law {
        let x = tensor(&events(&ALL, 12), 5, &device().autodiff());
        // The same draws for every loss: what dropout leaves out, say.
        let rng = || -> Box<dyn Rng> { Box::new(ChaCha8Rng::seed_from_u64(9)) };
        let gain = |model: &M| model.training_loss(x.clone(), None, &mut *rng()).neg();
        has_the_right_gradient(model, gain, 1e-7, tamper)
    }
    for config in configs(OrderingKind::Random { seed: 5 }) {
        let model = model(&config, &ALL, &device().autodiff());
        of!(&model, own => of_training(own, None)).unwrap();
        // Negative control: one derivative is wrong.
        of!(&model, own => of_training(own, Some(("b", 1.0)))).unwrap_err();
    }
}

#[test]
fn dropout_changes_training_alone_and_by_its_dice_alone() {
    // Without a list, of which training leaves each row out.
    const NONE_LISTED: [Column; 5] = [GRID, CATEGORY, REAL, WHOLE, Column::Category { labels: 2 }];
    fn losses<M: Neural<Kind = Float>>(model: &M, seed: u64) -> Vec<f64> {
        let x = tensor(&events(&NONE_LISTED, 12), 5, &device());
        host(model.training_loss(x, None, &mut ChaCha8Rng::seed_from_u64(seed)))
    }
    let made = |dropout| {
        let settings = MadeSettings { dropout, components: 2, ..MadeSettings::new(vec![12, 9]) };
        model(&ModelConfig::Made(settings), &NONE_LISTED, &device())
    };
    let (with, without) = (made(0.3), made(0.0));
    let rows = events(&NONE_LISTED, 12);
    assert_eq!(with.log_prob(&rows), without.log_prob(&rows));
    let [one, again, other, none] = [(&with, 1), (&with, 1), (&with, 2), (&without, 1)]
        .map(|(model, seed)| of!(model, own => losses(own, seed)));
    assert_eq!(one, again);
    assert!(one != other && one != none);
    let exact: Vec<f64> = without.log_prob(&rows).into_iter().map(|log_prob| -log_prob).collect();
    assert_eq!(none, exact);
}

#[test]
fn draws_have_the_frequencies_of_the_mass_and_stay_on_the_grid() {
    let columns = [CATEGORY, Column::Grid { step: 0.5, can_be_missing: true }];
    let rows = product(&columns.map(support));
    let index = |row: &[f64]| {
        let same = |other: &[f64]| {
            other[0] == row[0] && (other[1] == row[1] || (other[1].is_nan() && row[1].is_nan()))
        };
        rows.chunks_exact(2).position(same).expect("a label, and a point of the grid")
    };
    for config in all_configs() {
        let model = model(&config, &columns, &device());
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let n = 20_000;
        let drawn = model.complete_reals(&vec![None; 2 * n], &mut rng);
        let log_probs = model.log_prob(&rows);
        // Given that nothing unseen is drawn: no other label, whose share is 1/10, and no number beyond 0.5 to 2, given
        // the label where that comes first.
        let is_within = |row: &[f64]| !(row[1] < 0.5 || row[1] > 2.0);
        let is_label_first = model.ordering()[0] == 0;
        let share = |label: f64, within: bool| -> f64 {
            let own = rows.chunks_exact(2).zip(&log_probs).filter(|(row, _)| {
                (!is_label_first || row[0] == label) && (!within || is_within(row))
            });
            own.map(|(_, log_prob)| log_prob.exp()).sum()
        };
        let log_seen = |(row, &log_prob): (&[f64], &f64)| match row[0] < 3.0 && is_within(row) {
            true => log_prob + (share(row[0], false) / share(row[0], true) / 0.9).ln(),
            false => f64::NEG_INFINITY,
        };
        let seen: Vec<f64> = rows.chunks_exact(2).zip(&log_probs).map(log_seen).collect();
        let cells: Vec<usize> = drawn.chunks_exact(2).map(index).collect();
        sampler_cells(&seen, cells.iter().copied(), 1e-4).unwrap();
        // Negative control: every draw a point too far.
        let moved = cells.iter().map(|&cell| (cell + 1) % seen.len());
        assert!(sampler_cells(&seen, moved, 1e-4).is_err());
        // A NaN is not equal to itself, so without missing cells.
        let whole = self::model(&config, &[CATEGORY, WHOLE], &device());
        of!(&whole, own => same_draws(own, Neural::ordering(own), 50, 7, 1e-9)).unwrap();
    }
}

#[test]
fn what_recurs_is_a_component_and_drawn_as_such() {
    for config in all_configs() {
        let columns = [CATEGORY, LISTED];
        let model = model(&config, &columns, &device());
        let log_prob = |x: f64| model.log_prob(&[1.0, x][..])[0];
        // Far from each other, and a step beside them.
        for x in [-2.0, 1.0, 2.25] {
            assert!(
                log_prob(x) > log_prob(x - 0.25) + 0.5 && log_prob(x) > log_prob(x + 0.25) + 0.5
            );
        }
        // Given that it is within what training had.
        let points: Vec<f64> = (-8..=9).map(|k| 0.25 * f64::from(k)).collect();
        let given: Vec<Option<f64>> = (0..20_000).flat_map(|_| [Some(1.0), None]).collect();
        let drawn = model.complete_reals(&given, &mut ChaCha8Rng::seed_from_u64(3));
        let drawn: Vec<usize> =
            drawn.chunks_exact(2).map(|row| (4.0 * row[1] + 8.0) as usize).collect();
        if model.ordering()[0] == 1 {
            // Its draws do not know the label, so only that they are in the range is known here.
            assert!(drawn.iter().all(|&k| k < points.len()));
            continue;
        }
        let log_probs: Vec<f64> = points.iter().map(|&x| log_prob(x)).collect();
        let all = logsumexp(&log_probs);
        let expected: Vec<f64> = log_probs.iter().map(|log_prob| log_prob - all).collect();
        sampler_cells(&expected, drawn.iter().copied(), 1e-4).unwrap();
        // Negative control: every draw a point too far.
        let moved = drawn.iter().map(|&k| (k + 1) % points.len());
        assert!(sampler_cells(&expected, moved, 1e-4).is_err());
    }
}

/// A small table whose columns can all be enumerated, missing cells and other labels included.
const SMALL: [Column; 3] = [GRID, CATEGORY, Column::Category { labels: 2 }];

#[test]
fn any_columns_are_answered_given_any_others_and_the_ensemble_averages_joint_probabilities() {
    let model = model(&orderless(OrderingKind::Raster, 3), &SMALL, &device());
    let values = SMALL.map(support);
    assert!(model.takes_any_mask());
    let all = product(&values);
    let log_probs = model.log_prob(&all);
    sums_to_one(log_probs.iter().copied(), 1e-8).unwrap();
    let Model::ColumnOrderless(network) = &model else { unreachable!("it is one") };
    let along = |k: usize| {
        let one = network.along(network.orderings()[k].clone());
        host(prob_core::Density::log_prob(&one, tensor(&all, 3, &device())))
    };
    let under = [along(0), along(1), along(2)];
    for (row, log_prob) in log_probs.iter().enumerate() {
        let each = [under[0][row], under[1][row], under[2][row]];
        assert!((log_prob - prob_core::logspace::log_mean_exp(&each)).abs() < 1e-10);
    }
    // Every mask of the columns; what is known may be a missing cell or another label.
    for known in 0..8_usize {
        let observed: Vec<bool> = (0..3).map(|i| known >> i & 1 == 1).collect();
        let row = [f64::NAN, 3.0, 1.0];
        let of_column = |i: usize| if observed[i] { vec![row[i]] } else { values[i].clone() };
        let rows = product(&[of_column(0), of_column(1), of_column(2)]);
        let mask = observed.repeat(rows.len() / 3);
        let given = model.log_prob_conditional(&rows, &mask).expect("it takes any mask");
        sums_to_one(given.iter().copied(), 1e-8).unwrap();
        // Negative control: what is known is not conditioned on.
        if observed.contains(&true) {
            assert!(sums_to_one(model.log_prob(&rows), 1e-3).is_err());
        }
        // Draws follow it, given that nothing unseen is drawn: along each ordering no number beyond 0.5 to 2, given what
        // comes before.
        let kept = [1, 2].into_iter().filter(|&i| !observed[i]).count() as f64;
        let is_within = |row: &[f64]| observed[0] || !(row[0] < 0.5 || row[0] > 2.0);
        let is_other = |row: &[f64]| {
            let is_other = |i: usize, labels: f64| !observed[i] && row[i] == labels;
            is_other(1, 3.0) || is_other(2, 2.0)
        };
        let shares: Vec<Vec<f64>> = network
            .orderings()
            .iter()
            .map(|ordering| {
                let mut moved = ordering.as_slice().to_vec();
                moved.sort_by_key(|&i| !observed[i]);
                let before = moved[..moved.iter().position(|&i| i == 0).unwrap()].to_vec();
                let along = network.along(Ordering::from_vec(moved).unwrap());
                let log_probs =
                    host(prob_core::Density::log_prob(&along, tensor(&rows, 3, &device())));
                let all = logsumexp(&log_probs);
                let share = |row: &[f64], within: bool| -> f64 {
                    let same = |other: &[f64]| before.iter().all(|&i| other[i] == row[i]);
                    let own = rows.chunks_exact(3).zip(&log_probs);
                    own.filter(|(other, _)| same(other) && (!within || is_within(other)))
                        .map(|(_, log_prob)| log_prob.exp())
                        .sum()
                };
                let of_row =
                    |(row, log_prob): (&[f64], &f64)| match is_other(row) || !is_within(row) {
                        true => 0.0,
                        false => {
                            (log_prob - all).exp() * share(row, false)
                                / share(row, true)
                                / 0.9_f64.powf(kept)
                        }
                    };
                rows.chunks_exact(3).zip(&log_probs).map(of_row).collect()
            })
            .collect();
        let mean = |at: usize| shares.iter().map(|own| own[at]).sum::<f64>() / shares.len() as f64;
        let seen: Vec<f64> = (0..rows.len() / 3).map(|at| mean(at).ln()).collect();
        let holes: Vec<Option<f64>> = (0..3).map(|i| observed[i].then_some(row[i])).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let drawn = model.complete_reals(&holes.repeat(20_000), &mut rng);
        let index = |row: &[f64]| {
            let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
            let mut rows = rows.chunks_exact(3);
            rows.position(|other| other.iter().zip(row).all(same)).expect("it is one of them")
        };
        let cells: Vec<usize> = drawn.chunks_exact(3).map(index).collect();
        sampler_cells(&seen, cells, 1e-4).unwrap();
    }
    // What is no label is impossible, known or not.
    let none = model.log_prob_conditional(&[0.5, 7.0, 1.0][..], &[false, true, false]).unwrap();
    assert_eq!(none, [f64::NEG_INFINITY]);
}

#[test]
fn what_is_known_to_be_missing_is_not_what_is_not_known() {
    let model = model(&orderless(OrderingKind::Raster, 1), &SMALL, &device());
    // The label given the number, and given that nobody knows it, all else being known.
    let given = |number: f64| {
        let row = [number, 1.0, 0.0];
        model.log_prob_conditional(&row[..], &[true, false, true]).unwrap()[0]
    };
    let rows = product(&[support(GRID), vec![1.0], vec![0.0]]);
    let mask = [false, false, true].repeat(rows.len() / 3);
    let joint = model.log_prob_conditional(&rows, &mask).unwrap();
    let unknown = joint.iter().map(|log_prob| log_prob.exp()).sum::<f64>().ln();
    let [missing, there] = [given(f64::NAN), given(1.0)];
    assert!((missing - there).abs() > 1e-3, "{missing}, {there}");
    assert!((missing - unknown).abs() > 1e-3, "{missing}, {unknown}");
}

#[test]
fn the_training_loss_is_the_mean_over_all_orderings() {
    let ModelConfig::OrderlessNade(settings) = orderless(OrderingKind::Raster, 1) else {
        unreachable!("it is one")
    };
    let config = ModelConfig::OrderlessNade(OrderlessSettings { dropout: 0.0, ..settings });
    let Model::ColumnOrderless(model) = model(&config, &SMALL, &device()) else {
        unreachable!("it is one")
    };
    let x = tensor(&[f64::NAN, 1.0, 0.0], 3, &device());
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let under = |order: [usize; 3]| {
        let along = model.along(Ordering::from_vec(order.to_vec()).unwrap());
        -host(prob_core::Density::log_prob(&along, x.clone()))[0]
    };
    let mean = orders.map(under).iter().sum::<f64>() / 6.0;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let losses = host(model.ordering_loss(x.clone().repeat_dim(0, 40_000), &mut rng));
    let n = losses.len() as f64;
    let estimate = losses.iter().sum::<f64>() / n;
    let stderr = (losses.iter().map(|l| (l - estimate).powi(2)).sum::<f64>() / n / n).sqrt();
    assert!((estimate - mean).abs() < 5.0 * stderr, "{estimate} ± {stderr}, exactly {mean}");
    // That is a test: some ordering's cost alone is far from it.
    let furthest = orders.map(|order| (under(order) - mean).abs()).into_iter().fold(0.0, f64::max);
    assert!(furthest > 10.0 * stderr, "{furthest}");
}

/// Columns of 2, 4, 1 and 3 labels.
const LABELS: [Column; 4] = [
    Column::Category { labels: 2 },
    Column::Category { labels: 4 },
    Column::Category { labels: 1 },
    Column::Category { labels: 3 },
];

/// Every kind of tables over these.
fn tables() -> Vec<ModelConfig> {
    let pseudo_count = 0.5;
    let markov = |order, ordering| ModelConfig::Markov { order, ordering, pseudo_count };
    let parents = vec![vec![3], vec![0, 3], vec![1], vec![]];
    vec![
        ModelConfig::Independent { pseudo_count },
        markov(1, OrderingKind::Raster),
        markov(3, OrderingKind::Random { seed: 5 }),
        ModelConfig::BayesianNetwork { parents, pseudo_count },
    ]
}

/// Rows in which each cell is mostly a copy of the one before.
fn copies(n: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut rows = Vec::new();
    for _ in 0..n {
        let mut before = 0;
        for labels in [2, 4, 1, 3] {
            let fresh = rng.random_range(0..labels);
            before = if rng.random_bool(0.3) { fresh } else { before % labels };
            rows.push(before as f64);
        }
    }
    rows
}

fn counted(config: &ModelConfig) -> (Model, EventSpec) {
    let event = EventSpec::columns(LABELS.to_vec());
    (Model::fit(config, &event, &InMemory::reals(copies(300), 4)).unwrap(), event)
}

#[test]
fn tables_of_columns_are_distributions_over_their_own_labels_and_other_ones() {
    let rows = product(&LABELS.map(support));
    for config in tables() {
        let (model, event) = counted(&config);
        let log_probs = model.log_prob(&rows);
        sums_to_one(log_probs.iter().copied(), 1e-12).unwrap();
        let without = rows.chunks_exact(4).zip(&log_probs).filter(|(row, _)| row[1] < 4.0);
        // Negative control: without other labels.
        assert!(sums_to_one(without.map(|(_, &log_prob)| log_prob), 1e-3).is_err());
        // Any other label has the same share of each column whatever was before.
        let costs = model.log_prob_per_variable(&rows);
        for (row, costs) in rows.chunks_exact(4).zip(costs.chunks_exact(4)) {
            for ((x, column), cost) in row.iter().zip(&LABELS).zip(costs) {
                if *column == (Column::Category { labels: *x as usize }) {
                    assert!((cost + 301_f64.ln()).abs() < 1e-12);
                }
            }
        }
        // After another label a column has its own frequencies.
        let alone = counted(&tables()[0]).0.log_prob_per_variable(&rows);
        if let ModelConfig::Markov { order: 1, .. } = config {
            for ((row, costs), alone) in
                rows.chunks_exact(4).zip(costs.chunks_exact(4)).zip(alone.chunks_exact(4))
            {
                assert!(row[0] < 2.0 || costs[1] == alone[1]);
            }
            assert!(costs != alone);
        }
        // Stored and restored; nothing else is taken for it.
        let bytes = model.to_bytes().unwrap();
        let restored = Model::from_bytes(&config, &event, &bytes, &device()).unwrap();
        assert_eq!(restored.log_prob(&rows), log_probs);
        let mut swapped = LABELS;
        swapped.swap(0, 1);
        let other = EventSpec::columns(swapped.to_vec());
        assert!(Model::from_bytes(&config, &other, &bytes, &device()).is_err());
        // Numbers are no categories, and too many labels are too many.
        for column in [WHOLE, REAL, Column::Category { labels: 256 }] {
            let event = EventSpec::columns(vec![LABELS[0], LABELS[1], LABELS[2], column]);
            let error = config.check(&event).unwrap_err().to_string();
            assert!(error.contains("categories of at most 255 labels"), "{error}");
        }
    }
}

#[test]
fn tables_of_columns_walk_as_their_density_and_answer_under_conditions() {
    let rows = product(&LABELS.map(support));
    for config in tables() {
        let model = counted(&config).0;
        let Model::ColumnTables(own) = &model else { panic!("tables of columns") };
        let (walk, x) = (own.ordering().clone(), tensor(&rows, 4, &device()));
        chain_rule(own, &walk, x.clone(), 1e-10).unwrap();
        same_walks(own, &walk, x.clone(), 1e-10).unwrap();
        same_draws(own, &walk, 50, 7, 1e-9).unwrap();
        let log_probs = model.log_prob(&rows);
        let place = |row: &[f64]| {
            rows.chunks_exact(4).position(|other| other == row).expect("a row of labels")
        };
        // Draws hold no other label, whose share is left to the rest of their column.
        let seen =
            |row: &[f64]| row.iter().zip(&LABELS).all(|(x, column)| *x < column.features() as f64);
        let share = -4.0 * (-1.0_f64 / 301.0).ln_1p();
        let of_draws = |(row, log_prob): (&[f64], &f64)| match seen(row) {
            true => log_prob + share,
            false => f64::NEG_INFINITY,
        };
        let of_draws: Vec<f64> = rows.chunks_exact(4).zip(&log_probs).map(of_draws).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let drawn = model.complete_reals(&vec![None; 4 * 20_000], &mut rng);
        let cells: Vec<usize> = drawn.chunks_exact(4).map(place).collect();
        sampler_cells(&of_draws, cells.iter().copied(), 1e-4).unwrap();
        // Negative control: draws of another model of the same columns.
        let other = match config {
            ModelConfig::Independent { .. } => counted(&tables()[1]).0,
            _ => counted(&tables()[0]).0,
        };
        let drawn = other.complete_reals(&vec![None; 4 * 20_000], &mut rng);
        let cells = drawn.chunks_exact(4).map(place);
        assert!(sampler_cells(&of_draws, cells, 1e-4).is_err());
        // A probability under conditions is the sum over the rows that meet them.
        let labels = [true, false, true, false, true];
        let regions = [Region::Any, Region::Labels(labels.into()), Region::Any, Region::Value(1.0)];
        let meets = |row: &[f64]| labels[row[1] as usize] && row[3] == 1.0;
        let of_those: Vec<f64> = rows
            .chunks_exact(4)
            .zip(&log_probs)
            .filter_map(|(row, &log_prob)| meets(row).then_some(log_prob))
            .collect();
        let exact = model.log_prob_of_regions(&regions).expect("few labels");
        assert!((exact - logsumexp(&of_those)).abs() < 1e-10);
        assert!(model.takes_regions());
        let effort = Effort { particles: 50, samples: 4 };
        let of_rows: Vec<Region> = (0..20).flat_map(|_| regions.clone()).collect();
        let draws = model.draws_given(&of_rows, effort, &mut rng).unwrap();
        assert!(draws.values.chunks_exact(4).all(meets));
    }
}
