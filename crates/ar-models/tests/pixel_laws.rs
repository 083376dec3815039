//! The laws of PixelRNN and PixelCNN in f64, binary and in colour, each beside a model that breaks it.
//!
//! The default precision of a device can be set once per process, so these tests have a binary of
//! their own. What runs here is the plain path; `ar-kernels/tests/pixel.rs` shows that the kernels are
//! equal to it, and `pixel_fused.rs` that the models on them are.

mod common;

use ar_kernels::pixel::{Convolution, Kind, Lstm, Weights, convolution, lstm};
use ar_models::neural::{Neural, event_tensor, map_weights, weights};
use ar_models::pixel::{
    ImageLayout, Likelihood, Pixel, PixelConfig, PixelKind, PixelSettings, receptive_field,
};
use ar_models::walk;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::ops::PadMode;
use burn::tensor::{Device, Int, Tensor, TensorData};
use common::{device, has_the_right_gradient, host, shaken};
use prob_core::dist::{bernoulli, categorical};
use prob_core::laws::{
    causal_autodiff, chain_rule, enumerate_support, normalised, normalised_rows, same_draws,
    same_walks, sampler, support, support_per_variable,
};
use prob_core::{Autoregressive, Density, Sample, standard_normal, uniform};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

const KINDS: [PixelKind; 4] =
    [PixelKind::RowLstm, PixelKind::DiagonalLstm, PixelKind::DiagonalBilstm, PixelKind::PixelCnn];

fn model(
    kind: PixelKind,
    shape: &[usize],
    levels: usize,
    settings: PixelSettings,
    device: &Device,
) -> Pixel {
    let image = ImageLayout::of(kind.name(), shape).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let config = PixelConfig { kind, settings, image, levels };
    shaken(config.init(0.3, &mut rng, device), 0.5, 2)
}

/// Two layers, the second time with skips and without residuals.
fn settings() -> [PixelSettings; 2] {
    let plain = PixelSettings { head: 12, ..PixelSettings::new(2, 6) };
    let other = PixelSettings { skip: true, residual: false, recompute: true, ..plain.clone() };
    [plain, other]
}

fn events(rows: &[u8], variables: usize, device: &Device) -> Tensor<2, Int> {
    event_tensor(rows, variables, device)
}

/// One number per variable that moves with all its logits.
fn conditionals(model: &Pixel, x: Tensor<2>) -> Tensor<2> {
    let logits = model.logits(x);
    let [batch, variables, width] = logits.dims();
    let ramp: Vec<f64> = (0..width).map(|k| 1.0 + k as f64).collect();
    let ramp = Tensor::<3>::from_data(TensorData::new(ramp, [1, 1, width]), &logits.device());
    (logits * ramp).sum_dim(2).reshape([batch, variables])
}

fn obeys(kind: PixelKind, shape: &[usize], levels: usize, settings: &PixelSettings) {
    let device = device();
    let own = model(kind, shape, levels, settings.clone(), &device);
    let tracked = model(kind, shape, levels, settings.clone(), &device.clone().autodiff());
    let variables = own.event_len();
    let ordering = own.ordering().clone();
    normalised(&own, variables, levels, &device, 1e-10).unwrap();
    support(&own, variables, levels, &device, 1e-12).unwrap();
    support_per_variable(&ordering, levels, 1e-12, |rows| {
        host(own.log_prob_per_variable(events(rows, variables, &device)).flatten(0, 1))
    })
    .unwrap();
    let all = enumerate_support(variables, levels);
    let some = &all[..variables * (all.len() / variables).min(4096)];
    chain_rule(&own, &ordering, events(some, variables, &device), 1e-10).unwrap();
    same_walks(&own, &ordering, events(&some[..4 * variables], variables, &device), 1e-12).unwrap();
    let few: Vec<u8> =
        all.chunks(variables).skip(3).step_by(97).take(20).flatten().copied().collect();
    let x = events(&few, variables, &device).float();
    causal_autodiff(&ordering, x, |x| conditionals(&tracked, x)).unwrap();
    sampler(&own, variables, levels, &device, 20_000, 7, 1e-6).unwrap();
    same_draws(&own, &ordering, 50, 9, 0.0).unwrap();
    let x = events(some, variables, &device);
    let sums = host(own.log_prob_per_variable(x.clone()).sum_dim(1).squeeze_dim(1));
    for (sum, log_prob) in sums.into_iter().zip(host(own.log_prob(x))) {
        assert!((sum - log_prob).abs() < 1e-10);
    }
}

