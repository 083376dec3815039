//! What the families have to do with each other, by property tests and brute force.

use prob_core::Error;
use prob_core::count;
use prob_core::joint::{
    BayesianNetwork, DEFAULT_MEMORY_LIMIT_BYTES, FOUR_NEIGHBOURS, FullTable, Independent, Markov,
    Neighbourhood, Symbols, TEN_NEIGHBOURS, Tabular, Uniform,
};
use prob_core::laws::enumerate_support;
use prob_core::ordering::Ordering;
use proptest::prelude::*;

/// Rows of random symbols with n variables of m states.
fn data() -> impl Strategy<Value = (usize, usize, Vec<u8>)> {
    (1usize..6, 1usize..4, 0usize..40).prop_flat_map(|(n, m, rows)| {
        let symbols = prop::collection::vec(0..m as u8, rows * n);
        (Just(n), Just(m), symbols)
    })
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() < 1e-10
}

/// Relative frequency of the rows that agree with `event` on `variables`, after Laplace on the
/// whole table.
fn brute_force(
    values: &[u8],
    (n, m, alpha): (usize, usize, f64),
    event: &[u8],
    variables: &[usize],
) -> f64 {
    let agrees = |row: &[u8]| variables.iter().all(|&i| row[i] == event[i]);
    let seen = values.chunks(n).filter(|row| agrees(row)).count() as f64;
    let cells = (m as f64).powi((n - variables.len()) as i32);
    let total = (values.len() / n) as f64 + alpha * (m as f64).powi(n as i32);
    (seen + alpha * cells) / total
}

