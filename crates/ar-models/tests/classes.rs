//! The laws of models with classes given a label, and of the mixture over labels, in f64.
//!
//! The default precision of a device can be set once per process, so these tests have a binary of
//! their own.

mod common;

use ar_models::nade::{Nade, NadeConfig};
use ar_models::neural::{Neural, event_tensor, label_tensor};
use ar_models::pixel::{ImageLayout, Pixel, PixelConfig, PixelKind, PixelSettings};
use ar_models::walk;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor};
use common::{Tamper, device, has_the_right_gradient, host, shaken};
use prob_core::laws::{
    Law, causal_autodiff, chain_rule, enumerate_support, normalised, normalised_rows, same_draws,
    same_walks, sampler, support, support_per_variable, support_rows,
};
use prob_core::ordering::{Ordering, OrderingKind};
use prob_core::{Density, uniform};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

const CLASSES: usize = 3;

const KINDS: [PixelKind; 4] =
    [PixelKind::RowLstm, PixelKind::DiagonalLstm, PixelKind::DiagonalBilstm, PixelKind::PixelCnn];

/// 2×3 bits, three levels, and a tiny image in colour.
const EVENTS: [(&[usize], usize); 3] = [(&[2, 3], 2), (&[2, 2], 3), (&[3, 1, 2], 2)];

fn fresh(kind: PixelKind, shape: &[usize], levels: usize, skip: bool, device: &Device) -> Pixel {
    let settings = PixelSettings {
        head: 6,
        skip,
        residual: !skip,
        classes: Some(CLASSES),
        ..PixelSettings::new(2, 4)
    };
    let image = ImageLayout::of(kind.name(), shape).unwrap();
    let config = PixelConfig { kind, settings, image, levels };
    config.init(0.3, &mut ChaCha8Rng::seed_from_u64(1), device)
}

fn model(kind: PixelKind, shape: &[usize], levels: usize, skip: bool, device: &Device) -> Pixel {
    shaken(fresh(kind, shape, levels, skip, device), 0.4, 2)
}

fn orderings(shape: &[usize]) -> [Ordering; 2] {
    [OrderingKind::Raster, OrderingKind::Random { seed: 5 }].map(|kind| kind.build(shape).unwrap())
}

fn fresh_nade(ordering: Ordering, device: &Device) -> Nade {
    let means = vec![0.3; ordering.len()];
    let config = NadeConfig { classes: Some(CLASSES), ..NadeConfig::new(ordering, 7) };
    config.init(&means, &mut ChaCha8Rng::seed_from_u64(1), device)
}

fn nade(ordering: Ordering, device: &Device) -> Nade {
    shaken(fresh_nade(ordering, device), 1.0, 2)
}

fn all_of(class: usize, rows: usize) -> Tensor<1, Int> {
    label_tensor(&vec![class as u8; rows], &device())
}

/// Labels in turn.
fn in_turn(rows: usize) -> Vec<u8> {
    (0..rows).map(|row| (row % CLASSES) as u8).collect()
}

/// log p(x | y) of each event, for every class.
fn given<M: Neural<Kind = Int>>(model: &M, rows: &[u8]) -> Vec<Vec<f64>> {
    let variables = model.event_len();
    let x = event_tensor(rows, variables, &device());
    let n = rows.len() / variables;
    (0..CLASSES).map(|y| host(model.log_prob_given(x.clone(), all_of(y, n)))).collect()
}

