//! The laws of a Parzen window, each beside what breaks it.

use ar_models::columns::{Column, Region};
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::{InMemory, Rows};
use ar_models::model::Model;
use ar_models::train::{Run, TrainConfig, train};
use ar_models::window::{Bandwidth, KernelSettings, KernelWindow};
use burn::tensor::Device;
use prob_core::laws::{integral, sampler_cells, sums_to_one};
use prob_core::ordering::OrderingKind;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

const CATEGORY: Column = Column::Category { labels: 3 };
/// Three numbers and a missing one.
const ORDERED: Column = Column::Category { labels: 4 };
const GRID: Column = Column::Grid { step: 0.5, can_be_missing: true };
const WHOLE: Column = Column::Grid { step: 1.0, can_be_missing: false };
const REAL: Column = Column::Real { can_be_missing: true };

const ALL: [Column; 5] = [GRID, CATEGORY, REAL, ORDERED, WHOLE];

fn event(columns: &[Column]) -> EventSpec {
    let values = |column: &Column| match column {
        Column::Category { labels: 4 } => vec![1.0, 2.0, 5.0, f64::NAN],
        _ => Vec::new(),
    };
    EventSpec::columns(columns.to_vec()).with_label_values(columns.iter().map(values).collect())
}

/// Rows whose columns depend on each other, with every label, and holes where there can be some.
fn rows(columns: &[Column], n: usize) -> Vec<f64> {
    let cell = |t: usize, column: &Column, i: usize| {
        let group = i * 5 % 3;
        let noise = (i * (2 * t + 7) + t) % 11;
        match *column {
            Column::Category { labels } => ((group + noise / 8) % labels) as f64,
            Column::Grid { can_be_missing: true, .. } if (i + group).is_multiple_of(5) => f64::NAN,
            Column::Grid { step, .. } => step * (2 * group + noise / 4) as f64,
            Column::Real { can_be_missing: true } if (i + group).is_multiple_of(4) => f64::NAN,
            Column::Real { .. } => 3.0 + group as f64 + noise as f64 / 7.0,
        }
    };
    (0..n).flat_map(|i| columns.iter().enumerate().map(move |(t, c)| cell(t, c, i))).collect()
}

fn window_with(settings: &KernelSettings, columns: &[Column], n: usize) -> KernelWindow {
    let data = InMemory::reals(rows(columns, n), columns.len());
    KernelWindow::fit(settings, &event(columns), &data).unwrap()
}

fn window(columns: &[Column], n: usize) -> KernelWindow {
    window_with(&KernelSettings::default(), columns, n)
}

fn settings(ordering: OrderingKind) -> KernelSettings {
    KernelSettings { ordering, ..KernelSettings::default() }
}