proptest! {
    #[test]
    fn the_chain_of_the_full_table_is_the_ratio_of_its_marginals(
        (n, m, values) in data(), alpha in 0.01f64..2.0,
    ) {
        let table = FullTable::fit(Symbols::new(&values, n, m).unwrap(), alpha).unwrap();
        let support = enumerate_support(n, m);
        let terms = table.log_prob_per_variable(&support);
        for (event, terms) in support.chunks(n).zip(terms.chunks(n)) {
            for (t, &term) in terms.iter().enumerate() {
                let prefix: Vec<usize> = (0..t).collect();
                let longer: Vec<usize> = (0..=t).collect();
                let want = brute_force(&values, (n, m, alpha), event, &longer)
                    / brute_force(&values, (n, m, alpha), event, &prefix);
                prop_assert!(close(term, want.ln()), "{term} for {}", want.ln());
            }
        }
    }

    #[test]
    fn order_n_minus_1_without_pseudo_count_is_the_full_table((n, m, values) in data()) {
        prop_assume!(!values.is_empty());
        let data = Symbols::new(&values, n, m).unwrap();
        let table = FullTable::fit(data, 0.0).unwrap();
        let support = enumerate_support(n, m);
        for ordering in [Ordering::raster(n), Ordering::random(n, 1)] {
            let chain = Markov::fit(n - 1, ordering, data, 0.0).unwrap();
            let (a, b) = (table.log_prob_rows(&support), chain.log_prob_rows(&support));
            prop_assert!(a.iter().zip(&b).all(|(a, b)| close(*a, *b)), "{a:?} {b:?}");
            prop_assert_eq!(chain.free_parameters(), table.free_parameters());
        }
    }

    #[test]
    fn order_0_is_independent((n, m, values) in data(), alpha in 0.0f64..2.0, seed: u64) {
        let data = Symbols::new(&values, n, m).unwrap();
        let support = enumerate_support(n, m);
        let independent = Independent::fit(data, alpha).unwrap();
        let chain = Markov::fit(0, Ordering::random(n, seed), data, alpha).unwrap();
        let (a, b) = (independent.log_prob_rows(&support), chain.log_prob_rows(&support));
        prop_assert!(a.iter().zip(&b).all(|(a, b)| close(*a, *b)));
        let terms = (independent.log_prob_per_variable(&support), chain.log_prob_per_variable(&support));
        prop_assert_eq!(terms.0, terms.1);
    }

    #[test]
    fn a_chain_is_a_network_and_a_row_of_neighbours(
        (n, m, values) in data(), order in 0usize..4, alpha in 0.0f64..2.0,
    ) {
        let data = Symbols::new(&values, n, m).unwrap();
        let support = enumerate_support(n, m);
        let chain = Markov::fit(order, Ordering::raster(n), data, alpha).unwrap();
        let parents: Vec<Vec<usize>> =
            (0..n).map(|t| (t.saturating_sub(order)..t).collect()).collect();
        let network = BayesianNetwork::fit(&parents, data, alpha).unwrap();
        let offsets: Vec<(isize, isize)> = (1..=order as isize).rev().map(|k| (0, -k)).collect();
        let image = Neighbourhood::fit([1, n], &offsets, data, alpha).unwrap();
        prop_assert_eq!(chain.log_prob_rows(&support), network.log_prob_rows(&support));
        prop_assert_eq!(chain.log_prob_rows(&support), image.log_prob_rows(&support));
    }

    #[test]
    fn marginals_and_conditionals_are_brute_force(
        (n, m, values) in data(), alpha in 0.01f64..2.0, seed: u64, kept in 1usize..6,
    ) {
        let spec = (n, m, alpha);
        let table = FullTable::fit(Symbols::new(&values, n, m).unwrap(), alpha).unwrap();
        let kept = kept.min(n);
        let keep = &Ordering::random(n, seed).as_slice()[..kept].to_vec();
        let marginal = table.marginal(keep).unwrap();
        let small = enumerate_support(kept, m);
        let mut event = vec![0; n];
        for (symbols, l) in small.chunks(kept).zip(marginal.log_prob_rows(&small)) {
            keep.iter().zip(symbols).for_each(|(&i, &s)| event[i] = s);
            prop_assert!(close(l, brute_force(&values, spec, &event, keep).ln()));
        }
        if kept < n {
            let given: Vec<(usize, u8)> = keep.iter().map(|&i| (i, event[i])).collect();
            let evidence = brute_force(&values, spec, &event, keep);
            let rest: Vec<usize> = (0..n).filter(|i| !keep.contains(i)).collect();
            let all: Vec<usize> = (0..n).collect();
            let conditional = table.conditional(&given).unwrap();
            let small = enumerate_support(n - kept, m);
            for (symbols, l) in small.chunks(n - kept).zip(conditional.log_prob_rows(&small)) {
                rest.iter().zip(symbols).for_each(|(&i, &s)| event[i] = s);
                let want = brute_force(&values, spec, &event, &all) / evidence;
                prop_assert!(close(l, want.ln()));
            }
        }
    }

    #[test]
    fn a_chain_makes_its_ends_independent_given_the_middle((_, m, values) in data(), alpha in 0.1f64..2.0) {
        // Any three variables, fitted as a chain 0 - 1 - 2 and written out as a full table.
        let values = &values[..values.len() / 3 * 3];
        let chain =
            Markov::fit(1, Ordering::raster(3), Symbols::new(values, 3, m).unwrap(), alpha).unwrap();
        let joint = chain.log_prob_rows(&enumerate_support(3, m));
        let table = FullTable::from_log_probs(3, m, joint).unwrap();
        let found = table.conditional_independence(&[0], &[2], &[1], 1e-12).unwrap();
        prop_assert!(found.independent && found.largest_deviation < 1e-12, "{found:?}");
        // Symmetric in X and Y, and I(X; YZ) = I(X; Z) + I(X; Y | Z).
        let swapped = table.conditional_independence(&[2], &[0], &[1], 1e-12).unwrap();
        prop_assert!((found.mutual_information_nats - swapped.mutual_information_nats).abs() < 1e-12);
        let mi = |x: &[usize], y: &[usize], z: &[usize]| {
            table.conditional_independence(x, y, z, 0.0).unwrap().mutual_information_nats
        };
        prop_assert!((mi(&[0], &[1, 2], &[]) - mi(&[0], &[2], &[]) - mi(&[0], &[1], &[2])).abs() < 1e-10);
    }

    #[test]
    fn free_parameters_are_the_formulas((n, m, values) in data(), order in 0usize..6) {
        let data = Symbols::new(&values, n, m).unwrap();
        prop_assert_eq!(FullTable::fit(data, 1.0).unwrap().free_parameters(), count::full_table(n, m));
        prop_assert_eq!(Independent::fit(data, 1.0).unwrap().free_parameters(), count::independent(n, m));
        let chain = Markov::fit(order, Ordering::raster(n), data, 1.0).unwrap();
        prop_assert_eq!(chain.free_parameters(), count::markov(n, m, order));
        let image = Neighbourhood::fit([n, 1], &FOUR_NEIGHBOURS, data, 1.0).unwrap();
        prop_assert_eq!(image.free_parameters(), count::neighbourhood([n, 1], &FOUR_NEIGHBOURS, m).unwrap());
        prop_assert_eq!(Uniform::new(n, m).unwrap().free_parameters(), 0u8.into());
    }

    #[test]
    fn threads_change_nothing((n, m, values) in data(), order in 0usize..4) {
        let data = Symbols::new(&values, n, m).unwrap();
        let fit = || Markov::fit(order, Ordering::raster(n), data, 0.3).unwrap();
        let run = |threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let model = fit();
                let bits = |v: Vec<f64>| v.into_iter().map(f64::to_bits).collect::<Vec<u64>>();
                (bits(model.log_prob_rows(&values)), bits(model.log_prob_per_variable(&values)))
            })
        };
        prop_assert_eq!(run(1), run(3));
    }
}

