//! Every tabular model and every distribution obeys the laws. The models that break them are in
//! `negative_controls.rs`.

use burn::tensor::{DType, Device, FloatDType, Int, Tensor, TensorData};
use prob_core::dist::{
    Bernoulli, Categorical, DiscretizedLogisticMixture, GaussianMixture, Grid, MaybeMissing,
    Normal, WithMissing,
};
use prob_core::joint::{
    BayesianNetwork, FOUR_NEIGHBOURS, FullTable, Independent, Markov, Neighbourhood, Symbols,
    Tabular, Uniform,
};
use prob_core::ordering::{Ordering, OrderingKind};
use prob_core::{Density, Sample, laws, uniform};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

const ALPHA: f64 = 1e-6;
const DRAWS: usize = 20_000;

fn device() -> Device {
    Device::default()
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.try_into_vec_as().unwrap()
}

fn reals(values: &[f64], dtype: DType) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), (&device(), dtype))
}

fn rows(values: &[f64], shape: [usize; 2]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (&device(), DType::F64))
}

fn events(values: &[u8], variables: usize) -> Tensor<2, Int> {
    let shape = [values.len() / variables, variables];
    let values: Vec<i64> = values.iter().map(|&v| v.into()).collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

/// Rows in which every variable leans on the two before it.
fn correlated(rows: usize, variables: usize, states: usize, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values = Vec::with_capacity(rows * variables);
    for _ in 0..rows {
        let start = values.len();
        for t in 0..variables {
            let fresh = (uniform(&mut rng) * states as f64) as u8;
            let copied = (t > 1).then(|| {
                let (a, b): (u8, u8) = (values[start + t - 1], values[start + t - 2]);
                ((usize::from(a) + usize::from(b)) % states) as u8
            });
            values.push(match copied {
                Some(symbol) if uniform(&mut rng) < 0.7 => symbol,
                _ => fresh,
            });
        }
    }
    values
}

/// All laws for a tabular model, in f64 and in the default f32.
fn obeys_the_laws(model: impl Tabular) {
    let (n, m) = (model.variables(), model.states());
    let ordering = model.ordering().clone();
    let support = events(&laws::enumerate_support(n, m), n);

    laws::normalised_rows(n, m, 1e-10, |rows| model.log_prob_rows(rows)).unwrap();

    let exact = model.clone().with_dtype(FloatDType::F64);
    laws::normalised(&exact, n, m, &device(), 1e-10).unwrap();
    laws::chain_rule(&exact, &ordering, support.clone(), 1e-10).unwrap();
    laws::sampler(&exact, n, m, &device(), DRAWS, 17, ALPHA).unwrap();
    laws::same_draws(&exact, &ordering, 50, 3, 0.0).unwrap();
    laws::same_walks(&exact, &ordering, support.clone(), 0.0).unwrap();

    assert_eq!(model.log_prob(support.clone()).dtype(), DType::F32);
    laws::normalised(&model, n, m, &device(), 1e-5).unwrap();
    laws::chain_rule(&model, &ordering, support.clone(), 1e-4).unwrap();
    laws::same_draws(&model, &ordering, 50, 3, 0.0).unwrap();

    // The costs by variable are the terms of the sum.
    let values = laws::enumerate_support(n, m);
    let terms = model.log_prob_per_variable(&values);
    for (terms, sum) in terms.chunks(n).zip(model.log_prob_rows(&values)) {
        let total: f64 = terms.iter().sum();
        assert!(total == sum || (total - sum).abs() < 1e-10, "{total} for {sum}");
    }
    // Nothing is possible outside the support, whatever stands beside it.
    laws::support(&exact, n, m, &device(), 0.0).unwrap();
    laws::support(&model, n, m, &device(), 0.0).unwrap();
    if m < 256 {
        laws::support_rows(n, m, 0.0, |rows| model.log_prob_rows(rows)).unwrap();
        laws::support_per_variable(&ordering, m, 0.0, |rows| model.log_prob_per_variable(rows))
            .unwrap();
    }
    // An empty batch.
    assert!(model.log_prob_rows(&[]).is_empty());
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let none = model.sample(0, &mut rng);
    assert_eq!(none.dims(), [0, n]);
    assert_eq!(model.log_prob(none).dims(), [0]);
    let mut state = model.init_state(0);
    let x_t = model.conditional(&state).sample(0, &mut rng);
    model.advance(&mut state, x_t);
    assert_eq!(state.position(), 1);
}

/// Changing the past must move a conditional, changing the future must not: for the stepped walk.
fn walks_causally(model: &impl Tabular) {
    let (n, m) = (model.variables(), model.states());
    let values = correlated(20, n, m, 5);
    laws::causal_perturbation(model.ordering(), m, &values, |rows| {
        let x = events(rows, n);
        let batch = rows.len() / n;
        let mut described = vec![0.0; rows.len() * m];
        let mut state = model.init_state(batch);
        for t in 0..n {
            let i = model.ordering()[t];
            let log_probs = host(model.conditional(&state).log_probs());
            for r in 0..batch {
                described[(r * n + i) * m..][..m].copy_from_slice(&log_probs[r * m..][..m]);
            }
            model.advance(&mut state, x.clone().narrow(1, i, 1).reshape([batch]));
        }
        described
    })
    .unwrap();
}

#[test]
fn uniform_obeys_the_laws() {
    obeys_the_laws(Uniform::new(5, 3).unwrap());
    obeys_the_laws(Uniform::new(1, 2).unwrap());
}

#[test]
fn independent_obeys_the_laws() {
    for (n, m, alpha) in [(6, 2, 1.0), (4, 4, 0.5), (1, 3, 1.0), (3, 1, 1.0)] {
        let values = correlated(200, n, m, 1);
        obeys_the_laws(Independent::fit(Symbols::new(&values, n, m).unwrap(), alpha).unwrap());
    }
}

#[test]
fn markov_obeys_the_laws_along_every_ordering() {
    let values = correlated(300, 6, 2, 2);
    let data = Symbols::new(&values, 6, 2).unwrap();
    for kind in
        ["raster", "reverse-raster", "column-major", "snake", "diagonal", "spiral", "hilbert"]
    {
        let kind: OrderingKind = serde_json::from_value(kind.into()).unwrap();
        for order in [0, 1, 2, 5, 9] {
            let ordering = kind.build(&[2, 3]).unwrap();
            let model = Markov::fit(order, ordering, data, 1.0).unwrap();
            obeys_the_laws(model.clone());
            if order > 0 {
                walks_causally(&model);
            }
        }
    }
    let values = correlated(300, 5, 3, 2);
    let data = Symbols::new(&values, 5, 3).unwrap();
    obeys_the_laws(Markov::fit(2, Ordering::random(5, 8), data, 0.0).unwrap());
}

#[test]
fn neighbourhood_obeys_the_laws() {
    let values = correlated(300, 9, 2, 3);
    let data = Symbols::new(&values, 9, 2).unwrap();
    for offsets in [&FOUR_NEIGHBOURS[..], &[(0, -2), (-2, 1)], &[]] {
        let model = Neighbourhood::fit([3, 3], offsets, data, 1.0).unwrap();
        obeys_the_laws(model.clone());
        if !offsets.is_empty() {
            walks_causally(&model);
        }
    }
    // Contexts that were never seen, with no pseudo-count.
    let few = Symbols::new(&values[..18], 9, 2).unwrap();
    obeys_the_laws(Neighbourhood::fit([3, 3], &FOUR_NEIGHBOURS, few, 0.0).unwrap());
}

#[test]
fn bayesian_network_obeys_the_laws() {
    let values = correlated(300, 5, 3, 4);
    let data = Symbols::new(&values, 5, 3).unwrap();
    let parents = [vec![3], vec![0, 4], vec![], vec![2], vec![]];
    let model = BayesianNetwork::fit(&parents, data, 0.5).unwrap();
    obeys_the_laws(model.clone());
    walks_causally(&model);
}

#[test]
fn full_table_obeys_the_laws() {
    for (n, m, alpha, rows) in [(6, 2, 1.0, 300), (4, 3, 0.0, 20), (1, 5, 0.1, 10), (3, 1, 1.0, 2)]
    {
        let values = correlated(rows, n, m, 6);
        let data = Symbols::new(&values, n, m).unwrap();
        let model = FullTable::fit(data, alpha).unwrap();
        obeys_the_laws(model.clone());
        if n > 1 && m > 1 {
            walks_causally(&model);
        }
        // What is read off a table speaks its float type.
        let part = model.with_dtype(FloatDType::F64).marginal(&[n - 1]).unwrap();
        laws::normalised(&part, 1, m, &device(), 1e-10).unwrap();
    }
}

#[test]
fn models_of_256_states_do_not_confuse_the_last_symbol_with_one_outside() {
    let values = [255u8, 0, 255, 7];
    let data = Symbols::new(&values, 1, 256).unwrap();
    let model = Independent::fit(data, 0.0).unwrap();
    let x = Tensor::from_data([[255], [256], [-1], [511], [7]], &device());
    let inf = f64::INFINITY;
    let got = host(model.log_prob(x));
    assert!((got[0] - 0.5f64.ln()).abs() < 1e-6 && (got[4] - 0.25f64.ln()).abs() < 1e-6);
    assert_eq!(got[1..4], [-inf; 3]);
}

#[test]
fn models_survive_the_round_trip_bit_for_bit() {
    let values = correlated(200, 6, 2, 9);
    let data = Symbols::new(&values, 6, 2).unwrap();
    let x = events(&laws::enumerate_support(6, 2), 6);
    fn arrays(model: &impl Tabular) -> Vec<Vec<f64>> {
        model.table_arrays().into_iter().map(<[f64]>::to_vec).collect()
    }
    let f64s = FloatDType::F64;

    let saved = Independent::fit(data, 1.0).unwrap().with_dtype(f64s);
    let loaded = Independent::from_tables(&[2; 6], arrays(&saved)).unwrap().with_dtype(f64s);
    laws::round_trip(&saved, &loaded, x.clone()).unwrap();

    let ordering = Ordering::random(6, 4);
    let saved = Markov::fit(2, ordering.clone(), data, 0.0).unwrap().with_dtype(f64s);
    let loaded =
        Markov::from_tables(2, ordering, &[2; 6], arrays(&saved)).unwrap().with_dtype(f64s);
    laws::round_trip(&saved, &loaded, x.clone()).unwrap();

    let saved = Neighbourhood::fit([2, 3], &FOUR_NEIGHBOURS, data, 1.0).unwrap().with_dtype(f64s);
    let loaded = Neighbourhood::from_tables([2, 3], &FOUR_NEIGHBOURS, &[2; 6], arrays(&saved))
        .unwrap()
        .with_dtype(f64s);
    laws::round_trip(&saved, &loaded, x.clone()).unwrap();

    let parents = [vec![5], vec![], vec![0, 1], vec![], vec![3], vec![]];
    let saved = BayesianNetwork::fit(&parents, data, 1.0).unwrap().with_dtype(f64s);
    let loaded =
        BayesianNetwork::from_tables(&parents, &[2; 6], arrays(&saved)).unwrap().with_dtype(f64s);
    laws::round_trip(&saved, &loaded, x.clone()).unwrap();

    let saved = FullTable::fit(data, 0.0).unwrap().with_dtype(f64s);
    let loaded = FullTable::from_tables(6, 2, arrays(&saved)).unwrap().with_dtype(f64s);
    laws::round_trip(&saved, &loaded, x.clone()).unwrap();
    // The walk is restored too, not only the joint.
    for (a, b) in saved.tables().iter().zip(loaded.tables()) {
        assert_eq!(a, b);
    }
}

#[test]
fn discrete_distributions_obey_the_laws() {
    let die = Categorical::from_probs(rows(&[0.05, 0.0, 0.6, 0.35], [1, 4])).unwrap();
    let x: Tensor<1, Int> = Tensor::from_data([0, 1, 2, 3], &device());
    let log_probs = host(die.log_prob(x));
    assert!((log_probs.iter().map(|l| l.exp()).sum::<f64>() - 1.0).abs() < 1e-12);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let draws: Vec<i64> = die.sample(DRAWS, &mut rng).try_into_vec_as().unwrap();
    laws::sampler_cells(&log_probs, draws.iter().map(|&k| k as usize), ALPHA).unwrap();

    let coin = Bernoulli::from_probs(reals(&[0.3], DType::F64)).unwrap();
    let log_probs = host(coin.log_prob(Tensor::from_data([0, 1], &device())));
    assert!((log_probs.iter().map(|l| l.exp()).sum::<f64>() - 1.0).abs() < 1e-12);
    let draws: Vec<i64> = coin.sample(DRAWS, &mut rng).try_into_vec_as().unwrap();
    laws::sampler_cells(&log_probs, draws.iter().map(|&k| k as usize), ALPHA).unwrap();
}

/// Mass 1, and draws that fall into bins as often as the density says.
fn continuous<D: Density<Event = Tensor<1>> + Sample>(dist: &D, range: [f64; 2]) {
    let [lower, upper] = range;
    let log_density = |x: &[f64]| host(dist.log_prob(reals(x, DType::F64)));
    laws::integrates_to_one(lower, upper, 4000, 1e-9, log_density).unwrap();

    const BINS: usize = 40;
    let width = (upper - lower) / BINS as f64;
    let log_mass: Vec<f64> = (0..BINS)
        .map(|b| {
            let left = lower + width * b as f64;
            laws::integral(left, left + width, 400, log_density).ln()
        })
        .collect();
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let bins = host(dist.sample(DRAWS, &mut rng)).into_iter().map(|x| {
        assert!(x > lower && x < upper, "{x} is far out");
        ((x - lower) / width) as usize
    });
    laws::sampler_cells(&log_mass, bins, ALPHA).unwrap();
}

#[test]
fn continuous_distributions_obey_the_laws() {
    let normal = Normal::new(reals(&[1.5], DType::F64), reals(&[0.8], DType::F64)).unwrap();
    continuous(&normal, [1.5 - 8.0, 1.5 + 8.0]);
    let mixture = GaussianMixture::new(
        rows(&[0.2, -1.0, f64::NEG_INFINITY], [1, 3]),
        rows(&[-2.0, 1.0, 50.0], [1, 3]),
        rows(&[0.0, -1.0, 2.0], [1, 3]),
    )
    .unwrap();
    continuous(&mixture, [-12.0, 8.0]);
}

/// Three components, of which one is four steps wide, one much less than a step and one many.
fn discretized(grid: Grid) -> DiscretizedLogisticMixture {
    let step = grid.step();
    DiscretizedLogisticMixture::new(
        rows(&[0.2, -1.0, 0.4, f64::NEG_INFINITY], [1, 4]),
        rows(&[-2.0, 1.25, 5.1, 50.0].map(|m| grid.value(m)), [1, 4]),
        rows(&[1.0, 0.01, 4.0, 1.0].map(|s: f64| (s * step).ln()), [1, 4]),
        grid,
    )
    .unwrap()
}

/// Mass 1 over `cells`, and draws that fall into them as often as the mass says.
fn on_a_grid<D>(dist: &D, grid: Grid, cells: std::ops::Range<i64>)
where
    D: Density<Event = Tensor<1>> + Sample,
{
    let values: Vec<f64> = cells.clone().map(|k| grid.value(k as f64)).collect();
    let log_probs = host(dist.log_prob(reals(&values, DType::F64)));
    laws::sums_to_one(log_probs.iter().copied(), 1e-12).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let draws = host(dist.sample(DRAWS, &mut rng)).into_iter().map(|x| {
        assert!(grid.contains(x), "{x} is no value of the grid");
        (grid.index(x) as i64 - cells.start) as usize
    });
    laws::sampler_cells(&log_probs, draws, ALPHA).unwrap();
}

#[test]
fn discretized_logistics_obey_the_laws_on_every_grid() {
    for (origin, step) in [(0.0, 1.0), (0.0, 0.01), (-7.3, 2.5), (0.0, 1e-9), (0.0, 1e9)] {
        let grid = Grid::unbounded(origin, step).unwrap();
        on_a_grid(&discretized(grid), grid, -200..200);
    }
    // The components reach beyond both ends of the short ones.
    for (first, step, cells) in [(0.0, 1.0, 256), (-1.0, 0.5, 9), (0.0, 0.01, 2), (4.0, 1.0, 1)] {
        let grid = Grid::bounded(first, step, cells).unwrap();
        on_a_grid(&discretized(grid), grid, 0..cells as i64);
    }
}

#[test]
fn discretized_logistics_sum_to_one_at_every_scale() {
    let bytes = Grid::bounded(0.0, 1.0, 256).unwrap();
    for log_scale in [1e-12f64, 1e-3, 1.0, 1e3, 1e12].map(f64::ln) {
        for mean in [-1e9, -0.5, 0.0, 127.3, 255.0, 1e9] {
            let one = |value| rows(&[value], [1, 1]);
            let dist = DiscretizedLogisticMixture::new(one(0.0), one(mean), one(log_scale), bytes);
            let values: Vec<f64> = (0..256).map(f64::from).collect();
            let log_probs = host(dist.unwrap().log_prob(reals(&values, DType::F64)));
            assert!(log_probs.iter().all(|l| l.is_finite()), "{mean}, {log_scale}");
            laws::sums_to_one(log_probs, 1e-12).unwrap();
        }
    }
    // In f32, at the tolerance that rounding needs.
    let single = |values: [f64; 2]| rows(&values, [1, 2]).cast(FloatDType::F32);
    let dist = DiscretizedLogisticMixture::new(
        single([0.0, 1.0]),
        single([100.0, 3.0]),
        single([3.0, -1.0]),
        bytes,
    );
    let values: Vec<f64> = (0..256).map(f64::from).collect();
    let log_probs = dist.unwrap().log_prob(reals(&values, DType::F32));
    assert_eq!(log_probs.dtype(), DType::F32);
    laws::sums_to_one(host(log_probs), 1e-5).unwrap();
}

#[test]
fn values_that_may_be_missing_obey_the_laws() {
    let bools = |missing: Vec<bool>| Tensor::from_data(missing.as_slice(), &device());
    for q in [0.0, 0.3, 1.0] {
        let missing = Bernoulli::from_probs(reals(&[q], DType::F64)).unwrap();
        // Outcome 0 is the missing one, the others are the values.
        let grid = Grid::bounded(-1.0, 0.5, 9).unwrap();
        let dist = WithMissing::new(missing.clone(), discretized(grid));
        let mut values = vec![grid.value(0.0)];
        values.extend((0..9).map(|k| grid.value(f64::from(k))));
        let event = MaybeMissing {
            missing: bools((0..10).map(|k| k == 0).collect()),
            value: reals(&values, DType::F64),
        };
        let log_probs = host(dist.log_prob(event));
        laws::sums_to_one(log_probs.iter().copied(), 1e-12).unwrap();
        let x = dist.sample(DRAWS, &mut ChaCha8Rng::seed_from_u64(14));
        let is_missing: Vec<bool> = x.missing.try_into_vec_as().unwrap();
        let outcome =
            |(missing, x): (bool, f64)| if missing { 0 } else { grid.index(x) as usize + 1 };
        let draws = is_missing.into_iter().zip(host(x.value)).map(outcome);
        laws::sampler_cells(&log_probs, draws, ALPHA).unwrap();

        // A category, `other` and a missing word together.
        let words = Categorical::with_other(&[5, 0, 2], 1.0, (&device(), DType::F64)).unwrap();
        let dist = WithMissing::new(missing, words);
        let event = MaybeMissing {
            missing: bools(vec![true, false, false, false, false]),
            value: Tensor::from_data([0, 0, 1, 2, 3], &device()),
        };
        laws::sums_to_one(host(dist.log_prob(event)), 1e-12).unwrap();
    }
}

#[test]
fn gradients_of_the_log_likelihoods_are_their_slopes() {
    let grad_of = |f: &dyn Fn(Tensor<2>) -> Tensor<1>, at: &[f64], shape: [usize; 2]| {
        let leaf = rows(at, shape).autodiff().require_grad();
        let grads = f(leaf.clone()).sum().backward();
        host(leaf.grad(&grads).unwrap())
    };
    // All parameters of a mixture in one tensor: logits, means, log-scales.
    let x = reals(&[0.3, -1.2], DType::F64);
    let mixture = |p: Tensor<2>| {
        let part = |k: usize| p.clone().narrow(0, 2 * k, 2);
        GaussianMixture::new_unchecked(part(0), part(1), part(2)).log_prob(x.clone())
    };
    let at = [
        0.1, -0.4, 0.9, 0.0, -1.0, 0.5, 0.2, 2.0, -0.3, 0.4, 0.1, 0.0, 0.7, 0.2, -0.6, 0.3, 0.0,
        0.1,
    ];
    let grad = grad_of(&mixture, &at, [6, 3]);
    let f = |p: &[f64]| host(mixture(rows(p, [6, 3]))).iter().sum();
    laws::gradient(f, &at, &grad, 10, 1e-5, 1e-8, 1).unwrap();

    // The same of discretized logistics: an inner cell, both ends, a cell far out; scales of about a
    // step, a fifth of one and six.
    for (grid, x) in [
        (Grid::INTEGERS, [0.0, -90.0]),
        (Grid::bounded(-1.0, 0.5, 9).unwrap(), [-1.0, 3.0]),
        (Grid::bounded(-1.0, 0.5, 9).unwrap(), [0.5, 2.5]),
        (Grid::bounded(0.0, 0.5, 1).unwrap(), [0.0, 0.0]),
    ] {
        let x = reals(&x, DType::F64);
        let mixture = |p: Tensor<2>| {
            let part = |k: usize| p.clone().narrow(0, 2 * k, 2);
            DiscretizedLogisticMixture::new_unchecked(part(0), part(1), part(2), grid)
                .log_prob(x.clone())
        };
        let at = [
            0.1, -0.4, 0.9, 0.0, -1.0, 0.5, 0.2, 2.0, -0.3, 0.4, 0.1, 0.0, 0.7, -1.6, 1.8, 0.3,
            0.0, 0.1,
        ];
        let grad = grad_of(&mixture, &at, [6, 3]);
        let f = |p: &[f64]| host(mixture(rows(p, [6, 3]))).iter().sum();
        laws::gradient(f, &at, &grad, 10, 1e-5, 1e-8, 4).unwrap();
    }

    let symbols: Tensor<1, Int> = Tensor::from_data([2, 0], &device());
    let die = |p: Tensor<2>| Categorical::from_logits_unchecked(p).log_prob(symbols.clone());
    let at = [0.3, -2.0, 1.1, 0.0, 0.0, 4.0];
    let grad = grad_of(&die, &at, [2, 3]);
    let f = |p: &[f64]| host(die(rows(p, [2, 3]))).iter().sum();
    laws::gradient(f, &at, &grad, 10, 1e-5, 1e-8, 2).unwrap();

    let falls: Tensor<1, Int> = Tensor::from_data([1, 0, 1, 0], &device());
    let coins =
        |p: Tensor<2>| Bernoulli::from_logits_unchecked(p.reshape([4])).log_prob(falls.clone());
    let at = [0.0, 0.0, -35.0, 3.0];
    let grad = grad_of(&coins, &at, [1, 4]);
    let f = |p: &[f64]| host(coins(rows(p, [1, 4]))).iter().sum();
    laws::gradient(f, &at, &grad, 10, 1e-5, 1e-8, 3).unwrap();
}
