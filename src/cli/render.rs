//! `qastack render`: files for other programs, made from the settings; printed, and never written anywhere.

use super::{Context, stack};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::output::Answer;
use crate::settings::StackSettings;
use clap::{Args, Subcommand};
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const SYSTEM: &str = include_str!("../../templates/systemd/system.service");
const USER: &str = include_str!("../../templates/systemd/user.service");

/// Print files for other programs, made from the settings
#[derive(Debug, Args)]
pub struct RenderArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A hardened unit that runs `qastack serve`, published where ports.test-metrics says
    Systemd(SystemdArgs),
}

#[derive(Debug, Clone, Default, Args)]
struct SystemdArgs {
    /// For a user's own manager instead of the system's
    #[arg(long)]
    user: bool,
    /// The program [default: /usr/local/bin/qastack; for a user ~/.local/bin/qastack]
    #[arg(long, value_name = "FILE")]
    executable: Option<PathBuf>,
    /// The exporter's settings file, as for qastack serve; without one its defaults hold
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The file with the administrator's token [default: /etc/qastack/admin-token; for a user ~/.config/qastack/admin-token]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Prints the file.
///
/// # Errors
/// The settings cannot be read, or a path is none that a unit can name.
pub async fn run(arguments: RenderArgs, context: &Context) -> Result<Answer> {
    let settings = stack::load_settings(context)?.settings;
    let What::Systemd(arguments) = arguments.what;
    let unit = unit(&arguments, &settings)?;
    let mut warnings = Vec::new();
    let defaults = StackSettings::default();
    let differs = settings.figures != defaults.figures || settings.sample_data != defaults.sample_data;
    if differs && arguments.config.is_none() {
        warnings.push(
            "the unit's exporter reads figures and sample_data from a file of its own: write them there and name it \
             with --config"
                .to_owned(),
        );
    }
    Ok(Answer { data: json!({ "unit": unit }), text: unit, warnings, verdict: None })
}

fn unit(arguments: &SystemdArgs, settings: &StackSettings) -> Result<String> {
    let path = |given: &Option<PathBuf>, system: &str, user: &str| match given {
        Some(path) => word(path),
        None => Ok(if arguments.user { user } else { system }.to_owned()),
    };
    let executable = path(&arguments.executable, "/usr/local/bin/qastack", "%h/.local/bin/qastack")?;
    let token = path(&arguments.token_file, "/etc/qastack/admin-token", "%E/qastack/admin-token")?;
    let listen = settings.ports.test_metrics;
    let mut command = format!("{executable} serve --listen {listen}");
    if let Some(config) = &arguments.config {
        // Writing to a string cannot fail.
        let _ = write!(command, " --config {}", word(config)?);
    }
    // Ports below 1024 are for those who may.
    let is_privileged = listen.port < 1024;
    if is_privileged && arguments.user {
        let message = format!("a user's service cannot listen on port {}", listen.port);
        return Err(Error::new(Code::SettingsInvalid, message).hint("Name a port from 1024 on in ports.test-metrics."));
    }
    let bind = "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_NET_BIND_SERVICE";
    let limits = settings.limits.test_metrics;
    let template = if arguments.user { USER } else { SYSTEM };
    Ok([
        ("command", command.as_str()),
        ("executable", &executable),
        ("token", &token),
        ("memory", &limits.memory.bytes().to_string()),
        ("cpu", &format!("{:.0}", limits.cpus * 100.0)),
        ("tasks", &limits.pids.to_string()),
        ("capabilities", if is_privileged { bind } else { "CapabilityBoundingSet=" }),
        // In a user namespace of its own no capability counts outside.
        ("private_users", if is_privileged { "no" } else { "yes" }),
    ]
    .into_iter()
    .fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value)))
}

