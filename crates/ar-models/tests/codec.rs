//! What is compressed comes back, costs what the likelihood says, and nothing else is ever decoded.

use ar_models::codec::{Arithmetic, Codec, Fault, Header, Source};
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::model::Model;
use ar_models::{Error, Isa};
use burn::tensor::Device;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

struct Case {
    config: ModelConfig,
    event: EventSpec,
    model: Model,
}

impl Case {
    /// A model of such events, fitted to noise or with its first weights.
    fn new(config: Value, shape: &[usize], levels: usize) -> Self {
        let config: ModelConfig = serde_json::from_value(config).unwrap();
        let event = EventSpec::symbols(shape.to_vec(), levels);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        // Skewed, so that there is something to save.
        let noise = (0..40 * event.variables())
            .map(|_| (rng.random::<f64>().powi(3) * levels as f64) as u8)
            .collect();
        let noise = InMemory::new(noise, event.variables());
        let model = if config.is_neural() {
            Model::init(&config, &event, &noise, 1, &Device::default()).unwrap()
        } else {
            Model::fit(&config, &event, &noise).unwrap()
        };
        Self { config, event, model }
    }

    fn codec(&self) -> Codec<'_> {
        Codec::new(&self.model, &self.config, &self.event).unwrap()
    }

    /// Draws of the model.
    fn draws(&self, n: usize) -> Vec<u8> {
        self.model.sample(n, &mut ChaCha8Rng::seed_from_u64(2))
    }

    fn compress(&self, values: &[u8]) -> Vec<u8> {
        self.compress_on(values, Isa::detect())
    }

    fn compress_on(&self, values: &[u8], isa: Isa) -> Vec<u8> {
        let data = InMemory::new(values.to_vec(), self.event.variables());
        self.codec().compress(&data, Source::Unchanged, isa, &mut |_| ()).unwrap()
    }

    fn decompress(&self, file: &[u8]) -> Result<Vec<u8>, Fault> {
        self.codec().decompress(file, &mut |_| ())
    }
}

fn nade() -> Case {
    Case::new(json!({"kind": "nade", "hidden": 20, "init_scale": 1.0}), &[4, 5], 2)
}

fn cases() -> Vec<Case> {
    let pixels = |kind: &str, classes: Option<usize>| {
        let mut settings = json!({"kind": kind, "layers": 2, "hidden": 6, "head": 8});
        if let Some(classes) = classes {
            settings["classes"] = classes.into();
        }
        settings
    };
    let mixed = |mut settings: Value| {
        settings["likelihood"] = "logistic-mixture".into();
        settings
    };
    vec![
        Case::new(json!({"kind": "uniform"}), &[7], 3),
        Case::new(json!({"kind": "independent"}), &[9], 256),
        Case::new(json!({"kind": "markov", "order": 2, "ordering": "snake"}), &[4, 5], 5),
        Case::new(json!({"kind": "neighbourhood", "offsets": [[0, -1], [-1, 1]]}), &[5, 6], 2),
        Case::new(json!({"kind": "bayesian-network", "parents": [[1], [], [0, 1]]}), &[3], 4),
        // Not in the support: the table has seen 40 of 512 events.
        Case::new(json!({"kind": "full-table", "pseudo_count": 0.0}), &[3, 3], 2),
        Case::new(json!({"kind": "full-table"}), &[3, 3], 2),
        Case::new(json!({"kind": "logistic", "ordering": "spiral"}), &[4, 5], 2),
        nade(),
        Case::new(
            json!({"kind": "nade", "hidden": 7, "init_scale": 1.0,
                   "ordering": {"kind": "random", "seed": 3}}),
            &[6, 7],
            2,
        ),
        Case::new(json!({"kind": "made", "hidden": [12, 9], "direct": true}), &[4, 5], 2),
        Case::new(json!({"kind": "made", "hidden": [12], "masks": 3}), &[4, 5], 2),
        Case::new(json!({"kind": "nade", "hidden": 7, "classes": 3}), &[4, 5], 2),
        Case::new(json!({"kind": "orderless-nade", "hidden": [9]}), &[4, 5], 2),
        Case::new(json!({"kind": "orderless-nade", "hidden": [9, 8], "orderings": 3}), &[4, 5], 2),
        Case::new(pixels("row-lstm", None), &[5, 6], 2),
        Case::new(pixels("diagonal-bilstm", None), &[4, 4], 17),
        Case::new(pixels("diagonal-lstm", Some(3)), &[4, 4], 2),
        Case::new(pixels("pixel-cnn", Some(2)), &[3, 4, 4], 4),
        Case::new(json!({"kind": "nade", "hidden": 7, "init_scale": 0.5}), &[4, 5], 17),
        Case::new(
            json!({"kind": "nade", "hidden": 7, "init_scale": 0.5, "components": 3,
                   "likelihood": "logistic-mixture", "ordering": "snake"}),
            &[4, 5],
            256,
        ),
        Case::new(mixed(pixels("pixel-cnn", None)), &[3, 4, 4], 256),
        Case::new(mixed(pixels("row-lstm", Some(2))), &[4, 5], 17),
    ]
}

