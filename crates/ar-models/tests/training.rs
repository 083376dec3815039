//! Training: it learns, it can be interrupted anywhere, and it says where it broke.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::{InMemory, read_all};
use ar_models::made::MadeSettings;
use ar_models::model::Model;
use ar_models::orderless::{Activation, OrderlessSettings};
use ar_models::pixel::PixelSettings;
use ar_models::rnade::RnadeSettings;
use ar_models::train::{
    Checkpoints, EpochRecord, Observer, OptimizerConfig, Run, ScheduleConfig, TrainConfig, Trained,
    train,
};
use ar_models::{Error, scoring};
use burn::tensor::Device;
use prob_core::ordering::OrderingKind;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// Rows of 4×4 bits in which each row of pixels has one colour, with some noise: nothing an
/// independent model can see.
fn stripes(n: usize, seed: u64) -> InMemory {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values = Vec::new();
    for _ in 0..n * 4 {
        let colour = rng.random::<bool>();
        values.extend((0..4).map(|_| u8::from(colour ^ (rng.random::<f64>() < 0.05))));
    }
    InMemory::new(values, 16)
}

fn event() -> EventSpec {
    EventSpec::symbols(vec![4, 4], 2)
}

fn nade() -> ModelConfig {
    let ordering = OrderingKind::Random { seed: 2 };
    ModelConfig::Nade {
        hidden: 10,
        ordering,
        init_scale: 0.01,
        classes: None,
        components: 8,
        likelihood: Default::default(),
    }
}

fn made() -> ModelConfig {
    let settings = MadeSettings::new(vec![10, 12]);
    ModelConfig::Made(MadeSettings { masks: 3, direct: true, ..settings })
}

/// An ensemble of one layer, and one network of two.
fn orderless() -> [ModelConfig; 2] {
    let one = OrderlessSettings { orderings: 3, ..OrderlessSettings::new(vec![10]) };
    let two =
        OrderlessSettings { activation: Activation::Relu, ..OrderlessSettings::new(vec![8, 7]) };
    [one, two].map(ModelConfig::OrderlessNade)
}

/// Every PixelRNN and PixelCNN, small.
fn pixel_models() -> [ModelConfig; 4] {
    let settings = PixelSettings { head: 5, ..PixelSettings::new(2, 3) };
    [
        ModelConfig::RowLstm(settings.clone()),
        ModelConfig::DiagonalLstm(PixelSettings { skip: true, ..settings.clone() }),
        ModelConfig::DiagonalBilstm(PixelSettings { recompute: true, ..settings.clone() }),
        ModelConfig::PixelCnn(settings),
    ]
}

fn config() -> TrainConfig {
    TrainConfig {
        batch_size: 32,
        optimizer: OptimizerConfig::Adam {
            learning_rate: 0.02,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
        },
        schedule: ScheduleConfig::Cosine { warmup_steps: 3, final_factor: 0.0 },
        weight_decay: 1e-4,
        clip_norm: Some(5.0),
        ema_decay: Some(0.9),
        early_stopping: Some(5),
        checkpoint_steps: Some(4),
        ..TrainConfig::epochs(6)
    }
}

fn run(
    model: &ModelConfig,
    config: &TrainConfig,
    checkpoint: Option<&Path>,
    resume: bool,
    observer: &mut dyn Observer,
) -> Result<Trained, Error> {
    let (train_set, valid) = (stripes(300, 1), stripes(100, 2));
    let device = Device::default();
    train(
        &Run {
            model,
            event: &event(),
            config,
            seed: 7,
            device: &device,
            train: &train_set,
            valid: Some(&valid),
            checkpoint: checkpoint.map(|path| Checkpoints { resume, ..Checkpoints::at(path) }),
        },
        observer,
    )
}

/// History without the clock.
fn timeless(history: &[EpochRecord]) -> Vec<EpochRecord> {
    history.iter().map(|record| EpochRecord { seconds: 0.0, ..record.clone() }).collect()
}

