//! PixelRNN and PixelCNN in f32, on the kernels of every CPU backend that is compiled in: what they are
//! evaluated by and what they are walked by are the same model.

use ar_models::neural::{Neural, event_tensor};
use ar_models::pixel::{ImageLayout, Likelihood, Pixel, PixelConfig, PixelKind, PixelSettings};
use ar_models::walk;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use prob_core::dist::categorical;
use prob_core::laws::{chain_rule, normalised, sampler, support};
use prob_core::{Autoregressive, Density, uniform};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

fn devices() -> Vec<Device> {
    vec![
        #[cfg(feature = "flex")]
        Device::flex(),
        #[cfg(feature = "ndarray")]
        Device::ndarray(),
    ]
}

const KINDS: [PixelKind; 4] =
    [PixelKind::RowLstm, PixelKind::DiagonalLstm, PixelKind::DiagonalBilstm, PixelKind::PixelCnn];

fn model(kind: PixelKind, shape: &[usize], levels: usize, device: &Device) -> Pixel {
    described(Likelihood::Softmax, kind, shape, levels, device)
}

fn described(
    likelihood: Likelihood,
    kind: PixelKind,
    shape: &[usize],
    levels: usize,
    device: &Device,
) -> Pixel {
    let image = ImageLayout::of(kind.name(), shape).unwrap();
    let settings = PixelSettings { head: 20, likelihood, ..PixelSettings::new(3, 16) };
    let config = PixelConfig { kind, settings, image, levels };
    config.init(0.4, &mut ChaCha8Rng::seed_from_u64(3), device)
}

#[test]
fn f32_likelihoods_sum_to_one_and_the_walk_is_theirs() {
    for device in devices() {
        for kind in KINDS {
            let softmax = Likelihood::Softmax;
            for (shape, levels, likelihood) in [
                (&[3, 4][..], 2, softmax),
                (&[3, 2, 2], 2, softmax),
                (&[2, 3], 4, softmax),
                (&[2, 3], 4, Likelihood::LogisticMixture),
                (&[3, 1, 2], 3, Likelihood::LogisticMixture),
                (&[1, 1], 250, Likelihood::LogisticMixture),
            ] {
                let model = described(likelihood, kind, shape, levels, &device);
                let n = model.event_len();
                normalised(&model, n, levels, &device, 1e-5).unwrap();
                support(&model, n, levels, &device, 1e-4).unwrap();
                sampler(&model, n, levels, &device, 20_000, 3, 1e-6).unwrap();
                let rows: Vec<u8> = (0..n * 40).map(|k| ((k * 7 + k / 5) % levels) as u8).collect();
                let x = event_tensor(&rows, n, &device);
                chain_rule(&model, model.ordering(), x, 1e-4).unwrap();
            }
        }
    }
}

#[test]
fn the_cached_walk_draws_what_full_passes_draw() {
    // In f32 the two round differently, and a uniform may fall between: with these seeds none does.
    for device in devices() {
        for kind in KINDS {
            for (shape, levels) in [(&[9, 7][..], 2), (&[4, 5, 3], 6)] {
                let model = model(kind, shape, levels, &device);
                let (n, images) = (model.event_len(), 9);
                let mut rng = ChaCha8Rng::seed_from_u64(5);
                let uniforms: Vec<f64> = (0..images * n).map(|_| uniform(&mut rng)).collect();
                let mut naive = vec![0_u8; images * n];
                for t in 0..n {
                    let i = model.ordering()[t];
                    let logits = model.logits(event_tensor(&naive, n, &device).float());
                    let logits = logits.narrow(1, i, 1).into_data();
                    let logits: Vec<f64> = logits.iter::<f64>().collect();
                    for (row, logits) in logits.chunks_exact(logits.len() / images).enumerate() {
                        let all = if levels == 2 { vec![0.0, logits[0]] } else { logits.to_vec() };
                        let drawn = categorical::draw(&all, uniforms[t * images + row]);
                        naive[row * n + i] = drawn as u8;
                    }
                }
                let nothing = vec![None; images * n];
                let rng = || ChaCha8Rng::seed_from_u64(5);
                assert_eq!(model.complete(&nothing, &mut rng()), naive, "{kind:?} {shape:?}");
                assert_eq!(
                    walk::complete(&model, &nothing, &mut rng()),
                    naive,
                    "{kind:?} {shape:?}"
                );
            }
        }
    }
}

#[test]
fn likelihoods_do_not_depend_on_the_batch_or_autodiff() {
    for device in devices() {
        for kind in KINDS {
            let model = model(kind, &[6, 5], 2, &device.clone().autodiff());
            let plain = model.valid();
            let rows: Vec<u8> = (0..30 * 23).map(|k| u8::from(k % 3 == 0 || k % 7 == 1)).collect();
            let of = |model: &Pixel, rows: &[u8], device: &Device| -> Vec<f32> {
                let x: Tensor<1> = model.log_prob(event_tensor(rows, 30, device));
                x.into_data().iter::<f32>().collect()
            };
            let all = of(&plain, &rows, &device);
            assert_eq!(all, of(&model, &rows, &device.clone().autodiff()));
            let one_by_one: Vec<f32> =
                rows.chunks(30).flat_map(|row| of(&plain, row, &device)).collect();
            assert_eq!(all, one_by_one);
        }
    }
}
