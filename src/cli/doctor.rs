//! `qastack doctor`: what keeps the stack from running well, each thing with its fix.

use super::stack::{ChosenEngine, Why};
use super::up::{Program, grafana_spec};
use super::{Context, push, stack};
use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, EngineInfo};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::lifecycle::doctor::{self, Bundle, Check, Evidence, Redactor, Verdict};
use crate::lifecycle::{self, Cancel, Credentials, PortWishes, Up, UpOptions, WaitFor, event};
use crate::output::{Answer, Style};
use crate::push::backlog::reports;
use crate::push::spool::{SENT_BY, Spool, Waits};
use crate::secret::Secret;
use crate::settings::{Loaded, StackSettings};
use crate::stack::Names;
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Look for what keeps the stack from running well, and say how to mend it; exits 3 when something does
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Write what a bug report needs into a file (.tar.gz or .tar.zst), without secrets
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Overwrite the file of the bundle where there is one
    #[arg(long, requires = "bundle")]
    force: bool,
}

/// Looks at everything, and writes the bundle where one is asked for.
pub async fn run(arguments: DoctorArgs, context: &Context) -> Result<Answer> {
    if let Some(path) = arguments.bundle.as_deref().filter(|path| !arguments.force && path.exists()) {
        return Err(Error::new(Code::ConfirmationNeeded, format!("{} exists", path.display()))
            .hint("Name another file, or overwrite it with --force."));
    }
    let loaded = stack::load_settings(context);
    let (settings_check, loaded) = settings_check(loaded, context);
    let settings = &loaded.settings;
    let credentials = stack::credentials(settings, context.globals.file.as_deref());
    let mut checks = vec![settings_check];
    let credentials = credentials.unwrap_or_else(|error| {
        checks.push(Check::error("password", &error));
        Credentials { user: settings.grafana.admin_user.clone(), password: None, generate: false }
    });
    let state = lifecycle::state_directory();
    let engine = stack::engine(context, settings).await;
    match &engine {
        Ok(ChosenEngine::Docker(engine)) => {
            checks.extend(doctor::examine(engine, settings, &credentials, &state).await);
        }
        Ok(ChosenEngine::Embedded(engine, why)) => {
            checks.push(without_containers(*why));
            checks.extend(doctor::examine_embedded(engine, settings, &state).await);
        }
        Err(error) => {
            checks.push(Check::error("engine", error));
            checks.extend(doctor::state_directory(&state, &settings.project));
        }
    }
    checks.push(spool_check(push::spool_directory()));
    let info = match &engine {
        Ok(ChosenEngine::Docker(engine)) => Some(engine.info()),
        Ok(ChosenEngine::Embedded(engine, _)) => Some(engine.info()),
        Err(_) => None,
    };
    let mut data =
        json!({ "engine": info.map(|info| info.kind), "checks": checks, "counts": counts(&checks), "bundle": null });
    let mut text = in_words(&checks, context.output.style());
    if let Some(path) = &arguments.bundle {
        let case = Case { loaded: &loaded, credentials: &credentials, state: &state, data: &data };
        let written = case.write(path, engine.as_ref().ok(), info, &checks).await?;
        let _ = writeln!(text, "\nbundle  {} ({written} bytes): have a look at it before you send it", path.display());
        data["bundle"] = json!(path);
    }
    Ok(Answer { data, text, warnings: Vec::new(), verdict: verdict(&checks) })
}

/// Settings that cannot be read are one more thing to tell: the rest is looked at with the defaults.
fn settings_check(loaded: Result<Loaded<StackSettings>>, context: &Context) -> (Check, Loaded<StackSettings>) {
    match loaded {
        Err(error) => {
            let defaults = Loaded { settings: StackSettings::default(), origins: BTreeMap::new() };
            (Check::error("settings", &error), defaults)
        }
        Ok(loaded) => {
            let own = loaded.origins.len();
            let file = context
                .globals
                .file
                .clone()
                .or_else(|| Some(PathBuf::from(crate::settings::DEFAULT_FILE)).filter(|path| path.exists()));
            let place = file.map_or_else(|| "no settings file".to_owned(), |path| path.display().to_string());
            let values = match own {
                0 => "all defaults".to_owned(),
                1 => "1 value of your own".to_owned(),
                own => format!("{own} values of your own"),
            };
            let message = format!("{place}, {values}; the project is {}", loaded.settings.project);
            (Check::ok("settings", message), loaded)
        }
    }
}