#[test]
fn binary_images_obey_the_laws() {
    for kind in KINDS {
        for settings in settings() {
            obeys(kind, &[3, 4], 2, &settings);
        }
    }
}

#[test]
fn colour_images_obey_the_laws() {
    for kind in KINDS {
        for settings in settings() {
            obeys(kind, &[3, 2, 2], 2, &settings);
        }
        obeys(kind, &[2, 2, 3], 2, &settings()[0]);
    }
}

#[test]
fn images_of_several_levels_obey_the_laws() {
    for kind in KINDS {
        obeys(kind, &[2, 3], 4, &settings()[0]);
        obeys(kind, &[3, 1, 2], 3, &settings()[1]);
    }
}

/// The same settings, with levels under a mixture of logistics.
fn mixed(settings: PixelSettings) -> PixelSettings {
    PixelSettings { likelihood: Likelihood::LogisticMixture, components: 3, ..settings }
}

#[test]
fn images_of_several_levels_under_a_mixture_obey_the_laws() {
    for kind in KINDS {
        for settings in settings().map(mixed) {
            obeys(kind, &[2, 3], 4, &settings);
            obeys(kind, &[3, 1, 2], 3, &settings);
        }
    }
    obeys(PixelKind::PixelCnn, &[1, 2], 200, &mixed(settings()[0].clone()));
}

/// A density, and the draws of another model.
struct Torn(Pixel, Pixel);

impl Density for Torn {
    type Event = Tensor<2, Int>;
    fn log_prob(&self, x: Self::Event) -> Tensor<1> {
        self.0.log_prob(x)
    }
}

impl Sample for Torn {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Self::Event {
        self.1.sample(n, rng)
    }
}

#[test]
fn mistakes_in_a_mixture_of_levels_are_caught() {
    let (device, levels) = (device(), 5);
    let settings = PixelSettings { components: 2, ..mixed(settings()[0].clone()) };
    let own = model(PixelKind::RowLstm, &[1, 3], levels, settings.clone(), &device);
    // log p from the outputs as the paper defines it, with or without its half steps and tails.
    let of = |half_step: f64, tails: bool| {
        normalised_rows(3, levels, 1e-9, |rows| {
            let x = events(rows, 3, &device).float();
            let outputs = own.logits(x.clone());
            let part = |k: usize| outputs.clone().narrow(2, 2 * k, 2);
            let half = 0.25;
            let scales = part(2).exp().add_scalar(half / 16.0);
            let x = x.unsqueeze_dim::<3>(2).expand([rows.len() / 3, 3, 2]);
            let u = x.clone().mul_scalar(2.0 * half).sub_scalar(1.0) - part(1);
            let end = |by: f64| sigmoid(u.clone().add_scalar(by) / scales.clone());
            let (mut below, mut above) = (end(-half_step), end(half));
            if tails {
                below = below.mask_fill(x.clone().equal_scalar(0.0), 0.0);
                above = above.mask_fill(x.equal_scalar(4.0), 1.0);
            }
            let weights = softmax(part(0), 2);
            let masses = ((above - below) * weights).sum_dim(2);
            host(masses.log().sum_dim(1).flatten(0, 2))
        })
    };
    of(0.25, true).unwrap();
    assert!(of(0.0, true).is_err(), "a half step that is forgotten");
    assert!(of(0.25, false).is_err(), "edges without their tails");
    // Draws from other scales: all components twice as wide.
    let wider = |weight: Tensor<1>| {
        let wide: Vec<f64> = [0.0, 0.0, 0.0, 0.0, 2.0_f64.ln(), 2.0_f64.ln()].to_vec();
        weight.clone() + Tensor::from_data(TensorData::new(wide, [6]), &weight.device())
    };
    let last = weights(&own).iter().position(|weight| weight.name == "head.1.bias").unwrap();
    let other = map_weights(
        own.clone(),
        |index, weight| {
            if index == last { wider(weight) } else { weight }
        },
    );
    let draws = |model: &Torn| sampler(model, 3, levels, &device, 20_000, 7, 1e-6);
    draws(&Torn(own.clone(), own.clone())).unwrap();
    assert!(draws(&Torn(own, other)).is_err());
}

/// A model that reads a symbol above the levels as the last of them.
struct Clamped(Pixel, usize);

impl Density for Clamped {
    type Event = Tensor<2, Int>;
    fn log_prob(&self, x: Self::Event) -> Tensor<1> {
        self.0.log_prob(x.clamp(0, self.1 as i64 - 1))
    }
}

