//! The page of a ladder: one file that needs no other, readable in a browser of any width, light or dark.

use super::chart::{self, Reference};
use super::picture::{self, Images};
use crate::experiment::anomalies;
use crate::experiment::result::{
    LEVELS_DIFFER, Outcome, Results, comparable, data_differ, levels_differ,
};
use crate::experiment::table::{Table, grouped, seconds};
use crate::npy::Array;
use anyhow::Result;
use std::fmt::Write as _;

/// What a rung left behind besides its numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pictures {
    /// Samples, where an example is an image.
    pub(crate) samples: Option<Images>,
    /// Mean cost of each variable over the test split, nats.
    pub(crate) costs: Option<Array>,
}

/// Renders the report; `pictures` has one entry for each outcome.
pub(crate) fn render(
    results: &Results,
    pictures: &[Pictures],
    test_images: Option<&Images>,
) -> Result<String> {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<header>\n\
         <h1>{title}</h1>\n",
        title = escape(&results.title),
        style = include_str!("../../../crates/ar-cli/src/report/style.css"),
    );
    about(&mut page, results);
    page.push_str("</header>\n<main>\n");
    introduction(&mut page, &results.outcomes);
    table(&mut page, &results.outcomes);
    folds(&mut page, &results.outcomes);
    anomaly_table(&mut page, &results.outcomes);
    samples(&mut page, &results.outcomes, pictures, test_images)?;
    curves(&mut page, &results.outcomes);
    cost_maps(&mut page, &results.outcomes, pictures)?;
    page.push_str("</main>\n");
    footer(&mut page, results);
    page.push_str("</body>\n</html>\n");
    Ok(page)
}

/// Text as it may stand between tags and in attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn about(page: &mut String, results: &Results) {
    let Some(first) = results.outcomes.first() else {
        return;
    };
    let date = results.provenance.date.split('T').next().unwrap_or_default();
    let models = match results.outcomes.len() {
        1 => String::new(),
        count => format!("{count} models · "),
    };
    let _ = writeln!(
        page,
        "<p class=\"about\">{models}{}, {} variables · {} test examples · {date}</p>",
        escape(&first.data),
        first.variables,
        grouped(&first.test.examples.to_string()),
    );
}

fn introduction(page: &mut String, all: &[Outcome]) {
    page.push_str(
        "<p>The chain rule splits the probability of an image into one question for each pixel, \
         and loses nothing in doing so:</p>\n\
         <p class=\"formula\"><var>p</var>(<var>x</var>) = ∏<sub><var>t</var></sub> \
         <var>p</var>(<var>x<sub>t</sub></var> | <var>x</var><sub>&lt;<var>t</var></sub>)</p>\n",
    );
    let by_nll = |a: &&Outcome, b: &&Outcome| a.test.nll_nats.total_cmp(&b.test.nll_nats);
    if all.iter().any(|outcome| outcome.anomalies.is_some()) {
        page.push_str(
            "<p>The cost of an image, −log <var>p</var>(<var>x</var>), then says how strange it is to \
             a model. The models below are of different data, so their costs do not compare.</p>\n",
        );
        return;
    }
    let outcomes = comparable(all);
    let best = outcomes.iter().copied().min_by(|a, b| by_nll(a, b));
    let worst = outcomes.iter().copied().max_by(|a, b| by_nll(a, b));
    let is_ladder = outcomes.len() > 1 && !data_differ(all);
    if let (Some(best), Some(worst), true) = (best, worst, is_ladder) {
        let bits = |outcome: &Outcome| outcome.test.nll_nats / std::f64::consts::LN_2;
        let _ = writeln!(
            page,
            "<p>The rungs of this ladder differ only in what each answer may look at and how it is \
             computed from that. The lowest looks at nothing; each higher one sees more of the \
             pixels already known, or makes more of them. Better answers mean less surprise at \
             images the model was never shown, which is a lower number of nats, and samples that \
             look more like the data, because sampling asks the same questions and lets dice \
             answer. All likelihoods are exact: with an ideal entropy coder, {} would store a test image in {:.1} bits, {} in {:.1}.</p>",
            escape(&worst.label()),
            bits(worst),
            escape(&best.label()),
            bits(best),
        );
    }
}

