//! The ladder's table, for a terminal and for Markdown.

use super::result::{Outcome, Unit, levels_differ};

/// The columns, and whether their cells are numbers.
const COLUMNS: [(&str, bool); 6] = [
    ("rung", false),
    ("each conditional sees", false),
    ("free parameters", true),
    ("test NLL, nats", true),
    ("bits/dim", true),
    ("seconds", true),
];

/// One more where the models are of data of different depth.
const LEVELS_COLUMN: (&str, bool) = ("levels", true);

/// Two more where an outcome has a published number, in its own unit.
fn paper_columns(unit: Unit) -> [(&'static str, bool); 2] {
    let paper = match unit {
        Unit::Nats => "paper, nats",
        Unit::BitsPerDim => "paper, bits/dim",
        Unit::StandardizedNats => "paper, nats standardized",
    };
    [(paper, true), ("difference", true)]
}

/// The heading and whether it is a column of numbers, and the cells row by row.
pub(crate) struct Table {
    columns: Vec<(&'static str, bool)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// One row for each outcome.
    pub(crate) fn new(outcomes: &[Outcome]) -> Self {
        let is_published = |&unit: &Unit| {
            outcomes.iter().any(|outcome| outcome.published().iter().any(|c| c.unit == unit))
        };
        let units: Vec<Unit> = Unit::ALL.into_iter().filter(is_published).collect();
        let levels = levels_differ(outcomes);
        let mut columns = COLUMNS.to_vec();
        if levels {
            columns.insert(3, LEVELS_COLUMN);
        }
        columns.extend(units.iter().copied().flat_map(paper_columns));
        let rows = outcomes
            .iter()
            .map(|outcome| {
                let test = &outcome.test;
                let mut row = vec![
                    outcome.label(),
                    outcome.sees.clone(),
                    grouped(&outcome.parameters),
                    format!("{:.4} ± {:.2}", test.nll_nats, test.nll_nats_stderr),
                    format!("{:.4}", test.bits_per_dim),
                    seconds(outcome.train_seconds),
                ];
                if levels {
                    row.insert(3, outcome.levels.map(|n| n.to_string()).unwrap_or_default());
                }
                for &unit in &units {
                    let published = outcome.published();
                    row.extend(published.iter().find(|c| c.unit == unit).map_or_else(
                        || ["", ""].map(str::to_owned),
                        |c| [c.paper_text(), signed(c.difference, unit.decimals())],
                    ));
                }
                row
            })
            .collect();
        Self { columns, rows }
    }

    /// A table of these columns, each with whether it holds numbers.
    pub(crate) fn of(columns: Vec<(&'static str, bool)>, rows: Vec<Vec<String>>) -> Self {
        Self { columns, rows }
    }

    /// Headings with whether the column holds numbers.
    pub(crate) fn columns(&self) -> &[(&'static str, bool)] {
        &self.columns
    }

    /// Cells row by row.
    pub(crate) fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// Aligned columns under a rule, for a terminal.
    pub(crate) fn text(&self) -> String {
        let heading: Vec<&str> = self.columns.iter().map(|&(name, _)| name).collect();
        let widths: Vec<usize> = heading
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let cells = self.rows.iter().map(|row| row[i].chars().count());
                cells.chain([name.chars().count()]).max().unwrap_or(0)
            })
            .collect();
        let line = |cells: Vec<&str>| {
            let cells = cells.iter().zip(&widths).zip(&self.columns).map(
                |((cell, &width), &(_, is_number))| {
                    if is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                },
            );
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let rule = widths.iter().map(|&width| "─".repeat(width)).collect::<Vec<_>>().join("  ");
        let mut lines = vec![line(heading), rule];
        lines.extend(self.rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
        lines.join("\n")
    }

    /// A Markdown table.
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(self.columns.iter().map(|&(name, _)| name).collect());
        text += &line(self.columns.iter().map(|&(_, n)| if n { "---:" } else { "---" }).collect());
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            text += &line(cells.iter().map(String::as_str).collect());
        }
        text
    }
}

/// A decimal with a comma between groups of three digits.
pub(crate) fn grouped(decimal: &str) -> String {
    if !decimal.bytes().all(|byte| byte.is_ascii_digit()) {
        return decimal.to_owned();
    }
    let mut text = String::with_capacity(decimal.len() * 4 / 3);
    for (i, digit) in decimal.chars().enumerate() {
        if i > 0 && (decimal.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds with as many decimals as they deserve.
pub(crate) fn seconds(seconds: f64) -> String {
    let decimals = match seconds {
        s if s < 0.0995 => 3,
        s if s < 9.95 => 2,
        _ => 1,
    };
    format!("{seconds:.decimals$}")
}

/// A difference with its sign, in typographic minus.
pub(crate) fn signed(difference: f64, decimals: usize) -> String {
    let sign = if difference < 0.0 { '−' } else { '+' };
    format!("{sign}{:.decimals$}", difference.abs())
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::results;
    use super::*;

    #[test]
    fn the_text_table_is_aligned() {
        let table = Table::new(&results().outcomes).text();
        let expected = "\
rung      each conditional sees  free parameters  test NLL, nats  bits/dim  seconds  paper, nats  difference
────────  ─────────────────────  ───────────────  ──────────────  ────────  ───────  ───────────  ──────────
Markov 1  the pixel before            16,777,215  23.8092 ± 0.25    0.5367     0.25
NADE      the pixel before            16,777,215  17.5000 ± 0.25    0.3945     0.25        18.00       −0.50";
        assert_eq!(table, expected);
    }

    #[test]
    fn the_markdown_table_has_a_paper_column_only_where_a_paper_is() {
        let table = Table::new(&results().outcomes[..1]).markdown();
        let expected = "\
| rung | each conditional sees | free parameters | test NLL, nats | bits/dim | seconds |
| --- | --- | ---: | ---: | ---: | ---: |
| Markov 1 | the pixel before | 16,777,215 | 23.8092 ± 0.25 | 0.5367 | 0.25 |
";
        assert_eq!(table, expected);
    }

    #[test]
    fn numbers_in_other_units_and_of_other_levels_have_columns_of_their_own() {
        let mut outcomes = results().outcomes;
        outcomes[0].levels = Some(17);
        let paper = outcomes[1].paper.as_mut().unwrap();
        (paper.paper.test_nll_nats, paper.difference_nats) = (None, None);
        (paper.paper.test_bits_per_dim, paper.difference_bits_per_dim) = (Some(0.4), Some(-0.006));
        let table = Table::new(&outcomes).markdown();
        let expected = "\
| rung | each conditional sees | free parameters | levels | test NLL, nats | bits/dim | seconds | paper, bits/dim | difference |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| Markov 1 | the pixel before | 16,777,215 | 17 | 23.8092 ± 0.25 | 0.5367 | 0.25 |  |  |
| NADE | the pixel before | 16,777,215 | 2 | 17.5000 ± 0.25 | 0.3945 | 0.25 | 0.40 | −0.006 |
";
        assert_eq!(table, expected);
    }

    #[test]
    fn seconds_have_the_decimals_they_deserve() {
        for (value, expected) in
            [(0.0042, "0.004"), (0.1, "0.10"), (9.9, "9.90"), (9.96, "10.0"), (312.0, "312.0")]
        {
            assert_eq!(seconds(value), expected);
        }
    }

    #[test]
    fn digits_are_grouped_from_the_right() {
        for (decimal, expected) in
            [("0", "0"), ("999", "999"), ("1000", "1,000"), ("16777215", "16,777,215"), ("", "")]
        {
            assert_eq!(grouped(decimal), expected);
        }
        assert_eq!(grouped("2^784"), "2^784");
    }
}
