//! The laws of RNADE, in f64, each beside a model that breaks it.
//!
//! Its events are real numbers, so that mass is an integral and not a sum.

use std::sync::Once;

use ar_models::neural::{Neural, Weight, map_weights, weights};
use ar_models::rnade::{Rnade, RnadeSettings};
use ar_models::standardization::Standardization;
use burn::tensor::{Device, DeviceConfig, FloatDType, Tensor, TensorData};
use prob_core::dist::GaussianMixture;
use prob_core::laws::{
    causal_autodiff, chain_rule, gradient, integral, integrates_to_one, same_draws, sampler_cells,
};
use prob_core::ordering::{Ordering, OrderingKind};
use prob_core::{Density, Sample, standard_normal};
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

fn orderings(variables: usize) -> [Ordering; 2] {
    [OrderingKind::Raster, OrderingKind::Random { seed: 5 }]
        .map(|kind| kind.build(&[variables]).unwrap())
}

/// Units of the variables far from the standardized ones.
fn units(variables: usize) -> Standardization {
    let means = (0..variables).map(|i| 3.0 - 2.0 * i as f64).collect();
    let scales = (0..variables).map(|i| [2.5, 0.2, 0.7][i % 3]).collect();
    Standardization::new(means, scales).unwrap()
}

/// Weights far from their initial values, where a wrong model shows, and scales neither so small that a
/// quadrature steps over them nor so large that it cuts them off.
fn model(ordering: Ordering, device: &Device) -> Rnade {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let settings = RnadeSettings { components: 3, min_scale: 0.05, ..RnadeSettings::new(6) };
    let units = units(ordering.len());
    let model = settings.config(ordering).init(units, &mut rng, device);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    map_weights(model, |_, weight| {
        let values: Vec<f64> =
            (0..weight.dims()[0]).map(|_| 0.4 * standard_normal(&mut rng)).collect();
        weight.clone() + Tensor::from_data(TensorData::new(values, weight.dims()), &weight.device())
    })
}

fn tensor(rows: &[f64], variables: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(rows.to_vec(), [rows.len() / variables, variables]), device)
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

/// Rows around the means, some of them far out.
fn events(rows: usize, variables: usize, device: &Device) -> Tensor<2> {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let units = units(variables);
    let rows: Vec<f64> = (0..rows * variables)
        .map(|k| {
            let i = k % variables;
            units.means()[i] + 1.7 * units.scales()[i] * standard_normal(&mut rng)
        })
        .collect();
    tensor(&rows, variables, device)
}

/// The ends of a variable's range that hold all but a negligible part of the mass.
fn ends(i: usize) -> (f64, f64) {
    let units = units(i + 1);
    let (mean, scale) = (units.means()[i], units.scales()[i]);
    (mean - 30.0 * scale, mean + 30.0 * scale)
}

/// `∫∫ exp(log_density)` over the plane, Simpson's rule within Simpson's rule.
fn mass_in_the_plane(log_density: impl Fn(Tensor<2>) -> Tensor<1>) -> f64 {
    let ((low, high), (bottom, top)) = (ends(0), ends(1));
    integral(low, high, 1000, |xs| {
        let inner = |x: f64| {
            integral(bottom, top, 1000, |ys| {
                let rows: Vec<f64> = ys.iter().flat_map(|&y| [x, y]).collect();
                host(log_density(tensor(&rows, 2, &device())))
            })
        };
        xs.iter().map(|&x| inner(x).ln()).collect()
    })
}

#[test]
fn the_density_of_one_variable_integrates_to_one() {
    let model = model(Ordering::raster(1), &device());
    let (low, high) = ends(0);
    let density = |x: &[f64]| host(model.log_prob(tensor(x, 1, &device())));
    integrates_to_one(low, high, 20_000, 1e-9, density).unwrap();
    // Negative control: the Jacobian of the standardization left out. The mass is its scale, 2.5.
    let forgotten = |x: &[f64]| density(x).into_iter().map(|l| l + 2.5_f64.ln()).collect();
    let violation = integrates_to_one(low, high, 20_000, 1e-3, forgotten).unwrap_err();
    assert!((violation.gap - 1.5).abs() < 1e-6, "{violation}");
    // Negative control: the mean of the components' log-densities instead of the log of their mean.
    let averaged = |x: &[f64]| {
        let outputs = model.parameters(tensor(x, 1, &device()));
        let [rows, _, width] = outputs.dims();
        let outputs = outputs.reshape([rows, width]);
        let part = |k: usize, component: usize| outputs.clone().narrow(1, k * 3 + component, 1);
        let units = units(1);
        let z = tensor(x, 1, &device()).sub_scalar(units.means()[0]).div_scalar(units.scales()[0]);
        let sum = (0..3).map(|component| {
            let log_scale = part(2, component).exp().add_scalar(0.05).log();
            let one = GaussianMixture::new_unchecked(
                part(0, component).zeros_like(),
                part(1, component),
                log_scale,
            );
            host(one.log_prob(z.clone().reshape([rows])))
        });
        let sums = sum.reduce(|a, b| a.iter().zip(b).map(|(a, b)| a + b).collect()).unwrap();
        sums.into_iter().map(|sum| sum / 3.0 - 2.5_f64.ln()).collect()
    };
    assert!(integrates_to_one(low, high, 20_000, 1e-3, averaged).is_err());
}

