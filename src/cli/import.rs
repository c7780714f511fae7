//! `qastack import`: what a tracker exports becomes defects of a project, after a look at what the rules make of it.

use super::exporter::ExporterArgs;
use super::{Context, stack};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::exporter::client::{Client, Upload};
use crate::exporter::defect_list::{self, DefectList, FieldMap};
use crate::output::Answer;
use crate::quality::{Classification, Day, Defect, DefectRule, DefectRules, Phase, Window};
use crate::words;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::str::FromStr;

/// Bring in what other tools have exported
#[derive(Debug, Args)]
pub struct ImportArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Defects(Box<DefectsArgs>),
}

/// Bring in defects: CSV or JSON, or what Jira, GitHub and GitLab export
#[derive(Debug, Args)]
struct DefectsArgs {
    /// The lists; what they are is told by their content
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    exporter: ExporterArgs,
    /// The project the defects belong to
    #[arg(long, env = "QASTACK_PUSH__PROJECT", value_name = "NAME", default_value = "default")]
    report_project: String,
    /// Show what the rules call production, pre-release and not valid, and why; send nothing
    #[arg(long)]
    dry_run: bool,
    /// The column of a field: environment="Found in" [default: import.columns of the settings]
    #[arg(long, value_name = "FIELD=COLUMN")]
    map: Vec<Pair>,
    /// Take only entries whose field matches: label=bug, type='*bug*' [default: import.only of the settings]
    #[arg(long, value_name = "FIELD=GLOB")]
    only: Vec<Pair>,
}

/// `NAME=VALUE` as typed.
#[derive(Debug, Clone)]
struct Pair(String, String);

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok(Self(name.into(), value.into())),
            _ => Err(format!("`{text}` is not NAME=VALUE")),
        }
    }
}

/// Defects that are sent at once; the exporter takes a list in one transaction.
const AT_ONCE: usize = 20_000;

/// Rows of the preview that are printed; JSON has all of them.
const SHOWN: usize = 40;

/// Brings everything in, or nothing: a list that cannot be used holds up the others.
///
/// # Errors
/// A list cannot be used, or the exporter does not take it.
pub async fn run(arguments: ImportArgs, context: &Context) -> Result<Answer> {
    let What::Defects(arguments) = arguments.what;
    let settings = stack::load_settings(context)?.settings;
    let columns = with_flags(settings.import.columns, &arguments.map);
    let only = with_flags(settings.import.only, &arguments.only);
    let map = FieldMap::new(columns.iter().map(|(field, column)| (field.as_str(), column.as_str())))
        .map_err(|what| Error::new(Code::Usage, what))?;
    let now = Timestamp::now().as_second();
    let mut import = Import::default();
    for file in &arguments.files {
        import.add(&file.display().to_string(), read(file, now, &map)?);
    }
    import.has_mapped_columns()?;
    import.keep_only(&only)?;
    import.classify(&settings.figures.defects)?;
    // Settings whose rules make no sense are not loaded.
    if let Ok(rules) = settings.figures.rules() {
        import.look_for_older(now, rules.leakage_window_days);
    }
    if import.defects.is_empty() {
        let entries = words::plain(&words::counted(import.others, "entry", "entries"));
        let message = format!("of {entries} none is a defect by {}", pairs(&only));
        return Err(
            Error::new(Code::ReportRejected, message).hint("Look at the entries with --dry-run without --only.")
        );
    }
    let sent = match arguments.dry_run {
        true => None,
        false => Some(import.send(&arguments.exporter.client(context).await?, &arguments.report_project).await?),
    };
    Ok(import.answer(&arguments.report_project, sent))
}

/// What the settings say, and where a flag says something about the same name, the flag.
fn with_flags(settings: BTreeMap<String, String>, flags: &[Pair]) -> BTreeMap<String, String> {
    let mut all = settings;
    all.extend(flags.iter().map(|Pair(name, value)| (name.clone(), value.clone())));
    all
}

