//! The lines of the tables: one for each run, and before those of the folds of a config one for their mean.

use ar_models::scoring::Score;

use super::groups::{Difference, Group, Member};
use super::published::{Cost, Published};
use crate::config::Paper;
use crate::output::{human_seconds, short_count};

/// What stands under one heading: runs of the same rows, or those of the folds of one set.
pub(super) struct Section<'a> {
    /// Several of folds.
    pub(super) groups: Vec<&'a Group>,
    /// Configs that have several folds here.
    pub(super) crossed: Vec<Crossed<'a>>,
}

/// The runs of a config on several folds.
pub(super) struct Crossed<'a> {
    pub(super) config: &'a str,
    /// How many folds there are, here or not.
    pub(super) folds: usize,
    /// One of each fold that is here, in the order in which they were named, with its group.
    pub(super) members: Vec<(&'a Group, &'a Member)>,
    /// The mean of the means; its error is that of the folds, s / √K.
    pub(super) cost: Cost,
    /// Above the best of such means; none of the best, or where they have other folds.
    pub(super) above: Option<Difference>,
    pub(super) is_best: bool,
}

/// All there is, in the order in which runs were named.
pub(super) fn of(groups: &[Group]) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for group in groups {
        let is_of_folds = group.members.iter().all(|member| member.fold.is_some());
        let others = |section: &&mut Section<'_>| {
            is_of_folds && section.is_of_folds() && section.groups[0].rows.is_like(&group.rows)
        };
        match sections.iter_mut().find(others) {
            Some(section) => section.groups.push(group),
            None => sections.push(Section { groups: vec![group], crossed: Vec::new() }),
        }
    }
    for section in &mut sections {
        section.crossed = crossed(&section.groups);
    }
    sections
}

fn crossed<'a>(groups: &[&'a Group]) -> Vec<Crossed<'a>> {
    let mut all: Vec<Crossed<'a>> = Vec::new();
    let members = groups.iter().flat_map(|&group| group.members.iter().map(move |m| (group, m)));
    for (group, member) in members {
        let Some([fold, folds]) = member.fold else { continue };
        let has_room = |one: &&mut Crossed<'a>| {
            let is_fold = |(_, other): &(&Group, &Member)| other.fold == Some([fold, folds]);
            one.config == member.config && one.folds == folds && !one.members.iter().any(is_fold)
        };
        match all.iter_mut().find(has_room) {
            Some(one) => one.members.push((group, member)),
            None => {
                let (members, config) = (vec![(group, member)], member.config.as_str());
                let cost = member.cost();
                all.push(Crossed { config, folds, members, cost, above: None, is_best: false });
            }
        }
    }
    all.retain(|one| one.members.len() > 1);
    for one in &mut all {
        let costs: Vec<Cost> = one.members.iter().map(|(_, member)| member.cost()).collect();
        let mean = |of: &dyn Fn(&Cost) -> f64| {
            let Score { nll_nats, nll_nats_stderr, .. } =
                Score::of(&costs.iter().map(of).collect::<Vec<f64>>(), 1);
            (nll_nats, nll_nats_stderr)
        };
        (one.cost.nll_nats, one.cost.nll_nats_stderr) = mean(&|cost| cost.nll_nats);
        one.cost.standardized = one
            .cost
            .standardized
            .map(|_| mean(&|cost| cost.standardized.map_or(f64::NAN, |(nats, _)| nats)));
    }
    let by_mean = |&a: &usize, &b: &usize| all[a].cost.nll_nats.total_cmp(&all[b].cost.nll_nats);
    let best = (0..all.len()).min_by(by_mean).filter(|_| all.len() > 1);
    let above = |one: &Crossed<'a>| Some(one.above(&all[best?]));
    let above: Vec<Option<Difference>> = all.iter().map(|one| above(one)?).collect();
    for (i, (one, above)) in all.iter_mut().zip(above).enumerate() {
        one.is_best = best == Some(i);
        one.above = above.filter(|_| !one.is_best);
    }
    all
}