#[test]
fn the_density_of_two_variables_integrates_to_one_along_every_ordering() {
    for ordering in [Ordering::raster(2), OrderingKind::ReverseRaster.build(&[2]).unwrap()] {
        let model = model(ordering, &device());
        let mass = mass_in_the_plane(|x| model.log_prob(x));
        assert!((mass - 1.0).abs() < 1e-6, "{mass}");
    }
}

#[test]
fn a_recurrence_that_advances_too_early_is_caught() {
    let ordering = Ordering::raster(2);
    let leaky = |device: &Device| {
        let model = model(Ordering::raster(2), device);
        move |x: Tensor<2>| leaking_outputs(&model, x)
    };
    let model = model(ordering.clone(), &device());
    let mass = mass_in_the_plane(|x| {
        let [rows, _] = x.dims();
        let outputs = leaking_outputs(&model, x.clone());
        let each = (0..2).map(|t| {
            let outputs = outputs.clone().narrow(1, t, 1).reshape([rows, 9]);
            let part = |k: usize| outputs.clone().narrow(1, 3 * k, 3);
            let log_scales = part(2).exp().add_scalar(0.05).log();
            let mixture = GaussianMixture::new_unchecked(part(0), part(1), log_scales);
            let mixture = mixture.affine(units(2).scales()[t], units(2).means()[t]);
            mixture.log_prob(x.clone().narrow(1, t, 1).reshape([rows]))
        });
        each.reduce(|a, b| a + b).unwrap()
    });
    assert!((mass - 1.0).abs() > 1e-2, "{mass}");
    let described = |outputs: Tensor<3>| {
        let [rows, variables, _] = outputs.dims();
        outputs.sum_dim(2).reshape([rows, variables])
    };
    let x = events(20, 2, &device());
    let tracked = leaky(&device().autodiff());
    assert!(causal_autodiff(&ordering, x, |x| described(tracked(x))).is_err());
}

/// The outputs of two variables in raster order when a_t already holds z_t.
fn leaking_outputs(model: &Rnade, x: Tensor<2>) -> Tensor<3> {
    let units = units(2);
    let columns = (0..2).map(|t| {
        let z = x.clone().narrow(1, t, 1);
        z.sub_scalar(units.means()[t]).div_scalar(units.scales()[t])
    });
    let z = Tensor::cat(columns.collect(), 1);
    let ones = Tensor::<2>::ones([2, 2], &z.device()).triu(0);
    let mut each = Vec::new();
    for t in 0..2 {
        // Positions 0 to t, not 0 to t − 1.
        let seen = ones.clone().narrow(1, t, 1).transpose(); // [1, 2]
        let a = (z.clone() * seen).matmul(model.w.val()) + model.c.val().unsqueeze::<2>();
        let rho = model.rho.val().narrow(0, t, 1).unsqueeze::<2>();
        let h = burn::tensor::activation::relu(a.mul(rho));
        let v = model.v.val().narrow(0, t, 1).reshape([9, 6]);
        let outputs = h.matmul(v.transpose()) + model.b.val().narrow(0, t, 1);
        each.push(outputs.unsqueeze_dim::<3>(1));
    }
    Tensor::cat(each, 1)
}