#[test]
fn a_symbol_that_is_taken_for_the_last_level_is_caught() {
    let own = model(PixelKind::RowLstm, &[2, 3], 4, settings()[0].clone(), &device());
    let clamped = Clamped(own, 4);
    normalised(&clamped, 6, 4, &device(), 1e-10).unwrap();
    assert!(support(&clamped, 6, 4, &device(), 1e-12).is_err());
}

/// A full pass for every value, from the same uniforms as the model's own walk.
fn naive(model: &Pixel, levels: usize, n: usize, seed: u64) -> Vec<u8> {
    let variables = model.event_len();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let uniforms: Vec<f64> = (0..n * variables).map(|_| uniform(&mut rng)).collect();
    let mut x = vec![0_u8; n * variables];
    let ordering = model.ordering().clone();
    for t in 0..variables {
        let i = ordering[t];
        let values = events(&x, variables, &device()).float();
        let logits = model.logits(values);
        let [_, _, width] = logits.dims();
        let logits: Vec<f64> = logits.narrow(1, i, 1).into_data().iter::<f64>().collect();
        for (row, logits) in logits.chunks_exact(width).enumerate() {
            let all = if levels == 2 { vec![0.0, logits[0]] } else { logits.to_vec() };
            x[row * variables + i] = categorical::draw(&all, uniforms[t * n + row]) as u8;
        }
    }
    x
}

#[test]
fn the_cached_walk_draws_what_full_passes_draw() {
    for kind in KINDS {
        for settings in settings() {
            for (shape, levels) in
                [(&[6, 5][..], 2), (&[5, 7], 17), (&[3, 4, 3], 5), (&[3, 4, 3], 2)]
            {
                let model = model(kind, shape, levels, settings.clone(), &device());
                let n = 11;
                let nothing = vec![None; n * model.event_len()];
                let cached = model.complete(&nothing, &mut ChaCha8Rng::seed_from_u64(5));
                assert_eq!(cached, naive(&model, levels, n, 5), "{kind:?} {shape:?}");
                if levels > 2 {
                    // Under a mixture, draw for draw by the walk one conditional at a time.
                    let model =
                        self::model(kind, shape, levels, mixed(settings.clone()), &device());
                    let drawn = model.complete(&nothing, &mut ChaCha8Rng::seed_from_u64(5));
                    let plain = walk::complete(&model, &nothing, &mut ChaCha8Rng::seed_from_u64(5));
                    assert_eq!(drawn, plain, "{kind:?} {shape:?}");
                }
                // Completions, against the walk one conditional at a time.
                let some: Vec<Option<u8>> =
                    (0..nothing.len()).map(|k| (k % 5 < 2).then_some((k % levels) as u8)).collect();
                let cached = model.complete(&some, &mut ChaCha8Rng::seed_from_u64(6));
                let plain = walk::complete(&model, &some, &mut ChaCha8Rng::seed_from_u64(6));
                assert_eq!(cached, plain, "{kind:?} {shape:?}");
            }
        }
    }
}

#[test]
fn gradients_match_central_differences() {
    let device = device().autodiff();
    for kind in KINDS {
        for (shape, levels) in [(&[4, 3][..], 2), (&[3, 2, 3], 5), (&[3, 2, 3], 6)] {
            let own = settings()[1].clone();
            let own = if levels == 6 { mixed(own) } else { own };
            let model = model(kind, shape, levels, own, &device);
            let n = model.event_len();
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            let rows: Vec<u8> =
                (0..5 * n).map(|_| (uniform(&mut rng) * levels as f64) as u8).collect();
            let x = events(&rows, n, &device);
            let of = |tamper| {
                has_the_right_gradient(&model, |model| model.log_prob(x.clone()), 1e-7, tamper)
            };
            of(None).unwrap();
            // Negative control: one derivative off.
            assert!(of(Some(("input.weights", 1.0))).is_err());
        }
    }
}

/// Largest |∂ conditional of variable i / ∂ x_j| over some images.
fn jacobian(model: &Pixel, x: &Tensor<2>) -> Vec<Vec<f64>> {
    let [batch, variables] = x.dims();
    (0..variables)
        .map(|i| {
            let leaf = x.clone().detach().autodiff().require_grad();
            let output = conditionals(model, leaf.clone()).narrow(1, i, 1);
            let Some(grad) = leaf.grad(&output.sum().backward()) else {
                return vec![0.0; variables];
            };
            let grad: Vec<f64> = grad.into_data().iter::<f64>().collect();
            (0..variables)
                .map(|j| (0..batch).map(|r| grad[r * variables + j].abs()).fold(0.0, f64::max))
                .collect()
        })
        .collect()
}