#[test]
fn the_ladder_climbs() {
    let test = stripes(200, 3);
    let nll = |model: &Model| scoring::evaluate(model, &test, |_| ()).nll_nats;
    let trained = |model: ModelConfig, epochs| {
        let config = TrainConfig {
            optimizer: OptimizerConfig::Adam {
                learning_rate: 0.02,
                beta_1: 0.9,
                beta_2: 0.999,
                epsilon: 1e-8,
            },
            ..TrainConfig::epochs(epochs)
        };
        nll(&run(&model, &config, None, false, &mut ()).unwrap().model)
    };
    let uniform = trained(ModelConfig::Uniform {}, 1);
    let independent = trained(ModelConfig::Independent { pseudo_count: 1.0 }, 1);
    let logistic = trained(ModelConfig::Logistic { ordering: OrderingKind::Raster }, 40);
    let nade = trained(nade(), 40);
    assert!((uniform - 16.0 * 2.0_f64.ln()).abs() < 1e-9);
    assert!((independent - uniform).abs() < 0.3, "{independent}");
    // Four colours and sixteen noisy pixels: 4 ln 2 + 16 H(0.05) = 5.95 nats at best.
    assert!(logistic < 7.5 && nade < 7.5, "logistic {logistic}, nade {nade}");
    assert!(logistic > 5.8 && nade > 5.8, "logistic {logistic}, nade {nade}");
}

#[test]
fn an_orderless_nade_learns_every_ordering() {
    let test = stripes(200, 3);
    let [model, _] = orderless();
    let train = TrainConfig { epochs: 60, early_stopping: None, ..config() };
    let trained = run(&model, &train, None, false, &mut ()).unwrap();
    let Model::OrderlessNade(network) = &trained.model else { unreachable!("it is one") };
    let one = Model::from(network.clone().with_orderings(1));
    let nll = |model: &Model| scoring::evaluate(model, &test, |_| ()).nll_nats;
    // 5.95 nats at best, 11.1 with no pixel seen: along raster order and all three alike.
    let (one, ensemble) = (nll(&one), nll(&trained.model));
    assert!(one < 7.5 && ensemble < one && ensemble > 5.8, "{one}, {ensemble}");
    // Weights are selected by the first ordering, at a third of the cost.
    let valid = stripes(100, 2);
    let selected_by = trained.history[trained.best_epoch - 1].valid_nll_nats.unwrap();
    let first = Model::from(network.clone().with_orderings(1));
    assert_eq!(scoring::evaluate(&first, &valid, |_| ()).nll_nats, selected_by);
}

#[test]
fn the_best_weights_are_kept() {
    let trained = run(&nade(), &config(), None, false, &mut ()).unwrap();
    let best = &trained.history[trained.best_epoch - 1];
    let lowest = trained.history.iter().filter_map(|r| r.valid_nll_nats).fold(f64::MAX, f64::min);
    assert_eq!(best.valid_nll_nats, Some(lowest));
    let again = scoring::evaluate(&trained.model, &stripes(100, 2), |_| ()).nll_nats;
    assert_eq!(again, lowest);
}

/// Dies at a given step of the process.
struct DiesAfter {
    steps: usize,
}

impl Observer for DiesAfter {
    fn step(&mut self, _: usize, _: usize, _: usize, _: f64) {
        if self.steps == 0 {
            panic!("killed");
        }
        self.steps -= 1;
    }
}

#[test]
fn a_run_that_is_killed_and_resumed_ends_with_the_same_bits() {
    let logistic = ModelConfig::Logistic { ordering: OrderingKind::Raster };
    for model in [nade(), made(), logistic].into_iter().chain(orderless()).chain(pixel_models()) {
        dies_and_resumes(&model, &config());
    }
}

#[test]
fn every_optimizer_is_resumed_to_the_same_bits() {
    for optimizer in [
        OptimizerConfig::RmsProp { learning_rate: 0.01, decay: 0.9, momentum: 0.5, epsilon: 1e-8 },
        OptimizerConfig::Sgd { learning_rate: 0.5, momentum: 0.9 },
    ] {
        dies_and_resumes(&nade(), &TrainConfig { optimizer, ..config() });
    }
}

/// Stripes with the colour of the first row as their label.
fn labelled(n: usize, seed: u64) -> InMemory {
    let data = stripes(n, seed);
    let labels = read_all(&data, 0).chunks_exact(16).map(|row| row[0]).collect();
    data.with_labels(labels)
}

