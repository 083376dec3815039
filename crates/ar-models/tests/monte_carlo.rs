//! Completions of models of one ordering by sequential Monte Carlo, against p(missing | observed) by
//! enumeration. The plain walk, which does not look ahead, is the negative control.

use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::made::MadeSettings;
use ar_models::model::Model;
use ar_models::nade::NadeConfig;
use ar_models::neural::{Neural, map_weights};
use ar_models::pixel::{ImageLayout, PixelConfig, PixelKind, PixelSettings};
use ar_models::walk::monte_carlo;
use burn::tensor::{Device, Tensor, TensorData};
use prob_core::Autoregressive as _;
use prob_core::laws::enumerate_support;
use prob_core::logspace::logsumexp;
use prob_core::ordering::OrderingKind;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

const VARIABLES: usize = 6;
const MEANS: [f64; VARIABLES] = [0.5; VARIABLES];

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Weights with which variables depend on each other.
fn strong<M: Neural + Into<Model>>(model: M, scale: f32) -> Model {
    let mut rng = rng(7);
    let shaken = map_weights(model, |_, weight| {
        let [n] = weight.dims();
        let values = (0..n).map(|_| scale * prob_core::standard_normal(&mut rng) as f32);
        Tensor::from_data(TensorData::new(values.collect::<Vec<f32>>(), [n]), &weight.device())
    });
    shaken.into()
}

fn pixel(classes: Option<usize>) -> Model {
    let settings = PixelSettings { classes, ..PixelSettings::new(1, 4) };
    let image = ImageLayout::of("row-lstm", &[2, 3]).unwrap();
    let config = PixelConfig { kind: PixelKind::RowLstm, settings, image, levels: 2 };
    strong(config.init(0.5, &mut rng(1), &Device::default()), 0.5)
}

fn nade_with_classes() -> Model {
    let ordering = OrderingKind::Random { seed: 2 }.build(&[2, 3]).unwrap();
    let config = NadeConfig { classes: Some(3), ..NadeConfig::new(ordering, 8) };
    strong(config.init(&MEANS, &mut rng(1), &Device::default()), 0.8)
}

/// A model of every kind of walk: a table, networks, a cached one, two with classes.
fn models() -> Vec<Model> {
    let device = Device::default();
    let ordering = OrderingKind::Random { seed: 2 }.build(&[2, 3]).unwrap();
    // Each bit is mostly the one before it.
    let rows = InMemory::new([[0; VARIABLES], [1; VARIABLES]].concat().repeat(9), VARIABLES);
    let config =
        ModelConfig::Markov { order: 1, ordering: OrderingKind::Raster, pseudo_count: 2.0 };
    let event = EventSpec::symbols(vec![2, 3], 2);
    let made = MadeSettings { masks: 2, ..MadeSettings::new(vec![9]) }.config(ordering.clone());
    vec![
        Model::fit(&config, &event, &rows).unwrap(),
        strong(NadeConfig::new(ordering, 16).init(&MEANS, &mut rng(1), &device), 2.0),
        strong(made.init(&MEANS, &mut rng(1), &device), 1.5),
        pixel(None),
        pixel(Some(3)),
        nade_with_classes(),
    ]
}

/// The events that have the observed values, each with log p(missing | observed), and log p(observed).
fn exactly(
    log_prob: impl Fn(&[u8]) -> Vec<f64>,
    observed: &[Option<u8>],
) -> (Vec<Vec<u8>>, Vec<f64>, f64) {
    let all = enumerate_support(VARIABLES, 2);
    let agrees = |event: &&[u8]| event.iter().zip(observed).all(|(x, o)| o.is_none_or(|o| o == *x));
    let events: Vec<Vec<u8>> =
        all.chunks_exact(VARIABLES).filter(agrees).map(<[u8]>::to_vec).collect();
    let joint = log_prob(&events.concat());
    let evidence = logsumexp(&joint);
    (events, joint.into_iter().map(|joint| joint - evidence).collect(), evidence)
}