/// Reports that wait: nobody sees them in the figures.
fn spool_check(directory: PathBuf) -> Check {
    let shown = directory.display().to_string();
    match Spool::look(directory) {
        Err(cause) => Check::warn(
            "spool",
            format!("{shown} cannot be read: {cause}"),
            "Mend the directory's owner and permissions, or name another one in QASTACK_PUSH__SPOOL.",
        ),
        Ok(Waits { waiting: 0, .. }) => Check::ok("spool", format!("no report waits in {shown}")),
        Ok(Waits { waiting, since, .. }) => {
            let since = since.map_or_else(String::new, |since| format!(" since {since}"));
            Check::warn("spool", format!("{}{since} in {shown}", reports(waiting)), SENT_BY)
        }
    }
}

fn without_containers(why: Why) -> Check {
    let whole = "qastack up --engine docker brings the whole stack, on a machine with a container engine.";
    match why {
        Why::Named => Check::ok("engine", "the exporter alone, as the settings say"),
        Why::Remembered => Check::ok("engine", "the exporter alone, as this project was brought up before"),
        Why::NoEngine => {
            Check::warn("engine", "no container engine is on this machine: up would run the exporter alone", whole)
        }
    }
}

fn counts(checks: &[Check]) -> Value {
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    json!({ "ok": count(Verdict::Ok), "warn": count(Verdict::Warn), "fail": count(Verdict::Fail) })
}

fn verdict(checks: &[Check]) -> Option<Error> {
    let failed: Vec<&str> =
        checks.iter().filter(|check| check.verdict == Verdict::Fail).map(|check| check.name.as_str()).collect();
    (!failed.is_empty()).then(|| {
        Error::new(Code::Degraded, format!("what fails: {}", failed.join(", ")))
            .hint("Each line above that says fail has its fix.")
    })
}

/// Where the words begin, after the verdict and the name.
const INDENT: usize = 26;
/// No line is longer, so that a report reads well in any terminal.
const WIDTH: usize = 110;

fn in_words(checks: &[Check], style: Style) -> String {
    let mut text = String::new();
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Ok => style.good("ok  "),
            Verdict::Warn => style.warning("warn"),
            Verdict::Fail => style.error("fail"),
        };
        let padded = format!("{:<width$}", check.name, width = INDENT - 6);
        let mut lines = wrap(&check.message, WIDTH - INDENT).into_iter();
        let first = lines.next().unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{verdict}  {}{first}", style.strong(&padded));
        for line in lines {
            let _ = writeln!(text, "{:INDENT$}{line}", "");
        }
        for (index, line) in check.fix.iter().flat_map(|fix| wrap(fix, WIDTH - INDENT - 5)).enumerate() {
            let label = if index == 0 { "fix: " } else { "     " };
            let _ = writeln!(text, "{:INDENT$}{}", "", style.hint(&format!("{label}{line}")));
        }
    }
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let (ok, warn, fail) = (count(Verdict::Ok), count(Verdict::Warn), count(Verdict::Fail));
    let _ = writeln!(text, "\n{ok} ok, {warn} to look at, {fail} to mend");
    text
}

/// Breaks a text between words; what has lines already keeps them.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut current = String::new();
        for word in line.split_whitespace() {
            if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut current));
            }
            if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        lines.push(current);
    }
    lines
}

/// What a bundle is made from.
struct Case<'a> {
    loaded: &'a Loaded<StackSettings>,
    credentials: &'a Credentials,
    state: &'a Path,
    data: &'a Value,
}

