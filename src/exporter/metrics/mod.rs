//! `GET /metrics`: every figure and count, in Prometheus' words, with bounded labels.
//!
//! The page is made from the store's snapshot, which no writer holds up, and kept until the snapshot changes or the
//! second is over. No commit or run is ever a label, and a test's
//! name only where the settings ask for it.

mod families;
mod own;
mod top;

pub(super) use own::Overflow;
pub(super) use top::Top;

pub(super) use own::bytes_on_disk;

use super::Exporter;
use super::exposition::{CONTENT_TYPE, Exposition};
use super::problem::Problem;
use crate::store::{Snapshot, Store};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::sync::Arc;

/// The families and labels of a page that is shown as long as nothing changed.
#[derive(Debug, Clone)]
pub(super) struct Rendered {
    /// The second it was made in.
    at: i64,
    /// The snapshots it was made from: the one that is shown, and the store's own.
    snapshots: [Option<Arc<Snapshot>>; 2],
    body: Bytes,
}

/// Answers with the page; while the store opens there is none, since "no data" would not be true.
///
/// # Errors
/// 503 while the store is not open.
pub async fn metrics(State(exporter): State<Arc<Exporter>>) -> Result<Response, Problem> {
    let store = exporter.store()?;
    let headers = [(header::CONTENT_TYPE, CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, page(&exporter, &store).await).into_response())
}

async fn page(exporter: &Exporter, store: &Store) -> Bytes {
    let shown = exporter.shown().await;
    let now = exporter.now();
    let snapshots = [shown.snapshot.clone(), Some(store.snapshot())];
    let kept = exporter.rendered().filter(|kept| kept.at == now && same(&kept.snapshots, &snapshots));
    if let Some(kept) = kept {
        return kept.body;
    }
    let mut page = Exposition::new();
    let left_out = families::write(&mut page, &shown, now);
    exporter.overflow().see(left_out);
    top::write(&mut page, exporter.top(), &shown, now, exporter.in_force().settings.metrics.top_flaky);
    own::write(&mut page, exporter);
    let body = Bytes::from(page.finish());
    exporter.keep_rendered(Rendered { at: now, snapshots, body: body.clone() });
    body
}

/// Whether the snapshots are the same ones; a new commit makes a new one.
fn same(kept: &[Option<Arc<Snapshot>>; 2], now: &[Option<Arc<Snapshot>>; 2]) -> bool {
    kept.iter().zip(now).all(|(kept, now)| match (kept, now) {
        (Some(kept), Some(now)) => Arc::ptr_eq(kept, now),
        (None, None) => true,
        _ => false,
    })
}