fn pixel_cnn(classes: usize) -> ModelConfig {
    let settings = PixelSettings { head: 4, classes: Some(classes), ..PixelSettings::new(1, 4) };
    ModelConfig::PixelCnn(settings)
}

/// Trains a model with classes on `train_set`.
fn run_labelled(
    model: &ModelConfig,
    train_set: &InMemory,
    valid: &InMemory,
    checkpoint: Option<&Path>,
    observer: &mut dyn Observer,
) -> Result<Trained, Error> {
    let (config, device) = (TrainConfig { epochs: 3, ..config() }, Device::default());
    train(
        &Run {
            model,
            event: &event(),
            config: &config,
            seed: 7,
            device: &device,
            train: train_set,
            valid: Some(valid),
            checkpoint: checkpoint.map(|path| Checkpoints::at(path).resume()),
        },
        observer,
    )
}

#[test]
fn a_model_with_classes_learns_from_labels_and_is_resumed_to_the_same_bits() {
    let (train_set, valid) = (labelled(200, 1), labelled(60, 2));
    let alone = run_labelled(&pixel_cnn(2), &train_set, &valid, None, &mut ()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let mut lives = 0;
    let resumed = loop {
        let mut observer = DiesAfter { steps: lives * 5 };
        let result = catch_unwind(AssertUnwindSafe(|| {
            run_labelled(&pixel_cnn(2), &train_set, &valid, Some(&path), &mut observer)
        }));
        lives += 1;
        if let Ok(trained) = result {
            break trained.unwrap();
        }
    };
    assert!(lives > 2, "{lives} lives");
    assert!(resumed.model.to_bytes().unwrap() == alone.model.to_bytes().unwrap());
    assert_eq!(timeless(&resumed.history), timeless(&alone.history));

    // It comes back from its bytes, and what was validated is −log p(x | y).
    let bytes = alone.model.to_bytes().unwrap();
    let model = Model::from_bytes(&pixel_cnn(2), &event(), &bytes, &Device::default()).unwrap();
    let (score, by_label) = scoring::evaluate_labelled(&model, &valid, |_| ());
    let by_label = by_label.unwrap();
    let validated = alone.history[alone.best_epoch - 1].valid_nll_nats.unwrap();
    assert!((by_label.given.nll_nats - validated).abs() < 1e-5);
    assert!(score.nll_nats > by_label.given.nll_nats, "the label tells the first row's colour");
    assert!(by_label.accuracy > 0.65, "chance is 0.5: {}", by_label.accuracy);
    let marginal = scoring::evaluate(&model, &valid, |_| ()).nll_nats;
    assert!((marginal - score.nll_nats).abs() < 1e-5);
    let costs = scoring::cost_per_variable(&model, &valid, |_| ());
    assert!((costs.iter().sum::<f64>() - marginal).abs() < 1e-5);

    // Other labels, other weights.
    let values = read_all(&train_set, 0);
    let all_one = InMemory::new(values, 16).with_labels(vec![1; 200]);
    let other = run_labelled(&pixel_cnn(2), &all_one, &valid, None, &mut ()).unwrap();
    assert!(other.model.to_bytes().unwrap() != alone.model.to_bytes().unwrap());
}

/// Rows of three real numbers of different units: the second follows the first, the third is one of two.
fn measurements(n: usize, seed: u64) -> InMemory {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut noise = move || rng.random::<f64>() + rng.random::<f64>() - 1.0;
    let rows = (0..n).flat_map(|_| {
        let first = noise();
        let third = if noise() < 0.0 { -4.0 } else { 4.0 };
        [1000.0 + 200.0 * first, 0.01 * first + 0.001 * noise(), third + 0.2 * noise()]
    });
    InMemory::reals(rows.collect(), 3)
}

fn run_reals(
    model: &ModelConfig,
    checkpoint: Option<&Path>,
    observer: &mut dyn Observer,
) -> Result<Trained, Error> {
    let (train_set, valid, device) =
        (measurements(300, 1), measurements(100, 2), Device::default());
    train(
        &Run {
            model,
            event: &EventSpec::reals(vec![3]),
            config: &TrainConfig { epochs: 30, ..config() },
            seed: 7,
            device: &device,
            train: &train_set,
            valid: Some(&valid),
            checkpoint: checkpoint.map(|path| Checkpoints::at(path).resume()),
        },
        observer,
    )
}

#[test]
fn an_rnade_learns_is_resumed_to_the_same_bits_and_comes_back_with_its_units() {
    let settings = RnadeSettings { components: 4, ..RnadeSettings::new(12) };
    let config = ModelConfig::Rnade(settings.clone());
    let alone = run_reals(&config, None, &mut ()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let mut lives = 0;
    let resumed = loop {
        let mut observer = DiesAfter { steps: lives * 60 };
        let result =
            catch_unwind(AssertUnwindSafe(|| run_reals(&config, Some(&path), &mut observer)));
        lives += 1;
        if let Ok(trained) = result {
            break trained.unwrap();
        }
    };
    assert!(lives > 2, "{lives} lives");
    let bytes = alone.model.to_bytes().unwrap();
    assert!(resumed.model.to_bytes().unwrap() == bytes);
    assert_eq!(timeless(&resumed.history), timeless(&alone.history));

    let event = EventSpec::reals(vec![3]);
    let device = Device::default();
    let model = Model::from_bytes(&config, &event, &bytes, &device).unwrap();
    assert_eq!(model.standardization(), alone.model.standardization());
    let test = measurements(200, 3);
    let nll = |model: &Model| scoring::evaluate(model, &test, |_| ()).nll_nats;
    assert_eq!(nll(&model), nll(&alone.model));
    // Independent standard normals cost 4.26 nats in standardized units; that two variables move together and
    // that one is two-valued is worth more than 2.
    let standardized = nll(&model) - model.standardization().unwrap().log_scale();
    assert!(standardized < 2.2, "{standardized}");
    let costs = scoring::cost_per_variable(&model, &test, |_| ());
    assert!((costs.iter().sum::<f64>() - nll(&model)).abs() < 1e-4);

    // What is known stays, and what follows from it is drawn near it.
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let known = [Some(1150.0), None, None].repeat(200);
    let completed = model.complete_reals(&known, &mut rng);
    assert!(completed.iter().step_by(3).all(|&x| x == 1150.0));
    let mean = completed.iter().skip(1).step_by(3).sum::<f64>() / 200.0;
    assert!((mean - 0.0075).abs() < 0.002, "{mean}");

    // A model without its standardization, or of another kind of events, is refused.
    let other = ModelConfig::Rnade(RnadeSettings { components: 5, ..settings });
    assert!(Model::from_bytes(&other, &event, &bytes, &device).is_err());
    let wider = EventSpec::reals(vec![4]);
    let message = Model::from_bytes(&config, &wider, &bytes, &device).unwrap_err().to_string();
    assert!(message.contains("no `standardization.means` of 4 values"), "{message}");
    let bits = EventSpec::symbols(vec![3], 2);
    assert!(config.check(&bits).unwrap_err().to_string().contains("needs real numbers"));
    assert!(nade().check(&event).unwrap_err().to_string().contains("the data has real numbers"));
}

#[test]
fn a_model_with_classes_needs_labels_below_them() {
    let (some, none) = (labelled(40, 1), stripes(40, 1));
    let error = |train_set: &InMemory, valid: &InMemory| {
        run_labelled(&pixel_cnn(2), train_set, valid, None, &mut ()).unwrap_err().to_string()
    };
    let message = error(&none, &some);
    assert_eq!(message, "`model.classes = 2` needs labels below 2, the training set has none");
    let many = stripes(40, 1).with_labels((0..40).collect());
    let message = error(&many, &some);
    assert!(message.ends_with("the training set has the label 39"), "{message}");
    let message = error(&some, &many);
    assert!(message.ends_with("the validation set has the label 39"), "{message}");
    // A validation set without labels selects by p(x).
    assert!(run_labelled(&pixel_cnn(2), &some, &none, None, &mut ()).is_ok());
}

/// Kills a run again and again, and compares how it ends with the one that was left alone.
fn dies_and_resumes(model: &ModelConfig, config: &TrainConfig) {
    let alone = run(model, config, None, false, &mut ()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let mut lives = 0;
    let resumed = loop {
        // 60 steps in all; die after 0, 7, 14, … of a life.
        let mut observer = DiesAfter { steps: lives * 7 };
        let result =
            catch_unwind(AssertUnwindSafe(|| run(model, config, Some(&path), true, &mut observer)));
        lives += 1;
        if let Ok(trained) = result {
            break trained.unwrap();
        }
    };
    assert!(lives > 4, "{lives} lives");
    assert!(resumed.model.to_bytes().unwrap() == alone.model.to_bytes().unwrap());
    assert_eq!(timeless(&resumed.history), timeless(&alone.history));
    // A finished run resumes to its end at once.
    let again = run(model, config, Some(&path), true, &mut DiesAfter { steps: 0 }).unwrap();
    assert!(again.model.to_bytes().unwrap() == alone.model.to_bytes().unwrap());
}

#[test]
fn a_run_without_validation_is_resumed_and_keeps_its_last_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let config = TrainConfig { early_stopping: None, ..config() };
    let (train_set, device) = (stripes(300, 1), Device::default());
    let without_validation = |observer: &mut dyn Observer| {
        train(
            &Run {
                model: &nade(),
                event: &event(),
                config: &config,
                seed: 7,
                device: &device,
                train: &train_set,
                valid: None,
                checkpoint: Some(Checkpoints::at(&path).resume()),
            },
            observer,
        )
    };
    let died = catch_unwind(AssertUnwindSafe(|| without_validation(&mut DiesAfter { steps: 25 })));
    assert!(died.is_err());
    let trained = without_validation(&mut ()).unwrap();
    assert_eq!((trained.best_epoch, trained.history.len()), (6, 6));
}

#[test]
fn forgetting_the_moments_is_noticed() {
    // Negative control of the test above: bits do differ when something is not restored.
    let alone = run(&nade(), &config(), None, false, &mut ()).unwrap();
    let other = TrainConfig { weight_decay: 1.001e-4, ..config() };
    let other = run(&nade(), &other, None, false, &mut ()).unwrap();
    assert!(other.model.to_bytes().unwrap() != alone.model.to_bytes().unwrap());
}

#[test]
fn training_does_not_depend_on_the_number_of_threads() {
    for model in [nade()].into_iter().chain(pixel_models()) {
        let bytes = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let trained = pool.install(|| run(&model, &config(), None, false, &mut ()).unwrap());
            trained.model.to_bytes().unwrap()
        };
        let one = bytes(1);
        assert!(bytes(2) == one, "{}", model.kind());
        assert!(bytes(5) == one, "{}", model.kind());
    }
}

#[test]
fn another_config_does_not_continue_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    run(&nade(), &config(), Some(&path), false, &mut ()).unwrap();
    let other = TrainConfig { batch_size: 31, ..config() };
    let error = run(&nade(), &other, Some(&path), true, &mut ()).unwrap_err().to_string();
    assert_eq!(error, "the checkpoint was written with `train.batch_size` = 32, this run has 31");
    let error = run(&pixel_cnn_of_no_class(), &config(), Some(&path), true, &mut ()).unwrap_err();
    assert!(error.to_string().contains("`model.head` = nothing, this run has"), "{error}");
}

