//! Latency over quantiles, for a terminal and as SVG. Both axes are logarithmic.

use std::fmt::Write as _;

const BAR_MAX: usize = 50;

/// As people write it: `p99.9`.
fn name(quantile: f64) -> String {
    if quantile >= 1.0 { "max".to_owned() } else { format!("p{}", trimmed(quantile * 100.0)) }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `850 us`, `4.2 ms`, `1.3 s`.
pub fn duration(us: u64) -> String {
    let us = us as f64;
    match us {
        _ if us < 1e3 => format!("{us:.0} us"),
        _ if us < 1e6 => format!("{:.2} ms", us / 1e3),
        _ => format!("{:.2} s", us / 1e6),
    }
}

fn log_bounds(latencies: &[(f64, u64)]) -> (f64, f64) {
    let logs = latencies.iter().map(|(_, us)| (*us).max(1) as f64).map(f64::log10);
    let (low, high) = logs.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
    (low.floor(), high.ceil().max(low.floor() + 1.0))
}

/// One bar a quantile.
pub fn terminal(latencies: &[(f64, u64)]) -> String {
    let (low, high) = log_bounds(latencies);
    let mut text = String::new();
    for (quantile, us) in latencies {
        let share = ((*us).max(1) as f64).log10() - low;
        let bar = (share / (high - low) * BAR_MAX as f64).round().max(1.0) as usize;
        let (name, took) = (name(*quantile), duration(*us));
        let _ = writeln!(text, "{name:>7}  {:<BAR_MAX$}  {took:>9}", "#".repeat(bar));
    }
    text
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 56.0;

/// A picture that needs nothing but itself. `title` is written above.
pub fn svg(title: &str, latencies: &[(f64, u64)]) -> String {
    let (low, high) = log_bounds(latencies);
    // A quantile by its distance from one, so that every nine has the same width.
    let nines = |q: f64| -(1.0 - q.min(0.999_99)).log10();
    let nines_max = latencies.iter().map(|(q, _)| nines(*q)).fold(1.0, f64::max);
    let x = |q: f64| LEFT + nines(q) / nines_max * (WIDTH - LEFT - RIGHT);
    let y = |us: f64| {
        HEIGHT - BOTTOM - (us.max(1.0).log10() - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
    };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"26\" font-size=\"16\">{}</text>\n",
        escaped(title)
    );
    for power in low as i32..=high as i32 {
        let us = 10_f64.powi(power);
        let (at, right) = (y(us), WIDTH - RIGHT);
        let label = duration(us as u64);
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 8.0,
            at + 4.0
        );
    }
    for (quantile, _) in latencies {
        let (at, below) = (x(*quantile), HEIGHT - BOTTOM + 20.0);
        let name = name(*quantile);
        let _ = writeln!(
            out,
            "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\" font-size=\"11\">\
             {name}</text>"
        );
    }
    let points: Vec<String> =
        latencies.iter().map(|(q, us)| format!("{:.1},{:.1}", x(*q), y(*us as f64))).collect();
    let line = points.join(" ");
    let _ = writeln!(
        out,
        "<polyline points=\"{line}\" fill=\"none\" stroke=\"#1f6feb\" stroke-width=\"2\"/>\n</svg>"
    );
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_a_bar_and_a_point_for_every_quantile() {
        let latencies = [(0.5, 800), (0.99, 12_000), (1.0, 2_000_000)];
        let text = terminal(&latencies);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("p50") && text.contains("12.00 ms") && text.contains("2.00 s"));
        let picture = svg("64 clients & more", &latencies);
        let points = picture.split("points=\"").nth(1).and_then(|rest| rest.split('"').next());
        assert_eq!(points.map(|points| points.split(' ').count()), Some(3));
        assert!(picture.contains("64 clients &amp; more"));
    }
}
