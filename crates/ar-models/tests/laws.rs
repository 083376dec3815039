//! The laws of every neural model, in f64, each beside a model that breaks it.
//!
//! The default precision of a device can be set once per process, so these tests have a binary of
//! their own. What runs here is the plain path; `fused.rs` shows that the fast one is equal to it.

mod common;

use ar_models::logistic::{Logistic, LogisticConfig};
use ar_models::made::{Made, MadeConfig};
use ar_models::nade::{Nade, NadeConfig};
use ar_models::neural::{Neural, event_tensor};
use ar_models::orderless::{Activation, OrderlessNade, OrderlessSettings};
use burn::module::Module;
use burn::tensor::activation::{sigmoid, softplus};
use burn::tensor::{Device, Int, Tensor, TensorData};
use common::{Tamper, device, has_the_right_gradient, host, shaken};
use prob_core::dist::bernoulli;
use prob_core::laws::{
    Law, causal_autodiff, chain_rule, enumerate_support, normalised, normalised_rows, same_draws,
    same_walks, sampler, sampler_cells, support, support_per_variable, support_rows,
};
use prob_core::ordering::{Ordering, OrderingKind};
use prob_core::{Autoregressive, Density};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

const SHAPE: [usize; 2] = [3, 3];
const VARIABLES: usize = 9;

fn orderings() -> Vec<Ordering> {
    [
        OrderingKind::Raster,
        OrderingKind::Snake,
        OrderingKind::Hilbert,
        OrderingKind::Random { seed: 5 },
    ]
    .map(|kind| kind.build(&SHAPE).unwrap())
    .into()
}

fn nade(ordering: Ordering, device: &Device) -> Nade {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    shaken(NadeConfig::new(ordering, 7).init(&[0.5; VARIABLES], &mut rng, device), 1.0, 2)
}

fn logistic(ordering: Ordering, device: &Device) -> Logistic {
    shaken(LogisticConfig { ordering }.init(&[0.5; VARIABLES], device), 1.0, 3)
}

fn made(ordering: Ordering, hidden: &[usize], masks: usize, device: &Device) -> Made {
    let (direct, residual) = (hidden.len() == 2, hidden.len() == 3);
    let dropout = if residual { 0.3 } else { 0.0 };
    let config = MadeConfig {
        direct,
        masks,
        residual,
        dropout,
        ..MadeConfig::new(ordering, hidden.to_vec())
    };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    shaken(config.init(&[0.5; VARIABLES], &mut rng, device), 1.0, 4)
}

/// An order-agnostic NADE with an ensemble of four orderings.
fn orderless(
    ordering: Ordering,
    (hidden, activation): (&[usize], Activation),
    device: &Device,
) -> OrderlessNade {
    let settings = OrderlessSettings {
        activation,
        orderings: 4,
        ordering_seed: 8,
        ..OrderlessSettings::new(hidden.to_vec())
    };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    shaken(settings.config(ordering).init(&[0.5; VARIABLES], &mut rng, device), 1.0, 6)
}

/// Of one layer and more.
const NETWORKS: [(&[usize], Activation); 3] =
    [(&[7], Activation::Sigmoid), (&[7], Activation::Relu), (&[6, 5], Activation::Sigmoid)];

/// Every event, `[512, 9]`.
fn events(device: &Device) -> Tensor<2, Int> {
    let values: Vec<i32> = enumerate_support(VARIABLES, 2).into_iter().map(i32::from).collect();
    Tensor::from_data(TensorData::new(values, [1 << VARIABLES, VARIABLES]), device)
}

/// An event with what is no bit at each variable, and none.
fn impossible(device: &Device) -> Tensor<2, Int> {
    let symbol =
        |k: usize| if k.is_multiple_of(VARIABLES + 1) { 2 + k as u8 } else { (k % 2) as u8 };
    event_tensor(&(0..VARIABLES * VARIABLES).map(symbol).collect::<Vec<u8>>(), VARIABLES, device)
}

