//! The laws of NADE over symbols of more than two levels, in f64, under each likelihood and beside models that break
//! them.

mod common;

use ar_models::nade::{LevelNade, LevelNadeConfig, LevelNadeState, Likelihood};
use ar_models::neural::{Neural, event_tensor};
use ar_models::walk;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor};
use common::{device, has_the_right_gradient, host, shaken};
use prob_core::dist::Categorical;
use prob_core::laws::{
    causal_perturbation, chain_rule, enumerate_support, normalised, normalised_rows, same_draws,
    same_walks, sampler, support, support_per_variable,
};
use prob_core::ordering::{Ordering, OrderingKind};
use prob_core::{Autoregressive, Density, Sample};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

const LIKELIHOODS: [Likelihood; 2] = [Likelihood::Softmax, Likelihood::LogisticMixture];

fn model(
    ordering: Ordering,
    levels: usize,
    likelihood: Likelihood,
    seed: u64,
    device: &Device,
) -> LevelNade {
    let counts: Vec<u64> = (0..ordering.len() * levels).map(|k| (k % 5) as u64).collect();
    let config =
        LevelNadeConfig { ordering, levels, hidden: 6, init_scale: 0.1, likelihood, components: 3 };
    shaken(config.init(&counts, &mut ChaCha8Rng::seed_from_u64(1), device), 0.7, seed)
}

fn orderings(variables: usize) -> [Ordering; 2] {
    [OrderingKind::Raster, OrderingKind::Random { seed: 5 }]
        .map(|kind| kind.build(&[variables]).unwrap())
}

fn events(rows: &[u8], variables: usize, device: &Device) -> Tensor<2, Int> {
    event_tensor(rows, variables, device)
}

/// One model's density, and the walk of another.
struct Torn(LevelNade, LevelNade);

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

impl Autoregressive for Torn {
    type State = LevelNadeState;
    type Conditional = Categorical;
    fn event_len(&self) -> usize {
        self.1.event_len()
    }
    fn init_state(&self, batch: usize) -> LevelNadeState {
        self.1.init_state(batch)
    }
    fn conditional(&self, state: &LevelNadeState) -> Categorical {
        self.1.conditional(state)
    }
    fn advance(&self, state: &mut LevelNadeState, x_t: Tensor<1, Int>) {
        self.1.advance(state, x_t);
    }
    fn select(&self, state: &LevelNadeState, walks: &[usize]) -> LevelNadeState {
        self.1.select(state, walks)
    }
}

#[test]
fn images_of_levels_obey_the_laws() {
    let device = device();
    for likelihood in LIKELIHOODS {
        for (variables, levels) in [(4, 3), (3, 5), (1, 256)] {
            for ordering in orderings(variables) {
                let own = model(ordering.clone(), levels, likelihood, 2, &device);
                normalised(&own, variables, levels, &device, 1e-10).unwrap();
                // No symbol of a byte is outside of 256 levels.
                if levels < 256 {
                    support(&own, variables, levels, &device, 1e-12).unwrap();
                    support_per_variable(&ordering, levels, 1e-12, |rows| {
                        host(
                            own.log_prob_per_variable(events(rows, variables, &device))
                                .flatten(0, 1),
                        )
                    })
                    .unwrap();
                }
                let all = enumerate_support(variables, levels);
                let x = events(&all, variables, &device);
                chain_rule(&own, &ordering, x.clone(), 1e-10).unwrap();
                same_walks(&own, &ordering, x.clone(), 1e-12).unwrap();
                sampler(&own, variables, levels, &device, 20_000, 7, 1e-6).unwrap();
                same_draws(&own, &ordering, 50, 9, 0.0).unwrap();
                let some = &all[..variables * (all.len() / variables).min(20)];
                if variables > 1 {
                    causal_perturbation(&ordering, levels, some, |rows| {
                        let outputs = own.outputs(events(rows, variables, &device));
                        outputs.into_data().iter::<f64>().collect()
                    })
                    .unwrap();
                }
                // Negative control: the walk of another model.
                let torn = Torn(own, model(ordering.clone(), levels, likelihood, 3, &device));
                assert!(chain_rule(&torn, &ordering, x, 1e-10).is_err());
                assert!(sampler(&torn, variables, levels, &device, 20_000, 7, 1e-6).is_err());
            }
        }
    }
}

#[test]
fn a_conditional_that_sees_its_own_level_is_caught() {
    let (variables, levels, device) = (4, 3, device());
    let ordering = Ordering::raster(variables);
    let own = model(ordering.clone(), levels, Likelihood::Softmax, 2, &device);
    // Each variable by the outputs of the next one, which know it.
    let outputs = |rows: &[u8], by: i64| {
        let x = events(rows, variables, &device);
        let next: Vec<i64> = (0..4).map(|t| (t + by).min(3)).collect();
        let next = Tensor::<1, Int>::from_data(&next[..], &device);
        own.outputs(x).select(1, next)
    };
    let of = |by: i64| {
        let mass = normalised_rows(variables, levels, 1e-9, |rows| {
            let x = events(rows, variables, &device).unsqueeze_dim::<3>(2);
            host(log_softmax(outputs(rows, by), 2).gather(2, x).sum_dim(1).flatten(0, 2))
        });
        let some = &enumerate_support(variables, levels)[..80];
        let causal = causal_perturbation(&ordering, levels, some, |rows| {
            outputs(rows, by).into_data().iter::<f64>().collect()
        });
        [mass.is_ok(), causal.is_ok()]
    };
    assert_eq!(of(0), [true, true]);
    assert_eq!(of(1), [false, false]);
}

#[test]
fn gradients_match_central_differences() {
    let device = device().autodiff();
    for likelihood in LIKELIHOODS {
        let ordering = OrderingKind::Random { seed: 5 }.build(&[6]).unwrap();
        let model = model(ordering, 5, likelihood, 2, &device);
        let rows: Vec<u8> = (0..6 * 8).map(|k| (k * k % 11 % 5) as u8).collect();
        let x = events(&rows, 6, &device);
        let of = |tamper| {
            has_the_right_gradient(&model, |model| model.log_prob(x.clone()), 1e-7, tamper)
        };
        of(None).unwrap();
        // Negative control: one derivative off.
        assert!(of(Some(("v", 1.0))).is_err());
    }
}

#[test]
fn completions_keep_what_is_observed_and_draw_the_rest_as_the_plain_walk_does() {
    for likelihood in LIKELIHOODS {
        let ordering = OrderingKind::Random { seed: 5 }.build(&[7]).unwrap();
        let model = model(ordering, 17, likelihood, 2, &device());
        let some: Vec<Option<u8>> =
            (0..7 * 9).map(|k| (k % 5 < 2).then_some((k % 17) as u8)).collect();
        let drawn = model.complete(&some, &mut ChaCha8Rng::seed_from_u64(6));
        let plain = walk::complete(&model, &some, &mut ChaCha8Rng::seed_from_u64(6));
        assert_eq!(drawn, plain);
        assert!(some.iter().zip(&drawn).all(|(known, x)| known.is_none_or(|known| known == *x)));
        assert!(drawn.iter().all(|&x| x < 17));
    }
}
