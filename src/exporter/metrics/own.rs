//! The families about the exporter itself.

use crate::exporter::Exporter;
use crate::exporter::exposition::Exposition;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Labels that found no room, counted from page to page.
#[derive(Debug, Default)]
pub struct Overflow(Mutex<(usize, u64)>);

impl Overflow {
    /// Notes how many labels a page leaves out: those that the page before did not leave out are new.
    pub(super) fn see(&self, left_out: usize) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.1 += left_out.saturating_sub(seen.0) as u64;
        seen.0 = left_out;
    }

    pub(super) fn total(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// Writes every family about the exporter itself.
pub(super) fn write(page: &mut Exposition, exporter: &Exporter) {
    page.gauge("qastack_build_info", "1, with the version of this exporter")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    if let Some(store) = exporter.open_store() {
        let snapshot = store.snapshot();
        let totals = &snapshot.ingest;
        let mut reports = page.counter("qastack_ingest_reports_total", "Uploads, by format and by what became of them");
        for ((format, result), count) in &totals.reports {
            reports.sample(&[("format", format), ("result", result)], *count as f64);
        }
        page.counter("qastack_ingest_bytes_total", "Bytes of all uploads, inflated").sample(&[], totals.bytes as f64);
        let mut warnings =
            page.counter("qastack_parse_warnings_total", "Things a reader of reports had to guess or mend");
        for (code, count) in &totals.warnings {
            warnings.sample(&[("code", code)], *count as f64);
        }
        page.gauge("qastack_db_size_bytes", "Bytes that the store occupies on disk")
            .sample(&[], exporter.file().map_or(0.0, |file| bytes_on_disk(file) as f64));
    }
    page.counter("qastack_label_overflow_total", "Projects, suites and branches that found no room for series")
        .sample(&[], exporter.overflow().total() as f64);
    page.gauge("process_start_time_seconds", "When the process started, in seconds since 1970")
        .sample(&[], exporter.started_at() as f64);
    if let Some(bytes) = resident_bytes() {
        page.gauge("process_resident_memory_bytes", "Memory of the process that is in RAM").sample(&[], bytes as f64);
    }
}

/// The store's file and the log of what is not yet merged into it.
pub(in crate::exporter) fn bytes_on_disk(file: &Path) -> u64 {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    [file, Path::new(&log)].iter().filter_map(|path| Some(std::fs::metadata(path).ok()?.len())).sum()
}

/// What Linux says; other systems say it in other ways, and there the family is missing.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