/// All values of a column that hold all but a negligible part of its mass.
fn support(column: Column) -> Vec<f64> {
    match column {
        Column::Category { labels } => (0..=labels).map(|label| label as f64).collect(),
        Column::Grid { step, .. } => {
            (-60..=60).map(|k| f64::from(k) * step).chain([f64::NAN]).collect()
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

/// Rows as they may come later: other labels, holes, and numbers far away.
fn events(n: usize) -> Vec<f64> {
    let row = |i: usize| {
        [
            if i.is_multiple_of(7) { f64::NAN } else { 0.5 * (i % 9) as f64 },
            (i % 4) as f64,
            if i.is_multiple_of(5) { f64::NAN } else { 2.0 + i as f64 / 9.0 },
            (i % 5) as f64,
            if i == 8 { -4e9 } else { (i % 6) as f64 },
        ]
    };
    (0..n).flat_map(row).collect()
}

#[test]
fn the_mass_of_all_rows_is_one_missing_cells_and_other_labels_included() {
    let columns = [CATEGORY, GRID, ORDERED, WHOLE];
    let window = window(&columns, 40);
    let rows = product(&columns.map(support));
    let log_probs = window.log_prob(&rows);
    sums_to_one(log_probs.iter().copied(), 1e-9).unwrap();
    // Negative controls: without other labels, and without missing numbers.
    let without = |leave_out: &dyn Fn(&[f64]) -> bool| {
        let kept = rows.chunks_exact(4).zip(&log_probs).filter(|(row, _)| !leave_out(row));
        sums_to_one(kept.map(|(_, &log_prob)| log_prob), 1e-3).is_err()
    };
    assert!(without(&|row| row[0] == 3.0) && without(&|row| row[2] == 4.0));
    assert!(without(&|row| row[1].is_nan()) && without(&|row| row[3].is_nan()));
    // Negative control: a grid that is not the model's.
    let finer: Vec<f64> =
        rows.chunks_exact(4).flat_map(|r| [r[0], 0.5 * r[1], r[2], r[3]]).collect();
    assert!(sums_to_one(window.log_prob(&finer), 1e-2).is_err());
}

#[test]
fn a_real_column_has_a_density_in_its_own_units() {
    let window = window(&[CATEGORY, REAL], 60);
    let mass: f64 = (0..=3)
        .map(|label| {
            let of = |xs: &[f64]| {
                let rows: Vec<f64> = xs.iter().flat_map(|&x| [f64::from(label), x]).collect();
                window.log_prob(&rows)
            };
            integral(-20.0, 30.0, 40_000, |xs| of(xs)) + of(&[f64::NAN])[0].exp()
        })
        .sum();
    assert!((mass - 1.0).abs() < 1e-9, "{mass}");
}

#[test]
fn conditionals_in_any_order_are_those_of_the_joint() {
    let x = events(30);
    let orderings = [OrderingKind::Raster, OrderingKind::Random { seed: 5 }];
    let windows = orderings.map(|ordering| window_with(&settings(ordering), &ALL, 70));
    let joint = windows[0].log_prob(&x);
    assert_eq!(joint, windows[1].log_prob(&x));
    let per_variable = windows.each_ref().map(|window| window.log_prob_per_variable(&x));
    assert_ne!(per_variable[0], per_variable[1]);
    let close = |sum: f64, log_prob: f64| (sum - log_prob).abs() < 1e-10 * log_prob.abs();
    for (window, per_variable) in windows.iter().zip(&per_variable) {
        for (n, (costs, &log_prob)) in per_variable.chunks_exact(5).zip(&joint).enumerate() {
            assert!(close(costs.iter().sum(), log_prob), "row {n}");
            // And step by step, by the weights that what is known so far gives.
            let (row, mut observed) = (&x[5 * n..5 * n + 5], vec![None; 5]);
            let mut sum = 0.0;
            for &t in window.ordering().as_slice() {
                let weights = window.log_weights(&observed);
                sums_to_one(weights.iter().copied(), 1e-12).unwrap();
                sum += window.log_prob_given(&weights, t, row[t]);
                observed[t] = Some(row[t]);
            }
            assert!(close(sum, log_prob), "row {n}");
            // Negative control: each given all others is another product, where no number drowns the others.
            let given_others = (0..5).map(|t| {
                let others = (0..5).map(|s| (s != t).then_some(row[s])).collect::<Vec<_>>();
                window.log_prob_given(&window.log_weights(&others), t, row[t])
            });
            assert!(n == 8 || !close(given_others.sum(), log_prob), "row {n}");
        }
    }
}

#[test]
fn a_number_far_away_drowns_nothing_of_other_columns() {
    let window = window(&[WHOLE, CATEGORY, REAL], 90);
    // Both are nearest to the rows with the least number, and to no others: among those the label decides.
    let given = |x: f64, label: f64| {
        let weights = window.log_weights(&[Some(x), Some(label), None]);
        sums_to_one(weights.iter().copied(), 1e-12).unwrap();
        let costs = window.log_prob_per_variable(&[x, label, 4.0][..]);
        (window.log_prob_given(&weights, 2, 4.0), costs[2])
    };
    for label in [0.0, 1.0, 2.0] {
        let [near, far] = [-1e4, -4e9].map(|x| given(x, label));
        assert!((near.0 - far.0).abs() < 1e-9 && (near.1 - far.1).abs() < 1e-9, "{near:?} {far:?}");
        assert!((far.0 - far.1).abs() < 1e-9, "{far:?}");
    }
    // Negative control: the label does decide.
    assert!((given(-4e9, 0.0).0 - given(-4e9, 1.0).0).abs() > 1e-3);
}

#[test]
fn a_conditional_given_any_variables_is_a_quotient() {
    let window = window(&ALL, 50);
    let x = events(12);
    let observed: Vec<bool> = (0..60).map(|k| k * 7 % 5 < 2).collect();
    let some = |wanted: bool| -> Vec<Option<f64>> {
        x.iter().zip(&observed).map(|(&x, &is)| (is || wanted).then_some(x)).collect()
    };
    let (part, all) =
        (window.log_prob_observed(&some(false)), window.log_prob_observed(&some(true)));
    let conditional = window.log_prob_conditional(&x, &observed);
    let joint = window.log_prob(&x);
    for n in 0..12 {
        assert!((all[n] - joint[n]).abs() < 1e-10 * joint[n].abs());
        assert!((conditional[n] - (joint[n] - part[n])).abs() < 1e-9 * joint[n].abs());
    }
}

#[test]
fn no_column_looks_at_a_later_one() {
    for ordering in [OrderingKind::Raster, OrderingKind::Random { seed: 5 }] {
        let window = window_with(&settings(ordering), &ALL, 60);
        let (base, other) = ([1.5, 2.0, 3.25, 2.0, 1.0], [f64::NAN, 0.0, f64::NAN, 1.0, 7.0]);
        let before = window.log_prob_per_variable(&base[..]);
        let walk = window.ordering().as_slice();
        for (t, &i) in walk.iter().enumerate() {
            let mut row = base;
            row[i] = other[i];
            let after = window.log_prob_per_variable(&row[..]);
            for (s, &j) in walk.iter().enumerate() {
                assert_eq!(s < t, after[j] == before[j], "column {j}, and {i} at {t}");
            }
        }
    }
}

#[test]
fn draws_have_the_frequencies_of_the_mass_and_of_the_mass_given_any_mask() {
    let columns = [CATEGORY, GRID, ORDERED];
    let window = window(&columns, 30);
    let support = product(&columns.map(support));
    let same =
        |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()));
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    // The second of three is known, which is no prefix of the ordering.
    for known in [None, Some(1.0)] {
        let fits = |row: &&[f64]| known.is_none_or(|x| row[1] == x);
        let cells: Vec<&[f64]> = support.chunks_exact(3).filter(fits).collect();
        let log_probs = window.log_prob(&cells.concat());
        // Given that nothing unseen is drawn: no other label.
        let seen: Vec<f64> = cells
            .iter()
            .zip(log_probs)
            .map(|(row, l)| if row[0] == 3.0 || row[2] == 4.0 { f64::NEG_INFINITY } else { l })
            .collect();
        let total = prob_core::logspace::logsumexp(&seen);
        let seen: Vec<f64> = seen.into_iter().map(|log_prob| log_prob - total).collect();
        let observed: Vec<Option<f64>> = [None, known, None].repeat(20_000);
        let drawn = window.complete(&observed, &mut rng);
        let index =
            |row: &[f64]| cells.iter().position(|cell| same(cell, row)).expect("on the grid");
        let found: Vec<usize> = drawn.chunks_exact(3).map(index).collect();
        sampler_cells(&seen, found.iter().copied(), 1e-6).unwrap();
        // Negative control: every draw a cell too far.
        let moved = found.iter().map(|&cell| (cell + 1) % seen.len());
        assert!(sampler_cells(&seen, moved, 1e-6).is_err());
    }
}

#[test]
fn the_fast_sums_are_those_of_the_equation() {
    // More rows than a tile, and not whole blocks; with and without plain columns.
    for columns in [&ALL[..], &[WHOLE, Column::Real { can_be_missing: false }], &[CATEGORY]] {
        let window = window(columns, 1_203);
        let x: Vec<f64> = match columns.len() {
            5 => events(40),
            2 => (0..80).map(|k| if k == 6 { f64::NAN } else { f64::from(k % 9) }).collect(),
            _ => vec![0.0, 1.0, 2.0, 3.0],
        };
        let (fast, plain) = (window.log_prob(&x), window.log_prob_plain(&x));
        for (fast, plain) in fast.iter().zip(&plain) {
            assert!((fast - plain).abs() < 1e-10 * plain.abs(), "{fast}, {plain}");
        }
    }
}

/// Columns that f32 suits, and events as they may come.
fn unordered(n: usize) -> (Vec<Column>, Vec<f64>) {
    let more = [Column::Real { can_be_missing: false }; 6];
    let columns =
        [&[GRID, CATEGORY, REAL, WHOLE, Column::Category { labels: 2 }], &more[..]].concat();
    let of = |row: &[f64]| {
        let own = (0..6).map(|k| row[4] * 0.7 + 3.0 + (row[3] + f64::from(k)) % 3.0);
        [row[0], row[1], row[2], row[4], row[3] % 3.0].into_iter().chain(own).collect::<Vec<f64>>()
    };
    let rows = events(n).chunks_exact(5).flat_map(of).collect();
    (columns, rows)
}

#[test]
fn ranks_in_f32_are_those_of_the_equation() {
    let (columns, x) = unordered(60);
    for columns in [&columns[..], &columns[..3], &[CATEGORY], &columns[5..]] {
        let from = if columns.len() == 6 {
            5
        } else if columns == [CATEGORY] {
            1
        } else {
            0
        };
        let x: Vec<f64> =
            x.chunks_exact(11).flat_map(|row| &row[from..from + columns.len()]).copied().collect();
        let (window, other) = (window(columns, 1_203), window(columns, 1_100));
        let (fast, plain) = (window.log_prob_fast(&x), window.log_prob_plain(&x));
        let near = |fast: f64, plain: f64| (fast - plain).abs() < 1e-4 + 1e-6 * plain.abs();
        for (fast, &plain) in fast.iter().zip(&plain) {
            assert!(near(*fast, plain), "{columns:?}: {fast}, {plain}");
        }
        // In f32 indeed, but where one label is as likely as another.
        assert!(fast != window.log_prob(&x) || columns == [CATEGORY]);
        // Negative control: a few other rows are another window.
        let others = other.log_prob_fast(&x);
        assert!(
            others.iter().zip(&plain).any(|(&other, &plain)| !near(other, plain)),
            "{columns:?}"
        );
    }
    // What f32 does not suit is as exact as ever: ordered labels, and rows with a number missing that never was.
    let x = events(40);
    let ordered = window(&ALL, 300);
    assert_eq!(ordered.log_prob_fast(&x), ordered.log_prob(&x));
    let window = window(&[WHOLE, CATEGORY], 300);
    for row in [[f64::NAN, 1.0], [1e300, 0.0], [-4e30, 3.0]] {
        assert_eq!(window.log_prob_fast(&row[..]), window.log_prob(&row[..]));
    }
}

#[test]
fn a_rank_depends_on_nothing_but_the_row() {
    let (columns, x) = unordered(100);
    let window = window(&columns, 2_500);
    let width = columns.len();
    let of = |threads, rows: usize| -> Vec<u64> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let ranks = |part| pool.install(|| window.log_prob_fast(part));
        x.chunks(rows * width).flat_map(ranks).map(f64::to_bits).collect()
    };
    let expected = of(1, 100);
    assert_eq!(of(3, 100), expected);
    assert_eq!(of(1, 1), expected);
    assert_eq!(of(2, 37), expected);
    // Negative control: rows in another order have other ranks at their places.
    assert_ne!(expected.iter().rev().copied().collect::<Vec<u64>>(), expected);
}