/// Six digits of four by four pixels, and costs computed with a separate script (Python fractions):
/// Laplace (count + 1) / (total + 2) per position.
#[test]
fn small_images_cost_what_a_separate_computation_says() {
    #[rustfmt::skip]
    let images: [u8; 6 * 16] = [
        0,1,1,0, 1,0,0,1, 1,0,0,1, 0,1,1,0,
        0,1,0,0, 1,1,0,0, 0,1,0,0, 1,1,1,0,
        1,1,1,0, 0,0,1,0, 0,1,0,0, 1,1,1,1,
        1,1,1,0, 0,1,1,0, 0,0,1,0, 1,1,1,0,
        1,0,1,0, 1,1,1,1, 0,0,1,0, 0,0,1,0,
        1,1,1,1, 1,1,0,0, 0,0,1,1, 1,1,1,0,
    ];
    let data = Symbols::new(&images, 16, 2).unwrap();
    let test = [0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 0];
    let cost = |model: &dyn Fn() -> Vec<f64>| -model()[0];
    let raster = || Ordering::raster(16);
    let (independent, one, three, four, ten) = (
        Independent::fit(data, 1.0).unwrap(),
        Markov::fit(1, raster(), data, 1.0).unwrap(),
        Markov::fit(3, raster(), data, 1.0).unwrap(),
        Neighbourhood::fit([4, 4], &FOUR_NEIGHBOURS, data, 1.0).unwrap(),
        Neighbourhood::fit([4, 4], &TEN_NEIGHBOURS, data, 1.0).unwrap(),
    );
    for (got, want) in [
        (cost(&|| independent.log_prob_rows(&test)), GOLDEN[0]),
        (cost(&|| one.log_prob_rows(&test)), GOLDEN[1]),
        (cost(&|| three.log_prob_rows(&test)), GOLDEN[2]),
        (cost(&|| four.log_prob_rows(&test)), GOLDEN[3]),
        (cost(&|| ten.log_prob_rows(&test)), GOLDEN[4]),
    ] {
        assert!((got - want).abs() < 1e-12, "{got} for {want}");
    }
}

/// Independent, Markov 1, Markov 3, four neighbours, ten neighbours; from `golden.py` beside this.
const GOLDEN: [f64; 5] = include!("golden.txt");

