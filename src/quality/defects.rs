//! Defects: where they were found, whether they count, and how many of each there are by day.

use super::buckets::DayCounts;
use super::day::{Day, Window};
use super::rules::{CaseRule, RulesError, compile_globs};
use globset::GlobSet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A defect as its tracker tells it. Texts are kept as written; the rules read them without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Defect {
    /// The tracker's key, unique in a project: `SHOP-123`.
    pub key: String,
    /// The summary.
    pub title: String,
    /// The type: `Bug`, `Incident`.
    pub kind: String,
    /// The severity or priority.
    pub severity: String,
    /// The workflow's state: `Open`, `Done`.
    pub status: String,
    /// Why it was closed: `Fixed`, `Duplicate`.
    pub resolution: String,
    /// The phase it was found in, where the tracker says so outright.
    pub phase: String,
    /// The environment it was found in.
    pub environment: String,
    /// The version it was found in.
    pub version: String,
    /// The component.
    pub component: String,
    /// Labels or tags.
    pub labels: Vec<String>,
    /// Where to read it.
    pub url: String,
    /// Any other field, by name: custom fields of a tracker.
    pub fields: BTreeMap<String, String>,
    /// When it was created, in seconds since 1970.
    pub created_at: i64,
    /// When it was resolved, in seconds since 1970.
    pub resolved_at: Option<i64>,
}

impl Defect {
    /// The values of a field by the name the rules use; labels have many, any other field one.
    fn values<'a>(&'a self, field: &str) -> Vec<&'a str> {
        match field {
            "key" => vec![&self.key],
            "title" => vec![&self.title],
            "type" | "kind" => vec![&self.kind],
            "severity" => vec![&self.severity],
            "status" => vec![&self.status],
            "resolution" => vec![&self.resolution],
            "phase" => vec![&self.phase],
            "environment" => vec![&self.environment],
            "version" => vec![&self.version],
            "component" => vec![&self.component],
            "label" | "labels" => self.labels.iter().map(String::as_str).collect(),
            other => self.fields.get(other).map(String::as_str).into_iter().collect(),
        }
    }
}

/// Where a defect was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before the release, by whatever test.
    PreRelease,
    /// In production: it escaped.
    Production,
}

/// A defect whose `field` matches one of the globs `any_of`, without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefectRule {
    /// The rule's name, shown wherever it decided something.
    pub name: String,
    /// `phase`, `environment`, `label`, `type`, `component`, `severity`, `status`, `resolution`, `version`,
    /// `title`, `key`, or the name of a custom field.
    pub field: String,
    /// Globs; one match is enough.
    pub any_of: Vec<String>,
}

impl DefectRule {
    fn new(name: &str, field: &str, any_of: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            field: field.to_owned(),
            any_of: any_of.iter().map(|&glob| glob.to_owned()).collect(),
        }
    }
}

/// What the leakage is a share of; both formulas are in use, so a team says which one it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeakageDenominator {
    /// All valid defects: leakage = production / (production + pre-release) = 1 - removal efficiency.
    #[default]
    Total,
    /// Valid pre-release defects alone: production / pre-release. It can pass 1.
    PreRelease,
}

/// What counts as a production defect, and which defects do not count at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DefectRules {
    /// A defect is a production defect when one of these matches; the first that does is shown as the reason.
    pub production: Vec<DefectRule>,
    /// A defect does not count when one of these matches.
    pub invalid: Vec<DefectRule>,
    /// A defect is closed when one of these matches, or when it has a time of resolution.
    pub closed: Vec<DefectRule>,
    /// What the leakage is a share of.
    pub denominator: LeakageDenominator,
}