/// The folds of what is cross-validated.
fn folds(page: &mut String, outcomes: &[Outcome]) {
    for outcome in outcomes.iter().filter(|outcome| !outcome.folds.is_empty()) {
        let _ = writeln!(
            page,
            "<figure>\n<div class=\"scroll\" role=\"region\" aria-label=\"Folds\" tabindex=\"0\">\n\
             <pre>{}</pre>\n</div>\n<figcaption>Every fold is trained, validated and tested on its own parts \
             of the rows; the numbers above are means over the folds, ± the standard error of such a \
             mean.</figcaption>\n</figure>",
            escape(&outcome.folds_text())
        );
    }
}

fn table(page: &mut String, outcomes: &[Outcome]) {
    let table = Table::new(outcomes);
    let class = |is_number: bool| if is_number { " class=\"number\"" } else { "" };
    page.push_str(
        "<h2>Results</h2>\n<figure>\n<div class=\"scroll\" role=\"region\" \
         aria-label=\"Results\" tabindex=\"0\">\n<table>\n<thead>\n<tr>",
    );
    for (name, is_number) in table.columns() {
        let _ = write!(page, "<th scope=\"col\"{}>{}</th>", class(*is_number), escape(name));
    }
    page.push_str("</tr>\n</thead>\n<tbody>\n");
    let largest = |one: &Outcome| {
        let alike = outcomes.iter().filter(|outcome| outcome.is_like(one));
        alike.map(|outcome| outcome.test.nll_nats).fold(f64::MIN_POSITIVE, f64::max)
    };
    for (row, outcome) in table.rows().iter().zip(outcomes) {
        page.push_str("<tr>");
        for (i, (cell, (name, is_number))) in row.iter().zip(table.columns()).enumerate() {
            let text = escape(cell);
            let _ = match (i, name.as_str()) {
                (0, _) => write!(page, "<th scope=\"row\">{text}</th>"),
                (_, "test NLL, nats") => {
                    let (mean, error) = text.split_once(" ± ").unwrap_or((&text, ""));
                    let share = outcome.test.nll_nats / largest(outcome);
                    let share = share.clamp(0.0, 1.0) * 100.0;
                    write!(
                        page,
                        "<td class=\"number\">{mean} <span class=\"error\">± {error}</span>\
                         <span class=\"bar\" style=\"width:{share:.1}%\"></span></td>"
                    )
                }
                (1, _) => write!(page, "<td class=\"words\">{text}</td>"),
                _ => write!(page, "<td{}>{text}</td>", class(*is_number)),
            };
        }
        page.push_str("</tr>\n");
    }
    page.push_str(
        "</tbody>\n</table>\n</div>\n<figcaption>Mean negative log-likelihood (NLL) of a test \
         image ± its standard error; lower is better. Bits/dim is the same number in bits per \
         variable. Seconds are training or fitting time.",
    );
    if data_differ(outcomes) {
        page.push_str(" Only rows of the same data compare.");
    } else if levels_differ(outcomes) {
        let _ = write!(page, " {LEVELS_DIFFER}");
    }
    for (outcome, published) in outcomes.iter().filter_map(|o| Some((o, o.paper.as_ref()?))) {
        let numbers: Vec<String> = outcome
            .published()
            .iter()
            .map(|number| format!("{} {}", number.paper_text(), number.unit.name()))
            .collect();
        let _ = write!(
            page,
            " {} published: {}, {}.",
            escape(&outcome.label()),
            numbers.join(", "),
            escape(&published.paper.source)
        );
    }
    page.push_str("</figcaption>\n</figure>\n");
}

