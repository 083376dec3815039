//! From files to examples that a model can read: the one place where a file becomes examples.
//!
//! | module | what it holds |
//! |---|---|
//! | [`own`] | the splits of a config: what is trained on, and read again later |
//! | [`pattern`] | names that stand for several files |
//! | [`table`] | what the columns of a table are, decided from the training file |
//! | [`cells`] | any table of a run as its cells are |
//! | [`sets`] | any other data of a run, which may be longer than memory |

pub(crate) mod cells;
mod own;
pub(crate) mod pattern;
pub(crate) mod sets;
mod table;

pub(crate) use own::{
    OTHER_ROWS, Reader, Trained, load_classes, load_split, load_to_train, require_split,
};
pub(crate) use table::{constant_columns, say_bad_rows};

use anyhow::Result;
use ar_data::binarize::{self, Draw};
use ar_data::dequantize;
use ar_data::flip::{Mirror, is_flipped};
use ar_data::requantize::requantize;
use ar_data::{Dataset, Split};
use ar_models::config::EventSpec;
use ar_models::examples::{Examples, copy_rows};

use crate::config::{Binarize, Preprocessing, event_of_columns};
use crate::error::{ErrorKind, Mistake};

/// A split as a model sees it.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What records call it: a built-in name, or the file's.
    pub(crate) name: String,
    /// Shape of an event, and its levels after preprocessing.
    pub(crate) event: EventSpec,
    /// Levels before preprocessing: the same, or what was lost.
    pub(crate) raw_levels: Option<usize>,
    /// Names of the variables, if the file has them.
    pub(crate) columns: Option<Vec<String>>,
    values: Values,
    flips: Option<Flips>,
}

/// Training images that are mirrored by chance.
#[derive(Clone, Copy, Debug)]
struct Flips {
    mirror: Mirror,
    seed: u64,
}

/// Where the values are.
#[derive(Debug)]
enum Values {
    /// The same in every epoch.
    Fixed(Dataset),
    /// Bits drawn anew from grey levels in every epoch.
    Fresh { greys: Dataset, seed: u64 },
    /// Symbols with noise, drawn anew in every epoch.
    Dequantized { symbols: Dataset, seed: u64 },
}

impl Values {
    /// What is read from, before anything is drawn.
    fn data(&self) -> &Dataset {
        match self {
            Self::Fixed(data)
            | Self::Fresh { greys: data, .. }
            | Self::Dequantized { symbols: data, .. } => data,
        }
    }
}

impl Examples for Prepared {
    fn len(&self) -> usize {
        self.values.data().len()
    }

    fn variables(&self) -> usize {
        self.event.variables()
    }

    fn is_real(&self) -> bool {
        self.event.levels.is_none()
    }

    fn read(&self, epoch: u64, rows: &[usize], out: &mut Vec<u8>) {
        match &self.values {
            Values::Fixed(data) => {
                let symbols = data.symbols().expect("`is_real` says that these are symbols").0;
                copy_rows(symbols, data.event_len(), rows, out);
            }
            Values::Fresh { greys, seed } => {
                out.clear();
                binarize::stochastic_rows(greys, rows.iter().copied(), *seed, draw(epoch), out)
                    .expect("`prepare` has refused reals");
            }
            Values::Dequantized { .. } => panic!("a set of real numbers, expected symbols"),
        }
        self.flip(epoch, rows, out);
    }

    fn read_reals(&self, epoch: u64, rows: &[usize], out: &mut Vec<f64>) {
        match &self.values {
            Values::Dequantized { symbols, seed } => {
                out.clear();
                dequantize::rows(symbols, rows.iter().copied(), *seed, draw(epoch), out)
                    .expect("`prepare` has refused reals");
            }
            Values::Fixed(data) | Values::Fresh { greys: data, .. } => {
                let reals = data.reals().expect("`is_real` says that these are reals");
                copy_rows(reals, data.event_len(), rows, out);
            }
        }
        self.flip(epoch, rows, out);
    }

    fn labels(&self, rows: &[usize]) -> Option<Vec<u8>> {
        let labels = self.values.data().labels()?;
        Some(rows.iter().map(|&row| labels[row]).collect())
    }
}

impl Prepared {
    /// Mirrors the training images whose turn it is.
    fn flip<T>(&self, epoch: u64, rows: &[usize], values: &mut [T]) {
        // Epoch 0 is evaluation, which is always about the same images.
        if let Some(Flips { mirror, seed }) = self.flips.filter(|_| epoch > 0) {
            for (&row, image) in rows.iter().zip(values.chunks_exact_mut(self.variables())) {
                if is_flipped(seed, epoch, row) {
                    mirror.apply(image);
                }
            }
        }
    }
}

/// Which draw an epoch sees.
fn draw(epoch: u64) -> Draw {
    if epoch == 0 { Draw::Evaluation } else { Draw::Epoch(epoch) }
}

