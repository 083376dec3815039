//! Charts as inline SVG.
//!
//! They are drawn in two colours and one for lines and letters, which the style sheet replaces by
//! those of the page, light or dark.

use anyhow::{Result, anyhow};
use ar_models::train::EpochRecord;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::Scored;
use crate::error::Internal;

/// The colours that `style.css` replaces.
const FIRST: RGBColor = RGBColor(31, 95, 153);
const SECOND: RGBColor = RGBColor(179, 105, 42);
const LINE: RGBColor = RGBColor(220, 216, 207);
const TEXT: RGBColor = RGBColor(106, 101, 92);

/// Narrow enough that letters can be read on a phone.
const SIZE: (u32, u32) = (460, 290);

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The values that curves of several runs are drawn between on one scale: the first epochs may not dwarf the rest.
pub(crate) fn range_of<'a>(
    runs: impl Iterator<Item = &'a [EpochRecord]>,
) -> Option<std::ops::Range<f64>> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for epochs in runs {
        for (i, epoch) in epochs.iter().enumerate() {
            let values = [Some(epoch.train_nll_nats), epoch.valid_nll_nats].into_iter().flatten();
            for nats in values.filter(|nats| nats.is_finite()) {
                low = low.min(nats);
                if i >= epochs.len() / 12 {
                    high = high.max(nats);
                }
            }
        }
    }
    (low <= high).then_some(low..high)
}

/// Training and validation NLL by epoch, between the values of a `range` if there is one.
///
/// # Errors
/// When it cannot be drawn.
pub(crate) fn curves(
    epochs: &[EpochRecord],
    range: Option<std::ops::Range<f64>>,
) -> Result<String> {
    let train: Vec<(f64, f64)> =
        epochs.iter().map(|e| (e.epoch as f64, e.train_nll_nats)).collect();
    let valid: Vec<(f64, f64)> =
        epochs.iter().filter_map(|e| Some((e.epoch as f64, e.valid_nll_nats?))).collect();
    let range = range.or_else(|| range_of(std::iter::once(epochs))).unwrap_or(0.0..1.0);
    let margin = ((range.end - range.start) * 0.06).max(0.01);
    let (low, high) = (range.start - margin, range.end + margin);
    let last = epochs.len().max(2) as f64;
    let whole = |epoch: &f64| if epoch.fract() == 0.0 { number(epoch) } else { String::new() };
    draw(1.0..last, low..high, ["epoch", "nats per example"], &whole, |chart| {
        for (points, color) in [(&train, SECOND), (&valid, FIRST)] {
            let inside = points.iter().copied().filter(|&(_, y)| y.is_finite() && y <= high);
            chart.draw_series(LineSeries::new(inside, color.stroke_width(2)))?;
        }
        let best = epochs.iter().rev().find(|epoch| epoch.best);
        if let Some((epoch, nats)) = best.and_then(|e| Some((e.epoch as f64, e.valid_nll_nats?)))
            && nats <= high
        {
            chart.draw_series([Circle::new((epoch, nats), 4, FIRST.filled())])?;
        }
        Ok(())
    })
}

/// Bars of a histogram.
const BINS: usize = 48;

/// Histograms of one or two sets over each other, each of area 1. What lies beyond the ends is in the
/// first or last bar; impossible examples are left out.
///
/// # Errors
/// When it cannot be drawn.
pub(super) fn histograms(sets: &[Scored]) -> Result<String> {
    let (low, high) = range(sets);
    let width = (high - low) / BINS as f64;
    let shares: Vec<Vec<f64>> = sets.iter().map(|set| shares(&set.nll_nats, low, width)).collect();
    let most = shares.iter().flatten().copied().fold(0.0, f64::max).max(1e-9);
    let labels = ["−log p(x), nats", "share of the set, %"];
    draw(low..high, 0.0..106.0 * most, labels, &number, |chart| {
        for (shares, color) in shares.iter().zip([FIRST, SECOND]) {
            let steps = shares.iter().enumerate().flat_map(|(bin, &share)| {
                let left = low + bin as f64 * width;
                [(left, 100.0 * share), (left + width, 100.0 * share)]
            });
            let area = AreaSeries::new(steps, 0.0, color.mix(0.35));
            chart.draw_series(area.border_style(color.stroke_width(1)))?;
        }
        Ok(())
    })
}

