//! What is compressed of a table comes back, cell by cell, and costs what the likelihood says.

use ar_models::codec::{Cells, Compressed, Fault, Others, TableCodec, TableHeader};
use ar_models::columns::Column;
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::InMemory;
use ar_models::model::Model;
use burn::tensor::Device;
use proptest::prelude::*;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use sha2::{Digest as _, Sha256};

const WHOLE: Column = Column::Grid { step: 1.0, can_be_missing: false };
const REAL: Column = Column::Real { can_be_missing: false };

struct Case {
    config: ModelConfig,
    event: EventSpec,
    model: Model,
}

impl Case {
    /// A model with its first weights, which is made for these rows.
    fn new(columns: &[Column], rows: &[f64], seed: u64) -> Self {
        let config = json!({"kind": "nade", "hidden": 16, "init_scale": 0.3});
        let config: ModelConfig = serde_json::from_value(config).unwrap();
        let event = EventSpec::columns(columns.to_vec());
        let rows = InMemory::reals(rows.to_vec(), columns.len());
        let model = Model::init(&config, &event, &rows, seed, &Device::default()).unwrap();
        Self { config, event, model }
    }

    fn codec(&self) -> TableCodec<'_> {
        TableCodec::new(&self.model, &self.config, &self.event).unwrap()
    }

    fn columns(&self) -> &[Column] {
        self.event.columns.as_deref().unwrap()
    }

    fn compress(&self, cells: &Cells) -> Compressed {
        let rows = InMemory::reals(cells.values.clone(), self.columns().len());
        self.codec().compress(&rows, &cells.others, &mut |_| ()).unwrap()
    }

    fn decompress(&self, file: &[u8]) -> Result<Cells, Fault> {
        self.codec().decompress(file, &mut |_| ())
    }

    /// Nothing that training never saw.
    fn known(&self, values: Vec<f64>) -> Cells {
        Cells { values, others: vec![Vec::new(); self.columns().len()] }
    }

    /// The same cells come back, to the bit.
    fn comes_back(&self, cells: &Cells) -> Compressed {
        let compressed = self.compress(cells);
        let back = self.decompress(&compressed.file).unwrap();
        assert_eq!(bits(&back.values), bits(&cells.values));
        assert_eq!(back.others, cells.others);
        compressed
    }

    /// −log₂ p of each column, in bytes.
    fn nll_bytes(&self, values: &[f64]) -> Vec<f64> {
        let width = self.columns().len();
        let mut sums = vec![0.0; width];
        for row in self.model.log_prob_per_variable(values).chunks_exact(width) {
            row.iter().zip(&mut sums).for_each(|(log_prob, sum)| *sum -= log_prob);
        }
        sums.iter().map(|nats| nats / core::f64::consts::LN_2 / 8.0).collect()
    }
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Columns of every kind.
const KINDS: [Column; 9] = [
    Column::Category { labels: 3 },
    Column::Category { labels: 1 },
    Column::Category { labels: 5000 },
    Column::Grid { step: 1.0, can_be_missing: true },
    Column::Grid { step: 0.01, can_be_missing: false },
    Column::Grid { step: 5.0, can_be_missing: false },
    // Mostly one value, with far ones, most of which recur.
    WHOLE,
    Column::Real { can_be_missing: true },
    REAL,
];

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

fn rows(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values = Vec::new();
    for _ in 0..n {
        let z = normal(&mut rng);
        let share: f64 = rng.random();
        values.extend([
            if z > 1.0 { 2.0 } else { f64::from(u8::from(share > 0.8)) },
            0.0,
            (share.powi(2) * 5000.0).floor(),
            if rng.random::<f64>() < 0.1 { f64::NAN } else { (40.0 + 13.0 * z).round() },
            ((z + normal(&mut rng)) * 100.0).round() / 100.0,
            (normal(&mut rng) * 20.0).round() * 5.0,
            match share {
                ..0.95 => 0.0,
                0.95..0.96 => (share * 1e5).round(),
                _ => (share * 1e3).floor() * 997.0,
            },
            if share < 0.1 { f64::NAN } else { (z * 1e4).round() / 1e4 },
            normal(&mut rng) * 3e-7,
        ]);
    }
    // −0 is off every grid.
    values.iter().map(|x| x + 0.0).collect()
}

/// Bytes of the header's fields for real columns.
const REALS: f64 = 2.0;