#[test]
fn symbols_are_categories_and_reals_numbers() {
    let config = ModelConfig::Kernel(KernelSettings::default());
    let symbols: Vec<u8> = (0..40).flat_map(|i| [i % 3, (i + i / 9) % 3, i / 20]).collect();
    let event = EventSpec::symbols(vec![3], 3);
    let model = Model::fit(&config, &event, &InMemory::new(symbols, 3)).unwrap();
    let all: Vec<u8> = (0..27).flat_map(|k| [k / 9, k / 3 % 3, k % 3]).collect();
    sums_to_one(model.log_prob(&all), 1e-12).unwrap();
    // Outside the support nothing is possible, and nothing behind it.
    assert_eq!(model.log_prob(&[0_u8, 3, 0]), [f64::NEG_INFINITY]);
    let costs = model.log_prob_per_variable(&[0_u8, 3, 0]);
    assert!(costs[0].is_finite() && costs[1..] == [f64::NEG_INFINITY; 2]);
    let Rows::Symbols(drawn) = model.sample_rows(300, &mut ChaCha8Rng::seed_from_u64(1)) else {
        panic!("symbols are drawn")
    };
    assert!(drawn.iter().all(|&x| x < 3) && drawn.contains(&2));
    let reals: Vec<f64> = (0..60).map(|i| 100.0 * f64::from(i * 7 % 13)).collect();
    let event = EventSpec::reals(vec![1]);
    let model = Model::fit(&config, &event, &InMemory::reals(reals, 1)).unwrap();
    let mass = integral(-4e3, 5e3, 40_000, |xs| model.log_prob(xs));
    assert!((mass - 1.0).abs() < 1e-9, "{mass}");
}

