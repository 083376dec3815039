//! One seed, many independent generators.
//!
//! Every use of randomness gets its own stream of ChaCha8, named by what it is for and counted by,
//! say, the epoch. So nothing needs to be stored to continue a run: the shuffle of epoch 7 is the
//! same whether or not epochs 1 to 6 ran in this process.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// What a stream of random numbers is for. The numbers are part of the file format: a run can only
/// be repeated while they stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Initial weights.
    Init = 1,
    /// The order of the examples in an epoch.
    Shuffle = 2,
    /// Draws from a model.
    Sample = 3,
    /// Which variables are observed.
    Mask = 4,
    /// Which variables a hidden unit may know.
    Connectivity = 7,
    /// The orderings of an ensemble.
    Orderings = 11,
    /// What a training loss that is an estimate draws.
    TrainingLoss = 12,
    /// The walks of a probability that is estimated.
    Probability = 14,
    /// Training rows that a model keeps.
    Rows = 13,
}

/// The generator of one purpose, of which there are many by `index`.
pub fn stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((purpose as u64) << 48) | index);
    rng
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, purpose, index| stream(seed, purpose, index).random::<u64>();
        assert_eq!(draw(1, Purpose::Init, 0), draw(1, Purpose::Init, 0));
        assert_ne!(draw(1, Purpose::Init, 0), draw(2, Purpose::Init, 0));
        assert_ne!(draw(1, Purpose::Init, 0), draw(1, Purpose::Shuffle, 0));
        assert_ne!(draw(1, Purpose::Shuffle, 1), draw(1, Purpose::Shuffle, 2));
    }
}
