//! Training curves as inline SVG.

use super::html::escape;
use crate::experiment::result::Point;
use std::fmt::Write as _;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;

/// The values on one axis and where they are drawn.
#[derive(Debug, Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    /// Position of `low`.
    start: f64,
    /// Position of `high`.
    end: f64,
}

impl Axis {
    fn position(&self, value: f64) -> f64 {
        self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)
    }
}

/// A line that a curve is compared with.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    /// Whose value it is.
    pub(crate) label: String,
    /// Validation mean, nats.
    pub(crate) nll_nats: f64,
}

/// The range of nats that curves and a reference share, so that charts beside each other can be
/// compared: all of the last epochs, and of the first ones only what does not dwarf the rest.
pub(crate) fn shared_range<'a>(
    curves: impl Iterator<Item = &'a [Point]>,
    reference: Option<&Reference>,
) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    if let Some(reference) = reference {
        (low, high) = (reference.nll_nats, reference.nll_nats);
    }
    for curve in curves {
        let from = curve.len() / 12;
        for (i, point) in curve.iter().enumerate() {
            for value in [point.train_nll_nats, point.valid_nll_nats] {
                if value.is_finite() {
                    low = low.min(value);
                    if i >= from {
                        high = high.max(value);
                    }
                }
            }
        }
    }
    if low > high {
        (low, high) = (0.0, 1.0);
    }
    let margin = ((high - low) * 0.06).max(0.01);
    (low - margin, high + margin)
}

/// A chart of one model's training and validation likelihood by epoch.
pub(crate) fn curve(
    label: &str,
    points: &[Point],
    best_epoch: Option<u64>,
    range: (f64, f64),
    reference: Option<&Reference>,
) -> String {
    let last = points.last().map_or(1, |point| point.epoch).max(2) as f64;
    let x = Axis { low: 1.0, high: last, start: LEFT, end: WIDTH - RIGHT };
    let y = Axis { low: range.0, high: range.1, start: HEIGHT - BOTTOM, end: TOP };
    let clip = format!("clip-{}", label.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));

    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
        escape(&format!("Training and validation negative log-likelihood of {label} by epoch"))
    );
    let _ = writeln!(
        svg,
        "<defs><clipPath id=\"{clip}\"><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" \
         height=\"{}\"/></clipPath></defs>",
        WIDTH - LEFT - RIGHT,
        HEIGHT - TOP - BOTTOM
    );
    for tick in ticks(y.low, y.high) {
        let at = y.position(tick);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 7.0,
            at + 4.0,
            number(tick)
        );
    }
    let baseline = HEIGHT - BOTTOM;
    for tick in ticks(x.low, x.high).into_iter().filter(|tick| tick.fract() == 0.0) {
        let at = x.position(tick);
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{baseline}\" y2=\"{}\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            baseline + 4.0,
            baseline + 18.0,
            number(tick)
        );
    }
    let _ = writeln!(
        svg,
        "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{baseline}\" y2=\"{baseline}\"/>\
         <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">epoch</text>\
         <text class=\"unit\" transform=\"translate(12 {:.1}) rotate(-90)\" \
         text-anchor=\"middle\">nats per image</text>",
        WIDTH - RIGHT,
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 8.0,
        (TOP + baseline) / 2.0
    );
    let _ = writeln!(svg, "<g clip-path=\"url(#{clip})\">");
    if let Some(reference) = reference {
        let at = y.position(reference.nll_nats);
        let _ = writeln!(
            svg,
            "<line class=\"reference\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
            WIDTH - RIGHT
        );
    }
    svg.push_str(&polyline("train", points, x, y, |point| point.train_nll_nats));
    svg.push_str(&polyline("valid", points, x, y, |point| point.valid_nll_nats));
    svg.push_str("</g>\n");
    // Not clipped, because the best epoch is often the last, on the edge.
    if let Some(best) = points
        .iter()
        .find(|point| Some(point.epoch) == best_epoch && point.valid_nll_nats <= y.high)
    {
        let (at_x, at_y) = (x.position(best.epoch as f64), y.position(best.valid_nll_nats));
        let _ = writeln!(svg, "<circle class=\"best\" cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"4\"/>");
    }
    svg.push_str("</svg>");
    svg
}