fn labels(allowed: &[bool]) -> Region {
    Region::Labels(allowed.into())
}

/// Whether a cell is in a region.
fn is_in(region: &Region, x: f64) -> bool {
    region.and(&Region::Value(x)).is_some()
}

#[test]
fn regions_have_the_mass_of_all_rows_in_them() {
    let columns = [CATEGORY, GRID, ORDERED, WHOLE];
    let window = window(&columns, 40);
    let rows = product(&columns.map(support));
    let log_probs = window.log_prob(&rows);
    let enumerated = |regions: &[Region]| -> f64 {
        let fits = |row: &[f64]| regions.iter().zip(row).all(|(region, &x)| is_in(region, x));
        let kept = rows.chunks_exact(4).zip(&log_probs).filter(|(row, _)| fits(row));
        kept.map(|(_, log_prob)| log_prob.exp()).sum()
    };
    let inf = f64::INFINITY;
    let (any, ends) = (Region::Any, labels(&[true, false, true, false]));
    for regions in [
        [any.clone(), any.clone(), any.clone(), any.clone()],
        [ends.clone(), any.clone(), any.clone(), any.clone()],
        [labels(&[false, false, false, true]), any.clone(), any.clone(), Region::Value(2.0)],
        [ends.clone(), Region::Between(0.5, 2.2), any.clone(), Region::Between(-inf, 1.0)],
        [
            any.clone(),
            Region::Value(f64::NAN),
            labels(&[true, false, true, true, false]),
            any.clone(),
        ],
        [
            Region::Value(1.0),
            Region::Between(-inf, inf),
            Region::Value(3.0),
            Region::Between(3.0, inf),
        ],
        // No point of the grid is in there.
        [any.clone(), Region::Between(0.6, 0.9), any.clone(), any.clone()],
    ] {
        let (found, expected) = (window.log_prob_of_regions(&regions).exp(), enumerated(&regions));
        assert!(
            (found - expected).abs() < 1e-11 * expected.max(1e-3),
            "{regions:?}: {found} {expected}"
        );
        // The conditional of a cell is the quotient of the joint and the marginal.
        let known = regions.map(|region| match region {
            Region::Value(_) => region,
            _ => Region::Any,
        });
        let marginal = window.log_prob_of_regions(&known);
        for (i, region) in [(0, &ends), (1, &Region::Between(0.5, 2.2)), (3, &Region::Value(4.0))] {
            if known[i].is_any() {
                let mut joint = known.clone();
                joint[i] = region.clone();
                let joint = window.log_prob_of_regions(&joint);
                let given = window.log_probs_of_cell(&known, i, std::slice::from_ref(region))[0];
                assert!((given - (joint - marginal)).abs() < 1e-10, "{known:?} {i}");
            }
        }
    }
    // Negative control: columns that depend on each other are no product of their own.
    let alone = |i: usize, region: Region| {
        let mut regions = [any.clone(), any.clone(), any.clone(), any.clone()];
        regions[i] = region;
        window.log_prob_of_regions(&regions)
    };
    let (label, number) = (labels(&[true, false, false, false]), Region::Between(2.0, inf));
    let both =
        window.log_prob_of_regions(&[label.clone(), any.clone(), any.clone(), number.clone()]);
    assert!((both - alone(0, label) - alone(3, number)).abs() > 0.1);
}