/// Bytes that a set costs by the model's likelihood.
fn nll_bytes(case: &Case, values: &[u8]) -> f64 {
    // An ensemble is coded along its first ordering.
    let first = case.model.clone().with_orderings(1);
    let model = first.as_ref().unwrap_or(&case.model);
    let nats: f64 = model.log_prob(values).iter().map(|l| -l).sum();
    nats / core::f64::consts::LN_2 / 8.0
}

#[test]
fn every_model_gives_back_what_it_was_given_at_the_price_of_its_likelihood() {
    for case in cases() {
        let kind = case.model.kind();
        for n in [1, 2, 700] {
            let values = case.draws(n);
            let file = case.compress(&values);
            assert_eq!(case.decompress(&file).unwrap(), values, "{kind}");
            let (expected, found) = (nll_bytes(&case, &values), file.len() as f64);
            assert!(found <= 1.005 * expected + 64.0, "{kind}: {found} bytes for {expected}");
            assert!(found > expected, "{kind}: {found} bytes for {expected}");
            let header = Header::read(&file).unwrap();
            assert_eq!((header.events, &header.shape), (n, &case.event.shape), "{kind}");
        }
    }
}

#[test]
fn what_the_model_calls_impossible_comes_back_too() {
    let case = Case::new(json!({"kind": "full-table", "pseudo_count": 0.0}), &[2, 2], 2);
    let values = InMemory::new(prob_core::laws::enumerate_support(4, 2), 4);
    let all = prob_core::laws::enumerate_support(4, 2);
    let file = case.codec().compress(&values, Source::Binarized, Isa::detect(), &mut |_| ());
    let file = file.unwrap();
    assert_eq!(case.decompress(&file).unwrap(), all);
    assert_eq!(Header::read(&file).unwrap().source, Source::Binarized);
    // Noise costs what the model thinks of it, which is more than of its own draws.
    let case = nade();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let noise: Vec<u8> = (0..20 * 300).map(|_| u8::from(rng.random::<bool>())).collect();
    let file = case.compress(&noise);
    assert_eq!(case.decompress(&file).unwrap(), noise);
    assert!(file.len() > case.compress(&case.draws(300)).len());
}

#[test]
fn a_file_of_no_events_and_one_of_many_streams_come_back() {
    let case = nade();
    let none = case.compress(&[]);
    assert_eq!(case.decompress(&none), Ok(vec![]));
    let case = Case::new(json!({"kind": "uniform"}), &[50], 256);
    let values = case.draws(2000);
    let file = case.compress(&values);
    // 100 kB and no model: six streams of 16 KiB and what they cost.
    assert!((100_000..100_200).contains(&file.len()), "{}", file.len());
    let mut seen = Vec::new();
    let back = case.codec().decompress(&file, &mut |done| seen.push(done)).unwrap();
    assert_eq!((back, seen.last()), (values, Some(&2000)));
}