#[test]
fn every_pixel_sees_exactly_the_receptive_field_of_the_paper() {
    let [height, width] = [6, 9];
    let variables = height * width;
    for kind in KINDS {
        for layers in [1, 2] {
            let settings = PixelSettings { head: 12, ..PixelSettings::new(layers, 8) };
            let device = device().autodiff();
            let image = ImageLayout::of(kind.name(), &[height, width]).unwrap();
            let config = PixelConfig { kind, settings, image, levels: 2 };
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            // Mild weights, so that no gate shuts and far derivatives do not underflow to zero.
            let model = shaken(config.init(0.3, &mut rng, &device), 0.4, 2);
            let rows: Vec<u8> =
                (0..12 * variables).map(|_| u8::from(uniform(&mut rng) < 0.5)).collect();
            let x = events(&rows, variables, &device).float();
            let field = receptive_field(kind, layers, [height, width]);
            for (i, row) in jacobian(&model, &x).iter().enumerate() {
                for (j, derivative) in row.iter().enumerate() {
                    let what = format!("{kind:?}, {layers} layers: pixel {i} of pixel {j}");
                    assert_eq!(*derivative != 0.0, field[i][j], "{what}: {derivative}");
                    assert!(j < i || !field[i][j], "{what}");
                }
            }
            if kind == PixelKind::DiagonalBilstm {
                // All earlier pixels but the last of the row above, unless the window reaches it.
                for (i, row) in field.iter().enumerate() {
                    for (j, &seen) in row.iter().enumerate().take(i) {
                        let last_above = i / width > 0 && j == (i / width) * width - 1;
                        assert_eq!(seen, !last_above || i % width + 4 >= width, "{i} of {j}");
                    }
                }
            }
        }
    }
}

#[test]
fn colours_see_earlier_colours_of_their_pixel_and_no_later_ones() {
    for kind in KINDS {
        let device = device().autodiff();
        let model = model(kind, &[2, 3, 3], 2, settings()[0].clone(), &device);
        let n = model.event_len();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let rows: Vec<u8> = (0..30 * n).map(|_| u8::from(uniform(&mut rng) < 0.5)).collect();
        let jacobian = jacobian(&model, &events(&rows, n, &device).float());
        for pixel in 0..n / 3 {
            for to in 0..3 {
                for from in 0..3 {
                    let derivative = jacobian[3 * pixel + to][3 * pixel + from];
                    assert_eq!(derivative != 0.0, from < to, "{kind:?}: colour {to} of {from}");
                }
                // And every colour sees all colours of the pixel to the left.
                if pixel % 3 > 0 {
                    let left = &jacobian[3 * pixel + to][3 * (pixel - 1)..3 * pixel];
                    assert!(left.iter().all(|d| *d != 0.0), "{kind:?}: {left:?}");
                }
            }
        }
    }
}

/// A one-layer network over 3×4 bits, built from the ops by hand so that it can be broken.
struct ByHand {
    input: Tensor<3>,
    layer: Weights,
    out: Tensor<3>,
}

/// How the right-to-left map is made to enter.
#[derive(Clone, Copy, PartialEq)]
enum RightToLeft {
    /// One row lower.
    Shifted,
    /// Where it was computed, its last row zeroed.
    LastRowZeroed,
    /// Flipped along the rows.
    WrongAxis,
    /// Not flipped back.
    NotUndone,
}

impl ByHand {
    fn new(device: &Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let mut normal =
            |n: usize| -> Vec<f64> { (0..n).map(|_| standard_normal(&mut rng)).collect() };
        fn of<const D: usize>(v: Vec<f64>, shape: [usize; D], device: &Device) -> Tensor<D> {
            Tensor::from_data(TensorData::new(v, shape), device)
        }
        Self {
            input: of(normal(24 * 6), [24, 1, 6], device),
            layer: Weights {
                input_to_state: of(normal(2 * 6 * 12), [2, 1, 6, 12], device),
                state_to_state: of(normal(2 * 2 * 3 * 12), [2, 2, 3, 12], device),
                bias: of(normal(24), [2, 1, 12], device),
                initial: of(normal(12), [2, 2, 3], device),
                up: of(normal(18), [3, 6], device),
                up_bias: of(normal(6), [6], device),
            },
            out: of(normal(6), [1, 6, 1], device),
        }
    }

