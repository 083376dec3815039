//! `chainrule count`: how many free parameters a way of factorizing has.

use anyhow::Result;
use clap::ValueEnum as _;
use num_bigint::BigUint;
use prob_core::count;
use prob_core::joint::{FOUR_NEIGHBOURS, TEN_NEIGHBOURS};
use serde::Serialize;

use super::Session;
use crate::args::{CountArgs, Family};
use crate::error::mistake;
use crate::output::{RECORD_VERSION, grouped};
use crate::sees;

/// What the command prints.
#[derive(Debug, Serialize)]
struct Record {
    version: u32,
    command: &'static str,
    family: String,
    variables: usize,
    /// None of real numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    states: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<[usize; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    neighbours: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<usize>,
    /// Decimal, of any length.
    free_parameters: String,
}

/// A checked question.
#[derive(Debug, PartialEq)]
struct Question {
    family: Family,
    variables: usize,
    states: usize,
    order: Option<usize>,
    shape: Option<[usize; 2]>,
    neighbours: Option<usize>,
    hidden: Option<usize>,
    components: Option<usize>,
}

/// Counts and prints.
///
/// # Errors
/// When the arguments do not belong together, or the answer is too long.
pub(crate) fn run(args: &CountArgs, session: &Session) -> Result<()> {
    let question = check(args)?;
    let free_parameters = answer(&question)?.to_string();
    let Question { family, variables, states, order, shape, neighbours, hidden, components } =
        question;
    let record = Record {
        version: RECORD_VERSION,
        command: "count",
        family: name_of(family),
        variables,
        states: (family != Family::Rnade).then_some(states),
        order,
        shape,
        neighbours,
        hidden,
        components,
        free_parameters,
    };
    session.terminal.result(&record, || words(&record, family))
}

