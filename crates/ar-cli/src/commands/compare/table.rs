//! The comparison as a table: for a terminal, as Markdown, as CSV.

use anyhow::{Context as _, Result};

use super::groups::{Difference, Group, Member};
use crate::args::TableFormat;
use crate::error::Internal;
use crate::output::{human_seconds, short_count};

/// The headings of a table for people.
pub(super) const HEADINGS: [&str; 7] = [
    "run",
    "NLL, nats",
    "above the best, nats",
    "bits/dim",
    "free parameters",
    "trained in",
    "each conditional sees",
];

/// Which of them are above numbers.
pub(super) const NUMBERS: [bool; 7] = [false, true, true, true, true, true, false];

/// The cells of a run, under [`HEADINGS`].
pub(super) fn cells(group: &Group, member: &Member) -> [String; 7] {
    let score = &member.score;
    let above = match group.best() {
        None => String::new(),
        Some(best) if best.run == member.run => "best".to_owned(),
        Some(best) => Difference::of(member, best).words(),
    };
    [
        member.label.clone(),
        match score.nll_nats {
            nll if nll.is_infinite() => "∞".to_owned(),
            nll if score.nll_nats_stderr.is_nan() => format!("{nll:.4}"),
            nll => format!("{nll:.4} ± {:.4}", score.nll_nats_stderr),
        },
        above,
        match score.bits_per_dim() {
            bits if bits.is_finite() => format!("{bits:.4}"),
            _ => "∞".to_owned(),
        },
        short_count(&member.parameters),
        member.train_seconds.map(human_seconds).unwrap_or_default(),
        member.sees.clone(),
    ]
}

/// All groups.
///
/// # Errors
/// When CSV cannot be written.
pub(super) fn of(groups: &[Group], format: TableFormat) -> Result<String> {
    let of_group = |group: &Group| -> Vec<[String; 7]> {
        group.members.iter().map(|member| cells(group, member)).collect()
    };
    match format {
        TableFormat::Text => {
            let tables = groups
                .iter()
                .map(|group| format!("{}\n{}", group.rows.heading(), aligned(&of_group(group))));
            Ok(tables.collect::<Vec<_>>().join("\n"))
        }
        TableFormat::Md => {
            let line = |cells: &[String]| {
                let cells: Vec<String> =
                    cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
                format!("| {} |\n", cells.join(" | "))
            };
            let rule = NUMBERS.map(|is_number| if is_number { "---:" } else { "---" }.to_owned());
            let tables = groups.iter().map(|group| {
                let rows: String = of_group(group).iter().map(|row| line(row)).collect();
                let head = line(&HEADINGS.map(str::to_owned));
                format!("**{}**\n\n{head}{}{rows}", group.rows.heading(), line(&rule))
            });
            Ok(tables.collect::<Vec<_>>().join("\n"))
        }
        TableFormat::Csv => csv(groups),
    }
}

/// Columns as wide as their widest cell, numbers on the right.
fn aligned(rows: &[[String; 7]]) -> String {
    let headings = HEADINGS.map(str::to_owned);
    let width = |column: usize| {
        let cells = std::iter::once(&headings).chain(rows).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let line = |row: &[String; 7]| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column);
            if NUMBERS[column] { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    };
    std::iter::once(&headings).chain(rows).map(line).collect()
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
        ])
        .with_context(internal)?;
    for group in groups {
        let best = group.best();
        for member in &group.members {
            let score = &member.score;
            let difference = best.map(|best| Difference::of(member, best));
            let number = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
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
                ])
                .with_context(internal)?;
        }
    }
    String::from_utf8(writer.into_inner().with_context(internal)?).with_context(internal)
}
