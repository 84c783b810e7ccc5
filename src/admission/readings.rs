//! Reads what is free for this process from `/proc`, its limits and its control groups.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use procfs::Current;
use procfs::process::Process;
use rlimit::Resource;

use super::means::Means;

/// How long a count of the threads of other processes of the same user is good for. It looks at
/// every process of the machine.
const OTHERS_GOOD_FOR: Duration = Duration::from_secs(5);
/// Bits of the capabilities (capabilities(7)) whose holder no limit of processes stops.
const UNLIMITED_PROCESSES: u64 = 1 << 21 | 1 << 24;
/// Where control groups are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Takes readings. It keeps what does not change, or only slowly.
#[derive(Debug)]
pub(super) struct Reader {
    groups: Groups,
    /// Threads of other processes of this user, and when they were counted.
    others: Option<(Instant, u64)>,
}

impl Reader {
    /// A reader for this process, whose control groups stay what they are.
    pub(super) fn new() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self {
            groups: Groups::of(Path::new(CGROUPS), &own),
            others: None,
        }
    }

    /// What is free now. What cannot be read counts as unlimited.
    pub(super) fn read(&mut self) -> Means {
        let own = Process::myself().ok();
        let own = own.as_ref();
        let machine = procfs::Meminfo::current().ok();
        Means {
            descriptors: own.and_then(free_descriptors),
            threads: least([
                own.and_then(|own| self.free_processes(own)),
                self.groups.free_threads(),
            ]),
            memory: least([
                machine.and_then(|machine| machine.mem_available),
                self.groups.free_memory(),
            ]),
        }
    }

    /// What `RLIMIT_NPROC` leaves. It counts the threads of all processes of the user.
    fn free_processes(&mut self, own: &Process) -> Option<u64> {
        let limit = soft_limit(Resource::NPROC)?;
        let status = own.status().ok()?;
        if status.ruid == 0 || status.capeff & UNLIMITED_PROCESSES != 0 {
            return None;
        }
        let others = match self.others {
            Some((at, others)) if at.elapsed() < OTHERS_GOOD_FOR => others,
            _ => threads_of_others(own.pid, status.ruid),
        };
        if self.others.is_none_or(|(_, known)| known != others) {
            self.others = Some((Instant::now(), others));
        }
        Some(limit.saturating_sub(status.threads + others))
    }
}

fn free_descriptors(own: &Process) -> Option<u64> {
    let open = u64::try_from(own.fd_count().ok()?).ok()?;
    // One of them is the folder that was just read.
    soft_limit(Resource::NOFILE).map(|limit| (limit + 1).saturating_sub(open))
}

/// A limit of this process; `None` if there is none.
fn soft_limit(resource: Resource) -> Option<u64> {
    let soft = resource.get_soft().ok()?;
    (soft != rlimit::INFINITY).then_some(soft)
}

fn threads_of_others(own: i32, user: u32) -> u64 {
    let all = procfs::process::all_processes()
        .into_iter()
        .flatten()
        .flatten();
    let others = all.filter(|one| one.pid != own && one.uid().is_ok_and(|uid| uid == user));
    others
        .filter_map(|one| u64::try_from(one.stat().ok()?.num_threads).ok())
        .sum()
}

fn least<const N: usize>(all: [Option<u64>; N]) -> Option<u64> {
    all.into_iter().flatten().min()
}

/// The control groups that this process is in, each with those above it: all of them limit it.
#[derive(Debug, PartialEq, Eq)]
struct Groups {
    memory: Vec<PathBuf>,
    threads: Vec<PathBuf>,
    version: Version,
}

/// The layout of the files of control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// One folder for each controller.
    One,
    /// One folder for all.
    Two,
}

impl Groups {
    /// The groups below `root` that `/proc/self/cgroup` names.
    fn of(root: &Path, own: &str) -> Self {
        let with = |controller: &str| {
            own.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let controllers = fields.next()?;
                let path = fields.next()?;
                let is_it = controllers.split(',').any(|name| name == controller);
                is_it.then(|| path.trim_start_matches('/').to_owned())
            })
        };
        match (with("memory"), with("pids"), with("")) {
            (None, None, unified) => {
                let folders = upwards(root, &unified.unwrap_or_default());
                Self {
                    memory: folders.clone(),
                    threads: folders,
                    version: Version::Two,
                }
            }
            (memory, pids, _) => Self {
                memory: upwards(&root.join("memory"), &memory.unwrap_or_default()),
                threads: upwards(&root.join("pids"), &pids.unwrap_or_default()),
                version: Version::One,
            },
        }
    }

    fn free_threads(&self) -> Option<u64> {
        let free = self.threads.iter().filter_map(|folder| {
            let used = number(&folder.join("pids.current"))?;
            Some(number(&folder.join("pids.max"))?.saturating_sub(used))
        });
        free.min()
    }

    /// What the groups leave. What the system has cached of files counts as free.
    fn free_memory(&self) -> Option<u64> {
        let (limit, used) = match self.version {
            Version::One => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            Version::Two => ("memory.max", "memory.current"),
        };
        let free = self.memory.iter().filter_map(|folder| {
            let limit = number(&folder.join(limit))?;
            let used = number(&folder.join(used))?;
            let cached = fs::read_to_string(folder.join("memory.stat")).map_or(0, |s| cached(&s));
            Some(limit.saturating_sub(used.saturating_sub(cached)))
        });
        free.min()
    }
}

