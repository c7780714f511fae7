//! Waits for services over HTTP, raced against the deaths of their containers and a deadline.

use super::POLL;
use super::event::{Event, Observer};
use crate::engine::{Death, Engine};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::stack::{Names, Observed, PROMETHEUS_USER, Service, why_not_running};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use url::Url;

/// How many of a dead service's last lines an error shows.
const LAST_LINES: usize = 20;

/// Nobody needs to hear of a wait for a service that nothing is done to, unless it lasts.
const WORTH_TELLING: Duration = Duration::from_millis(500);

/// What each service waits for, so that a deadline that passes can say what was missing.
#[derive(Debug, Default)]
pub struct Waits {
    unchanged: Vec<Service>,
    until: Mutex<BTreeMap<Service, Wait>>,
}

#[derive(Debug)]
struct Wait {
    until: String,
    since: Instant,
    is_told: bool,
}

impl Waits {
    /// Waits of a run that does nothing to some services.
    pub fn of_run(unchanged: Vec<Service>) -> Self {
        Self { unchanged, until: Mutex::default() }
    }

    /// Tells what a service waits for; to be called again for as long as it waits.
    pub fn set(&self, observer: &dyn Observer, service: Service, until: impl Into<String>) {
        let until = until.into();
        let Ok(mut all) = self.until.lock() else { return };
        let begun = |until| Wait { until, since: Instant::now(), is_told: false };
        let wait = all.entry(service).or_insert_with(|| begun(until.clone()));
        if wait.until != until {
            *wait = begun(until);
        }
        if !wait.is_told && (!self.unchanged.contains(&service) || wait.since.elapsed() >= WORTH_TELLING) {
            wait.is_told = true;
            observer.observe(Event::Waiting { part: service.to_string(), until: wait.until.clone() });
        }
    }

    /// A service waits for nothing any more.
    pub fn clear(&self, service: Service) {
        if let Ok(mut all) = self.until.lock() {
            all.remove(&service);
        }
    }

    /// Completes, with the error that names what is still waited for, once the time is over.
    pub async fn out_of_time(&self, limit: Duration) -> Error {
        tokio::time::sleep(limit).await;
        let told = |(service, wait): (&Service, &Wait)| format!("{service} waits for {}", wait.until);
        let missing: Vec<String> = self.until.lock().map(|all| all.iter().map(told).collect()).unwrap_or_default();
        let missing = if missing.is_empty() { "the engine did not finish".to_owned() } else { missing.join("; ") };
        Error::new(Code::NotReady, format!("not ready within {} s: {missing}", limit.as_secs()))
            .hint("See qastack status; a slow machine may need more: --timeout SECONDS.")
            .retryable()
    }
}

