//! What is drawn, and what is probable, given what is known: nothing, a label, values of some variables, or regions that
//! cells lie in.

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor};
use prob_core::Autoregressive;
use prob_core::joint::Tabular;
use rand::Rng;

use super::{Model, no_classes};
use crate::foundation::examples::{Rows, Values};
use crate::kinds::window::KernelWindow;
use crate::parts::columns::{self, Draws, Effort, Region};
use crate::parts::neural::{HostOf, Neural};
use crate::parts::tensors::{device_of, host_f64};
use crate::parts::value::ValueKind;
use crate::parts::walk::{Completions, monte_carlo};

impl Model {
    /// [`complete`](Self::complete) given each row's label; [`sample`](Self::sample) given it, where
    /// nothing is observed.
    ///
    /// # Shapes
    /// `observed` and the result are `[n, variables]` in event order, `labels` is `[n]`.
    ///
    /// # Panics
    /// When the model has no classes, or a label is not below them.
    pub fn complete_given(
        &self,
        observed: &[Option<u8>],
        labels: &[u8],
        rng: &mut dyn Rng,
    ) -> Vec<u8> {
        with_classes!(self, model => model.complete_given(observed, labels, rng))
    }

    /// `n` independent draws, `[n, variables]` in event order.
    ///
    /// # Panics
    /// When the model is one of real numbers.
    pub fn sample(&self, n: usize, rng: &mut dyn Rng) -> Vec<u8> {
        self.complete(&vec![None; n * self.variables()], rng)
    }

    /// `n` independent draws of either kind, `[n, variables]` in event order.
    pub fn sample_rows(&self, n: usize, rng: &mut dyn Rng) -> Rows {
        match self {
            Self::Kernel(model) if model.is_real() => {
                Rows::Reals(self.complete_reals(&vec![None; n * self.variables()], rng))
            }
            Self::Rnade(_)
            | Self::ColumnTables(_)
            | Self::ColumnNade(_)
            | Self::ColumnMade(_)
            | Self::ColumnOrderless(_) => {
                Rows::Reals(self.complete_reals(&vec![None; n * self.variables()], rng))
            }
            _ => Rows::Symbols(self.sample(n, rng)),
        }
    }

    /// [`complete`](Self::complete) for real numbers.
    ///
    /// # Panics
    /// When the model is one of symbols.
    pub fn complete_reals(&self, observed: &[Option<f64>], rng: &mut dyn Rng) -> Vec<f64> {
        match self {
            Self::Rnade(model) => model.complete(observed, rng),
            Self::ColumnTables(model) => model.complete(observed, rng),
            Self::ColumnNade(model) => model.complete(observed, rng),
            Self::ColumnMade(model) => model.complete(observed, rng),
            Self::ColumnOrderless(model) => model.ensemble().complete(observed, rng),
            Self::Kernel(model) if model.is_real() => model.complete(observed, rng),
            _ => panic!("a model of kind `{}` draws symbols, not real numbers", self.kind()),
        }
    }

    /// Draws what is not observed: of a model that [takes any mask](Self::takes_any_mask) from
    /// p(missing | observed), of any other in the order of the walk (see [`crate::parts::walk::complete`] for what
    /// that conditions on).
    ///
    /// # Shapes
    /// `observed` and the result are `[n, variables]` in event order.
    ///
    /// # Panics
    /// When the model is one of real numbers.
    pub fn complete(&self, observed: &[Option<u8>], rng: &mut dyn Rng) -> Vec<u8> {
        if let Self::OrderlessNade(model) = self {
            return model.ensemble().complete(observed, rng);
        }
        each!(
            self,
            tabular model => {
                let ordering = Tabular::ordering(model).as_slice();
                crate::parts::walk::walk::<_, Int>(model, ordering, observed, &Device::default(), rng)
            },
            columns _model => {
                panic!("a model of kind `{}` of columns draws their cells, not symbols", self.kind())
            },
            window model => model.complete_symbols(observed, rng),
            symbols model => model.complete(observed, rng),
            reals _model => {
                panic!("a model of kind `{}` draws real numbers, not symbols", self.kind())
            },
        )
    }

    /// Rows drawn given where their cells lie ([`Region`]), by sequential Monte Carlo (of a window
    /// [exactly](Self::takes_regions_exactly)), and given that they hold nothing
    /// else that training never saw; `None` of a model that [answers for no regions](Self::takes_regions).
    ///
    /// # Shapes
    /// `regions` is `[n, variables]` in event order.
    ///
    /// # Panics
    /// When `regions` is not whole rows, or the effort is none.
    pub fn draws_given(
        &self,
        regions: &[Region],
        effort: Effort,
        rng: &mut dyn Rng,
    ) -> Option<Draws> {
        let (ordering, width) = (self.ordering().as_slice(), self.variables());
        if let Self::ColumnOrderless(model) = self {
            return Some(model.draws_given(regions, effort, rng));
        }
        if let Some(window) = self.window_of_columns() {
            return Some(window.draws_given(regions, effort.samples, rng));
        }
        let units = self.units()?;
        let seen = |(at, region)| units.seen(at % width, region);
        let regions: Vec<Region> = regions.iter().enumerate().map(seen).collect();
        match self {
            Self::ColumnTables(model) => {
                let device = Device::default();
                Some(columns::draws(model, ordering, &regions, effort, &device, rng))
            }
            Self::ColumnNade(model) => {
                Some(columns::draws(model, ordering, &regions, effort, &device_of(model), rng))
            }
            Self::ColumnMade(model) => {
                Some(columns::draws(model, ordering, &regions, effort, &device_of(model), rng))
            }
            _ => None,
        }
    }

