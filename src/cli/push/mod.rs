//! `qastack push`: test reports and defect lists to the exporter, from a job or by hand.

mod answer;

use super::exporter::ExporterArgs;
use super::{Context, said};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::exporter::client::Client;
use crate::lifecycle;
use crate::output::Answer;
use crate::push::attempts::run_of;
use crate::push::backlog::{self, Backlog};
use crate::push::ci::{self, Environment};
use crate::push::deliver::{Kind, Parcel};
use crate::push::find::{Found, find};
use crate::push::git;
use crate::push::patience::Patience;
use crate::push::spool::{Bounds, Delivering, Spool};
use crate::push::standard_input;
use crate::settings::{Memory, Period};
use crate::store::RunMeta;
use answer::{Delivery, End, Sent};
use clap::Args;
use futures_util::StreamExt;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Send test reports and defect lists to the exporter
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Files, globs and directories, - for standard input; without any, every report below the working directory. A .csv
    /// is a defect list
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    exporter: ExporterArgs,
    /// The project the reports belong to
    #[arg(long, env = "QASTACK_PUSH__PROJECT", value_name = "NAME", default_value = "default")]
    report_project: String,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    delivery: DeliveryArgs,
}

/// What happens when the exporter is away.
#[derive(Debug, Args)]
#[command(next_help_heading = "When the exporter is away")]
pub struct DeliveryArgs {
    /// Fail with exit code 14 when a report could only be kept in the spool
    #[arg(long)]
    strict: bool,
    /// Deliver what waits in the spool, and nothing else
    #[arg(long, conflicts_with = "files")]
    flush: bool,
    /// How long a report is tried again after a failure, such as 5s or 0s
    #[arg(long, env = "QASTACK_PUSH__PATIENCE", value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    patience: Duration,
    /// Where reports are kept that could not be delivered; the next push delivers them first [default: spool in
    /// $XDG_STATE_HOME/qastack]
    #[arg(long, env = "QASTACK_PUSH__SPOOL", value_name = "DIR")]
    spool: Option<PathBuf>,
    /// The most the spool may hold; the oldest reports go first
    #[arg(long, env = "QASTACK_PUSH__SPOOL_SIZE", value_name = "SIZE", default_value = "512MiB")]
    spool_size: Memory,
    /// How long a report may wait in the spool
    #[arg(long, env = "QASTACK_PUSH__SPOOL_AGE", value_name = "TIME", default_value = "14d")]
    spool_age: Period,
}

/// Where the spool is that nobody named.
fn default_spool() -> PathBuf {
    lifecycle::state_directory().join("spool")
}

/// The spool of a push that is told nothing by flags.
pub fn spool_directory() -> PathBuf {
    let named = std::env::var_os("QASTACK_PUSH__SPOOL").filter(|name| !name.is_empty());
    named.map_or_else(default_spool, PathBuf::from)
}

impl DeliveryArgs {
    fn spool(&self) -> Spool {
        let directory = self.spool.clone().unwrap_or_else(default_spool);
        Spool::new(directory, Bounds { bytes: self.spool_size.bytes(), age: self.spool_age.as_duration() })
    }
}

/// The run; what is not given is taken from the CI system, then from git.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Run (taken from the CI system and git where not given)")]
pub struct RunArgs {
    /// The branch
    #[arg(long, env = "QASTACK_PUSH__BRANCH", value_name = "NAME")]
    branch: Option<String>,
    /// The commit
    #[arg(long, env = "QASTACK_PUSH__COMMIT", value_name = "SHA")]
    commit: Option<String>,
    /// The commit's tree; equal code has an equal tree
    #[arg(long, env = "QASTACK_PUSH__TREE", value_name = "SHA")]
    tree: Option<String>,
    /// The run's key; attempts of one run share it
    #[arg(long, env = "QASTACK_PUSH__RUN", value_name = "KEY")]
    run: Option<String>,
    /// The attempt of the run, from 1
    #[arg(long, env = "QASTACK_PUSH__ATTEMPT", value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// The job in the run
    #[arg(long, env = "QASTACK_PUSH__JOB", value_name = "NAME")]
    job: Option<String>,
    /// The part of a job that is split over machines
    #[arg(long, env = "QASTACK_PUSH__SHARD", value_name = "NAME")]
    shard: Option<String>,
    /// The environment that was tested
    #[arg(long, env = "QASTACK_PUSH__ENVIRONMENT", value_name = "NAME")]
    environment: Option<String>,
    /// The cell of a matrix, such as linux-x64; it is part of each test's identity
    #[arg(long, env = "QASTACK_PUSH__VARIANT", value_name = "NAME")]
    variant: Option<String>,
    /// The pull request's number
    #[arg(long, env = "QASTACK_PUSH__PULL_REQUEST", value_name = "NUMBER")]
    pull_request: Option<String>,
    /// When the run was, as 2026-01-31T08:00:00Z [default: now]
    #[arg(long, env = "QASTACK_PUSH__STARTED_AT", value_name = "TIME", value_parser = moment)]
    started_at: Option<Timestamp>,
    /// The project's default branch
    #[arg(long, env = "QASTACK_PUSH__DEFAULT_BRANCH", value_name = "NAME")]
    default_branch: Option<String>,
}

