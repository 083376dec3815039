//! What may be known of a cell: its value, or where it lies.

use std::sync::Arc;

/// Where a cell lies. Everything done with a model under conditions is a walk that draws each cell within its region.
#[derive(Clone, Debug, PartialEq)]
pub enum Region {
    /// Anywhere at all.
    Any,
    /// Anything that training could have had: no other label, no number beyond its range, nothing missing where nothing
    /// was.
    Seen,
    /// A number that is not missing, within the range of training.
    Present,
    /// This one: the index of a label, or a number; NaN is a number that is missing.
    Value(f64),
    /// One of these labels, an entry for each, and a last one for any label that training never saw.
    Labels(Arc<[bool]>),
    /// A number that is not missing, from the first to the second, both included; either may be infinite.
    Between(f64, f64),
}

impl Region {
    /// Whether nothing is known.
    pub fn is_any(&self) -> bool {
        *self == Self::Any
    }

    /// Where a cell lies that is in both; `None` where there is nothing in common, or one of both is no region of such a
    /// cell.
    #[must_use]
    pub fn and(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, both) | (both, Self::Any) | (Self::Seen, both) | (both, Self::Seen) => {
                Some(both.clone())
            }
            (Self::Labels(one), Self::Labels(two)) if one.len() == two.len() => {
                let both: Arc<[bool]> = one.iter().zip(two.iter()).map(|(a, b)| *a && *b).collect();
                both.contains(&true).then_some(Self::Labels(both))
            }
            (Self::Labels(labels), value @ Self::Value(label))
            | (value @ Self::Value(label), Self::Labels(labels)) => {
                labels.get(*label as usize).is_some_and(|is_in| *is_in).then(|| value.clone())
            }
            (Self::Present, Self::Value(x)) | (Self::Value(x), Self::Present) => {
                (!x.is_nan()).then_some(Self::Value(*x))
            }
            (Self::Present, both) | (both, Self::Present) => Some(both.clone()),
            (Self::Between(a, b), Self::Between(c, d)) => {
                let (low, high) = (a.max(*c), b.min(*d));
                (low <= high).then_some(Self::Between(low, high))
            }
            (Self::Between(low, high), Self::Value(x))
            | (Self::Value(x), Self::Between(low, high)) => {
                (low <= x && x <= high).then_some(Self::Value(*x))
            }
            (Self::Value(x), Self::Value(y)) => {
                (x == y || x.is_nan() && y.is_nan()).then(|| self.clone())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_intersections() {
        let labels = |labels: &[bool]| Region::Labels(labels.into());
        let between = Region::Between;
        for (one, other, both) in [
            (Region::Any, between(0.0, 1.0), Some(between(0.0, 1.0))),
            (between(0.0, 5.0), between(3.0, 9.0), Some(between(3.0, 5.0))),
            (between(0.0, 2.0), between(3.0, 9.0), None),
            (between(0.0, 2.0), Region::Present, Some(between(0.0, 2.0))),
            (between(0.0, 2.0), Region::Value(1.0), Some(Region::Value(1.0))),
            (between(0.0, 2.0), Region::Value(f64::NAN), None),
            (Region::Present, Region::Value(f64::NAN), None),
            (
                labels(&[true, true, false]),
                labels(&[false, true, true]),
                Some(labels(&[false, true, false])),
            ),
            (labels(&[true, false]), labels(&[false, true]), None),
            (labels(&[true, false]), Region::Value(1.0), None),
            (labels(&[true, true]), Region::Value(1.0), Some(Region::Value(1.0))),
            (labels(&[true, true]), between(0.0, 1.0), None),
        ] {
            assert_eq!(one.and(&other), both, "{one:?} and {other:?}");
            assert_eq!(other.and(&one), both, "{other:?} and {one:?}");
        }
    }
}
