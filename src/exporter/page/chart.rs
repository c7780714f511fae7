//! Charts as numbers that a template draws: every one is an SVG of the page itself, made on the server.
//!
//! A chart is stretched to its place, so it holds no text; what it says is in its label and in the titles of its
//! parts. It must never hold a style: the pages forbid inline ones.

use std::fmt::Write;

/// The width of a line chart's own coordinates.
pub const WIDTH: f64 = 600.0;

/// The height of a line chart's own coordinates.
pub const HEIGHT: f64 = 120.0;

/// A line over days, some of which may have no value.
#[derive(Debug, Clone, PartialEq)]
pub struct LineChart {
    /// The line.
    pub line: String,
    /// What is between the line and the ground.
    pub area: String,
    /// The last value's dot.
    pub dot: String,
    /// The heights of the bounds that a value is judged by, each with its class.
    pub bounds: Vec<(&'static str, String)>,
    /// The parts that one points at.
    pub parts: Vec<Part>,
    /// The whole, in one sentence.
    pub label: String,
    /// The first and the last day, in words.
    pub ends: (String, String),
}

/// A part of a chart, with what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its left edge.
    pub x: String,
    /// Its width.
    pub width: String,
    /// What it says.
    pub title: String,
}

/// A point of a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The value, if there is one.
    pub value: Option<f64>,
    /// What the point says.
    pub title: String,
}

/// Draws a line, with bounds above the ground. Nothing where fewer than two points have a value.
pub fn line(
    points: &[Point],
    bounds: &[(&'static str, f64)],
    label: String,
    ends: (String, String),
) -> Option<LineChart> {
    let values = || points.iter().filter_map(|point| point.value);
    if values().count() < 2 {
        return None;
    }
    let highest = values().fold(0.0_f64, f64::max);
    let lowest_bound = bounds.iter().map(|bound| bound.1).fold(f64::INFINITY, f64::min);
    // A line far below its bounds is shown below the first of them, not as a mountain range of its own.
    let wanted = if lowest_bound.is_finite() { (highest * 1.2).max(lowest_bound * 1.2) } else { highest * 1.2 };
    let top = if bounds.is_empty() || wanted <= 1.0 || highest > 1.0 { wanted.max(1e-9) } else { 1.02 };
    let step = WIDTH / (points.len() - 1) as f64;
    let y = |value: f64| HEIGHT - value / top * HEIGHT;
    let (mut path, mut area, mut dot) = (String::new(), String::new(), String::new());
    let mut stretch: Vec<(f64, f64)> = Vec::new();
    let last = points.len() - 1;
    for (index, point) in points.iter().enumerate() {
        if let Some(value) = point.value {
            stretch.push((index as f64 * step, y(value)));
        }
        if point.value.is_none() || index == last {
            add_stretch(&mut path, &mut area, &stretch);
            if let (true, Some((x, y))) = (index == last && point.value.is_some(), stretch.last()) {
                dot = format!("M{x:.1} {y:.1}h0");
            }
            stretch.clear();
        }
    }
    let parts = points.iter().enumerate().map(|(index, point)| Part {
        x: format!("{:.1}", (index as f64 - 0.5) * step),
        width: format!("{step:.1}"),
        title: point.title.clone(),
    });
    Some(LineChart {
        line: path,
        area,
        dot,
        bounds: bounds
            .iter()
            .filter(|(_, bound)| *bound < top)
            .map(|(class, bound)| (*class, format!("{:.1}", y(*bound))))
            .collect(),
        parts: parts.collect(),
        label,
        ends,
    })
}

fn add_stretch(path: &mut String, area: &mut String, stretch: &[(f64, f64)]) {
    let (Some((first, _)), Some((last, _))) = (stretch.first(), stretch.last()) else { return };
    // Writing into a String cannot fail.
    let _ = write!(area, "M{first:.1} {HEIGHT}");
    for (index, (x, y)) in stretch.iter().enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
        let _ = write!(area, "L{x:.1} {y:.1}");
    }
    let _ = write!(area, "L{last:.1} {HEIGHT}z");
    if stretch.len() == 1 {
        path.push_str("h0");
    }
}

/// Bars side by side, each made of layers that stand on each other.
#[derive(Debug, Clone, PartialEq)]
pub struct BarChart {
    /// The bars.
    pub bars: Vec<Bar>,
    /// The whole, in one sentence.
    pub label: String,
    /// The first and the last bar, in words.
    pub ends: (String, String),
    /// What the highest bar reaches, in words.
    pub top: String,
}

/// One bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Its left edge.
    pub x: String,
    /// Its width.
    pub width: String,
    /// What it says.
    pub title: String,
    /// Its layers, from the ground up.
    pub layers: Vec<Layer>,
}