fn is_normalised_given_each_label<M: Neural<Kind = Int>>(model: &M, levels: usize, what: &str) {
    let variables = model.event_len();
    let all = enumerate_support(variables, levels);
    let by_class = given(model, &all);
    for log_probs in &by_class {
        let mass: f64 = log_probs.iter().map(|log_prob| log_prob.exp()).sum();
        assert!((mass - 1.0).abs() < 1e-10, "{what}: {mass}");
    }
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let gap = |(p, q): (&f64, &f64)| (p - q).abs();
        let gap = by_class[a].iter().zip(&by_class[b]).map(gap).fold(0.0, f64::max);
        assert!(gap > 1e-6, "{what}: classes {a} and {b} by {gap}");
    }
    // Nothing is possible outside the support, whatever the label.
    for class in 0..CLASSES {
        let x = |rows: &[u8]| event_tensor(rows, variables, &device());
        let labels = |rows: &[u8]| all_of(class, rows.len() / variables);
        support_rows(variables, levels, 1e-12, |rows| {
            host(model.log_prob_given(x(rows), labels(rows)))
        })
        .unwrap();
        support_rows(variables, levels, 1e-12, |rows| {
            let per_class = model.log_prob_per_class(x(rows)).narrow(1, class, 1);
            host(per_class.squeeze_dim(1))
        })
        .unwrap();
        support_per_variable(model.ordering(), levels, 1e-12, |rows| {
            host(model.log_prob_per_variable_given(x(rows), labels(rows)).flatten(0, 1))
        })
        .unwrap();
    }
    // All classes at once, and labels that differ within a batch.
    let x = event_tensor(&all, variables, &device());
    let per_class = host(model.log_prob_per_class(x.clone()).flatten(0, 1));
    let n = by_class[0].len();
    let labels = label_tensor(&in_turn(n), &device());
    let mixed = host(model.log_prob_given(x.clone(), labels.clone()));
    let of = model.log_prob_per_variable_given(x, labels);
    let sums = host(of.sum_dim(1).squeeze_dim(1));
    for row in 0..n {
        for (y, log_probs) in by_class.iter().enumerate() {
            assert!((per_class[row * CLASSES + y] - log_probs[row]).abs() < 1e-12, "{what}");
        }
        let expected = by_class[row % CLASSES][row];
        assert!((mixed[row] - expected).abs() < 1e-12, "{what}");
        assert!((sums[row] - expected).abs() < 1e-12, "{what}");
    }
}

#[test]
fn given_each_label_the_model_is_normalised_and_labels_differ() {
    for kind in KINDS {
        for (shape, levels) in EVENTS {
            for skip in [false, true] {
                let model = model(kind, shape, levels, skip, &device());
                is_normalised_given_each_label(&model, levels, &format!("{kind:?} {shape:?}"));
            }
        }
    }
    for ordering in orderings(&[3, 3]) {
        is_normalised_given_each_label(&nade(ordering, &device()), 2, "nade");
    }
}

fn mixes_lawfully<M: Neural<Kind = Int>>(model: &M, levels: usize, what: &str) {
    let (variables, ordering) = (model.event_len(), model.ordering().clone());
    let all = enumerate_support(variables, levels);
    let x = event_tensor(&all, variables, &device());
    normalised(model, variables, levels, &device(), 1e-10).unwrap();
    support(model, variables, levels, &device(), 1e-12).unwrap();
    support_per_variable(&ordering, levels, 1e-12, |rows| {
        let x = event_tensor(rows, variables, &device());
        host(model.log_prob_per_variable(x).flatten(0, 1))
    })
    .unwrap();
    chain_rule(model, &ordering, x.clone(), 1e-10).unwrap();
    same_walks(model, &ordering, x.clone(), 1e-12).unwrap();
    sampler(model, variables, levels, &device(), 20_000, 7, 1e-6).unwrap();
    same_draws(model, &ordering, 50, 9, 0.0).unwrap();
    let by_class = given(model, &all);
    let sums = host(model.log_prob_per_variable(x.clone()).sum_dim(1).squeeze_dim(1));
    for (row, log_prob) in host(model.log_prob(x)).into_iter().enumerate() {
        let p: f64 = by_class.iter().map(|log_probs| log_probs[row].exp()).sum();
        assert!((log_prob - (p / CLASSES as f64).ln()).abs() < 1e-10, "{what}");
        assert!((sums[row] - log_prob).abs() < 1e-10, "{what}");
    }
    // The conditionals that are stepped are those that are computed at once.
    let few = event_tensor(&all[..variables * 20], variables, &device());
    let at_once = model.log_prob_per_variable(few.clone());
    let mut state = model.init_state(20);
    for &i in ordering.as_slice() {
        let x_t = few.clone().narrow(1, i, 1).squeeze_dim::<1>(1);
        let stepped = host(model.conditional(&state).log_prob(x_t.clone()));
        let computed = host(at_once.clone().narrow(1, i, 1).squeeze_dim(1));
        for (a, b) in stepped.into_iter().zip(computed) {
            assert!((a - b).abs() < 1e-10, "{what}: {a} and {b}");
        }
        model.advance(&mut state, x_t);
    }
    // Completions, against the walk one conditional at a time.
    let n = 11;
    let some: Vec<Option<u8>> =
        (0..n * variables).map(|k| (k % 5 < 2).then_some((k % levels) as u8)).collect();
    let cached = model.complete(&some, &mut ChaCha8Rng::seed_from_u64(6));
    let plain = walk::complete(model, &some, &mut ChaCha8Rng::seed_from_u64(6));
    assert_eq!(cached, plain, "{what}");
}

