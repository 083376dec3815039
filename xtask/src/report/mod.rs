//! What an experiment leaves for the eye: `report.html` and `samples.png`.

mod chart;
mod font;
mod html;
mod picture;

pub(crate) use html::{Pictures, render};
pub(crate) use picture::{Images, SheetRow, sheet};
