//! Conditions on the columns of a table, as they are written: `age=30..40`, `sex=Female`, `hours>=20`.
//!
//! | condition | of a category | of numbers |
//! |---|---|---|
//! | `name=A` | this label | this number |
//! | `name=A\|B` | one of these | |
//! | `name=2..5` | a label that is a number in there | from the first to the second |
//! | `name>=2`, `>`, `<=`, `<` | a label that is such a number | such a number |
//! | `name=` | missing | missing |
//! | `name!=A`, `name!=` | any other known label | not missing |
//!
//! Several conditions on one column hold together.

use std::sync::Arc;

use anyhow::Result;
use ar_data::{Schema, Type, Variable};
use ar_models::columns::Region;

use crate::error::{mistake, nearest};

/// What is compared with a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Is,
    IsNot,
    AtLeast,
    Above,
    AtMost,
    Below,
}

/// The longer ones first.
const RELATIONS: [(&str, Relation); 6] = [
    (">=", Relation::AtLeast),
    ("<=", Relation::AtMost),
    ("!=", Relation::IsNot),
    ("=", Relation::Is),
    (">", Relation::Above),
    ("<", Relation::Below),
];

const FORMS: &str =
    "write 'name=label', 'name=A|B', 'name=2..5', 'name>=2', 'name=' (missing) or 'name!=label'";

/// The regions of all columns under conditions, `[columns]`.
///
/// # Errors
/// When a condition is none, names no column or label, or they contradict each other.
pub(crate) fn regions(
    option: &str,
    conditions: &[String],
    schema: &Schema,
    names: &[String],
) -> Result<Vec<Region>> {
    let mut regions = vec![Region::Any; schema.variables.len()];
    for condition in conditions {
        let (column, relation, value) = split(option, condition, names)?;
        let own = region(&schema.variables[column], schema, relation, value).map_err(
            |(expected, hint)| mistake(format!("{option} '{condition}': {expected}"), hint),
        )?;
        regions[column] = regions[column].and(&own).ok_or_else(|| {
            mistake(
                format!(
                    "{option} '{condition}': no value of {:?} fits all conditions",
                    names[column]
                ),
                "conditions on one column hold together; leave one out",
            )
        })?;
    }
    Ok(regions)
}

/// Whether the values of a row, as a model of columns has them, are in all regions.
pub(crate) fn holds(regions: &[Region], row: &[f64]) -> bool {
    regions.iter().zip(row).all(|(region, &x)| region.and(&Region::Value(x)).is_some())
}

/// Any label but a missing or an unknown one, or any number.
pub(crate) fn present(variable: &Variable) -> Region {
    match variable.kind.labels() {
        Some(labels) => {
            let mut all = vec![true; labels.len()];
            all.resize(outcomes(variable, &labels), false);
            Region::Labels(all.into())
        }
        None => Region::Present,
    }
}

/// Entries of a region of labels: the known ones, a missing one, any other.
fn outcomes(variable: &Variable, labels: &[String]) -> usize {
    labels.len() + usize::from(variable.can_be_missing) + 1
}

/// The column, the relation and what is compared with it. Names may hold signs of relations: the longest counts.
fn split<'a>(
    option: &str,
    condition: &'a str,
    names: &[String],
) -> Result<(usize, Relation, &'a str)> {
    let relation = |text: &'a str| {
        let text = text.trim_start();
        let found = RELATIONS.iter().find(|(sign, _)| text.starts_with(sign))?;
        Some((found.1, text[found.0.len()..].trim()))
    };
    let of_name = |(column, name): (usize, &String)| {
        let (relation, value) = relation(condition.trim_start().strip_prefix(name.as_str())?)?;
        Some((name.len(), column, relation, value))
    };
    let found = names.iter().enumerate().filter_map(of_name).max_by_key(|(length, ..)| *length);
    if let Some((_, column, relation, value)) = found {
        return Ok((column, relation, value));
    }
    let signs = ['=', '<', '>', '!'];
    let Some(end) = condition.find(signs) else {
        return Err(mistake(format!("{option} '{condition}': expected a relation"), FORMS));
    };
    let name = condition[..end].trim();
    let hint = match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near:?}?"),
        None => "`chainrule inspect RUN` lists the columns".to_owned(),
    };
    Err(mistake(format!("{option} '{condition}': the run has no column {name:?}"), hint))
}