fn pixel_cnn_of_no_class() -> ModelConfig {
    match pixel_cnn(2) {
        ModelConfig::PixelCnn(settings) => {
            ModelConfig::PixelCnn(PixelSettings { classes: None, ..settings })
        }
        other => other,
    }
}

#[test]
fn a_checkpoint_of_other_data_is_continued_only_where_that_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let train_on = |rows, digest: &str, accept, observer: &mut dyn Observer| {
        let train_set = stripes(rows, 1);
        let provenance = [("data: train".to_owned(), digest.to_owned())].into();
        let checkpoint = Checkpoints::at(&path).resume();
        let checkpoint = Checkpoints { provenance, accept_changed_data: accept, ..checkpoint };
        let config = TrainConfig { early_stopping: None, ..config() };
        let device = Device::default();
        let (model, event) = (nade(), event());
        let run = Run {
            model: &model,
            event: &event,
            config: &config,
            seed: 7,
            device: &device,
            train: &train_set,
            valid: None,
            checkpoint: Some(checkpoint),
        };
        train(&run, observer)
    };
    let killed = catch_unwind(AssertUnwindSafe(|| {
        train_on(300, "one", false, &mut DiesAfter { steps: 14 })
    }));
    assert!(killed.is_err());
    let refused = |rows, digest| train_on(rows, digest, false, &mut ()).unwrap_err().to_string();
    assert_eq!(
        refused(300, "other"),
        "the checkpoint was written with `data: train` = one, this run has other"
    );
    assert_eq!(
        refused(290, "one"),
        "the checkpoint was written with `data: training examples` = 300, this run has 290"
    );
    let trained = train_on(290, "other", true, &mut ()).unwrap();
    assert_eq!(trained.history.len(), 6);
    // What was accepted is what the run is of from then on.
    assert!(train_on(290, "other", false, &mut ()).is_ok());
    assert!(train_on(300, "one", false, &mut ()).is_err());
}