fn pairs(of: &BTreeMap<String, String>) -> String {
    of.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

fn read(file: &PathBuf, now: i64, map: &FieldMap) -> Result<DefectList> {
    let rejected = |what: String| Error::new(Code::ReportRejected, format!("{}: {what}", file.display()));
    let bytes = std::fs::read(file).map_err(|cause| rejected(format!("cannot be read: {cause}")))?;
    defect_list::read_with(&bytes, now, map).map_err(|unusable| {
        rejected(unusable.to_string())
            .hint("It has to be CSV with a header row or JSON; docs/importing-defects.md tells what each tool exports.")
    })
}

/// What is brought in.
#[derive(Default)]
struct Import {
    files: Vec<Value>,
    warnings: Vec<String>,
    defects: Vec<Defect>,
    classes: Vec<Classification>,
    /// How many valid defects are older than the window, and its days, by the settings here.
    older: (u64, u64),
    places: HashMap<String, usize>,
    /// Entries that are no defects, as somebody said.
    others: u64,
    /// Columns that somebody named and that no list has.
    missing: Option<BTreeSet<String>>,
    /// The columns of all lists.
    columns: BTreeSet<String>,
}

impl Import {
    fn add(&mut self, file: &str, list: DefectList) {
        let DefectList { format, defects, left_out, warnings, other_columns, missing_columns, columns } = list;
        let missing = missing_columns.into_iter().collect();
        self.missing = Some(match self.missing.take() {
            Some(before) => before.intersection(&missing).cloned().collect(),
            None => missing,
        });
        self.columns.extend(columns);
        self.files.push(json!({
            "file": file,
            "format": format,
            "defects": defects.len(),
            "left_out": left_out,
            "other_columns": other_columns,
        }));
        self.warnings.extend(warnings.iter().map(|warning| format!("{file}:{}: {}", warning.line, warning.text)));
        if !other_columns.is_empty() {
            let columns = other_columns.join(", ");
            self.warnings
                .push(format!("{file}: columns that are no field of a defect, kept for rules to ask for: {columns}"));
        }
        for defect in defects {
            match self.places.get(&defect.key) {
                Some(&place) => {
                    self.warnings.push(format!("{file}: {} stands in another list, too; this one counts", defect.key));
                    self.defects[place] = defect;
                }
                None => {
                    self.places.insert(defect.key.clone(), self.defects.len());
                    self.defects.push(defect);
                }
            }
        }
    }

    /// A column that was named and is nowhere: without it the figures would be others than somebody wants.
    fn has_mapped_columns(&self) -> Result<()> {
        let missing: Vec<_> = self.missing.iter().flatten().map(|column| format!("{column:?}")).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let columns: Vec<_> = self.columns.iter().map(String::as_str).collect();
        Err(Error::new(Code::ReportRejected, format!("no list has the column {}", missing.join(", "))).hint(format!(
            "The columns are: {}. --map and import.columns say which one means what.",
            columns.join(", ")
        )))
    }

    /// Leaves out what is no defect: every one of the fields has to match.
    fn keep_only(&mut self, only: &BTreeMap<String, String>) -> Result<()> {
        for (field, glob) in only {
            // What the rules say of a rule that calls it invalid is what we ask here: whether it matches.
            let rule = DefectRule { name: "only".to_owned(), field: field.clone(), any_of: vec![glob.clone()] };
            let rules =
                DefectRules { production: vec![], closed: vec![], invalid: vec![rule], ..DefectRules::default() };
            let classes = classify(&rules, &self.defects)?;
            let before = self.defects.len();
            let mut matches = classes.iter().map(|class| !class.valid);
            self.defects.retain(|_| matches.next().unwrap_or(false));
            self.others += (before - self.defects.len()) as u64;
        }
        Ok(())
    }

    fn classify(&mut self, rules: &DefectRules) -> Result<()> {
        self.classes = classify(rules, &self.defects)?;
        Ok(())
    }

    fn look_for_older(&mut self, now: i64, window_days: u32) {
        let first = Window::ending(Day::of(now), window_days).first;
        let classified = self.defects.iter().zip(&self.classes);
        let older = classified.filter(|(defect, class)| class.valid && Day::of(defect.created_at) < first).count();
        self.older = (older as u64, u64::from(window_days));
    }

    fn counted(&self) -> [u64; 3] {
        let mut counts = [0; 3];
        self.classes.iter().for_each(|class| counts[standing(class) as usize] += 1);
        counts
    }

    /// Sends all of them, and sums up what the exporter says.
    async fn send(&self, client: &Client, project: &str) -> Result<BTreeMap<&'static str, u64>> {
        let mut sums = BTreeMap::new();
        for defects in self.defects.chunks(AT_ONCE) {
            let bytes = zstd::encode_all(&defect_list::write(defects)[..], 3)
                .map_err(|cause| Error::new(Code::Unexpected, format!("the defects cannot be packed: {cause}")))?;
            let upload = Upload {
                bytes: bytes.into(),
                media_type: "application/json",
                encoding: Some("zstd"),
                idempotency_key: None,
            };
            let url = client.url(&["api", "v1", "projects", project, "defects"]);
            let receipt = client.post(url, upload).await.map_err(|refusal| refusal.into_error(client.base()))?;
            for name in ["added", "changed", "unchanged", "production", "pre_release", "invalid", "older_than_window"] {
                *sums.entry(name).or_default() += receipt[name].as_u64().unwrap_or(0);
            }
            sums.insert("window_days", receipt["window_days"].as_u64().unwrap_or(0));
        }
        Ok(sums)
    }

    fn answer(mut self, project: &str, sent: Option<BTreeMap<&'static str, u64>>) -> Answer {
        let counts = self.counted();
        let [production, pre_release, invalid] = counts;
        let mut lines = Vec::new();
        if sent.is_none() {
            lines.extend(self.table());
        }
        let defects = words::plain(&words::counted(self.defects.len() as u64, "defect", "defects"));
        lines.push(format!(
            "{defects}: {production} from production, {pre_release} from before the release, {invalid} not valid"
        ));
        if self.others > 0 {
            let others = words::counted(self.others, "entry is no defect", "entries are no defects");
            lines.push(format!("{} by --only or import.only", words::plain(&others)));
        }
        match &sent {
            None => lines.push("nothing was sent: this was a dry run".to_owned()),
            Some(sums) => {
                let told =
                    format!("{} added, {} changed, {} as they were", sums["added"], sums["changed"], sums["unchanged"]);
                lines.push(format!("project {project}: {told}"));
                if [sums["production"], sums["pre_release"], sums["invalid"]] != counts {
                    self.warnings.push(format!(
                        "the exporter's own rules decide, and they differ from the settings here: {} from production, {} \
                         from before the release, {} not valid",
                        sums["production"], sums["pre_release"], sums["invalid"]
                    ));
                }
            }
        }
        // What counts in the end are the exporter's rules.
        let (older, window_days, valid) = match &sent {
            Some(sums) => (sums["older_than_window"], sums["window_days"], sums["production"] + sums["pre_release"]),
            None => (self.older.0, self.older.1, production + pre_release),
        };
        self.warnings.extend(words::older_defects(older, valid, window_days));
        let list = self.defects.iter().zip(&self.classes).map(|(defect, class)| {
            json!({
                "key": defect.key,
                "title": defect.title,
                "standing": standing(class).word(),
                "rule": why(class),
                "open": class.open,
                "created_at": defect.created_at,
            })
        });
        Answer {
            data: json!({
                "project": project,
                "dry_run": sent.is_none(),
                "files": self.files,
                "counts": { "production": production, "pre_release": pre_release, "invalid": invalid, "no_defects": self.others },
                "older_than_window": older,
                "window_days": window_days,
                "receipt": sent,
                "defects": list.collect::<Vec<_>>(),
            }),
            text: lines.join("\n"),
            warnings: self.warnings,
            ..Answer::default()
        }
    }

    /// The preview, those that decide the leakage first.
    fn table(&self) -> Vec<String> {
        let mut rows: Vec<_> = self.defects.iter().zip(&self.classes).collect();
        rows.sort_by_key(|(_, class)| standing(class));
        let width = rows.iter().take(SHOWN).map(|(defect, _)| defect.key.chars().count()).max().unwrap_or(0).max(3);
        let mut lines = vec![format!("{:width$}  {:11}  {:38}  TITLE", "KEY", "COUNTS AS", "BECAUSE")];
        lines.extend(rows.iter().take(SHOWN).map(|(defect, class)| {
            let (counts_as, because) = (standing(class).word(), why(class).unwrap_or("no rule matched"));
            let title: String = defect.title.chars().filter(|c| !c.is_control()).take(60).collect();
            format!("{:width$}  {counts_as:11}  {because:38}  {title}", defect.key)
        }));
        if rows.len() > SHOWN {
            let further = words::counted((rows.len() - SHOWN) as u64, "more defect", "more defects");
            lines.push(format!("and {}; --json has all of them", words::plain(&further)));
        }
        lines.push(String::new());
        lines
    }
}

fn classify(rules: &DefectRules, defects: &[Defect]) -> Result<Vec<Classification>> {
    rules.classify(defects).map_err(|error| Error::new(Code::Usage, error.to_string()))
}

/// What a defect counts as.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum CountsAs {
    Production,
    PreRelease,
    NotValid,
}

impl CountsAs {
    fn word(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::PreRelease => "pre-release",
            Self::NotValid => "not valid",
        }
    }
}

fn standing(class: &Classification) -> CountsAs {
    match (class.valid, class.phase) {
        (false, _) => CountsAs::NotValid,
        (true, Phase::Production) => CountsAs::Production,
        (true, Phase::PreRelease) => CountsAs::PreRelease,
    }
}

/// The rule that decided.
fn why(class: &Classification) -> Option<&str> {
    class.invalid_rule.as_deref().or(class.phase_rule.as_deref())
}
