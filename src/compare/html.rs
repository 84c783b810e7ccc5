//! The report as a page: one self-contained file; pure.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::plot::{DECODE, DELAY, DOWN, QUANTITIES, SERVER, STYLE, UP, chart};
use super::report::{Report, Row};
use super::table::{HEADS, cells, name};

/// Text as it may stand in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// How far from the least one is still as little: what differs less is the machine's doing.
const AS_LITTLE: f64 = 1.15;

/// The rows of so many people with the least of something, for the words: all between which one
/// run cannot tell.
fn least(report: &Report, people: usize, of: fn(&Row) -> Option<f64>) -> Vec<&'static str> {
    let rows = report
        .topologies
        .iter()
        .filter(|row| row.participants == people);
    let with: Vec<_> = rows.filter_map(|r| Some((r, of(r)?))).collect();
    let least = with.iter().map(|(_, value)| *value).min_by(f64::total_cmp);
    let as_little = |value: f64| least.is_some_and(|least| value <= least * AS_LITTLE);
    with.iter()
        .filter(|(_, value)| as_little(*value))
        .map(|(row, _)| name(row.name))
        .collect()
}

/// Where each way wins: with the fewest people, and with the most.
fn wins(report: &Report) -> String {
    let wins = [
        ("Least to receive", DOWN.of),
        ("Least to send", UP.of),
        ("Least to decode", DECODE.of),
        ("Least server CPU", SERVER.of),
        ("Least delay", DELAY.of),
    ];
    let people: BTreeSet<usize> = report.topologies.iter().map(|r| r.participants).collect();
    let ends: BTreeSet<usize> = people
        .first()
        .into_iter()
        .chain(people.last())
        .copied()
        .collect();
    let mut text = String::new();
    for people in ends {
        let _ = write!(text, "<p>With {people} people.");
        for (what, of) in wins {
            let names = least(report, people, of);
            if !names.is_empty() {
                let _ = write!(text, " {what}: <b>{}</b>.", names.join(", "));
            }
        }
        text.push_str("</p>");
    }
    text
}

fn words(report: &Report) -> String {
    let mut text = String::from(
        "<p>A path is one one-way flow of a person's sound and picture between two machines. With \
         <i>n</i> people, everybody sends to everybody in <b>p2p</b>: n(n\u{2212}1). A relay \
         (<b>turn</b>) cuts each in two: 2n(n\u{2212}1). An <b>sfu</b> gets n and forwards \
         n(n\u{2212}1): n\u{b2}. An <b>mcu</b> gets n and sends n: 2n. A relay before a server \
         adds as many paths inside as there are outside. For four: 12, 24, 16, 16+16, 8, 8+8.</p>",
    );
    let rows = &report.topologies;
    let equal = rows.iter().filter(|r| r.paths.expected == r.paths.measured);
    let _ = write!(
        text,
        "<p>Measured paths equal the arithmetic in {} of {} rows.</p>",
        equal.count(),
        rows.len()
    );
    text.push_str(&wins(report));
    text
}

/// The page.
pub fn page(report: &Report) -> String {
    let machine = &report.machine;
    let plots: Vec<String> = (0..QUANTITIES.len())
        .filter_map(|i| chart(report, i))
        .collect();
    let heads: String = HEADS.iter().map(|h| format!("<th>{h}</th>")).collect();
    let rows: String = report
        .topologies
        .iter()
        .map(|row| {
            let cells = cells(row).map(|cell| format!("<td>{cell}</td>"));
            format!("<tr>{}</tr>", cells.concat())
        })
        .collect();
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Tessera: comparison</title>\
         <style>{STYLE} body{{font:16px/1.5 system-ui,sans-serif;color:var(--ink);\
         background:var(--back);max-width:960px;margin:0 auto;padding:16px}} .wide{{overflow-x:auto}} \
         table{{border-collapse:collapse;font-size:14px;white-space:nowrap}} td,th{{padding:4px 8px;\
         text-align:right;border-bottom:1px solid var(--rule)}} .plots{{display:grid;gap:16px;\
         grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr))}} \
         small{{color:var(--soft)}}</style><h1>The same call, every way</h1>{words}\
         <div class=\"plots\">{plots}</div><h2>Figures</h2><div class=\"wide\"><table>\
         <tr>{heads}</tr>{rows}</table></div><p><small>Latencies are p50 / p95. {cpu}, {cores} \
         threads, load {load:.1} before the run; Linux {kernel}; {gstreamer}; Tessera {tessera}; \
         {seconds} s a row. Server and people share the machine.</small></p></html>",
        words = words(report),
        plots = plots.concat(),
        cpu = escaped(&machine.cpu),
        cores = machine.cores,
        load = machine.load,
        kernel = escaped(&machine.kernel),
        gstreamer = escaped(&machine.gstreamer),
        tessera = machine.tessera,
        seconds = report.seconds,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_machine_is_no_markup() {
        assert_eq!(escaped("<b>&"), "&lt;b&gt;&amp;");
    }
}
