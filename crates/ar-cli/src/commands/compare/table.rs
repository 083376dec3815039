//! The comparison as a table: for a terminal, as Markdown, as CSV.

use anyhow::{Context as _, Result};

use super::groups::{Difference, Group};
use super::sections::{Column, Line, Section};
use crate::args::TableFormat;
use crate::error::Internal;

/// All there is.
///
/// # Errors
/// When CSV cannot be written.
pub(super) fn of(
    groups: &[Group],
    sections: &[Section<'_>],
    format: TableFormat,
) -> Result<String> {
    let tables: Vec<String> = match format {
        TableFormat::Text => sections
            .iter()
            .map(|section| format!("{}\n{}", section.heading(), aligned(&section.lines())))
            .collect(),
        TableFormat::Md => sections
            .iter()
            .map(|section| format!("**{}**\n\n{}", section.heading(), markdown(&section.lines())))
            .collect(),
        TableFormat::Csv => return csv(groups),
    };
    Ok(tables.join("\n"))
}

fn markdown(lines: &[Line<'_>]) -> String {
    let columns = Column::of(lines);
    let row = |cell: &dyn Fn(Column) -> String| {
        let cells: Vec<String> = columns.iter().map(|&c| cell(c).replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule = |column: Column| if column.is_number() { "---:" } else { "---" }.to_owned();
    let rows: String = lines.iter().map(|line| row(&|column| column.cell(line))).collect();
    format!("{}{}{rows}", row(&|column| column.heading().to_owned()), row(&rule))
}

/// Columns as wide as their widest cell, numbers on the right.
fn aligned(lines: &[Line<'_>]) -> String {
    let columns = Column::of(lines);
    let headings = columns.iter().map(|column| column.heading().to_owned()).collect();
    let cells = |line: &Line<'_>| columns.iter().map(|column| column.cell(line)).collect();
    let rows: Vec<Vec<String>> = std::iter::once(headings).chain(lines.iter().map(cells)).collect();
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).zip(&columns).map(|((cell, &width), column)| {
            if column.is_number() { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// One line for each run, numbers in full.
fn csv(groups: &[Group]) -> Result<String> {
    let internal = || Internal("a table of runs is no CSV");
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record([
            "data",
            "examples",
            "run",
            "model",
            "sees",
            "parameters",
            "nll_nats",
            "nll_nats_stderr",
            "bits_per_dim",
            "difference_nats",
            "difference_nats_stderr",
            "train_seconds",
            "seconds",
            "fold",
            "nll_standardized_nats",
            "accuracy",
            "published_nats",
            "published_bits_per_dim",
            "published_standardized_nats",
        ])
        .with_context(internal)?;
    for group in groups {
        let best = group.best();
        for member in &group.members {
            let score = &member.score;
            let difference = best.map(|best| Difference::of(member, best));
            let number = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
            let paper = member.paper.as_ref();
            writer
                .write_record([
                    group.rows.name.clone(),
                    group.rows.examples.to_string(),
                    member.run.clone(),
                    member.model.clone(),
                    member.sees.clone(),
                    member.parameters.clone(),
                    score.nll_nats.to_string(),
                    score.nll_nats_stderr.to_string(),
                    score.bits_per_dim().to_string(),
                    number(difference.map(|difference| difference.nats)),
                    number(difference.map(|difference| difference.stderr)),
                    number(member.train_seconds),
                    member.seconds.to_string(),
                    member.fold.map(|[fold, _]| fold.to_string()).unwrap_or_default(),
                    number(member.cost().standardized.map(|(nats, _)| nats)),
                    number(member.accuracy),
                    number(paper.and_then(|paper| paper.test_nll_nats)),
                    number(paper.and_then(|paper| paper.test_bits_per_dim)),
                    number(paper.and_then(|paper| paper.test_nll_standardized_nats)),
                ])
                .with_context(internal)?;
        }
    }
    String::from_utf8(writer.into_inner().with_context(internal)?).with_context(internal)
}