/// Half the sum of the differences between frequencies and probabilities.
fn total_variation(drawn: &[u8], events: &[Vec<u8>], log_probs: &[f64]) -> f64 {
    let n = (drawn.len() / VARIABLES) as f64;
    let count = |event: &Vec<u8>| {
        drawn.chunks_exact(VARIABLES).filter(|drawn| drawn == event).count() as f64 / n
    };
    let pairs = events.iter().zip(log_probs);
    pairs.map(|(event, log_prob)| (count(event) - log_prob.exp()).abs()).sum::<f64>() / 2.0
}

/// What is observed of the two masks of a test: late variables, and every other one.
fn masks(model: &Model) -> [Vec<Option<u8>>; 2] {
    let order = model.ordering().as_slice();
    let late = |t: usize| t >= 3;
    let other = |t: usize| t % 2 == 1;
    [&late as &dyn Fn(usize) -> bool, &other].map(|is_observed| {
        let mut observed = vec![None; VARIABLES];
        for (t, &i) in order.iter().enumerate().filter(|&(t, _)| is_observed(t)) {
            observed[i] = Some(u8::from(t % 3 != 0));
        }
        observed
    })
}

#[test]
fn particles_tend_to_the_conditional_and_the_plain_walk_does_not() {
    const RUNS: usize = 1500;
    for model in models() {
        let mut largest = 0.0_f64;
        for observed in masks(&model) {
            let (events, log_probs, _) = exactly(|rows| model.log_prob(rows), &observed);
            let batch = observed.repeat(RUNS);
            let drawn = model.complete_monte_carlo(&batch, None, (40, 1), &mut rng(3)).values;
            let gap = total_variation(&drawn, &events, &log_probs);
            // Of 1500 draws from 8 cells alone: 0.03.
            assert!(gap < 0.05, "{}: {gap}", model.kind());
            let plain = model.complete(&batch, &mut rng(3));
            let gap = total_variation(&plain, &events, &log_probs);
            largest = largest.max(gap);
            // One particle is the plain walk: no weight makes a difference.
            let one = model.complete_monte_carlo(&batch, None, (1, 1), &mut rng(4)).values;
            assert!(total_variation(&one, &events, &log_probs) > gap - 0.06);
        }
        // The negative control: what is observed later says something.
        assert!(largest > 0.15, "{}: {largest}", model.kind());
    }
}

#[test]
fn the_estimate_of_the_evidence_is_unbiased() {
    const RUNS: usize = 3000;
    for model in models() {
        for observed in masks(&model) {
            let (.., evidence) = exactly(|rows| model.log_prob(rows), &observed);
            let batch = observed.repeat(RUNS);
            // Few particles, so that the weights are uneven and there is resampling.
            let found = model.complete_monte_carlo(&batch, None, (5, 1), &mut rng(5));
            let ratios: Vec<f64> = found
                .log_prob_observed
                .iter()
                .map(|log_prob| (log_prob - evidence).exp())
                .collect();
            let mean = ratios.iter().sum::<f64>() / RUNS as f64;
            let variance = ratios.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / RUNS as f64;
            let stderr = (variance / RUNS as f64).sqrt();
            assert!((mean - 1.0).abs() < 5.0 * stderr, "{}: {mean} ± {stderr}", model.kind());
            // And with many it is the number itself.
            let found = model.complete_monte_carlo(&observed, None, (4000, 1), &mut rng(5));
            let gap = found.log_prob_observed[0] - evidence;
            assert!(gap.abs() < 0.15, "{}: {gap}", model.kind());
        }
    }
}

#[test]
fn rows_have_masks_of_their_own_and_several_completions() {
    let model = &models()[1];
    let [late, other] = masks(model);
    let nothing = vec![None; VARIABLES];
    let x = [1, 0, 0, 1, 1, 0];
    let all = x.map(Some).to_vec();
    let batch = [late.clone(), other.clone(), nothing, all].concat();
    let found = model.complete_monte_carlo(&batch, None, (3000, 1000), &mut rng(6));
    assert_eq!(found.values.len(), 4 * 1000 * VARIABLES);
    let of = |row: usize| &found.values[row * 1000 * VARIABLES..(row + 1) * 1000 * VARIABLES];
    for (row, observed) in [late, other, vec![None; VARIABLES]].iter().enumerate() {
        let (events, log_probs, evidence) = exactly(|rows| model.log_prob(rows), observed);
        let gap = total_variation(of(row), &events, &log_probs);
        assert!(gap < 0.08, "{row}: {gap}");
        assert!((found.log_prob_observed[row] - evidence).abs() < 0.15);
    }
    // Nothing observed costs nothing; of all observed, the estimate is the likelihood.
    assert_eq!(found.log_prob_observed[2], 0.0);
    assert!((found.log_prob_observed[3] - model.log_prob(&x)[0]).abs() < 1e-4);
    assert_eq!(of(3), x.repeat(1000));
}

