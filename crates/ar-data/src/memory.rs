//! How much memory this process can still take, where the system tells.
//!
//! Linux tells in files, and the least of what they say is what there is:
//!
//! | file | what it bounds |
//! |---|---|
//! | `/proc/meminfo` | `MemAvailable`, what the machine can give without swapping |
//! | `memory.max`, `memory.limit_in_bytes` | a control group and those above it, of either version, such as a container's |
//! | `/proc/self/limits` | the address space and the data of the process, such as `ulimit -v` |
//!
//! Other systems say nothing here.

use std::fs;
use std::path::Path;

use crate::bytes::MAX_CONTENT_BYTES;

/// The share of the memory there is that the content of a file may have, if it is read whole: a
/// byte of content becomes at most one real number of four bytes, or half of one where numbers are
/// text that grows in a vector of up to twice its length.
const SHARE: u64 = 4;

/// The most content of a file that memory has room for if it is read whole: a quarter of
/// [`available_memory`], or [`MAX_CONTENT_BYTES`] where the system does not tell. To ask takes longer than
/// to read a small file.
pub fn content_limit() -> u64 {
    available_memory().map_or(MAX_CONTENT_BYTES, |bytes| bytes / SHARE)
}

/// Bytes that this process can still take, `None` where the system does not tell.
///
/// ```
/// if let Some(bytes) = ar_data::memory::available_memory() {
///     assert!(bytes < 1 << 60);
/// }
/// ```
pub fn available_memory() -> Option<u64> {
    available_under(Path::new("/"))
}

/// [`available_memory`] by the files under `root`.
fn available_under(root: &Path) -> Option<u64> {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let machine = read("proc/meminfo").and_then(|text| kilobytes(&text, "MemAvailable:"));
    let groups = read("proc/self/cgroup").and_then(|text| left_to_groups(root, &text));
    let (limits, status) = (read("proc/self/limits"), read("proc/self/status"));
    let process = limits.zip(status).and_then(|(limits, status)| left_to_process(&limits, &status));
    [machine, groups, process].into_iter().flatten().min()
}

/// The number that follows `key` at the start of a line, which is in units of 1024 bytes.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    value.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// What the limits of a process (`/proc/self/limits`) leave of what it has mapped
/// (`/proc/self/status`); `None` where nothing is limited.
fn left_to_process(limits: &str, status: &str) -> Option<u64> {
    let left = |limit: &str, mapped: &str| {
        let values = limits.lines().find_map(|line| line.strip_prefix(limit))?;
        // The soft limit, or the word "unlimited".
        let limit = values.split_whitespace().next()?.parse::<u64>().ok()?;
        Some(limit.saturating_sub(kilobytes(status, mapped)?))
    };
    [left("Max address space", "VmSize:"), left("Max data size", "VmData:")]
        .into_iter()
        .flatten()
        .min()
}

/// The files of one version of control groups.
struct Version {
    /// Where the groups may be mounted.
    mounts: [&'static str; 2],
    limit: &'static str,
    usage: &'static str,
    /// In `memory.stat`: pages of files that nobody has used for long, which are given up before
    /// any allocation fails.
    reclaimable: &'static str,
}

const V1: Version = Version {
    mounts: ["sys/fs/cgroup/memory", "cgroup/memory"],
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file ",
};

const V2: Version = Version {
    mounts: ["sys/fs/cgroup", "sys/fs/cgroup/unified"],
    limit: "memory.max",
    usage: "memory.current",
    reclaimable: "inactive_file ",
};

/// What is left to the groups that a process is in (`/proc/self/cgroup`), and to those above them;
/// `None` where none has a limit.
fn left_to_groups(root: &Path, groups: &str) -> Option<u64> {
    let left = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let version = match controllers {
            "" => V2,
            list if list.split(',').any(|controller| controller == "memory") => V1,
            _ => return None,
        };
        // Inside a container the path may be that outside, and the group's own files stand at the
        // top.
        let of_group = |group: &Path| {
            let mounts = version.mounts.iter().map(|mount| root.join(mount).join(group));
            mounts.filter_map(|folder| left_to_group(&folder, &version)).min()
        };
        Path::new(path.trim_start_matches('/')).ancestors().filter_map(of_group).min()
    };
    groups.lines().filter_map(left).min()
}

