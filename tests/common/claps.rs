//! Whether what was seen and heard at one moment is so in a file.

use std::path::Path;
use std::time::Duration;

use tessera::bots::observe::probe::Picture;

use super::film;

/// When it begins to be light where the first of up to three people is in a grid.
pub fn flashes(file: &Path) -> Vec<Duration> {
    let pictures = film::pictures(file);
    let light = |picture: &Picture| {
        let whole = picture.bounds();
        picture.luma(whole.w / 4, whole.h / 3) > 128
    };
    let onsets = pictures
        .windows(2)
        .filter(|pair| !light(&pair[0]) && light(&pair[1]));
    onsets.map(|pair| pair[1].arrival).collect()
}

/// When it begins to sound after half a second of nothing.
pub fn claps(file: &Path) -> Vec<Duration> {
    const STEP: usize = film::RATE / 1000;
    let sound = film::sound(file);
    let loud = |block: &[f32]| block.iter().any(|sample| sample.abs() > 0.02);
    let blocks: Vec<bool> = sound.chunks(STEP).map(loud).collect();
    let quiet_before = |at: usize| !blocks[at.saturating_sub(500)..at].contains(&true);
    let onsets = (500..blocks.len()).filter(|at| blocks[*at] && quiet_before(*at));
    onsets.map(|ms| Duration::from_millis(ms as u64)).collect()
}

/// How far the sound of each clap lies from its picture, ms; more is later.
pub fn offsets(flashes: &[Duration], claps: &[Duration]) -> Vec<f64> {
    let in_ms = |at: &Duration| at.as_secs_f64() * 1000.0;
    let nearest = |clap: &Duration| {
        let offset = flashes.iter().map(|flash| in_ms(clap) - in_ms(flash));
        offset.min_by(|a, b| a.abs().total_cmp(&b.abs()))
    };
    claps.iter().filter_map(nearest).collect()
}
