//! How a page comes about: who asks may read, what is shown is read beside the writer, and a page that was made a
//! moment ago is not made again.
//!
//! A page that is kept is as old as the newest commit; under a storm of pushes it is at most a moment older, and a
//! second while somebody makes it anew, so that readers never keep the writer waiting.

use super::frame::{Frame, Tab};
use crate::exporter::api::{project_key, refused_by_store};
use crate::exporter::problem::Problem;
use crate::exporter::{Asking, Exporter};
use crate::hex::hex;
use crate::quality::{Day, Rules};
use crate::store::{Reader, Snapshot, StoreError};
use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Pages that are made at once: more would only make each of them slower.
const AT_ONCE: usize = 4;

/// Pages that are kept, and the longest one that is worth it.
const KEPT: (usize, usize) = (24, 96 * 1024);

/// How old a page may be although something was stored since.
const MOMENT: Duration = Duration::from_millis(250);

/// How old it may be while it is made anew for somebody else.
const WHILE_MADE: Duration = Duration::from_secs(1);

/// The pages that were made last.
#[derive(Debug)]
pub struct Kept {
    pages: Mutex<HashMap<String, Arc<Made>>>,
    making: Mutex<HashSet<String>>,
    turns: Semaphore,
}

impl Default for Kept {
    fn default() -> Self {
        Self { pages: Mutex::default(), making: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }
}

#[derive(Debug)]
struct Made {
    at: Instant,
    day: Day,
    snapshots: [Option<Arc<Snapshot>>; 2],
    tag: String,
    body: Bytes,
}

impl Kept {
    /// Forgets all of them: the settings changed.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// A page that is as the newest commit, or not older than that.
    fn find(
        &self,
        address: &str,
        day: Day,
        snapshots: &[Option<Arc<Snapshot>>; 2],
        age: Duration,
    ) -> Option<Arc<Made>> {
        let made = self.lock().get(address).cloned()?;
        let same = made.snapshots.iter().zip(snapshots).all(|(one, other)| match (one, other) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        });
        // What is shown first of somebody's own is never late: the sample goes at once.
        let same_kind = made.snapshots.iter().map(kind).eq(snapshots.iter().map(kind));
        (made.day == day && (same || (same_kind && made.at.elapsed() < age))).then_some(made)
    }

    /// The right to make a page, until the value goes; nothing where another has it.
    fn begin<'k>(&'k self, address: &'k str) -> Option<Making<'k>> {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        making.insert(address.to_owned()).then(|| Making { kept: self, address })
    }

    fn keep(&self, address: String, made: Arc<Made>) {
        if made.body.len() > KEPT.1 {
            return;
        }
        let mut pages = self.lock();
        if pages.len() >= KEPT.0
            && !pages.contains_key(&address)
            && let Some(oldest) = pages.iter().min_by_key(|(_, made)| made.at).map(|(address, _)| address.clone())
        {
            pages.remove(&oldest);
        }
        pages.insert(address, made);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Made>>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held while a page is made.
struct Making<'k> {
    kept: &'k Kept,
    address: &'k str,
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.kept.making.lock().unwrap_or_else(PoisonError::into_inner).remove(self.address);
    }
}

/// What decides at a glance what kind of thing is shown.
fn kind(snapshot: &Option<Arc<Snapshot>>) -> Option<usize> {
    snapshot.as_ref().map(|snapshot| snapshot.projects.len())
}

/// What a page is made from.
pub struct View<'a> {
    /// Lists and single things.
    pub reader: &'a Reader<'a>,
    /// The figures' sums.
    pub snapshot: Arc<Snapshot>,
    /// Now, in seconds since 1970.
    pub now: i64,
    /// The project in the address; nothing for all of them together.
    pub project: Option<String>,
    sample: bool,
}

impl View<'_> {
    /// The rules in force.
    pub fn rules(&self) -> &Rules {
        &self.snapshot.rules.rules
    }

    /// What stands around every page.
    pub fn frame(&self, title: impl Into<String>, tab: Tab) -> Frame {
        Frame::new(title.into(), tab, self.project.as_deref(), &self.snapshot, self.sample)
    }

    /// The project in the address.
    ///
    /// # Errors
    /// There is none: the page is about all of them.
    pub fn project(&self) -> Result<&str, StoreError> {
        self.project.as_deref().ok_or_else(|| StoreError::Unknown { what: "project in the address".to_owned() })
    }

    /// Refuses a project that nobody pushed anything to.
    ///
    /// # Errors
    /// There is no such project.
    pub fn known(&self) -> Result<(), StoreError> {
        match &self.project {
            Some(key) if !self.snapshot.projects.contains_key(key) => {
                Err(StoreError::Unknown { what: format!("project {key:?}") })
            }
            _ => Ok(()),
        }
    }
}