fn obeys<M>(model: &M, logits: impl Fn(Tensor<2>) -> Tensor<2>)
where
    M: Neural<Kind = Int>,
{
    let device = device();
    let ordering = model.ordering();
    normalised(model, VARIABLES, 2, &device, 1e-10).unwrap();
    support(model, VARIABLES, 2, &device, 1e-12).unwrap();
    support_per_variable(ordering, 2, 1e-12, |rows| {
        let x = event_tensor(rows, VARIABLES, &device);
        host(model.log_prob_per_variable(x).flatten(0, 1))
    })
    .unwrap();
    chain_rule(model, ordering, events(&device), 1e-10).unwrap();
    chain_rule(model, ordering, impossible(&device), 1e-10).unwrap();
    causal_autodiff(ordering, events(&device).float().narrow(0, 100, 40), logits).unwrap();
    sampler(model, VARIABLES, 2, &device, 20_000, 7, 1e-6).unwrap();
    same_walks(model, ordering, events(&device).narrow(0, 200, 5), 1e-12).unwrap();
    // The per-variable costs are the factors of the same product.
    let x = events(&device);
    let sums = host(model.log_prob_per_variable(x.clone()).sum_dim(1).squeeze_dim(1));
    for (sum, log_prob) in sums.into_iter().zip(host(model.log_prob(x))) {
        assert!((sum - log_prob).abs() < 1e-10);
    }
}

#[test]
fn nade_obeys_the_laws_along_every_ordering() {
    for ordering in orderings() {
        let model = nade(ordering, &device());
        // The Jacobian is taken on the autodiff device, so of the same weights there.
        let tracked = nade(model.ordering().clone(), &device().autodiff());
        obeys(&model, |x| tracked.logits(x));
    }
}

#[test]
fn the_logistic_autoregression_obeys_the_laws_along_every_ordering() {
    for ordering in orderings() {
        let model = logistic(ordering, &device());
        let tracked = logistic(model.ordering().clone(), &device().autodiff());
        obeys(&model, |x| tracked.logits(x));
    }
}

#[test]
fn made_obeys_the_laws_along_every_ordering_under_one_mask_and_many() {
    for ordering in orderings() {
        for (hidden, masks) in
            [(&[12][..], 1), (&[11, 13], 1), (&[11, 13], 3), (&[14; 3], 1), (&[14; 3], 2)]
        {
            let model = made(ordering.clone(), hidden, masks, &device());
            let tracked = made(ordering.clone(), hidden, masks, &device().autodiff());
            obeys(&model, |x| tracked.logits_under(masks - 1, x));
        }
    }
}

#[test]
fn an_orderless_nade_obeys_the_laws_along_every_ordering() {
    for ordering in orderings() {
        for network in NETWORKS {
            let model = orderless(ordering.clone(), network, &device());
            let tracked = orderless(ordering.clone(), network, &device().autodiff());
            obeys(&model, |x| tracked.along(ordering.clone()).logits(x));
        }
    }
    // Along another ordering than its own.
    for network in NETWORKS {
        let model = orderless(Ordering::raster(VARIABLES), network, &device());
        let other = model.along(model.orderings()[2].clone());
        support(&other, VARIABLES, 2, &device(), 1e-12).unwrap();
        normalised(&other, VARIABLES, 2, &device(), 1e-10).unwrap();
        chain_rule(&other, other.ordering(), events(&device()), 1e-10).unwrap();
        same_draws(&other, other.ordering(), 50, 3, 0.0).unwrap();
        // One network: every conditional along it is that of a pass with a mask.
        let x = events(&device()).float().narrow(0, 300, 20);
        let along = other.logits(x.clone());
        let mut mask = x.zeros_like();
        for &i in other.ordering().as_slice() {
            let given = model.logits_given(x.clone(), mask.clone()).narrow(1, i, 1);
            let gap = (given - along.clone().narrow(1, i, 1)).abs().max().into_scalar::<f64>();
            assert!(gap < 1e-10, "variable {i}: {gap}");
            mask = mask.slice_assign([0..20, i..i + 1], Tensor::ones([20, 1], &x.device()));
        }
    }
}

