//! The comparison as one HTML file.

use anyhow::Result;
use ar_models::train::EpochRecord;
use maud::{Markup, html};

use super::super::most;
use super::groups::{Difference, Group, Member};
use super::sections::{Column, Line, Section};
use crate::files::Layout;
use crate::report::html::{bar, figure_of, folding, image, key, number, page, scrolled, strip};
use crate::report::{Picture, Samples, chart};

/// Images of the data, and of each model.
pub(super) const IMAGES: [usize; 2] = [16, 16];

/// Columns of a table that are listed one by one.
const LISTED: usize = 40;

/// What the page shows of a run besides its numbers.
pub(super) struct Shown {
    pub(super) samples: Samples,
    /// Of an image.
    pub(super) layout: Option<Layout>,
    /// Names of the variables.
    pub(super) columns: Vec<String>,
    /// Mean cost of each variable, nats.
    pub(super) costs: Vec<f64>,
    pub(super) epochs: Vec<EpochRecord>,
}

/// The page; `made` says how it was made.
///
/// # Errors
/// When a chart or picture cannot be drawn.
pub(super) fn render(
    sections: &[Section<'_>],
    title: Option<&str>,
    made: &[String],
) -> Result<String> {
    let members = sections.iter().flat_map(|section| &section.groups).map(|g| g.members.len());
    let title = match (title, members.sum()) {
        (Some(title), _) => title.to_owned(),
        (None, 1) => "One run".to_owned(),
        (None, runs) => format!("{runs} runs side by side"),
    };
    let about = match sections {
        [section] => section.heading(),
        _ => format!("{} kinds of rows: only runs under the same heading compare", sections.len()),
    };
    let sections = sections.iter().map(|section| of_section(section, sections.len() > 1));
    let sections = sections.collect::<Result<Vec<Markup>>>()?;
    Ok(page(&title, &about, &html! { @for section in &sections { (section) } }, made))
}

fn of_section(section: &Section<'_>, is_one_of_several: bool) -> Result<Markup> {
    let all: Vec<(&Member, &Shown)> =
        section.groups.iter().flat_map(|group| shown_of(group)).collect();
    // Of folds, those of the first one.
    let group = section.groups[0];
    let shown = shown_of(group);
    let parts = [
        ("Results", Some(results(section))),
        ("Each two", pairs(group)),
        ("Samples", samples(&shown)),
        ("Training", curves(&all)?),
        ("Where the nats go", maps(group, &shown)?),
        ("Where the nats go", columns(&shown)),
    ];
    Ok(html! {
        @if is_one_of_several { h2 { (section.heading()) } }
        @for (heading, part) in parts {
            @if let Some(part) = part {
                @if is_one_of_several { h3.part { (heading) } } @else { h2 { (heading) } }
                (part)
            }
        }
    })
}

fn shown_of(group: &Group) -> Vec<(&Member, &Shown)> {
    group.members.iter().filter_map(|member| Some((member, member.shown.as_ref()?))).collect()
}

fn results(section: &Section<'_>) -> Markup {
    let lines = section.lines();
    let columns = Column::of(&lines);
    let means = lines.iter().map(|line| line.cost.nll_nats);
    let largest =
        means.filter(|nll| nll.is_finite()).fold(f64::MIN_POSITIVE, |a, b| a.max(b.abs()));
    html! {
        figure {
            (folding("Results", &html! {
                thead {
                    tr {
                        @for column in &columns {
                            th.number[column.is_number()] scope="col" { (column.heading()) }
                        }
                    }
                }
                tbody {
                    @for line in &lines {
                        @let nll = line.cost.nll_nats;
                        tr {
                            th scope="row" { (line.label) }
                            @for column in columns.iter().skip(1) {
                                td.number[column.is_number()].words[!column.is_number()]
                                    data-label=(column.heading())
                                {
                                    @match stacked(*column, line) {
                                        Some(parts) => {
                                            @for (number, below) in parts {
                                                span { (number) " " span.error.below { (below) } }
                                            }
                                        }
                                        None => { (column.cell(line)) }
                                    }
                                    @if *column == Column::Nats { (bar(nll.abs() / largest, nll < 0.0)) }
                                }
                            }
                        }
                    }
                }
            }))
            figcaption {
                "Mean negative log-likelihood (NLL) of an example ± its standard error; lower is better. Bits/dim is the "
                "same number in bits per variable."
                @if columns.contains(&Column::Above) {
                    " Above the best: the mean over the rows of what a run costs more than the best one, ± the standard "
                    "error σ of that mean, and how many of these it is; since both runs find the same rows hard, it is "
                    "mostly far smaller than the errors of the two means."
                }
                @if !section.crossed.is_empty() {
                    " Every fold is trained, validated and tested on its own parts of the rows; a mean is that of the means "
                    "of its folds, ± the standard error of such a mean. Samples and costs below are those of the first fold."
                }
                @for (who, source) in sources(section) { " Published of " (who) ": " (source) "." }
            }
        }
    }
}

/// Numbers with what is said of them below: how many of its errors a difference is, or how far it is from what is published.
fn stacked(column: Column, line: &Line<'_>) -> Option<Vec<(String, String)>> {
    match column {
        Column::Above => {
            let difference = line.above?;
            let (mean, sigmas) = difference.parts();
            Some(vec![(format!("{mean} ± {:.4}", difference.stderr), sigmas?)])
        }
        Column::Published => Some(line.published.iter().map(|one| one.parts().into()).collect()),
        _ => None,
    }
}

/// Which papers the published numbers are of, each with the runs beside it.
fn sources<'a>(section: &'a Section<'_>) -> Vec<(String, &'a str)> {
    let mut sources: Vec<(String, &str)> = Vec::new();
    let members = section.groups.iter().flat_map(|group| &group.members);
    let single = members.filter(|member| member.fold.is_none());
    let single = single.map(|member| (member.label.as_str(), member.paper.as_ref()));
    let crossed = section.crossed.iter().map(|one| (one.config, one.paper()));
    for (who, paper) in single.chain(crossed) {
        let Some(paper) = paper else { continue };
        match sources.iter_mut().find(|(_, source)| *source == paper.source) {
            Some((others, _)) if others.split(", ").any(|other| other == who) => {}
            Some((others, _)) => *others += &format!(", {who}"),
            None => sources.push((who.to_owned(), &paper.source)),
        }
    }
    sources
}

