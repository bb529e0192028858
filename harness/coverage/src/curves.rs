//! Curves of bins against clocks simulated, as a picture for documents.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Size of the picture, and room for its texts.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 50.0;
/// Lines of the grid, at most.
const LINES: u64 = 8;
const COLOURS: [&str; 4] = ["#0b6bcb", "#d1491a", "#2e8b57", "#7a3fb0"];

/// A round step, of which about [`LINES`] make `most`.
fn step(most: u64) -> u64 {
    let rough = (most / LINES).max(1);
    let power = 10u64.pow(rough.ilog10());
    [1, 2, 5, 10]
        .into_iter()
        .map(|n| n * power)
        .find(|&s| s >= rough)
        .unwrap_or(rough)
}

/// Text that stands for itself in SVG.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Curves (clocks, bins hit) as SVG; `of` bins can be hit. A point holds until the next one: bins
/// are known when a batch of runs is over.
#[must_use]
pub fn svg(curves: &BTreeMap<String, Vec<(u64, usize)>>, of: usize) -> String {
    let last = |c: &Vec<(u64, usize)>| c.last().map_or(0, |p| p.0);
    let clocks = curves.values().map(last).max().unwrap_or(0).max(1);
    let x = |c: u64| LEFT + (WIDTH - LEFT - RIGHT) * c as f64 / clocks as f64;
    let y = |n: usize| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * n as f64 / of.max(1) as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    let mut line = |x1: f64, y1: f64, x2: f64, y2: f64, colour: &str| {
        let _ = writeln!(
            out,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"
        );
    };
    let (across, up) = (step(clocks), step(of.max(1) as u64));
    for n in 0..=clocks / across {
        line(x(n * across), TOP, x(n * across), y(0), "#e4e4e4");
    }
    for n in 0..=of as u64 / up {
        let at = y((n * up) as usize);
        line(LEFT, at, WIDTH - RIGHT, at, "#e4e4e4");
    }
    line(LEFT, y(of), WIDTH - RIGHT, y(of), "#888");
    let mut text = |x: f64, y: f64, anchor: &str, colour: &str, what: &str| {
        let what = escaped(what);
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{what}</text>"
        );
    };
    for n in 0..=clocks / across {
        let label = format!("{:.1}", (n * across) as f64 / 1e6);
        text(x(n * across), y(0) + 16.0, "middle", "#333", &label);
    }
    for n in 0..=of as u64 / up {
        let label = (n * up).to_string();
        text(
            LEFT - 6.0,
            y((n * up) as usize) + 4.0,
            "end",
            "#333",
            &label,
        );
    }
    text(
        f64::midpoint(LEFT, WIDTH - RIGHT),
        HEIGHT - 12.0,
        "middle",
        "#333",
        "million clocks simulated",
    );
    text(LEFT + 6.0, TOP + 14.0, "start", "#333", "bins hit");
    text(
        WIDTH - RIGHT,
        y(of) - 5.0,
        "end",
        "#333",
        &format!("{of} can be hit"),
    );
    for (n, (name, curve)) in curves.iter().enumerate() {
        let hit = curve.last().map_or(0, |p| p.1);
        let label = format!("{name}: {hit}");
        let below = y(0) - 12.0 - 16.0 * n as f64;
        text(
            WIDTH - RIGHT - 6.0,
            below,
            "end",
            COLOURS[n % COLOURS.len()],
            &label,
        );
    }
    for (n, curve) in curves.values().enumerate() {
        let mut path = String::new();
        let mut before = None;
        for &(c, hit) in curve {
            if let Some(hit) = before {
                let _ = write!(path, "{:.1},{:.1} ", x(c), y(hit));
            }
            let _ = write!(path, "{:.1},{:.1} ", x(c), y(hit));
            before = Some(hit);
        }
        let colour = COLOURS[n % COLOURS.len()];
        let _ = writeln!(
            out,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" points=\"{}\"/>",
            path.trim_end()
        );
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        for (most, want) in [(1, 1), (9, 1), (17, 2), (2629, 500), (4_000_000, 500_000)] {
            assert_eq!(step(most), want, "{most}");
        }
    }

    #[test]
    fn a_curve_begins_at_the_left_and_ends_at_its_last_value() {
        let curves = BTreeMap::from([
            ("a < b".to_owned(), vec![(0, 0), (500, 50), (1000, 100)]),
            ("none".to_owned(), vec![]),
        ]);
        let text = svg(&curves, 100);
        assert!(
            text.contains("points=\"60.0,370.0 400.0,370.0 400.0,195.0 740.0,195.0 740.0,20.0\""),
            "{text}"
        );
        assert!(text.contains("a &lt; b: 100"));
        assert_eq!(text.matches("<polyline").count(), 2);
    }
}