#[test]
fn every_kind_of_column_comes_back_at_the_price_of_its_likelihood() {
    let case = Case::new(&KINDS, &rows(3000, 1), 1);
    let mut row = rows(1, 1);
    let [often, never] = [0.0, 1.0].map(|more| {
        row[6] = 980.0 * 997.0 + more;
        case.nll_bytes(&row)[6]
    });
    assert!(never > often + 0.5, "what recurs is a component: {never} and {often} bytes");
    for n in [0, 1, 2, 3000] {
        let cells = case.known(rows(n, 2));
        let Compressed { file, real_bytes } = case.comes_back(&cells);
        let header = TableHeader::read(&file).unwrap();
        assert_eq!((header.columns, header.rows), (KINDS.len(), n));
        if n == 0 {
            continue;
        }
        let nll = case.nll_bytes(&cells.values);
        let expected: f64 = nll[..7].iter().sum();
        let found = file.len() as f64 - real_bytes;
        assert!(found <= 1.005 * expected + 64.0 + REALS, "{n}: {found} bytes for {expected}");
        assert!(found > expected, "{n}: {found} bytes for {expected}");
        // Real columns: the density and the distance of the numbers, 10^−4 and 2^−52 of the number.
        let places = cells.values.chunks_exact(9).filter(|row| !row[7].is_nan()).count() as f64;
        let of_number =
            |row: &[f64]| (f64::EPSILON * 2f64.powf(row[8].abs().log2().floor())).log2();
        let distances = -places * 1e-4f64.log2()
            + cells.values.chunks_exact(9).map(|row| -of_number(row)).sum::<f64>();
        if n > 2 {
            let expected = nll[7] + nll[8] + distances / 8.0;
            assert!(
                real_bytes <= 1.005 * expected && real_bytes > 0.995 * expected,
                "{real_bytes} for {expected}"
            );
        }
    }
}

#[test]
fn what_training_never_saw_comes_back() {
    let columns = [Column::Category { labels: 2 }, WHOLE, REAL, Column::Category { labels: 700 }];
    let train: Vec<f64> = (0..400)
        .flat_map(|k| [f64::from(k % 2), f64::from(k), f64::from(k) / 8.0, f64::from(k % 300)])
        .collect();
    let case = Case::new(&columns, &train, 3);
    let numbers = [
        3.5,
        1e300,
        -1e300,
        -0.0,
        0.0,
        f64::NAN,
        5e-324,
        f64::MAX,
        9_007_199_254_740_993.0,
        -4_503_599_627_370_496.0,
        1e9,
        -70_000.0,
        0.1 + 0.2,
    ];
    // Words, a missing cell, and a place that no row has.
    let words = vec![
        Some("never seen".into()),
        None,
        Some("ünicode, \"quoted\"".into()),
        Some(String::new()),
    ];
    let many: Vec<Option<String>> = (0..90_000).map(|k| Some(format!("w{k}"))).collect();
    let others: Others = vec![words, vec![], vec![], many];
    let mut values = Vec::new();
    for (k, &a) in numbers.iter().enumerate() {
        for &b in &numbers {
            values.extend([(k % 6) as f64, a, b, 600.0 + (k * 6900) as f64]);
        }
    }
    let cells = Cells { values, others };
    let file = case.comes_back(&cells).file;
    let again = case.compress(&cells).file;
    assert_eq!(file, again);
    // All rows alike, and one alone.
    case.comes_back(&Cells { values: cells.values[..4].repeat(3000), ..cells.clone() });
    case.comes_back(&Cells { values: cells.values[..4].to_vec(), ..cells });
}

#[test]
fn cells_that_no_column_has_are_refused() {
    let case = Case::new(&[Column::Category { labels: 2 }, WHOLE], &[0.0, 1.0, 1.0, 2.0], 1);
    let compress = |row: [f64; 2], others: &[Vec<Option<String>>]| {
        let rows = InMemory::reals(row.to_vec(), 2);
        case.codec().compress(&rows, others, &mut |_| ())
    };
    let none = [vec![], vec![]];
    let one = [vec![None], vec![]];
    assert!(compress([1.0, 2.0], &none).is_ok() && compress([2.0, 2.0], &one).is_ok());
    for (row, others) in [
        ([2.0, 0.0], &none[..]),
        ([3.0, 0.0], &one),
        ([0.5, 0.0], &one),
        ([2.5, 0.0], &one),
        ([-1.0, 0.0], &one),
        ([f64::NAN, 0.0], &one),
        ([f64::INFINITY, 0.0], &one),
        ([0.0, f64::INFINITY], &one),
        ([0.0, 0.0], &none[..1]),
    ] {
        assert!(compress(row, others).is_err(), "{row:?}");
    }
}

#[test]
fn a_file_is_the_same_for_any_number_of_threads() {
    let case = Case::new(&KINDS, &rows(2000, 1), 1);
    let cells = case.known(rows(9000, 4));
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let file = case.compress(&cells).file;
            let back = case.decompress(&file).unwrap();
            assert_eq!(bits(&back.values), bits(&cells.values));
            file
        })
    };
    let file = on(1);
    assert!(file.len() > 3 << 14, "several streams");
    assert!(file == on(2) && file == on(3));
}

#[test]
fn another_model_is_refused_and_a_forged_digest_noticed() {
    let train = rows(500, 1);
    let [own, other] = [1, 2].map(|seed| Case::new(&KINDS, &train, seed));
    let cells = own.known(rows(400, 5));
    let file = own.compress(&cells).file;
    assert!(matches!(other.decompress(&file).unwrap_err(), Fault::OtherModel { .. }));
    let mut reversed = own.config.clone();
    if let ModelConfig::Nade { ordering, .. } = &mut reversed {
        *ordering = serde_json::from_value(json!("reverse-raster")).unwrap();
    }
    let set = InMemory::reals(train, KINDS.len());
    let model = Model::init(&reversed, &own.event, &set, 1, &Device::default()).unwrap();
    let reversed = Case { config: reversed, event: own.event.clone(), model };
    for other in [other, reversed] {
        // Negative control of the digest of the cells: the file says that it is of the other model.
        let mut forged = file.clone();
        let digest = other.compress(&other.known(vec![])).file[6..14].to_vec();
        forged[6..14].copy_from_slice(&digest);
        seal(&mut forged, &file);
        let fault = other.decompress(&forged).unwrap_err();
        assert!(matches!(fault, Fault::OtherContent { .. }), "{fault}");
    }
}

