//! Rows under conditions: probabilities of regions and draws within them, against enumeration, each beside a way of doing
//! it that is wrong.

use ar_models::columns::{Column, Effort, Region};
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::made::MadeSettings;
use ar_models::model::Model;
use ar_models::orderless::OrderlessSettings;
use ar_models::randomness::{Purpose, stream};
use burn::tensor::Device;
use prob_core::logspace::{log_mean_exp, logsumexp};
use prob_core::ordering::OrderingKind;

const COLUMNS: [Column; 4] = [
    Column::Category { labels: 2 },
    Column::Grid { step: 1.0, can_be_missing: true },
    Column::Category { labels: 3 },
    Column::Real { can_be_missing: false },
];

/// Rows whose columns depend on each other.
fn training() -> InMemory {
    let row = |i: usize| {
        let (a, c) = (i % 2, (i / 2 + i % 2) % 3);
        let b = if i % 7 == 6 { f64::NAN } else { (3 * a + c) as f64 };
        [a as f64, b, c as f64, a as f64 - 0.3 * c as f64 + 0.1 * (i % 5) as f64]
    };
    InMemory::reals((0..84).flat_map(row).collect(), 4)
}

/// A model with weights large enough for its columns to depend on each other.
fn model() -> Model {
    let config = ModelConfig::Nade {
        hidden: 6,
        ordering: OrderingKind::Raster,
        init_scale: 0.8,
        classes: None,
        components: 2,
        likelihood: Default::default(),
    };
    let event = EventSpec::columns(COLUMNS.to_vec());
    Model::init(&config, &event, &training(), 3, &Device::default()).unwrap()
}

fn labels(allowed: &[bool]) -> Region {
    Region::Labels(allowed.into())
}

fn any() -> [Region; 4] {
    [Region::Any, Region::Any, Region::Any, Region::Any]
}

