//! Real browsers, driven over WebDriver BiDi.

mod bidi;
mod launch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use base64::Engine;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use bidi::Bidi;
pub use launch::Permission;
use launch::Processes;

/// Keys as WebDriver names them.
pub mod key {
    pub const TAB: char = '\u{e004}';
    pub const ENTER: char = '\u{e007}';
    pub const SHIFT: char = '\u{e008}';
    pub const ESCAPE: char = '\u{e00c}';
    pub const DOWN: char = '\u{e015}';
}

/// Longer than anything in a page takes, and shorter than a browser is waited for.
const PATIENCE: Duration = Duration::from_secs(45);

/// What the tests ask of a page.
const PROBE: &str = include_str!("probe.js");

/// Three browsers and a server fill the machine: one such test at a time in a process.
pub async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// The colours a page is told the user likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Light,
    Dark,
}

/// A browser with one page. It ends when this is dropped.
#[derive(Debug)]
pub struct Page {
    name: String,
    processes: Processes,
    bidi: Arc<Bidi>,
    context: String,
}

impl Page {
    /// A Chromium with camera and microphone.
    pub async fn chromium(name: &str) -> Self {
        Self::chromium_with(name, Permission::Granted).await
    }

    /// A Chromium whose user grants or refuses camera and microphone.
    pub async fn chromium_with(name: &str, permission: Permission) -> Self {
        let started = launch::chromium(permission).await;
        Self::of(name, started.expect("Chromium and chromedriver")).await
    }

    /// A Firefox with camera and microphone.
    pub async fn firefox(name: &str) -> Self {
        Self::of(name, launch::firefox().await.expect("Firefox ESR")).await
    }

    async fn of(name: &str, (processes, bidi): (Processes, Arc<Bidi>)) -> Self {
        let mut page = Self {
            name: name.to_owned(),
            processes,
            bidi,
            context: String::new(),
        };
        let events = json!({"events": ["log.entryAdded"]});
        page.call("session.subscribe", events).await;
        let tree = page.call("browsingContext.getTree", json!({})).await;
        let context = tree["contexts"][0]["context"].as_str();
        page.context = context.expect("the first tab").to_owned();
        page.resize(1280, 800).await;
        page
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        let result = self.bidi.call(method, params).await;
        result.unwrap_or_else(|error| self.fail(&error))
    }

    fn fail(&self, error: &anyhow::Error) -> ! {
        let log = self.bidi.log().join("\n  ");
        panic!("{}'s page: {error:#}\n  console: {log}", self.name)
    }

    /// Opens an address and waits until its scripts have started.
    pub async fn open(&self, url: &str) {
        let params = json!({"context": self.context, "url": url, "wait": "complete"});
        self.call("browsingContext.navigate", params).await;
        self.evaluate(PROBE).await;
        self.until("its scripts", "window.tessera").await;
    }

    /// Opens a room and joins it at once.
    pub async fn join(&self, server: &str, room: &str) {
        let name = &self.name;
        self.open(&format!("{server}/r/{room}?name={name}&autojoin=1"))
            .await;
    }

    /// What an expression gives, awaited, as JSON.
    pub async fn evaluate(&self, expression: &str) -> Value {
        let result = self.try_evaluate(expression).await;
        result.unwrap_or_else(|error| self.fail(&error))
    }

    /// The same as something that the user does: browsers let a page play sound from then on.
    pub async fn act(&self, expression: &str) -> Value {
        let result = self.run(expression, true).await;
        result.unwrap_or_else(|error| self.fail(&error))
    }

    async fn try_evaluate(&self, expression: &str) -> anyhow::Result<Value> {
        self.run(expression, false).await
    }

    async fn run(&self, expression: &str, by_user: bool) -> anyhow::Result<Value> {
        let expression = expression.trim().trim_end_matches(';');
        let params = json!({
            "expression": format!("(async () => JSON.stringify(await ({expression})) ?? 'null')()"),
            "target": {"context": self.context},
            "awaitPromise": true,
            "userActivation": by_user,
        });
        let result = self.bidi.call("script.evaluate", params).await?;
        if result["type"] != "success" {
            let text = result["exceptionDetails"]["text"].as_str();
            return Err(anyhow!("{}", text.unwrap_or("an exception")));
        }
        let text = result["result"]["value"].as_str().context("no text")?;
        Ok(serde_json::from_str(text)?)
    }

