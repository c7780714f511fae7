//! `logs`: what the services wrote, from whichever engine runs them, in the order of time.

use super::POLL;
use crate::engine::embedded::EmbeddedEngine;
use crate::engine::{Engine, LogLine, LogsWanted};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::stack::{EmbeddedState, Names, Service, State};
use futures_util::future::try_join_all;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use std::time::{Duration, Instant};

/// How long a container that has ended is waited for: one that is restarted has ended for a moment.
const RESTART: Duration = Duration::from_secs(1);

/// A line and the service that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The service.
    pub service: Service,
    /// The line.
    pub line: LogLine,
}

/// Lines of services; with `follow` they go on until no service writes any more.
pub type Entries<'a> = BoxStream<'a, Result<LogEntry>>;

/// The logs of these services, all that are there where none is named.
///
/// # Errors
/// A service that was named is not there, or none is.
pub async fn logs<'a, E: Engine>(
    engine: &'a E,
    names: &Names,
    services: &[Service],
    wanted: LogsWanted,
) -> Result<Entries<'a>> {
    let observed = engine.observe(names, &[]).await?;
    let mut sources = Vec::new();
    for service in Service::ALL {
        match observed.container(names.project(), service) {
            Some(container) if services.is_empty() || services.contains(&service) => {
                sources.push((service, container.id.clone()));
            }
            None if services.contains(&service) => return Err(not_there(service)),
            _ => {}
        }
    }
    if sources.is_empty() {
        return Err(not_running());
    }
    if wanted.follow {
        let followed = sources.into_iter().map(|(service, container)| followed(engine, service, container, wanted));
        return Ok(stream::select_all(followed).boxed());
    }
    let read = sources.into_iter().map(|(service, container)| async move {
        let lines = engine.logs(&container, wanted).try_collect::<Vec<_>>().await?;
        Ok::<_, Error>(lines.into_iter().map(move |line| LogEntry { service, line }))
    });
    let mut entries: Vec<LogEntry> = try_join_all(read).await?.into_iter().flatten().collect();
    // Each log is in order already, so that lines without a time stay where they are.
    entries.sort_by_key(|entry| entry.line.at);
    Ok(stream::iter(entries.into_iter().map(Ok)).boxed())
}

/// A container's log for as long as the container runs or is started again.
fn followed<E: Engine>(engine: &E, service: Service, container: String, wanted: LogsWanted) -> Entries<'_> {
    /// The log that is being read, and the time of the last line that was given.
    struct Follow {
        lines: BoxStream<'static, Result<LogLine>>,
        last: Option<Timestamp>,
    }
    let begin = Follow { lines: engine.logs(&container, wanted), last: None };
    stream::try_unfold(begin, move |mut follow| {
        let container = container.clone();
        async move {
            loop {
                match follow.lines.next().await {
                    Some(Ok(line)) if follow.last.is_some() && line.at.is_some() && line.at <= follow.last => {}
                    Some(Ok(line)) => {
                        let last = line.at.or(follow.last);
                        return Ok(Some((LogEntry { service, line }, Follow { last, ..follow })));
                    }
                    Some(Err(error)) => return Err(error),
                    // The engine ends the log with the process; one that it starts again writes on.
                    None if goes_on(engine, &container).await? => {
                        let rest = LogsWanted { tail: None, since: follow.last, ..wanted };
                        follow.lines = engine.logs(&container, rest);
                    }
                    None => return Ok(None),
                }
            }
        }
    })
    .boxed()
}

/// Whether a container whose log has ended writes on; waits for one that is being started again.
async fn goes_on<E: Engine>(engine: &E, container: &str) -> Result<bool> {
    let ended = Instant::now();
    loop {
        let Some(now) = engine.inspect(container).await? else { return Ok(false) };
        match now.state {
            State::Running => return Ok(true),
            State::Restarting => {}
            _ if ended.elapsed() < RESTART => {}
            _ => return Ok(false),
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The log of the exporter that runs without containers.
///
/// # Errors
/// Another service was named, or the project was not brought up here.
pub fn embedded_logs<'a>(engine: &'a EmbeddedEngine, services: &[Service], wanted: LogsWanted) -> Result<Entries<'a>> {
    let service = Service::TestMetrics;
    if let Some(other) = services.iter().find(|other| **other != service) {
        return Err(without_containers(*other));
    }
    if engine.observe()?.state == EmbeddedState::Missing {
        let log = engine.log();
        let error = not_running();
        return Err(if log.exists() {
            error.hint(format!("Start it with qastack up; the log of its last run is {}.", log.display()))
        } else {
            error
        });
    }
    let mut reader = engine.log_reader();
    let entry = move |line| Ok(LogEntry { service, line });
    let mut lines = reader.all()?;
    if !wanted.follow {
        lines.extend(reader.rest());
    }
    let skipped = wanted.tail.map_or(0, |tail| lines.len().saturating_sub(tail));
    lines.drain(..skipped);
    let there = stream::iter(lines.into_iter().map(entry));
    if !wanted.follow {
        return Ok(there.boxed());
    }
    let coming = stream::try_unfold(Some(reader), move |reader| async move {
        let Some(mut reader) = reader else { return Ok(None) };
        // Asked before the log is read: what was written last is read all the same.
        let runs = engine.observe()?.state == EmbeddedState::Running;
        let mut lines = reader.more()?;
        if !runs {
            lines.extend(reader.rest());
        } else if lines.is_empty() {
            tokio::time::sleep(POLL).await;
        }
        let lines = stream::iter(lines.into_iter().map(entry));
        Ok::<_, Error>(Some((lines, runs.then_some(reader))))
    });
    Ok(there.chain(coming.try_flatten()).boxed())
}

/// The error where nothing of the project runs.
pub(super) fn not_running() -> Error {
    Error::new(Code::NotRunning, "the stack is not running").hint("Start it with qastack up.")
}

/// The error where one service is missing.
pub(super) fn not_there(service: Service) -> Error {
    Error::new(Code::NotRunning, format!("{service} is not running: it is missing")).hint("Start it with qastack up.")
}

/// The error where a service was named that only the whole stack has.
pub(super) fn without_containers(service: Service) -> Error {
    let message = format!("{service} is not running: this project runs without containers, the exporter alone");
    Error::new(Code::NotRunning, message).hint("qastack up --engine docker brings the whole stack.")
}