impl Default for DefectRules {
    fn default() -> Self {
        // Between words a `?` stands for the space of a field, the dash of a label, the underscore of a program; the `*`
        // for whichever apostrophe, or none.
        let production = ["production", "prod", "live", "post?release", "customer"];
        let labels = ["production", "prod", "escaped", "leaked", "found?in?production", "customer?reported"];
        let invalid = [
            "duplicate*",
            "can*t?reproduce",
            "not?reproducible",
            "works?as?designed",
            "as?designed",
            "by?design",
            "works?for?me",
            "worksforme",
            "won*t?fix",
            "wontfix",
            "won*t?do",
            "not?a?bug",
            "not?a?defect",
            "not?an?issue",
            "not?planned",
            "invalid",
            "rejected",
            "declined",
        ];
        let closed = ["closed", "done", "resolved", "fixed", "verified", "completed", "cancelled", "canceled"];
        Self {
            production: vec![
                DefectRule::new("phase says production", "phase", &production),
                DefectRule::new("found in a production environment", "environment", &production),
                DefectRule::new("labelled as escaped", "label", &labels),
            ],
            invalid: vec![
                DefectRule::new("resolution says it is no defect", "resolution", &invalid),
                DefectRule::new("status says it is no defect", "status", &invalid),
                DefectRule::new("labelled as no defect", "label", &invalid),
            ],
            closed: vec![DefectRule::new("status says closed", "status", &closed)],
            denominator: LeakageDenominator::Total,
        }
    }
}

impl DefectRules {
    /// The rules, ready to classify.
    pub(super) fn compile(&self) -> Result<CompiledDefectRules, RulesError> {
        let each = |rules: &[DefectRule]| {
            rules
                .iter()
                .map(|rule| Ok((rule.clone(), compile_globs(&rule.any_of, CaseRule::Ignored)?)))
                .collect::<Result<Vec<_>, RulesError>>()
        };
        Ok(CompiledDefectRules {
            production: each(&self.production)?,
            invalid: each(&self.invalid)?,
            closed: each(&self.closed)?,
        })
    }

    /// Classifies each of the defects, in order; what a preview shows and what the figures count.
    pub fn classify(&self, defects: &[Defect]) -> Result<Vec<Classification>, RulesError> {
        let rules = self.compile()?;
        Ok(defects.iter().map(|defect| rules.classify(defect)).collect())
    }
}

/// What the rules make of a defect, and which of them did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Classification {
    /// Where it was found.
    pub phase: Phase,
    /// The name of the rule that made it a production defect.
    pub phase_rule: Option<String>,
    /// Whether it counts.
    pub valid: bool,
    /// The name of the rule that made it not count.
    pub invalid_rule: Option<String>,
    /// Whether it is still open.
    pub open: bool,
}

/// Defect rules whose globs are compiled.
#[derive(Debug, Clone)]
pub(super) struct CompiledDefectRules {
    production: Vec<(DefectRule, GlobSet)>,
    invalid: Vec<(DefectRule, GlobSet)>,
    closed: Vec<(DefectRule, GlobSet)>,
}

impl CompiledDefectRules {
    pub(super) fn classify(&self, defect: &Defect) -> Classification {
        let first = |rules: &[(DefectRule, GlobSet)]| {
            rules
                .iter()
                .find(|(rule, globs)| {
                    defect.values(&rule.field).iter().any(|text| !text.trim().is_empty() && globs.is_match(text.trim()))
                })
                .map(|(rule, _)| rule.name.clone())
        };
        let phase_rule = first(&self.production);
        let invalid_rule = first(&self.invalid);
        Classification {
            phase: if phase_rule.is_some() { Phase::Production } else { Phase::PreRelease },
            phase_rule,
            valid: invalid_rule.is_none(),
            invalid_rule,
            // Trackers keep the date of the first resolution where a defect is opened again.
            open: is_reopened(&defect.status) || (defect.resolved_at.is_none() && first(&self.closed).is_none()),
        }
    }
}

/// Whether a status says that a defect was opened again.
fn is_reopened(status: &str) -> bool {
    let plain: String = status.chars().filter(char::is_ascii_alphabetic).flat_map(char::to_lowercase).collect();
    plain == "reopened" || plain == "reopen"
}

/// Defects that are counted and listed by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefectKind {
    /// Valid ones that were found in production.
    Production,
    /// Valid ones that were found before the release.
    PreRelease,
    /// Those that do not count.
    Invalid,
    /// Valid ones that are still open, wherever they were found.
    Open,
}

