//! How a figure is judged and shown: good, to be watched, to be acted on; better or worse than a week before.
//!
//! The bounds are those of the dashboards. A figure without bounds is never coloured.

use super::chart::{self, LineChart, Point};
use super::{address, words};
use crate::quality::{Figure, FigureName, Rules, TrendPoint, Unit, has_a_past};

/// What a figure's value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is to be done.
    Good,
    /// It wants attention.
    Watch,
    /// It wants action.
    Act,
    /// Nobody said what is good.
    Plain,
    /// There is no value.
    NoData,
}

impl Verdict {
    /// Its class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Watch => "watch",
            Self::Act => "act",
            Self::Plain => "plain",
            Self::NoData => "none",
        }
    }

    /// Its word for people; empty where there is nothing to say.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Watch => "watch",
            Self::Act => "act",
            Self::Plain | Self::NoData => "",
        }
    }
}

/// From which value on a figure is to be watched, and from which to be acted on.
pub fn bounds(name: FigureName) -> Option<(f64, f64)> {
    match name {
        FigureName::FlakeRate => Some((0.05, 0.1)),
        FigureName::DefectLeakage => Some((0.05, 0.15)),
        FigureName::PassRatio => Some((0.98, 0.9)),
        _ => None,
    }
}

/// Whether more of it is better.
fn more_is_better(name: FigureName) -> Option<bool> {
    match name {
        FigureName::PassRatio | FigureName::RemovalEfficiency => Some(true),
        FigureName::Tests | FigureName::NewTests => None,
        _ => Some(false),
    }
}

/// Judges a value.
pub fn verdict(name: FigureName, value: Option<f64>) -> Verdict {
    let Some(value) = value else { return Verdict::NoData };
    let Some((watch, act)) = bounds(name) else { return Verdict::Plain };
    let reached = |bound: f64| if watch < act { value >= bound } else { value < bound };
    match (reached(act), reached(watch)) {
        (true, _) => Verdict::Act,
        (_, true) => Verdict::Watch,
        _ => Verdict::Good,
    }
}

/// What became of a figure within a week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `better`, `worse` or `same`.
    pub class: &'static str,
    /// An arrow.
    pub sign: &'static str,
    /// In words: `2.0 points more than a week before (6.0 %)`.
    pub text: String,
}

fn change(name: FigureName, now: f64, before: f64) -> Change {
    let unit = name.unit();
    let was = words::quantity(before, unit);
    if words::quantity(now, unit) == was {
        return Change { class: "same", sign: "=", text: format!("the same as a week before ({was})") };
    }
    let rose = now > before;
    let class = match more_is_better(name) {
        None => "same",
        Some(better) if better == rose => "better",
        Some(_) => "worse",
    };
    let by = match unit {
        Unit::Ratio => format!("{:.1}\u{a0}points", (now - before).abs() * 100.0),
        _ => words::quantity((now - before).abs(), unit),
    };
    let text = format!("{by} {} than a week before ({was})", if rose { "more" } else { "less" });
    Change { class, sign: if rose { "▲" } else { "▼" }, text }
}

/// A figure as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Its word.
    pub word: &'static str,
    /// Its name.
    pub title: &'static str,
    /// Its value without the unit, or `no data`.
    pub value: String,
    /// The unit.
    pub unit: String,
    /// What the value means.
    pub verdict: Verdict,
    /// What it is made of.
    pub made_of: String,
    /// Its window.
    pub window: String,
    /// What became of it within a week; nothing where it had no value then.
    pub change: Option<Change>,
    /// Its trend.
    pub chart: Option<LineChart>,
    /// Where it is explained.
    pub explained_at: String,
}

/// What all figures of one place have in common.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The project; nothing for all of them together.
    pub project: Option<&'a str>,
    /// The moment.
    pub now: i64,
    /// The rules.
    pub rules: &'a Rules,
    /// The figures of the days before, the last ones as of now.
    pub trend: &'a [TrendPoint],
    /// Reports of the window that are held out.
    pub held_out: u64,
}

