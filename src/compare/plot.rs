//! The plots of a report, in SVG, for light and dark: bars where all rows have as many people,
//! curves over the people where they differ; pure.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::report::{Comparison, Row};
use crate::topology::Topology;

/// A quantity that is plotted.
pub(super) struct Quantity {
    title: &'static str,
    unit: &'static str,
    /// Its value in a row, where it was measured.
    pub(super) of: fn(&Row) -> Option<f64>,
}

pub(super) const PATHS: Quantity = Quantity {
    title: "Paths",
    unit: "",
    of: |row| Some((row.paths.measured.outside + row.paths.measured.inside) as f64),
};
pub(super) const UP: Quantity = Quantity {
    title: "Sent by each person",
    unit: "kbit/s",
    of: |row| Some(row.per_person.up_bps / 1e3),
};
pub(super) const DOWN: Quantity = Quantity {
    title: "Received by each person",
    unit: "kbit/s",
    of: |row| Some(row.per_person.down_bps / 1e3),
};
pub(super) const SERVER: Quantity = Quantity {
    title: "Server CPU",
    unit: "cores",
    of: |row| Some(row.server_cpu_cores),
};
pub(super) const DECODE: Quantity = Quantity {
    title: "Receiving and decoding, each person",
    unit: "cores",
    of: |row| Some(row.decode_cpu_cores),
};
pub(super) const DELAY: Quantity = Quantity {
    title: "Frame to frame, median",
    unit: "ms",
    of: |row| Some(row.latency_ms?.p50),
};

/// All quantities that are plotted, in their order.
pub(super) const QUANTITIES: [Quantity; 6] = [PATHS, UP, DOWN, SERVER, DECODE, DELAY];

/// Colours of the page and its plots, for light and dark.
pub(super) const STYLE: &str = ":root{color-scheme:light dark;--ink:#1b1f24;--soft:#5d6670;\
--bar:#2f6fbd;--back:#fff;--rule:#d6dbe1;--p2p:#8a5a00;--sfu:#1f6fc4;--mcu:#b3261e}\
@media(prefers-color-scheme:dark){:root{--ink:#e8ebee;--soft:#a2abb5;--bar:#6aa5ee;--back:#15181c;\
--rule:#343b43;--p2p:#e0b050;--sfu:#6aa5ee;--mcu:#f2857d}}";

/// Width of a plot, and the edges of its drawing, in pixels.
const WIDTH: f64 = 420.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 408.0;
const TOP: f64 = 78.0;
const BOTTOM: f64 = 238.0;

/// One of the plots as an SVG of its own; `None` if there is none of that index.
pub(super) fn chart(report: &Comparison, which: usize) -> Option<String> {
    let quantity = QUANTITIES.get(which)?;
    let people: BTreeSet<usize> = report.topologies.iter().map(|r| r.participants).collect();
    Some(match people.len() {
        0 | 1 => bars(report, quantity),
        _ => curves(report, quantity, &people),
    })
}

fn begin(quantity: &Quantity, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"{title}\" font-family=\"system-ui,sans-serif\" font-size=\"13\">\
         <style>{STYLE} .ink{{fill:var(--ink)}} .soft{{fill:var(--soft)}} .bar{{fill:var(--bar)}} \
         .back{{fill:var(--back)}} .rule{{stroke:var(--rule)}}</style>\
         <rect class=\"back\" width=\"{WIDTH}\" height=\"{height}\"/>\
         <text class=\"ink\" x=\"8\" y=\"22\" font-size=\"15\" font-weight=\"600\">{title}\
         <tspan class=\"soft\" font-weight=\"400\" dx=\"6\">{unit}</tspan></text>",
        title = quantity.title,
        unit = quantity.unit,
    )
}

/// A plot with a bar for each row.
fn bars(report: &Comparison, quantity: &Quantity) -> String {
    let rows = &report.topologies;
    let most = rows.iter().filter_map(quantity.of).fold(0.0, f64::max);
    let mut svg = begin(quantity, (44 + 24 * rows.len()) as f64);
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
            name = row.name.as_str(),
            people = row.participants,
            after = 118.0 + width,
            value = value.map_or("not read".into(), figure),
        );
    }
    svg.push_str("</svg>");
    svg
}

/// The line of a topology: one colour with and without a relay, dashed with one.
fn stroke(topology: Topology) -> String {
    let color = match topology {
        Topology::P2p | Topology::Turn => "p2p",
        Topology::Sfu | Topology::TurnSfu => "sfu",
        Topology::Mcu | Topology::TurnMcu => "mcu",
    };
    let dash = match topology {
        Topology::P2p | Topology::Sfu | Topology::Mcu => "",
        Topology::Turn | Topology::TurnSfu | Topology::TurnMcu => ";stroke-dasharray:6 4",
    };
    format!("style=\"stroke:var(--{color}){dash}\" fill=\"none\" stroke-width=\"2.2\"")
}

/// The topologies of a report in the order in which they first come.
fn topologies(report: &Comparison) -> Vec<Topology> {
    let mut all = Vec::new();
    for row in &report.topologies {
        if !all.contains(&row.name) {
            all.push(row.name);
        }
    }
    all
}