#[test]
fn the_mixture_over_labels_obeys_the_laws() {
    for kind in KINDS {
        for (shape, levels) in EVENTS {
            let model = model(kind, shape, levels, shape.len() == 2, &device());
            mixes_lawfully(&model, levels, &format!("{kind:?} {shape:?}"));
        }
    }
    for ordering in orderings(&[3, 3]) {
        mixes_lawfully(&nade(ordering, &device()), 2, "nade");
    }
}

fn says_nothing_of_nothing<M: Neural<Kind = Int>>(model: &M) {
    let x = event_tensor(&[], model.event_len(), &device());
    assert!(host(model.log_prob(x.clone())).is_empty());
    assert!(host(model.log_prob_given(x, label_tensor(&[], &device()))).is_empty());
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    assert!(model.complete(&[], &mut rng).is_empty());
    assert!(model.complete_given(&[], &[], &mut rng).is_empty());
}

#[test]
fn no_image_has_no_likelihood_and_no_draw() {
    for kind in KINDS {
        says_nothing_of_nothing(&model(kind, &[2, 3], 2, false, &device()));
    }
    says_nothing_of_nothing(&nade(Ordering::raster(6), &device()));
}

/// For an event of 8 values.
fn draws_follow_the_density_given_a_label<M: Neural<Kind = Int>>(model: &M, what: &str) {
    let variables = model.event_len();
    let support = enumerate_support(variables, 2);
    let by_class = given(model, &support);
    let n = 20_000;
    // All classes in one call, so that labels and images cannot be confused unseen.
    let labels = in_turn(CLASSES * n);
    let nothing = vec![None; labels.len() * variables];
    let drawn = model.complete_given(&nothing, &labels, &mut ChaCha8Rng::seed_from_u64(12));
    for (y, log_probs) in by_class.iter().enumerate() {
        let mut counts = vec![0.0; log_probs.len()];
        for image in drawn.chunks_exact(variables).skip(y).step_by(CLASSES) {
            let event = support.chunks_exact(variables).position(|event| event == image);
            counts[event.unwrap()] += 1.0;
        }
        let expected = log_probs.iter().map(|log_prob| log_prob.exp() * n as f64);
        let chi_square: f64 = expected
            .zip(&counts)
            .filter(|(expected, _)| *expected > 0.0)
            .map(|(expected, count)| (count - expected).powi(2) / expected)
            .sum();
        // 7 degrees of freedom: 40.5 is passed with probability 1e-6.
        assert!(chi_square < 40.5, "{what}, class {y}: {chi_square}");
    }
    // What is observed stays.
    let some: Vec<Option<u8>> = (0..nothing.len()).map(|k| (k % 2 == 0).then_some(1)).collect();
    let kept = model.complete_given(&some, &labels, &mut ChaCha8Rng::seed_from_u64(12));
    assert!(kept.iter().step_by(2).all(|&x| x == 1));
}

#[test]
fn what_is_drawn_given_a_label_follows_its_density() {
    for kind in KINDS {
        for shape in [&[1, 3][..], &[3, 1, 1]] {
            let model = model(kind, shape, 2, false, &device());
            draws_follow_the_density_given_a_label(&model, &format!("{kind:?} {shape:?}"));
        }
    }
    for ordering in orderings(&[3]) {
        draws_follow_the_density_given_a_label(&nade(ordering, &device()), "nade");
    }
}