/// Shows a figure.
pub fn show(figure: &Figure, context: &Context<'_>) -> Shown {
    let Context { project, now, rules, trend, held_out } = *context;
    let text = words::value(figure);
    let (value, unit) = match (figure.value, text.rsplit_once('\u{a0}')) {
        (Some(_), Some((value, unit))) if figure.name.unit() == Unit::Ratio => (value.to_owned(), unit.to_owned()),
        _ => (text, String::new()),
    };
    let past = if has_a_past(figure.name) { trend } else { &[] };
    let before = past.len().checked_sub(8).and_then(|index| past[index].figures.value(figure.name));
    Shown {
        word: figure.name.word(),
        title: words::title(figure.name),
        value,
        unit,
        verdict: verdict(figure.name, figure.value),
        made_of: if figure.value.is_some() {
            words::made_of(figure, rules.defects.denominator)
        } else {
            nothing_of(figure.name, held_out)
        },
        window: words::window(figure, now),
        change: figure.value.zip(before).map(|(now, before)| change(figure.name, now, before)),
        chart: chart_of(figure.name, past, rules),
        explained_at: address::figure(project, figure.name),
    }
}

/// Why a figure has no value.
fn nothing_of(name: FigureName, held_out: u64) -> String {
    let why = match name {
        FigureName::DefectLeakage | FigureName::RemovalEfficiency => "no valid defect in the window",
        FigureName::OpenDefects => "no defect is known",
        FigureName::OpenDefectAge => "no defect is open",
        FigureName::ChangeFailureRatio => "no deployment in the window",
        FigureName::RecoveryTime => "no test went from red to green",
        FigureName::TestDurationP50 | FigureName::TestDurationP95 | FigureName::RunDurationP95 => {
            "no duration is known"
        }
        _ if held_out > 0 => {
            let reports = words::counted(held_out, "report", "reports");
            return format!("{reports} of the window held out as an outage, and no other");
        }
        _ => "no test was run in the window",
    };
    why.to_owned()
}

fn chart_of(name: FigureName, trend: &[TrendPoint], rules: &Rules) -> Option<LineChart> {
    let points: Vec<Point> = trend
        .iter()
        .map(|point| {
            let figure = point.figures.get(name);
            let made_of = figure
                .value
                .map(|_| format!(" ({})", words::made_of(figure, rules.defects.denominator)))
                .unwrap_or_default();
            let title = format!("{}: {}{made_of}", words::day(point.day), words::value(figure));
            Point { value: figure.value, title }
        })
        .collect();
    let (first, last) = (trend.first()?, trend.last()?);
    let bounds = match bounds(name) {
        // A share that should be high has its bounds at the other end, and a line of its own tells little beside them.
        Some((watch, act)) if watch < act => vec![("watch", watch), ("act", act)],
        _ => Vec::new(),
    };
    let label = format!(
        "{} from {}, {}, to {}, {}",
        words::title(name),
        words::day(first.day),
        words::value(first.figures.get(name)),
        words::day(last.day),
        words::value(last.figures.get(name)),
    );
    chart::line(&points, &bounds, label, (words::day(first.day), "today".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_judged_by_the_bounds_of_the_dashboards() {
        let verdicts =
            |name, values: &[f64]| values.iter().map(|&value| verdict(name, Some(value)).word()).collect::<Vec<_>>();
        assert_eq!(
            verdicts(FigureName::FlakeRate, &[0.0, 0.049, 0.05, 0.08, 0.1]),
            ["good", "good", "watch", "watch", "act"]
        );
        assert_eq!(verdicts(FigureName::DefectLeakage, &[0.03, 0.15]), ["good", "act"]);
        assert_eq!(verdicts(FigureName::PassRatio, &[1.0, 0.98, 0.95, 0.89]), ["good", "good", "watch", "act"]);
        assert_eq!(verdict(FigureName::Tests, Some(3.0)), Verdict::Plain);
        assert_eq!(verdict(FigureName::FlakeRate, None), Verdict::NoData);
    }

    #[test]
    fn a_change_says_by_how_much_and_whether_it_is_for_the_better() {
        let worse = change(FigureName::FlakeRate, 0.08, 0.06);
        assert_eq!((worse.class, worse.sign), ("worse", "▲"));
        assert_eq!(worse.text.replace('\u{a0}', " "), "2.0 points more than a week before (6.0 %)");
        assert_eq!(change(FigureName::PassRatio, 0.99, 0.95).class, "better");
        assert_eq!(change(FigureName::Tests, 12.0, 10.0).class, "same");
        assert_eq!(change(FigureName::FlakeRate, 0.080_04, 0.08).class, "same");
    }
}
