//! The fast paths (f32 kernels, fused walks) are equal to the plain ones, on every CPU backend that is
//! compiled in.

use ar_kernels::nade::{self, Weights, reference};
use ar_models::logistic::LogisticConfig;
use ar_models::nade::{Nade, NadeConfig};
use ar_models::neural::{Neural, event_tensor, label_tensor, map_weights};
use ar_models::orderless::OrderlessConfig;
use ar_models::walk;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use prob_core::Density;
use prob_core::dist::bernoulli;
use prob_core::laws::{chain_rule, normalised, same_draws, sampler, sampler_cells, support};
use prob_core::ordering::{Ordering, OrderingKind};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

fn devices() -> Vec<Device> {
    vec![
        #[cfg(feature = "flex")]
        Device::flex(),
        #[cfg(feature = "ndarray")]
        Device::ndarray(),
    ]
}

fn random(n: usize, scale: f32, rng: &mut ChaCha8Rng) -> Vec<f32> {
    (0..n).map(|_| (rng.random::<f32>() - 0.5) * scale).collect()
}

fn strong_nade(ordering: Ordering, hidden: usize, device: &Device) -> Nade {
    let means = vec![0.3; ordering.len()];
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    NadeConfig { ordering, hidden, init_scale: 1.0, classes: None }.init(&means, &mut rng, device)
}

#[test]
fn the_op_and_its_gradients_are_those_of_the_reference() {
    let (batch, dim, hidden) = (9, 17, 21);
    for device in devices().into_iter().map(Device::autodiff) {
        let run = |fused: bool| {
            let mut rng = ChaCha8Rng::seed_from_u64(4);
            let mut tensor = |shape: [usize; 2]| {
                let data = TensorData::new(random(shape[0] * shape[1], 2.0, &mut rng), shape);
                Tensor::<2>::from_data(data, &device).require_grad()
            };
            let (w, v) = (tensor([dim, hidden]), tensor([dim, hidden]));
            let (b, c) = (tensor([1, dim]), tensor([1, hidden]));
            let slopes = tensor([batch, dim]).detach();
            let bits: Vec<f32> =
                (0..batch * dim).map(|_| f32::from(u8::from(rng.random::<f32>() < 0.4))).collect();
            let x = Tensor::<2>::from_data(TensorData::new(bits, [batch, dim]), &device);
            let weights = Weights {
                w: w.clone(),
                v: v.clone(),
                b: b.clone().squeeze_dim(0),
                c: c.clone().squeeze_dim(0),
            };
            let logits =
                if fused { nade::logits(x, weights) } else { reference::logits(x, weights) };
            let grads = (logits.clone() * slopes).sum().backward();
            let grads = [w, v, b, c].map(|p| p.grad(&grads).unwrap().into_data());
            (logits.inner().into_data(), grads)
        };
        let ((logits, grads), (expected, expected_grads)) = (run(true), run(false));
        logits.assert_approx_eq(&expected, Tolerance::<f32>::rel_abs(1e-5, 1e-5));
        for (grad, expected) in grads.iter().zip(&expected_grads) {
            grad.assert_approx_eq(expected, Tolerance::<f32>::rel_abs(1e-4, 1e-5));
        }
    }
}

#[test]
fn the_fused_walk_draws_what_the_plain_walk_draws() {
    for device in devices() {
        for kind in [OrderingKind::Raster, OrderingKind::Random { seed: 3 }] {
            let ordering = kind.build(&[6, 7]).unwrap();
            let model = strong_nade(ordering, 40, &device);
            let rng = || ChaCha8Rng::seed_from_u64(9);
            let free = vec![None; 42 * 30];
            let fused = model.complete(&free, &mut rng());
            assert_eq!(fused, walk::complete(&model, &free, &mut rng()));
            let some: Vec<Option<u8>> =
                (0..42 * 30).map(|k| (k % 5 < 2).then_some(u8::from(k % 3 == 0))).collect();
            let fused = model.complete(&some, &mut rng());
            assert_eq!(fused, walk::complete(&model, &some, &mut rng()));
            assert!(some.iter().zip(&fused).all(|(known, x)| known.is_none_or(|k| k == *x)));
        }
    }
}