/// Waits until a path of a service answers with 200. `waiting` is called for as long as it does not.
pub async fn answers(http: &reqwest::Client, base: &Url, path: &str, mut waiting: impl FnMut()) -> Result<()> {
    let url = base.join(path).map_err(|cause| Error::new(Code::Unexpected, format!("`{path}` is no path: {cause}")))?;
    loop {
        waiting();
        let request = http.get(url.clone()).timeout(Duration::from_secs(2));
        if request.send().await.is_ok_and(|response| response.status().is_success()) {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The deaths of a project's containers, told as an error with the dead one's last lines.
pub struct DeathWatch<'a, E: Engine> {
    engine: &'a E,
    names: &'a Names,
    deaths: BoxStream<'static, Death>,
}

/// How long it takes until an engine whose events have ended is listened to again, and looked at.
const INTERVAL: Duration = Duration::from_secs(1);

impl<'a, E: Engine> DeathWatch<'a, E> {
    /// Listens from now on; to be made before anything starts.
    pub fn new(engine: &'a E, names: &'a Names) -> Self {
        Self { engine, names, deaths: engine.deaths(names) }
    }

    /// Completes, with the error that tells of it, once a container dies that nobody meant to stop, or the engine is
    /// gone and does not come back.
    ///
    /// `meant` are the ids of containers that the plan removes; `started` tells which services run by now.
    pub async fn unmeant(mut self, meant: &[String], started: impl Fn() -> Vec<Service>) -> Error {
        // What ends before somebody listens, or while nobody does, is only seen by a look.
        let mut is_looked_at = false;
        loop {
            tokio::select! {
                death = self.deaths.next() => match death {
                    Some(death) if meant.contains(&death.container) => continue,
                    Some(death) => return self.dead(&death).await,
                    None => {
                        tokio::time::sleep(INTERVAL).await;
                        self.deaths = self.engine.deaths(self.names);
                    }
                },
                () = tokio::time::sleep(INTERVAL), if !is_looked_at => {}
            }
            is_looked_at = true;
            match self.ended(&started()).await {
                Ok(None) => {}
                Ok(Some(death)) => return self.dead(&death).await,
                Err(error) => return error,
            }
        }
    }

    /// The first of some services whose container does not run.
    async fn ended(&self, started: &[Service]) -> Result<Option<Death>> {
        let now = self.engine.observe_containers(self.names).await?;
        let project = self.names.project();
        let ended = not_running(&now, project).into_iter().find(|(service, _)| started.contains(service));
        Ok(ended.map(|(service, _)| {
            let there = now.container(project, service);
            let container = there.map_or_else(|| self.names.container(service), |there| there.id.clone());
            Death { service, container }
        }))
    }

    async fn dead(&self, death: &Death) -> Error {
        let service = death.service;
        let inspect = self.engine.inspect(&death.container).await.ok().flatten();
        let how = inspect.as_ref().map_or_else(|| "is gone".to_owned(), why_not_running);
        let lines = self.engine.last_lines(&death.container, LAST_LINES).await.unwrap_or_default();
        let name = self.names.container(service);
        let mut message = format!("{service} died while it started: {name} {how}");
        for line in &lines {
            message.push_str("\n  ");
            message.push_str(line);
        }
        let memory = inspect.is_some_and(|container| container.out_of_memory);
        let hint = if memory {
            format!("Give it more memory: limits: {{ {service}: {{ memory: 1GiB }} }} in qastack.yaml.")
        } else {
            hint_of(service, &lines, &self.names.volume("prometheus-data"))
        };
        Error::new(Code::NotReady, message).hint(hint)
    }
}

/// What to do about a service that died, by its last lines.
fn hint_of(service: Service, lines: &[String], data: &str) -> String {
    if lines.is_empty() {
        return "It wrote nothing. See whether the image is for this machine and the settings name the right one."
            .to_owned();
    }
    let is_denied = lines.iter().any(|line| line.contains("permission denied"));
    if service == Service::Prometheus && is_denied {
        let user = PROMETHEUS_USER.0;
        return format!(
            "It runs as the user {user}, and the volume {data} is another one's, as a -distroless image of Prometheus \
             makes it: name an image without -distroless (images.prometheus), and remove the volume if it holds nothing \
             of use."
        );
    }
    "Its last lines above say why.".to_owned()
}

/// Services of a stack that should run and do not, each with its reason.
pub fn not_running(observed: &Observed, project: &str) -> Vec<(Service, String)> {
    Service::ALL
        .into_iter()
        .filter_map(|service| match observed.container(project, service) {
            None => Some((service, "missing".to_owned())),
            Some(container) if container.state != crate::stack::State::Running => {
                Some((service, why_not_running(container)))
            }
            Some(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_another_user_are_told_as_what_keeps_prometheus_from_starting() {
        let denied = ["err=\"open /prometheus/queries.active: permission denied\"".to_owned()];
        let hint = hint_of(Service::Prometheus, &denied, "qastack-prometheus-data");
        assert!(hint.contains("65534") && hint.contains("qastack-prometheus-data"), "{hint}");
        assert!(hint_of(Service::Grafana, &denied, "x").contains("last lines"));
        assert!(hint_of(Service::Prometheus, &[], "x").contains("wrote nothing"));
    }
}