#[test]
fn a_file_does_not_depend_on_the_number_of_threads() {
    for case in [nade(), cases().remove(2), cases().remove(11), cases().remove(13)] {
        let values = case.draws(900);
        let expected = case.compress(&values);
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (file, back) =
                pool.install(|| (case.compress(&values), case.decompress(&expected)));
            assert!(file == expected, "{}, {threads} threads", case.model.kind());
            assert_eq!(back.as_ref(), Ok(&values), "{}, {threads} threads", case.model.kind());
        }
    }
}

#[test]
fn each_instruction_set_reads_what_it_wrote_and_says_which_it_was() {
    let case = nade();
    let values = case.draws(500);
    for isa in Isa::available() {
        let file = case.compress_on(&values, isa);
        assert_eq!(Header::read(&file).unwrap().arithmetic, Arithmetic::Lanes(isa.name()));
        assert_eq!(case.decompress(&file).unwrap(), values, "{isa:?}");
    }
    let made = Case::new(json!({"kind": "made", "hidden": [12]}), &[4, 5], 2);
    let file = made.compress(&values);
    let arithmetic = Header::read(&file).unwrap().arithmetic;
    assert!(matches!(arithmetic, Arithmetic::Tensors { .. }), "{arithmetic}");
}

#[cfg(all(feature = "flex", feature = "ndarray"))]
#[test]
fn another_backend_is_named() {
    let made = Case::new(json!({"kind": "made", "hidden": [12]}), &[4, 5], 2);
    let values = made.draws(10);
    let file = made.compress(&values);
    let bytes = made.model.to_bytes().unwrap();
    let there = Model::from_bytes(&made.config, &made.event, &bytes, &Device::ndarray()).unwrap();
    let codec = Codec::new(&there, &made.config, &made.event).unwrap();
    let fault = codec.decompress(&file, &mut |_| ()).unwrap_err().to_string();
    assert!(fault.contains("flex on") && fault.contains("ndarray on"), "{fault}");
}

#[test]
fn another_model_is_named_and_other_data_refused() {
    let case = nade();
    let file = case.compress(&case.draws(10));
    let other = Case::new(json!({"kind": "nade", "hidden": 21, "init_scale": 1.0}), &[4, 5], 2);
    match other.decompress(&file) {
        Err(Fault::OtherModel { found, expected }) => {
            assert_eq!([found, expected], [case.codec().digest(), other.codec().digest()]);
        }
        unexpected => panic!("{unexpected:?}"),
    }
    let compress = |values: InMemory| {
        case.codec().compress(&values, Source::Unchanged, Isa::Portable, &mut |_| ()).unwrap_err()
    };
    for (error, part) in [
        (compress(InMemory::new(vec![0; 40], 10)), "needs 20 variables, the data has 10"),
        (compress(InMemory::new(vec![2; 20], 20)), "needs values below 2, the data has a 2"),
        (compress(InMemory::reals(vec![0.0; 20], 20)), "needs symbols, the data has real numbers"),
    ] {
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn ten_thousand_altered_files_give_the_original_or_an_error() {
    let case = Case::new(json!({"kind": "markov", "order": 1}), &[4, 4], 2);
    let values = case.draws(80);
    let file = case.compress(&values);
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut unchanged = 0;
    for round in 0..10_000 {
        let altered = alter(&file, &mut rng);
        match case.decompress(&altered) {
            Ok(back) => {
                assert!(back == values && altered == file, "round {round}");
                unchanged += 1;
            }
            Err(fault) => assert!(!fault.to_string().is_empty()),
        }
    }
    // A swap of equal bytes changes nothing, now and then.
    assert!(unchanged < 200, "{unchanged} of 10,000 did not change the file");
}

/// A file with some bits flipped, or bytes cut off, taken out, put in or swapped.
fn alter(file: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut altered = file.to_vec();
    for _ in 0..rng.random_range(1..4) {
        let n = altered.len().max(1);
        let at = rng.random_range(0..n);
        match rng.random_range(0..5) {
            _ if altered.is_empty() => altered.push(rng.random()),
            0 => altered[at] ^= 1 << rng.random_range(0..8),
            1 => altered.truncate(at),
            2 => drop(altered.remove(at)),
            3 => altered.insert(at, rng.random()),
            _ => altered.swap(at, rng.random_range(0..n)),
        }
    }
    altered
}