#[test]
fn f32_likelihoods_sum_to_one_and_samples_follow_them() {
    for device in devices() {
        let ordering = OrderingKind::Random { seed: 8 }.build(&[3, 3]).unwrap();
        let model = strong_nade(ordering.clone(), 12, &device);
        normalised(&model, 9, 2, &device, 1e-5).unwrap();
        support(&model, 9, 2, &device, 1e-5).unwrap();
        sampler(&model, 9, 2, &device, 20_000, 3, 1e-6).unwrap();
        let logistic = LogisticConfig { ordering }.init(&[0.2; 9], &device);
        normalised(&logistic, 9, 2, &device, 1e-5).unwrap();
        support(&logistic, 9, 2, &device, 1e-5).unwrap();
        sampler(&logistic, 9, 2, &device, 20_000, 3, 1e-6).unwrap();
    }
}

#[test]
fn an_orderless_nade_of_one_layer_runs_on_the_kernel_of_nade() {
    for device in devices() {
        let ordering = OrderingKind::Random { seed: 3 }.build(&[6, 7]).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let model = OrderlessConfig::new(ordering, 40).init(&[0.3; 42], &mut rng, &device);
        let model = map_weights(model, |_, weight| {
            let [n] = weight.dims();
            Tensor::from_data(TensorData::new(random(n, 2.0, &mut rng), [n]), &device)
        });
        let bits: Vec<u8> = (0..42 * 30).map(|_| u8::from(rng.random::<f32>() < 0.4)).collect();
        let x = event_tensor(&bits, 42, &device);
        for ordering in [model.ordering().clone(), Ordering::snake(6, 7)] {
            let along = model.along(ordering);
            // At once by the kernel, step by step without it.
            chain_rule(&along, along.ordering(), x.clone(), 1e-4).unwrap();
            support(&along, 42, 2, &device, 1e-4).unwrap();
            same_draws(&along, along.ordering(), 30, 9, 0.0).unwrap();
        }
        // The plain walk keeps what is observed where it is; a prefix is at the front anyway.
        let first: Vec<usize> = model.ordering().as_slice()[..9].to_vec();
        let some: Vec<Option<u8>> =
            (0..42 * 30).map(|k| first.contains(&(k % 42)).then_some(bits[k])).collect();
        let draw = || ChaCha8Rng::seed_from_u64(9);
        let fused = model.complete(&some, &mut draw());
        assert_eq!(fused, walk::complete(&model, &some, &mut draw()));
        // An empty batch.
        assert!(model.complete(&[], &mut draw()).is_empty());
        assert_eq!(model.ensemble().log_prob(event_tensor(&[], 42, &device)).dims(), [0]);
    }
}

#[test]
fn samples_left_in_the_order_of_the_walk_are_caught() {
    // Mistake 8 of the field: sampling in the ordering instead of its inverse.
    let device = devices().remove(0);
    let ordering = OrderingKind::Random { seed: 8 }.build(&[3, 3]).unwrap();
    let model = strong_nade(ordering.clone(), 12, &device);
    let rows = model.complete(&vec![None; 9 * 20_000], &mut ChaCha8Rng::seed_from_u64(3));
    let all = prob_core::laws::enumerate_support(9, 2);
    let log_probs: Vec<f64> =
        model.log_prob(event_tensor(&all, 9, &device)).into_data().iter::<f64>().collect();
    let cell =
        |row: &mut dyn Iterator<Item = u8>| row.fold(0_usize, |cell, x| cell * 2 + usize::from(x));
    let right = rows.chunks(9).map(|row| cell(&mut row.iter().copied()));
    sampler_cells(&log_probs, right, 1e-6).unwrap();
    let wrong = rows.chunks(9).map(|row| cell(&mut ordering.as_slice().iter().map(|&i| row[i])));
    assert!(sampler_cells(&log_probs, wrong, 1e-6).is_err());
}

#[test]
fn likelihoods_do_not_depend_on_the_number_of_threads_or_the_batch() {
    let device = devices().remove(0);
    let model = strong_nade(Ordering::raster(60), 70, &device).valid();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let rows: Vec<u8> = (0..60 * 130).map(|_| u8::from(rng.random::<f32>() < 0.2)).collect();
    let log_probs = |rows: &[u8]| -> Vec<f32> {
        model.log_prob(event_tensor(rows, 60, &device)).into_data().iter::<f32>().collect()
    };
    let all = log_probs(&rows);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| log_probs(&rows)), all, "{threads} threads");
    }
    let one_by_one: Vec<f32> = rows.chunks(60).flat_map(log_probs).collect();
    assert_eq!(one_by_one, all);
}