/// How well each model tells its own data from anomalies.
fn anomaly_table(page: &mut String, outcomes: &[Outcome]) {
    let Some(table) = anomalies::table(outcomes) else {
        return;
    };
    page.push_str(
        "<h2>Anomalies</h2>\n<figure>\n<div class=\"scroll\" role=\"region\" \
         aria-label=\"Anomalies\" tabindex=\"0\">\n<table>\n<thead>\n<tr>",
    );
    let class = |is_number: bool| if is_number { " class=\"number\"" } else { "" };
    for (name, is_number) in table.columns() {
        let _ = write!(page, "<th scope=\"col\"{}>{}</th>", class(*is_number), escape(name));
    }
    page.push_str("</tr>\n</thead>\n<tbody>\n");
    for row in table.rows() {
        page.push_str("<tr>");
        for (cell, &(_, is_number)) in row.iter().zip(table.columns()) {
            let _ = write!(page, "<td{}>{}</td>", class(is_number), escape(cell));
        }
        page.push_str("</tr>\n");
    }
    let alpha = outcomes.iter().find_map(|outcome| Some(outcome.anomalies.as_ref()?.sets.alpha));
    let _ = write!(
        page,
        "</tbody>\n</table>\n</div>\n<figcaption>False alarms and detected: rows of the test split \
         and of the anomalies with a conformal p-value of at most {}. The one test ranks the \
         likelihood, the other its distance from the typical one. An AUROC of 0.5 is chance; below \
         it the anomalies look the more normal of the two.</figcaption>\n</figure>\n",
        alpha.unwrap_or(f64::NAN)
    );
}

fn samples(
    page: &mut String,
    outcomes: &[Outcome],
    pictures: &[Pictures],
    test_images: Option<&Images>,
) -> Result<()> {
    let drawn = || pictures.iter().filter_map(|pictures| pictures.samples.as_ref());
    if drawn().next().is_none() {
        return Ok(());
    }
    page.push_str("<h2>Samples</h2>\n<figure>\n");
    let mut row = |class: &str, name: &str, note: &str, images: &Images| -> Result<()> {
        let (name, note) = (escape(name), escape(note));
        let _ = write!(
            page,
            "<div class=\"row{class}\">\n<div class=\"name\">{name} <small>{note}</small></div>\n\
             <div class=\"strip{}\" role=\"img\" aria-label=\"{name}\">",
            if images.has_colours() { " colours" } else { "" }
        );
        for image in images.iter() {
            let uri = picture::data_uri(&images.png(image)?);
            let _ = write!(page, "<img alt=\"\" src=\"{uri}\"/>");
        }
        page.push_str("</div>\n</div>\n");
        Ok(())
    };
    if let Some(images) = test_images {
        row(" real", "Test images", "real", images)?;
    }
    for (outcome, pictures) in outcomes.iter().zip(pictures) {
        if let Some(images) = &pictures.samples {
            row("", &outcome.label(), &outcome.note(levels_differ(outcomes)), images)?;
        }
    }
    let first = if test_images.is_some() {
        "The first row is real: evenly spaced images of the test split as the models see them. Every other row is"
    } else {
        "Each row is"
    };
    let shared = match outcomes {
        [first, rest @ ..] if !rest.is_empty() && rest.iter().all(|o| o.seed == first.seed) => {
            " All rows use the same random numbers, so the images of a column can be compared."
        }
        _ => "",
    };
    let _ = writeln!(
        page,
        "<figcaption>{first} drawn from one model, pixel by pixel, each from its conditional given \
         the pixels drawn before.{shared} Not selected: these are the first draws of the config’s \
         seed.</figcaption>\n</figure>"
    );
    Ok(())
}