    /// Waits in the page until `condition`, an expression, is truthy; gives its value.
    pub async fn until(&self, what: &str, condition: &str) -> Value {
        self.until_within(what, condition, PATIENCE).await
    }

    /// The same with a deadline of its own.
    pub async fn until_within(&self, what: &str, condition: &str, deadline: Duration) -> Value {
        let ms = deadline.as_millis();
        // A value that JSON cannot hold is as good as `true`.
        let expression = format!(
            "probe.until(async () => {{ const value = await ({condition}); \
             return value && (typeof value === 'object' && !Object.keys(value).length ? true : value); }}, {ms})"
        );
        match self.try_evaluate(&expression).await {
            Ok(value) => value,
            Err(error) => {
                self.screenshot(&format!("failed-{}", self.name)).await;
                self.fail(&error.context(format!("waiting for {what}")))
            }
        }
    }

    /// Waits until the composite is on the screen.
    pub async fn pictured(&self) {
        self.evaluate(&format!("probe.pictured({})", PATIENCE.as_millis()))
            .await;
    }

    /// Watches and hears the composite for a while.
    pub async fn watch(&self, length: Duration) -> Value {
        self.evaluate(&format!("probe.watch({})", length.as_millis()))
            .await
    }

    /// Presses and releases keys one after the other.
    pub async fn press(&self, keys: impl IntoIterator<Item = char>) {
        let strokes = keys.into_iter().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()}))
        });
        self.perform(strokes.collect()).await;
    }

    /// Presses a key while another is held.
    pub async fn press_with(&self, held: char, key: char) {
        let stroke = |kind: &str, key: char| json!({"type": kind, "value": key.to_string()});
        let strokes = vec![
            stroke("keyDown", held),
            stroke("keyDown", key),
            stroke("keyUp", key),
            stroke("keyUp", held),
        ];
        self.perform(strokes).await;
    }

    async fn perform(&self, strokes: Vec<Value>) {
        let source = json!({"type": "key", "id": "keyboard", "actions": strokes});
        let params = json!({"context": self.context, "actions": [source]});
        self.call("input.performActions", params).await;
    }

    /// Makes the window another size, in CSS pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        let viewport = json!({"width": width, "height": height});
        let params = json!({"context": self.context, "viewport": viewport});
        self.call("browsingContext.setViewport", params).await;
    }

    /// Tells the page which colours its user likes (Chromium only).
    pub async fn prefer(&self, scheme: Scheme) {
        let value = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let context = json!({"context": self.context});
        let session = self.call("goog:cdp.getSession", context).await;
        // Without transitions a screenshot shows what it will come to.
        let features = json!([
            {"name": "prefers-color-scheme", "value": value},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        let params = json!({
            "method": "Emulation.setEmulatedMedia",
            "params": {"features": features},
            "session": session["session"],
        });
        self.call("goog:cdp.sendCommand", params).await;
    }

    /// Writes what the page looks like to `target/artifacts/browser`.
    pub async fn screenshot(&self, name: &str) {
        let params = json!({"context": self.context});
        let shot = self.call("browsingContext.captureScreenshot", params).await;
        let data = shot["data"].as_str().expect("an image");
        let png = base64::engine::general_purpose::STANDARD.decode(data);
        // Cargo's scratch folder of integration tests stands in the target folder.
        let scratch = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let folder = scratch.with_file_name("artifacts").join("browser");
        std::fs::create_dir_all(&folder).expect("a folder for artifacts");
        std::fs::write(folder.join(format!("{name}.png")), png.expect("base64"))
            .expect("a screenshot written");
    }

    /// Ends the browser as a crash would: at once, without a word to anybody.
    pub fn kill(&self) {
        self.processes.kill_browser();
    }

    /// Panics if a script of the page failed.
    #[track_caller]
    pub fn assert_no_errors(&self) {
        let log = self.bidi.log();
        let errors: Vec<_> = log
            .iter()
            .filter(|line| line.starts_with("error"))
            .collect();
        assert!(errors.is_empty(), "{}'s page: {errors:#?}", self.name);
    }
}