/// What is left to one group; `None` where it has no limit.
fn left_to_group(folder: &Path, version: &Version) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let limit = number(version.limit)?;
    let reclaimable = read("memory.stat").and_then(|stat| {
        let value = stat.lines().find_map(|line| line.strip_prefix(version.reclaimable))?;
        value.trim().parse::<u64>().ok()
    });
    let held = number(version.usage).unwrap_or(0).saturating_sub(reclaimable.unwrap_or(0));
    Some(limit.saturating_sub(held))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str =
        "MemTotal:       24684092 kB\nMemFree:        18924976 kB\nMemAvailable:   22791852 kB\n";
    const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units     
Max cpu time              unlimited            unlimited            seconds   
Max data size             unlimited            unlimited            bytes     
Max address space         unlimited            unlimited            bytes     
";
    const STATUS: &str =
        "Name:\tchainrule\nVmSize:\t    4096 kB\nVmRSS:\t  2024 kB\nVmData:\t   292 kB\n";

    /// A root folder with these files.
    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn available(files: &[(&str, &str)]) -> Option<u64> {
        available_under(system(files).path())
    }

    #[test]
    fn a_system_that_tells_nothing_has_no_answer() {
        assert_eq!(available(&[]), None);
        assert_eq!(available(&[("proc/meminfo", "MemTotal: 5 kB\n")]), None);
        assert_eq!(available(&[("proc/meminfo", "MemAvailable: much kB\n")]), None);
    }

    #[test]
    fn the_machine_gives_what_it_calls_available() {
        assert_eq!(available(&[("proc/meminfo", MEMINFO)]), Some(22_791_852 * 1024));
    }

    #[test]
    fn a_limit_of_the_process_counts_from_what_is_mapped() {
        let of = |limits: &str| {
            available(&[
                ("proc/meminfo", MEMINFO),
                ("proc/self/limits", limits),
                ("proc/self/status", STATUS),
            ])
        };
        assert_eq!(of(LIMITS), Some(22_791_852 * 1024));
        let space = LIMITS.replace("space         unlimited ", "space         6442450944");
        assert_eq!(of(&space), Some(6_442_450_944 - (4096 << 10)));
        let data = space.replace("size             unlimited ", "size             3000000000");
        assert_eq!(of(&data), Some(3_000_000_000 - (292 << 10)));
        // More mapped than the limit, which was set later.
        let tiny = LIMITS.replace("space         unlimited", "space         1000     ");
        assert_eq!(of(&tiny), Some(0));
    }

    #[test]
    fn a_group_of_the_second_version_and_those_above_it_count() {
        let own = "sys/fs/cgroup/user/job";
        let file = |name: &str| format!("{own}/{name}");
        let (max, current, stat) =
            (file("memory.max"), file("memory.current"), file("memory.stat"));
        let mut files = vec![
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "0::/user/job\n"),
            (&max, "max\n"),
            (&current, "5000\n"),
        ];
        assert_eq!(available(&files), Some(22_791_852 * 1024));
        files[2].1 = "1000000\n";
        assert_eq!(available(&files), Some(995_000));
        files.push((&stat, "anon 1000\ninactive_file 3000\nactive_file 1000\n"));
        assert_eq!(available(&files), Some(998_000));
        // The folder above allows less.
        files.push(("sys/fs/cgroup/user/memory.max", "800000\n"));
        files.push(("sys/fs/cgroup/user/memory.current", "700000\n"));
        assert_eq!(available(&files), Some(100_000));
        // In a container the group's own files are at the top.
        let files = [
            ("proc/self/cgroup", "0::/somewhere/outside\n"),
            ("sys/fs/cgroup/memory.max", "600000\n"),
            ("sys/fs/cgroup/memory.current", "100000\n"),
        ];
        assert_eq!(available(&files), Some(500_000));
    }

    #[test]
    fn a_group_of_the_first_version_counts() {
        let files = [
            ("proc/self/cgroup", "5:cpu,cpuacct:/job\n4:hugetlb,memory:/job\n0::/\n"),
            ("sys/fs/cgroup/cpu/job/memory.limit_in_bytes", "1\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2000000\n"),
            ("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "500000\n"),
            (
                "sys/fs/cgroup/memory/job/memory.stat",
                "inactive_file 1\ntotal_inactive_file 400000\n",
            ),
        ];
        assert_eq!(available(&files), Some(1_900_000));
    }

    #[test]
    fn this_machine_has_some_memory() {
        if let Some(bytes) = available_memory() {
            assert!((1 << 20..1 << 60).contains(&bytes), "{bytes}");
        }
    }
}