fn curves(page: &mut String, outcomes: &[Outcome]) {
    let trained = || outcomes.iter().filter(|outcome| !outcome.curve.is_empty());
    if trained().next().is_none() {
        return;
    }
    let alike = comparable(outcomes);
    let reference = alike
        .iter()
        .filter(|outcome| outcome.curve.is_empty())
        .filter_map(|o| Some(Reference { label: o.label(), nll_nats: o.valid.as_ref()?.nll_nats }))
        .min_by(|a, b| a.nll_nats.total_cmp(&b.nll_nats));
    let is_alike = |outcome: &Outcome| alike.iter().any(|o| o.is_like(outcome));
    let alike_curves = trained().filter(|o| is_alike(o)).map(|o| o.curve.as_slice());
    let range = chart::shared_range(alike_curves, reference.as_ref());
    let key = |class: &str, text: &str| {
        format!(
            "<li><svg viewBox=\"0 0 26 10\" aria-hidden=\"true\"><polyline class=\"{class}\" \
             points=\"0,5 26,5\"/></svg>{text}</li>\n"
        )
    };
    page.push_str("<h2>Training</h2>\n<figure>\n<ul class=\"legend\">\n");
    page.push_str(&key("train", "training split"));
    page.push_str(&key("valid", "validation split"));
    page.push_str(
        "<li><svg viewBox=\"0 0 26 10\" aria-hidden=\"true\"><circle class=\"best\" cx=\"13\" \
         cy=\"5\" r=\"4\"/></svg>weights that were kept</li>\n",
    );
    if let Some(reference) = &reference {
        let text = format!("{}, the best table, on validation", escape(&reference.label));
        page.push_str(&key("reference", &text));
    }
    page.push_str("</ul>\n<div class=\"charts\">\n");
    for outcome in trained() {
        let label = outcome.label_beside(outcomes);
        // Nats of other levels have a scale of their own, and no table to be compared with.
        let (range, reference) = if is_alike(outcome) {
            (range, reference.as_ref())
        } else {
            (chart::shared_range([outcome.curve.as_slice()].into_iter(), None), None)
        };
        let _ = writeln!(
            page,
            "<div class=\"chart\">\n<h3>{}</h3>\n{}\n</div>",
            escape(&label),
            chart::curve(&label, &outcome.curve, outcome.best_epoch, range, reference)
        );
    }
    page.push_str(
        "</div>\n<figcaption>Negative log-likelihood by epoch. The weights of the epoch that is \
         best on the validation split are kept; the test split plays no part in it. The first \
         epochs may lie above the frame.</figcaption>\n</figure>\n",
    );
}

fn cost_maps(page: &mut String, outcomes: &[Outcome], pictures: &[Pictures]) -> Result<()> {
    /// Colours of the bar; the scale itself is linear between nine.
    const STOPS: usize = 17;

    let costs: Vec<Option<Array>> =
        pictures.iter().map(|p| p.costs.as_ref().and_then(picture::pixel_costs)).collect();
    let largest = costs
        .iter()
        .flatten()
        .flat_map(|costs| costs.values.iter().copied())
        .filter(|cost| cost.is_finite())
        .fold(0.0, f32::max);
    if largest <= 0.0 {
        return Ok(());
    }
    let mut maps = String::new();
    for (outcome, costs) in outcomes.iter().zip(&costs) {
        let Some(costs) = costs else {
            continue;
        };
        let Some(png) = picture::heat_map(costs, largest)? else {
            continue;
        };
        let label = escape(&outcome.label_beside(outcomes));
        let dearest = costs.values.iter().copied().fold(0.0, f32::max);
        let _ = writeln!(
            maps,
            "<div class=\"map\">\n<img alt=\"Cost of each pixel under {label}\" src=\"{}\"/>\n\
             <h3>{label}</h3>\n<p>sum {:.2}<br/>highest {dearest:.2}</p>\n</div>",
            picture::data_uri(&png),
            outcome.test.nll_nats
        );
    }
    if maps.is_empty() {
        return Ok(());
    }
    // Real numbers cannot be guessed by a die.
    let symbols = outcomes.iter().filter(|o| o.test.nll_standardized_nats.is_none());
    let mut levels: Vec<u64> = symbols.map(|outcome| outcome.levels.unwrap_or(2)).collect();
    levels.sort_unstable();
    levels.dedup();
    let guesses: Vec<String> = levels
        .into_iter()
        .map(|levels| match levels {
            2 => "a pixel that is guessed by a fair coin costs ln 2 = 0.693".to_owned(),
            _ => format!(
                "a value of {levels} levels that is guessed by a fair die costs ln {levels} = {:.3}",
                (levels as f64).ln()
            ),
        })
        .collect();
    let guesses = match guesses[..] {
        [] => String::new(),
        _ => format!(" Of its pixels, {}, and what is certain costs 0.", guesses.join(", ")),
    };
    let gradient: Vec<_> =
        (0..STOPS).map(|i| picture::color(i as f32 / (STOPS - 1) as f32)).collect();
    let _ = writeln!(
        page,
        "<h2>Where the nats go</h2>\n<figure>\n<div class=\"maps\">\n{maps}</div>\n\
         <div class=\"scale\">\n{}\n</div>\n<figcaption>Mean cost of each pixel over the test \
         split, nats; all its colours together; the sum of a map is the model’s NLL. One scale \
         for all maps.{guesses}</figcaption>\n</figure>",
        chart::color_bar(&gradient, f64::from(largest))
    );
    Ok(())
}