    fn convolve(&self, x: Tensor<2>, taps: Convolution, weights: Tensor<3>) -> Tensor<4> {
        let [batch, _] = x.dims();
        let bias = Tensor::zeros([1, 6], &x.device());
        convolution(&taps, x.reshape([batch, 3, 4, 1]), weights, bias)
    }

    fn head(&self, y: Tensor<4>) -> Tensor<2> {
        let [batch, ..] = y.dims();
        let here = Convolution { taps: vec![[0, 0]], rectify: true };
        let bias = Tensor::zeros([1, 1], &y.device());
        convolution(&here, y, self.out.clone(), bias).reshape([batch, 12])
    }

    /// One direction of the layer, left to right, without its residual.
    fn direction(&self, d: usize, y: Tensor<4>) -> Tensor<4> {
        let Weights { input_to_state, state_to_state, bias, initial, up, .. } = self.layer.clone();
        let weights = Weights {
            input_to_state: input_to_state.narrow(0, d, 1),
            state_to_state: state_to_state.narrow(0, d, 1),
            bias: bias.narrow(0, d, 1),
            initial: initial.narrow(0, d, 1),
            up,
            up_bias: Tensor::zeros([6], &y.device()),
        };
        lstm(Lstm { kind: Kind::Diagonal, residual: false, recompute: false }, y, weights)
    }

    fn diagonal(&self, x: Tensor<2>, right: RightToLeft) -> Tensor<2> {
        let y = self.convolve(x, Convolution::causal(7, false), self.input.clone());
        let axis = if right == RightToLeft::WrongAxis { 1 } else { 2 };
        let map = self.direction(1, y.clone().flip([axis]));
        let map = if right == RightToLeft::NotUndone { map } else { map.flip([axis]) };
        let [batch, height, width, channels] = map.dims();
        let empty = Tensor::zeros([batch, 1, width, channels], &map.device());
        let kept = map.narrow(1, 0, height - 1);
        let map = if right == RightToLeft::LastRowZeroed {
            Tensor::cat(vec![kept, empty], 1)
        } else {
            Tensor::cat(vec![empty, kept], 1)
        };
        let bias = self.layer.up_bias.clone().reshape([1, 1, 1, channels]);
        self.head(y.clone() + self.direction(0, y) + map + bias)
    }
}

/// log p of every event from logits, as a model with those logits would have it.
fn rows_from(logits: impl Fn(Tensor<2>) -> Tensor<2>) -> impl FnMut(&[u8]) -> Vec<f64> {
    move |rows| {
        let x = events(rows, 12, &device()).float();
        host(bernoulli::log_prob(logits(x.clone()), x).sum_dim(1).squeeze_dim(1))
    }
}

/// Whether both laws that see a leak accept these logits.
fn is_causal(logits: impl Fn(&ByHand, Tensor<2>) -> Tensor<2>) -> [bool; 2] {
    let plain = ByHand::new(&device());
    let tracked = ByHand::new(&device().autodiff());
    let mass = normalised_rows(12, 2, 1e-9, rows_from(|x| logits(&plain, x)));
    let ordering = prob_core::ordering::Ordering::raster(12);
    let some = enumerate_support(12, 2)[12 * 1000..12 * 1040].to_vec();
    let x = events(&some, 12, &device()).float();
    let causal = causal_autodiff(&ordering, x, |x| logits(&tracked, x));
    [mass.is_ok(), causal.is_ok()]
}

#[test]
fn the_layer_built_by_hand_is_the_layer() {
    let by_hand = ByHand::new(&device());
    let x = events(&enumerate_support(12, 2)[..12 * 300], 12, &device()).float();
    let found = by_hand.diagonal(x.clone(), RightToLeft::Shifted);
    let y = by_hand.convolve(x, Convolution::causal(7, false), by_hand.input.clone());
    let both = Lstm { kind: Kind::DiagonalBoth, residual: true, recompute: false };
    let expected = by_hand.head(lstm(both, y, by_hand.layer.clone()));
    let gap = (found - expected).abs().max().into_scalar::<f64>();
    assert!(gap < 1e-12, "{gap}");
}

