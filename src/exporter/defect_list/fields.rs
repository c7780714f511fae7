//! The names under which trackers and people write a defect's fields.

use super::dates::{self, Order};
use crate::quality::Defect;
use std::collections::BTreeMap;

/// Longer values are cut: nothing that decides a figure is longer.
pub(super) const LONGEST: usize = 1_000;

/// What a column means to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Key,
    Title,
    Kind,
    Severity,
    /// Stands in for the severity where there is none.
    Priority,
    Status,
    Resolution,
    Phase,
    Environment,
    /// The environment outright, where a field of that name holds what somebody typed, such as a browser.
    FoundIn,
    Version,
    Component,
    Labels,
    Url,
    Created,
    Resolved,
    /// A truth value that says outright that the defect escaped.
    Escaped,
    /// Long text that decides nothing and may be nobody's business: descriptions, comments.
    Prose,
    /// Anything else, under its own name; rules can ask for it.
    Custom(String),
}

/// The fields that somebody may say the column of, by their words.
pub const MAPPABLE: [&str; 15] = [
    "key",
    "title",
    "type",
    "severity",
    "status",
    "resolution",
    "phase",
    "environment",
    "version",
    "component",
    "labels",
    "url",
    "created",
    "resolved",
    "escaped",
];

/// Which column means which field, where somebody said so; all others mean what their names say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldMap(BTreeMap<String, (Field, String)>);

impl FieldMap {
    /// A map of fields to the names of columns.
    ///
    /// # Errors
    /// The field that there is not.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, String> {
        let mut map = BTreeMap::new();
        for (field, column) in pairs {
            if !MAPPABLE.contains(&field) {
                return Err(format!("`{field}` is no field of a defect; they are {}", MAPPABLE.join(", ")));
            }
            map.insert(plain_column(column), (Field::named(field), column.to_owned()));
        }
        Ok(Self(map))
    }

    /// What a column of this name means. A field whose column was named is not taken from any other.
    pub(super) fn field(&self, name: &str) -> Field {
        let name = of_custom_field(name.trim());
        if let Some((field, _)) = self.0.get(&plain(name)) {
            return field.clone();
        }
        let by_name = Field::named(name);
        let same = if by_name == Field::FoundIn { &Field::Environment } else { &by_name };
        let is_taken = self.0.values().any(|(field, _)| field == same);
        if is_taken { Field::Custom(name.to_owned()) } else { by_name }
    }

    /// The columns that were named.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|(_, column)| column.as_str())
    }
}

/// Jira's CSV wraps the names of fields that somebody added, its API does not.
fn of_custom_field(name: &str) -> &str {
    name.strip_prefix("Custom field (").and_then(|name| name.strip_suffix(')')).unwrap_or(name)
}

/// The name of a column without what people and tools write differently.
pub(super) fn plain_column(name: &str) -> String {
    plain(of_custom_field(name.trim()))
}

/// A name without what people write differently: case, spaces, dashes, underscores.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl Field {
    /// Whether its values are dates.
    pub(super) fn is_date(&self) -> bool {
        matches!(self, Self::Created | Self::Resolved)
    }

    /// What a column of this name means. Case, spaces, dashes and underscores make no difference.
    pub(super) fn named(name: &str) -> Self {
        let name = of_custom_field(name.trim());
        match plain(name).as_str() {
            "key" | "id" | "issuekey" | "issueid" | "iid" | "number" | "defect" | "defectid" | "bugid"
            | "externalid" => Self::Key,
            "title" | "summary" | "name" | "subject" => Self::Title,
            "type" | "kind" | "issuetype" | "defecttype" => Self::Kind,
            "severity" => Self::Severity,
            "priority" => Self::Priority,
            "description" | "body" | "comment" | "comments" | "attachment" | "attachments" | "logwork" | "worklog" => {
                Self::Prose
            }
            "status" | "state" => Self::Status,
            "resolution" | "statereason" | "closereason" => Self::Resolution,
            "phase" | "foundphase" | "foundinphase" | "stage" | "foundstage" => Self::Phase,
            "environment" | "env" => Self::Environment,
            "foundin" | "foundinenvironment" | "detectedin" | "foundon" | "detectedon" => Self::FoundIn,
            "version" | "versions" | "affectsversion" | "affectsversions" | "affectedversion" | "foundinversion" => {
                Self::Version
            }
            "component" | "components" | "area" | "module" => Self::Component,
            "labels" | "label" | "tags" | "tag" => Self::Labels,
            "url" | "link" | "weburl" | "htmlurl" => Self::Url,
            "created" | "createdat" | "createdatutc" | "createddate" | "creationdate" | "opened" | "openedat"
            | "date" | "reported" | "reportedat" | "founddate" | "detected" | "detectedat" => Self::Created,
            "resolved" | "resolvedat" | "resolutiondate" | "resolveddate" | "closed" | "closedat" | "closedatutc"
            | "closeddate" | "fixedat" => Self::Resolved,
            "escaped" | "leaked" | "production" | "inproduction" | "foundinproduction" | "isproduction" => {
                Self::Escaped
            }
            _ => Self::Custom(name.to_owned()),
        }
    }
}

