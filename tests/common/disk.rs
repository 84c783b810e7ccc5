//! A disk that can be filled.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::recorded::folder;

/// A disk of its own; it goes with the value.
pub struct Disk(TempDir);

impl Disk {
    /// One that holds `size`, as tmpfs has it.
    pub fn new(size: &str) -> Self {
        let folder = folder();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .status();
        let mounted = done.is_ok_and(|status| status.success());
        assert!(
            mounted,
            "this test mounts a small tmpfs and has to run as root"
        );
        Self(folder)
    }

    /// Makes it one that nobody can write to, root neither.
    pub fn make_read_only(&self) {
        let done = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(self.path())
            .status();
        assert!(done.is_ok_and(|status| status.success()), "a remount");
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status();
    }
}