#[test]
fn fitting_refuses_what_does_not_fit_in_memory() {
    let image = [0u8; 784];
    let data = Symbols::new(&image, 784, 2).unwrap();
    assert_eq!(DEFAULT_MEMORY_LIMIT_BYTES, 1 << 30);
    let full = FullTable::fit(data, 1.0).unwrap_err().to_string();
    assert_eq!(
        full,
        "full table needs at least about 10^237 bytes of tables, expected at most 1024.0 MiB"
    );
    let chain = Markov::fit(30, Ordering::raster(784), data, 1.0).unwrap_err();
    assert!(matches!(chain, Error::TooLarge { model: "Markov chain", .. }), "{chain}");
    let long = Markov::fit(usize::MAX, Ordering::raster(784), data, 1.0).unwrap_err();
    assert!(matches!(long, Error::TooLarge { .. }), "{long}");
    let parents: Vec<Vec<usize>> = (0..784).map(|i| (0..i.min(40)).collect()).collect();
    let network = BayesianNetwork::fit(&parents, data, 1.0).unwrap_err();
    assert!(matches!(network, Error::TooLarge { model: "Bayesian network", .. }), "{network}");
    // What the documentation of `FullTable::fit` says of 25 and 26 variables.
    let bytes = |variables| {
        let row = vec![0; variables];
        let data = Symbols::new(&row, variables, 2).unwrap();
        let Err(Error::TooLarge { needed_bytes, .. }) = FullTable::fit_within(data, 1.0, 0) else {
            panic!("no table fits in no memory")
        };
        needed_bytes
    };
    assert!(bytes(25) <= DEFAULT_MEMORY_LIMIT_BYTES.into());
    assert!(bytes(26) > DEFAULT_MEMORY_LIMIT_BYTES.into());
    // A very long row is refused as fast as a short one.
    let row = vec![0; 100_000];
    let data = Symbols::new(&row, row.len(), 2).unwrap();
    assert!(FullTable::fit(data, 1.0).is_err());
    assert!(Markov::fit(usize::MAX, Ordering::raster(row.len()), data, 1.0).is_err());
    // The limit is exact: three variables of two states keep 8 + (2 + 4 + 8) entries.
    let data = Symbols::new(&[0, 1, 0], 3, 2).unwrap();
    assert!(FullTable::fit_within(data, 1.0, 22 * 8).is_ok());
    let error = FullTable::fit_within(data, 1.0, 22 * 8 - 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "full table needs at least 176 bytes of tables, expected at most 175 bytes"
    );
    assert!(Independent::fit_within(data, 1.0, 6 * 8).is_ok());
    assert!(Independent::fit_within(data, 1.0, 6 * 8 - 1).is_err());
}

#[test]
fn bad_arguments_are_errors_that_name_them() {
    let data = Symbols::new(&[0, 1, 1, 0], 2, 2).unwrap();
    for alpha in [-1.0, f64::NAN, f64::INFINITY] {
        let error = Independent::fit(data, alpha).unwrap_err();
        assert!(matches!(error, Error::PseudoCount(_)), "{error}");
        assert!(FullTable::fit(data, alpha).is_err());
    }
    let error = Markov::fit(1, Ordering::raster(3), data, 1.0).unwrap_err();
    assert_eq!(error.to_string(), "Markov chain of 3 variables, expected 2");
    let table = FullTable::fit(data, 0.0).unwrap();
    assert_eq!(table.conditional(&[(0, 0), (1, 0)]).unwrap_err(), Error::Empty("variables left"));
    assert!(matches!(table.conditional(&[(0, 2)]).unwrap_err(), Error::Symbol { .. }));
    assert!(matches!(table.marginal(&[2]).unwrap_err(), Error::NoSuchVariable { .. }));
    assert!(matches!(table.marginal(&[0, 0]).unwrap_err(), Error::Repeated { .. }));
    assert!(table.conditional_independence(&[0], &[0], &[], 0.0).is_err());
    let certain = FullTable::fit(Symbols::new(&[0, 1], 2, 2).unwrap(), 0.0).unwrap();
    assert_eq!(certain.conditional(&[(0, 1)]).unwrap_err(), Error::Impossible);
    // Stored tables of the wrong number, length or content.
    let half = 0.5f64.ln();
    assert!(Independent::from_tables(&[2; 2], vec![vec![half; 2]]).is_err());
    assert!(Independent::from_tables(&[2; 2], vec![vec![half; 2], vec![half; 4]]).is_err());
    assert!(Independent::from_tables(&[2], vec![vec![half, f64::NAN]]).is_err());
    assert!(FullTable::from_tables(1, 2, vec![]).is_err());
    assert!(FullTable::from_log_probs(2, 2, vec![half; 4]).is_err());
    assert!(Uniform::new(0, 2).is_err() && Uniform::new(2, 0).is_err());
}

