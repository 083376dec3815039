//! Tables of committed results, in Markdown for the pages that people read.

use super::result::{Mean, Outcome, Unit};

/// What is said of a table in which levels differ.
pub(crate) const LEVELS_DIFFER: &str =
    "Models of other levels describe other data: only rows of the same number compare.";

/// Whether outcomes are about data of different numbers of levels, so that they do not compare.
pub(crate) fn levels_differ(outcomes: &[Outcome]) -> bool {
    outcomes
        .iter()
        .any(|outcome| Some(outcome.trained.levels) != outcomes.first().map(|o| o.trained.levels))
}

/// A table with a row for each outcome, or for each data set where there are several.
pub(crate) fn of_outcomes(outcomes: &[Outcome]) -> String {
    let differs = |outcome: &Outcome| outcome.trained.data != outcomes[0].trained.data;
    if outcomes.iter().any(differs) { by_data(outcomes) } else { by_outcome(outcomes) }
}

/// A Markdown table of columns, each with whether it holds numbers.
pub(crate) fn markdown<S: AsRef<str>>(columns: &[(S, bool)], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(columns.iter().map(|(name, _)| name.as_ref()).collect());
    text += &line(columns.iter().map(|(_, n)| if *n { "---:" } else { "---" }).collect());
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        text += &line(cells.iter().map(String::as_str).collect());
    }
    text
}

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

/// One row for each data set, and columns for each model: test NLL in nats, and what is published.
fn by_data(outcomes: &[Outcome]) -> String {
    let mut data: Vec<&str> = Vec::new();
    let mut models: Vec<String> = Vec::new();
    for outcome in outcomes {
        if !data.contains(&outcome.trained.data.as_str()) {
            data.push(&outcome.trained.data);
        }
        if !models.contains(&outcome.label()) {
            models.push(outcome.label());
        }
    }
    let mut columns = vec![("data".to_owned(), false), ("variables".to_owned(), true)];
    let mut rows: Vec<Vec<String>> = data.iter().map(|&data| vec![data.to_owned()]).collect();
    for (row, data) in rows.iter_mut().zip(&data) {
        let first = outcomes.iter().find(|outcome| outcome.trained.data == *data);
        row.push(first.map_or(0, |outcome| outcome.variables).to_string());
    }
    let mean = |mean: &Mean| format!("{:.2} ± {:.2}", mean.nll_nats, mean.nll_nats_stderr);
    for model in &models {
        let of = |data: &str| {
            outcomes
                .iter()
                .find(|outcome| outcome.trained.data == data && outcome.label() == *model)
        };
        let own = || data.iter().filter_map(|data| of(data));
        let mut column = |name: String, cell: &dyn Fn(&Outcome) -> Option<String>| {
            columns.push((name, true));
            for (row, data) in rows.iter_mut().zip(&data) {
                row.push(of(data).and_then(cell).unwrap_or_default());
            }
        };
        if own().any(|outcome| outcome.test_one_ordering.is_some()) {
            column(format!("{model}, 1 ordering"), &|outcome| {
                outcome.test_one_ordering.as_ref().map(mean)
            });
        }
        let orderings = || own().filter_map(|outcome| outcome.orderings);
        let orderings = match (orderings().min(), orderings().max()) {
            (Some(least), Some(most)) if least < most => {
                format!(", {least} to {most} orderings")
            }
            (_, Some(most)) => format!(", {most} orderings"),
            (_, None) => String::new(),
        };
        column(format!("{model}{orderings}"), &|outcome| Some(mean(&outcome.trained.test)));
        if own().any(|outcome| outcome.paper.is_some()) {
            column("paper".to_owned(), &|outcome| {
                let published = outcome.published();
                let nats = published.iter().find(|number| number.unit == Unit::Nats)?;
                Some(nats.paper_text())
            });
        }
    }
    markdown(&columns, &rows)
}