impl Case<'_> {
    async fn write(
        &self,
        path: &Path,
        engine: Option<&ChosenEngine>,
        info: Option<&EngineInfo>,
        checks: &[Check],
    ) -> Result<u64> {
        let settings = &self.loaded.settings;
        let mut bundle = Bundle::new();
        bundle.add("doctor.json", Evidence::Document(self.data.clone()));
        bundle.add("settings.json", Evidence::Document(self.loaded.document()));
        let mut secrets: Vec<Secret> = self.credentials.password.iter().cloned().collect();
        secrets.extend(std::env::var("QASTACK_TOKEN").ok().map(Secret::new));
        match engine {
            Some(ChosenEngine::Docker(engine)) => {
                bundle.add("versions.json", Evidence::Document(versions(info, engine.machine().await.ok())));
                let login_failed = checks.iter().any(|check| check.name == "login" && check.verdict == Verdict::Fail);
                bundle.add("plan.json", Evidence::Document(self.plan(engine, login_failed).await));
                let names = Names::new(&settings.project);
                let observed = engine.observe(&names, &[]).await?;
                secrets.extend(doctor::secrets_of(engine, settings, &observed).await.into_values());
                bundle.add_containers(engine, &names, &observed).await;
            }
            Some(ChosenEngine::Embedded(engine, _)) => {
                bundle.add("versions.json", Evidence::Document(versions(info, None)));
                secrets.extend(engine.read_admin_token()?);
                bundle.add_process(engine);
            }
            None => bundle.add("versions.json", Evidence::Document(versions(None, None))),
        }
        bundle.add_last_failure(self.state, &settings.project);
        let redactor = Redactor::new(&secrets, std::env::var("HOME").ok());
        bundle.write(path, &redactor)
    }

    /// What `up` would do. It would try Grafana's login once more, so that it is left out after a refusal.
    async fn plan(&self, engine: &DockerEngine, login_failed: bool) -> Value {
        if login_failed {
            return json!({ "unknown": "Grafana refuses the login, which is not tried a second time" });
        }
        match self.planned(engine).await {
            Ok(steps) => json!({ "steps": steps }),
            Err(error) => json!({ "unknown": error.message() }),
        }
    }

    async fn planned(&self, engine: &DockerEngine) -> Result<Value> {
        let began = Instant::now();
        let settings = &self.loaded.settings;
        let program = Program::read(settings).await?;
        let meant = stack::meant(engine, settings, self.credentials.clone(), &PortWishes::default()).await?;
        let up = Up {
            engine,
            spec: &meant.spec(&program.tag),
            grafana: &grafana_spec(settings)?,
            credentials: &meant.credentials,
            executable: &|| Ok(Arc::clone(&program.bytes)),
            observer: &event::Nobody,
            cancel: &Cancel::on_signals(())?,
            state_directory: self.state,
            began: (began, Duration::ZERO),
        };
        let options = UpOptions {
            wait_for: WaitFor::Ready,
            dry_run: true,
            keep_on_failure: true,
            time_out: Duration::from_secs(30),
        };
        let report = lifecycle::up(up, options).await?;
        Ok(report.steps.iter().map(|done| json!(done.step)).collect())
    }
}

/// What runs here, and what it runs on.
fn versions(info: Option<&EngineInfo>, machine: Option<crate::engine::EngineMachine>) -> Value {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    json!({
        "qastack": env!("CARGO_PKG_VERSION"),
        "machine": {
            "architecture": std::env::consts::ARCH,
            "system": system.map(|name| name.trim_matches('"')),
            "kernel": kernel.as_deref().map(str::trim),
        },
        "engine": info.map(|info| json!({
            "kind": info.kind, "address": info.address, "found_by": info.found_by, "is_local": info.is_local,
        })),
        "engine_machine": machine.map(|machine| json!({
            "product": machine.product, "version": machine.version, "api_version": machine.api_version,
            "system": machine.system, "root": machine.root, "warnings": machine.warnings,
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_broken_between_words_and_keep_their_place() {
        let checks = [
            Check::ok("engine", "fine"),
            Check::fail("port 3000", "taken ".repeat(30), "End it, or give it another one."),
        ];
        let text = in_words(&checks, Style::PLAIN);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.starts_with("ok    engine              fine\nfail  port 3000           taken"), "{text}");
        assert!(text.contains("\n                          fix: End it, or give it another one.\n"), "{text}");
        assert!(text.ends_with("\n1 ok, 0 to look at, 1 to mend\n"), "{text}");
        assert_eq!(verdict(&checks).map(|error| error.code().exit()), Some(3));
        assert!(verdict(&checks[..1]).is_none());
    }
}
