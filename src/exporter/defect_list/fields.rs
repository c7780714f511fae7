//! The names under which trackers and people write a defect's fields.

use super::dates;
use crate::quality::Defect;

/// Longer values are cut: nothing that decides a figure is longer.
const LONGEST: usize = 1_000;

/// What a column means to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Key,
    Title,
    Kind,
    Severity,
    Status,
    Resolution,
    Phase,
    Environment,
    Version,
    Component,
    Labels,
    Url,
    Created,
    Resolved,
    /// A truth value that says outright that the defect escaped.
    Escaped,
    /// Anything else, under its own name; rules can ask for it.
    Custom(String),
}

impl Field {
    /// What a column of this name means. Case, spaces, dashes and underscores make no difference.
    pub(super) fn named(name: &str) -> Self {
        let name = name.trim();
        let plain: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        match plain.as_str() {
            "key" | "id" | "issuekey" | "issueid" | "iid" | "number" | "defect" | "defectid" | "bugid"
            | "externalid" => Self::Key,
            "title" | "summary" | "name" | "subject" => Self::Title,
            "type" | "kind" | "issuetype" | "defecttype" => Self::Kind,
            "severity" | "priority" => Self::Severity,
            "status" | "state" => Self::Status,
            "resolution" | "statereason" | "closereason" => Self::Resolution,
            "phase" | "foundphase" | "foundinphase" | "stage" | "foundstage" => Self::Phase,
            "environment" | "env" | "foundin" | "foundinenvironment" | "detectedin" => Self::Environment,
            "version" | "affectsversion" | "affectsversions" | "affectedversion" | "foundinversion" => Self::Version,
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

/// Puts a value into a defect; `None` where it cannot be read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    defect: Defect,
    created: Option<i64>,
}

impl Draft {
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
            Field::Status => &mut defect.status,
            Field::Resolution => &mut defect.resolution,
            Field::Phase => &mut defect.phase,
            Field::Environment => &mut defect.environment,
            Field::Version => &mut defect.version,
            Field::Component => &mut defect.component,
            Field::Url => &mut defect.url,
            Field::Labels => {
                let separators: &[char] = if text.contains([';', ',', '|']) { &[';', ',', '|'] } else { &[' '] };
                defect.labels.extend(cut.split(separators).map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned));
                return Ok(());
            }
            Field::Escaped => {
                if ["1", "true", "yes", "y", "x"].iter().any(|yes| text.eq_ignore_ascii_case(yes)) {
                    defect.phase = "production".to_owned();
                }
                return Ok(());
            }
            Field::Created => {
                self.created = Some(dates::seconds(text).ok_or_else(|| unreadable("created", text))?);
                return Ok(());
            }
            Field::Resolved => {
                // An open defect has no such time, and trackers write that in many words.
                if !["unresolved", "open", "none", "null", "-", "n/a"]
                    .iter()
                    .any(|word| text.eq_ignore_ascii_case(word))
                {
                    defect.resolved_at = Some(dates::seconds(text).ok_or_else(|| unreadable("resolved", text))?);
                }
                return Ok(());
            }
            Field::Custom(name) => defect.fields.entry(name.clone()).or_default(),
        };
        if place.is_empty() {
            *place = cut;
        }
        Ok(())
    }

    /// The defect. `otherwise` is the creation time where the list has none at all.
    ///
    /// # Errors
    /// It has no key, or no creation time.
    pub(super) fn finish(mut self, otherwise: Option<i64>) -> Result<Defect, String> {
        if self.defect.key.is_empty() {
            return Err("it has no key".to_owned());
        }
        self.defect.created_at =
            self.created.or(otherwise).ok_or_else(|| format!("{} has no creation date", self.defect.key))?;
        Ok(self.defect)
    }
}

fn unreadable(what: &str, text: &str) -> String {
    let text: String = text.chars().take(40).collect();
    format!("the {what} date {text:?} cannot be read; write it as 2026-01-31 or 2026-01-31T08:00:00Z")
}