impl DefectKind {
    /// Whether a defect is one of these.
    pub fn holds(self, class: &Classification) -> bool {
        match self {
            Self::Production => class.valid && class.phase == Phase::Production,
            Self::PreRelease => class.valid && class.phase == Phase::PreRelease,
            Self::Invalid => !class.valid,
            Self::Open => class.valid && class.open,
        }
    }
}

/// Severities a project's series may have; further ones share `other`.
const SEVERITIES: usize = 12;

/// The defects of a project as counts by the day they were created. Adding and removing are each other's
/// inverse, so that a changed defect is taken out as it was and put in as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefectSums {
    production: DayCounts,
    pre_release: DayCounts,
    invalid: DayCounts,
    open: DayCounts,
    by_label: BTreeMap<(Phase, String, bool), u64>,
}

impl DefectSums {
    /// Counts a defect in.
    pub fn add(&mut self, defect: &Defect, class: &Classification) {
        self.change(defect, class, 1);
    }

    /// Takes a defect out that was counted in with the same words.
    pub fn remove(&mut self, defect: &Defect, class: &Classification) {
        self.change(defect, class, -1);
    }

    fn change(&mut self, defect: &Defect, class: &Classification, by: i64) {
        let day = Day::of(defect.created_at);
        let counts = match (class.valid, class.phase) {
            (false, _) => &mut self.invalid,
            (true, Phase::Production) => &mut self.production,
            (true, Phase::PreRelease) => &mut self.pre_release,
        };
        counts.change(day, by);
        if !class.valid {
            return;
        }
        if class.open {
            self.open.change(day, by);
        }
        let label = (class.phase, defect.severity.trim().to_lowercase(), class.open);
        let count = self.by_label.entry(label.clone()).or_default();
        *count = count.saturating_add_signed(by);
        if *count == 0 {
            self.by_label.remove(&label);
        }
    }

    /// Valid production and pre-release defects created in the window, and those that do not count.
    pub fn created_in(&self, window: Window) -> (u64, u64, u64) {
        (self.production.sum(window), self.pre_release.sum(window), self.invalid.sum(window))
    }

    /// How many defects of a kind were created on each day.
    pub fn days(&self, kind: DefectKind) -> &DayCounts {
        match kind {
            DefectKind::Production => &self.production,
            DefectKind::PreRelease => &self.pre_release,
            DefectKind::Invalid => &self.invalid,
            DefectKind::Open => &self.open,
        }
    }

    /// All of them, whenever they were created.
    pub(super) fn known(&self) -> u64 {
        [&self.production, &self.pre_release, &self.invalid].iter().flat_map(|days| days.iter()).map(|day| day.1).sum()
    }

