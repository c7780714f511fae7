//! What all handlers share: the store, the sample, the settings in force, and the bounds on work.

use super::Asking;
use super::access::{Access, Holder, TokenHash, user};
use super::body::{self, BodyLimits, Memory, Packing, Sent};
use super::clock::Clock;
use super::metrics::{Overflow, Rendered, Top};
use super::pace::Pace;
use super::page::Kept;
use super::problem::Problem;
use super::sample_store::SampleStore;
use super::shown::Shown;
use super::web::Web;
use crate::quality::Rules;
use crate::reports::{Limits, NameRules};
use crate::settings::{LoadedServe, Reading, ServeSettings};
use crate::store::{Rejection, Retention, Scope, Snapshot, Store};
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Uploads that are read at once. The store has one writer; more readers would only make each of them slower.
const READERS: usize = 2;

/// A plain body of at most this many bytes is worked on where it was read: that takes less than handing it on.
const MOMENT: usize = 32 * 1024;

/// Refused uploads that are remembered.
const REFUSED: usize = 10;

/// The settings as they are applied now.
#[derive(Debug, Clone)]
pub struct InForce {
    /// The settings.
    pub settings: ServeSettings,
    /// The hash of the file they came from.
    pub sha256: Option<String>,
    /// Why the file as it is now is not in force.
    pub reload_error: Option<String>,
    /// How the figures are computed.
    pub rules: Rules,
    /// The version of these rules.
    pub rules_version: String,
    /// Who may do what.
    pub access: Access,
    /// How large a body may be.
    pub body_limits: BodyLimits,
    /// How much of a report is read.
    pub report_limits: Limits,
    /// How the parts of a test's name are left out that differ from run to run.
    pub names: Arc<NameRules>,
}

impl InForce {
    /// Applies settings that were read and checked.
    ///
    /// # Errors
    /// The path and the trouble of a setting that cannot be applied.
    pub fn new(loaded: LoadedServe, access: Access) -> Result<Self, (&'static str, String)> {
        let LoadedServe { settings, sha256 } = loaded;
        let rules = settings.figures.rules()?;
        let names = Arc::new(settings.figures.name_rules()?);
        let uploads = &settings.uploads;
        let body_limits = BodyLimits { sent: uploads.sent.bytes(), inflated: uploads.inflated.bytes() };
        let report_limits = Limits {
            bytes: usize::try_from(uploads.inflated.bytes()).unwrap_or(usize::MAX),
            cases: uploads.tests,
            ..Limits::default()
        };
        let rules_version = rules.version();
        Ok(Self {
            settings,
            sha256,
            reload_error: None,
            rules,
            rules_version,
            access,
            body_limits,
            report_limits,
            names,
        })
    }
}

impl InForce {
    /// What is kept of what was stored.
    pub fn retention(&self) -> Retention {
        let history = &self.settings.history;
        Retention {
            days: u32::try_from(history.executions.as_secs().div_ceil(86_400)).unwrap_or(u32::MAX),
            max_bytes: history.size.map(crate::settings::Memory::bytes),
        }
    }
}

/// What all handlers share.
#[derive(Debug)]
pub struct Exporter {
    store: OnceLock<(Store, Durable)>,
    sample: Mutex<Option<SampleStore>>,
    in_force: RwLock<Arc<InForce>>,
    clock: Arc<dyn Clock>,
    started_at: i64,
    memory: Memory,
    readers: Arc<Semaphore>,
    exchange: Arc<Semaphore>,
    pace: Pace,
    web: Option<Arc<Web>>,
    overflow: Overflow,
    top: Arc<Top>,
    rendered: Mutex<Option<Rendered>>,
    pages: Kept,
    refused: Mutex<VecDeque<(i64, Rejection)>>,
}

/// Whether what is stored outlives the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Durable {
    /// It is in this file before it is acknowledged.
    OnDisk(PathBuf),
    /// There is no place to write to: it is gone with the process.
    InMemory,
}

