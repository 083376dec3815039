//! The laws of PixelRNN and PixelCNN given a class label, and of the mixture over labels, in f64.
//!
//! The default precision of a device can be set once per process, so these tests have a binary of
//! their own.

use std::sync::Once;

use ar_models::neural::{Neural, Weight, event_tensor, label_tensor, map_weights, weights};
use ar_models::pixel::{ImageLayout, Pixel, PixelConfig, PixelKind, PixelSettings};
use ar_models::walk;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, DeviceConfig, FloatDType, Gradients, Int, Tensor, TensorData};
use prob_core::laws::{
    Law, causal_autodiff, chain_rule, enumerate_support, gradient, normalised, normalised_rows,
    same_draws, same_walks, sampler,
};
use prob_core::{Autoregressive, Density, standard_normal, uniform};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

const CLASSES: usize = 3;

const KINDS: [PixelKind; 4] =
    [PixelKind::RowLstm, PixelKind::DiagonalLstm, PixelKind::DiagonalBilstm, PixelKind::PixelCnn];

/// 2×3 bits, three levels, and a tiny image in colour.
const EVENTS: [(&[usize], usize); 3] = [(&[2, 3], 2), (&[2, 2], 3), (&[3, 1, 2], 2)];

/// The default device, in f64.
fn device() -> Device {
    static F64: Once = Once::new();
    let mut device = Device::default();
    F64.call_once(|| {
        device.configure(DeviceConfig::default().float_dtype(FloatDType::F64)).unwrap();
    });
    device
}

/// Weights far from their initial values, where a wrong model shows.
fn shaken<M: Module>(model: M, scale: f64) -> M {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    map_weights(model, |_, weight| {
        let values: Vec<f64> =
            (0..weight.dims()[0]).map(|_| standard_normal(&mut rng) * scale).collect();
        Tensor::from_data(TensorData::new(values, weight.dims()), &weight.device())
    })
}

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
    shaken(fresh(kind, shape, levels, skip, device), 0.4)
}