/// Makes the digest of a header right whose length is that of `original`.
fn seal(file: &mut [u8], original: &[u8]) {
    let end = (0..original.len() - 4)
        .find(|&end| Sha256::digest(&original[..end])[..4] == original[end..end + 4])
        .unwrap();
    let digest = Sha256::digest(&file[..end]);
    file[end..end + 4].copy_from_slice(&digest[..4]);
}

#[test]
fn altered_files_are_errors_or_the_original() {
    let case = Case::new(&KINDS, &rows(300, 1), 1);
    let mut cells = case.known(rows(60, 6));
    cells.values[0] = 3.0;
    cells.others[0] = vec![Some("other".into()), None];
    let file = case.compress(&cells).file;
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let header = file.len() - case.codec_bytes(&file);
    for k in 0..1000 {
        let mut altered = file.clone();
        match k % 5 {
            0 => altered.truncate(rng.random_range(0..file.len())),
            1 => altered.extend((0..rng.random_range(1..9)).map(|_| rng.random::<u8>())),
            // With right digests, as only somebody who means it can: in the header,
            2 => {
                altered[rng.random_range(14..header - 28)] = rng.random();
                seal(&mut altered, &file);
            }
            // and in the streams.
            3 => {
                altered[rng.random_range(header..file.len())] = rng.random();
                let digest = Sha256::digest(&altered[header..]);
                altered[header - 12..header - 4].copy_from_slice(&digest[..8]);
                seal(&mut altered, &file);
            }
            _ => altered[rng.random_range(0..file.len())] ^= 1 << rng.random_range(0..8),
        }
        match case.decompress(&altered) {
            Err(_) => {}
            // A label in the header is what it says.
            Ok(back) => {
                assert_eq!(bits(&back.values), bits(&cells.values), "{k}");
                assert!(k % 5 == 2 || back.others == cells.others, "{k}");
            }
        }
    }
}

impl Case {
    /// Bytes of a file's streams.
    fn codec_bytes(&self, file: &[u8]) -> usize {
        let end = (0..file.len() - 4)
            .find(|&end| Sha256::digest(&file[..end])[..4] == file[end..end + 4])
            .unwrap();
        file.len() - end - 4
    }
}

/// A column and some cells of it.
fn column() -> impl Strategy<Value = (Column, Vec<f64>)> {
    const ROWS: usize = 40;
    let category = (1..90_usize).prop_flat_map(|labels| {
        let cells = proptest::collection::vec((0..labels).prop_map(|x| x as f64), ROWS);
        (Just(Column::Category { labels }), cells)
    });
    let number = prop_oneof![
        4 => -1000..1000_i32,
        1 => any::<i32>(),
    ];
    let grid =
        (prop_oneof![Just(1.0), Just(0.1), Just(0.001), Just(2.5), Just(1000.0)], any::<bool>());
    let grid = grid.prop_flat_map(move |(step, can_be_missing)| {
        let cell = prop_oneof![
            9 => number.clone().prop_map(move |k| f64::from(k) * step),
            1 => any::<f64>().prop_filter("finite", |x| !x.is_infinite()),
        ];
        (Just(Column::Grid { step, can_be_missing }), proptest::collection::vec(cell, ROWS))
    });
    let real = (any::<bool>(), 0..4_u8).prop_flat_map(|(can_be_missing, kind)| {
        let cell = (-5.0..5.0_f64, any::<f64>(), 0..9_u8).prop_map(move |(x, any, k)| match kind {
            0 => (x * 100.0).round() / 100.0,
            1 => f64::from(x as f32),
            2 if k == 0 && !any.is_infinite() => any,
            2 => x,
            _ => 7.0,
        });
        (Just(Column::Real { can_be_missing }), proptest::collection::vec(cell, ROWS))
    });
    prop_oneof![category, grid, real]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]
    #[test]
    fn random_tables_come_back(all in proptest::collection::vec(column(), 1..7), seed in any::<u64>()) {
        let columns: Vec<Column> = all.iter().map(|(column, _)| *column).collect();
        let canonical = |x: f64| if x.is_nan() { f64::NAN } else { x };
        let rows: Vec<f64> =
            (0..40).flat_map(|k| all.iter().map(move |(_, cells)| canonical(cells[k]))).collect();
        let train: Vec<f64> = rows.iter().map(|x| if x.abs() > 1e9 { 1.0 } else { *x }).collect();
        let case = Case::new(&columns, &train[..20 * columns.len()], seed);
        case.comes_back(&case.known(rows));
    }
}
