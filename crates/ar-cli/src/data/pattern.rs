//! Patterns that stand for several files, such as `part-*.parquet`.

use std::path::{Path, PathBuf};

/// The files that a pattern matches, in the order of their names; `None` where it is none, but a path.
pub(crate) fn matching(path: &Path) -> Option<Vec<PathBuf>> {
    let text = path.to_string_lossy();
    if path.exists() || !text.contains(['*', '?', '[']) {
        return None;
    }
    Some(glob::glob(&text).into_iter().flatten().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_what_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| folder.path().join(name);
        for name in ["part-2.csv", "part-10.csv", "part-1.csv", "other.csv", "odd[1].csv"] {
            std::fs::write(of(name), "").unwrap();
        }
        let parts = ["part-1.csv", "part-10.csv", "part-2.csv"].map(of);
        assert_eq!(matching(&of("part-*.csv")), Some(parts.into()));
        assert_eq!(matching(&of("none-*.csv")), Some(Vec::new()));
        assert_eq!(matching(&of("odd[1].csv")), None);
        assert_eq!(matching(&of("missing.csv")), None);
    }
}