#[test]
fn a_right_to_left_map_that_enters_wrongly_is_caught() {
    // Mistake 3 of the field.
    let with = |right: RightToLeft| is_causal(|net, x| net.diagonal(x, right));
    assert_eq!(with(RightToLeft::Shifted), [true, true]);
    assert_eq!(with(RightToLeft::LastRowZeroed), [false, false]);
    assert_eq!(with(RightToLeft::WrongAxis), [false, false]);
    // Not flipped back, a map one row up holds other columns of the row above: no leak, so the laws of
    // the likelihood accept it. It is told from the layer by its values and by what it sees.
    let by_hand = ByHand::new(&device());
    let x = events(&enumerate_support(12, 2)[12 * 900..12 * 930], 12, &device()).float();
    let right = by_hand.diagonal(x.clone(), RightToLeft::Shifted);
    let wrong = by_hand.diagonal(x, RightToLeft::NotUndone);
    assert!((right - wrong).abs().max().into_scalar::<f64>() > 1e-3);
}

#[test]
fn a_two_tap_convolution_padded_at_the_bottom_is_caught() {
    // Mistake 3: "same" padding that puts the zero below reads the row beneath.
    let leaky = Convolution { taps: vec![[0, 0], [1, 0]], rectify: false };
    let logits = |net: &ByHand, x: Tensor<2>| {
        let y = net.convolve(x, Convolution::causal(7, false), net.input.clone());
        let weights = net.layer.input_to_state.clone().reshape([2, 6, 12]);
        let bias = Tensor::zeros([1, 12], &y.device());
        let z = convolution(&leaky, y.clone(), weights, bias);
        net.head(y + z.tanh().narrow(3, 0, 6))
    };
    assert_eq!(is_causal(logits), [false, false]);
    let sound = Convolution { taps: vec![[0, 0], [-1, 0]], rectify: false };
    let logits = |net: &ByHand, x: Tensor<2>| {
        let y = net.convolve(x, Convolution::causal(7, false), net.input.clone());
        let weights = net.layer.input_to_state.clone().reshape([2, 6, 12]);
        let bias = Tensor::zeros([1, 12], &y.device());
        let z = convolution(&sound, y.clone(), weights, bias);
        net.head(y + z.tanh().narrow(3, 0, 6))
    };
    assert_eq!(is_causal(logits), [true, true]);
}

#[test]
fn a_view_taken_for_a_transpose_is_caught() {
    // Mistake 3: the map's axes are swapped in memory, not in meaning.
    let logits = |net: &ByHand, x: Tensor<2>| {
        let [batch, _] = x.dims();
        let y = net.convolve(x, Convolution::causal(7, false), net.input.clone());
        let turned = y.clone().swap_dims(1, 2).reshape([batch, 3, 4, 6]);
        net.head(y + net.direction(0, turned))
    };
    assert_eq!(is_causal(logits), [false, false]);
}

#[test]
fn mistakes_that_lose_context_are_told_by_the_receptive_field() {
    // Mistake 5 does not leak, so the likelihood is one; what is lost is seen by the Jacobian alone.
    // Causal taps in the Row LSTM's state-to-state: nothing from the right of the triangle.
    let causal = [[-1, -1], [-1, 0]];
    let paper = Lstm { kind: Kind::Row, residual: true, recompute: false }.directions();
    assert_ne!(paper[0].state_taps, causal);
    let device = device().autodiff();
    let settings = PixelSettings { head: 4, ..PixelSettings::new(1, 3) };
    let image = ImageLayout::of("row-lstm", &[8, 9]).unwrap();
    let config = PixelConfig { kind: PixelKind::RowLstm, settings, image, levels: 2 };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let model = shaken(config.init(0.3, &mut rng, &device), 0.4, 2);
    let x = Tensor::<2>::ones([1, 72], &device);
    let sees = |model: &Pixel, j: usize| jacobian(model, &x)[7 * 9 + 1][j] != 0.0;
    // Pixel (1, 8) enters by way of the states to the upper right of (7, 1).
    let far = 9 + 8;
    assert!(sees(&model, far));
    // The same network with the tap to the right silenced: a proper likelihood that no longer sees it.
    let mut blind = model.clone();
    let weights = blind.recurrent[0].state_to_state.val();
    let [d, taps, hidden, gates] = weights.dims();
    let right = Tensor::zeros([d, 1, hidden, gates], (&device, weights.dtype()));
    let kept = Tensor::cat(vec![weights.narrow(1, 0, taps - 1), right], 1);
    blind.recurrent[0].state_to_state = burn::module::Param::from_tensor(kept.detach());
    assert!(!sees(&blind, far));
}

/// A map as the paper skews it: each row one column further to the right, `[batch, H, W + H − 1, C]`.
fn skewed(map: Tensor<4>) -> Tensor<4> {
    let [_, height, _, _] = map.dims();
    let row = |r: usize| {
        let sides = [(0, 0), (0, 0), (r, height - 1 - r), (0, 0)];
        map.clone().narrow(1, r, 1).pad(sides, PadMode::Constant(0.0))
    };
    Tensor::cat((0..height).map(row).collect(), 1)
}

