//! Clients that are run as scripts, in processes of their own.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::common::server::PATIENCE;

/// A script that runs. It is told to stop by the end of its input, and killed if dropped before.
pub(crate) struct Script {
    name: String,
    child: Child,
    /// Its input; `Child` would close that while it is waited for.
    input: Option<ChildStdin>,
}

impl Script {
    /// Runs a script of `tests/interop/node`.
    pub(crate) fn node(script: &str, arguments: &[&str]) -> Self {
        let folder = folder("tests/interop/node");
        installed(&folder.join("node_modules"));
        Self::run("node".as_ref(), &folder.join(script), arguments)
    }

    /// Runs a script of `tests/interop/aiortc`.
    pub(crate) fn python(script: &str, arguments: &[&str]) -> Self {
        let python = folder("target/interop/bin/python");
        installed(&python);
        let script = folder("tests/interop/aiortc").join(script);
        Self::run(&python, &script, arguments)
    }

    fn run(program: &Path, script: &Path, arguments: &[&str]) -> Self {
        let name = [&[script.display().to_string()], &*owned(arguments)].concat();
        let child = Command::new(program)
            .arg(script)
            .args(arguments)
            // Nothing is left in the checkout.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        Self {
            name: name.join(" "),
            input: child.stdin.take(),
            child,
        }
    }

    /// What comes of `wait`, for which the script has to run.
    pub(crate) async fn during<T>(&mut self, wait: impl Future<Output = T>) -> T {
        tokio::select! {
            outcome = wait => outcome,
            status = self.child.wait() => panic!("{} has ended: {status:?}", self.name),
        }
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) {
        drop(self.input.take());
        self.ends().await;
    }

    /// Waits until it has done all it was to do.
    pub(crate) async fn ends(self) {
        self.ends_within(PATIENCE).await;
    }

    /// The same, with another patience.
    pub(crate) async fn ends_within(mut self, patience: Duration) {
        let status = timeout(patience, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("{} does not end", self.name));
        assert!(
            status.as_ref().is_ok_and(ExitStatus::success),
            "{}: {status:?}",
            self.name
        );
    }
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(ToString::to_string).collect()
}

/// A place in the checkout.
fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn installed(path: &Path) {
    let shown = path.display();
    assert!(
        path.exists(),
        "{shown} is missing: `make packages-test` installs it"
    );
}