fn footer(page: &mut String, results: &Results) {
    let provenance = &results.provenance;
    let revision = provenance.git.as_ref().map_or_else(
        || "no commit".to_owned(),
        |git| {
            let short = git.revision.get(..12).unwrap_or(&git.revision);
            format!("{short}{}", if git.dirty { " with changes" } else { "" })
        },
    );
    let wall: f64 = results.outcomes.iter().map(|outcome| outcome.wall_seconds).sum();
    let device = results.outcomes.first().map_or("", |outcome| outcome.device.as_str());
    let _ = writeln!(
        page,
        "<footer>\n<p><code>cargo xtask experiment {}</code></p>\n\
         <p>{} · revision {} · device {} · {}, {} cores, {} · {} s in all</p>\n</footer>",
        escape(&results.experiment),
        escape(&provenance.date),
        escape(&revision),
        escape(device),
        escape(&provenance.machine.cpu),
        provenance.machine.cores,
        escape(&provenance.machine.os),
        seconds(wall),
    );
}

#[cfg(test)]
mod tests {
    use super::super::picture::tests::images;
    use super::*;
    use crate::experiment::result::tests::results;

    /// Why a page is not well formed, if it is not.
    fn flaw(page: &str) -> Option<String> {
        // What stands before is fixed, and CSS may hold any bracket.
        let mut open = vec!["html", "head"];
        let (_, mut rest) = page.split_once("</style>").unwrap();
        while let Some((text, tail)) = rest.split_once('<') {
            if text.contains('>') {
                return Some(format!("stray > in {text:?}"));
            }
            let Some((tag, after)) = tail.split_once('>') else {
                return Some("a tag never ends".to_owned());
            };
            rest = after;
            if tag.matches('"').count() % 2 == 1 {
                return Some(format!("odd quotes in <{tag}>"));
            }
            let name = tag.split([' ', '\n', '/']).find(|part| !part.is_empty()).unwrap_or("");
            if tag.starts_with('!') || tag.ends_with('/') {
                continue;
            } else if tag.starts_with('/') {
                if open.pop() != Some(name) {
                    return Some(format!("</{name}> closes nothing"));
                }
            } else {
                open.push(name);
            }
        }
        open.last().map(|name| format!("<{name}> is never closed"))
    }

