//! The laws of NADE over columns of different types, in f64, each beside a model that breaks it.

use std::sync::Once;

use ar_models::columns::{Column, ColumnNade};
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::model::Model;
use ar_models::neural::{Neural, map_weights, weights};
use burn::tensor::{Device, DeviceConfig, FloatDType, Tensor, TensorData};
use prob_core::laws::{chain_rule, gradient, integral, same_draws, sampler_cells, sums_to_one};
use prob_core::ordering::OrderingKind;
use prob_core::{Density, standard_normal};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// The default device, in f64.
fn device() -> Device {
    static F64: Once = Once::new();
    let mut device = Device::default();
    F64.call_once(|| {
        device.configure(DeviceConfig::default().float_dtype(FloatDType::F64)).unwrap();
    });
    device
}

const CATEGORY: Column = Column::Category { labels: 3 };
const GRID: Column = Column::Grid { step: 0.5, can_be_missing: true };
const WHOLE: Column = Column::Grid { step: 1.0, can_be_missing: false };
const REAL: Column = Column::Real { can_be_missing: true };

/// Training rows with every label, and missing numbers where there can be some.
fn training(columns: &[Column]) -> InMemory {
    let cell = |column: &Column, i: usize| match *column {
        Column::Category { labels } => (i % labels) as f64,
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

/// Weights far from their initial values, where a wrong model shows.
fn model(columns: &[Column], ordering: OrderingKind, device: &Device) -> ColumnNade {
    let config =
        ModelConfig::Nade { hidden: 5, ordering, init_scale: 0.3, classes: None, components: 2 };
    let event = EventSpec::columns(columns.to_vec());
    let model = Model::init(&config, &event, &training(columns), 1, device).unwrap();
    let Model::ColumnNade(model) = model else {
        panic!("not a model of columns: {}", model.kind())
    };
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    map_weights(model, |_, weight| {
        let values: Vec<f64> =
            (0..weight.dims()[0]).map(|_| 0.5 * standard_normal(&mut rng)).collect();
        weight.clone() + Tensor::from_data(TensorData::new(values, weight.dims()), &weight.device())
    })
}

fn orderings() -> [OrderingKind; 2] {
    [OrderingKind::Raster, OrderingKind::Random { seed: 5 }]
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
            let points = (-120..=120).map(|k| f64::from(k) * step);
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
    let columns = [CATEGORY, GRID, Column::Category { labels: 1 }, WHOLE];
    for ordering in orderings() {
        let model = model(&columns, ordering, &device());
        let rows = product(&columns.map(support));
        let log_probs = host(model.log_prob(tensor(&rows, 4, &device())));
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
        let shifted = host(model.log_prob(tensor(&shifted, 4, &device())));
        assert!(sums_to_one(shifted, 1e-2).is_err());
    }
}

#[test]
fn a_real_column_has_a_density_in_its_own_units() {
    let columns = [CATEGORY, REAL];
    let model = model(&columns, OrderingKind::Raster, &device());
    let mass: f64 = (0..=3)
        .map(|label| {
            let of = |xs: &[f64]| {
                let rows: Vec<f64> = xs.iter().flat_map(|&x| [f64::from(label), x]).collect();
                host(model.log_prob(tensor(&rows, 2, &device())))
            };
            integral(-12.0, 18.0, 40_000, |xs| of(xs)) + of(&[f64::NAN])[0].exp()
        })
        .sum();
    assert!((mass - 1.0).abs() < 1e-6, "{mass}");
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

const ALL: [Column; 5] = [GRID, CATEGORY, REAL, WHOLE, Column::Category { labels: 2 }];

#[test]
fn the_walk_is_the_density_and_sees_only_what_was_before() {
    for ordering in orderings() {
        let model = model(&ALL, ordering, &device());
        let walk = Neural::ordering(&model).clone();
        let x = tensor(&events(&ALL, 40), 5, &device());
        chain_rule(&model, &walk, x.clone(), 1e-9).unwrap();
        let per_column = host(model.log_prob_per_variable(x.clone()));
        let sums = per_column.chunks_exact(5).map(|row| row.iter().sum::<f64>());
        for (sum, log_prob) in sums.zip(host(model.log_prob(x.clone()))) {
            assert!((sum - log_prob).abs() < 1e-9 * log_prob.abs());
        }
        // Negative control: values that are fed in another order.
        let other = OrderingKind::ReverseRaster.build(&[5]).unwrap();
        assert!(chain_rule(&model, &other, x, 1e-3).is_err());
    }
}

#[test]
fn no_column_looks_at_itself_or_at_a_later_one() {
    // A one-hot that leaks its own block, or a missing bit that does, would show here.
    for ordering in orderings() {
        let model = model(&ALL, ordering, &device());
        let walk = Neural::ordering(&model).as_slice().to_vec();
        let base = [1.5, 2.0, 3.25, 2.0, 1.0];
        let other = [f64::NAN, 0.0, f64::NAN, -7.0, 2.0];
        let per_column = |row: &[f64]| host(model.log_prob_per_variable(tensor(row, 5, &device())));
        let before = per_column(&base);
        for (t, &i) in walk.iter().enumerate() {
            let mut row = base;
            row[i] = other[i];
            let after = per_column(&row);
            for (s, &j) in walk.iter().enumerate() {
                if s < t {
                    assert_eq!(after[j], before[j], "column {j} looks at {i} behind it");
                }
                if s > t {
                    assert_ne!(after[j], before[j], "column {j} does not look at {i} before it");
                }
            }
        }
    }
}

#[test]
fn gradients_are_those_of_differences() {
    let device = device().autodiff();
    let model = model(&ALL, OrderingKind::Random { seed: 5 }, &device);
    let at: Vec<f64> = weights(&model).into_iter().flat_map(|weight| host(weight.values)).collect();
    let with = |flat: &[f64]| {
        let mut start = 0;
        map_weights(model.clone(), |_, weight| {
            let values = flat[start..start + weight.dims()[0]].to_vec();
            start += values.len();
            Tensor::from_data(TensorData::new(values, weight.dims()), &weight.device())
        })
    };
    let x = tensor(&events(&ALL, 12), 5, &device);
    let loss = |model: &ColumnNade| model.log_prob(x.clone()).mean();
    let mut grads = loss(&model).backward();
    let mut claimed = Vec::new();
    struct Collect<'a>(&'a mut burn::tensor::Gradients, &'a mut Vec<f64>);
    impl burn::module::ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            let grad = param.val().grad_remove(self.0).expect("every weight has a gradient");
            self.1.extend(grad.into_data().iter::<f64>());
        }
    }
    burn::module::Module::visit(&model, &mut Collect(&mut grads, &mut claimed));
    let f = |flat: &[f64]| loss(&with(flat)).into_scalar::<f64>();
    gradient(f, &at, &claimed, 6, 1e-6, 1e-7, 11).unwrap();
    // Negative control: one derivative off by a hundredth.
    claimed[3] += 1e-2 * claimed.iter().map(|g| g * g).sum::<f64>().sqrt().max(1.0);
    assert!(gradient(f, &at, &claimed, 6, 1e-6, 1e-7, 11).is_err());
}

#[test]
fn draws_have_the_frequencies_of_the_mass_and_stay_on_the_grid() {
    let columns = [CATEGORY, Column::Grid { step: 0.5, can_be_missing: true }];
    let model = model(&columns, OrderingKind::Raster, &device());
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let n = 20_000;
    let drawn = model.complete(&vec![None; 2 * n], &mut rng);
    let rows = product(&columns.map(support));
    let log_probs = host(model.log_prob(tensor(&rows, 2, &device())));
    let index = |row: &[f64]| {
        let same = |other: &[f64]| {
            other[0] == row[0] && (other[1] == row[1] || (other[1].is_nan() && row[1].is_nan()))
        };
        rows.chunks_exact(2).position(same).expect("a label, and a point of the grid")
    };
    // Given that nothing unseen is drawn: no other label, whose share is 1/10, and then no number beyond 0.5 to 2.
    let is_seen = |row: &[f64]| row[0] < 3.0 && !(row[1] < 0.5 || row[1] > 2.0);
    let share = |label: f64, all: bool| -> f64 {
        let own = rows.chunks_exact(2).zip(&log_probs);
        let own = own.filter(|(row, _)| row[0] == label && (all || is_seen(row)));
        own.map(|(_, log_prob)| log_prob.exp()).sum()
    };
    let seen: Vec<f64> = rows
        .chunks_exact(2)
        .zip(&log_probs)
        .map(|(row, &log_prob)| match is_seen(row) {
            true => log_prob + (share(row[0], true) / share(row[0], false) / 0.9).ln(),
            false => f64::NEG_INFINITY,
        })
        .collect();
    let cells: Vec<usize> = drawn.chunks_exact(2).map(index).collect();
    sampler_cells(&seen, cells.iter().copied(), 1e-4).unwrap();
    // Negative control: every draw a point too far.
    let moved = cells.iter().map(|&cell| (cell + 1) % seen.len());
    assert!(sampler_cells(&seen, moved, 1e-4).is_err());
    // A NaN is not equal to itself, so without missing cells.
    let whole = self::model(&[CATEGORY, WHOLE], OrderingKind::Raster, &device());
    same_draws(&whole, Neural::ordering(&whole), 50, 7, 1e-9).unwrap();
}