/// A path as a unit names it: absolute, with what systemd would expand doubled. It cannot hold what would end a word.
fn word(path: &Path) -> Result<String> {
    let usable = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\'' | '\\' | ':' | ';');
    match path.to_str().filter(|text| path.is_absolute() && text.chars().all(usable)) {
        Some(text) => Ok(text.replace('%', "%%").replace('$', "$$")),
        None => {
            let message = format!("{} is no path that a unit can name", path.display());
            Err(Error::new(Code::Usage, message).hint("Give an absolute path without spaces and quotes."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Command, CommandLine};
    use super::*;
    use clap::Parser;

    fn rendered(arguments: &SystemdArgs, yaml: &str) -> String {
        let settings: StackSettings = serde_yaml::from_str(yaml).unwrap();
        unit(arguments, &settings).unwrap()
    }

    fn user() -> SystemdArgs {
        SystemdArgs { user: true, ..SystemdArgs::default() }
    }

    /// The values of a key, in order.
    fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
        unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
    }

    #[test]
    fn both_units_are_whole_and_run_a_command_that_this_program_takes() {
        let with_config = SystemdArgs { config: Some("/etc/qastack/serve.yaml".into()), ..SystemdArgs::default() };
        for arguments in [SystemdArgs::default(), user(), with_config] {
            let unit = rendered(&arguments, "{ ports: { test-metrics: '0.0.0.0:8181' } }");
            assert!(!unit.contains("{{"), "{unit}");
            let start = values(&unit, "ExecStart");
            assert_eq!(start.len(), 1);
            let command_line = CommandLine::try_parse_from(start[0].split(' ')).unwrap();
            assert!(matches!(command_line.command, Command::Serve(_)), "{start:?}");
            assert!(start[0].contains(" --listen 0.0.0.0:8181 "), "{start:?}");
            assert_eq!(start[0].contains("serve.yaml"), arguments.config.is_some());
            for (key, value) in [
                ("NoNewPrivileges", "yes"),
                ("RestrictNamespaces", "yes"),
                ("MemoryDenyWriteExecute", "yes"),
                ("SystemCallArchitectures", "native"),
                ("MemoryMax", "268435456"),
                ("CPUQuota", "100%"),
                ("TasksMax", "100"),
            ] {
                assert_eq!(values(&unit, key), [value], "{key}");
            }
        }
    }

    #[test]
    fn the_systems_unit_has_a_user_of_its_own_and_sees_no_homes() {
        let unit = rendered(&SystemdArgs::default(), "{}");
        for (key, value) in [
            ("DynamicUser", "yes"),
            ("ProtectSystem", "strict"),
            ("ProtectHome", "yes"),
            ("CapabilityBoundingSet", ""),
            ("PrivateUsers", "yes"),
            ("LoadCredential", "admin-token:/etc/qastack/admin-token"),
        ] {
            assert_eq!(values(&unit, key), [value], "{key}");
        }
    }

    #[test]
    fn a_port_below_1024_gets_the_one_capability_it_needs() {
        let settings = "{ ports: { test-metrics: 80 } }";
        let unit = rendered(&SystemdArgs::default(), settings);
        assert_eq!(values(&unit, "CapabilityBoundingSet"), ["CAP_NET_BIND_SERVICE"]);
        assert_eq!(values(&unit, "AmbientCapabilities"), ["CAP_NET_BIND_SERVICE"]);
        assert_eq!(values(&unit, "PrivateUsers"), ["no"]);
        let error = super::unit(&user(), &serde_yaml::from_str(settings).unwrap()).unwrap_err();
        assert_eq!(error.code(), Code::SettingsInvalid);
    }

    #[test]
    fn a_path_that_would_end_a_word_is_refused() {
        assert_eq!(word(Path::new("/opt/100%/qastack")).unwrap(), "/opt/100%%/qastack");
        for path in ["relative/qastack", "/opt/my tools/qastack", "/opt/\"x\"", "/a\nExecStartPre=/bin/x"] {
            assert_eq!(word(Path::new(path)).unwrap_err().code(), Code::Usage, "{path}");
        }
    }
}