fn name_of(family: Family) -> String {
    family.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// The largest answer: about 1.2 million digits, which takes about a second.
const MAX_BITS: u64 = 4_000_000;

/// Bandwidths of a window over numbers and labels.
const KERNEL_BANDWIDTHS: u32 = 2;

/// The most bit operations for the chain rule's sum, which is made term by term.
const MAX_SUM_BITS: u64 = 1 << 37;

fn check(args: &CountArgs) -> Result<Question> {
    let family = args.family;
    let refuse_unless = |takes: bool, is_given: bool, flag: &str| {
        if is_given && !takes {
            let message = format!("--{flag} with --family {}, which takes none", name_of(family));
            return Err(mistake(message, format!("remove --{flag}")));
        }
        Ok(())
    };
    let require = |value: Option<usize>, flag: &str, example: &str| {
        value.ok_or_else(|| {
            let message = format!("--family {} needs --{flag}", name_of(family));
            mistake(message, format!("add --{flag} {example}"))
        })
    };
    let one_variable = matches!(family, Family::Coin | Family::Die);
    let has_hidden =
        matches!(family, Family::Nade | Family::Made | Family::OrderlessNade | Family::Rnade);
    let bits_only = has_hidden || matches!(family, Family::Coin | Family::Logistic);
    let on_an_image = family == Family::Neighbourhood;
    refuse_unless(!one_variable, args.variables.is_some_and(|n| n != 1), "variables")?;
    refuse_unless(!bits_only, args.states.is_some_and(|m| m != 2), "states")?;
    refuse_unless(family == Family::Markov, args.order.is_some(), "order")?;
    refuse_unless(on_an_image, args.shape.is_some(), "shape")?;
    refuse_unless(on_an_image, args.neighbours.is_some(), "neighbours")?;
    refuse_unless(has_hidden, args.hidden.is_some(), "hidden")?;
    refuse_unless(family == Family::Rnade, args.components.is_some(), "components")?;
    let states = match family {
        Family::Die => require(args.states, "states", "6")?,
        _ => args.states.unwrap_or(2),
    };
    let shape = match &args.shape {
        None if on_an_image => {
            return Err(mistake(
                "--family neighbourhood needs --shape: what a pixel sees depends on where the edges \
                 are",
                "add --shape 28x28",
            ));
        }
        None => None,
        Some(text) => Some(parse_shape(text)?),
    };
    let variables = match (one_variable, shape) {
        (true, _) => 1,
        (_, Some([rows, columns])) => {
            let variables = rows * columns;
            if args.variables.is_some_and(|given| given != variables) {
                return Err(mistake(
                    format!(
                        "--variables {} with --shape {rows}x{columns}",
                        args.variables.unwrap_or(0)
                    ),
                    format!("remove --variables: the shape has {variables}"),
                ));
            }
            variables
        }
        _ => require(args.variables, "variables", "784")?,
    };
    let order = match family {
        Family::Markov => Some(require(args.order, "order", "1")?),
        _ => None,
    };
    let hidden = match has_hidden {
        true => Some(require(args.hidden, "hidden", "500")?),
        false => None,
    };
    let neighbours =
        on_an_image.then(|| if args.neighbours.as_deref() == Some("10") { 10 } else { 4 });
    let components = (family == Family::Rnade).then(|| args.components.unwrap_or(20));
    Ok(Question { family, variables, states, order, shape, neighbours, hidden, components })
}

fn parse_shape(text: &str) -> Result<[usize; 2]> {
    let sizes: Option<Vec<usize>> =
        text.split(['x', '×']).map(|size| size.trim().parse().ok()).collect();
    match sizes.as_deref() {
        Some(&[rows, columns]) if (1..=4096).contains(&rows) && (1..=4096).contains(&columns) => {
            Ok([rows, columns])
        }
        _ => Err(mistake(
            format!("--shape {text}: expected ROWSxCOLUMNS, each 1 to 4096"),
            "write --shape 28x28",
        )),
    }
}

fn answer(question: &Question) -> Result<BigUint> {
    let &Question { family, variables: n, states: m, order, .. } = question;
    // Bits of m^k, the number of contexts of k variables.
    let bits = |k: usize| (k as u64).saturating_mul(u64::from(m.max(1).ilog2()) + 1);
    let seen = match family {
        Family::Full | Family::ChainRule => n,
        Family::Markov => order.unwrap_or(0).min(n),
        _ => 0,
    };
    let sum_bits = match family {
        Family::ChainRule => bits(n).saturating_mul(n as u64),
        Family::Markov => bits(seen).saturating_mul(seen as u64),
        _ => 0,
    };
    if bits(seen) > MAX_BITS || sum_bits > MAX_SUM_BITS {
        return Err(mistake(
            format!(
                "{seen} variables of {m} states: the count has about {} digits, expected at most {}",
                grouped(&(bits(seen) * 3 / 10).to_string()),
                grouped(&(MAX_BITS * 3 / 10).to_string()),
            ),
            "ask for fewer variables or a lower order; `full` gives the same number as `chain-rule` \
             sooner",
        ));
    }
    Ok(match family {
        Family::Coin => count::coin(),
        Family::Die => count::die(m),
        Family::Full => count::full_table(n, m),
        Family::ChainRule => count::chain_rule_sum(n, m),
        Family::Independent => count::independent(n, m),
        Family::Markov => count::markov(n, m, order.unwrap_or(0)),
        Family::Neighbourhood => {
            let shape = question.shape.unwrap_or([1, n]);
            let offsets: &[(isize, isize)] =
                if question.neighbours == Some(10) { &TEN_NEIGHBOURS } else { &FOUR_NEIGHBOURS };
            count::neighbourhood(shape, offsets, m)?
        }
        // However many rows it stores, which are no parameters that anything is fitted to.
        Family::Kernel => BigUint::from(KERNEL_BANDWIDTHS),
        Family::Logistic => sees::logistic(n),
        Family::Nade => sees::nade(n, question.hidden.unwrap_or(1)),
        Family::OrderlessNade => sees::orderless_nade(n, question.hidden.unwrap_or(1)),
        Family::Made => sees::made(n, question.hidden.unwrap_or(1)),
        Family::Rnade => {
            sees::rnade(n, question.hidden.unwrap_or(1), question.components.unwrap_or(1))
        }
    })
}

/// All digits, and for long ones their magnitude.
fn words(record: &Record, family: Family) -> String {
    let formula = match family {
        Family::Coin => "1",
        Family::Die => "m − 1",
        Family::Full => "m^n − 1",
        Family::ChainRule => "(m − 1) (1 + m + m² + … + m^(n−1))",
        Family::Independent => "n (m − 1)",
        Family::Markov => "Σ_t m^min(t, k) (m − 1)",
        Family::Neighbourhood => "Σ_i m^(neighbours of i in the image) (m − 1)",
        Family::Kernel => "h of all numbers and λ of all labels",
        Family::Logistic => "n (n + 1) / 2",
        Family::Nade => "2 n h + h + n",
        Family::OrderlessNade => "3 n h + h + n",
        Family::Made => "n h + h + n",
        Family::Rnade => "n h + h + n + 3 n k (h + 1)",
    };
    let digits = &record.free_parameters;
    let mut text = grouped(digits);
    if digits.len() > 20 {
        text.push_str(&format!("\n≈ 10^{}", digits.len() - 1));
    }
    let mut letters = vec![format!("n = {}", record.variables)];
    letters.extend(record.states.map(|states| format!("m = {states}")));
    letters.extend(record.components.map(|components| format!("k = {components}")));
    letters.extend(record.order.map(|order| format!("k = {order}")));
    letters.extend(record.hidden.map(|hidden| format!("h = {hidden}")));
    text.push_str(&format!("\n{formula}, {}", letters.join(", ")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(family: Family) -> CountArgs {
        CountArgs {
            family,
            variables: None,
            states: None,
            order: None,
            shape: None,
            neighbours: None,
            hidden: None,
            components: None,
        }
    }

    fn counted(args: &CountArgs) -> Result<String> {
        Ok(answer(&check(args)?)?.to_string())
    }

    #[test]
    fn known_counts() {
        let n = |family, variables, states| CountArgs {
            variables: Some(variables),
            states: Some(states),
            ..args(family)
        };
        for (args, count) in [
            (args(Family::Coin), "1"),
            (CountArgs { states: Some(6), ..args(Family::Die) }, "5"),
            (n(Family::Full, 3, 256), "16777215"),
            (n(Family::ChainRule, 10, 2), "1023"),
            (n(Family::Independent, 784, 2), "784"),
            (CountArgs { order: Some(1), ..n(Family::Markov, 784, 2) }, "1567"),
            (CountArgs { shape: Some("28x28".into()), ..args(Family::Neighbourhood) }, "11611"),
            (n(Family::Kernel, 784, 2), "2"),
            (n(Family::Logistic, 784, 2), "307720"),
            (CountArgs { hidden: Some(500), ..n(Family::Nade, 784, 2) }, "785284"),
            (CountArgs { hidden: Some(500), ..n(Family::Made, 784, 2) }, "393284"),
            (
                CountArgs {
                    variables: Some(11),
                    hidden: Some(50),
                    components: Some(10),
                    ..args(Family::Rnade)
                },
                "17441",
            ),
            (CountArgs { hidden: Some(500), ..n(Family::OrderlessNade, 784, 2) }, "1177284"),
            (n(Family::Full, 5, 1), "0"),
        ] {
            assert_eq!(counted(&args).unwrap(), count, "{args:?}");
        }
    }

    #[test]
    fn arguments_that_do_not_belong_together_are_refused() {
        let markov = CountArgs { variables: Some(10), ..args(Family::Markov) };
        for (args, part) in [
            (CountArgs { order: Some(1), ..args(Family::Full) }, "--order with --family full"),
            (markov, "needs --order"),
            (args(Family::Full), "needs --variables"),
            (args(Family::Die), "needs --states"),
            (args(Family::Neighbourhood), "needs --shape"),
            (CountArgs { states: Some(3), ..args(Family::Coin) }, "--states with --family coin"),
            (
                CountArgs {
                    shape: Some("2x2".into()),
                    variables: Some(5),
                    ..args(Family::Neighbourhood)
                },
                "--variables 5 with --shape 2x2",
            ),
            (CountArgs { shape: Some("2".into()), ..args(Family::Neighbourhood) }, "ROWSxCOLUMNS"),
            (CountArgs { variables: Some(1 << 31), ..args(Family::Full) }, "the count has about"),
        ] {
            let message = counted(&args).unwrap_err().to_string();
            assert!(message.contains(part), "{args:?}: {message}");
        }
    }
}
