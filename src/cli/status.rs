//! `qastack status`: what runs, whether it is well, and what it shows.

use super::stack::ChosenEngine;
use super::{Context, stack};
use crate::engine::embedded::EmbeddedEngine;
use crate::error::Result;
use crate::lifecycle::{self, ServiceStatus, StatusReport};
use crate::output::{Answer, Style};
use crate::prometheus::TargetHealth;
use crate::stack::Names;
use clap::Args;
use jiff::Timestamp;
use std::fmt::Write;

/// Show what runs, whether it is well, and the current figures; exits 3 when anything is wrong
#[derive(Debug, Args)]
pub struct StatusArgs {}

/// Looks at the stack.
pub async fn run(_arguments: StatusArgs, context: &Context) -> Result<Answer> {
    let settings = stack::load_settings(context)?.settings;
    let credentials = stack::credentials(&settings, context.globals.file.as_deref())?;
    let report = match stack::engine(context, &settings).await? {
        ChosenEngine::Docker(engine) => {
            lifecycle::status(&engine, &Names::new(&settings.project), &credentials).await?
        }
        ChosenEngine::Embedded(engine, _) => lifecycle::embedded::status(&engine).await?,
    };
    let text = in_words(&report, context.output.style());
    let verdict = report.verdict();
    let data = serde_json::to_value(&report).unwrap_or_default();
    Ok(Answer { data, text, warnings: report.warnings, verdict })
}

fn in_words(report: &StatusReport, style: Style) -> String {
    let mut text = String::new();
    let rows: Vec<[String; 6]> = report.services.iter().map(row).collect();
    let header = ["SERVICE", "STATE", "HEALTH", "UPTIME", "URL", "IMAGE"].map(str::to_owned);
    let mut widths = header.clone().map(|cell| cell.len());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", style.faint(line(&header, &widths, |_, cell| cell).trim_end()));
    for row in &rows {
        let paint = |column: usize, cell: String| match (column, cell.trim()) {
            (1, "running") | (2, "healthy") => style.good(&cell),
            (1, _) | (2, "unhealthy") => style.error(&cell),
            (2, "starting") => style.warning(&cell),
            _ => cell,
        };
        let _ = writeln!(text, "{}", line(row, &widths, paint).trim_end());
    }
    let rest = if report.engine == EmbeddedEngine::KIND {
        format!(
            "{:<14} {}, the exporter alone; qastack up --engine docker brings the whole stack\n",
            "engine", report.engine
        )
    } else {
        target(report, style) + &data_source(report, style)
    };
    let _ = write!(text, "\n{rest}{}", figures(report, style));
    text
}

fn line(cells: &[String; 6], widths: &[usize; 6], paint: impl Fn(usize, String) -> String) -> String {
    let padded = cells.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
        let width = *width;
        paint(column, format!("{cell:<width$}"))
    });
    padded.collect::<Vec<_>>().join("   ")
}

fn row(service: &ServiceStatus) -> [String; 6] {
    let dash = || "-".to_owned();
    [
        service.name.to_owned(),
        service.state.to_owned(),
        service.health.clone(),
        service.uptime_seconds.map_or_else(dash, duration),
        service.url.clone().unwrap_or_else(dash),
        service.image.clone().unwrap_or_else(dash),
    ]
}

fn target(report: &StatusReport, style: Style) -> String {
    let Some(target) = &report.target else { return format!("{:<14} -\n", "target") };
    let word = match target.health {
        TargetHealth::Up => style.good("UP"),
        TargetHealth::Down => style.error("DOWN"),
        TargetHealth::Unknown => style.warning("UNKNOWN"),
    };
    let ago = target.last_scrape.map(|at| Timestamp::now().duration_since(at).as_secs().max(0).unsigned_abs());
    let ago = ago.map_or_else(String::new, |seconds| format!(", last scrape {} ago", duration(seconds)));
    let error = target.last_error.as_ref().map_or_else(String::new, |error| format!(", {error}"));
    format!("{:<14} {word}{ago}{error}\n", "target")
}

fn data_source(report: &StatusReport, style: Style) -> String {
    let Some(source) = &report.data_source else { return format!("{:<14} -\n", "data source") };
    let word = if source.health == "ok" { style.good("ok") } else { style.error(source.health) };
    format!("{:<14} {word}, {}\n", "data source", source.message)
}

fn figures(report: &StatusReport, style: Style) -> String {
    let words = report.figures.map_or_else(|| "-".to_owned(), |figures| style.strong(&figures.in_words()));
    format!("{:<14} {words}\n", "figures")
}

/// Seconds as people say them: the two largest units.
fn duration(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        assert_eq!(duration(7), "7 s");
        assert_eq!(duration(67), "1 min 7 s");
        assert_eq!(duration(3_600 * 5 + 61), "5 h 1 min");
        assert_eq!(duration(86_400 * 3 + 7_200), "3 d 2 h");
    }
}