    /// Valid defects by phase, severity (lower case; beyond a dozen `other`, unnamed `unknown`) and state.
    pub fn by_label(&self) -> BTreeMap<(Phase, String, &'static str), u64> {
        let mut severities: Vec<(&str, u64)> = Vec::new();
        for ((_, severity, _), count) in &self.by_label {
            match severities.iter_mut().find(|(name, _)| name == severity) {
                Some((_, total)) => *total += count,
                None => severities.push((severity, *count)),
            }
        }
        severities.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
        severities.truncate(SEVERITIES);
        let mut labelled = BTreeMap::new();
        for ((phase, severity, open), count) in &self.by_label {
            let kept = severities.iter().any(|(name, _)| name == severity);
            let name = match (kept, severity.is_empty()) {
                (_, true) => "unknown",
                (true, false) => severity,
                (false, false) => "other",
            };
            let state = if *open { "open" } else { "closed" };
            *labelled.entry((*phase, name.to_owned(), state)).or_default() += count;
        }
        labelled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defect(key: &str) -> Defect {
        Defect { key: key.into(), kind: "Bug".into(), status: "Open".into(), ..Defect::default() }
    }

    #[test]
    fn a_label_an_environment_or_a_phase_makes_a_production_defect_and_the_rule_is_named() {
        let rules = DefectRules::default();
        let defects = [
            Defect { labels: vec!["UI".into(), "Production".into()], ..defect("a") },
            Defect { environment: " PROD ".into(), ..defect("b") },
            Defect { phase: "production".into(), ..defect("c") },
            Defect { environment: "staging".into(), ..defect("d") },
        ];
        let classes = rules.classify(&defects).unwrap();
        let named: Vec<_> = classes.iter().map(|class| class.phase_rule.as_deref()).collect();
        assert_eq!(
            named,
            [
                Some("labelled as escaped"),
                Some("found in a production environment"),
                Some("phase says production"),
                None
            ]
        );
        assert_eq!(classes[3].phase, Phase::PreRelease);
    }

    #[test]
    fn duplicates_and_wontfix_do_not_count_and_a_custom_field_can_decide() {
        let mut rules = DefectRules::default();
        rules.production.push(DefectRule::new("custom", "Found in", &["live*"]));
        let defects = [
            Defect { resolution: "Duplicate of X-1".into(), ..defect("a") },
            Defect { resolution: "Won't Fix".into(), ..defect("b") },
            Defect { fields: [("Found in".to_owned(), "LIVE-EU".to_owned())].into(), ..defect("c") },
            Defect { status: "Done".into(), resolution: "Fixed".into(), ..defect("d") },
        ];
        let classes = rules.classify(&defects).unwrap();
        assert!(!classes[0].valid && !classes[1].valid);
        assert_eq!(classes[2].phase_rule.as_deref(), Some("custom"));
        assert!(classes[3].valid && !classes[3].open);
    }

    #[test]
    fn a_word_is_known_as_fields_labels_and_programs_spell_it() {
        let rules = DefectRules::default();
        let resolved = |resolution: &str| Defect { resolution: resolution.into(), ..defect("a") };
        let invalid = [
            "Cannot Reproduce",
            "cannot-reproduce",
            "CANNOT_REPRODUCE",
            "Can’t reproduce",
            "cant-reproduce",
            "WORKSFORME",
            "works-for-me",
            "Works as Designed",
            "As Designed",
            "by-design",
            "Won't Fix",
            "won’t-fix",
            "wont_fix",
            "wontfix",
            "Won't Do",
            "not-a-bug",
            "NOT_PLANNED",
            "Not an Issue",
        ];
        for word in invalid {
            assert!(!rules.classify(&[resolved(word)]).unwrap()[0].valid, "{word}");
            let labelled = Defect { labels: vec![word.into()], ..defect("a") };
            assert!(!rules.classify(&[labelled]).unwrap()[0].valid, "label {word}");
        }
        for word in ["Fixed", "Done", "wontons fix", "reproduced", "a bug", "designed"] {
            assert!(rules.classify(&[resolved(word)]).unwrap()[0].valid, "{word}");
        }
        let found = |label: &str| Defect { labels: vec![label.into()], ..defect("a") };
        let production = ["found-in-production", "Found in production", "customer_reported"].map(found);
        assert!(rules.classify(&production).unwrap().iter().all(|class| class.phase == Phase::Production));
    }

    #[test]
    fn a_changed_defect_is_taken_out_as_it_was() {
        let rules = DefectRules::default();
        let before = defect("a");
        let after = Defect { environment: "production".into(), severity: "High".into(), ..before.clone() };
        let classes = rules.classify(&[before.clone(), after.clone()]).unwrap();
        let mut changed = DefectSums::default();
        changed.add(&before, &classes[0]);
        changed.remove(&before, &classes[0]);
        changed.add(&after, &classes[1]);
        let mut straight = DefectSums::default();
        straight.add(&after, &classes[1]);
        assert_eq!(changed, straight);
        assert_eq!(changed.by_label(), [((Phase::Production, "high".to_owned(), "open"), 1)].into());
    }

    #[test]
    fn severities_beyond_a_dozen_share_one_label() {
        let rules = DefectRules::default();
        let mut sums = DefectSums::default();
        for number in 0..30 {
            let one = Defect { severity: format!("s{number:02}"), ..defect("x") };
            sums.add(&one, &rules.classify(std::slice::from_ref(&one)).unwrap()[0]);
        }
        let labels = sums.by_label();
        assert_eq!(labels.len(), SEVERITIES + 1);
        assert_eq!(labels[&(Phase::PreRelease, "other".to_owned(), "open")], 18);
    }
}