/// The region of a column; else what was expected, and a hint.
fn region(
    variable: &Variable,
    schema: &Schema,
    relation: Relation,
    value: &str,
) -> Result<Region, (String, String)> {
    let is_missing = value.is_empty() || schema.missing.iter().any(|word| word == value);
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| !number.is_nan());
    let between = |text: &str| {
        let (low, high) = text.split_once("..")?;
        Some((number(low)?, number(high)?))
    };
    let Some(labels) = variable.kind.labels() else {
        return number_region(variable, relation, value, is_missing);
    };
    let missing = variable.can_be_missing.then_some(labels.len());
    let mut allowed = vec![false; outcomes(variable, &labels)];
    let of_numbers = |allowed: &mut Vec<bool>, is_in: &dyn Fn(f64) -> bool| {
        for (label, allowed) in labels.iter().zip(allowed) {
            *allowed = number(label).is_some_and(is_in);
        }
    };
    match (relation, number(value)) {
        (Relation::Is | Relation::IsNot, _) => {
            for word in value.split('|').map(str::trim) {
                let is_none =
                    word.is_empty() || schema.missing.iter().any(|missing| missing == word);
                let place = labels.iter().position(|label| label == word);
                match (place, missing) {
                    (Some(place), _) => allowed[place] = true,
                    (None, Some(missing)) if is_none => allowed[missing] = true,
                    // Not among the labels; as an exception to them all the same as none.
                    (None, None) if is_none && relation == Relation::IsNot => {}
                    (None, _) => {
                        if let Some((low, high)) = between(word) {
                            of_numbers(&mut allowed, &|label| (low..=high).contains(&label));
                            continue;
                        }
                        let expected = format!("{word:?} is no label that training saw");
                        let near = nearest(word, labels.iter().map(String::as_str));
                        let hint = match near {
                            Some(near) => format!("did you mean {near:?}?"),
                            None if labels.len() <= 12 => {
                                format!("expected one of {}", first_labels(&labels))
                            }
                            None => format!("training saw {} labels", labels.len()),
                        };
                        return Err((expected, hint));
                    }
                }
            }
            if relation == Relation::IsNot {
                // Neither is a label that nobody knows meant, nor a missing one.
                for (place, allowed) in allowed.iter_mut().enumerate() {
                    *allowed = !*allowed && place < labels.len();
                }
            }
        }
        (_, None) => return Err((format!("{value:?} is no number"), FORMS.to_owned())),
        (Relation::AtLeast, Some(bound)) => of_numbers(&mut allowed, &|label| label >= bound),
        (Relation::Above, Some(bound)) => of_numbers(&mut allowed, &|label| label > bound),
        (Relation::AtMost, Some(bound)) => of_numbers(&mut allowed, &|label| label <= bound),
        (Relation::Below, Some(bound)) => of_numbers(&mut allowed, &|label| label < bound),
    }
    if !allowed.contains(&true) {
        return Err((
            "no label that training saw is meant".to_owned(),
            format!("the column is a category: {}", first_labels(&labels)),
        ));
    }
    Ok(Region::Labels(Arc::from(allowed)))
}

/// The first labels, in words.
fn first_labels(labels: &[String]) -> String {
    let shown = labels.iter().take(12).cloned().collect::<Vec<_>>().join(", ");
    if labels.len() > 12 { format!("{shown}, …") } else { shown }
}