fn host(x: Tensor<1>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

fn all_of(class: usize, images: usize) -> Tensor<1, Int> {
    label_tensor(&vec![class as u8; images], &device())
}

/// log p(x | y) of each event, for every class.
fn given(model: &Pixel, rows: &[u8]) -> Vec<Vec<f64>> {
    let variables = model.event_len();
    let x = event_tensor(rows, variables, &device());
    let n = rows.len() / variables;
    (0..CLASSES).map(|y| host(model.log_prob_given(x.clone(), all_of(y, n)))).collect()
}

#[test]
fn given_each_label_the_model_is_normalised_and_labels_differ() {
    for kind in KINDS {
        for (shape, levels) in EVENTS {
            for skip in [false, true] {
                let model = model(kind, shape, levels, skip, &device());
                let variables = model.event_len();
                let support = enumerate_support(variables, levels);
                let by_class = given(&model, &support);
                for log_probs in &by_class {
                    let mass: f64 = log_probs.iter().map(|log_prob| log_prob.exp()).sum();
                    assert!((mass - 1.0).abs() < 1e-10, "{kind:?} {shape:?}: {mass}");
                }
                for (a, b) in [(0, 1), (0, 2), (1, 2)] {
                    let gap = |(p, q): (&f64, &f64)| (p - q).abs();
                    let gap = by_class[a].iter().zip(&by_class[b]).map(gap).fold(0.0, f64::max);
                    assert!(gap > 1e-6, "{kind:?} {shape:?}: classes {a} and {b} by {gap}");
                }
                // All classes at once, and labels that differ within a batch.
                let x = event_tensor(&support, variables, &device());
                let per_class = host(model.log_prob_per_class(x.clone()).flatten(0, 1));
                let n = by_class[0].len();
                let labels: Vec<u8> = (0..n).map(|row| (row % CLASSES) as u8).collect();
                let mixed = host(model.log_prob_given(x.clone(), label_tensor(&labels, &device())));
                let of = model.log_prob_per_variable_given(x, label_tensor(&labels, &device()));
                let sums = host(of.sum_dim(1).squeeze_dim(1));
                for row in 0..n {
                    for (y, log_probs) in by_class.iter().enumerate() {
                        assert!((per_class[row * CLASSES + y] - log_probs[row]).abs() < 1e-12);
                    }
                    let expected = by_class[row % CLASSES][row];
                    assert!((mixed[row] - expected).abs() < 1e-12, "{kind:?} {shape:?}");
                    assert!((sums[row] - expected).abs() < 1e-12, "{kind:?} {shape:?}");
                }
            }
        }
    }
}

#[test]
fn the_mixture_over_labels_obeys_the_laws() {
    for kind in KINDS {
        for (shape, levels) in EVENTS {
            let model = model(kind, shape, levels, shape.len() == 2, &device());
            let (variables, ordering) = (model.event_len(), model.ordering().clone());
            let support = enumerate_support(variables, levels);
            let x = event_tensor(&support, variables, &device());
            normalised(&model, variables, levels, &device(), 1e-10).unwrap();
            chain_rule(&model, &ordering, x.clone(), 1e-10).unwrap();
            same_walks(&model, &ordering, x.clone(), 1e-12).unwrap();
            sampler(&model, variables, levels, &device(), 20_000, 7, 1e-6).unwrap();
            same_draws(&model, &ordering, 50, 9, 0.0).unwrap();
            let by_class = given(&model, &support);
            let sums = host(model.log_prob_per_variable(x.clone()).sum_dim(1).squeeze_dim(1));
            for (row, log_prob) in host(model.log_prob(x)).into_iter().enumerate() {
                let p: f64 = by_class.iter().map(|log_probs| log_probs[row].exp()).sum();
                assert!((log_prob - (p / CLASSES as f64).ln()).abs() < 1e-10);
                assert!((sums[row] - log_prob).abs() < 1e-10);
            }
            // The conditionals that are stepped are those that are computed at once.
            let few = event_tensor(&support[..variables * 20], variables, &device());
            let at_once = model.log_prob_per_variable(few.clone());
            let mut state = model.init_state(20);
            for &i in ordering.as_slice() {
                let x_t = few.clone().narrow(1, i, 1).squeeze_dim::<1>(1);
                let stepped = host(model.conditional(&state).log_prob(x_t.clone()));
                let computed = host(at_once.clone().narrow(1, i, 1).squeeze_dim(1));
                for (a, b) in stepped.into_iter().zip(computed) {
                    assert!((a - b).abs() < 1e-10, "{kind:?} {shape:?}: {a} and {b}");
                }
                model.advance(&mut state, x_t);
            }
            // Completions, against the walk one conditional at a time.
            let n = 11;
            let some: Vec<Option<u8>> =
                (0..n * variables).map(|k| (k % 5 < 2).then_some((k % levels) as u8)).collect();
            let cached = model.complete(&some, &mut ChaCha8Rng::seed_from_u64(6));
            let plain = walk::complete(&model, &some, &mut ChaCha8Rng::seed_from_u64(6));
            assert_eq!(cached, plain, "{kind:?} {shape:?}");
        }
    }
}

#[test]
fn no_image_has_no_likelihood_and_no_draw() {
    for kind in KINDS {
        let model = model(kind, &[2, 3], 2, false, &device());
        let x = event_tensor(&[], 6, &device());
        assert!(host(model.log_prob(x.clone())).is_empty());
        assert!(host(model.log_prob_given(x, label_tensor(&[], &device()))).is_empty());
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        assert!(model.complete(&[], &mut rng).is_empty());
        assert!(model.complete_given(&[], &[], &mut rng).is_empty());
    }
}

#[test]
fn what_is_drawn_given_a_label_follows_its_density() {
    for kind in KINDS {
        for (shape, levels) in [(&[1, 3][..], 2), (&[3, 1, 1], 2)] {
            let model = model(kind, shape, levels, false, &device());
            let variables = model.event_len();
            let support = enumerate_support(variables, levels);
            let by_class = given(&model, &support);
            let n = 20_000;
            // All classes in one call, so that labels and images cannot be confused unseen.
            let labels: Vec<u8> = (0..CLASSES * n).map(|k| (k % CLASSES) as u8).collect();
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
                assert!(chi_square < 40.5, "{kind:?} {shape:?}, class {y}: {chi_square}");
            }
            // What is observed stays.
            let some: Vec<Option<u8>> =
                (0..nothing.len()).map(|k| (k % 2 == 0).then_some(1)).collect();
            let kept = model.complete_given(&some, &labels, &mut ChaCha8Rng::seed_from_u64(12));
            assert!(kept.iter().step_by(2).all(|&x| x == 1));
        }
    }
}

#[test]
fn logits_given_a_label_are_causal() {
    for kind in KINDS {
        let device = device().autodiff();
        let model = model(kind, &[2, 3], 2, false, &device);
        let few = &enumerate_support(6, 2)[6 * 10..6 * 30];
        let x = event_tensor(few, 6, &device).float();
        let labels: Vec<u8> = (0..20).map(|row| (row % CLASSES) as u8).collect();
        let labels = label_tensor(&labels, &device);
        let logits = |x| model.logits_given(x, labels.clone()).reshape([20, 6]);
        causal_autodiff(&model.ordering().clone(), x, logits).unwrap();
    }
}