#[test]
fn a_run_goes_on_longer_than_it_was_planned_where_its_schedule_does_not_depend_on_that() {
    let with = |schedule: &ScheduleConfig, epochs| {
        let schedule = schedule.clone();
        TrainConfig { schedule, epochs, early_stopping: None, ..config() }
    };
    let constant = ScheduleConfig::Constant { warmup_steps: 5 };
    let step = ScheduleConfig::Step { warmup_steps: 0, every_epochs: 2, factor: 0.5 };
    for schedule in [constant, step] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        run(&nade(), &with(&schedule, 3), Some(&path), false, &mut ()).unwrap();
        let longer = run(&nade(), &with(&schedule, 5), Some(&path), true, &mut ()).unwrap();
        let planned = run(&nade(), &with(&schedule, 5), None, false, &mut ()).unwrap();
        assert!(longer.model.to_bytes().unwrap() == planned.model.to_bytes().unwrap());
        assert_eq!(timeless(&longer.history), timeless(&planned.history));
        // Epochs that are over are not undone.
        let error = run(&nade(), &with(&schedule, 4), Some(&path), true, &mut ()).unwrap_err();
        assert!(error.to_string().contains("`train.epochs` = 5, this run has 4"), "{error}");
    }
    let cosine = ScheduleConfig::Cosine { warmup_steps: 0, final_factor: 0.0 };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    run(&nade(), &with(&cosine, 3), Some(&path), false, &mut ()).unwrap();
    assert!(run(&nade(), &with(&cosine, 5), Some(&path), true, &mut ()).is_err());
}