/// Requantizes, binarizes or dequantizes a split as `how` says. `training` is the run's seed for a set that is
/// trained on: then every epoch draws its own bits and flips, where the config asks for them.
///
/// # Errors
/// When real numbers should become fewer levels, bits or mirrored, symbols have too few levels to be
/// requantized, or what should be flipped are no images.
pub(crate) fn prepare(
    data: Dataset,
    how: Preprocessing,
    split: Split,
    training: Option<u64>,
) -> Result<Prepared> {
    if data.levels().is_none()
        && (how.levels(None).is_some() || how.flip || how.dequantize.is_some())
    {
        return Err(Mistake::new(
            format!("{}: real numbers, expected symbols", data.name()),
            "remove data.requantize, data.binarize, data.dequantize and data.flip, or state data.kind = \"symbols\" \
             if the values are whole numbers of at most 255; grey levels that were scaled to 0 to 1 are symbols again \
             as np.rint(255 * array).astype(np.uint8)",
        )
        .of(ErrorKind::Data)
        .into());
    }
    let name = data.name().to_owned();
    let raw_levels = data.levels().map(usize::from);
    let levels = how.levels(data.levels());
    let columns = data.columns().map(<[String]>::to_vec);
    let shape = data.shape().to_vec();
    let event = match data.values() {
        ar_data::Values::Columns { variables, .. } => {
            EventSpec { shape, ..event_of_columns(variables) }
        }
        _ => EventSpec::of(shape, levels),
    };
    let data = match how.train_examples {
        Some(most) if training.is_some() && most < data.len() => data.rows(0..most)?,
        _ => data,
    };
    let data = match how.requantize {
        Some(levels) => requantize(&data, levels)?,
        None => data,
    };
    let values = match how.binarize {
        Binarize::None => match how.dequantize {
            Some(seed) => Values::Dequantized { symbols: data, seed: split_seed(seed, split) },
            None => Values::Fixed(data),
        },
        Binarize::Threshold => Values::Fixed(binarize::threshold(&data)?),
        Binarize::Stochastic { seed, each_epoch } => {
            let seed = split_seed(seed, split);
            if each_epoch && training.is_some() {
                Values::Fresh { greys: data, seed }
            } else {
                Values::Fixed(binarize::stochastic(&data, seed, Draw::Evaluation)?)
            }
        }
    };
    let flips = match training {
        Some(seed) if how.flip => Some(Flips { mirror: Mirror::of(&event.shape)?, seed }),
        _ => None,
    };
    Ok(Prepared { name, event, raw_levels, columns, values, flips })
}

/// Row r of the training set and row r of the test set must not be drawn with the same uniforms.
fn split_seed(seed: u64, split: Split) -> u64 {
    seed.wrapping_mul(3).wrapping_add(match split {
        Split::Train => 0,
        Split::Valid => 1,
        Split::Test => 2,
    })
}

/// How a file is to be read for a run, whose values ask for so many `levels`: with how many, and what is
/// done to them.
///
/// A file states no level count. If it holds nothing but 0 and 1 it is bits already, such as samples
/// of a binarized run; if nothing above what the run's data is requantized to, it is that already;
/// else it is grey levels like the run's.
pub(crate) fn levels_and_preprocessing(
    levels: u16,
    raw_levels: u16,
    how: Preprocessing,
) -> (u16, Preprocessing) {
    match how.requantize {
        Some(requantized) if levels <= requantized => {
            (requantized, Preprocessing { requantize: None, ..how })
        }
        _ if levels > 2 || how.binarize == Binarize::None => (levels.max(raw_levels), how),
        _ => (levels, how),
    }
}

#[cfg(test)]
mod tests {
    use ar_data::{Locations, builtin};
    use ar_models::examples::read_all;

    use super::*;

    fn prepared(how: Preprocessing, training: Option<u64>) -> Prepared {
        let data = builtin::load_split("digits", Split::Train, &Locations::only([])).unwrap();
        prepare(data, how, Split::Train, training).unwrap()
    }

    fn digits(binarize: Binarize, training: Option<u64>) -> Prepared {
        prepared(Preprocessing { binarize, ..Preprocessing::default() }, training)
    }

    #[test]
    fn a_part_of_the_training_set_is_its_beginning() {
        let how = Preprocessing { train_examples: Some(9), ..Preprocessing::default() };
        let all = read_all(&prepared(Preprocessing::default(), Some(1)), 1);
        let part = prepared(how, Some(1));
        assert_eq!((part.len(), read_all(&part, 1)), (9, all[..9 * 64].to_vec()));
        // What is not trained on is whole.
        assert_eq!(prepared(how, None).len(), all.len() / 64);
    }

    #[test]
    fn fresh_bits_differ_by_epoch_and_repeat_for_the_same_one() {
        let how = Binarize::Stochastic { seed: 0, each_epoch: true };
        let data = digits(how, Some(1));
        assert_eq!(data.event, EventSpec::symbols(vec![8, 8], 2));
        let [evaluation, first, second] = [0, 1, 2].map(|epoch| read_all(&data, epoch));
        assert_ne!(first, second);
        assert_ne!(first, evaluation);
        assert_eq!(first, read_all(&data, 1));
        let fixed = digits(how, None);
        assert_eq!(read_all(&fixed, 7), evaluation, "evaluation never draws anew");
        assert!(evaluation.iter().all(|&bit| bit < 2));
    }