/// The inverse of [`skewed`].
fn unskewed(map: Tensor<4>) -> Tensor<4> {
    let [_, height, columns, _] = map.dims();
    let row = |r: usize| map.clone().narrow(1, r, 1).narrow(2, r, columns + 1 - height);
    Tensor::cat((0..height).map(row).collect(), 1)
}

/// Flips along the columns.
fn mirrored(map: Tensor<4>) -> Tensor<4> {
    map.flip([2])
}

/// Which way the right-to-left half of a Diagonal BiLSTM is brought into columns.
#[derive(Clone, Copy, PartialEq)]
enum Skew {
    /// The flipped map is skewed.
    AfterFlip,
    /// The skewed map is flipped: mistake 5.
    BeforeFlip,
}

impl ByHand {
    /// The right-to-left recurrence as the paper computes it: column by column of a skewed map, each
    /// cell after those of its own row and of the row above in the column before. Cells that the skew
    /// has put beside the image hold the initial state.
    fn by_columns(&self, y: Tensor<4>, skew: Skew) -> Tensor<4> {
        let into = |map: Tensor<4>| match skew {
            Skew::AfterFlip => skewed(mirrored(map)),
            Skew::BeforeFlip => mirrored(skewed(map)),
        };
        let [batch, height, _, _] = y.dims();
        let inside = into(y.ones_like().narrow(3, 0, 1));
        let map = into(y);
        let [_, _, columns, channels] = map.dims();
        let Weights { input_to_state, state_to_state, bias, initial, up, .. } = self.layer.clone();
        let [_, _, _, gates] = input_to_state.dims();
        let hidden = gates / 4;
        let k_is = input_to_state.narrow(0, 1, 1).reshape([channels, gates]);
        let k_ss = state_to_state.narrow(0, 1, 1).reshape([2 * hidden, gates]);
        let bias = bias.narrow(0, 1, 1).reshape([1, gates]);
        let first = |part: usize| {
            let one = initial.clone().narrow(0, 1, 1).narrow(1, part, 1);
            one.reshape([1, 1, hidden]).expand([batch, height, hidden])
        };
        let (mut h, mut c) = (first(0), first(1));
        let mut out = Vec::with_capacity(columns);
        for column in 0..columns {
            let above = h.clone().pad([(0, 0), (1, 0), (0, 0)], PadMode::Constant(0.0));
            let before = Tensor::cat(vec![above.narrow(1, 0, height), h], 2);
            let x = map.clone().narrow(2, column, 1).reshape([batch * height, channels]);
            let z = x.matmul(k_is.clone())
                + before.reshape([batch * height, 2 * hidden]).matmul(k_ss.clone())
                + bias.clone();
            let gate =
                |k: usize| z.clone().narrow(1, k * hidden, hidden).reshape([batch, height, hidden]);
            let next_c = sigmoid(gate(1)) * c + sigmoid(gate(2)) * gate(3).tanh();
            let next_h = sigmoid(gate(0)) * next_c.clone().tanh();
            out.push(next_h.clone().reshape([batch, height, 1, hidden]));
            let inside = inside.clone().narrow(2, column, 1).reshape([batch, height, 1]);
            let outside = inside.clone().neg() + 1.0;
            h = next_h * inside.clone() + first(0) * outside.clone();
            c = next_c * inside + first(1) * outside;
        }
        let map = Tensor::cat(out, 2);
        let map = match skew {
            Skew::AfterFlip => mirrored(unskewed(map)),
            Skew::BeforeFlip => unskewed(mirrored(map)),
        };
        let [_, height, width, hidden] = map.dims();
        map.reshape([batch * height * width, hidden])
            .matmul(up)
            .reshape([batch, height, width, channels])
    }

    /// A Diagonal BiLSTM over images of any size whose right-to-left half goes by columns.
    fn bilstm_by_columns(&self, y: Tensor<4>, skew: Skew) -> Tensor<4> {
        let [_, height, _, channels] = y.dims();
        let lower = self
            .by_columns(y.clone(), skew)
            .pad([(0, 0), (1, 0), (0, 0), (0, 0)], PadMode::Constant(0.0));
        let bias = self.layer.up_bias.clone().reshape([1, 1, 1, channels]);
        y.clone() + self.direction(0, y) + lower.narrow(1, 0, height) + bias
    }
}