/// How plainly a name says that it is this field, the plainest first: Jira exports both `Issue key` and `Issue id`, GitLab
/// `Issue ID` and `Title`; `Reported` beside `Created` may be by whom.
pub(super) fn plainness(field: &Field, name: &str) -> u8 {
    let name = plain_column(name);
    match field {
        Field::Key if name.ends_with("key") => 0,
        Field::Key if ["id", "number", "iid"].contains(&name.as_str()) => 1,
        Field::Created if name.starts_with("creat") => 0,
        Field::Created if name.starts_with("opened") => 1,
        Field::Created if name.starts_with("reported") => 3,
        _ => 2,
    }
}

/// Of several columns that could be the key, or the creation date, the one that says so most plainly is, and the others
/// are fields of their own.
pub(super) fn one_of_each(columns: Vec<Field>, name: impl Fn(usize) -> String) -> Vec<Field> {
    let plainest = |field: Field| {
        let those = (0..columns.len()).filter(|&index| columns[index] == field);
        those.min_by_key(|&index| plainness(&field, &name(index)))
    };
    let (key, created) = (plainest(Field::Key), plainest(Field::Created));
    let field = |(index, column)| match column {
        Field::Key if Some(index) != key => Field::Custom(name(index)),
        Field::Created if Some(index) != created => Field::Custom(name(index)),
        column => column,
    };
    columns.into_iter().enumerate().map(field).collect()
}

/// What stands between the labels of one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum LabelList {
    /// A comma, semicolon or bar where there is one, else spaces.
    #[default]
    Guessed,
    /// Commas alone.
    Commas,
}

/// A defect that is being read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    defect: Defect,
    created: Option<i64>,
    /// It is said to be closed, in a word where others say when.
    closed: bool,
    priority: String,
    found_in: String,
    labels: LabelList,
    order: Option<Order>,
    note: Option<String>,
}

impl Draft {
    /// An empty one, whose labels and dates stand like this.
    pub(super) fn new(labels: LabelList, order: Option<Order>) -> Self {
        Self { labels, order, ..Self::default() }
    }

    /// What had to be left out of it.
    pub(super) fn note(&mut self) -> Option<String> {
        self.note.take()
    }

    /// Whether it has a creation time of its own.
    pub(super) fn has_created(&self) -> bool {
        self.created.is_some()
    }

    /// Adds one label, whatever stands in it.
    pub(super) fn add_label(&mut self, label: &str) {
        let label: String = label.trim().chars().take(LONGEST).collect();
        if !label.is_empty() {
            self.defect.labels.push(label);
        }
    }

