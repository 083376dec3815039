//! What a run was trained with, and what its numbers were computed with.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use ar_models::Isa;
use serde::{Deserialize, Serialize};

/// Program, machine, device and time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Environment {
    /// Version of this program.
    pub(crate) chainrule: String,
    /// The commit it was built from, with `-dirty` behind it where files had been changed since; `null`
    /// where the build did not know it.
    pub(crate) git_revision: Option<String>,
    /// Version of burn.
    pub(crate) burn: String,
    /// The widest instruction set that the kernels use here.
    #[serde(default)]
    pub(crate) instruction_set: String,
    pub(crate) os: String,
    pub(crate) arch: String,
    /// Name of the processor, where the system tells it.
    pub(crate) cpu: Option<String>,
    pub(crate) cores: Option<usize>,
    pub(crate) threads: usize,
    pub(crate) device: String,
    /// When, in UTC.
    pub(crate) date: String,
}

/// Pinned exactly in the workspace's Cargo.toml.
const BURN_VERSION: &str = "0.22.1";

impl Environment {
    pub(crate) fn now(device: &str) -> Self {
        Self {
            chainrule: env!("CARGO_PKG_VERSION").into(),
            git_revision: option_env!("CHAINRULE_GIT_REVISION").map(str::to_owned),
            burn: BURN_VERSION.into(),
            instruction_set: Isa::detect().name().into(),
            os: std::env::consts::OS.into(),
            arch: std::env::consts::ARCH.into(),
            cpu: cpu_model(),
            cores: std::thread::available_parallelism().ok().map(usize::from),
            threads: rayon::current_num_threads(),
            device: device.to_owned(),
            date: utc(SystemTime::now()),
        }
    }

    /// In a line: program, machine, date.
    pub(crate) fn line(&self) -> String {
        let revision = self.git_revision.as_ref().map(|revision| format!("revision {revision}"));
        let parts = [
            Some(format!("chainrule {}", self.chainrule)),
            revision,
            self.cpu.clone(),
            self.cores.map(|cores| format!("{cores} cores")),
            (!self.instruction_set.is_empty()).then(|| self.instruction_set.clone()),
            Some(format!("device {}", self.device)),
            Some(self.date.clone()),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}

/// The processor's name, where the system tells it in a file.
pub(crate) fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// A time as `2026-11-22T12:58:11Z`.
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (day, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days count from 1 March of year 0, so that the leap day is the last of its year: H. Hinnant,
    // "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    let z = day + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_795_352_291, "2026-11-22T12:58:11Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), date);
        }
    }

    #[test]
    fn the_burn_version_is_the_pinned_one() {
        // That of the workspace, or in a package of this crate alone its own.
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let manifests = ["../../Cargo.toml", "Cargo.toml"].map(|name| folder.join(name));
        let manifests = manifests.iter().filter_map(|path| fs::read_to_string(path).ok());
        let pinned = ["burn = { version", "[dependencies.burn]\nversion"];
        let pinned = pinned.map(|name| format!("{name} = \"={BURN_VERSION}\""));
        assert!(manifests.into_iter().any(|text| pinned.iter().any(|pin| text.contains(pin))));
    }
}
