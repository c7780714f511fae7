//! The backlog: what waits in the spool goes before anything new, the oldest first.
//!
//! It is delivered one by one and stops at the first sign that the exporter does not take anything: an outage, or a
//! token that is refused. A parcel that the exporter will never take is moved aside, so that it holds up no other.

use super::patience::Patience;
use super::spool::{Aside, Delivering, Spool, read};
use crate::exporter::client::{Client, Refusal};
use crate::words;
use serde_json::Value;
use std::io;

/// What became of the backlog.
#[derive(Debug, Default)]
pub struct Backlog {
    /// The files that were delivered, each with what the exporter says about it.
    pub delivered: Vec<(String, Value)>,
    /// The files that the exporter does not take, each with why; they are moved aside.
    pub refused: Vec<(String, String)>,
    /// What is to be known: what was torn or dropped, and what waits for another exporter.
    pub warnings: Vec<String>,
    /// Why the rest was not delivered, where that is the exporter's doing.
    pub stopped: Option<Refusal>,
    /// Parcels for this exporter that still wait.
    pub waiting: usize,
}

impl Backlog {
    /// Nothing was delivered, and this is why.
    pub fn with_warning(warning: &str) -> Self {
        Self { warnings: vec![warning.to_owned()], ..Self::default() }
    }
}

/// Delivers what waits for the client's exporter.
///
/// # Errors
/// The spool cannot be read or changed.
pub async fn deliver(
    spool: &Spool,
    right: &Delivering,
    client: &Client,
    patience: &Patience,
    now: i64,
) -> io::Result<Backlog> {
    let mut backlog = Backlog { warnings: spool.trim(right, now)?, ..Backlog::default() };
    let mut elsewhere: Vec<String> = Vec::new();
    for waiting in spool.waiting()? {
        let (bill, mut parcel) = match read(&waiting.path) {
            Ok(read) => read,
            Err(cause) => {
                let aside = spool.set_aside(&waiting.path, Aside::Torn)?;
                backlog.warnings.push(format!(
                    "a report in the spool cannot be delivered: {cause}; it is moved to {}",
                    aside.display()
                ));
                continue;
            }
        };
        if bill.url != client.address() {
            elsewhere.push(bill.url);
            continue;
        }
        if backlog.stopped.is_some() {
            backlog.waiting += 1;
            continue;
        }
        // Its place in the windows is where it was pushed, whenever it arrives.
        parcel.label.meta.started_at.get_or_insert(bill.pushed_at);
        match patience.send(&parcel, client).await {
            Ok(receipt) => {
                std::fs::remove_file(&waiting.path)?;
                backlog.delivered.push((bill.label.file, receipt));
            }
            Err(refusal) if refusal.is_final() => {
                let aside = spool.set_aside(&waiting.path, Aside::Refused)?;
                let why = refusal.into_error(client.base());
                let why = format!("{}; it is moved to {}", why.message(), aside.display());
                backlog.refused.push((bill.label.file, why));
            }
            Err(refusal) => {
                backlog.stopped = Some(refusal);
                backlog.waiting += 1;
            }
        }
    }
    elsewhere.sort();
    for urls in elsewhere.chunk_by(|one, other| one == other) {
        backlog.warnings.push(format!("{} in the spool for another exporter, {}", reports(urls.len()), urls[0]));
    }
    Ok(backlog)
}

/// So many reports, in words.
pub fn reports(count: usize) -> String {
    words::plain(&words::counted(count as u64, "report waits", "reports wait"))
}
