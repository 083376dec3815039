//! Fewer levels: any depth between bits and what the files hold.
//!
//! ```text
//! new value = value · levels / old levels, rounded down
//! ```
//!
//! Every new value stands for a run of old ones, and the runs differ by at most one in length: 16
//! levels of 256 are the upper four bits. No level is left over, so the likelihood is one of symbols
//! with exactly `levels` values.

use crate::dataset::Dataset;
use crate::error::{Error, Result};

/// The same events in fewer levels.
///
/// ```
/// use ar_data::{Dataset, Values, requantize};
///
/// let bytes = Values::Symbols { data: vec![0, 15, 16, 255], levels: 256 };
/// let data = requantize::requantize(&Dataset::new("bytes", bytes, &[2])?, 16)?;
/// assert_eq!(data.symbols()?, (&[0, 0, 1, 15][..], 16));
/// # Ok::<(), ar_data::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Inconsistent`] if the values are reals, or `levels` is not at least 2 and fewer than
/// the data has.
#[expect(clippy::cast_possible_truncation, reason = "the result is below `levels`, at most 255")]
pub fn requantize(data: &Dataset, levels: u16) -> Result<Dataset> {
    let (symbols, old) = data.symbols()?;
    if levels < 2 || levels >= old {
        return Err(Error::inconsistent(
            data.name(),
            "levels after requantizing",
            format!("at least 2 and fewer than the {old} of the data"),
            levels.to_string(),
        )
        .advise("lower data.requantize, or remove it"));
    }
    let (new, old) = (u32::from(levels), u32::from(old));
    let table: Vec<u8> = (0..old).map(|value| (value * new / old) as u8).collect();
    let symbols = symbols.iter().map(|&value| table[usize::from(value)]).collect();
    Ok(data.with_symbols(symbols, levels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Values;

    fn every_level(levels: u16) -> Dataset {
        let data = (0..levels).map(|value| value as u8).collect();
        Dataset::new("all", Values::Symbols { data, levels }, &[usize::from(levels)]).unwrap()
    }

    #[test]
    fn every_new_level_takes_runs_of_old_ones_that_differ_by_at_most_one() {
        for (old, new) in [(256, 16), (256, 255), (256, 7), (17, 16), (17, 3), (3, 2)] {
            let data = requantize(&every_level(old), new).unwrap();
            let (symbols, levels) = data.symbols().unwrap();
            assert_eq!(levels, new);
            assert!(symbols.is_sorted(), "{old} to {new}: {symbols:?}");
            let runs: Vec<usize> = (0..new)
                .map(|level| symbols.iter().filter(|&&value| u16::from(value) == level).count())
                .collect();
            let (least, most) = (usize::from(old / new), usize::from(old.div_ceil(new)));
            assert!(
                runs.iter().all(|&run| run == least || run == most),
                "{old} to {new}: {runs:?}"
            );
        }
    }

    #[test]
    fn two_levels_of_an_even_number_are_the_threshold() {
        let data = every_level(256);
        assert_eq!(requantize(&data, 2).unwrap(), crate::binarize::threshold(&data).unwrap());
    }

    #[test]
    fn more_or_as_many_levels_are_refused() {
        for levels in [0, 1, 17, 256] {
            let error = requantize(&every_level(17), levels).unwrap_err().to_string();
            assert!(error.contains("fewer than the 17") && error.ends_with(&levels.to_string()));
        }
        assert!(requantize(&every_level(17).into_reals(), 2).is_err());
    }
}