/// From where to where the histograms go: all but the outermost 0.2 % of each set.
fn range(sets: &[Scored]) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for set in sets {
        let sorted = sorted(&set.nll_nats);
        if let (Some(a), Some(b)) = (quantile(&sorted, 0.002), quantile(&sorted, 0.998)) {
            (low, high) = (low.min(a), high.max(b));
        }
    }
    if low > high {
        return (0.0, 1.0);
    }
    let margin = ((high - low) * 0.02).max(1e-3);
    (low - margin, high + margin)
}

/// The finite values in order.
pub(super) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The value below which a share of sorted values lies.
pub(super) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((share * last as f64).round() as usize).copied()
}

/// The share of the values that falls into each bar.
fn shares(values: &[f64], low: f64, width: f64) -> Vec<f64> {
    let mut shares = vec![0.0; BINS];
    for value in values.iter().filter(|value| value.is_finite()) {
        // A value left of the range is cast to 0.
        shares[(((value - low) / width) as usize).min(BINS - 1)] += 1.0 / values.len() as f64;
    }
    shares
}

fn draw(
    x: std::ops::Range<f64>,
    y: std::ops::Range<f64>,
    [x_label, y_label]: [&str; 2],
    x_number: &dyn Fn(&f64) -> String,
    series: impl FnOnce(&mut Chart<'_, '_>) -> Result<(), DrawingAreaErrorKind<std::io::Error>>,
) -> Result<String> {
    let mut svg = String::new();
    let drawn = (|| {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(8)
            .margin_right(20)
            .x_label_area_size(42)
            .y_label_area_size(64)
            .build_cartesian_2d(x, y)?;
        let text = ("sans-serif", 13).into_font().color(&TEXT);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(LINE)
            .axis_style(TEXT)
            .x_labels(6)
            .y_labels(6)
            .x_desc(x_label)
            .y_desc(y_label)
            .label_style(text.clone())
            .axis_desc_style(text)
            .x_label_formatter(&x_number)
            .y_label_formatter(&number)
            .draw()?;
        series(&mut chart)?;
        root.present()
    })();
    drawn.map_err(|error| anyhow!("{error}").context(Internal("a chart cannot be drawn")))?;
    Ok(svg)
}

/// A tick's number without needless zeros.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that plotters asks for")]
fn number(value: &f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_the_ends_take_what_lies_beyond() {
        let values = [-5.0, 0.1, 0.1, 47.5, 1000.0, f64::INFINITY];
        let shares = shares(&values, 0.0, 1.0);
        assert!((shares[0] - 3.0 / 6.0).abs() < 1e-12);
        assert!((shares[BINS - 1] - 2.0 / 6.0).abs() < 1e-12);
        assert!((shares.iter().sum::<f64>() - 5.0 / 6.0).abs() < 1e-12, "one is impossible");
    }

    #[test]
    fn outliers_do_not_stretch_the_range() {
        let mut nll_nats: Vec<f64> = (0..1000).map(|i| 80.0 + f64::from(i) / 100.0).collect();
        nll_nats.push(1e6);
        let (low, high) = range(&[Scored { name: String::new(), nll_nats }]);
        assert!(low > 79.0 && high < 91.0, "{low} {high}");
        assert_eq!(range(&[]), (0.0, 1.0));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[1.0, 2.0, 3.0], 0.5), Some(2.0));
    }

    #[test]
    fn a_chart_has_only_colours_that_the_style_replaces() {
        let set = |shift: f64| Scored {
            name: "a".to_owned(),
            nll_nats: (0..100).map(|i| shift + f64::from(i)).collect(),
        };
        let style = include_str!("style.css");
        for svg in [histograms(&[set(0.0), set(50.0)]).unwrap(), curves(&[], None).unwrap()] {
            for part in svg.split("=\"#").skip(1) {
                let color = &part[..6];
                assert!(style.contains(&format!("#{color}\"")), "{color} in {svg}");
            }
        }
    }
}
