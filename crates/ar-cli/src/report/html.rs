//! The page itself.

use anyhow::Result;
use ar_models::scoring::Score;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use prob_core::anomaly::auroc;

use super::chart::{self, quantile, sorted};
use super::{Completions, Costs, Dearest, Picture, Report, Samples, Scored};
use crate::output::{grouped, human_bytes};

/// The report as an HTML document.
///
/// # Errors
/// When a chart or picture cannot be drawn.
pub(crate) fn render(report: &Report) -> Result<String> {
    let main = html! {
        (facts(report))
        (training(report)?)
        (samples(&report.samples))
        (completions(report.completions.as_ref()))
        (costs(report)?)
        (scores(report)?)
        (dearest(report))
        (bytes(report))
    };
    Ok(page(&report.title, &report.subject, &main, &report.made))
}

/// A page under its title and what it is about; `made` says how it was made.
pub(crate) fn page(title: &str, about: &str, main: &Markup, made: &[String]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                header {
                    h1 { (title) }
                    p.about { (about) }
                }
                main { (main) }
                footer {
                    @for line in made { p { (line) } }
                }
            }
        }
    };
    page.into_string()
}

fn facts(report: &Report) -> Markup {
    html! {
        p.formula {
            var { "p" } "(" var { "x" } ") = ∏" sub { var { "t" } } " "
            var { "p" } "(" var { "x" sub { "t" } } " | " var { "x" } sub { "<" var { "t" } } ")"
        }
        h2 { "The model" }
        dl.facts {
            @for [name, value] in &report.facts {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

fn training(report: &Report) -> Result<Markup> {
    Ok(html! {
        h2 { "Training" }
        @if !report.trained {
            p { "None: a table is fitted by counting, in one pass." }
        } @else if report.epochs.len() < 2 {
            p { "A curve takes two epochs." }
        } @else {
            figure {
                ul.legend {
                    (key("second", "training split"))
                    (key("first", "validation split"))
                }
                (figure_of("Negative log-likelihood by epoch", &chart::curves(&report.epochs, None)?))
                figcaption {
                    "Negative log-likelihood by epoch, of a training batch before its step and of the "
                    "validation split after the epoch. The dot is the epoch whose weights were kept. "
                    "The first epochs may lie above the frame."
                }
            }
        }
    })
}

fn samples(samples: &Samples) -> Markup {
    match samples {
        Samples::Images { real, drawn } => html! {
            h2 { "Samples" }
            figure {
                div.row.real { div.name { "Test images" } (strip(real)) }
                div.row { div.name { "Samples" } (strip(drawn)) }
                figcaption {
                    "The first row is real, evenly spaced images of the test split as the model sees them. "
                    "The others are drawn from the model, each variable from its conditional given those "
                    "drawn before. Not selected."
                }
            }
        },
        Samples::Rows { columns, drawn } => html! {
            h2 { "Samples" }
            figure {
                (scrolled("Samples", &html! {
                    thead { tr { @for name in columns { th.number scope="col" { (name) } } } }
                    tbody {
                        @for row in drawn { tr { @for cell in row { td.number { (cell) } } } }
                    }
                }))
                figcaption { "A row is a draw from the model. Not selected." }
            }
        },
    }
}

fn completions(completions: Option<&Completions>) -> Markup {
    let Some(Completions { rows, exact }) = completions else { return html! {} };
    html! {
        h2 { "Completions" }
        figure {
            div.completions {
                @for row in rows { (strip(row)) }
            }
            figcaption {
                "Each row: an image of the test split, what is observed of it (the rest in blue), and what "
                "the model draws for the rest. "
                @if *exact {
                    "These are exact draws from p(missing | observed)."
                } @else {
                    "The observed part is no prefix of the ordering: these are draws from p(missing | observed) by "
                    "sequential Monte Carlo."
                }
            }
        }
    }
}

fn costs(report: &Report) -> Result<Markup> {
    let levels = report.levels;
    Ok(match &report.costs {
        Costs::Map { picture, largest } => html! {
            h2 { "Where the nats go" }
            figure {
                div.costs {
                    (image(picture))
                    div.scale {
                        (image(&Picture::scale("Colour scale of the cost map".to_owned())?))
                        div.ends { span { "0" } span { (format!("{largest:.3} nats")) } }
                    }
                }
                figcaption {
                    "Mean cost −log p of each pixel given those before it, its colours together, over test "
                    "examples. The sum of the map is the model’s NLL. "
                    @if let Some(levels) = levels {
                        "A value that is guessed at random costs ln " (levels) " = "
                        (format!("{:.3}", (levels as f64).ln())) ", what is certain costs 0."
                    }
                }
            }
        },
        Costs::Columns(columns) => column_costs(columns, levels),
    })
}

/// Columns that are listed one by one.
const LISTED: usize = 40;

fn column_costs(columns: &[(String, f64)], levels: Option<usize>) -> Markup {
    let mut dearest: Vec<&(String, f64)> = columns.iter().collect();
    dearest.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (listed, rest) = dearest.split_at(LISTED.min(dearest.len()));
    let finite = listed.iter().map(|column| column.1.abs()).filter(|cost| cost.is_finite());
    let largest = finite.fold(f64::MIN_POSITIVE, f64::max);
    html! {
        h2 { "Where the nats go" }
        figure {
            (scrolled("Cost of each column", &html! {
                thead { tr { th scope="col" { "column" } th.number scope="col" { "nats" } th scope="col" {} } }
                tbody {
                    @for (name, cost) in listed {
                        tr {
                            th scope="row" { (name) }
                            td.number { (number(*cost, 3)) }
                            td.wide { (bar(cost.abs() / largest, *cost < 0.0)) }
                        }
                    }
                    @if !rest.is_empty() {
                        tr {
                            th scope="row" { "the other " (rest.len()) " together" }
                            td.number { (number(rest.iter().map(|column| column.1).sum(), 3)) }
                            td.wide {}
                        }
                    }
                }
            }))
            figcaption {
                "Mean cost −log p of each column given those before it in the ordering, over test examples, "
                "the dearest first. The sum is the model’s NLL. "
                @match levels {
                    Some(levels) => {
                        "A value that is guessed at random costs ln " (levels) " = "
                        (format!("{:.3}", (levels as f64).ln())) ", what is certain costs 0."
                    }
                    None => "The cost of a real number is of a density, so it may be negative.",
                }
            }
        }
    }
}

fn scores(report: &Report) -> Result<Markup> {
    let sets = &report.scores;
    if sets.iter().all(|set| set.nll_nats.is_empty()) {
        return Ok(html! {});
    }
    let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
    let alt = format!("Histograms of the scores of {}", names.join(" and "));
    Ok(html! {
        h2 { "Scores" }
        figure {
            ul.legend {
                @for (class, name) in ["first", "second"].iter().zip(&names) { (key(class, name)) }
            }
            (figure_of(&alt, &chart::histograms(sets)?))
            (scrolled("Scores", &html! {
                thead {
                    tr {
                        th scope="col" { "set" }
                        th.number scope="col" { "examples" }
                        th.number scope="col" { "mean, nats" }
                        th.number scope="col" { "5 %" }
                        th.number scope="col" { "median" }
                        th.number scope="col" { "95 %" }
                        th.number scope="col" { "bits/dim" }
                    }
                }
                tbody { @for set in sets { (score(set, report.variables)) } }
            }))
            figcaption {
                @if let [first, second] = &sets[..]
                    && let Some(auroc) = auroc(&first.nll_nats, &second.nll_nats)
                {
                    "An example of " (second.name) " costs more than one of " (first.name) " with probability "
                    (format!("{auroc:.4}")) " (AUROC). "
                }
                "What an example costs: −log p(x). Left is likely. The outermost 0.2 % of a set are in its first "
                "and last bar. That a set is likelier does not make it more typical: simple " (thing(report)) "s can cost "
                "less than those the model has learned from."
            }
        }
    })
}

/// What an example is called.
fn thing(report: &Report) -> &'static str {
    match report.dearest {
        Dearest::Images { .. } => "image",
        Dearest::Rows(_) => "row",
    }
}

fn dearest(report: &Report) -> Markup {
    let Some(set) = report.scores.first().filter(|set| !set.nll_nats.is_empty()) else {
        return html! {};
    };
    html! {
        h2 { "The dearest " (thing(report)) "s" }
        figure {
            @match &report.dearest {
                Dearest::Images { pictures, nll_nats } => {
                    (strip(pictures))
                    figcaption {
                        "The images of " (set.name) " that cost most, of those that are scored: from "
                        (number(nll_nats.first().copied().unwrap_or(f64::NAN), 1)) " to "
                        (number(nll_nats.last().copied().unwrap_or(f64::NAN), 1)) " nats."
                    }
                }
                Dearest::Rows(rows) => {
                    (scrolled("The dearest rows", &html! {
                        thead {
                            tr {
                                th.number scope="col" { "row" }
                                th.number scope="col" { "nats" }
                                th scope="col" { "its dearest cells, nats" }
                            }
                        }
                        tbody {
                            @for row in rows {
                                tr {
                                    td.number { (row.number) }
                                    td.number { (number(row.nll_nats, 2)) }
                                    td.words {
                                        @for (k, (cell, cost)) in row.cells.iter().enumerate() {
                                            @if k > 0 { br; }
                                            (cell) " " span.error { (number(*cost, 1)) }
                                        }
                                    }
                                }
                            }
                        }
                    }))
                    figcaption {
                        "The rows of " (set.name) " that cost most, of those that are scored, counted from 1, and the cells that "
                        "most of it goes to, each given those before it in the ordering. Whether one is an anomaly, chainrule score "
                        "says."
                    }
                }
            }
        }
    }
}

fn score(set: &Scored, variables: usize) -> Markup {
    let score = Score::of(&set.nll_nats, variables);
    let sorted = sorted(&set.nll_nats);
    let impossible = set.nll_nats.len() - sorted.len();
    let quantiles = [0.05, 0.5, 0.95].map(|share| quantile(&sorted, share));
    html! {
        tr {
            th scope="row" { (set.name) }
            td.number { (grouped(&set.nll_nats.len().to_string())) }
            td.number {
                (number(score.nll_nats, 2))
                @if impossible > 0 {
                    " " span.error { "(" (impossible) " impossible)" }
                } @else if score.nll_nats_stderr.is_finite() {
                    " " span.error { "± " (format!("{:.2}", score.nll_nats_stderr)) }
                }
            }
            @for value in quantiles { td.number { (value.map_or_else(|| "–".to_owned(), |value| number(value, 2))) } }
            td.number { (number(score.bits_per_dim(), 4)) }
        }
    }
}

fn bytes(report: &Report) -> Markup {
    let sizes = &report.sizes;
    let largest = sizes.iter().map(|size| size.bytes).fold(f64::MIN_POSITIVE, f64::max);
    let examples = report.scores.first().map_or(0, |set| set.nll_nats.len());
    let values = (examples * report.variables).max(1) as f64;
    html! {
        @if !sizes.is_empty() {
            h2 { "Compression" }
            figure {
                (scrolled("Sizes", &html! {
                    thead {
                        tr {
                            th scope="col" { "coder" }
                            th.number scope="col" { "size" }
                            th.number scope="col" { "bits/dim" }
                            th scope="col" {}
                        }
                    }
                    tbody {
                        @for size in sizes {
                            tr {
                                th scope="row" { (size.coder) }
                                td.number {
                                    @if size.bytes.is_finite() {
                                        (human_bytes(&format!("{:.0}", size.bytes.ceil())))
                                    } @else { "∞" }
                                }
                                td.number { (number(8.0 * size.bytes / values, 4)) }
                                td.wide { (bar(size.bytes / largest, false)) }
                            }
                        }
                    }
                }))
                figcaption {
                    (grouped(&examples.to_string())) " test examples as one file. The first row is the file that "
                    "chainrule compress writes, the second what an ideal entropy coder would take; the decoder needs "
                    "the model, whose size is not counted."
                }
            }
        }
    }
}

/// A number, or what there is where something is impossible.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    if value.is_finite() {
        format!("{value:.decimals$}").replace('-', "−")
    } else {
        "∞".to_owned()
    }
}

/// A bar of a share of the width; a negative value has another colour.
pub(crate) fn bar(share: f64, negative: bool) -> Markup {
    let width = if share.is_finite() { share.clamp(0.0, 1.0) * 100.0 } else { 100.0 };
    let class = if negative { "bar second" } else { "bar" };
    html! { span class=(class) style=(format!("width:{width:.1}%")) {} }
}

/// A table that is scrolled sideways where it is too wide.
pub(crate) fn scrolled(label: &str, rows: &Markup) -> Markup {
    html! {
        div.scroll role="region" aria-label=(label) tabindex="0" { table { (rows) } }
    }
}

/// Likewise, and on narrow screens every row a list of its cells under what their `data-label` says.
pub(crate) fn folding(label: &str, rows: &Markup) -> Markup {
    html! {
        div.scroll role="region" aria-label=(label) tabindex="0" { table.folding { (rows) } }
    }
}

/// Pictures beside each other.
pub(crate) fn strip(pictures: &[Picture]) -> Markup {
    html! { div.strip { @for picture in pictures { (image(picture)) } } }
}

/// A picture.
pub(crate) fn image(picture: &Picture) -> Markup {
    html! { img alt=(picture.alt) src=(picture.uri); }
}

/// A chart and what it shows.
pub(crate) fn figure_of(alt: &str, svg: &str) -> Markup {
    html! { div.plot role="img" aria-label=(alt) { (PreEscaped(svg)) } }
}

/// An entry of a legend.
pub(crate) fn key(class: &str, name: &str) -> Markup {
    html! { li { span class={ "key " (class) } {} (name) } }
}

#[cfg(test)]
mod tests {
    use super::super::DearRow;
    use super::*;

    fn report() -> Report {
        Report {
            title: "a <b> & \"c\"".to_owned(),
            subject: "nade on <digits>".to_owned(),
            facts: vec![["ordering".to_owned(), "x<y>".to_owned()]],
            trained: false,
            epochs: Vec::new(),
            samples: Samples::Rows {
                columns: vec!["<script>".to_owned()],
                drawn: vec![vec!["1".to_owned()]],
            },
            completions: None,
            costs: Costs::Columns(
                (0..LISTED + 3).map(|i| (format!("column{i}"), i as f64)).collect(),
            ),
            scores: vec![Scored { name: "test".to_owned(), nll_nats: vec![1.0, f64::INFINITY] }],
            dearest: Dearest::Rows(vec![DearRow {
                number: 7,
                nll_nats: f64::INFINITY,
                cells: vec![("a = <i>".to_owned(), 3.25)],
            }]),
            sizes: Vec::new(),
            variables: 1,
            levels: Some(2),
            made: vec!["chainrule".to_owned()],
        }
    }

    #[test]
    fn what_stands_in_the_data_is_no_markup() {
        let page = render(&report()).unwrap();
        assert!(page.contains("a &lt;b&gt; &amp; "), "{page}");
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
        assert!(page.contains("a = &lt;i&gt;") && !page.contains("<i>"), "{page}");
    }

    #[test]
    fn the_page_needs_no_other_file() {
        let page = render(&report()).unwrap();
        for word in ["http:", "https:", "src=\"/", "url(", "@import", "<link"] {
            let rest = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!rest.contains(word), "{word}");
        }
    }

    #[test]
    fn the_dearest_columns_are_listed_and_the_others_summed() {
        let page = render(&report()).unwrap();
        let dearest = page.find("column42").unwrap();
        assert!(dearest < page.find("column41").unwrap());
        assert!(!page.contains("column2<") && page.contains("the other 3 together"));
        assert!(page.contains("<td class=\"number\">3.000</td>"), "0 + 1 + 2");
        assert!(page.contains("(1 impossible)"), "{page}");
    }
}