#[test]
fn the_walk_in_one_kernel_draws_what_the_plain_one_does() {
    let ordering = OrderingKind::Random { seed: 2 }.build(&[2, 3]).unwrap();
    let nade = NadeConfig::new(ordering, 150).init(&MEANS, &mut rng(1), &Device::default());
    let Model::Nade(model) = strong(nade, 0.3) else { panic!() };
    let [late, other] = masks(&Model::Nade(model.clone()));
    let observed = [late.clone(), vec![None; VARIABLES], other, late].concat();
    for (particles, samples) in [(1, 1), (7, 3), (64, 64)] {
        let device = Device::default();
        let plain = monte_carlo(
            &model,
            |walks| model.init_state(walks),
            Neural::ordering(&model).as_slice(),
            &observed,
            (particles, samples),
            &device,
            &mut rng(9),
        );
        let counts = (particles, samples);
        let fused = Model::Nade(model.clone());
        let fused = fused.complete_monte_carlo(&observed, None, counts, &mut rng(9));
        assert_eq!(plain.values, fused.values, "{particles}");
        for (a, b) in plain.log_prob_observed.iter().zip(&fused.log_prob_observed) {
            assert!((a - b).abs() < 1e-4, "{particles}: {a}, {b}");
        }
        // The negative control: other uniforms draw other values.
        if particles > 1 {
            let other = Model::Nade(model.clone());
            let other = other.complete_monte_carlo(&observed, None, counts, &mut rng(10));
            assert_ne!(plain.values, other.values);
        }
    }
}

#[test]
fn a_label_is_kept_by_all_particles() {
    const RUNS: usize = 1500;
    for (model, label) in [
        (pixel(Some(3)), 0),
        (pixel(Some(3)), 2),
        (nade_with_classes(), 0),
        (nade_with_classes(), 2),
    ] {
        let observed = masks(&model)[0].clone();
        let given = |rows: &[u8]| model.log_prob_given(rows, &vec![label; rows.len() / VARIABLES]);
        let (events, log_probs, evidence) = exactly(given, &observed);
        let (batch, labels) = (observed.repeat(RUNS), vec![label; RUNS]);
        let found = model.complete_monte_carlo(&batch, Some(&labels), (40, 1), &mut rng(3));
        let gap = total_variation(&found.values, &events, &log_probs);
        assert!(gap < 0.05, "{gap}");
        let many = model.complete_monte_carlo(&observed, Some(&[label]), (4000, 1), &mut rng(3));
        assert!((many.log_prob_observed[0] - evidence).abs() < 0.15);
    }
}

#[test]
fn what_is_impossible_is_said() {
    let rows = InMemory::new([0, 0, 1, 1].repeat(4), 2);
    let event = EventSpec::symbols(vec![2], 2);
    let model = Model::fit(
        &ModelConfig::Markov { order: 1, ordering: OrderingKind::Raster, pseudo_count: 0.0 },
        &event,
        &InMemory::new([0, 0].repeat(4), 2),
    )
    .unwrap();
    let found = model.complete_monte_carlo(&[None, Some(1)], None, (8, 2), &mut rng(1));
    assert_eq!(found.log_prob_observed, [f64::NEG_INFINITY]);
    assert_eq!(found.values, [0, 1, 0, 1]);
    let model = Model::fit(&ModelConfig::FullTable { pseudo_count: 0.0 }, &event, &rows).unwrap();
    // Half of the particles cannot be.
    let found = model.complete_monte_carlo(&[None, Some(1)], None, (64, 5), &mut rng(1));
    assert_eq!(found.values, [1; 10]);
    assert!((found.log_prob_observed[0] - 0.5_f64.ln()).abs() < 0.4);
    assert!(model.complete_monte_carlo(&[], None, (8, 2), &mut rng(1)).values.is_empty());
}