#[test]
fn a_flipped_bit_in_a_checkpoint_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    run(&nade(), &config(), Some(&path), false, &mut ()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for _ in 0..300 {
        let mut flipped = bytes.clone();
        let bit = rng.random_range(0..8 * bytes.len() as u64) as usize;
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, flipped).unwrap();
        let error = run(&nade(), &config(), Some(&path), true, &mut ()).unwrap_err();
        assert!(matches!(error, Error::Stored(_)), "bit {bit}: {error}");
    }
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    let trained = run(&nade(), &config(), None, false, &mut ()).unwrap();
    let bytes = trained.model.to_bytes().unwrap();
    // Without the digest, as versions before it wrote files, the values themselves are looked at.
    let text = b"sha256";
    let at = bytes.windows(text.len()).position(|window| window == text).unwrap();
    let mut unchecked = bytes.clone();
    unchecked[at] = b'S';
    let version = b"chainrule-model-";
    let version_at = bytes.windows(version.len()).position(|window| window == version).unwrap();
    let load = |bytes: &[u8]| Model::from_bytes(&nade(), &event(), bytes, &Device::default());
    let error = load(&unchecked).unwrap_err().to_string();
    assert!(error.contains("it states no SHA-256 of itself"), "{error}");
    unchecked[version_at + version.len()] = b'1';
    assert!(load(&unchecked).is_ok());
    let end = unchecked.len() - 4;
    unchecked[end..].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = load(&unchecked).unwrap_err().to_string();
    assert!(error.contains("holds NaN at position") && error.contains("finite"), "{error}");
}

#[test]
fn a_broken_checkpoint_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    run(&nade(), &config(), Some(&path), false, &mut ()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = run(&nade(), &config(), Some(&path), true, &mut ()).unwrap_err().to_string();
    assert!(error.contains("checkpoint.safetensors"), "{error}");
}

