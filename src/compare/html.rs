//! The report as a page: one file, plots in SVG, for light and dark; pure.

use std::fmt::Write;

use super::report::{Report, Row};
use super::table::{HEADS, cells, name};

/// A quantity that is plotted.
struct Quantity {
    title: &'static str,
    unit: &'static str,
    of: fn(&Row) -> Option<f64>,
}

const QUANTITIES: [Quantity; 6] = [
    Quantity {
        title: "Paths",
        unit: "",
        of: |row| Some((row.paths.measured.outside + row.paths.measured.inside) as f64),
    },
    Quantity {
        title: "Sent by each person",
        unit: "kbit/s",
        of: |row| Some(row.per_person.up_bps / 1e3),
    },
    Quantity {
        title: "Received by each person",
        unit: "kbit/s",
        of: |row| Some(row.per_person.down_bps / 1e3),
    },
    Quantity {
        title: "Server CPU",
        unit: "cores",
        of: |row| Some(row.server_cpu_cores),
    },
    Quantity {
        title: "Receiving and decoding, each person",
        unit: "cores",
        of: |row| Some(row.decode_cpu_cores),
    },
    Quantity {
        title: "Frame to frame, median",
        unit: "ms",
        of: |row| Some(row.latency_ms?.p50),
    },
];

/// How many plots there are.
const CHARTS: usize = QUANTITIES.len();

const STYLE: &str = ":root{color-scheme:light dark;--ink:#1b1f24;--soft:#5d6670;--bar:#2f6fbd;\
--back:#fff;--rule:#d6dbe1}@media(prefers-color-scheme:dark){:root{--ink:#e8ebee;--soft:#a2abb5;\
--bar:#6aa5ee;--back:#15181c;--rule:#343b43}}";

/// One of the plots as an SVG of its own: a bar for each row.
pub fn chart(report: &Report, which: usize) -> Option<String> {
    let quantity = QUANTITIES.get(which)?;
    let rows = &report.topologies;
    let most = rows.iter().filter_map(quantity.of).fold(0.0, f64::max);
    let height = 44 + 24 * rows.len();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 420 {height}\" role=\"img\" \
         aria-label=\"{title}\" font-family=\"system-ui,sans-serif\" font-size=\"13\">\
         <style>{STYLE} .ink{{fill:var(--ink)}} .soft{{fill:var(--soft)}} .bar{{fill:var(--bar)}} \
         .back{{fill:var(--back)}}</style><rect class=\"back\" width=\"420\" height=\"{height}\"/>\
         <text class=\"ink\" x=\"8\" y=\"22\" font-size=\"15\" font-weight=\"600\">{title}\
         <tspan class=\"soft\" font-weight=\"400\" dx=\"6\">{unit}</tspan></text>",
        title = quantity.title,
        unit = quantity.unit,
    );
    for (i, row) in rows.iter().enumerate() {
        let y = 36 + 24 * i;
        let value = (quantity.of)(row);
        let width = value.unwrap_or(0.0) / most.max(f64::MIN_POSITIVE) * 230.0;
        // Writing to a string does not fail.
        let _ = write!(
            svg,
            "<text class=\"ink\" x=\"104\" y=\"{text}\" text-anchor=\"end\">{name}, {people}</text>\
             <rect class=\"bar\" x=\"112\" y=\"{y}\" width=\"{width:.1}\" height=\"18\" rx=\"2\"/>\
             <text class=\"soft\" x=\"{after:.1}\" y=\"{text}\">{value}</text>",
            text = y + 14,
            name = name(row.name),
            people = row.participants,
            after = 118.0 + width,
            value = value.map_or("not read".into(), figure),
        );
    }
    svg.push_str("</svg>");
    Some(svg)
}

fn figure(value: f64) -> String {
    match value {
        value if value < 1.0 => format!("{value:.3}"),
        value if value < 10.0 && value.fract() != 0.0 => format!("{value:.2}"),
        value => format!("{value:.0}"),
    }
}

/// Text as it may stand in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// How far from the least one is still as little: what differs less is the machine's doing.
const AS_LITTLE: f64 = 1.15;

/// The rows with the least of something, for the words: all between which one run cannot tell.
fn least(report: &Report, of: fn(&Row) -> Option<f64>) -> Vec<&'static str> {
    let rows = report.topologies.iter();
    let with: Vec<_> = rows.filter_map(|r| Some((r, of(r)?))).collect();
    let least = with.iter().map(|(_, value)| *value).min_by(f64::total_cmp);
    let as_little = |value: f64| least.is_some_and(|least| value <= least * AS_LITTLE);
    with.iter()
        .filter(|(_, value)| as_little(*value))
        .map(|(row, _)| name(row.name))
        .collect()
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
        "<p>Measured paths equal the arithmetic in {} of {} rows.",
        equal.count(),
        rows.len()
    );
    let wins = [
        ("Least to receive", QUANTITIES[2].of),
        ("Least to send", QUANTITIES[1].of),
        ("Least to decode", QUANTITIES[4].of),
        ("Least server CPU", QUANTITIES[3].of),
        ("Least delay", QUANTITIES[5].of),
    ];
    for (what, of) in wins {
        let names = least(report, of);
        if !names.is_empty() {
            let _ = write!(text, " {what}: <b>{}</b>.", names.join(", "));
        }
    }
    text.push_str("</p>");
    text
}

/// The page.
pub fn page(report: &Report) -> String {
    let machine = &report.machine;
    let plots: Vec<String> = (0..CHARTS).filter_map(|i| chart(report, i)).collect();
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
    fn figures_have_the_digits_they_need() {
        assert_eq!(
            [0.0412, 3.456, 12.0, 1234.5].map(figure),
            ["0.041", "3.46", "12", "1234"]
        );
    }

    #[test]
    fn text_of_the_machine_is_no_markup() {
        assert_eq!(escaped("<b>&"), "&lt;b&gt;&amp;");
    }
}
