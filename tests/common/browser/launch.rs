//! Starting browsers, and being sure that they end.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::bidi::Bidi;

/// A cold start of a browser on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(40);

/// What headless Chromium needs here: no sandbox in containers, a camera and a microphone that are
/// not there, and nothing that calls home. Its network is as it comes.
const CHROMIUM_ARGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // The second of them gives Y16, which nothing can send.
    "--use-fake-device-for-media-stream=device-count=3",
    "--autoplay-policy=no-user-gesture-required",
];

/// The same for Firefox, as preferences of a fresh profile. What decides on media is as it comes,
/// but for the devices that are not there and the leave to use them.
const FIREFOX_PREFS: &str = r#"
user_pref("media.navigator.streams.fake", true);
user_pref("media.navigator.permission.disabled", true);
user_pref("app.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("remote.active-protocols", 1);
user_pref("toolkit.telemetry.enabled", false);
"#;

/// Debian's name for it, then everybody else's.
const FIREFOX: [&str; 2] = ["firefox-esr", "firefox"];

/// Whether a page that asks for camera and microphone gets them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    Granted,
    /// Even to a page of this origin (`http://ADDRESS:PORT`), which is not of this machine.
    GrantedTo(String),
    Refused,
}

/// A process and all it started, which end with it, and the folder they wrote to.
#[derive(Debug)]
pub struct Processes {
    leader: Child,
    group: Pid,
    /// The browser itself, where the leader is only its driver.
    browser: Pid,
    profile: TempDir,
    /// Its own place for what is temporary, of which one that is killed leaves some behind. With a
    /// short name: there are sockets in it.
    _scratch: TempDir,
}

impl Processes {
    fn start(mut command: Command, profile: TempDir) -> anyhow::Result<Self> {
        let program = command.as_std().get_program().to_owned();
        let scratch = tempfile::tempdir()?;
        let leader = command
            .env("TMPDIR", scratch.path())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{program:?} does not start: the browser tests need it"))?;
        let id = leader.id().context("the browser ended at once")?;
        let group = Pid::from_raw(i32::try_from(id)?).context("a process id")?;
        Ok(Self {
            leader,
            group,
            browser: group,
            profile,
            _scratch: scratch,
        })
    }

    /// SIGKILL to the browser, and only to it.
    pub fn kill_browser(&self) {
        kill_process(self.browser, Signal::KILL).expect("the browser runs");
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // An error means that all have ended already.
        let _ = kill_process_group(self.group, Signal::KILL);
    }
}

/// Chromium through chromedriver: its processes and a BiDi session.
pub async fn chromium(permission: Permission) -> anyhow::Result<(Processes, Arc<Bidi>)> {
    let profile = profile()?;
    let mut command = Command::new("chromedriver");
    command
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut processes = Processes::start(command, profile)?;
    let out = processes.leader.stdout.take().context("a pipe")?;
    let port = announced(out, "started successfully on port ").await?;
    let port = port.trim_end_matches('.');

    let answer = reqwest::Client::new()
        .post(format!("http://127.0.0.1:{port}/session"))
        .timeout(START_DEADLINE)
        .json(&chromium_capabilities(processes.profile.path(), permission))
        .send()
        .await?
        .json::<Value>()
        .await?;
    let session = &answer["value"];
    let capabilities = &session["capabilities"];
    let url = capabilities["webSocketUrl"]
        .as_str()
        .ok_or_else(|| anyhow!("chromedriver refuses: {session}"))?;
    let browser = capabilities["goog:processID"].as_i64().context("a pid")?;
    processes.browser = Pid::from_raw(i32::try_from(browser)?).context("a pid")?;
    let bidi = Bidi::connect(url).await?;
    Ok((processes, bidi))
}

fn chromium_capabilities(profile: &Path, permission: Permission) -> Value {
    let mut args: Vec<String> = CHROMIUM_ARGS.map(str::to_owned).to_vec();
    args.push(format!("--user-data-dir={}", profile.display()));
    if let Permission::GrantedTo(origin) = &permission {
        let trusted = "--unsafely-treat-insecure-origin-as-secure";
        args.push(format!("{trusted}={origin}"));
    }
    args.push(match permission {
        Permission::Granted | Permission::GrantedTo(_) => "--use-fake-ui-for-media-stream".into(),
        Permission::Refused => "--deny-permission-prompts".into(),
    });
    json!({"capabilities": {"alwaysMatch": {
        "webSocketUrl": true,
        "goog:chromeOptions": {"args": args},
    }}})
}

/// Firefox, which speaks BiDi by itself.
pub async fn firefox() -> anyhow::Result<(Processes, Arc<Bidi>)> {
    let profile = profile()?;
    std::fs::write(profile.path().join("user.js"), FIREFOX_PREFS)?;
    let mut command = Command::new(firefox_program()?);
    command
        .args(["--headless", "--no-remote", "--remote-debugging-port", "0"])
        .arg("--profile")
        .arg(profile.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut processes = Processes::start(command, profile)?;
    let out = processes.leader.stderr.take().context("a pipe")?;
    let url = announced(out, "WebDriver BiDi listening on ").await?;
    let bidi = Bidi::connect(&format!("{url}/session")).await?;
    let session = json!({"capabilities": {}});
    bidi.call("session.new", session).await?;
    Ok((processes, bidi))
}

fn firefox_program() -> anyhow::Result<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    FIREFOX
        .into_iter()
        .find(|name| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
        .with_context(|| format!("none of {FIREFOX:?} in PATH: the browser tests need one"))
}

/// A fresh profile, in Cargo's scratch folder: a browser from a snap has a /tmp of its own and
/// would not see what is written for it in the other one.
fn profile() -> anyhow::Result<TempDir> {
    let folder = env!("CARGO_TARGET_TMPDIR");
    std::fs::create_dir_all(folder)?;
    Ok(tempfile::Builder::new()
        .prefix("profile-")
        .tempdir_in(folder)?)
}

/// The word after `words` in what a process says. Goes on reading afterwards: a process whose
/// pipe is full stands still.
async fn announced(
    out: impl AsyncRead + Unpin + Send + 'static,
    words: &'static str,
) -> anyhow::Result<String> {
    let mut lines = BufReader::new(out).lines();
    let find = async {
        while let Some(line) = lines.next_line().await? {
            if let Some((_, rest)) = line.split_once(words) {
                let word = rest.split_whitespace().next().unwrap_or_default();
                return Ok(word.to_owned());
            }
        }
        bail!("it ended without saying {words:?}")
    };
    let word = timeout(START_DEADLINE, find)
        .await
        .map_err(|_| anyhow!("nothing said {words:?} in {START_DEADLINE:?}"))??;
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(word)
}