#[test]
fn an_ensemble_over_orderings_averages_joint_probabilities_and_nothing_else() {
    for network in NETWORKS {
        let model = orderless(Ordering::raster(VARIABLES), network, &device());
        let ensemble = model.ensemble();
        support(&ensemble, VARIABLES, 2, &device(), 1e-12).unwrap();
        normalised(&ensemble, VARIABLES, 2, &device(), 1e-10).unwrap();
        sampler(&ensemble, VARIABLES, 2, &device(), 20_000, 7, 1e-6).unwrap();
        let all = events(&device());
        let under: Vec<Vec<f64>> = model
            .orderings()
            .iter()
            .map(|ordering| host(model.along(ordering.clone()).log_prob(all.clone())))
            .collect();
        for (row, log_prob) in host(ensemble.log_prob(all.clone())).into_iter().enumerate() {
            let each: Vec<f64> = under.iter().map(|log_probs| log_probs[row]).collect();
            assert!((log_prob - prob_core::logspace::log_mean_exp(&each)).abs() < 1e-10);
        }
        // One ordering is the walk itself; more keep the first.
        let alone = host(model.clone().with_orderings(1).ensemble().log_prob(all.clone()));
        assert_eq!(alone, host(model.log_prob(all.clone())));
        assert_eq!(model.clone().with_orderings(9).orderings()[..4], *model.orderings());

        // Negative controls, with weights so large that the orderings disagree. Logits averaged over
        // orderings (mistake 2 of the field):
        let model = shaken(model, 3.0, 3);
        let averaged = |x: Tensor<2>| {
            let logits = model.orderings().iter().map(|o| model.along(o.clone()).logits(x.clone()));
            logits.reduce(|a, b| a + b).expect("there are orderings").div_scalar(4.0)
        };
        assert!(normalised_rows(VARIABLES, 2, 1e-3, rows_from(averaged)).is_err());
        // and log-probabilities: a geometric mean, which has lost mass.
        let under: Vec<Vec<f64>> = model
            .orderings()
            .iter()
            .map(|ordering| host(model.along(ordering.clone()).log_prob(all.clone())))
            .collect();
        let mass: f64 = (0..under[0].len())
            .map(|row| (under.iter().map(|log_probs| log_probs[row]).sum::<f64>() / 4.0).exp())
            .sum();
        assert!(mass < 0.95, "{mass}");
    }
}

/// All events with the observed variables as in `x`, row by row.
fn events_with(x: &[u8], observed: &[bool]) -> Vec<u8> {
    let agrees = |event: &&[u8]| (0..VARIABLES).all(|i| !observed[i] || event[i] == x[i]);
    let all = enumerate_support(VARIABLES, 2);
    all.chunks_exact(VARIABLES).filter(agrees).flatten().copied().collect()
}

#[test]
fn any_variables_are_answered_given_any_others() {
    let x = [1, 0, 1, 1, 0, 0, 1, 0, 1];
    let masks = ["111100000", "000000111", "010101010", "000000000", "111111111"];
    for network in NETWORKS {
        let model = orderless(Ordering::raster(VARIABLES), network, &device());
        for mask in masks {
            let observed: Vec<bool> = mask.bytes().map(|bit| bit == b'1').collect();
            let events = events_with(&x, &observed);
            let tensor = |rows: &[u8]| event_tensor(rows, VARIABLES, &device());
            let log_probs = host(model.log_prob_conditional(tensor(&events), &observed));
            let mass: f64 = log_probs.iter().map(|log_prob| log_prob.exp()).sum();
            assert!((mass - 1.0).abs() < 1e-10, "{mask}: {mass}");
            support_rows(VARIABLES, 2, 1e-12, |rows| {
                host(model.log_prob_conditional(tensor(rows), &observed))
            })
            .unwrap();
            // Draws follow it, in a batch with another mask.
            let known = |observed: bool, i: usize| observed.then_some(x[i]);
            let mut batch = Vec::new();
            for _ in 0..20_000 {
                batch.extend((0..VARIABLES).map(|i| known(observed[i], i)));
                batch.extend((0..VARIABLES).map(|i| known(i == 4, i)));
            }
            let drawn = model.ensemble().complete(&batch, &mut ChaCha8Rng::seed_from_u64(5));
            let cells = drawn.chunks_exact(2 * VARIABLES).map(|rows| {
                let mut events = events.chunks_exact(VARIABLES);
                events.position(|event| event == &rows[..VARIABLES]).expect("it is kept")
            });
            sampler_cells(&log_probs, cells, 1e-6).unwrap();
        }
        // A prefix of its one ordering: what the chain rule says.
        let one = model.with_orderings(1);
        let observed: Vec<bool> = (0..VARIABLES).map(|i| i < 4).collect();
        let some = events(&device()).narrow(0, 100, 50);
        let chain = one.log_prob_per_variable(some.clone()).narrow(1, 4, 5).sum_dim(1);
        let given = one.log_prob_conditional(some, &observed);
        for (a, b) in host(chain.squeeze_dim(1)).into_iter().zip(host(given)) {
            assert!((a - b).abs() < 1e-10);
        }
    }
}

