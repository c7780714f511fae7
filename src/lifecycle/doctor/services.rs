//! The services themselves: whether they run, answer, and find each other.

use super::Check;
use crate::engine::Engine;
use crate::exit_code::Code;
use crate::exporter::client::Client as ExporterClient;
use crate::grafana::{self, DATA_SOURCE_UID, DataSourceHealth};
use crate::lifecycle::refusals::Refusals;
use crate::lifecycle::{Credentials, Figures, reach, state_directory};
use crate::prometheus::{self, TargetHealth};
use crate::secret::Secret;
use crate::settings::StackSettings;
use crate::stack::{Names, Observed, ObservedContainer, SecretFile, Service, State, why_not_running};
use futures_util::future::join3;
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

/// Grafana itself waits long for a Prometheus that is gone; somebody who looks does not.
const PATIENCE: Duration = Duration::from_secs(5);

/// The three services, asked side by side; one line where nothing of the project runs.
pub async fn examine<E: Engine>(
    engine: &E,
    settings: &StackSettings,
    observed: &Observed,
    credentials: &Credentials,
    secrets: &BTreeMap<SecretFile, Secret>,
) -> Vec<Check> {
    let there = |service| observed.container(&settings.project, service);
    if Service::ALL.into_iter().all(|service| there(service).is_none()) {
        return vec![Check::ok("stack", format!("{} does not run here; qastack up brings it up", settings.project))];
    }
    let names = Names::new(&settings.project);
    let http = match reach::http_client() {
        Ok(http) => http,
        Err(error) => return vec![Check::error("stack", &error)],
    };
    let password = credentials.password(secrets.get(&SecretFile::GrafanaPassword));
    let login = grafana::Login { user: credentials.user.clone(), password };
    let token = secrets.get(&SecretFile::AdminToken);
    let refusals = Refusals::of(&state_directory(), &settings.project);
    let (exporter, prometheus, grafana) = join3(
        asked(engine, &names, there(Service::TestMetrics), Service::TestMetrics, |url| exporter(&http, url, token)),
        asked(engine, &names, there(Service::Prometheus), Service::Prometheus, |url| prometheus(&http, url)),
        asked(engine, &names, there(Service::Grafana), Service::Grafana, |url| {
            let container = there(Service::Grafana).map(|container| container.id.as_str()).unwrap_or_default();
            grafana(&http, url, login, container, &refusals)
        }),
    )
    .await;
    let (mut target, mut source) = (Name::NotAsked, Name::NotAsked);
    let mut checks = exporter.unwrap_or_else(|check| vec![check]);
    match prometheus {
        Err(check) => checks.push(check),
        Ok((found, name)) => {
            checks.extend(found);
            target = name;
        }
    }
    match grafana {
        Err(check) => checks.push(check),
        Ok((found, name)) => {
            checks.extend(found);
            source = name;
        }
    }
    checks.extend(dns(target, source));
    checks
}

/// What a service's own answer says of the name it looks another one up by.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// It could not be asked.
    NotAsked,
    /// It found it.
    Found,
    /// It did not, in its own words.
    NotFound(String),
}

impl Name {
    /// Reads a failed call's words: only a name that is not found is the resolver's trouble.
    fn of_trouble(words: &str) -> Self {
        let is_lookup = ["no such host", "server misbehaving", "Temporary failure in name resolution", "lookup "];
        if is_lookup.iter().any(|text| words.contains(text)) {
            Self::NotFound(words.to_owned())
        } else {
            Self::NotAsked
        }
    }
}

/// Asks a service that runs; one that does not is the check itself.
async fn asked<E: Engine, T, F: Future<Output = T>>(
    engine: &E,
    names: &Names,
    container: Option<&ObservedContainer>,
    service: Service,
    ask: impl FnOnce(Url) -> F,
) -> Result<T, Check> {
    let fix = "qastack up starts what does not run; its last log lines are in qastack doctor --bundle FILE.";
    let Some(container) = container else { return Err(Check::fail(service.name(), "it is missing", fix)) };
    if container.state != State::Running {
        return Err(Check::fail(service.name(), format!("it is not running: {}", why_not_running(container)), fix));
    }
    if container.health.as_deref() == Some("unhealthy") {
        return Err(Check::fail(service.name(), "the engine's health check finds it unhealthy", fix));
    }
    let Some(published) = container.published() else {
        let found = "its container does not say where it is published";
        return Err(Check::fail(service.name(), found, "qastack up makes it anew; its volumes stay."));
    };
    match reach::url(engine, names, service, published) {
        Ok(url) => Ok(ask(url).await),
        Err(error) => Err(Check::error(service.name(), &error)),
    }
}

