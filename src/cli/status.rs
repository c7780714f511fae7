//! `qastack status`: what runs, whether it is well, and what it shows.

use super::stack::ChosenEngine;
use super::{Context, push, stack};
use crate::engine::embedded::EmbeddedEngine;
use crate::error::Result;
use crate::lifecycle::{self, ServiceStatus, Shown, StatusReport};
use crate::output::{Answer, Style};
use crate::prometheus::TargetHealth;
use crate::push::backlog::reports;
use crate::push::spool::{SENT_BY, Spool, Waits};
use crate::secret::Secret;
use crate::stack::Names;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use std::fmt::Write;

/// Show what runs, whether it is well, and the current figures; exits 3 when anything is wrong
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Show Grafana's login and the exporter's admin token too
    #[arg(long)]
    show_secrets: bool,
}

/// Looks at the stack.
pub async fn run(arguments: StatusArgs, context: &Context) -> Result<Answer> {
    let settings = stack::load_settings(context)?.settings;
    let credentials = stack::credentials(&settings, context.globals.file.as_deref())?;
    let names = Names::new(&settings.project);
    let (report, shown) = match stack::engine(context, &settings).await? {
        ChosenEngine::Docker(engine) => {
            let report = lifecycle::status(&engine, &names, &credentials).await?;
            let shown = match arguments.show_secrets {
                true => Some(lifecycle::shown(&engine, &names, &credentials).await?),
                false => None,
            };
            (report, shown)
        }
        ChosenEngine::Embedded(engine, _) => {
            let token = || engine.read_admin_token().map(|admin_token| Shown { grafana_password: None, admin_token });
            (
                lifecycle::embedded::status(&engine, &settings.project).await?,
                arguments.show_secrets.then(token).transpose()?,
            )
        }
    };
    let mut text = in_words(&report, context.output.style());
    let verdict = report.verdict();
    let mut data = serde_json::to_value(&report).unwrap_or_default();
    // A spool that cannot be read is push's and doctor's to tell: the stack is as it is all the same.
    let waits = Spool::look(push::spool_directory()).ok();
    text += &waits.as_ref().map_or_else(String::new, |waits| spool(waits, context.output.style()));
    data["spool"] = json!(waits);
    if let Some(shown) = shown {
        text += &secrets_in_words(&shown, &credentials.user);
        data["secrets"] = json!({
            "grafana_user": shown.grafana_password.as_ref().map(|_| &credentials.user),
            "grafana_password": shown.grafana_password.as_ref().map(Secret::expose),
            "admin_token": shown.admin_token.as_ref().map(Secret::expose),
        });
    }
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
    let project = format!("{:<14} {}\n", "project", report.project);
    let _ = write!(text, "\n{project}{rest}{}", figures(report, style));
    text
}

/// For somebody who asked to see them.
fn secrets_in_words(shown: &Shown, user: &str) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    if let Some(password) = &shown.grafana_password {
        let _ = writeln!(text, "{:<14} {user} / {}", "Grafana login", password.expose());
    }
    if let Some(token) = &shown.admin_token {
        let _ = writeln!(text, "{:<14} {}", "admin token", token.expose());
    }
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

/// Reports that a push could not deliver; nothing where none waits.
fn spool(waits: &Waits, style: Style) -> String {
    if waits.waiting == 0 {
        return String::new();
    }
    let waiting = style.warning(&reports(waits.waiting));
    let since = waits.since.map_or_else(String::new, |since| format!(" since {since}"));
    format!("{:<14} {waiting}{since} in {}\n{:<14} {SENT_BY}\n", "spool", waits.directory, "")
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