/// One line through the finite values of a curve.
fn polyline(
    class: &str,
    points: &[Point],
    x: Axis,
    y: Axis,
    value: impl Fn(&Point) -> f64,
) -> String {
    let mut path = String::new();
    for point in points.iter().filter(|point| value(point).is_finite()) {
        // Far outside the frame is outside the frame; keeps a diverged run's numbers short.
        let nats = value(point).min(y.high + 10.0 * (y.high - y.low));
        let _ = write!(path, "{:.1},{:.1} ", x.position(point.epoch as f64), y.position(nats));
    }
    format!("<polyline class=\"{class}\" points=\"{}\"/>\n", path.trim_end())
}

/// The colour bar of the cost maps: `gradient` gives the colours at equal steps from 0 to
/// `largest` nats.
pub(crate) fn color_bar(gradient: &[[u8; 3]], largest: f64) -> String {
    let (left, width, height) = (16.0, 428.0, 12.0);
    let x = Axis { low: 0.0, high: largest, start: left, end: left + width };
    let mut svg = String::from(
        "<svg viewBox=\"0 0 460 44\" role=\"img\" aria-label=\"Colour scale of the cost maps\">\n\
         <defs><linearGradient id=\"scale\">",
    );
    let steps = gradient.len().saturating_sub(1).max(1) as f64;
    for (i, [red, green, blue]) in gradient.iter().enumerate() {
        let offset = i as f64 / steps;
        let _ =
            write!(svg, "<stop offset=\"{offset:.4}\" stop-color=\"rgb({red},{green},{blue})\"/>");
    }
    let _ = writeln!(
        svg,
        "</linearGradient></defs>\n\
         <rect x=\"{left}\" y=\"2\" width=\"{width}\" height=\"{height}\" fill=\"url(#scale)\"/>"
    );
    let coin = std::f64::consts::LN_2;
    let mut marks: Vec<(f64, String)> =
        ticks(0.0, largest).into_iter().map(|tick| (tick, number(tick))).collect();
    if coin <= largest {
        marks.retain(|(tick, _)| (tick - coin).abs() > 0.08 * largest);
        marks.push((coin, "ln 2".to_owned()));
    }
    for (tick, text) in marks {
        let at = x.position(tick);
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"14\" y2=\"18\"/>\
             <text x=\"{at:.1}\" y=\"32\" text-anchor=\"middle\">{text}</text>"
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Four to eight round numbers between `low` and `high`.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    if !(rough.is_finite() && rough > 0.0) {
        return Vec::new();
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step = power
        * match rough / power {
            factor if factor < 1.5 => 1.0,
            factor if factor < 3.5 => 2.0,
            factor if factor < 7.5 => 5.0,
            _ => 10.0,
        };
    let (first, last) = ((low / step).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|i| i as f64 * step).collect()
}

/// A tick's number without needless zeros.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside_the_range() {
        assert_eq!(ticks(1.0, 100.0), [20.0, 40.0, 60.0, 80.0, 100.0]);
        let tenths: Vec<String> = ticks(0.0, 0.72).into_iter().map(number).collect();
        assert_eq!(tenths, ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]);
        assert_eq!(ticks(13.0, 23.0), [14.0, 16.0, 18.0, 20.0, 22.0]);
        assert_eq!(ticks(1.0, 1.0), Vec::<f64>::new());
        assert_eq!(ticks(0.0, f64::NAN), Vec::<f64>::new());
    }

    #[test]
    fn the_range_holds_the_late_epochs_and_does_not_let_the_first_dwarf_them() {
        let point = |epoch, nats| Point { epoch, train_nll_nats: nats, valid_nll_nats: nats };
        let curve: Vec<Point> =
            (1..=24).map(|e| point(e, if e == 1 { 500.0 } else { 20.0 })).collect();
        let reference = Reference { label: "Markov 1".to_owned(), nll_nats: 24.0 };
        let (low, high) = shared_range([&curve[..]].into_iter(), Some(&reference));
        assert!(low < 20.0 && low > 19.0 && high > 24.0 && high < 25.0, "{low} {high}");
        assert_eq!(shared_range([].into_iter(), None), (-0.06, 1.06));
    }
}
