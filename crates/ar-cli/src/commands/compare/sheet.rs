//! The picture of samples: below images of the data a line of each run.

use anyhow::Result;

use super::sections::Section;
use crate::config::Config;
use crate::error::mistake;
use crate::files::Layout;
use crate::report::{Samples, SheetLine, sheet};
use crate::run_dir::RunDir;

/// Checks that there are samples to be seen.
///
/// # Errors
/// When none of the runs is of images.
pub(super) fn require_images(runs: &[(RunDir, Config)]) -> Result<()> {
    for (_, config) in runs {
        let event = config.event_of_run()?;
        let shown = config.symbols().unwrap_or(event);
        if shown.levels.is_some() && Layout::of(&shown.shape).is_some() {
            return Ok(());
        }
    }
    Err(mistake(
        "--sheet is a picture of samples, and none of the runs is of images",
        "remove --sheet; --out FILE.html has rows that are drawn from each run",
    ))
}

/// The picture, as a PNG.
///
/// # Errors
/// When it cannot be encoded.
pub(super) fn of(sections: &[Section<'_>]) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for section in sections {
        // Of folds those of the first.
        let group = section.groups[0];
        let mut is_first = true;
        for member in &group.members {
            let Some(shown) = &member.shown else { continue };
            let (Samples::Images { real, drawn }, Some(layout)) = (&shown.samples, shown.layout)
            else {
                continue;
            };
            let mut line = |label: &str, note: String, pictures| {
                let (label, has_colours) = (label.to_owned(), layout.channels > 1);
                lines.push(SheetLine { label, note, pictures, has_colours });
            };
            if std::mem::take(&mut is_first) {
                let levels = group.rows.levels().filter(|_| sections.len() > 1);
                let levels = levels.map_or_else(String::new, |levels| format!(", {levels} levels"));
                line(&group.rows.name, format!("data{levels}"), real);
            }
            line(&member.label, format!("{:.2} nats", member.score.nll_nats), drawn);
        }
    }
    sheet(&lines)
}