#[test]
fn no_data_at_all_gives_the_uniform_distribution() {
    let data = Symbols::new(&[], 3, 4).unwrap();
    for alpha in [0.0, 1.0] {
        let model = Markov::fit(1, Ordering::raster(3), data, alpha).unwrap();
        assert!((model.log_prob_rows(&[3, 0, 2])[0] + 64f64.ln()).abs() < 1e-12);
        let table = FullTable::fit(data, alpha).unwrap();
        assert!((table.log_prob_rows(&[3, 0, 2])[0] + 64f64.ln()).abs() < 1e-12);
    }
}

/// Every event of variables of so many states each.
fn events_of(levels: &[usize]) -> Vec<u8> {
    let mut events: Vec<Vec<u8>> = vec![Vec::new()];
    for &states in levels {
        let longer =
            |event: Vec<u8>| (0..states).map(move |symbol| [&event[..], &[symbol as u8]].concat());
        events = events.into_iter().flat_map(longer).collect();
    }
    events.concat()
}

/// Rows of variables of different numbers of states, each partly a copy of the one before.
fn unequal(levels: &[usize], rows: usize) -> Vec<u8> {
    let mut state = 7u32;
    let mut draw = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize
    };
    let mut values = Vec::new();
    for _ in 0..rows {
        let mut before = 0;
        for &states in levels {
            before = if draw() % 3 == 0 { draw() % states } else { before % states };
            values.push(before as u8);
        }
    }
    values
}