    /// Sets a field from its text. A field that stands twice keeps its first value; labels and components add up.
    ///
    /// # Errors
    /// Says in words why the whole row cannot be used.
    pub(super) fn set(&mut self, field: &Field, text: &str) -> Result<(), String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        let cut: String = text.chars().take(LONGEST).collect();
        let defect = &mut self.defect;
        let place = match field {
            Field::Key => &mut defect.key,
            Field::Title => &mut defect.title,
            Field::Kind => &mut defect.kind,
            Field::Severity => &mut defect.severity,
            Field::Priority => &mut self.priority,
            Field::Prose => return Ok(()),
            Field::Status => &mut defect.status,
            Field::Resolution => &mut defect.resolution,
            Field::Phase => &mut defect.phase,
            Field::Environment => &mut defect.environment,
            Field::FoundIn => &mut self.found_in,
            Field::Version => &mut defect.version,
            Field::Component => &mut defect.component,
            Field::Url => &mut defect.url,
            Field::Labels => {
                let separators: &[char] = match self.labels {
                    LabelList::Commas => &[','],
                    LabelList::Guessed if text.contains([';', ',', '|']) => &[';', ',', '|'],
                    LabelList::Guessed => &[' '],
                };
                defect.labels.extend(cut.split(separators).map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned));
                return Ok(());
            }
            Field::Escaped => {
                const YES: &[&str] = &["1", "true", "yes", "y", "x", "ja", "wahr", "oui", "vrai", "si", "sí"];
                const NO: &[&str] = &["0", "false", "no", "n", "-", "nein", "falsch", "non", "faux", "none", "null"];
                let word = text.to_lowercase();
                if YES.contains(&word.as_str()) {
                    defect.phase = "production".to_owned();
                } else if !NO.contains(&word.as_str()) {
                    self.note = Some(format!("whether it escaped is left empty: {cut:?} is neither yes nor no"));
                }
                return Ok(());
            }
            Field::Created => {
                let created = dates::seconds(text, self.order).ok_or_else(|| unreadable("created", text))?;
                self.created.get_or_insert(created);
                return Ok(());
            }
            Field::Resolved => {
                self.resolved(text);
                return Ok(());
            }
            Field::Custom(name) => defect.fields.entry(name.clone()).or_default(),
        };
        if place.is_empty() {
            *place = cut;
        }
        Ok(())
    }

    /// An open defect has no such time, and trackers write that in many words; some say only that it is closed. What
    /// cannot be read is no reason to lose the defect.
    fn resolved(&mut self, text: &str) {
        const OPEN: &[&str] = &["unresolved", "open", "none", "null", "-", "n/a", "false", "no", "n", "0"];
        const CLOSED: &[&str] = &["true", "yes", "y", "x", "1", "closed", "resolved"];
        let is_one_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        if is_one_of(CLOSED) {
            self.closed = true;
        } else if !is_one_of(OPEN) {
            match dates::seconds(text, self.order) {
                Some(moment) => {
                    self.defect.resolved_at.get_or_insert(moment);
                }
                None => self.note = Some(format!("left empty: {}", unreadable("resolved", text))),
            }
        }
    }

    /// The defect. `otherwise` is the creation time where the list has none at all.
    ///
    /// # Errors
    /// It has no key, or no creation time.
    pub(super) fn finish(mut self, otherwise: Option<i64>) -> Result<Defect, String> {
        if self.defect.key.is_empty() {
            return Err("it has no key".to_owned());
        }
        if self.closed && self.defect.status.is_empty() {
            self.defect.status = "Closed".to_owned();
        }
        if self.defect.severity.is_empty() {
            self.defect.severity = self.priority;
        }
        if !self.found_in.is_empty() {
            let typed = std::mem::replace(&mut self.defect.environment, self.found_in);
            if !typed.is_empty() {
                self.defect.fields.entry("Environment".to_owned()).or_insert(typed);
            }
        }
        self.defect.created_at =
            self.created.or(otherwise).ok_or_else(|| format!("{} has no creation date", self.defect.key))?;
        Ok(self.defect)
    }
}

fn unreadable(what: &str, text: &str) -> String {
    let trouble = if dates::could_mean_two_days(text) {
        "could mean two days, and the other dates of the list do not tell which"
    } else {
        "cannot be read"
    };
    let text: String = text.chars().take(40).collect();
    format!("the {what} date {text:?} {trouble}; write it as 2026-01-31 or 2026-01-31T08:00:00Z")
}
