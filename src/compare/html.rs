//! The comparison as a self-contained HTML page; pure.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::plot::{DECODE, DELAY, DOWN, QUANTITIES, SERVER, STYLE, UP, chart};
use super::report::{Comparison, Row};
use super::table::{HEADS, cells};
use crate::topology::Topology;

/// A text escaped for HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Ratio to the least value up to which another counts as equally small: smaller differences come
/// from the machine.
const AS_LITTLE: f64 = 1.15;

/// Reads a quantity from a row; `None` where it was not measured.
type Of = fn(&Row) -> Option<f64>;

/// The quantities that are compared, with the words for having the least.
const WINS: [(&str, Of); 5] = [
    ("least to receive", DOWN.of),
    ("least to send", UP.of),
    ("least to decode", DECODE.of),
    ("least server CPU", SERVER.of),
    ("least delay", DELAY.of),
];

/// The topologies with the least of a quantity: all between which one run cannot tell.
fn least(rows: &[&Row], of: Of) -> Vec<Topology> {
    let with: Vec<_> = rows.iter().filter_map(|r| Some((r.name, of(r)?))).collect();
    let least = with.iter().map(|(_, value)| *value).min_by(f64::total_cmp);
    let as_little = |value: f64| least.is_some_and(|least| value <= least * AS_LITTLE);
    let found = with.into_iter().filter(|(_, value)| as_little(*value));
    found.map(|(name, _)| name).collect()
}

/// Where each topology without a relay wins: with the fewest people, and with the most.
fn wins(report: &Comparison) -> String {
    let people: BTreeSet<usize> = report.topologies.iter().map(|r| r.participants).collect();
    let ends: BTreeSet<usize> = [people.first(), people.last()]
        .into_iter()
        .flatten()
        .copied()
        .collect();
    let mut text = String::new();
    for people in ends {
        let direct = [Topology::P2p, Topology::Sfu, Topology::Mcu];
        let all = report.topologies.iter();
        let rows: Vec<&Row> = all
            .filter(|row| row.participants == people && direct.contains(&row.name))
            .collect();
        let winners = WINS.map(|(what, of)| (what, least(&rows, of)));
        let _ = write!(text, "<p>With {people} people, without a relay:");
        for row in &rows {
            let won = winners.iter().filter(|(_, who)| who.contains(&row.name));
            let won: Vec<String> = won
                .map(|(what, who)| match who.len() {
                    1 => (*what).to_owned(),
                    n if n == rows.len() => format!("{what} (all alike)"),
                    _ => format!("{what} (not alone)"),
                })
                .collect();
            let won = match won.is_empty() {
                true => "the least of nothing".to_owned(),
                false => won.join(", "),
            };
            let _ = write!(text, " <b>{}</b> has {won}.", row.name.as_str());
        }
        text.push_str("</p>");
    }
    text
}

fn words(report: &Comparison) -> String {
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

/// The page, with plots and the table.
pub fn page(report: &Comparison) -> String {
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
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Tessera: comparison</title><style>{STYLE} \
         body{{font:16px/1.5 system-ui,sans-serif;color:var(--ink);\
         background:var(--back);max-width:1140px;margin:0 auto;padding:16px}} \
         .wide{{overflow-x:auto}} \
         table{{border-collapse:collapse;font-size:14px;white-space:nowrap}} \
         td,th{{padding:4px 8px;text-align:right;border-bottom:1px solid var(--rule)}} \
         .plots{{display:grid;gap:16px;\
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
    use crate::compare::plot::tests::{report, row};
    use crate::compare::report::Rates;

    #[test]
    fn who_wins_is_said_of_the_ways_without_a_relay() {
        let of = |name, up_bps, cores| Row {
            per_person: Rates {
                up_bps,
                down_bps: 1e6,
            },
            server_cpu_cores: cores,
            ..row(name, 4)
        };
        let rows = [
            of(Topology::P2p, 3e6, 0.0),
            of(Topology::Sfu, 1e6, 0.1),
            of(Topology::Mcu, 1e6, 0.3),
            of(Topology::TurnMcu, 1.0, 0.4),
        ];
        let text = wins(&report(rows.into()));
        let expected = "<p>With 4 people, without a relay: <b>p2p</b> has least to receive (all \
                        alike), least to decode (all alike), least server CPU, least delay (all \
                        alike). <b>sfu</b> has least to receive (all alike), least to send (not \
                        alone),";
        assert!(text.starts_with(expected), "{text}");
        assert!(!text.contains("turn"), "{text}");
    }

    #[test]
    fn text_of_the_machine_is_no_markup() {
        assert_eq!(escaped("<b>&"), "&lt;b&gt;&amp;");
    }
}