#[test]
fn a_loss_that_leaves_the_finite_numbers_stops_with_the_place() {
    let wild = TrainConfig {
        optimizer: OptimizerConfig::Sgd { learning_rate: 1e30, momentum: 0.9 },
        clip_norm: None,
        ..config()
    };
    let error = run(&nade(), &wild, None, false, &mut ()).unwrap_err();
    let Error::NonFinite { epoch: 1, step, .. } = &error else { panic!("{error}") };
    assert!((2..10).contains(step), "{error}");
    assert!(error.to_string().contains("weight `") || error.to_string().contains("gradient of `"));
}

#[test]
fn a_layer_that_leaves_the_finite_numbers_is_named() {
    // Finite weights whose products are not: the first step is small, the second meets its result.
    for model in pixel_models() {
        let wild = TrainConfig {
            optimizer: OptimizerConfig::Sgd { learning_rate: 3e37, momentum: 0.0 },
            clip_norm: Some(1.0),
            weight_decay: 0.0,
            ..config()
        };
        let error = run(&model, &wild, None, false, &mut ()).unwrap_err().to_string();
        assert!(error.contains("the output of the layer `"), "{}: {error}", model.kind());
    }
}

#[test]
fn pixel_networks_learn_the_stripes() {
    let test = stripes(200, 3);
    for model in pixel_models() {
        let config = TrainConfig { early_stopping: None, ..TrainConfig::epochs(15) };
        let config = TrainConfig {
            batch_size: 20,
            optimizer: OptimizerConfig::Adam {
                learning_rate: 0.02,
                beta_1: 0.9,
                beta_2: 0.999,
                epsilon: 1e-8,
            },
            ..config
        };
        let trained = run(&model, &config, None, false, &mut ()).unwrap().model;
        let nll = scoring::evaluate(&trained, &test, |_| ()).nll_nats;
        // 5.95 nats at best; 11.09 is nothing learned.
        assert!(nll > 5.8 && nll < 8.0, "{}: {nll}", model.kind());
    }
}

#[test]
fn early_stopping_stops() {
    let impatient = TrainConfig {
        early_stopping: Some(1),
        ema_decay: None,
        optimizer: OptimizerConfig::Sgd { learning_rate: 5.0, momentum: 0.0 },
        clip_norm: None,
        schedule: ScheduleConfig::default(),
        ..TrainConfig::epochs(200)
    };
    let trained = run(&nade(), &impatient, None, false, &mut ()).unwrap();
    assert!(trained.history.len() < 200);
    assert_eq!(trained.history.len(), trained.best_epoch + 1);
}

#[test]
fn validation_every_so_many_epochs_changes_what_is_kept_and_nothing_else() {
    let [rarely, always] = [Some(3), None].map(|valid_every| {
        let config = TrainConfig { valid_every, epochs: 8, early_stopping: None, ..config() };
        run(&nade(), &config, None, false, &mut ()).unwrap()
    });
    let validated = |epoch: usize| epoch.is_multiple_of(3) || epoch == 8;
    for (rare, each) in rarely.history.iter().zip(&always.history) {
        assert_eq!(rare.train_nll_nats, each.train_nll_nats);
        let expected = each.valid_nll_nats.filter(|_| validated(each.epoch));
        assert_eq!(rare.valid_nll_nats, expected, "epoch {}", each.epoch);
        assert!(!rare.best || validated(rare.epoch));
    }
    let best = rarely.history.iter().filter(|record| record.valid_nll_nats.is_some());
    let best = best.min_by(|a, b| a.valid_nll_nats.partial_cmp(&b.valid_nll_nats).unwrap());
    assert_eq!(rarely.best_epoch, best.unwrap().epoch);

    // A run that ended after an epoch that a longer one would have passed over is not the beginning of that one.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let schedule = ScheduleConfig::default();
    let of = |epochs| TrainConfig {
        valid_every: Some(3),
        schedule: schedule.clone(),
        epochs,
        early_stopping: None,
        ..config()
    };
    run(&nade(), &of(4), Some(&path), false, &mut ()).unwrap();
    assert!(run(&nade(), &of(9), Some(&path), true, &mut ()).is_err());
    run(&nade(), &of(6), Some(&path), false, &mut ()).unwrap();
    assert!(run(&nade(), &of(9), Some(&path), true, &mut ()).is_ok());
}

