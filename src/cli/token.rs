//! `qastack token`: tokens for CI and for readers, made and revoked over HTTP with an administrator's.

use super::Context;
use super::exporter::ExporterArgs;
use crate::error::Result;
use crate::exporter::client::{Client, Upload};
use crate::output::Answer;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

/// Make, list and revoke the exporter's tokens
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token; its secret is printed once and never again
    Create {
        /// Its name
        name: String,
        /// What it may do
        #[arg(long = "scope", value_enum, default_values_t = [ScopeWord::Ingest])]
        scopes: Vec<ScopeWord>,
        /// The only project it may be used for
        #[arg(long, value_name = "NAME")]
        report_project: Option<String>,
        #[command(flatten)]
        exporter: ExporterArgs,
    },
    /// List the tokens, without their secrets
    List {
        #[command(flatten)]
        exporter: ExporterArgs,
    },
    /// Revoke a token at once
    Revoke {
        /// Its name or number
        token: String,
        #[command(flatten)]
        exporter: ExporterArgs,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScopeWord {
    /// Bring reports, defects and deployments
    Ingest,
    /// Read figures and lists
    Read,
    /// Everything
    Admin,
}

impl ScopeWord {
    fn word(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

/// Does it.
///
/// # Errors
/// The token is none of an administrator, or the exporter does not answer.
pub async fn run(arguments: TokenArgs, context: &Context) -> Result<Answer> {
    let tokens = ["api", "v1", "tokens"];
    match arguments.action {
        Action::Create { name, scopes, report_project, exporter } => {
            let client = exporter.client(context).await?;
            let scopes: Vec<_> = scopes.into_iter().map(ScopeWord::word).collect();
            let wanted = json!({ "name": name, "scopes": scopes, "project": report_project });
            let body = Upload {
                bytes: wanted.to_string().into(),
                media_type: "application/json",
                encoding: None,
                idempotency_key: None,
            };
            let made = told(&client, client.post(client.url(&tokens), body).await)?;
            // The secret alone, so that a script can take it: TOKEN=$(qastack token create ci).
            let secret = made["secret"].as_str().unwrap_or_default().to_owned();
            let warnings = vec!["this secret is shown once; keep it where your CI keeps its secrets".to_owned()];
            Ok(Answer { text: secret, data: made, warnings, ..Answer::default() })
        }
        Action::List { exporter } => {
            let client = exporter.client(context).await?;
            let list = told(&client, client.get(client.url(&tokens)).await)?;
            let lines: Vec<String> = list.as_array().into_iter().flatten().map(line).collect();
            let text = match lines.is_empty() {
                true => "no tokens but the administrator's; qastack token create NAME makes one".to_owned(),
                false => lines.join("\n"),
            };
            Ok(Answer { text, data: json!({ "tokens": list }), ..Answer::default() })
        }
        Action::Revoke { token, exporter } => {
            let client = exporter.client(context).await?;
            let url = client.url(&["api", "v1", "tokens", &token]);
            let revoked = told(&client, client.delete(url).await)?;
            let text = format!("{} is revoked", revoked["name"].as_str().unwrap_or(&token));
            Ok(Answer { text, data: revoked, ..Answer::default() })
        }
    }
}

fn told(client: &Client, answer: std::result::Result<Value, crate::exporter::client::Refusal>) -> Result<Value> {
    answer.map_err(|refusal| refusal.into_error(client.base()))
}

fn line(token: &Value) -> String {
    let moment = |name: &str| {
        let moment = token[name].as_i64().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        moment.map_or_else(|| "never".to_owned(), |moment| moment.to_string())
    };
    let scopes: Vec<&str> = token["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let standing = match token["revoked_at"].is_null() {
        true => format!("last used {}", moment("last_used_at")),
        false => format!("revoked {}", moment("revoked_at")),
    };
    format!(
        "{} {}: {} for {}, {standing}",
        token["id"],
        token["name"].as_str().unwrap_or_default(),
        scopes.join(" and "),
        token["project"].as_str().unwrap_or("every project"),
    )
}