impl Crossed<'_> {
    /// The mean over the folds of what this costs more than another, with the error of that; of the same rows in each.
    fn above(&self, other: &Self) -> Option<Difference> {
        let each = self.members.iter().map(|(group, member)| {
            let same = |(theirs, _): &&(&Group, &Member)| std::ptr::eq(*theirs, *group);
            let (_, theirs) = other.members.iter().find(same)?;
            Some(Difference::of(member, theirs).nats)
        });
        let each = each.collect::<Option<Vec<f64>>>()?;
        let Score { nll_nats: nats, nll_nats_stderr: stderr, .. } = Score::of(&each, 1);
        (other.members.len() == each.len()).then_some(Difference { nats, stderr })
    }

    /// Of the labels, where each fold has one.
    pub(super) fn accuracy(&self) -> Option<f64> {
        let each: Option<Vec<f64>> =
            self.members.iter().map(|(_, member)| member.accuracy).collect();
        each.map(|each| each.iter().sum::<f64>() / each.len() as f64)
    }

    /// What is published, which is of all folds.
    pub(super) fn paper(&self) -> Option<&Paper> {
        let (_, first) = self.members.first()?;
        first.paper.as_ref().filter(|_| self.members.len() == self.folds)
    }
}

/// A line of a table for people.
pub(super) struct Line<'a> {
    pub(super) label: String,
    pub(super) cost: Cost,
    pub(super) is_best: bool,
    pub(super) above: Option<Difference>,
    pub(super) published: Vec<Published>,
    accuracy: Option<f64>,
    parameters: &'a str,
    train_seconds: Option<f64>,
    sees: &'a str,
}

impl<'a> Section<'a> {
    fn is_of_folds(&self) -> bool {
        self.groups.iter().all(|group| group.members.iter().all(|member| member.fold.is_some()))
    }

    /// What the rows are.
    pub(super) fn heading(&self) -> String {
        match self.groups[..] {
            [group] => group.rows.heading(),
            [first, ..] => {
                let examples = self.groups.iter().map(|group| group.rows.examples).sum();
                let (rows, folds) = (&first.rows, self.groups.len());
                format!("{}: {folds} folds, {}", rows.name, rows.words(examples))
            }
            [] => String::new(),
        }
    }

    /// The runs; before those of the folds of a config their mean.
    pub(super) fn lines(&self) -> Vec<Line<'a>> {
        let mut lines = Vec::new();
        let all: Vec<(&'a Group, &'a Member)> = self
            .groups
            .iter()
            .flat_map(|&group| group.members.iter().map(move |member| (group, member)))
            .collect();
        let is_in = |one: &Crossed<'_>, member: &Member| {
            one.members.iter().any(|(_, other)| std::ptr::eq(*other, member))
        };
        for one in &self.crossed {
            lines.push(Line::of_folds(one));
            // What each conditional sees is said once.
            let fold = |(group, member): &(&Group, &'a Member)| Line {
                sees: "",
                ..Line::of(group, member)
            };
            lines.extend(one.members.iter().map(fold));
        }
        let single =
            |(_, member): &&(&Group, &Member)| !self.crossed.iter().any(|one| is_in(one, member));
        lines.extend(all.iter().filter(single).map(|(group, member)| Line::of(group, member)));
        lines
    }
}

impl<'a> Line<'a> {
    fn of(group: &Group, member: &'a Member) -> Self {
        let best = group.best();
        let is_best = best.is_some_and(|best| best.run == member.run);
        // What is published of data in folds is a mean over them.
        let paper = member.paper.as_ref().filter(|_| member.fold.is_none());
        let cost = member.cost();
        Self {
            label: member.label.clone(),
            cost,
            is_best,
            above: best.filter(|_| !is_best).map(|best| Difference::of(member, best)),
            published: paper.map_or_else(Vec::new, |paper| Published::of(paper, &cost)),
            accuracy: member.accuracy,
            parameters: &member.parameters,
            train_seconds: member.train_seconds,
            sees: &member.sees,
        }
    }