/// One row for each outcome.
fn by_outcome(outcomes: &[Outcome]) -> String {
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
    let rows: Vec<Vec<String>> = outcomes
        .iter()
        .map(|outcome| {
            let test = &outcome.trained.test;
            let mut row = vec![
                outcome.label(),
                outcome.trained.sees.clone(),
                grouped(&outcome.trained.parameters),
                format!("{:.4} ± {:.2}", test.nll_nats, test.nll_nats_stderr),
                format!("{:.4}", test.bits_per_dim),
                seconds(outcome.trained.seconds),
            ];
            if levels {
                row.insert(3, outcome.trained.levels.map(|n| n.to_string()).unwrap_or_default());
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
    markdown(&columns, &rows)
}

/// A short name for a config called `name` on data called `data`: `markov3-digits` is `Markov 3`.
pub(crate) fn label(name: &str, data: &str) -> String {
    let model = name.strip_suffix(data).and_then(|m| m.strip_suffix('-')).unwrap_or(name);
    for (words, written) in FAMILIES {
        let Some(rest) = model.strip_prefix(words) else {
            continue;
        };
        if rest.is_empty() || rest.starts_with('-') {
            let rest = rest.split('-').map(|part| format!(" {}", size(part)));
            return format!("{written}{}", rest.skip(1).collect::<String>());
        }
    }
    let (word, number) = model.split_at(model.trim_end_matches(|c: char| c.is_ascii_digit()).len());
    let mut letters = word.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let space = if word.is_empty() || number.is_empty() { "" } else { " " };
    format!("{first}{}{space}{number}", letters.as_str())
}

/// Families whose names are not just words, as papers write them.
const FAMILIES: [(&str, &str); 8] = [
    ("nade", "NADE"),
    ("rnade", "RNADE"),
    ("made", "MADE"),
    ("orderless-nade", "Orderless NADE"),
    ("pixel-cnn", "PixelCNN"),
    ("row-lstm", "Row LSTM"),
    ("diagonal-lstm", "Diagonal LSTM"),
    ("diagonal-bilstm", "Diagonal BiLSTM"),
];

/// A part of a name; `7x16` is seven layers of sixteen, `7×16`.
fn size(part: &str) -> String {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match part.split_once('x') {
        Some((layers, units)) if is_number(layers) && is_number(units) => {
            format!("{layers}×{units}")
        }
        _ => part.to_owned(),
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
    fn labels_are_short_and_readable() {
        for (name, expected) in [
            ("markov3-digits", "Markov 3"),
            ("nade-digits", "NADE"),
            ("orderless-nade-digits", "Orderless NADE"),
            ("logistic-digits", "Logistic"),
            ("row-lstm-7x16-digits", "Row LSTM 7×16"),
            ("diagonal-lstm-1x8-residual-digits", "Diagonal LSTM 1×8 residual"),
            ("something-else", "Something-else"),
        ] {
            assert_eq!(label(name, "digits"), expected);
        }
    }

    #[test]
    fn the_markdown_table_has_a_paper_column_only_where_a_paper_is() {
        let table = of_outcomes(&results().outcomes[..1]);
        let expected = "\
| rung | each conditional sees | free parameters | test NLL, nats | bits/dim | seconds |
| --- | --- | ---: | ---: | ---: | ---: |
| Markov 1 | the pixel before | 16,777,215 | 23.8092 ± 0.25 | 0.5367 | 0.25 |
";
        assert_eq!(table, expected);
    }

    #[test]
    fn several_data_sets_have_a_row_each_and_models_are_columns() {
        let mut outcomes = results().outcomes;
        let [_, nade] = &outcomes[..] else { unreachable!("two outcomes") };
        let mut ensemble = nade.clone();
        (ensemble.config, ensemble.trained.data) =
            ("orderless-nade-dna".to_owned(), "dna".to_owned());
        (ensemble.orderings, ensemble.test_one_ordering) =
            (Some(16), Some(ensemble.trained.test.clone()));
        ensemble.trained.test.nll_nats = 17.0;
        let mut other = nade.clone();
        (other.config, other.trained.data, other.paper) =
            ("nade-dna".to_owned(), "dna".to_owned(), None);
        outcomes.remove(0);
        outcomes.extend([other, ensemble]);
        let expected = "\
| data | variables | NADE | paper | Orderless NADE, 1 ordering | Orderless NADE, 16 orderings | paper |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| digits | 64 | 17.50 ± 0.25 | 18.00 |  |  |  |
| dna | 64 | 17.50 ± 0.25 |  | 17.50 ± 0.25 | 17.00 ± 0.25 | 18.00 |
";
        assert_eq!(of_outcomes(&outcomes), expected);
        let mut fewer = outcomes[2].clone();
        (fewer.config, fewer.trained.data) = ("orderless-nade-nips".to_owned(), "nips".to_owned());
        fewer.orderings = Some(8);
        let several = of_outcomes(&[&outcomes[..], &[fewer]].concat());
        assert!(several.contains("| Orderless NADE, 8 to 16 orderings |"), "{several}");
    }

    #[test]
    fn numbers_in_other_units_and_of_other_levels_have_columns_of_their_own() {
        let mut outcomes = results().outcomes;
        outcomes[0].trained.levels = Some(17);
        let paper = outcomes[1].paper.as_mut().unwrap();
        (paper.test_nll_nats, paper.test_bits_per_dim) = (None, Some(0.4));
        let table = of_outcomes(&outcomes);
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