fn number_region(
    variable: &Variable,
    relation: Relation,
    value: &str,
    is_missing: bool,
) -> Result<Region, (String, String)> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| !number.is_nan());
    if is_missing {
        return match relation {
            Relation::Is => Ok(Region::Value(f64::NAN)),
            Relation::IsNot => Ok(Region::Between(f64::NEG_INFINITY, f64::INFINITY)),
            _ => Err(("expected a number".to_owned(), FORMS.to_owned())),
        };
    }
    if let (Relation::Is, Some((low, high))) = (relation, value.split_once("..")) {
        return match (number(low), number(high)) {
            (Some(low), Some(high)) if low <= high => Ok(Region::Between(low, high)),
            (Some(low), Some(high)) => {
                Err((format!("{low} to {high} is empty"), format!("write {high}..{low}")))
            }
            _ => Err((format!("{value:?} is no range of numbers"), FORMS.to_owned())),
        };
    }
    let Some(bound) = number(value) else {
        return Err((format!("{value:?} is no number, as the column has"), FORMS.to_owned()));
    };
    // On a grid nothing lies between a number and the one half a step away; elsewhere one number has no mass.
    let half = match variable.kind {
        Type::Integer => 0.5,
        Type::Decimal { places } => 0.5 / 10_f64.powi(i32::from(places)),
        _ => 0.0,
    };
    let (least, most) = (f64::NEG_INFINITY, f64::INFINITY);
    match relation {
        Relation::Is => Ok(Region::Value(bound)),
        Relation::AtLeast => Ok(Region::Between(bound, most)),
        Relation::Above => Ok(Region::Between(bound + half, most)),
        Relation::AtMost => Ok(Region::Between(least, bound)),
        Relation::Below => Ok(Region::Between(least, bound - half)),
        Relation::IsNot => Err((
            "all numbers but one are no range".to_owned(),
            "state a range, as 'name=2..5', 'name<2' or 'name>2'".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> (Schema, Vec<String>) {
        let names = ["age", "sex", "rate", "cyl", "a=b"].map(str::to_owned).to_vec();
        let category = |labels: &[&str]| Type::Category {
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
        };
        let kinds = [
            Type::Integer,
            category(&["Female", "Male"]),
            Type::Decimal { places: 1 },
            category(&["4", "6", "8"]),
            Type::Real,
        ];
        let variables = kinds.into_iter().zip(&names).enumerate().map(|(column, (kind, name))| {
            let can_be_missing = column == 1;
            Variable { name: Some(name.clone()), column, can_be_missing, kind }
        });
        let mut schema = Schema::positions(5, ar_data::Encoding::Columns);
        schema.variables = variables.collect();
        schema.missing = vec![String::new(), "?".to_owned()];
        (schema, names)
    }

    fn of(conditions: &[&str]) -> Result<Vec<Region>> {
        let (schema, names) = schema();
        let conditions: Vec<String> = conditions.iter().map(|&text| text.to_owned()).collect();
        regions("--where", &conditions, &schema, &names)
    }

    #[test]
    fn conditions_are_regions() {
        let labels = |labels: &[bool]| Region::Labels(labels.into());
        let (least, most) = (f64::NEG_INFINITY, f64::INFINITY);
        for (condition, column, expected) in [
            ("age=30..40", 0, Region::Between(30.0, 40.0)),
            ("age >= 30", 0, Region::Between(30.0, most)),
            ("age>30", 0, Region::Between(30.5, most)),
            ("rate<0.5", 2, Region::Between(least, 0.45)),
            ("age=7", 0, Region::Value(7.0)),
            ("age!=", 0, Region::Between(least, most)),
            ("sex=Female", 1, labels(&[true, false, false, false])),
            ("sex=?", 1, labels(&[false, false, true, false])),
            ("sex!=Female", 1, labels(&[false, true, false, false])),
            ("cyl=4|8", 3, labels(&[true, false, true, false])),
            ("cyl>=6", 3, labels(&[false, true, true, false])),
            ("cyl=5..7", 3, labels(&[false, true, false, false])),
            ("a=b<=2", 4, Region::Between(least, 2.0)),
        ] {
            assert_eq!(of(&[condition]).unwrap()[column], expected, "{condition}");
        }
        let both = of(&["age>=30", "age<=40", "sex=Male"]).unwrap();
        assert_eq!(both[0], Region::Between(30.0, 40.0));
        assert!(holds(&both, &[35.0, 1.0, 0.0, 0.0, 0.0]));
        assert!(
            !holds(&both, &[35.0, 0.0, 0.0, 0.0, 0.0])
                && !holds(&both, &[f64::NAN, 1.0, 0.0, 0.0, 0.0])
        );
        let missing = of(&["age="]).unwrap();
        assert!(holds(&missing, &[f64::NAN, 1.0, 0.0, 0.0, 0.0]));
    }

    #[test]
    fn what_is_no_condition_is_refused_with_a_way_on() {
        for (conditions, found) in [
            (&["agee=3"][..], "no column \"agee\""),
            (&["age"], "expected a relation"),
            (&["age=old"], "\"old\" is no number"),
            (&["age=40..30"], "is empty"),
            (&["age!=3"], "all numbers but one"),
            (&["sex=female"], "no label that training saw"),
            (&["cyl>8"], "no label that training saw is meant"),
            (&["age>=3", "age<2"], "fits all conditions"),
        ] {
            let error = of(conditions).unwrap_err().to_string();
            assert!(error.contains(found), "{conditions:?}: {error}");
        }
    }
}