#[test]
fn every_kind_of_model_comes_back_from_its_bytes() {
    let device = Device::default();
    let rows: Vec<u8> = {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        (0..16 * 20).map(|_| u8::from(rng.random::<bool>())).collect()
    };
    let chain: Vec<Vec<usize>> =
        (0..16).map(|i| if i == 0 { vec![] } else { vec![i - 1] }).collect();
    for model in [
        ModelConfig::Uniform {},
        ModelConfig::Independent { pseudo_count: 1.0 },
        ModelConfig::Markov { order: 3, ordering: OrderingKind::Snake, pseudo_count: 0.5 },
        ModelConfig::Neighbourhood { offsets: vec![[0, -1], [-1, 1]], pseudo_count: 1.0 },
        ModelConfig::BayesianNetwork { parents: chain, pseudo_count: 1.0 },
        ModelConfig::FullTable { pseudo_count: 1.0 },
        ModelConfig::Logistic { ordering: OrderingKind::Spiral },
        nade(),
        made(),
    ]
    .into_iter()
    .chain(orderless())
    .chain(pixel_models())
    {
        let trained = run(&model, &TrainConfig::epochs(1), None, false, &mut ()).unwrap().model;
        let bytes = trained.to_bytes().unwrap();
        let loaded = Model::from_bytes(&model, &event(), &bytes, &device).unwrap();
        assert_eq!(loaded.log_prob(&rows), trained.log_prob(&rows), "{}", model.kind());
        assert!(loaded.to_bytes().unwrap() == bytes, "{}", model.kind());
        // And samples alike.
        let draw = |model: &Model| model.sample(5, &mut ChaCha8Rng::seed_from_u64(1));
        assert!(draw(&loaded) == draw(&trained));
        // Another model's file is refused.
        let other = ModelConfig::Nade {
            hidden: 11,
            ordering: OrderingKind::Raster,
            init_scale: 0.01,
            classes: None,
            components: 8,
            likelihood: Default::default(),
        };
        assert!(Model::from_bytes(&other, &event(), &bytes, &device).is_err());
        assert!(Model::from_bytes(&model, &event(), &bytes[..bytes.len() - 1], &device).is_err());
    }
}

#[test]
fn mismatches_between_model_and_data_are_errors() {
    let grey = EventSpec::symbols(vec![4, 4], 17);
    // NADE has levels, too.
    nade().check(&grey).unwrap();
    let logistic = ModelConfig::Logistic { ordering: OrderingKind::Spiral };
    assert!(logistic.check(&grey).unwrap_err().to_string().contains("17 levels"));
    assert!(made().check(&grey).unwrap_err().to_string().contains("17 levels"));
    for (settings, key) in [
        (OrderlessSettings::new(vec![]), "model.hidden = []"),
        (OrderlessSettings::new(vec![4, 0]), "model.hidden = [4, 0]"),
        (
            OrderlessSettings { orderings: 0, ..OrderlessSettings::new(vec![4]) },
            "model.orderings = 0",
        ),
    ] {
        let config = ModelConfig::OrderlessNade(settings);
        assert!(config.check(&grey).is_err());
        let error = config.check(&event()).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    let ModelConfig::Made(settings) = made() else { unreachable!("it is one") };
    for (settings, key) in [
        (MadeSettings { hidden: vec![], ..settings.clone() }, "model.hidden = []"),
        (MadeSettings { hidden: vec![3, 0], ..settings.clone() }, "model.hidden = [3, 0]"),
        (MadeSettings { masks: 0, ..settings }, "model.masks = 0"),
    ] {
        let error = ModelConfig::Made(settings).check(&event()).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
    let table = EventSpec::symbols(vec![16], 2);
    let snake = ModelConfig::Logistic { ordering: OrderingKind::Snake };
    assert!(snake.check(&table).unwrap_err().to_string().contains("snake"));
    let markov =
        ModelConfig::Markov { order: 16, ordering: OrderingKind::Raster, pseudo_count: 1.0 };
    assert!(markov.check(&table).unwrap_err().to_string().contains("model.order"));
}