    fn page() -> String {
        let pictures = |count| Pictures {
            samples: Some(images(count)),
            costs: Some(Array { shape: vec![2, 3], values: vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6] }),
        };
        render(&results(), &[pictures(4), pictures(4)], Some(&images(4))).unwrap()
    }

    #[test]
    fn every_opened_tag_is_closed() {
        assert_eq!(flaw(&page()), None);
        assert_eq!(flaw(&render(&results(), &[], None).unwrap()), None);
    }

    #[test]
    fn the_check_for_well_formed_pages_finds_flaws() {
        let page = page();
        for broken in ["</figure>", "</svg>", "</td>", "<table>", "</body>"] {
            assert!(flaw(&page.replacen(broken, "", 1)).is_some(), "without one {broken}");
        }
        assert!(flaw(&page.replacen("<h2>", "<h2 class=\">", 1)).is_some());
    }

    #[test]
    fn the_page_needs_no_other_file() {
        let page = page();
        for outside in ["http", "//", "url(", "@import", "<script", "<link"] {
            let found = page.match_indices(outside).find(|&(at, _)| {
                let inside_data = page[..at]
                    .rfind('"')
                    .is_some_and(|quote| page[quote + 1..].starts_with("data:image/png;base64,"));
                !inside_data && !page[at..].starts_with("url(#")
            });
            assert_eq!(found, None);
        }
    }

    #[test]
    fn the_page_shows_every_part_and_escapes_what_is_not_its_own() {
        let page = page();
        for part in [
            "From a coin flip to NADE",
            "16,777,215",
            "23.8092",
            "<h2>Samples</h2>",
            "Test images",
            "<h2>Training</h2>",
            "polyline class=\"valid\"",
            "<h2>Where the nats go</h2>",
            "A &amp; B 2016, &lt;Table&gt; 2",
            "A &quot;fast&quot; CPU",
            "revision 0123456789ab ",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<img alt=\"\"").count(), 12);
    }

    #[test]
    fn rungs_of_other_levels_are_marked_and_not_compared() {
        let mut results = results();
        assert!(!render(&results, &[], None).unwrap().contains(LEVELS_DIFFER));
        let mut deep = results.outcomes[1].clone();
        deep.levels = Some(17);
        deep.test.nll_nats = 130.0;
        results.outcomes.push(deep);
        let page = render(&results, &[], None).unwrap();
        assert_eq!(flaw(&page), None);
        assert!(
            page.contains(LEVELS_DIFFER)
                && page.contains("<th scope=\"col\" class=\"number\">levels</th>")
        );
        // The introduction speaks of Markov 1 and NADE on bits: 23.81 and 17.50 nats are 34.3 and
        // 25.2 bits.
        assert!(page.contains("34.3 bits") && page.contains("in 25.2"), "{page}");
        assert!(page.contains("published: 18.00 nats, A &amp; B 2016"));
    }

    #[test]
    fn models_that_tell_anomalies_have_a_table_of_them_and_no_ladder() {
        let mut results = results();
        assert!(!page().contains("Anomalies"));
        results.outcomes[1].anomalies = Some(anomalies::tests::anomalies());
        let page = render(&results, &[], None).unwrap();
        assert_eq!(flaw(&page), None);
        for part in ["<h2>Anomalies</h2>", "10,000 fashion-mnist", "of at most 0.01", "0.2500"] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("rungs of this ladder"));
    }

    #[test]
    fn colour_images_have_samples_and_cost_maps() {
        let array = |count: usize, shape: &[usize]| Array {
            shape: [&[count], shape].concat(),
            values: (0..count * shape.iter().product::<usize>()).map(|i| (i % 4) as f32).collect(),
        };
        for shape in [&[3, 2, 5][..], &[2, 5, 3]] {
            let mut results = results();
            results.outcomes.truncate(1);
            results.outcomes[0].levels = Some(4);
            let costs = Array { shape: shape.to_vec(), values: vec![0.5; 30] };
            let pictures =
                Pictures { samples: Images::new(array(4, shape), 4), costs: Some(costs) };
            let page = render(&results, &[pictures], None).unwrap();
            assert_eq!(flaw(&page), None);
            assert_eq!(page.matches("<img alt=\"\"").count(), 4);
            assert!(page.contains("class=\"strip colours\""));
            assert!(page.contains("highest 1.50"), "the channels of a pixel are added up");
            assert!(page.contains("a value of 4 levels that is guessed by a fair die costs ln 4"));
        }
    }

    #[test]
    fn tables_of_no_image_have_a_report_without_pictures() {
        let page = render(&results(), &[Pictures::default(), Pictures::default()], None).unwrap();
        assert!(!page.contains("<img") && !page.contains("Samples"));
    }
}
