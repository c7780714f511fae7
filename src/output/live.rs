//! Events as a live view on a terminal: one line a part, what it does or waits for, and for how long.

use super::Style;
use crate::engine::Transfer;
use crate::lifecycle::event::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// Wide enough for `test-metrics`, the longest service name.
const PART_WIDTH: usize = 13;

#[derive(Debug)]
pub struct Live {
    lines: MultiProgress,
    bars: Mutex<HashMap<String, ProgressBar>>,
    style: Style,
}

impl Live {
    pub fn new() -> Self {
        Self { lines: MultiProgress::new(), bars: Mutex::new(HashMap::new()), style: Style::for_stderr() }
    }

    pub fn show(&self, event: &Event) {
        match event {
            Event::Working { part, doing } => self.bar(part).set_message(doing.clone()),
            Event::Waiting { part, until } => {
                self.bar(part).set_message(self.style.faint(&format!("waiting for {until}")));
            }
            Event::Progress { part, doing, transfer: Transfer { done, total, percent } } => {
                self.bar(part).set_message(format!("{doing}  {} of {}  {percent} %", bytes(*done), bytes(*total)));
            }
            Event::Done { part, result, took } => {
                let took = self.style.faint(&format!("{:.1} s", took.as_secs_f64()));
                self.end(part, &self.style.good("✔"), &format!("{result}  {took}"));
            }
            Event::Failed { part, why } => self.end(part, &self.style.error("✘"), why),
            // The view can only fail to draw when the terminal is gone.
            Event::Warning(text) => drop(self.lines.println(format!("{} {text}", self.style.warning("warning:")))),
        }
    }

    /// Leaves the finished lines and takes away those that still move.
    pub fn clear(&self) {
        let Ok(mut bars) = self.bars.lock() else { return };
        for (_, bar) in bars.drain() {
            if !bar.is_finished() {
                bar.finish_and_clear();
            }
        }
    }

    fn bar(&self, part: &str) -> ProgressBar {
        let Ok(mut bars) = self.bars.lock() else { return ProgressBar::hidden() };
        let bar = bars.entry(part.to_owned()).or_insert_with(|| {
            let bar = self.lines.add(ProgressBar::new_spinner());
            bar.set_prefix(format!("{part:<PART_WIDTH$}"));
            bar
        });
        if bar.is_finished() || bar.message().is_empty() {
            bar.reset();
            bar.set_style(moving());
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        bar.clone()
    }

    fn end(&self, part: &str, mark: &str, message: &str) {
        let bar = self.bar(part);
        bar.set_style(still(mark));
        bar.finish_with_message(message.to_owned());
    }
}

fn moving() -> ProgressStyle {
    template("{spinner:.cyan} {prefix:.bold} {wide_msg} {elapsed:.dim}")
}

fn still(mark: &str) -> ProgressStyle {
    template(&format!("{mark} {{prefix:.bold}} {{wide_msg}}"))
}

fn template(text: &str) -> ProgressStyle {
    ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// A size as people read it.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5 << 40), "5.0 TiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
    }
}