#[test]
fn an_empty_batch_is_an_empty_answer() {
    for device in devices() {
        let model = strong_nade(Ordering::raster(4), 3, &device);
        assert!(model.complete(&[], &mut ChaCha8Rng::seed_from_u64(1)).is_empty());
        assert_eq!(model.log_prob(event_tensor(&[], 4, &device)).dims(), [0]);
    }
}

#[test]
fn one_variable_is_a_coin() {
    for device in devices() {
        let model = strong_nade(Ordering::raster(1), 3, &device);
        normalised(&model, 1, 2, &device, 1e-6).unwrap();
    }
}

/// A NADE of three classes with weights that a wrong path shows, on a device with autodiff.
fn nade_of_classes(ordering: Ordering, hidden: usize, device: &Device) -> Nade {
    let means = vec![0.3; ordering.len()];
    let config = NadeConfig { classes: Some(3), ..NadeConfig::new(ordering, hidden) };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let model = config.init(&means, &mut rng, device);
    map_weights(model, |_, weight| {
        let [n] = weight.dims();
        Tensor::from_data(TensorData::new(random(n, 2.0, &mut rng), [n]), &weight.device())
    })
}

/// The weights' gradients of some mean of log p(x | y), and log p(x | y).
fn slopes(model: &Nade, rows: &[u8], labels: &[u8], device: &Device) -> (Vec<f32>, Vec<Vec<f32>>) {
    let x = event_tensor(rows, model.ordering().len(), device);
    let log_prob = model.log_prob_given(x, label_tensor(labels, device));
    let grads = log_prob.clone().mean().backward();
    let values = |x: Tensor<1>| -> Vec<f32> { x.into_data().iter::<f32>().collect() };
    let of = |p: &Tensor<2>| values(p.grad(&grads).unwrap().flatten(0, 1));
    let [b, c] = [&model.b, &model.c].map(|p| values(p.val().grad(&grads).unwrap()));
    let (class_b, class_c) = (model.class_b.as_ref().unwrap(), model.class_c.as_ref().unwrap());
    let [w, v, class_b, class_c] = [&model.w, &model.v, class_b, class_c].map(|p| of(&p.val()));
    (values(log_prob.inner()), vec![w, v, b, c, class_b, class_c])
}

#[test]
fn a_nade_with_classes_is_on_the_kernel_what_each_class_is_by_reference() {
    let (dim, hidden, n) = (42, 19, 23);
    for device in devices().into_iter().map(Device::autodiff) {
        let ordering = OrderingKind::Random { seed: 3 }.build(&[dim]).unwrap();
        let model = nade_of_classes(ordering.clone(), hidden, &device);
        let rows: Vec<u8> = (0..n * dim).map(|k| u8::from(k % 3 == 0 || k % 7 == 1)).collect();
        let labels: Vec<u8> = (0..n).map(|k| (k * k % 3) as u8).collect();
        let (log_prob, fused) = slopes(&model, &rows, &labels, &device);
        // Row by row, with the biases of the row's class, in plain operations.
        let plain = labels.iter().zip(rows.chunks_exact(dim)).map(|(&label, row)| {
            let of = |p: &Option<burn::module::Param<Tensor<2>>>| {
                p.as_ref().unwrap().val().narrow(0, label.into(), 1).squeeze_dim::<1>(0)
            };
            let weights = Weights {
                w: model.w.val(),
                v: model.v.val(),
                b: model.b.val() + of(&model.class_b),
                c: model.c.val() + of(&model.class_c),
            };
            let in_walk: Vec<f32> = ordering.as_slice().iter().map(|&i| row[i].into()).collect();
            let x = Tensor::<2>::from_data(TensorData::new(in_walk, [1, dim]), &device);
            bernoulli::log_prob(reference::logits(x.clone(), weights), x).sum()
        });
        let plain = Tensor::cat(plain.collect(), 0);
        let tolerance = Tolerance::<f32>::rel_abs(1e-4, 1e-5);
        let expected: Vec<f32> = plain.clone().inner().into_data().iter::<f32>().collect();
        let compare = |ours: &[f32], expected: &[f32]| {
            let data = |x: &[f32]| TensorData::new(x.to_vec(), [x.len()]);
            data(ours).assert_approx_eq(&data(expected), tolerance);
        };
        compare(&log_prob, &expected);
        let grads = plain.mean().backward();
        let flat = |p: Tensor<2>| -> Vec<f32> { p.into_data().iter::<f32>().collect() };
        let [class_b, class_c] = [&model.class_b, &model.class_c].map(|p| p.as_ref().unwrap());
        for (k, p) in [&model.w, &model.v, class_b, class_c].into_iter().enumerate() {
            let k = if k < 2 { k } else { k + 2 };
            compare(&fused[k], &flat(p.val().grad(&grads).unwrap()));
        }
        for (k, p) in [&model.b, &model.c].into_iter().enumerate() {
            compare(&fused[2 + k], &flat(p.val().grad(&grads).unwrap().unsqueeze()));
        }
    }
}