    /// ln of the probability that the cells of a row lie in these regions, in nats, where that can be enumerated, or is a
    /// sum over stored rows. A model that takes any mask has a probability along each ordering with the known cells first.
    ///
    /// # Shapes
    /// `regions` is `[variables]` in event order.
    pub fn log_prob_of_regions(&self, regions: &[Region]) -> Option<f64> {
        if let Some(window) = self.window_of_columns() {
            return Some(window.log_prob_of_regions(regions));
        }
        let ordering = self.ordering().as_slice();
        let (of, most) = (self.units()?.columns(), MOST_ENUMERATED);
        match self {
            Self::ColumnTables(model) => {
                columns::exact(model, ordering, of, regions, most, &Device::default())
            }
            Self::ColumnNade(model) => {
                columns::exact(model, ordering, of, regions, most, &device_of(model))
            }
            Self::ColumnMade(model) => {
                columns::exact(model, ordering, of, regions, most, &device_of(model))
            }
            Self::ColumnOrderless(model) => model.log_prob_of_regions(regions, most),
            _ => None,
        }
    }

    /// Logarithms of `particles` independent numbers whose expectation is the probability that the cells of a row lie in
    /// these regions; `None` of a model that [answers for no regions](Self::takes_regions).
    ///
    /// # Shapes
    /// `regions` is `[variables]` in event order.
    pub fn log_weights_of_regions(
        &self,
        regions: &[Region],
        particles: usize,
        rng: &mut dyn Rng,
    ) -> Option<Vec<f64>> {
        if let Some(window) = self.window_of_columns() {
            return Some(vec![window.log_prob_of_regions(regions); particles]);
        }
        let ordering = self.ordering().as_slice();
        match self {
            Self::ColumnTables(model) => {
                let device = Device::default();
                Some(columns::probability(model, ordering, regions, particles, &device, rng))
            }
            Self::ColumnNade(model) => {
                let device = device_of(model);
                Some(columns::probability(model, ordering, regions, particles, &device, rng))
            }
            Self::ColumnMade(model) => {
                let device = device_of(model);
                Some(columns::probability(model, ordering, regions, particles, &device, rng))
            }
            Self::ColumnOrderless(model) => {
                Some(model.log_weights_of_regions(regions, particles, rng))
            }
            _ => None,
        }
    }

    /// ln p that cell `i` of a row lies in each of `regions` given the values that `row` knows of other cells, exact, of
    /// columns of different types and a model that [takes any mask](Self::takes_any_mask); `None` elsewhere.
    ///
    /// # Shapes
    /// `row` is `[variables]` in event order; returns one for each of `regions`.
    pub fn log_probs_of_cell(
        &self,
        row: &[Region],
        i: usize,
        regions: &[Region],
    ) -> Option<Vec<f64>> {
        match self {
            Self::ColumnOrderless(model) => Some(model.log_probs_of_cell(row, i, regions)),
            _ => Some(self.window_of_columns()?.log_probs_of_cell(row, i, regions)),
        }
    }

    /// Whether it draws rows given regions of their cells, and says how probable these are.
    pub fn takes_regions(&self) -> bool {
        self.units().is_some() || self.takes_regions_exactly()
    }

    /// Whether such draws and probabilities are exact whatever the regions are, as those of a window are.
    pub fn takes_regions_exactly(&self) -> bool {
        self.window_of_columns().is_some()
    }

    /// A window over numbers, or columns of different types.
    fn window_of_columns(&self) -> Option<&KernelWindow> {
        match self {
            Self::Kernel(window) if window.is_real() => Some(window),
            _ => None,
        }
    }

    /// Whether `complete` draws from p(missing | observed) whatever is observed, not only where that is a
    /// prefix of the ordering.
    pub fn takes_any_mask(&self) -> bool {
        matches!(self, Self::OrderlessNade(_) | Self::ColumnOrderless(_) | Self::Kernel(_))
    }

    /// Number of orderings that the likelihood is a mean over, of a model that takes any; `None` elsewhere.
    pub fn orderings(&self) -> Option<usize> {
        match self {
            Self::OrderlessNade(model) => Some(model.orderings().len()),
            Self::ColumnOrderless(model) => Some(model.orderings().len()),
            _ => None,
        }
    }