#[test]
fn a_range_of_a_real_column_is_the_integral_of_its_density() {
    let window = window(&[CATEGORY, REAL], 60);
    for (low, high) in [(3.2, 4.1), (-20.0, 3.0), (5.0, 30.0)] {
        let of = |xs: &[f64]| {
            let rows: Vec<f64> = xs.iter().flat_map(|&x| [1.0, x]).collect();
            window.log_prob(&rows)
        };
        let expected = integral(low, high, 40_000, of);
        let regions = [Region::Value(1.0), Region::Between(low, high)];
        let found = window.log_prob_of_regions(&regions).exp();
        assert!((found - expected).abs() < 1e-8 * expected, "{low} {high}: {found} {expected}");
    }
    // Far out nothing is lost, and nothing is drawn that does not lie there.
    let far = [Region::Any, Region::Between(1e6, 2e6)];
    let log_prob = window.log_prob_of_regions(&far);
    assert!(log_prob.is_finite() && log_prob < -1e6, "{log_prob}");
    let drawn = window.draws_given(&far, 20, &mut ChaCha8Rng::seed_from_u64(1));
    assert!(drawn.values.chunks_exact(2).all(|row| (1e6..=2e6).contains(&row[1])));
}

#[test]
fn draws_within_regions_have_the_frequencies_of_the_mass_there() {
    let columns = [CATEGORY, GRID, ORDERED];
    let window = window(&columns, 30);
    let support = product(&columns.map(support));
    let same =
        |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()));
    let inf = f64::INFINITY;
    // The numbers of the stored rows.
    let stored = rows(&columns, 30);
    let numbers = stored.iter().skip(1).step_by(3).filter(|x| !x.is_nan());
    let most = numbers.copied().fold(-inf, f64::max);
    for regions in [
        [labels(&[true, false, true, false]), Region::Any, Region::Any],
        [Region::Any, Region::Between(0.5, 2.0), labels(&[true, true, false, false, false])],
        [Region::Any, Region::Between(1.5, inf), Region::Value(2.0)],
        [Region::Any, Region::Present, Region::Any],
    ] {
        let is_seen =
            |row: &[f64]| row[0] < 3.0 && row[2] < 4.0 && !(row[1] < 0.0 || row[1] > most);
        let fits = |row: &&[f64]| {
            is_seen(row) && regions.iter().zip(*row).all(|(region, &x)| is_in(region, x))
        };
        let cells: Vec<&[f64]> = support.chunks_exact(3).filter(fits).collect();
        let log_probs = window.log_prob(&cells.concat());
        let total = prob_core::logspace::logsumexp(&log_probs);
        let log_probs: Vec<f64> = log_probs.iter().map(|log_prob| log_prob - total).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let drawn = window.draws_given(&regions, 20_000, &mut rng);
        assert!((drawn.log_prob[0] - total).abs() < 1e-10, "{} {total}", drawn.log_prob[0]);
        let index = |row: &[f64]| cells.iter().position(|cell| same(cell, row));
        let found: Vec<usize> = drawn
            .values
            .chunks_exact(3)
            .map(|row| index(row).expect("within the regions"))
            .collect();
        sampler_cells(&log_probs, found.iter().copied(), 1e-6).unwrap();
        // Negative control: rows drawn as if nothing were known, those that fit kept cell by cell.
        let unaware = [Region::Any, Region::Any, Region::Any];
        let other = window.draws_given(&unaware, 20_000, &mut rng);
        let patched =
            other.values.chunks_exact(3).zip(drawn.values.chunks_exact(3)).map(|(free, own)| {
                let cell = |t: usize| if is_in(&regions[t], free[t]) { free[t] } else { own[t] };
                index(&[cell(0), cell(1), cell(2)]).expect("within the regions")
            });
        let is_told_apart = sampler_cells(&log_probs, patched, 1e-6).is_err();
        assert!(is_told_apart, "{regions:?}");
    }
}