#[test]
fn a_nade_with_classes_does_not_depend_on_the_number_of_threads() {
    let device = devices().remove(0).autodiff();
    let model = nade_of_classes(Ordering::raster(60), 70, &device);
    let rows: Vec<u8> = (0..60 * 130).map(|k| u8::from(k % 5 == 0 || k % 11 == 3)).collect();
    let labels: Vec<u8> = (0..130).map(|k| (k % 3) as u8).collect();
    let all = slopes(&model, &rows, &labels, &device);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let same = pool.install(|| slopes(&model, &rows, &labels, &device)) == all;
        assert!(same, "{threads} threads");
    }
}

#[test]
fn a_nade_with_classes_draws_what_its_plain_walks_draw() {
    for device in devices() {
        let ordering = OrderingKind::Random { seed: 3 }.build(&[6, 7]).unwrap();
        let model = nade_of_classes(ordering.clone(), 40, &device);
        let some: Vec<Option<u8>> =
            (0..42 * 30).map(|k| (k % 5 < 2).then_some(u8::from(k % 3 == 0))).collect();
        let rng = || ChaCha8Rng::seed_from_u64(9);
        for class in 0..3 {
            let fused = model.complete_given(&some, &[class; 30], &mut rng());
            let own = model.given(class.into());
            assert_eq!(fused, walk::complete(&own, &some, &mut rng()));
        }
        // The mixture, against its density.
        let small = nade_of_classes(OrderingKind::Snake.build(&[3, 3]).unwrap(), 12, &device);
        normalised(&small, 9, 2, &device, 1e-5).unwrap();
        support(&small, 9, 2, &device, 1e-5).unwrap();
        sampler(&small, 9, 2, &device, 20_000, 3, 1e-6).unwrap();
        let x = event_tensor(&prob_core::laws::enumerate_support(9, 2), 9, &device);
        chain_rule(&small, small.ordering(), x, 1e-4).unwrap();
    }
}

#[test]
fn a_model_with_classes_is_the_same_on_kernels_and_in_walks() {
    use ar_models::pixel::{ImageLayout, PixelConfig, PixelKind, PixelSettings};
    let device = Device::default();
    for kind in [PixelKind::RowLstm, PixelKind::DiagonalBilstm, PixelKind::PixelCnn] {
        let settings = PixelSettings { classes: Some(3), ..PixelSettings::new(2, 8) };
        let image = ImageLayout::of(kind.name(), &[5, 4]).unwrap();
        let config = PixelConfig { kind, settings, image, levels: 3 };
        let model = config.init(0.5, &mut ChaCha8Rng::seed_from_u64(1), &device);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let model = map_weights(model, |_, weight| {
            let [n] = weight.dims();
            let values: Vec<f32> =
                (0..n).map(|_| prob_core::standard_normal(&mut rng) as f32 * 0.3).collect();
            Tensor::from_data(TensorData::new(values, [n]), &device)
        });
        let n = 40;
        let some: Vec<Option<u8>> = (0..n * 20).map(|k| (k % 7 == 0).then_some(2)).collect();
        let draw = || ChaCha8Rng::seed_from_u64(3);
        let cached = model.complete(&some, &mut draw());
        assert_eq!(cached, walk::complete(&model, &some, &mut draw()), "{kind:?}");
        // A label per image, and one for all of a batch.
        let x = event_tensor(&cached, 20, &device);
        let labels: Vec<u8> = (0..n).map(|k| (k % 3) as u8).collect();
        let given = model.log_prob_given(x.clone(), label_tensor(&labels, &device));
        let given: Vec<f64> = given.into_data().iter::<f64>().collect();
        let all: Vec<f64> = model.log_prob_per_class(x).into_data().iter::<f64>().collect();
        for (k, given) in given.into_iter().enumerate() {
            assert!((given - all[3 * k + k % 3]).abs() < 1e-4, "{kind:?}");
        }
    }
}