/// How the bytes are read of what has this name.
type Reader = fn(&Path) -> std::io::Result<Vec<u8>>;

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

fn moment(text: &str) -> std::result::Result<Timestamp, String> {
    text.trim().parse().map_err(|_| "it is no moment such as 2026-01-31T08:00:00Z".to_owned())
}

/// Uploads that go side by side.
const SIDE_BY_SIDE: usize = 4;

/// How long `--flush` waits for another push that delivers the spool.
const TURN: Duration = Duration::from_secs(30);

/// Sends everything, what waits in the spool first. A file that is refused does not keep the others back; one that
/// cannot be delivered now is kept in the spool.
///
/// # Errors
/// Nothing is found, or the exporter cannot be spoken to. What became of each file is in the answer.
pub async fn run(arguments: PushArgs, context: &Context) -> Result<Answer> {
    let client = arguments.exporter.client(context).await?;
    let push = Push {
        patience: Patience::new(arguments.delivery.patience),
        spool: arguments.delivery.spool(),
        project: arguments.report_project,
        now: Timestamp::now().as_second(),
        client,
    };
    if arguments.delivery.flush {
        let right = push.turn(TURN).await?;
        let backlog = push.backlog(right.as_ref()).await?;
        return Ok(answer::of_flush(&push, backlog));
    }
    let found = find(&arguments.files);
    if found.standard_input {
        standard_input::is_sent()?;
    }
    if found == Found::default() {
        return Err(Error::new(Code::Usage, "no test report is found below the working directory")
            .hint("Name the files, such as qastack push 'target/surefire-reports/*.xml'."));
    }
    let environment: Environment = super::environment().collect();
    let mut meta = arguments.run.meta(&environment);
    if meta.run.is_none() && found.files.len() + usize::from(found.standard_input) > 1 {
        meta.push = Some(name_of_push(push.now));
    }
    let missing = found.missing.into_iter().map(|(name, reason)| Delivery {
        file: name,
        kind: Kind::Report,
        end: End::Unreadable(reason.to_owned()),
    });
    // Trouble with the spool must not keep back what can be delivered.
    let backlog = match push.turn(Duration::ZERO).await {
        Ok(right) => push.backlog(right.as_ref()).await,
        Err(trouble) => Err(trouble),
    };
    // Nobody else is kept from the spool from here on: standard input may come from a test run that goes on for long.
    let backlog = backlog.unwrap_or_else(|trouble| Backlog::with_warning(trouble.message()));
    let files = found.files.iter().map(|path| (path.as_path(), read_file as Reader));
    let input = found.standard_input.then_some((Path::new(standard_input::NAME), standard_input::read as Reader));
    let sending = files.chain(input).map(|(path, reader)| push.deliver(path, reader, &meta));
    let sent: Vec<Delivery> = futures_util::stream::iter(sending).buffered(SIDE_BY_SIDE).collect().await;
    let dropped = push.trim();
    let sent = Sent { deliveries: missing.chain(sent).collect(), backlog, dropped };
    Ok(answer::of_push(&push, sent, arguments.delivery.strict))
}

/// A name that no other push has: outside of CI nothing else tells which reports are of one run.
fn name_of_push(now: i64) -> String {
    let mut bytes = [0; 8];
    // Without it the time has to do.
    let _ = getrandom::fill(&mut bytes);
    format!("{now}-{:016x}", u64::from_le_bytes(bytes))
}

/// One push: where it goes, how long it tries, and where it keeps what it cannot deliver.
struct Push {
    client: Client,
    patience: Patience,
    spool: Spool,
    project: String,
    now: i64,
}