    #[test]
    fn rows_are_read_in_the_order_asked_for() {
        let data = digits(Binarize::None, None);
        assert_eq!(data.event.levels, Some(17));
        let all = read_all(&data, 0);
        let mut out = vec![9];
        data.read(3, &[5, 0], &mut out);
        assert_eq!(out, [&all[5 * 64..6 * 64], &all[..64]].concat());
    }

    #[test]
    fn labels_stay_with_their_rows_whatever_is_done_to_the_values() {
        let raw = builtin::load_split("digits", Split::Train, &Locations::only([])).unwrap();
        let labels = raw.labels().unwrap();
        let fresh = Binarize::Stochastic { seed: 0, each_epoch: true };
        for data in [
            digits(Binarize::None, None),
            digits(Binarize::Threshold, None),
            digits(fresh, Some(1)),
            prepared(Preprocessing { requantize: Some(4), ..Preprocessing::default() }, None),
        ] {
            assert_eq!(data.labels(&[7, 0, 7]), Some(vec![labels[7], labels[0], labels[7]]));
        }
        let symbols = ar_data::Values::Symbols { data: vec![0, 1], levels: 2 };
        let bare = Dataset::new("bare", symbols, &[1]).unwrap();
        let bare = prepare(bare, Preprocessing::default(), Split::Test, None).unwrap();
        assert_eq!(bare.labels(&[0]), None);
    }

    #[test]
    fn requantizing_comes_before_everything_else() {
        let data = builtin::load_split("digits", Split::Test, &Locations::only([])).unwrap();
        let greys = data.symbols().unwrap().0.to_vec();
        let how = Preprocessing { requantize: Some(5), ..Preprocessing::default() };
        let prepared = prepare(data, how, Split::Test, None).unwrap();
        assert_eq!(prepared.event, EventSpec::symbols(vec![8, 8], 5));
        let expected: Vec<u8> = greys.iter().map(|&grey| grey * 5 / 17).collect();
        assert_eq!(read_all(&prepared, 0), expected);
    }

    #[test]
    fn half_the_images_are_mirrored_in_training_and_none_in_evaluation() {
        let how = |flip, each_epoch| Preprocessing {
            binarize: Binarize::Stochastic { seed: 3, each_epoch },
            flip,
            ..Preprocessing::default()
        };
        for each_epoch in [false, true] {
            let plain = prepared(how(false, each_epoch), Some(8));
            let flipped = prepared(how(true, each_epoch), Some(8));
            assert_eq!(read_all(&flipped, 0), read_all(&plain, 0));
            let [before, after] = [&plain, &flipped].map(|data| read_all(data, 2));
            let mut mirrored = 0;
            for (before, after) in before.chunks_exact(64).zip(after.chunks_exact(64)) {
                let mut image = before.to_vec();
                image.chunks_exact_mut(8).for_each(<[u8]>::reverse);
                assert!(after == before || after == image);
                mirrored += usize::from(after != before);
            }
            // 1,079 images, few of them symmetric: six standard deviations are 99.
            assert!((440..640).contains(&mirrored), "{mirrored}");
            assert_ne!(read_all(&flipped, 3), after, "each epoch decides anew");
            // Any row, at any time, in any batch.
            let mut rows = Vec::new();
            flipped.read(2, &[70, 3], &mut rows);
            assert_eq!(rows, [&after[70 * 64..71 * 64], &after[3 * 64..4 * 64]].concat());
            // What is not trained on is not flipped.
            let valid = prepared(how(true, each_epoch), None);
            assert_eq!(read_all(&valid, 2), read_all(&plain, 0));
        }
    }

    #[test]
    fn splits_are_drawn_with_different_uniforms() {
        let seeds: Vec<u64> =
            (0..2).flat_map(|seed| Split::ALL.map(|split| split_seed(seed, split))).collect();
        assert_eq!(seeds, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn reals_are_read_as_they_are_and_nothing_is_done_to_them() {
        let reals = ar_data::Values::Reals { data: vec![0.5, -1.0, 7.0, 2.25] };
        let data = Dataset::new("r.npy", reals, &[2]).unwrap();
        let plain = prepare(data.clone(), Preprocessing::default(), Split::Test, None).unwrap();
        assert!(plain.is_real() && plain.event.levels.is_none());
        let mut out = vec![9.0];
        plain.read_reals(0, &[1, 0], &mut out);
        assert_eq!(out, [7.0, 2.25, 0.5, -1.0]);
        for how in [
            Preprocessing { requantize: Some(4), ..Preprocessing::default() },
            Preprocessing { binarize: Binarize::Threshold, ..Preprocessing::default() },
            Preprocessing { flip: true, ..Preprocessing::default() },
        ] {
            let error = prepare(data.clone(), how, Split::Test, None).unwrap_err();
            assert!(error.to_string().contains("r.npy: real numbers, expected symbols"), "{error}");
        }
    }
}