/// Makes a page, or hands out the one that was made a moment ago.
///
/// # Errors
/// Who asks may not read; the store is not open; what is asked for is not there.
pub async fn show<T: Template>(
    exporter: &Arc<Exporter>,
    asking: &Asking,
    project: Option<String>,
    make: impl FnOnce(&View<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<Response, Problem> {
    let project = project.map(project_key).transpose()?;
    exporter.authorize_reading(asking, project.as_deref())?;
    let shown = exporter.shown().await;
    let store = shown.store()?;
    let now = exporter.now();
    let snapshots = [shown.snapshot.clone(), exporter.open_store().map(|store| store.snapshot())];
    let kept = exporter.pages();
    let find = |age| kept.find(&asking.address, Day::of(now), &snapshots, age);
    if let Some(made) = find(MOMENT) {
        return Ok(answer(&made, &asking.headers));
    }
    let making = kept.begin(&asking.address);
    if making.is_none()
        && let Some(made) = find(WHILE_MADE)
    {
        return Ok(answer(&made, &asking.headers));
    }
    let stopping = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the exporter is stopping");
    let turn = kept.turns.acquire().await.map_err(stopping)?;
    if let Some(made) = find(MOMENT) {
        return Ok(answer(&made, &asking.headers));
    }
    let sample = shown.sample;
    let body = store
        .read(move |reader| {
            let view = View { reader, snapshot: reader.snapshot(), now, project, sample };
            view.known()?;
            Ok(make(&view)?.render())
        })
        .await
        .map_err(refused_by_store)?
        .map_err(|error| {
            tracing::error!(%error, "a page could not be written");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "unexpected", "the page could not be written")
        })?;
    let made =
        Arc::new(Made { at: Instant::now(), day: Day::of(now), snapshots, tag: tag_of(&body), body: body.into() });
    kept.keep(asking.address.clone(), Arc::clone(&made));
    drop((turn, making));
    Ok(answer(&made, &asking.headers))
}

fn answer(made: &Made, headers: &HeaderMap) -> Response {
    let has_it = headers.get_all(header::IF_NONE_MATCH).iter().any(|tag| tag.as_bytes() == made.tag.as_bytes());
    let tag = HeaderValue::from_str(&made.tag).unwrap_or(HeaderValue::from_static("\"\""));
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, tag),
    ];
    match has_it {
        true => (StatusCode::NOT_MODIFIED, head).into_response(),
        false => (head, made.body.clone()).into_response(),
    }
}

/// A short hash in quotes.
fn tag_of(body: &str) -> String {
    format!("\"{}\"", hex(&Sha256::digest(body.as_bytes())[..9]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_page_is_made_by_one_at_a_time_whether_it_succeeds_or_not() {
        let kept = Kept::default();
        let making = kept.begin("/");
        assert!(making.is_some() && kept.begin("/").is_none() && kept.begin("/runs").is_some());
        drop(making);
        assert!(kept.begin("/").is_some());
    }

    #[test]
    fn a_page_that_something_was_stored_since_is_shown_a_moment_and_longer_while_it_is_made() {
        let kept = Kept::default();
        let stored = || {
            let rules = Arc::new(Rules::default().compile().unwrap());
            let ingest = Arc::default();
            [Some(Arc::new(Snapshot { rules, projects: BTreeMap::new(), ingest, folding: None })), None]
        };
        let (then, now, day) = (stored(), stored(), Day::of(0));
        let found = |age, snapshots, day, allowed| {
            let at = Instant::now().checked_sub(age).unwrap();
            let made = Made { at, day: Day::of(0), snapshots: then.clone(), tag: String::new(), body: Bytes::new() };
            kept.keep("/".to_owned(), Arc::new(made));
            kept.find("/", day, snapshots, allowed).is_some()
        };
        assert!(found(10 * WHILE_MADE, &then, day, MOMENT), "nothing was stored since");
        assert!(found(Duration::ZERO, &now, day, MOMENT));
        assert!(!found(2 * MOMENT, &now, day, MOMENT));
        assert!(found(2 * MOMENT, &now, day, WHILE_MADE));
        assert!(!found(2 * WHILE_MADE, &now, day, WHILE_MADE));
        assert!(!found(Duration::ZERO, &then, Day::of(86_400), WHILE_MADE), "another day has other figures");
        assert!(!found(Duration::ZERO, &[None, None], day, WHILE_MADE), "another kind of thing is shown");
    }
}