impl Push {
    /// The right to deliver the spool, waited for at most so long; nothing where there is no spool.
    async fn turn(&self, wait: Duration) -> Result<Option<Delivering>> {
        let trouble = |cause| self.spool_trouble(&cause);
        let until = tokio::time::Instant::now() + wait;
        loop {
            if self.spool.is_empty().map_err(trouble)? {
                return Ok(None);
            }
            if let Some(right) = self.spool.deliver().map_err(trouble)? {
                return Ok(Some(right));
            }
            if tokio::time::Instant::now() >= until {
                return Err(Error::new(Code::Locked, "another push is delivering the spool").retryable());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn backlog(&self, right: Option<&Delivering>) -> Result<Backlog> {
        let Some(right) = right else { return Ok(Backlog::default()) };
        let delivered = backlog::deliver(&self.spool, right, &self.client, &self.patience, self.now).await;
        delivered.map_err(|cause| self.spool_trouble(&cause))
    }

    async fn deliver(&self, path: &Path, reader: Reader, meta: &RunMeta) -> Delivery {
        let packing = tokio::task::spawn_blocking({
            let (path, project, meta) = (PathBuf::from(path), self.project.clone(), run_of(path, meta));
            move || Parcel::pack(&path, reader(&path)?, &project, &meta)
        });
        let end = match packing.await.map_err(std::io::Error::other).flatten() {
            Ok(parcel) => match self.patience.send(&parcel, &self.client).await {
                Ok(receipt) => End::Stored(receipt),
                Err(refusal) if refusal.is_passing() => match self.keep(parcel).await {
                    Ok(kept) => End::Spooled { kept, refusal },
                    Err(trouble) => End::Lost { refusal, trouble },
                },
                Err(refusal) => End::Refused(refusal),
            },
            Err(error) => End::Unreadable(error.to_string()),
        };
        Delivery { file: path.display().to_string(), kind: Kind::of(path), end }
    }

    async fn keep(&self, parcel: Parcel) -> std::io::Result<PathBuf> {
        let (spool, url, now) = (self.spool.clone(), self.client.address(), self.now);
        let keeping = tokio::task::spawn_blocking(move || spool.keep(&parcel, &url, now));
        keeping.await.map_err(std::io::Error::other).flatten()
    }

    /// Holds the spool to its bounds after something was added. Another push that delivers does it, too.
    fn trim(&self) -> Vec<String> {
        let right = match self.spool.is_empty() {
            Ok(false) => self.spool.deliver().ok().flatten(),
            _ => None,
        };
        right.and_then(|right| self.spool.trim(&right, self.now).ok()).unwrap_or_default()
    }

    fn spool_trouble(&self, cause: &std::io::Error) -> Error {
        let directory = self.spool.directory().display();
        Error::new(Code::StoreDamaged, format!("the spool {directory} cannot be used: {cause}"))
            .hint("Mend the directory's owner and permissions, or name another one with --spool.")
    }
}

impl RunArgs {
    /// What is given, else what the CI system says, else what git says.
    fn meta(&self, environment: &Environment) -> RunMeta {
        let ci = ci::detect(environment).unwrap_or_default();
        let checkout = git::checkout();
        // On a pull request GitHub's own commit is a merge that nobody ever sees again.
        let reviewed = environment
            .get("GITHUB_EVENT_PATH")
            .filter(|_| ci.provider == "github" && ci.pull_request.is_some())
            .and_then(|path| ci::commit_of_github_event(&std::fs::read_to_string(path).ok()?));
        let given = self.clone();
        let commit = said(given.commit);
        RunMeta {
            run: said(given.run).or(ci.run),
            push: None,
            attempt: given.attempt.or(ci.attempt).unwrap_or(1),
            job: said(given.job).or(ci.job),
            shard: said(given.shard).or(ci.shard),
            branch: said(given.branch).or(ci.branch).or(checkout.branch),
            // A tree belongs to what is checked out; beside another commit's name it would tie two codes together.
            tree: said(given.tree).or(if commit.is_none() { checkout.tree } else { None }),
            commit: commit.or(reviewed).or(ci.commit).or(checkout.commit),
            pull_request: said(given.pull_request).or(ci.pull_request),
            environment: said(given.environment),
            variant: said(given.variant),
            ci_provider: Some(ci.provider.to_owned()).filter(|name| !name.is_empty()),
            ci_url: ci.url.filter(|url| url.starts_with("https://") || url.starts_with("http://")),
            started_at: given.started_at.map(Timestamp::as_second),
            default_branch: said(given.default_branch),
        }
    }
}
