//! What commands need of the process before they begin.

use anyhow::{Context, Result};
use tessera::{process, telemetry};

/// Starts GStreamer, and brings its log and that of GLib into the program's.
pub(super) fn start_gstreamer() -> Result<()> {
    gst::init().context("GStreamer does not start")?;
    telemetry::bridge_gstreamer_log();
    telemetry::bridge_glib_log();
    Ok(())
}

/// Raises the limit of open files, or says why it stays.
pub(super) fn raise_open_files() {
    match process::raise_open_files() {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
    }
}