    /// The same model over `orderings` orderings, where it takes any; `None` elsewhere.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn with_orderings(self, orderings: usize) -> Option<Self> {
        match self {
            Self::OrderlessNade(model) => Some(model.with_orderings(orderings).into()),
            Self::ColumnOrderless(model) => Some(model.with_orderings(orderings).into()),
            _ => None,
        }
    }

    /// log p(missing | observed) of each row, exact, in nats, where the model [takes any
    /// mask](Self::takes_any_mask); `None` elsewhere. It is `-inf` for a row with a symbol outside
    /// the support, whether that is missing or observed.
    ///
    /// # Shapes
    /// `rows` and `observed` are `[n, variables]` in event order; returns `[n]`.
    ///
    /// # Panics
    /// When `rows` is not whole rows, or `observed` has another size.
    pub fn log_prob_conditional<'a>(
        &self,
        rows: impl Into<Values<'a>>,
        observed: &[bool],
    ) -> Option<Vec<f64>> {
        let rows = rows.into();
        match self {
            Self::Kernel(model) => Some(model.log_prob_conditional(rows, observed)),
            Self::OrderlessNade(model) => {
                let given = |x, mask: &[bool]| host_f64(model.log_prob_conditional(x, mask));
                Some(by_mask(model, rows, observed, given))
            }
            Self::ColumnOrderless(model) => {
                let given = |x, mask: &[bool]| host_f64(model.log_prob_conditional(x, mask));
                Some(by_mask(model, rows, observed, given))
            }
            _ => None,
        }
    }

    /// [`monte_carlo`] over the model's walk: completions that tend to draws from
    /// p(missing | observed), and estimates of log p(observed). Given a label per row of `observed`, of
    /// p(· | y).
    ///
    /// # Shapes
    /// `observed` is `[n, variables]` in event order; the completions `[n, samples, variables]`.
    ///
    /// # Panics
    /// When `observed` is not whole rows, there are no particles, labels are given to a model without
    /// classes, or the model is one of real numbers.
    pub fn complete_monte_carlo(
        &self,
        observed: &[Option<u8>],
        labels: Option<&[u8]>,
        (particles, samples): (usize, usize),
        rng: &mut dyn Rng,
    ) -> Completions {
        let (ordering, counts) = (self.ordering().as_slice(), (particles, samples));
        if let Self::Nade(model) = self {
            // Given one label for all, it is a model without classes.
            let given = match labels {
                Some([first, others @ ..]) if others.iter().all(|label| label == first) => {
                    Some(model.given(usize::from(*first)))
                }
                _ => None,
            };
            let plain = given.as_ref().or(labels.is_none().then_some(model));
            let found = plain.and_then(|model| model.monte_carlo(observed, counts, rng));
            if let Some(found) = found {
                return found;
            }
        }
        if let Some(labels) = labels {
            let of_walks = labels.iter().flat_map(|&y| std::iter::repeat_n(y, particles));
            let of_walks: Vec<u8> = of_walks.collect();
            return with_classes!(self, model => {
                let start = |_| model.init_state_given(&of_walks);
                monte_carlo(model, start, ordering, observed, counts, &device_of(model), rng)
            });
        }
        each!(
            self,
            tabular model => {
                let start = |walks| model.init_state(walks);
                monte_carlo::<_, Int>(model, start, ordering, observed, counts, &Device::default(), rng)
            },
            columns _model => {
                panic!("a model of kind `{}` of columns draws their cells, not symbols", self.kind())
            },
            window model => model.complete_symbols_exactly(observed, samples, rng),
            symbols model => {
                let start = |walks| model.init_state(walks);
                monte_carlo(model, start, ordering, observed, counts, &device_of(model), rng)
            },
            reals _model => {
                panic!("a model of kind `{}` draws real numbers, not symbols", self.kind())
            },
        )
    }
}

/// The most rows that are enumerated for a probability.
const MOST_ENUMERATED: usize = 1 << 14;

/// Evaluates a neural model over rows that are observed in part, those of one mask together, a batch at a time.
fn by_mask<M: Neural>(
    model: &M,
    rows: Values<'_>,
    observed: &[bool],
    f: impl Fn(Tensor<2, M::Kind>, &[bool]) -> Vec<f64>,
) -> Vec<f64> {
    let (rows, variables, device) = (M::Kind::of(rows), model.event_len(), device_of(model));
    assert_eq!(rows.len(), observed.len(), "an entry for each variable of each row");
    let mut of_mask: BTreeMap<&[bool], Vec<usize>> = BTreeMap::new();
    for (row, mask) in observed.chunks_exact(variables).enumerate() {
        of_mask.entry(mask).or_default().push(row);
    }
    let mut log_probs = vec![0.0; rows.len() / variables];
    for (mask, members) in of_mask {
        for members in members.chunks(model.batch()) {
            let of = |&row: &usize| &rows[row * variables..(row + 1) * variables];
            let own: Vec<HostOf<M>> = members.iter().flat_map(of).copied().collect();
            let own = f(M::Kind::to_device(&own, variables, &device), mask);
            for (&row, log_prob) in members.iter().zip(own) {
                log_probs[row] = log_prob;
            }
        }
    }
    log_probs
}