#[test]
fn the_training_loss_is_the_mean_over_all_orderings() {
    let settings = OrderlessSettings::new(vec![5]);
    let config = settings.config(Ordering::raster(3));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let model = shaken(config.init(&[0.5; 3], &mut rng, &device()), 1.0, 6);
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let x = event_tensor(&[1, 0, 1], 3, &device());
    let under = |order: [usize; 3]| {
        let ordering = Ordering::from_vec(order.to_vec()).unwrap();
        -host(model.along(ordering).log_prob(x.clone()))[0]
    };
    let mean = orders.map(under).iter().sum::<f64>() / 6.0;
    let losses = host(model.ordering_loss(x.clone().repeat_dim(0, 40_000), &mut rng));
    let n = losses.len() as f64;
    let estimate = losses.iter().sum::<f64>() / n;
    let variance = losses.iter().map(|loss| (loss - estimate).powi(2)).sum::<f64>() / n;
    let stderr = (variance / n).sqrt();
    assert!((estimate - mean).abs() < 5.0 * stderr, "{estimate} ± {stderr}, exactly {mean}");
    // That is a test: one ordering's cost alone is far from it.
    assert!((under(orders[0]) - mean).abs() > 10.0 * stderr);
}

#[test]
fn gradients_match_central_differences() {
    fn of<M: Neural<Kind = Int>>(model: &M, tamper: Tamper<'_>) -> Law {
        let x = events(&device().autodiff()).narrow(0, 37, 53);
        // The same draws for every loss.
        let rng = || -> Box<dyn Rng> { Box::new(ChaCha8Rng::seed_from_u64(9)) };
        let gain = |model: &M| model.training_loss(x.clone(), None, &mut *rng()).neg();
        has_the_right_gradient(model, gain, 1e-8, tamper)
    }
    let (device, ordering) = (device().autodiff(), orderings().remove(3));
    of(&nade(ordering.clone(), &device), None).unwrap();
    of(&logistic(ordering.clone(), &device), None).unwrap();
    of(&made(ordering.clone(), &[8, 9], 2, &device), None).unwrap();
    of(&made(ordering.clone(), &[9; 3], 2, &device), None).unwrap();
    for network in NETWORKS {
        of(&orderless(ordering.clone(), network, &device), None).unwrap();
    }
    // Negative control: one derivative off by a thousandth.
    assert!(of(&nade(ordering, &device), Some(("w", 1e-3))).is_err());
}

/// log p of every event from logits, as a model with those logits would have it.
fn rows_from(logits: impl Fn(Tensor<2>) -> Tensor<2>) -> impl FnMut(&[u8]) -> Vec<f64> {
    move |rows| {
        let values: Vec<f64> = rows.iter().map(|&x| f64::from(x)).collect();
        let x = Tensor::<2>::from_data(
            TensorData::new(values, [rows.len() / VARIABLES, VARIABLES]),
            &device(),
        );
        host(bernoulli::log_prob(logits(x.clone()), x).sum_dim(1).squeeze_dim(1))
    }
}

#[test]
fn a_mask_that_leaks_its_diagonal_breaks_the_laws() {
    let ordering = Ordering::raster(VARIABLES);
    let leaky = |device: &Device| {
        let model = logistic(Ordering::raster(VARIABLES), device);
        // The mask of the model is tril(-1); this one lets each variable see itself.
        move |x: Tensor<2>| {
            x.matmul(model.u.val().tril(0).transpose()) + model.b.val().unsqueeze::<2>()
        }
    };
    assert!(normalised_rows(VARIABLES, 2, 1e-3, rows_from(leaky(&device()))).is_err());
    let x = events(&device()).float().narrow(0, 100, 40);
    assert!(causal_autodiff(&ordering, x, leaky(&device().autodiff())).is_err());
}

#[test]
fn averaged_logits_are_not_a_distribution() {
    // Mistake 2 of the field: an ensemble over orderings must average joint probabilities.
    let models: Vec<Nade> =
        orderings().into_iter().map(|ordering| nade(ordering, &device())).collect();
    let averaged = |x: Tensor<2>| {
        let count = models.len() as f64;
        let sum = models.iter().map(|model| model.logits(x.clone())).reduce(|a, b| a + b);
        sum.expect("there are models").div_scalar(count)
    };
    assert!(normalised_rows(VARIABLES, 2, 1e-3, rows_from(averaged)).is_err());
    // The average of the joint probabilities is one.
    let joint = |rows: &[u8]| {
        let log_probs: Vec<Vec<f64>> =
            models.iter().map(|model| rows_from(|x| model.logits(x))(rows)).collect();
        (0..log_probs[0].len())
            .map(|n| {
                let each: Vec<f64> = log_probs.iter().map(|l| l[n]).collect();
                prob_core::logspace::log_mean_exp(&each)
            })
            .collect()
    };
    normalised_rows(VARIABLES, 2, 1e-10, joint).unwrap();
}