#[test]
fn a_window_comes_back_from_its_bytes_to_the_bit() {
    let (device, x) = (Device::default(), events(30));
    let event = event(&ALL);
    for bandwidth in [Bandwidth::Common, Bandwidth::PerColumn] {
        let config = ModelConfig::Kernel(KernelSettings { bandwidth, ..KernelSettings::default() });
        let data = InMemory::reals(rows(&ALL, 80), 5);
        let model = Model::fit(&config, &event, &data).unwrap();
        let bytes = model.to_bytes().unwrap();
        let loaded = Model::from_bytes(&config, &event, &bytes, &device).unwrap();
        assert_eq!(model.log_prob(&x), loaded.log_prob(&x));
        assert_eq!(loaded.to_bytes().unwrap(), bytes);
        assert_eq!(model.free_parameters(), loaded.free_parameters());
        // Columns of another type, or labels that stand for other numbers, are another model.
        let mut other = event.clone();
        other.label_values[3][0] = 1.5;
        assert!(Model::from_bytes(&config, &other, &bytes, &device).is_err());
        let fewer = EventSpec::columns(ALL[..4].to_vec());
        assert!(Model::from_bytes(&config, &fewer, &bytes, &device).is_err());
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let x = events(50);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let window = window(&ALL, 700);
            let observed: Vec<Option<f64>> =
                x.iter().enumerate().map(|(k, &x)| (k % 3 == 0).then_some(x)).collect();
            let drawn = window.complete(&observed, &mut ChaCha8Rng::seed_from_u64(9));
            let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect::<Vec<_>>();
            (
                bits(window.log_prob(&x)),
                bits(window.log_prob_per_variable(&x)),
                bits(drawn),
                window.bandwidths().clone(),
            )
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn so_many_rows_are_kept_and_the_rest_is_as_likely() {
    let data = InMemory::reals(rows(&ALL, 500), 5);
    let config = ModelConfig::Kernel(KernelSettings { max_rows: 200, ..KernelSettings::default() });
    let run = Run {
        model: &config,
        event: &event(&ALL),
        config: &TrainConfig::epochs(1),
        seed: 1,
        device: &Device::default(),
        train: &data,
        valid: Some(&data),
        checkpoint: None,
    };
    let trained = train(&run, &mut ()).unwrap();
    let Model::Kernel(window) = &trained.model else { panic!("a window") };
    assert_eq!(window.stored(), 200);
    let (own, valid) = (trained.history[0].train_nll_nats, trained.history[0].valid_nll_nats);
    assert_eq!(Some(own), window.leave_one_out_nll_nats());
    assert!((own - valid.unwrap()).abs() < 1.0, "{own}, {valid:?}");
    // The same seed keeps the same rows, another one others.
    let again = |rows_seed| {
        let settings = KernelSettings { max_rows: 200, rows_seed, ..KernelSettings::default() };
        KernelWindow::fit(&settings, &event(&ALL), &data).unwrap().log_prob(&rows(&ALL, 20))
    };
    assert_eq!(again(1), window.log_prob(&rows(&ALL, 20)));
    assert_ne!(again(1), again(2));
    assert!(KernelSettings { max_rows: 0, ..KernelSettings::default() }.check().is_err());
}
