//! Where data is looked for.

use std::env;
use std::path::PathBuf;

/// The variable that names a folder with data.
pub const DATA_VARIABLE: &str = "CHAINRULE_DATA";

/// Where files are looked for, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locations {
    dirs: Vec<PathBuf>,
}

impl Locations {
    /// The folder given, then the one in `CHAINRULE_DATA`, then `chainrule` in the user's cache
    /// folder.
    pub fn new(data_dir: Option<PathBuf>) -> Self {
        let variable = env::var_os(DATA_VARIABLE).filter(|dir| !dir.is_empty());
        let dirs = [data_dir, variable.map(PathBuf::from), cache_dir()];
        Self::only(dirs.into_iter().flatten())
    }

    /// These folders and no others.
    pub fn only(dirs: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { dirs: dirs.into_iter().collect() }
    }

    /// The folders, in order.
    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }
}

impl Default for Locations {
    /// [`Locations::new`] without a folder from the caller.
    fn default() -> Self {
        Self::new(None)
    }
}

/// `chainrule` in the user's cache folder: `$XDG_CACHE_HOME`, else the platform's own.
pub fn cache_dir() -> Option<PathBuf> {
    let variable = |name: &str| {
        // The XDG specification says that relative paths are to be ignored.
        env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
    };
    let platform = || {
        if cfg!(windows) {
            variable("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            variable("HOME").map(|home| home.join("Library/Caches"))
        } else {
            variable("HOME").map(|home| home.join(".cache"))
        }
    };
    Some(variable("XDG_CACHE_HOME").or_else(platform)?.join("chainrule"))
}