impl Exporter {
    /// An exporter whose store is not open yet.
    pub fn new(in_force: InForce, clock: Arc<dyn Clock>, web: Option<Arc<Web>>) -> Self {
        Self {
            web,
            store: OnceLock::new(),
            sample: Mutex::new(None),
            memory: Memory::of(in_force.settings.uploads.memory.bytes()),
            in_force: RwLock::new(Arc::new(in_force)),
            started_at: clock.now().as_second(),
            clock,
            readers: Arc::new(Semaphore::new(READERS)),
            exchange: Arc::new(Semaphore::new(1)),
            pace: Pace::default(),
            overflow: Overflow::default(),
            top: Arc::default(),
            rendered: Mutex::new(None),
            pages: Kept::default(),
            refused: Mutex::default(),
        }
    }

    /// Begins to use an open store; from now on it is ready.
    pub async fn begin(&self, store: Store, durable: Durable) {
        self.refresh_sample(&store.snapshot()).await;
        if self.store.set((store, durable)).is_err() {
            tracing::error!("a second store was opened and is not used");
        }
    }

    /// Now, in seconds since 1970.
    pub fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    /// Waits by the clock.
    pub async fn wait(&self, period: jiff::SignedDuration) {
        // Past the end of all calendars nothing is due any more.
        if let Ok(moment) = self.clock.now().checked_add(period) {
            self.clock.until(moment).await;
        }
    }

    /// When the process started, in seconds since 1970.
    pub fn started_at(&self) -> i64 {
        self.started_at
    }

    /// The settings in force.
    pub fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other settings in force.
    pub async fn apply(&self, in_force: InForce) {
        let (rules, retention) = (in_force.rules.clone(), in_force.retention());
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(in_force);
        *lock(&self.rendered) = None;
        self.pages.clear();
        if let Some(store) = self.open_store() {
            store.set_retention(retention);
            self.refresh_sample(&store.snapshot()).await;
            // Everything is folded again in the background; the old figures are served until that is done.
            tokio::spawn(async move {
                match store.set_rules(rules).await {
                    Ok(()) => tracing::info!("the figures follow the rules in force"),
                    Err(error) => tracing::error!(%error, "the figures keep following the rules before"),
                }
            });
        }
    }

    /// Remembers that the settings could not be read again, and keeps those in force.
    pub fn keep_settings(&self, reload_error: String) {
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        *in_force = Arc::new(InForce { reload_error: Some(reload_error), ..InForce::clone(&in_force) });
        self.pages.clear();
    }

    /// The store, once it is open.
    pub fn open_store(&self) -> Option<Store> {
        self.store.get().map(|(store, _)| store.clone())
    }

    /// The store.
    ///
    /// # Errors
    /// 503 while it is not open.
    pub fn store(&self) -> Result<Store, Problem> {
        self.open_store().ok_or_else(Self::starting)
    }