#[test]
fn logits_averaged_over_masks_are_not_a_distribution() {
    let model = made(Ordering::raster(VARIABLES), &[12], 4, &device());
    let averaged = |x: Tensor<2>| {
        let logits = (0..4).map(|mask| model.logits_under(mask, x.clone()));
        logits.reduce(|a, b| a + b).expect("there are masks").div_scalar(4.0)
    };
    // Along one ordering these are conditionals, and their product a distribution; but not the mixture,
    // so that the walk of the mixture disagrees.
    let mut rows = rows_from(averaged);
    normalised_rows(VARIABLES, 2, 1e-10, &mut rows).unwrap();
    let events = enumerate_support(VARIABLES, 2);
    let mixture = host(model.log_prob(self::events(&device())));
    let gap = rows(&events).iter().zip(mixture).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(gap > 0.1, "{gap}");
}

/// NADE with a sigmoid applied twice in its likelihood, and once in its conditionals.
#[derive(Module, Debug)]
struct DoubleSigmoid {
    nade: Nade,
}

impl Density for DoubleSigmoid {
    type Event = Tensor<2, Int>;
    fn log_prob(&self, x: Self::Event) -> Tensor<1> {
        let x = x.float();
        let probs = sigmoid(self.nade.logits(x.clone()));
        bernoulli::log_prob(probs, x).sum_dim(1).squeeze_dim(1)
    }
}

impl Autoregressive for DoubleSigmoid {
    type State = <Nade as Autoregressive>::State;
    type Conditional = <Nade as Autoregressive>::Conditional;
    fn event_len(&self) -> usize {
        self.nade.event_len()
    }
    fn init_state(&self, batch: usize) -> Self::State {
        self.nade.init_state(batch)
    }
    fn conditional(&self, state: &Self::State) -> Self::Conditional {
        self.nade.conditional(state)
    }
    fn advance(&self, state: &mut Self::State, x_t: Tensor<1, Int>) {
        self.nade.advance(state, x_t);
    }
    fn select(&self, state: &Self::State, walks: &[usize]) -> Self::State {
        self.nade.select(state, walks)
    }
}

#[test]
fn a_double_sigmoid_is_normalised_and_yet_caught() {
    let model = DoubleSigmoid { nade: nade(Ordering::raster(VARIABLES), &device()) };
    // Mass 1, so the first law does not see it; the chain rule does.
    normalised(&model, VARIABLES, 2, &device(), 1e-10).unwrap();
    let ordering = Ordering::raster(VARIABLES);
    assert!(chain_rule(&model, &ordering, events(&device()), 1e-3).is_err());
}

/// NADE whose likelihood is a formula that holds for bits, whatever the symbols are.
struct AnySymbol(Nade);

impl Density for AnySymbol {
    type Event = Tensor<2, Int>;
    fn log_prob(&self, x: Self::Event) -> Tensor<1> {
        let x = x.float();
        let logits = self.0.logits(x.clone());
        (x * logits.clone() - softplus(logits, 1.0)).sum_dim(1).squeeze_dim(1)
    }
}

#[test]
fn a_formula_for_bits_that_takes_any_symbol_is_normalised_and_yet_caught() {
    let model = AnySymbol(nade(Ordering::raster(VARIABLES), &device()));
    normalised(&model, VARIABLES, 2, &device(), 1e-6).unwrap();
    let violation = support(&model, VARIABLES, 2, &device(), 1e-12).unwrap_err();
    assert!(violation.gap > 1.0, "{violation}");
}

#[test]
fn features_of_nade_are_its_hidden_units_after_all_variables() {
    let device = device();
    for ordering in orderings() {
        let nade = nade(ordering.clone(), &device);
        let [w, c] = [host(nade.w.val().reshape([VARIABLES * 7])), host(nade.c.val())];
        let features = nade.features(events(&device)).unwrap();
        assert_eq!(features.dims(), [1 << VARIABLES, 7]);
        let found: Vec<f64> = features.into_data().iter::<f64>().collect();
        let rows = enumerate_support(VARIABLES, 2);
        for (x, found) in rows.chunks_exact(VARIABLES).zip(found.chunks_exact(7)) {
            for (k, &h) in found.iter().enumerate() {
                let a = (0..VARIABLES).map(|t| f64::from(x[ordering[t]]) * w[t * 7 + k]);
                let expected = 1.0 / (1.0 + (-c[k] - a.sum::<f64>()).exp());
                assert!((h - expected).abs() < 1e-12, "{h} {expected}");
            }
        }
    }
    let x = events(&device);
    assert!(logistic(Ordering::raster(VARIABLES), &device).features(x).is_none());
}