/// p of the regions by walks, and its standard error.
fn estimate(model: &Model, regions: &[Region], particles: usize) -> (f64, f64) {
    let mut rng = stream(1, Purpose::Probability, 0);
    let weights = model.log_weights_of_regions(regions, particles, &mut rng).unwrap();
    let weights: Vec<f64> = weights.into_iter().map(f64::exp).collect();
    let (n, mean) = (weights.len() as f64, weights.iter().sum::<f64>() / weights.len() as f64);
    let variance = weights.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[test]
fn parts_of_the_first_column_add_up() {
    let model = model();
    let p = |region| {
        let mut regions = any();
        regions[0] = region;
        model.log_prob_of_regions(&regions).unwrap().exp()
    };
    let parts = [[true, false, false], [false, true, false], [false, false, true]];
    assert!((parts.iter().map(|part| p(labels(part))).sum::<f64>() - 1.0).abs() < 1e-6);
    assert!(
        (p(labels(&[true, true, false])) - p(Region::Value(0.0)) - p(Region::Value(1.0))).abs()
            < 1e-6
    );
    assert_eq!(p(Region::Any), 1.0);
}

/// p(x_0 = a, x_1 = b) and more, from the log-likelihoods of whole rows: the last column is a density, so the first three
/// are walked by hand.
fn by_enumeration(model: &Model, third: &[bool]) -> f64 {
    let numbers: Vec<f64> = (-3000..=3000).map(f64::from).chain([f64::NAN]).collect();
    let mut log_probs = Vec::new();
    for a in 0..3 {
        for &b in &numbers {
            for c in (0..4).filter(|&c| third[c]) {
                let row = [f64::from(a), b, c as f64, 0.5];
                log_probs.push(model.log_prob_per_variable(&row[..])[..3].iter().sum());
            }
        }
    }
    logsumexp(&log_probs).exp()
}

#[test]
fn the_mean_weight_of_walks_is_the_probability() {
    let model = model();
    for third in [[false, true, false, false], [true, false, true, false]] {
        let mut regions = any();
        regions[2] = labels(&third);
        assert_eq!(
            model.log_prob_of_regions(&regions),
            None,
            "numbers before it are not enumerated"
        );
        let exact = by_enumeration(&model, &third);
        let (p, stderr) = estimate(&model, &regions, 20_000);
        assert!((p - exact).abs() < 5.0 * stderr + 1e-6, "{p} ± {stderr}, exact {exact}");
        // Negative control: a walk that does not draw within earlier conditions answers another question.
        regions[0] = Region::Value(1.0);
        let (both, _) = estimate(&model, &regions, 20_000);
        assert!((both - exact).abs() > 20.0 * stderr, "{both} {exact}");
    }
}

#[test]
fn categories_after_a_known_number_are_enumerated() {
    let model = model();
    let mut regions = any();
    regions[1] = Region::Value(2.0);
    regions[2] = labels(&[true, false, true, false]);
    let exact = model.log_prob_of_regions(&regions).unwrap().exp();
    let (p, stderr) = estimate(&model, &regions, 20_000);
    assert!((p - exact).abs() < 5.0 * stderr + 1e-6, "{p} ± {stderr}, exact {exact}");
}

#[test]
fn ranges_of_numbers_add_up() {
    let model = model();
    let p = |region| {
        let mut regions = any();
        regions[0] = Region::Value(1.0);
        regions[1] = region;
        let (p, stderr) = estimate(&model, &regions, 10);
        assert!(stderr < 1e-7, "a walk that is told all before it has one weight: {stderr}");
        p
    };
    let inf = f64::INFINITY;
    let whole = p(Region::Between(-inf, 2.0)) + p(Region::Between(3.0, inf));
    let there = p(Region::Between(-inf, inf));
    assert!((whole - there).abs() < 1e-6);
    assert!(
        (p(Region::Present) - p(Region::Between(0.0, 5.0))).abs() < 1e-6,
        "the range of training"
    );
    let first = {
        let mut regions = any();
        regions[0] = Region::Value(1.0);
        model.log_prob_of_regions(&regions).unwrap().exp()
    };
    assert!((there + p(Region::Value(f64::NAN)) - first).abs() < 1e-6);
    let seen = p(Region::Present) + p(Region::Value(f64::NAN));
    assert!((p(Region::Seen) - seen).abs() < 1e-6 && seen < first - 1e-6);
    let points: f64 = (0..=4).map(|k| p(Region::Value(f64::from(k)))).sum();
    assert!((points - p(Region::Between(0.0, 4.0))).abs() < 1e-6);
    // No point of the grid is in there.
    assert_eq!(p(Region::Between(2.2, 2.8)), 0.0);
}

/// How far the shares of labels in draws of the first column are from p(x_0 | x_2), in standard errors.
fn distance(model: &Model, particles: usize) -> f64 {
    let third = [false, true, false, false];
    let mut regions = any();
    regions[2] = labels(&third);
    let rows = 4000;
    let all: Vec<Region> = (0..rows).flat_map(|_| regions.clone()).collect();
    let mut rng = stream(5, Purpose::Sample, 0);
    let draws = model.draws_given(&all, Effort { particles, samples: 1 }, &mut rng).unwrap();
    assert!(draws.values.chunks_exact(4).all(|row| row[2] == 1.0));
    // The numbers are drawn as training could have had them.
    regions[1] = Region::Seen;
    regions[3] = Region::Seen;
    let joint = |a: f64| {
        let mut regions = regions.clone();
        regions[0] = Region::Value(a);
        estimate(model, &regions, 20_000).0
    };
    let (zero, one) = (joint(0.0), joint(1.0));
    let expected = one / (zero + one);
    let found = draws.values.chunks_exact(4).filter(|row| row[0] == 1.0).count() as f64;
    (found - rows as f64 * expected).abs() / (rows as f64 * expected * (1.0 - expected)).sqrt()
}

#[test]
fn draws_feel_what_comes_after_them_unless_there_is_a_single_particle() {
    let model = model();
    assert!(distance(&model, 200) < 4.0, "{}", distance(&model, 200));
    // Negative control: one particle does not look ahead.
    assert!(distance(&model, 1) > 6.0, "{}", distance(&model, 1));
}

#[test]
fn what_draws_find_probable_is_what_walks_do() {
    let model = model();
    let mut regions = any();
    regions[1] = Region::Between(1.0, 3.0);
    regions[3] = Region::Between(0.0, 0.5);
    let mut rng = stream(7, Purpose::Sample, 0);
    let effort = Effort { particles: 4000, samples: 100 };
    let draws = model.draws_given(&regions, effort, &mut rng).unwrap();
    regions[0] = Region::Seen;
    regions[2] = Region::Seen;
    let (p, stderr) = estimate(&model, &regions, 20_000);
    assert!((draws.log_prob[0].exp() - p).abs() < 10.0 * stderr, "{} {p}", draws.log_prob[0].exp());
    for row in draws.values.chunks_exact(4) {
        assert!(
            (1.0..=3.0).contains(&row[1]) && row[1].fract() == 0.0 && (0.0..=0.5).contains(&row[3])
        );
    }
}

#[test]
fn nothing_is_drawn_that_training_never_saw() {
    let model = model();
    let rows = model.sample_rows(2000, &mut stream(1, Purpose::Sample, 0));
    for row in rows.values().reals().chunks_exact(4) {
        assert!(row[0] <= 1.0 && row[2] <= 2.0);
        assert!(row[1].is_nan() || (0.0..=5.0).contains(&row[1]), "{}", row[1]);
        assert!((-0.6..=1.4).contains(&row[3]), "{}", row[3]);
    }
}

#[test]
fn a_region_far_out_has_a_probability_and_draws() {
    let model = model();
    let mut regions = any();
    regions[1] = Region::Between(1e6, 2e6);
    let mut rng = stream(1, Purpose::Probability, 0);
    let weights = model.log_weights_of_regions(&regions, 50, &mut rng).unwrap();
    let log_prob = log_mean_exp(&weights);
    assert!(log_prob.is_finite() && log_prob < -1000.0, "{log_prob}");
    let draws =
        model.draws_given(&regions, Effort { particles: 50, samples: 5 }, &mut rng).unwrap();
    assert!(draws.values.chunks_exact(4).all(|row| (1e6..=2e6).contains(&row[1])));
}

#[test]
fn networks_of_every_kind_answer_for_regions() {
    let made = |masks| MadeSettings { masks, components: 2, ..MadeSettings::new(vec![12, 9]) };
    let orderless = |orderings| OrderlessSettings {
        orderings,
        components: 2,
        ..OrderlessSettings::new(vec![12, 9])
    };
    let event = EventSpec::columns(COLUMNS.to_vec());
    for config in [1, 3].into_iter().flat_map(|count| {
        [ModelConfig::Made(made(count)), ModelConfig::OrderlessNade(orderless(count))]
    }) {
        let model = Model::init(&config, &event, &training(), 3, &Device::default()).unwrap();
        let of_third = |third: &[bool]| {
            let mut regions = any();
            regions[2] = labels(third);
            regions
        };
        let parts = |p: &dyn Fn(&[Region]) -> f64| -> f64 {
            (0..4).map(|k| p(&of_third(&[k == 0, k == 1, k == 2, k == 3]))).sum()
        };
        let third = of_third(&[true, false, true, false]);
        let (p, stderr) = estimate(&model, &third, 20_000);
        if model.takes_any_mask() {
            // What is asked for comes first, so that it is exact.
            let exact = |regions: &[Region]| model.log_prob_of_regions(regions).unwrap().exp();
            assert!((parts(&exact) - 1.0).abs() < 1e-6);
            assert!((exact(&third) - p).abs() < 1e-6 && stderr < 1e-7, "{p} ± {stderr}");
            // One cell given another, as of the joint distribution of both.
            let mut row = any();
            row[1] = Region::Value(2.0);
            let alone = exact(&row);
            let given = model.log_probs_of_cell(&row, 2, &[third[2].clone()]).unwrap()[0].exp();
            row[2] = third[2].clone();
            assert!((exact(&row) - alone * given).abs() < 1e-6);
        } else {
            let exact = by_enumeration(&model, &[true, false, true, false]);
            assert!((p - exact).abs() < 5.0 * stderr + 1e-4, "{p} ± {stderr}, exact {exact}");
        }
        let mut regions = any();
        regions[0] = Region::Value(1.0);
        regions[1] = Region::Between(1.0, 3.0);
        regions[3] = Region::Between(0.0, 0.5);
        let mut rng = stream(7, Purpose::Sample, 0);
        let effort = Effort { particles: 4000, samples: 100 };
        let draws = model.draws_given(&regions, effort, &mut rng).unwrap();
        assert_eq!(draws.values.len(), 400);
        for row in draws.values.chunks_exact(4) {
            assert!(row[0] == 1.0 && row[2] <= 2.0, "{row:?}");
            assert!((1.0..=3.0).contains(&row[1]) && row[1].fract() == 0.0);
            assert!((0.0..=0.5).contains(&row[3]));
        }
        // The label is drawn as training could have had it.
        let (p, stderr) = estimate(&model, &regions, 20_000);
        let seen = 1.0 - 1.0 / 85.0;
        let found = draws.log_prob[0].exp();
        assert!((found - p * seen).abs() < 10.0 * stderr + 0.01 * p, "{found} {p} ± {stderr}");
    }
}
