//! The parents of a Bayesian network by the names of their columns.
//!
//! ```toml
//! parents = [[], ["age"], ["age", 1]]           # a list for each variable; an index counts from 0
//! parents = { income = ["age", "education"] }   # only those that have parents
//! ```
//!
//! What a name's index is, only the data says. Until it has, the model stands there without parents.

use std::collections::BTreeMap;

use anyhow::Result;
use ar_models::config::ModelConfig;
use serde::Deserialize;
use toml::{Table, Value};

use super::origin::Origin;
use crate::error::nearest;

/// The key.
const KEY: [&str; 2] = ["model", "parents"];

/// Parents as a config names them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum NamedParents {
    Lists(Vec<Vec<Parent>>),
    Of(BTreeMap<String, Vec<Parent>>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Parent {
    Index(usize),
    Name(String),
}

impl NamedParents {
    /// Takes parents with names in them out of a config. Any other ones stay what they are.
    ///
    /// # Errors
    /// When they are something else than lists of names and indices.
    pub(super) fn take(table: &mut Table, origin: &Origin) -> Result<Option<Self>> {
        let Some(model) = table.get_mut("model").and_then(Value::as_table_mut) else {
            return Ok(None);
        };
        let Some(parents) = model.get_mut("parents").filter(|parents| has_names(parents)) else {
            return Ok(None);
        };
        let stated = std::mem::replace(parents, Value::Array(Vec::new()));
        match stated.clone().try_into() {
            Ok(named) => Ok(Some(named)),
            Err(_) => Err(origin.mistake(
                &KEY,
                format!("`model.parents = {stated}`, expected lists of columns, by name or index"),
                "a list for each variable, [[], [\"age\"]], or the lists of some, { income = [\"age\"] }"
                    .into(),
            )),
        }
    }

    /// The parents of each of `variables` variables, by their indices among `columns`.
    ///
    /// # Errors
    /// When there is no such column.
    pub(super) fn resolve(
        &self,
        columns: Option<&[String]>,
        variables: usize,
        origin: &Origin,
    ) -> Result<Vec<Vec<usize>>> {
        let index = |name: &str| {
            let Some(columns) = columns else {
                return Err(origin.mistake(
                    &KEY,
                    format!("`{name}` is a name, and the columns of this data have none"),
                    "name columns by their indices, from 0, or all of them in data.columns = [\"…\"]"
                        .into(),
                ));
            };
            columns.iter().position(|column| column == name).ok_or_else(|| {
                let names = columns.iter().map(String::as_str);
                let hint = match nearest(name, names.clone()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("the variables are {}", names.collect::<Vec<_>>().join(", ")),
                };
                let message = format!("`{name}` in model.parents is no variable of the data");
                origin.mistake(&KEY, message, hint)
            })
        };
        let all = |parents: &[Parent]| {
            let each = parents.iter().map(|parent| match parent {
                Parent::Index(index) => Ok(*index),
                Parent::Name(name) => index(name),
            });
            each.collect::<Result<Vec<_>>>()
        };
        match self {
            Self::Lists(lists) => lists.iter().map(|parents| all(parents)).collect(),
            Self::Of(some) => {
                let mut lists = vec![Vec::new(); variables];
                for (name, parents) in some {
                    let at = index(name)?;
                    if let Some(list) = lists.get_mut(at) {
                        *list = all(parents)?;
                    }
                }
                Ok(lists)
            }
        }
    }

    /// Gives a model its parents.
    pub(super) fn give(model: &mut ModelConfig, resolved: Vec<Vec<usize>>) {
        if let ModelConfig::BayesianNetwork { parents, .. } = model {
            *parents = resolved;
        }
    }
}

/// Whether a name stands anywhere in it.
fn has_names(parents: &Value) -> bool {
    match parents {
        Value::String(_) | Value::Table(_) => true,
        Value::Array(list) => list.iter().any(has_names),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::support::load;

    fn config(parents: &str, columns: &str) -> String {
        format!(
            "name = \"x\"\n[data]\ntrain = \"a.csv\"\nlevels = 2\nshape = [3]\n{columns}\n\
             [model]\nkind = \"bayesian-network\"\nparents = {parents}\n"
        )
    }

    #[test]
    fn names_become_indices_where_the_columns_are_known() {
        let columns = "columns = [\"x\", \"y\", \"z\"]";
        for parents in [
            "[[], [\"x\"], [\"x\", \"y\"]]",
            "[[], [0], [\"x\", 1]]",
            "{ y = [\"x\"], z = [0, \"y\"] }",
        ] {
            let toml = load(&config(parents, columns), &[]).unwrap().to_toml().unwrap();
            let flat: String = toml.split_whitespace().collect();
            assert!(flat.contains("parents=[[],[0],[0,1]]"), "{parents}: {toml}");
        }
        // Without names nothing is known yet, and nothing refused.
        assert!(load(&config("{ y = [\"x\"] }", ""), &[]).unwrap().event().is_none());
    }

    #[test]
    fn a_name_that_is_none_is_told() {
        let columns = "columns = [\"x\", \"yes\", \"z\"]";
        for (parents, part) in [
            ("{ z = [\"ye\"] }", "`ye` in model.parents is no variable of the data"),
            ("{ q = [\"x\"] }", "`q` in model.parents is no variable"),
            ("\"x\"", "expected lists of columns, by name or index"),
            ("[[], [\"x\"], [1.5]]", "expected lists of columns"),
            ("[[\"z\"], [], [\"x\"]]", "cycle"),
            ("[[], [\"x\"]]", "one list per variable, 3"),
        ] {
            let message = load(&config(parents, columns), &[]).unwrap_err().to_string();
            assert!(message.contains(part), "{parents}: {message}");
        }
    }
}