    /// The answer while the store is not open.
    pub fn starting() -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "starting", "the store is not open yet").retry_after(1)
    }

    /// Whether what is stored outlives the process.
    pub fn is_durable(&self) -> bool {
        self.file().is_some()
    }

    /// The store's file, where it has one.
    pub fn file(&self) -> Option<&Path> {
        match self.store.get() {
            Some((_, Durable::OnDisk(path))) => Some(path),
            _ => None,
        }
    }

    /// The turn to copy or replace the whole store, unless somebody else has it.
    pub fn turn_to_exchange(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.exchange).try_acquire_owned().ok()
    }

    /// Where a copy of the store lies while it is sent or taken in: beside the store, as large as it may be.
    pub fn exchange_directory(&self) -> PathBuf {
        match self.file().and_then(Path::parent) {
            Some(directory) => directory.join("exchange"),
            None => std::env::temp_dir().join(format!("qastack-exchange-{}", std::process::id())),
        }
    }

    /// Lets a holder of a token pass who may do this.
    ///
    /// # Errors
    /// 401 and 403 in words.
    pub fn authorize(&self, headers: &HeaderMap, scope: Scope, project: Option<&str>) -> Result<Holder, Problem> {
        let book = self.open_store();
        let find = |hash: &TokenHash| book.as_ref()?.authenticate(&hash.0, self.now());
        self.in_force().access.authorize(headers, scope, project, find)
    }

    /// How the port is guarded, where more than tokens do.
    pub fn web(&self) -> Option<&Arc<Web>> {
        self.web.as_ref()
    }

    /// Whether a request holds a token that is known, whatever it is good for.
    pub fn knows_token(&self, headers: &HeaderMap) -> bool {
        let book = self.open_store();
        self.in_force().access.knows(headers, |hash| book.as_ref()?.authenticate(&hash.0, self.now()))
    }

    /// Lets a holder of a token pass who may bring something to this project, and who does not bring too much.
    ///
    /// # Errors
    /// 401, 403, and 429 with `Retry-After` in words.
    pub fn authorize_upload(&self, headers: &HeaderMap, project: &str) -> Result<Holder, Problem> {
        let holder = self.authorize(headers, Scope::Ingest, Some(project))?;
        let in_force = self.in_force();
        let uploads = &in_force.settings.uploads;
        let rate = if holder.id.is_some() { Some(uploads.rate) } else { uploads.admin_rate };
        match rate {
            Some(rate) => self.pace.admit(holder, rate, Instant::now()).map(|()| holder),
            None => Ok(holder),
        }
    }

    /// Lets a reader pass: everybody where reading is open, else the holder of a token who may read.
    ///
    /// # Errors
    /// 401 and 403 in words.
    pub fn authorize_reading(&self, asking: &Asking, project: Option<&str>) -> Result<(), Problem> {
        let is_open = match self.in_force().settings.reading.unwrap_or(Reading::Loopback) {
            Reading::Open => true,
            Reading::Loopback => asking.from_here,
            Reading::Token => false,
        };
        // Whoever came in as a user of the port was asked for the password already.
        let is_user =
            || self.web().is_some_and(|web| !web.in_force().users.is_empty()) && user(&asking.headers).is_some();
        let is_open = is_open || is_user();
        if is_open { Ok(()) } else { self.authorize(&asking.headers, Scope::Read, project).map(drop) }
    }

    /// The pages that were made last.
    pub fn pages(&self) -> &Kept {
        &self.pages
    }

    /// The uploads that were refused last, newest first, each with its moment.
    pub fn refused(&self) -> Vec<(i64, Rejection)> {
        lock(&self.refused).iter().rev().cloned().collect()
    }

    /// Counts an upload that was refused. A store that cannot count it has said why in the log.
    pub async fn count_rejection(&self, rejection: Rejection) {
        {
            let mut refused = lock(&self.refused);
            if refused.len() == REFUSED {
                refused.pop_front();
            }
            refused.push_back((self.now(), rejection.clone()));
        }
        let Some(store) = self.open_store() else { return };
        if let Err(error) = store.count_rejection(rejection).await {
            tracing::warn!(%error, "a refused upload could not be counted");
        }
    }

    /// Reads a body within the limits.
    ///
    /// # Errors
    /// 413, 408, 503, 400: see [`body::read`].
    pub async fn receive_upload(&self, headers: &HeaderMap, body: Body) -> Result<Sent, Problem> {
        self.receive(headers, body, self.in_force().body_limits.sent).await
    }

    /// Reads a body of at most this many bytes.
    ///
    /// # Errors
    /// 413, 408, 503, 400: see [`body::read`].
    pub async fn receive(&self, headers: &HeaderMap, body: Body, limit: u64) -> Result<Sent, Problem> {
        body::read(headers, body, limit, &self.memory).await
    }

    /// Does work on a body right here where it takes no longer than a moment, else as [`Exporter::work`] does. The work
    /// must not wait.
    ///
    /// # Errors
    /// As [`Exporter::work`].
    pub async fn work_soon<T: Send + 'static>(
        self: &Arc<Self>,
        headers: &HeaderMap,
        mut sent: Sent,
        work: impl FnOnce(&Self, &mut Sent) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let is_plain = Packing::of(headers)? == Packing::Plain && Packing::sniff(&sent.bytes) == Packing::Plain;
        if is_plain && sent.bytes.len() <= MOMENT {
            Ok(work(self, &mut sent))
        } else {
            self.work(headers, sent, work).await
        }
    }

    /// Unpacks a body and does work on it where blocking is allowed, a few at a time.
    ///
    /// # Errors
    /// What unpacking says; 503 where others wait already.
    pub async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        headers: &HeaderMap,
        sent: Sent,
        work: impl FnOnce(&Self, &mut Sent) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let packing = match Packing::of(headers)? {
            // A gzipped file sent as it lies on disk is understood without a header.
            Packing::Plain => Packing::sniff(&sent.bytes),
            named => named,
        };
        let stopping =
            || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the exporter is stopping").retry_after(2);
        let turn = Arc::clone(&self.readers).acquire_owned().await.map_err(|_| stopping())?;
        let exporter = Arc::clone(self);
        let worker = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let limits = exporter.in_force().body_limits;
            let mut sent = sent.unpack(packing, &limits, &exporter.memory)?;
            Ok(work(&exporter, &mut sent))
        });
        match worker.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(stopping()),
        }
    }

    /// Unpacks a file of a form. Call it where blocking is allowed.
    ///
    /// # Errors
    /// What unpacking says.
    pub fn unpack_part(&self, form: &mut Sent, file: Bytes) -> Result<Bytes, Problem> {
        let packing = Packing::sniff(&file);
        form.unpack_part(file, packing, &self.in_force().body_limits, &self.memory)
    }

    /// What is shown now.
    pub async fn shown(&self) -> Shown {
        let Some(store) = self.open_store() else { return Shown::default() };
        let real = store.snapshot();
        if !real.has_input() && self.in_force().settings.sample_data {
            // The sample moves with the day: the first who looks after midnight makes it anew.
            self.refresh_sample(&real).await;
            if let Some(sample) = lock(&self.sample).as_ref() {
                return Shown::of(sample.store(), true);
            }
        }
        Shown::of(store, false)
    }

    /// Makes the sample anew where the day or the rules changed, and drops it once it is not needed any more.
    async fn refresh_sample(&self, real: &Snapshot) {
        let (now, in_force) = (self.now(), self.in_force());
        if real.has_input() || !in_force.settings.sample_data {
            *lock(&self.sample) = None;
            return;
        }
        if lock(&self.sample).as_ref().is_some_and(|sample| sample.holds(now, &in_force.rules_version)) {
            return;
        }
        self.make_sample().await;
    }

    /// Makes the sample, where the settings want one.
    pub async fn make_sample(&self) {
        let in_force = self.in_force();
        if !in_force.settings.sample_data {
            return;
        }
        match SampleStore::build(self.now(), &in_force.rules, &in_force.names).await {
            Ok(sample) => *lock(&self.sample) = Some(sample),
            Err(error) => tracing::error!(error = %crate::error::chain(&error), "there is no sample data"),
        }
    }

    /// Puts the sample away for good: something real was stored.
    pub fn real_input_arrived(&self) {
        if lock(&self.sample).take().is_some() {
            tracing::info!("the first real input has arrived: the sample data is put away");
        }
    }

    pub(super) fn overflow(&self) -> &Overflow {
        &self.overflow
    }

    pub(super) fn top(&self) -> &Arc<Top> {
        &self.top
    }

    pub(super) fn rendered(&self) -> Option<Rendered> {
        lock(&self.rendered).clone()
    }

    pub(super) fn keep_rendered(&self, rendered: Rendered) {
        *lock(&self.rendered) = Some(rendered);
    }
}

/// A lock whose holder panicked still guards a whole value: all of them are replaced at once.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