#[test]
fn the_walk_is_the_density_and_nothing_sees_the_future() {
    for ordering in orderings(5) {
        let own = model(ordering.clone(), &device());
        let x = events(30, 5, &device());
        chain_rule(&own, &ordering, x.clone(), 1e-10).unwrap();
        let tracked = model(ordering.clone(), &device().autodiff());
        // Every parameter with a weight of its own, so that no two cancel.
        let described = |x: Tensor<2>| {
            let outputs = tracked.parameters(x);
            let [rows, variables, width] = outputs.dims();
            let weights: Vec<f64> = (0..width).map(|k| 1.0 + 0.37 * k as f64).collect();
            let weights = TensorData::new(weights, [1, 1, width]);
            let weights = Tensor::<3>::from_data(weights, &outputs.device());
            (outputs * weights).sum_dim(2).reshape([rows, variables])
        };
        causal_autodiff(&ordering, x.clone(), described).unwrap();
        // The per-variable costs are the factors of the same product.
        let sums = host(own.log_prob_per_variable(x.clone()).sum_dim(1));
        for (sum, log_prob) in sums.into_iter().zip(host(own.log_prob(x))) {
            assert!((sum - log_prob).abs() < 1e-10);
        }
        // Its own sampler keeps values in f32, as data has them.
        same_draws(&own, &ordering, 50, 3, 1e-5).unwrap();
    }
}

#[test]
fn features_are_what_the_walk_ends_with() {
    let [_, ordering] = orderings(3);
    let model = model(ordering.clone(), &device());
    let x = events(4, 3, &device());
    let (rows, w, c) = (host(x.clone()), host(model.w.val()), host(model.c.val()));
    let mut expected = Vec::new();
    for row in rows.chunks_exact(3) {
        for j in 0..6 {
            let z = |i: usize| (row[i] - units(3).means()[i]) / units(3).scales()[i];
            let a: f64 = (0..3).map(|t| z(ordering[t]) * w[t * 6 + j]).sum();
            expected.push((c[j] + a).max(0.0));
        }
    }
    for (found, expected) in host(model.features(x).unwrap()).into_iter().zip(expected) {
        assert!((found - expected).abs() < 1e-10, "{found} and {expected}");
    }
}

#[test]
fn gradients_match_central_differences() {
    let device = device().autodiff();
    let [_, ordering] = orderings(4);
    let model = model(ordering, &device);
    let x = events(25, 4, &device);
    let own: Vec<Weight> = weights(&model);
    let at: Vec<f64> = own.iter().flat_map(|w| host(w.values.clone())).collect();
    let with = |flat: &[f64]| {
        let mut start = 0;
        map_weights(model.clone(), |_, old| {
            let [n] = old.dims();
            start += n;
            Tensor::from_data(TensorData::new(flat[start - n..start].to_vec(), [n]), &old.device())
        })
    };
    let loss = |model: &Rnade| model.log_prob(x.clone()).mean();
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
    claimed[3] += 1e-2;
    assert!(gradient(f, &at, &claimed, 6, 1e-6, 1e-7, 11).is_err());
}

/// A grid of cells over the plane, the outermost without end.
const CELLS: usize = 8;

/// The inner borders of the cells of a variable.
fn borders(i: usize) -> Vec<f64> {
    let units = units(2);
    let at = |k: usize| -1.8 + 0.6 * k as f64;
    (0..CELLS - 1).map(|k| units.means()[i] + units.scales()[i] * at(k)).collect()
}

#[test]
fn draws_fall_where_the_density_says() {
    let model = model(Ordering::raster(2), &device());
    let [across, up] = [0, 1].map(|i| {
        let (low, high) = ends(i);
        [vec![low], borders(i), vec![high]].concat()
    });
    let mut log_masses = Vec::new();
    for x in across.windows(2) {
        for y in up.windows(2) {
            let mass = integral(x[0], x[1], 400, |xs| {
                let inner = |x: f64| {
                    integral(y[0], y[1], 400, |ys| {
                        let rows: Vec<f64> = ys.iter().flat_map(|&y| [x, y]).collect();
                        host(model.log_prob(tensor(&rows, 2, &device())))
                    })
                };
                xs.iter().map(|&x| inner(x).ln()).collect()
            });
            log_masses.push(mass.ln());
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let draws = host(model.sample(20_000, &mut rng));
    let cell_of =
        |i: usize, value: f64| borders(i).iter().filter(|&&border| value >= border).count();
    let cells = |shift: f64| {
        let cell = move |row: &[f64]| cell_of(0, row[0] + shift) * CELLS + cell_of(1, row[1]);
        draws.chunks_exact(2).map(cell).collect::<Vec<_>>()
    };
    sampler_cells(&log_masses, cells(0.0), 1e-6).unwrap();
    // Negative control: a tenth of a standard deviation to the right.
    assert!(sampler_cells(&log_masses, cells(0.25), 1e-6).is_err());
}