/// A plot with a curve for each topology over the number of people.
fn curves(report: &Comparison, quantity: &Quantity, people: &BTreeSet<usize>) -> String {
    let rows = &report.topologies;
    let most = rows.iter().filter_map(quantity.of).fold(0.0, f64::max);
    let step = tick(most / 4.0);
    let ticks = (most / step).ceil().max(1.0);
    let (first, last) = (people.first().copied(), people.last().copied());
    let (first, last) = (first.unwrap_or(0) as f64, last.unwrap_or(1) as f64);
    let x = |n: usize| LEFT + (n as f64 - first) / (last - first) * (RIGHT - LEFT);
    let y = |value: f64| BOTTOM - value / (step * ticks) * (BOTTOM - TOP);
    let mut svg = begin(quantity, BOTTOM + 40.0);
    for i in 0..=ticks as usize {
        let value = i as f64 * step;
        let _ = write!(
            svg,
            "<line class=\"rule\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"soft\" x=\"{x}\" y=\"{text:.1}\" text-anchor=\"end\">{value}</text>",
            y = y(value),
            x = LEFT - 6.0,
            text = y(value) + 4.0,
            value = figure(value),
        );
    }
    for n in people {
        let _ = write!(
            svg,
            "<text class=\"soft\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{n}</text>",
            x = x(*n),
            y = BOTTOM + 18.0,
        );
    }
    let _ = write!(
        svg,
        "<text class=\"soft\" x=\"{RIGHT}\" y=\"{}\" text-anchor=\"end\">people</text>",
        BOTTOM + 34.0
    );
    for (i, topology) in topologies(report).into_iter().enumerate() {
        let of_it = rows.iter().filter(|row| row.name == topology);
        let points: Vec<String> = of_it
            .filter_map(|row| Some((row.participants, (quantity.of)(row)?)))
            .map(|(n, value)| format!("{:.1},{:.1}", x(n), y(value)))
            .collect();
        let stroke = stroke(topology);
        let (left, line) = (8.0 + 136.0 * (i % 3) as f64, 44.0 + 18.0 * (i / 3) as f64);
        let _ = write!(
            svg,
            "<polyline points=\"{points}\" {stroke}/><path d=\"M{left} {line}h26\" {stroke}/>\
             <text class=\"ink\" x=\"{text}\" y=\"{base}\">{name}</text>",
            points = points.join(" "),
            text = left + 32.0,
            base = line + 4.0,
            name = topology.as_str(),
        );
    }
    svg.push_str("</svg>");
    svg
}

/// The least of 1, 2 and 5 times a power of ten that is not less than a value.
fn tick(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-6).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|n| n * power);
    let fit = steps.into_iter().find(|step| *step >= least * 0.999);
    fit.unwrap_or(10.0 * power)
}

fn figure(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        value if value < 1.0 => format!("{value:.3}"),
        value if value < 10.0 && value.fract() != 0.0 => format!("{value:.2}"),
        value => format!("{value:.0}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::compare::report::{Counted, Freezes, Latency, Machine, Rates};

    #[test]
    fn figures_have_the_digits_they_need() {
        assert_eq!(
            [0.0, 0.0412, 3.456, 12.0, 1234.5].map(figure),
            ["0", "0.041", "3.46", "12", "1234"]
        );
    }

    pub(in crate::compare) fn row(name: Topology, participants: usize) -> Row {
        let latency = Latency { p50: 3.0, p95: 4.0 };
        let paths = name.paths(participants);
        Row {
            name,
            participants,
            paths: Counted {
                expected: paths,
                measured: paths,
            },
            per_person: Rates {
                up_bps: 1e6,
                down_bps: 2e6,
            },
            server_cpu_cores: 0.1 * participants as f64,
            server_memory_bytes: 1,
            decode_cpu_cores: 0.05,
            latency_ms: Some(latency),
            audio_latency_ms: None,
            freezes: Freezes::default(),
            ssim: None,
        }
    }

    pub(in crate::compare) fn report(topologies: Vec<Row>) -> Comparison {
        Comparison {
            machine: Machine {
                cpu: "a processor".into(),
                cores: 2,
                load: 0.0,
                kernel: "6".into(),
                gstreamer: "1.22".into(),
                tessera: "0".into(),
            },
            seconds: 1,
            topologies,
        }
    }

    #[test]
    fn many_numbers_of_people_make_curves_and_one_makes_bars() {
        let of = |people: &[usize]| {
            let both = |n: &usize| [row(Topology::Sfu, *n), row(Topology::Mcu, *n)];
            report(people.iter().flat_map(both).collect())
        };
        let paths = chart(&of(&[2, 4, 6]), 0).expect("a plot");
        // 4, 16 and 36 of an axis to 40 for the SFU; 4, 8 and 12 for the MCU.
        assert!(
            paths.contains("points=\"52.0,222.0 230.0,174.0 408.0,94.0\""),
            "{paths}"
        );
        assert!(
            paths.contains("points=\"52.0,222.0 230.0,206.0 408.0,190.0\""),
            "{paths}"
        );
        let one = chart(&of(&[4]), 0).expect("a plot");
        assert_eq!(one.matches("class=\"bar\"").count(), 2);
        assert!(!one.contains("polyline"));
    }

    #[test]
    fn ticks_are_round_and_enough() {
        assert_eq!(
            [0.03, 1.0, 2.1, 40.0, 51.0].map(tick),
            [0.05, 1.0, 5.0, 50.0, 100.0]
        );
    }
}