/// The head of a table with a column for each run.
fn heads<'a>(first: &str, members: impl Iterator<Item = &'a Member>) -> Markup {
    html! {
        thead {
            tr {
                th scope="col" { (first) }
                @for member in members { th.number scope="col" { (member.label) } }
            }
        }
    }
}

/// Each two runs.
fn pairs(group: &Group) -> Option<Markup> {
    let members = &group.members;
    if members.len() < 3 {
        return None;
    }
    Some(html! {
        figure {
            (folding("Each two runs", &html! {
                (heads("costs more than →", members.iter()))
                tbody {
                    @for (i, a) in members.iter().enumerate() {
                        tr {
                            th scope="row" { (a.label) }
                            @for (j, b) in members.iter().enumerate() {
                                td.number data-label=(format!("than {}", b.label)) {
                                    @if i == j { "–" } @else {
                                        @let (mean, sigmas) = Difference::of(a, b).parts();
                                        (mean)
                                        @if let Some(sigmas) = sigmas { " " span.error.below { (sigmas) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }))
            figcaption {
                "What the run of a line costs more than that of a column, nats per example, of the same rows, and how many "
                "standard errors σ of that it is. Among many pairs some differ by two by chance."
            }
        }
    })
}

fn samples(shown: &[(&Member, &Shown)]) -> Option<Markup> {
    shown.first()?;
    let real = shown.iter().find_map(|(_, shown)| match &shown.samples {
        Samples::Images { real, .. } => Some(real),
        Samples::Rows { .. } => None,
    });
    Some(html! {
        @if let Some(real) = real {
            figure {
                div.row.real { div.name { "Data" } (strip(real)) }
                @for (member, shown) in shown {
                    @if let Samples::Images { drawn, .. } = &shown.samples {
                        div.row { div.name { (member.label) " " small { (member.model) } } (strip(drawn)) }
                    }
                }
                figcaption {
                    "The first row is real, evenly spaced images as the models see them. Every other row is drawn from one "
                    "model, each variable from its conditional given those drawn before, with the same random numbers, so "
                    "the images of a column can be compared. Not selected."
                }
            }
        } @else {
            @for (member, shown) in shown {
                @if let Samples::Rows { columns, drawn } = &shown.samples {
                    figure.one {
                        (scrolled("Samples", &html! {
                            thead { tr { @for name in columns { th.number scope="col" { (name) } } } }
                            tbody { @for row in drawn { tr { @for cell in row { td.number { (cell) } } } } }
                        }))
                        figcaption { "Draws from " (member.label) ", one a row. Not selected." }
                    }
                }
            }
        }
    })
}

fn curves(shown: &[(&Member, &Shown)]) -> Result<Option<Markup>> {
    let trained: Vec<_> = shown.iter().filter(|(_, shown)| shown.epochs.len() > 1).collect();
    let range = chart::range_of(trained.iter().map(|(_, shown)| shown.epochs.as_slice()));
    let charts = trained.iter().map(|(member, shown)| {
        let alt = format!("Negative log-likelihood of {} by epoch", member.label);
        let chart = figure_of(&alt, &chart::curves(&shown.epochs, range.clone())?);
        Ok(html! { div.chart { h3 { (member.label) } (chart) } })
    });
    let charts = charts.collect::<Result<Vec<Markup>>>()?;
    if charts.is_empty() {
        return Ok(None);
    }
    Ok(Some(html! {
        figure {
            ul.legend { (key("second", "training split")) (key("first", "validation split")) }
            div.charts { @for chart in &charts { (chart) } }
            figcaption {
                "Negative log-likelihood by epoch, on one scale, of a training batch before its step and of the validation "
                "split after the epoch. The dot is the epoch whose weights were kept. The first epochs may lie above the frame."
            }
        }
    }))
}

/// Costs of pixels, on one scale.
fn maps(group: &Group, shown: &[(&Member, &Shown)]) -> Result<Option<Markup>> {
    let costs: Vec<(&Member, Layout, Vec<f64>)> = shown
        .iter()
        .filter_map(|(member, shown)| {
            let layout = shown.layout?;
            Some((*member, layout, Picture::pixel_costs(layout, &shown.costs)))
        })
        .collect();
    let finite = costs.iter().flat_map(|(.., costs)| costs).copied().filter(|x| x.is_finite());
    let largest = finite.fold(0.0, f64::max);
    let maps = costs.iter().map(|(member, layout, costs)| {
        let alt = format!("Mean cost of each pixel under {}", member.label);
        let picture = Picture::of_map(alt, *layout, costs, largest)?;
        Ok(html! {
            div.map {
                (image(&picture))
                h3 { (member.label) }
                p { "sum " (number(costs.iter().sum(), 2)) }
            }
        })
    });
    let maps = maps.collect::<Result<Vec<Markup>>>()?;
    if maps.is_empty() {
        return Ok(None);
    }
    let scale = Picture::scale("Colour scale of the cost maps".to_owned())?;
    Ok(Some(html! {
        figure {
            div.maps { @for map in &maps { (map) } }
            div.costs { div.scale { (image(&scale)) div.ends { span { "0" } span { (format!("{largest:.3} nats")) } } } }
            figcaption {
                "Mean cost −log p of each pixel given those before it, its colours together; the sum of a map is the model’s "
                "NLL. One scale for all maps. "
                @if let Some(levels) = group.rows.levels() {
                    "A value that is guessed at random costs ln " (levels) " = " (format!("{:.3}", (levels as f64).ln()))
                    ", what is certain costs 0."
                }
            }
        }
    }))
}

/// Costs of the columns of a table.
fn columns(shown: &[(&Member, &Shown)]) -> Option<Markup> {
    let tables: Vec<_> = shown.iter().filter(|(_, shown)| shown.layout.is_none()).collect();
    let (_, first) = tables.first()?;
    let dearest =
        |i: usize| tables.iter().map(|(_, shown)| shown.costs[i]).fold(f64::MIN, f64::max);
    let dearest: Vec<f64> = (0..first.columns.len()).map(dearest).collect();
    let order = most(&dearest, dearest.len());
    let (listed, rest) = order.split_at(LISTED.min(order.len()));
    Some(html! {
        figure {
            (scrolled("Cost of each column", &html! {
                (heads("column", tables.iter().map(|(member, _)| *member)))
                tbody {
                    @for &i in listed {
                        tr {
                            th scope="row" { (first.columns[i]) }
                            @for (_, shown) in &tables { td.number { (number(shown.costs[i], 3)) } }
                        }
                    }
                    @if !rest.is_empty() {
                        tr {
                            th scope="row" { "the other " (rest.len()) " together" }
                            @for (_, shown) in &tables {
                                td.number { (number(rest.iter().map(|&i| shown.costs[i]).sum(), 3)) }
                            }
                        }
                    }
                }
            }))
            figcaption {
                "Mean cost −log p of each column given those before it in the ordering of a run, the dearest first; the sum is "
                "the NLL. Orderings differ between runs, and with them what a column is told by those before it."
            }
        }
    })
}