/// A layer of a bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Its class: an outcome's word.
    pub class: &'static str,
    /// Its upper edge.
    pub y: String,
    /// Its height.
    pub height: String,
}

/// What one bar is made of: its title, and its layers from the ground up.
pub type BarParts = (String, Vec<(&'static str, f64)>);

/// Draws bars. Nothing where all of them are empty.
pub fn bars(
    parts: &[BarParts],
    label: String,
    ends: (String, String),
    top: impl Fn(f64) -> String,
) -> Option<BarChart> {
    let sum = |layers: &[(&str, f64)]| layers.iter().map(|layer| layer.1).sum::<f64>();
    let highest = parts.iter().map(|(_, layers)| sum(layers)).fold(0.0_f64, f64::max);
    if highest <= 0.0 {
        return None;
    }
    let step = WIDTH / parts.len() as f64;
    let gap = (step * 0.18).min(4.0);
    let bars = parts.iter().enumerate().map(|(index, (title, layers))| {
        let mut ground = HEIGHT;
        let layers = layers.iter().filter(|layer| layer.1 > 0.0).map(|(class, size)| {
            // What is there at all is seen.
            let height = (size / highest * HEIGHT).max(1.5);
            ground = (ground - height).max(0.0);
            Layer { class, y: format!("{ground:.1}"), height: format!("{height:.1}") }
        });
        let layers = layers.collect();
        let (x, width) = (format!("{:.1}", index as f64 * step + gap / 2.0), format!("{:.1}", step - gap));
        Bar { x, width, title: title.clone(), layers }
    });
    Some(BarChart { bars: bars.collect(), label, ends, top: top(highest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[Option<f64>]) -> Vec<Point> {
        values.iter().map(|value| Point { value: *value, title: String::new() }).collect()
    }

    fn drawn(values: &[Option<f64>], bounds: &[(&'static str, f64)]) -> Option<LineChart> {
        line(&points(values), bounds, String::new(), Default::default())
    }

    #[test]
    fn days_without_a_value_are_gaps_and_not_zeros() {
        let chart = drawn(&[Some(0.5), Some(0.5), None, Some(0.5), Some(1.0)], &[]).unwrap();
        assert_eq!(chart.line.matches('M').count(), 2);
        assert_eq!(chart.line, "M0.0 70.0L150.0 70.0M450.0 70.0L600.0 20.0");
        assert_eq!(chart.dot, "M600.0 20.0h0");
        assert!(drawn(&[None, Some(1.0)], &[]).is_none());
        assert_eq!(drawn(&[Some(0.1), Some(0.1), None], &[]).unwrap().dot, "", "the last day has none");
    }

    #[test]
    fn a_line_below_its_bounds_is_seen_to_be_below_them() {
        let chart = drawn(&[Some(0.01), Some(0.01)], &[("watch", 0.05), ("act", 0.1)]).unwrap();
        assert_eq!(chart.bounds, [("watch", "20.0".to_owned())]);
        assert_eq!(chart.line, "M0.0 100.0L600.0 100.0");
    }

    #[test]
    fn no_value_at_all_is_drawn_on_the_ground() {
        assert_eq!(drawn(&[Some(0.0), Some(0.0)], &[]).unwrap().line, "M0.0 120.0L600.0 120.0");
        assert_eq!(
            bars(&[(String::new(), vec![("passed", 0.0)])], String::new(), Default::default(), |_| String::new()),
            None
        );
    }

    #[test]
    fn a_small_layer_is_still_seen() {
        let parts = [(String::new(), vec![("failed", 1.0), ("passed", 9999.0)])];
        let chart = bars(&parts, String::new(), Default::default(), |top| top.to_string()).unwrap();
        assert_eq!(chart.bars[0].layers[0].height, "1.5");
        assert_eq!(chart.bars[0].layers[1].y, "0.0");
        assert_eq!(chart.top, "10000");
    }
}
