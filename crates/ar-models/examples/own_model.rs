//! A model of one's own through the traits of prob-core, held to their laws: `cargo run --release --example own_model`.
//!
//! Pólya's urn with a ball of each colour: a drawn ball goes back with another one like it, so that after k ones among t
//! draws p(x_t = 1) = (k + 1) / (t + 2). The order of the draws does not matter: p(x) = k! (n − k)! / (n + 1)!

use burn::tensor::{Device, Int, Tensor};
use prob_core::dist::Bernoulli;
use prob_core::{Autoregressive, Density, Sample, laws, ordering::Ordering};
use rand::Rng;

struct Urn(usize);

fn log_factorial(k: Tensor<1>, n: usize) -> Tensor<1> {
    (1..=n).fold(k.zeros_like(), |sum, i| {
        sum + k.clone().greater_equal_scalar(i as f64).float().mul_scalar((i as f64).ln())
    })
}

impl Density for Urn {
    type Event = Tensor<2, Int>;

    fn log_prob(&self, x: Tensor<2, Int>) -> Tensor<1> {
        let (n, ones) = (self.0, x.float().sum_dim(1).squeeze_dim(1));
        let zeros = ones.clone().neg().add_scalar(n as f64);
        let all: f64 = (1..=n + 1).map(|i| (i as f64).ln()).sum();
        (log_factorial(ones, n) + log_factorial(zeros, n)).sub_scalar(all)
    }
}

impl Sample for Urn {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Tensor<2, Int> {
        laws::plain_walk(self, &Ordering::raster(self.0), n, rng)
    }
}

impl Autoregressive for Urn {
    /// t, and k of each walk.
    type State = (usize, Tensor<1>);
    type Conditional = Bernoulli;

    fn event_len(&self) -> usize {
        self.0
    }

    fn init_state(&self, batch: usize) -> Self::State {
        (0, Tensor::zeros([batch], &Device::default()))
    }

    fn conditional(&self, (t, ones): &Self::State) -> Bernoulli {
        let odds = ones.clone().add_scalar(1.0) / ones.clone().neg().add_scalar(*t as f64 + 1.0);
        Bernoulli::from_logits_unchecked(odds.log())
    }

    fn advance(&self, (t, ones): &mut Self::State, x_t: Tensor<1, Int>) {
        (*t, *ones) = (*t + 1, ones.clone() + x_t.float());
    }

    fn select(&self, (t, ones): &Self::State, walks: &[usize]) -> Self::State {
        let walks = walks.iter().map(|&walk| walk as i32).collect::<Vec<_>>();
        (*t, ones.clone().select(0, Tensor::from_data(walks.as_slice(), &ones.device())))
    }
}

fn main() -> Result<(), laws::LawViolation> {
    let (urn, device, raster) = (Urn(6), Device::default(), Ordering::raster(6));
    let all: Vec<i32> = laws::enumerate_support(6, 2).into_iter().map(i32::from).collect();
    let all = Tensor::<1, Int>::from_data(all.as_slice(), &device).reshape([64, 6]);
    laws::normalised(&urn, 6, 2, &device, 1e-5)?;
    laws::chain_rule(&urn, &raster, all.clone(), 1e-5)?;
    laws::same_walks(&urn, &raster, all, 1e-5)?;
    laws::sampler(&urn, 6, 2, &device, 20_000, 1, 1e-6)
}

#[test]
fn the_urn_obeys_the_laws() {
    main().unwrap();
}