#[test]
fn flipping_the_skewed_map_loses_context_and_nothing_else_shows_it() {
    // Mistake 5. Skewing the flipped map is the layer.
    let by_hand = ByHand::new(&device());
    let x = events(&enumerate_support(12, 2)[..12 * 300], 12, &device()).float();
    let y = by_hand.convolve(x, Convolution::causal(7, false), by_hand.input.clone());
    let both = Lstm { kind: Kind::DiagonalBoth, residual: true, recompute: false };
    let layer = lstm(both, y.clone(), by_hand.layer.clone());
    let gap = |skew| {
        let found = by_hand.bilstm_by_columns(y.clone(), skew);
        (found - layer.clone()).abs().max().into_scalar::<f64>()
    };
    assert!(gap(Skew::AfterFlip) < 1e-12);
    assert!(gap(Skew::BeforeFlip) > 1e-3);
    // Either is a likelihood of mass 1, and causal: these laws do not tell them apart.
    for skew in [Skew::AfterFlip, Skew::BeforeFlip] {
        let logits = |net: &ByHand, x: Tensor<2>| {
            let y = net.convolve(x, Convolution::causal(7, false), net.input.clone());
            net.head(net.bilstm_by_columns(y, skew))
        };
        assert_eq!(is_causal(logits), [true, true]);
    }
    // What a cell sees does. Two columns further right with each row up, the flipped skew soon is out of
    // the image: the cell (8, 0) then knows nothing of the column 4 seven rows up.
    let tracked = ByHand::new(&device().autodiff());
    let sees = |skew| {
        let map = Tensor::<4>::ones([1, 9, 6, 6], &device()).autodiff().require_grad();
        let y = tracked.bilstm_by_columns(map.clone(), skew);
        let cell = y.narrow(1, 8, 1).narrow(2, 0, 1).sum();
        let grad = map.grad(&cell.backward()).expect("the map is a leaf");
        let far = grad.narrow(1, 1, 1).narrow(2, 4, 1).abs().sum();
        far.into_scalar::<f64>() != 0.0
    };
    assert!(sees(Skew::AfterFlip) && !sees(Skew::BeforeFlip));
}

#[test]
fn a_skew_of_twice_the_width_is_wrong_where_height_and_width_differ() {
    // Mistake 6: a skewed map of 2W − 1 columns cuts off the last rows' cells when H > W.
    for [height, width] in [[6, 3], [3, 6], [4, 4]] {
        let cut = |columns: usize| {
            (0..height).map(|r| (0..width).filter(|c| r + c >= columns).count()).sum::<usize>()
        };
        assert_eq!(cut(width + height - 1), 0);
        assert_eq!(cut(2 * width - 1) > 0, height > width);
        // Ours has a cell for each: the last pixel's own earlier neighbours reach it.
        let device = device().autodiff();
        let settings = settings()[0].clone();
        let model = model(PixelKind::DiagonalLstm, &[height, width], 2, settings, &device);
        let variables = height * width;
        let x = Tensor::<2>::ones([1, variables], &device);
        let last = &jacobian(&model, &x)[variables - 1];
        assert!(last[variables - 2] != 0.0 && last[0] != 0.0, "{height}×{width}: {last:?}");
    }
}

#[test]
fn a_mask_a_that_hides_all_colours_is_told_by_the_jacobian() {
    // Mistake 6: G and B no longer see the colours before them. No leak, and no context.
    let device = device().autodiff();
    // Maps enough that some of every colour are not rectified away.
    let wide = PixelSettings { head: 30, ..PixelSettings::new(1, 9) };
    let model = model(PixelKind::RowLstm, &[2, 2, 3], 2, wide, &device);
    let mut blind = model.clone();
    let weights = blind.input.weights.val();
    let [taps, colours, maps] = weights.dims();
    // The tap of the pixel itself is the last.
    let here = Tensor::zeros([1, colours, maps], (&device, weights.dtype()));
    let kept = Tensor::cat(vec![weights.narrow(0, 0, taps - 1), here], 0);
    blind.input.weights = burn::module::Param::from_tensor(kept.detach());
    let x = events(&enumerate_support(12, 2)[12 * 900..12 * 960], 12, &device).float();
    assert!(jacobian(&model, &x)[1][0] != 0.0 && jacobian(&model, &x)[2][1] != 0.0);
    assert!(jacobian(&blind, &x)[1][0] == 0.0 && jacobian(&blind, &x)[2][1] == 0.0);
}