/// The folder of a group and those above it, up to `root`. In a container the group's path may be
/// that of the host, where `root` is the group itself.
fn upwards(root: &Path, path: &str) -> Vec<PathBuf> {
    let own = root.join(path);
    let above = own
        .ancestors()
        .take_while(|folder| folder.starts_with(root));
    above
        .filter(|folder| folder.is_dir())
        .map(Path::to_owned)
        .collect()
}

/// The number in a file; `None` if there is none, as in `max`.
fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Bytes of files in memory by `memory.stat`, of the group and those below it.
fn cached(stat: &str) -> u64 {
    let value = |name: &str| {
        let mut lines = stat.lines().filter_map(|line| line.split_once(' '));
        let line = lines.find(|(key, _)| *key == name);
        line.and_then(|(_, value)| value.trim().parse::<u64>().ok())
    };
    ["active_file", "inactive_file"]
        .into_iter()
        .filter_map(|name| value(&format!("total_{name}")).or_else(|| value(name)))
        .sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    #[test]
    fn the_tightest_group_above_counts() {
        let root = tempfile::tempdir().unwrap();
        let slice = root.path().join("system.slice");
        write(&slice, &[("pids.max", "100\n"), ("pids.current", "70\n")]);
        let stat = "anon 700\nactive_file 50\ninactive_file 150\nshmem 9\n";
        write(
            &slice.join("tessera.service"),
            &[
                ("pids.max", "max\n"),
                ("pids.current", "12\n"),
                ("memory.max", "1000\n"),
                ("memory.current", "900\n"),
                ("memory.stat", stat),
            ],
        );
        let groups = Groups::of(root.path(), "0::/system.slice/tessera.service\n");
        assert_eq!(groups.version, Version::Two);
        assert_eq!(groups.free_threads(), Some(30));
        assert_eq!(groups.free_memory(), Some(300), "files can be dropped");
    }

    #[test]
    fn groups_of_the_first_version_are_read_too() {
        let root = tempfile::tempdir().unwrap();
        write(
            &root.path().join("memory/docker/abc"),
            &[
                ("memory.limit_in_bytes", "1000"),
                ("memory.usage_in_bytes", "400"),
                ("memory.stat", "inactive_file 1\ntotal_inactive_file 100\n"),
            ],
        );
        // In a container, where the path is that of the host.
        write(
            &root.path().join("pids"),
            &[("pids.max", "64"), ("pids.current", "60")],
        );
        let own = "5:memory:/docker/abc\n4:pids,freezer:/docker/abc\n0::/docker/abc\n";
        let groups = Groups::of(root.path(), own);
        assert_eq!(groups.version, Version::One);
        assert_eq!(groups.free_memory(), Some(700));
        assert_eq!(groups.free_threads(), Some(4));
    }

    #[test]
    fn no_group_is_no_limit() {
        let root = tempfile::tempdir().unwrap();
        for own in ["", "0::/\n", "0::/gone\n", "nonsense"] {
            let groups = Groups::of(root.path(), own);
            assert_eq!((groups.free_memory(), groups.free_threads()), (None, None));
        }
    }

    #[test]
    fn open_files_are_counted() {
        let mut reader = Reader::new();
        let free = |reader: &mut Reader| reader.read().descriptors;
        let Some(before) = free(&mut reader) else {
            return;
        };
        let held: Vec<_> = (0..50)
            .map(|_| fs::File::open("/dev/null").unwrap())
            .collect();
        // Other tests of this process open and close files meanwhile, if not dozens of them.
        let after = free(&mut reader).unwrap();
        assert!(before.abs_diff(after + 50) < 40, "{before}, {after}");
        drop(held);
        assert!(reader.read().memory.is_some_and(|bytes| bytes > 0));
    }
}