#[test]
fn each_variable_has_a_table_of_its_own_states() {
    let levels = [2, 4, 1, 3];
    let values = unequal(&levels, 200);
    let data = Symbols::of_levels(&values, &levels).unwrap();
    let support = events_of(&levels);
    let parents = [vec![3], vec![0, 3], vec![1], vec![]];
    let (alpha, ordering) = (0.5, Ordering::from_vec(vec![3, 0, 1, 2]).unwrap());
    let independent = Independent::fit(data, alpha).unwrap();
    let chain = Markov::fit(2, ordering, data, alpha).unwrap();
    let network = BayesianNetwork::fit(&parents, data, alpha).unwrap();
    // Entries and parameters are those of the states that there are: of the network 3·2, 2·3·4, 4·1 and 3.
    let entries = |model: &[usize]| model.iter().sum::<usize>() * size_of::<f64>();
    assert_eq!(independent.table_bytes(), entries(&[2, 4, 1, 3]));
    assert_eq!(chain.table_bytes(), entries(&[3, 3 * 2, 3 * 2 * 4, 2 * 4]));
    assert_eq!(network.table_bytes(), entries(&[3 * 2, 2 * 3 * 4, 4, 3]));
    assert_eq!(network.free_parameters().to_string(), "23");
    assert_eq!((network.levels(), network.states()), (&levels[..], 4));
    fn mass(log_probs: &[f64]) -> f64 {
        log_probs.iter().map(|log_prob| log_prob.exp()).sum()
    }
    /// By counting rows, and not by tables.
    fn counted(values: &[u8], event: &[u8], table: &prob_core::joint::ConditionalTable) -> f64 {
        let rows =
            values.chunks(4).filter(|row| table.context().iter().all(|&j| row[j] == event[j]));
        let (all, own) = rows.fold((0.0, 0.0), |(all, own), row| {
            (all + 1.0, own + f64::from(u8::from(row[table.variable()] == event[table.variable()])))
        });
        (own + 0.5) / (all + 0.5 * table.states() as f64)
    }
    fn is_the_estimate(values: &[u8], support: &[u8], model: &impl Tabular) {
        let costs = model.log_prob_per_variable(support);
        assert!((mass(&model.log_prob_rows(support)) - 1.0).abs() < 1e-12);
        for (event, costs) in support.chunks(4).zip(costs.chunks(4)) {
            for table in model.tables() {
                let want = counted(values, event, table).ln();
                assert!(close(costs[table.variable()], want), "{event:?}: {want}");
            }
        }
        // What a variable cannot be, however many states another one has.
        assert_eq!(model.log_prob_rows(&[2, 0, 0, 0, 0, 0, 1, 0]), [f64::NEG_INFINITY; 2]);
    }
    is_the_estimate(&values, &support, &independent);
    is_the_estimate(&values, &support, &chain);
    is_the_estimate(&values, &support, &network);
    // Negative control: tables that keep mass for states that a variable does not have.
    let padded =
        Markov::fit(2, chain.ordering().clone(), Symbols::new(&values, 4, 4).unwrap(), alpha);
    assert!(mass(&padded.unwrap().log_prob_rows(&support)) < 0.99);
    // Negative control: a parent that is indexed by the states of its child is another one.
    let table = &network.tables()[2];
    assert_eq!((table.variable(), table.context()), (1, &[0, 3][..]));
    let strides = |strides: [usize; 2]| {
        let wrong = |event: &&[u8]| {
            let row = usize::from(event[0]) * strides[0] + usize::from(event[3]) * strides[1];
            let entry = table.log_probs().get(row * 4 + usize::from(event[1]));
            !entry.is_some_and(|&log_prob| close(log_prob, counted(&values, event, table).ln()))
        };
        support.chunks(4).filter(wrong).count()
    };
    assert_eq!(strides([3, 1]), 0);
    assert!(strides([4, 1]) > 0 && strides([2, 1]) > 0 && strides([1, 2]) > 0);
    // Stored and restored, bit for bit; under other states nothing of it fits.
    let arrays =
        |model: &Markov| model.table_arrays().into_iter().map(<[f64]>::to_vec).collect::<Vec<_>>();
    let restored =
        Markov::from_tables(2, chain.ordering().clone(), &levels, arrays(&chain)).unwrap();
    assert_eq!(restored.log_prob_rows(&support), chain.log_prob_rows(&support));
    let other = Markov::from_tables(2, chain.ordering().clone(), &[4, 2, 1, 3], arrays(&chain));
    assert!(other.unwrap_err().to_string().contains("number of entries of table 1"));
    // The full table is of one number of states.
    let error = FullTable::fit(data, 1.0).unwrap_err().to_string();
    assert!(error.starts_with("full table of a variable 1 of 4 states beside one of 2"), "{error}");
}

#[test]
fn equal_states_are_the_same_to_the_bit_however_they_are_said() {
    let values = unequal(&[3; 4], 60);
    let (common, each) =
        (Symbols::new(&values, 4, 3).unwrap(), Symbols::of_levels(&values, &[3; 4]).unwrap());
    let support = enumerate_support(4, 3);
    let [one, other] =
        [common, each].map(|data| Markov::fit(2, Ordering::raster(4), data, 1.0).unwrap());
    assert_eq!(one.tables(), other.tables());
    assert_eq!(one.log_prob_rows(&support), other.log_prob_rows(&support));
    assert_eq!(
        FullTable::fit(each, 1.0).unwrap().log_probs(),
        FullTable::fit(common, 1.0).unwrap().log_probs()
    );
    assert!(Symbols::of_levels(&[], &[]).is_err() && Symbols::of_levels(&[], &[2, 0]).is_err());
}