/// The gradient of the mean of `loss`, against central differences; at `only` one weight is tampered
/// with.
fn has_the_right_gradient(
    model: &Pixel,
    loss: impl Fn(&Pixel) -> Tensor<1>,
    tamper: Option<&str>,
) -> Law {
    let own: Vec<Weight> = weights(model);
    let at: Vec<f64> = own.iter().flat_map(|w| host(w.values.clone())).collect();
    let with = |flat: &[f64]| {
        let mut start = 0;
        map_weights(model.clone(), |_, old| {
            let [n] = old.dims();
            start += n;
            Tensor::from_data(TensorData::new(flat[start - n..start].to_vec(), [n]), &old.device())
        })
    };
    let loss = |model: &Pixel| loss(model).mean();
    let mut grads = loss(model).backward();
    struct Collect<'a>(&'a mut Gradients, Vec<Vec<f64>>);
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let grad = param.val().grad_remove(self.0).expect("every weight has a gradient");
            self.1.push(grad.into_data().iter::<f64>().collect());
        }
    }
    let mut collect = Collect(&mut grads, Vec::new());
    model.visit(&mut collect);
    let mut claimed = collect.1;
    if let Some(name) = tamper {
        let index = own.iter().position(|weight| weight.name.ends_with(name)).unwrap();
        claimed[index][3] += 1.0;
    }
    let claimed = claimed.concat();
    gradient(|flat| loss(&with(flat)).into_scalar::<f64>(), &at, &claimed, 4, 1e-5, 1e-7, 11)
}

#[test]
fn gradients_match_central_differences() {
    let device = device().autodiff();
    for kind in KINDS {
        for (shape, levels) in [(&[3, 2][..], 2), (&[3, 2, 1], 4)] {
            let model = model(kind, shape, levels, true, &device);
            let n = model.event_len();
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            let rows: Vec<u8> =
                (0..5 * n).map(|_| (uniform(&mut rng) * levels as f64) as u8).collect();
            let x = event_tensor(&rows, n, &device);
            let labels = label_tensor(&[2, 0, 1, 1, 0], &device);
            let conditional = |model: &Pixel| model.log_prob_given(x.clone(), labels.clone());
            has_the_right_gradient(&model, conditional, None).unwrap();
            has_the_right_gradient(&model, |model| model.log_prob(x.clone()), None).unwrap();
            // Negative control: one derivative of a bias per class off.
            assert!(has_the_right_gradient(&model, conditional, Some("class_bias")).is_err());
        }
    }
}

#[test]
fn before_training_the_label_says_nothing() {
    for kind in KINDS {
        let model = fresh(kind, &[2, 3], 2, false, &device());
        let by_class = given(&model, &enumerate_support(6, 2));
        assert_eq!(by_class[0], by_class[1]);
        assert_eq!(by_class[0], by_class[2]);
    }
}

#[test]
fn other_averages_over_labels_are_caught() {
    // The mixture averages probabilities of images. Averaging anything else is another thing: the
    // means of logits and of log-probabilities, and the means of each conditional with the classes'
    // weights left as they were.
    for kind in KINDS {
        let model = model(kind, &[2, 3], 2, false, &device());
        let support = enumerate_support(6, 2);
        let gap = |log_prob: &dyn Fn(&[u8]) -> Vec<f64>| {
            let own = host(model.log_prob(event_tensor(&support, 6, &device())));
            let other = log_prob(&support);
            own.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        // Σ_y log p(x | y) / K is no distribution.
        let geometric = |rows: &[u8]| {
            let by_class = given(&model, rows);
            let mean = |row: usize| by_class.iter().map(|l| l[row]).sum::<f64>() / CLASSES as f64;
            (0..by_class[0].len()).map(mean).collect::<Vec<f64>>()
        };
        assert!(normalised_rows(6, 2, 1e-9, geometric).is_err(), "{kind:?}");
        let probabilities = |rows: &[u8]| {
            let by_class = given(&model, rows);
            let mean = |row: usize| {
                (by_class.iter().map(|l| l[row].exp()).sum::<f64>() / CLASSES as f64).ln()
            };
            (0..by_class[0].len()).map(mean).collect::<Vec<f64>>()
        };
        normalised_rows(6, 2, 1e-9, probabilities).unwrap();
        assert!(gap(&probabilities) < 1e-10);
        // Mean logits, and mean conditionals under a posterior that never moves, are distributions:
        // only their disagreement with the mixture, that is the chain rule, tells them.
        let stepped = |of: &dyn Fn(Vec<Tensor<2>>) -> Tensor<2>, rows: &[u8]| {
            let x = event_tensor(rows, 6, &device());
            let n = rows.len() / 6;
            let logits = |y| model.logits_given(x.clone().float(), all_of(y, n)).reshape([n, 6]);
            let logits = of((0..CLASSES).map(logits).collect());
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
            assert!(gap(wrong) > 1e-4, "{kind:?}: {}", gap(wrong));
        }
    }
}