#[test]
fn logits_given_a_label_are_causal() {
    let device = device().autodiff();
    let few = &enumerate_support(6, 2)[6 * 10..6 * 30];
    let x = || event_tensor(few, 6, &device).float();
    let labels = label_tensor(&in_turn(20), &device);
    for kind in KINDS {
        let model = model(kind, &[2, 3], 2, false, &device);
        let logits = |x| model.logits_given(x, labels.clone()).reshape([20, 6]);
        causal_autodiff(&model.ordering().clone(), x(), logits).unwrap();
    }
    for ordering in orderings(&[2, 3]) {
        let model = nade(ordering.clone(), &device);
        causal_autodiff(&ordering, x(), |x| model.logits_given(x, labels.clone())).unwrap();
    }
}

/// Of p(x | y) and of the mixture; `of_class` names a weight that only one class has.
fn has_right_gradients<M: Neural<Kind = Int>>(model: &M, levels: usize, of_class: &str) {
    let (n, device) = (model.event_len(), device().autodiff());
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let rows: Vec<u8> = (0..5 * n).map(|_| (uniform(&mut rng) * levels as f64) as u8).collect();
    let x = event_tensor(&rows, n, &device);
    let labels = label_tensor(&[2, 0, 1, 1, 0], &device);
    let given = |tamper: Tamper<'_>| -> Law {
        let log_prob = |model: &M| model.log_prob_given(x.clone(), labels.clone());
        has_the_right_gradient(model, log_prob, 1e-7, tamper)
    };
    given(None).unwrap();
    has_the_right_gradient(model, |model| model.log_prob(x.clone()), 1e-7, None).unwrap();
    // Negative control: one derivative of a bias per class off.
    assert!(given(Some((of_class, 1.0))).is_err());
}

#[test]
fn gradients_match_central_differences() {
    let device = device().autodiff();
    for kind in KINDS {
        for (shape, levels) in [(&[3, 2][..], 2), (&[3, 2, 1], 4)] {
            has_right_gradients(&model(kind, shape, levels, true, &device), levels, "class_bias");
        }
    }
    for ordering in orderings(&[3, 2]) {
        let model = nade(ordering, &device);
        has_right_gradients(&model, 2, "class_b");
        has_right_gradients(&model, 2, "class_c");
    }
}

#[test]
fn before_training_the_label_says_nothing() {
    fn says_nothing<M: Neural<Kind = Int>>(model: &M) {
        let by_class = given(model, &enumerate_support(6, 2));
        assert_eq!(by_class[0], by_class[1]);
        assert_eq!(by_class[0], by_class[2]);
    }
    for kind in KINDS {
        says_nothing(&fresh(kind, &[2, 3], 2, false, &device()));
    }
    says_nothing(&fresh_nade(Ordering::raster(6), &device()));
}