async fn exporter(http: &reqwest::Client, url: Url, token: Option<&Secret>) -> Vec<Check> {
    let name = Service::TestMetrics.name();
    let Some(figures) = Figures::ask(http, &url).await else {
        let found = format!("{url}metrics does not answer with figures");
        return vec![Check::fail(
            name,
            found,
            "See its last log lines in qastack doctor --bundle FILE, then qastack up.",
        )];
    };
    let mut checks = vec![Check::ok(name, format!("{url} answers: {}", figures.in_words()))];
    let Some(token) = token else {
        checks.push(Check::fail("admin token", "its volume has none", "qastack up makes one."));
        return checks;
    };
    let client = match ExporterClient::new(url, Some(token.expose())) {
        Ok(client) => client,
        Err(error) => {
            checks.push(Check::error("admin token", &error));
            return checks;
        }
    };
    checks.push(match client.get(client.url(&["api", "v1", "tokens"])).await {
        Ok(_) => Check::ok("admin token", "the exporter takes it"),
        Err(refusal) => Check::error("admin token", &refusal.into_error(client.base())),
    });
    checks
}

async fn prometheus(http: &reqwest::Client, url: Url) -> (Vec<Check>, Name) {
    let name = Service::Prometheus.name();
    let client = prometheus::Client::new(http.clone(), url.clone());
    if let Err(error) = client.ready().await {
        let fix = "It reads its data when it starts; wait a little, then see qastack status.";
        return (vec![Check::fail(name, error.to_string(), fix)], Name::NotAsked);
    }
    let answers = Check::ok(name, format!("{url} is ready"));
    let fix = "See whether the exporter runs (above), then qastack up.";
    let (target, found) = match client.target_state().await {
        Ok(state) => match (state.health, state.last_error) {
            (TargetHealth::Up, _) => (Check::ok("target", "Prometheus scrapes the exporter"), Name::Found),
            (TargetHealth::Unknown, None) => (
                Check::warn(
                    "target",
                    "Prometheus has not scraped the exporter yet",
                    "Wait for the next scrape, then look again.",
                ),
                Name::NotAsked,
            ),
            (_, error) => {
                let error = error.unwrap_or_else(|| "no reason given".to_owned());
                let found = Name::of_trouble(&error);
                (Check::fail("target", format!("Prometheus cannot scrape the exporter: {error}"), fix), found)
            }
        },
        Err(error) => (Check::fail("target", error.to_string(), fix), Name::NotAsked),
    };
    (vec![answers, target], found)
}

/// One attempt to log in; after a refusal nothing more is asked, since five of them lock the user out.
async fn grafana(
    http: &reqwest::Client,
    url: Url,
    login: grafana::Login,
    container: &str,
    refusals: &Refusals,
) -> (Vec<Check>, Name) {
    let name = Service::Grafana.name();
    let user = login.user.clone();
    let client = grafana::Client::new(http.clone(), url.clone(), login.clone());
    let version = match grafana::version(&client).await {
        Ok(version) => version,
        Err(error) => {
            let fix = "See its last log lines in qastack doctor --bundle FILE, then qastack up.";
            return (vec![Check::fail(name, error.to_string(), fix)], Name::NotAsked);
        }
    };
    let mut checks = vec![of_version(&url, version.as_deref())];
    match refusals.log_in(&client, container, &login).await {
        Ok(()) => checks.push(Check::ok("login", format!("Grafana takes the password of {user}"))),
        Err(error) if error.code() == Code::GrafanaPassword => {
            checks.push(Check::fail(
                "login",
                format!("Grafana refuses the password of {user}, and its volume has another one: {error}"),
                format!(
                    "Give that one (grafana.admin_password_file), or set it anew: qastack grafana reset-password. Where \
                     it was another user than {user}, change grafana.admin_user back. One attempt was made, and no \
                     other will be.",
                ),
            ));
            return (checks, Name::NotAsked);
        }
        Err(error) => {
            checks.push(Check::error("login", &error));
            return (checks, Name::NotAsked);
        }
    }
    let (source, found) = data_source(&client).await;
    checks.push(source);
    (checks, found)
}

