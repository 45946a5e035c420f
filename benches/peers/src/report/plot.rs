//! Throughput and allocations as an SVG.

use std::{fmt::Write as _, fs};

use bench_peers::{Endpoints, Error, FLOORS, PEERS, PeerKind, Protocol};

use crate::{counts::Calls, loopback};

const CONCURRENCY: usize = 64;
const BAR: f64 = 22.0;
const STEP: f64 = 34.0;
const TOP: f64 = 58.0;
const LABELS: f64 = 150.0;
const LENGTH: f64 = 230.0;
const PANEL: f64 = 330.0;

pub(crate) fn draw(endpoints: &Endpoints, file: &str) -> Result<(), Error> {
    let mut figures = loopback::measure(endpoints, Protocol::Http1, CONCURRENCY)?;
    figures.retain(|it| FLOORS.iter().all(|floor| floor.name() != it.name));
    let names: Vec<_> = figures.iter().map(|it| it.name).collect();
    let throughput: Vec<_> = figures.iter().map(|it| it.throughput).collect();
    // The peers come first, in this order.
    let allocations = PEERS
        .into_iter()
        .map(|peer| Calls::new("create", peer, Protocol::Http1, endpoints).allocations())
        .map(|counts| Ok(counts?.0 as f64))
        .collect::<Result<Vec<_>, Error>>()?;

    let (width, height) = (LABELS + 2.0 * PANEL, TOP + STEP * names.len() as f64 + 12.0);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="system-ui, sans-serif" font-size="13" fill="#24292f">
<rect width="{width}" height="{height}" fill="#ffffff"/>
"##
    );
    for (at, name) in names.iter().enumerate() {
        let (x, y) = (LABELS - 10.0, TOP + STEP * at as f64 + BAR * 0.7);
        writeln!(
            svg,
            r#"<text x="{x}" y="{y}" text-anchor="end">{name}</text>"#
        )?;
    }
    let panels = [
        (
            format!("calls a second, {CONCURRENCY} in flight"),
            "more is better",
            throughput,
        ),
        (
            "allocations a call".to_owned(),
            "fewer is better",
            allocations,
        ),
    ];
    for (at, (title, sense, values)) in panels.iter().enumerate() {
        panel(&mut svg, LABELS + PANEL * at as f64, title, sense, values)?;
    }
    svg.push_str("</svg>\n");
    fs::write(file, svg)?;
    Ok(())
}

fn panel(svg: &mut String, x: f64, title: &str, sense: &str, values: &[f64]) -> Result<(), Error> {
    writeln!(
        svg,
        r#"<text x="{x}" y="24" font-weight="600">{title}</text>"#
    )?;
    writeln!(
        svg,
        r##"<text x="{x}" y="42" fill="#57606a">{sense}</text>"##
    )?;
    let longest = values.iter().copied().fold(1.0, f64::max);
    for (at, value) in values.iter().enumerate() {
        let (y, length) = (TOP + STEP * at as f64, LENGTH * value / longest);
        let color = if PEERS.get(at) == Some(&PeerKind::Ours) {
            "#6c47ff"
        } else {
            "#c9c5d6"
        };
        writeln!(
            svg,
            r#"<rect x="{x}" y="{y}" width="{length:.1}" height="{BAR}" rx="3" fill="{color}"/>"#
        )?;
        let (x, y) = (x + length + 6.0, y + BAR * 0.7);
        writeln!(svg, r#"<text x="{x:.1}" y="{y}">{value:.0}</text>"#)?;
    }
    Ok(())
}