    fn of_folds(one: &Crossed<'a>) -> Self {
        let (_, first) = one.members[0];
        let seconds: Option<Vec<f64>> =
            one.members.iter().map(|(_, member)| member.train_seconds).collect();
        Self {
            label: format!("{}, mean of {}", one.config, one.members.len()),
            cost: one.cost,
            is_best: one.is_best,
            above: one.above,
            published: one.paper().map_or_else(Vec::new, |paper| Published::of(paper, &one.cost)),
            accuracy: one.accuracy(),
            parameters: &first.parameters,
            train_seconds: seconds.map(|seconds| seconds.iter().sum()),
            sees: &first.sees,
        }
    }
}

/// With a typographic minus.
fn minus(number: String) -> String {
    number.replace('-', "−")
}

/// A column of a table for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Run,
    Nats,
    Standardized,
    Above,
    Published,
    Bits,
    Accuracy,
    Parameters,
    Seconds,
    Sees,
}

impl Column {
    /// Those that these lines have something for.
    pub(super) fn of(lines: &[Line<'_>]) -> Vec<Self> {
        let mut columns = vec![Self::Run, Self::Nats];
        let mut add = |column, is_there: bool| columns.extend(is_there.then_some(column));
        add(Self::Standardized, lines.iter().any(|line| line.cost.standardized.is_some()));
        add(Self::Above, lines.iter().any(|line| line.is_best));
        add(Self::Published, lines.iter().any(|line| !line.published.is_empty()));
        add(Self::Bits, true);
        add(Self::Accuracy, lines.iter().any(|line| line.accuracy.is_some()));
        columns.extend([Self::Parameters, Self::Seconds, Self::Sees]);
        columns
    }

    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Nats => "NLL, nats",
            Self::Standardized => "standardized, nats",
            Self::Above => "above the best, nats",
            Self::Published => "published (above it)",
            Self::Bits => "bits/dim",
            Self::Accuracy => "labels right",
            Self::Parameters => "free parameters",
            Self::Seconds => "trained in",
            Self::Sees => "each conditional sees",
        }
    }

    /// Whether it is one of numbers.
    pub(super) fn is_number(self) -> bool {
        !matches!(self, Self::Run | Self::Sees)
    }

    /// What stands in it.
    pub(super) fn cell(self, line: &Line<'_>) -> String {
        let mean = |nats: f64, stderr: f64| match nats {
            nats if nats.is_infinite() => "∞".to_owned(),
            nats if stderr.is_nan() => minus(format!("{nats:.4}")),
            nats => minus(format!("{nats:.4} ± {stderr:.4}")),
        };
        let cost = &line.cost;
        match self {
            Self::Run => line.label.clone(),
            Self::Nats => mean(cost.nll_nats, cost.nll_nats_stderr),
            Self::Standardized => {
                cost.standardized.map(|(nats, stderr)| mean(nats, stderr)).unwrap_or_default()
            }
            Self::Above if line.is_best => "best".to_owned(),
            Self::Above => line.above.map(Difference::words).unwrap_or_default(),
            Self::Published => {
                line.published.iter().map(Published::words).collect::<Vec<_>>().join(", ")
            }
            Self::Bits => match cost.bits_per_dim() {
                bits if bits.is_finite() => minus(format!("{bits:.4}")),
                _ => "∞".to_owned(),
            },
            Self::Accuracy => {
                line.accuracy.map(|share| format!("{:.2} %", 100.0 * share)).unwrap_or_default()
            }
            Self::Parameters => short_count(line.parameters),
            Self::Seconds => line.train_seconds.map(human_seconds).unwrap_or_default(),
            Self::Sees => line.sees.to_owned(),
        }
    }
}