/// The mixture averages probabilities of images. Averaging anything else is another thing: the means of
/// logits and of log-probabilities, and the means of each conditional with the classes' weights left as
/// they were.
fn tells_other_averages<M: Neural<Kind = Int>>(
    model: &M,
    logits_given: impl Fn(Tensor<2>, Tensor<1, Int>) -> Tensor<2>,
    what: &str,
) {
    let support = enumerate_support(6, 2);
    let gap = |log_prob: &dyn Fn(&[u8]) -> Vec<f64>| {
        let own = host(model.log_prob(event_tensor(&support, 6, &device())));
        let other = log_prob(&support);
        own.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    // Σ_y log p(x | y) / K is no distribution.
    let geometric = |rows: &[u8]| {
        let by_class = given(model, rows);
        let mean = |row: usize| by_class.iter().map(|l| l[row]).sum::<f64>() / CLASSES as f64;
        (0..by_class[0].len()).map(mean).collect::<Vec<f64>>()
    };
    assert!(normalised_rows(6, 2, 1e-9, geometric).is_err(), "{what}");
    let probabilities = |rows: &[u8]| {
        let by_class = given(model, rows);
        let mean =
            |row: usize| (by_class.iter().map(|l| l[row].exp()).sum::<f64>() / CLASSES as f64).ln();
        (0..by_class[0].len()).map(mean).collect::<Vec<f64>>()
    };
    normalised_rows(6, 2, 1e-9, probabilities).unwrap();
    assert!(gap(&probabilities) < 1e-10);
    // Mean logits, and mean conditionals under a posterior that never moves, are distributions:
    // only their disagreement with the mixture, that is the chain rule, tells them.
    let stepped = |of: &dyn Fn(Vec<Tensor<2>>) -> Tensor<2>, rows: &[u8]| {
        let x = event_tensor(rows, 6, &device());
        let n = rows.len() / 6;
        let logits =
            of((0..CLASSES).map(|y| logits_given(x.clone().float(), all_of(y, n))).collect());
        let both = Tensor::stack::<3>(vec![logits.zeros_like(), logits], 2);
        let log_probs = log_softmax(both, 2).gather(2, x.unsqueeze_dim::<3>(2));
        host(log_probs.sum_dim(1).reshape([n]))
    };
    let mean = |all: Vec<Tensor<2>>| Tensor::stack::<3>(all, 2).mean_dim(2).squeeze_dim::<2>(2);
    let mean_of_logits = |rows: &[u8]| stepped(&mean, rows);
    let fixed_weights = |rows: &[u8]| {
        let of = |all: Vec<Tensor<2>>| {
            let p = mean(all.into_iter().map(burn::tensor::activation::sigmoid).collect());
            (p.clone() / (p.neg() + 1.0)).log()
        };
        stepped(&of, rows)
    };
    for wrong in [&mean_of_logits as &dyn Fn(&[u8]) -> Vec<f64>, &fixed_weights] {
        normalised_rows(6, 2, 1e-9, wrong).unwrap();
        assert!(gap(wrong) > 1e-4, "{what}: {}", gap(wrong));
    }
}

#[test]
fn other_averages_over_labels_are_caught() {
    for kind in KINDS {
        let model = model(kind, &[2, 3], 2, false, &device());
        let logits = |x: Tensor<2>, labels| {
            let shape = x.dims();
            model.logits_given(x, labels).reshape(shape)
        };
        tells_other_averages(&model, logits, &format!("{kind:?}"));
    }
    let model = nade(Ordering::raster(6), &device());
    tells_other_averages(&model, |x, labels| model.logits_given(x, labels), "nade");
}

#[test]
fn a_nade_of_one_class_is_that_class() {
    let model = nade(orderings(&[2, 3])[1].clone(), &device());
    let support = enumerate_support(6, 2);
    let by_class = given(&model, &support);
    for (class, log_probs) in by_class.iter().enumerate() {
        let own = host(model.given(class).log_prob(event_tensor(&support, 6, &device())));
        for (a, b) in own.iter().zip(log_probs) {
            assert!((a - b).abs() < 1e-12, "class {class}: {a} and {b}");
        }
    }
}

#[test]
fn features_of_a_nade_with_classes_are_their_mean_given_what_is_seen() {
    let model = nade(orderings(&[2, 3])[1].clone(), &device());
    let rows = &enumerate_support(6, 2)[6 * 10..6 * 30];
    let x = event_tensor(rows, 6, &device());
    let features = |model: &Nade| host(model.features(x.clone()).unwrap().flatten(0, 1));
    let of_class: Vec<Vec<f64>> = (0..CLASSES).map(|class| features(&model.given(class))).collect();
    let by_class = given(&model, rows);
    let found = features(&model);
    let hidden = found.len() / 20;
    for (k, found) in found.into_iter().enumerate() {
        let p = |class: usize| by_class[class][k / hidden].exp();
        let sum: f64 = (0..CLASSES).map(|class| p(class) * of_class[class][k]).sum();
        let expected = sum / (0..CLASSES).map(p).sum::<f64>();
        assert!((found - expected).abs() < 1e-12, "{found} and {expected}");
    }
}
