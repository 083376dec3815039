//! What a paper reports beside what a run costs.

use prob_core::units::Nats;

use crate::config::Paper;

/// A mean cost in the units that costs are published in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cost {
    /// Variables of an example.
    pub(super) variables: usize,
    /// Mean, nats per example.
    pub(super) nll_nats: f64,
    /// Its standard error.
    pub(super) nll_nats_stderr: f64,
    /// The same two in standardized units; only of real numbers.
    pub(super) standardized: Option<(f64, f64)>,
}

impl Cost {
    pub(super) fn bits_per_dim(&self) -> f64 {
        Nats(self.nll_nats).bits_per_dim(self.variables).0
    }
}

/// A published number and what a run costs more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Published {
    pub(super) unit: &'static str,
    pub(super) paper: f64,
    /// Below 0 where the run is better.
    pub(super) difference: f64,
}

impl Published {
    /// One for each unit that the paper gives.
    pub(super) fn of(paper: &Paper, cost: &Cost) -> Vec<Self> {
        let number = |unit, paper: Option<f64>, ours: Option<f64>| {
            let paper = paper?;
            Some(Self { unit, paper, difference: ours? - paper })
        };
        let standardized = cost.standardized.map(|(nats, _)| nats);
        let numbers = [
            number("nats", paper.test_nll_nats, Some(cost.nll_nats)),
            number("bits/dim", paper.test_bits_per_dim, Some(cost.bits_per_dim())),
            number("nats standardized", paper.test_nll_standardized_nats, standardized),
        ];
        numbers.into_iter().flatten().collect()
    }

    /// The number, with as many decimals as the paper gives and at least two, and the difference.
    pub(super) fn parts(&self) -> [String; 2] {
        let text = self.paper.to_string();
        let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len()).max(2);
        let number = format!("{:.decimals$} {}", self.paper, self.unit);
        [number, format!("{:+.decimals$}", self.difference)].map(|text| text.replace('-', "−"))
    }

    /// Both in one.
    pub(super) fn words(&self) -> String {
        let [number, difference] = self.parts();
        format!("{number} ({difference})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_compared_in_its_own_unit_with_its_own_decimals() {
        let cost = Cost {
            variables: 8,
            nll_nats: 4.0,
            nll_nats_stderr: 0.1,
            standardized: Some((9.5, 0.1)),
        };
        let paper = |nats, bits, standardized| Paper {
            test_nll_nats: nats,
            test_bits_per_dim: bits,
            test_nll_standardized_nats: standardized,
            source: String::new(),
        };
        let words = |paper: Paper| -> Vec<String> {
            Published::of(&paper, &cost).iter().map(Published::words).collect()
        };
        assert_eq!(words(paper(Some(4.5), None, None)), ["4.50 nats (−0.50)"]);
        assert_eq!(
            words(paper(None, Some(0.125), Some(9.36))),
            ["0.125 bits/dim (+0.596)", "9.36 nats standardized (+0.14)"]
        );
        let discrete = Cost { standardized: None, ..cost };
        assert_eq!(Published::of(&paper(None, None, Some(9.36)), &discrete), []);
    }
}