async fn data_source(client: &grafana::Client) -> (Check, Name) {
    let name = "data source";
    let fix = "See whether Prometheus runs (above), then qastack up.";
    let Ok(health) = tokio::time::timeout(PATIENCE, client.data_source_health(DATA_SOURCE_UID)).await else {
        let found = format!("no answer within {} s from Prometheus through Grafana", PATIENCE.as_secs());
        return (Check::fail(name, found, fix), Name::NotAsked);
    };
    match health {
        Ok(DataSourceHealth::Ok { message }) => (Check::ok(name, message), Name::Found),
        Ok(DataSourceHealth::Error { message }) => {
            let found = Name::of_trouble(&message);
            (Check::fail(name, message, fix), found)
        }
        Ok(DataSourceHealth::Missing) => {
            let found = format!("there is no data source {DATA_SOURCE_UID}");
            (Check::fail(name, found, "qastack up makes it."), Name::NotAsked)
        }
        Err(error) => (Check::error(name, &crate::error::Error::from(error)), Name::NotAsked),
    }
}

/// Whether the services find each other by name, as they themselves say.
fn dns(target: Name, source: Name) -> Option<Check> {
    let name = "names";
    let lost: Vec<String> = [("prometheus", &target), ("grafana", &source)]
        .into_iter()
        .filter_map(|(service, name)| match name {
            Name::NotFound(words) => Some(format!("{service}: {words}")),
            Name::Found | Name::NotAsked => None,
        })
        .collect();
    if !lost.is_empty() {
        return Some(Check::fail(
            name,
            format!("the engine's name server does not answer in the stack's network: {}", lost.join("; ")),
            "qastack down, then qastack up, makes the network anew; see whether a firewall drops traffic to 127.0.0.11.",
        ));
    }
    match (target, source) {
        (Name::Found, Name::Found) => {
            Some(Check::ok(name, "prometheus finds test-metrics and grafana finds prometheus, by name"))
        }
        (Name::Found, _) => Some(Check::ok(name, "prometheus finds test-metrics by name")),
        (_, Name::Found) => Some(Check::ok(name, "grafana finds prometheus by name")),
        _ => None,
    }
}

/// What is known of a version of Grafana.
fn of_version(url: &Url, version: Option<&str>) -> Check {
    let name = Service::Grafana.name();
    let Some(version) = version else { return Check::ok(name, format!("{url} answers and hides its version")) };
    let message = format!("{url} answers, version {version}");
    match trap(version) {
        Some((trap, fix)) => Check::warn(name, format!("{message}: {trap}"), fix),
        None => Check::ok(name, message),
    }
}

/// What is known to go wrong with a version, and what to do.
fn trap(version: &str) -> Option<(&'static str, &'static str)> {
    let mut numbers = version.split(['.', '-', '+']).map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next()?, numbers.next().unwrap_or(0));
    match (major, minor) {
        (..10, _) => Some((
            "saves of older versions replace a dashboard of the same title, whoever made it",
            "Run 10 or newer: images.grafana in qastack.yaml.",
        )),
        (13, 2) => Some((
            "it loads Prometheus' data source as a plugin, which 13.2 loses without a way to the internet",
            "Run 13.3 or newer, or 12.4: images.grafana in qastack.yaml.",
        )),
        (13.., _) => Some((
            "it has moved its dashboards to a storage that 12 cannot read",
            "Do not go back to 12 with this volume; keep a copy of the volume before each step to a new version.",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::doctor::Verdict;

    #[test]
    fn versions_with_known_traps_are_told() {
        assert_eq!(trap("12.4.0"), None);
        assert_eq!(trap("11.6.1-security-01"), None);
        assert!(trap("9.5.2").is_some_and(|(words, _)| words.contains("same title")));
        assert!(trap("13.2.0").is_some_and(|(words, _)| words.contains("internet")));
        assert!(trap("13.3.1").is_some_and(|(_, fix)| fix.contains("12")));
    }

    #[test]
    fn only_a_name_that_is_not_found_is_the_resolvers_trouble() {
        let lost = Name::of_trouble("dial tcp: lookup test-metrics on 127.0.0.11:53: no such host");
        assert!(matches!(lost, Name::NotFound(_)));
        assert_eq!(Name::of_trouble("connection refused"), Name::NotAsked);
        assert_eq!(dns(lost, Name::Found).expect("told").verdict, Verdict::Fail);
        assert_eq!(dns(Name::Found, Name::Found).expect("told").verdict, Verdict::Ok);
        assert_eq!(dns(Name::NotAsked, Name::NotAsked), None);
    }
}
