//! What stands around every page: its title, the way through the pages, the search, and whether it is all a sample.

use super::{address, assets};
use crate::store::Snapshot;

/// Projects in the menu; all of them are on a page of their own.
const IN_MENU: usize = 30;

/// The pages there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    /// The figures.
    Overview,
    /// The list of runs, and one of them.
    Runs,
    /// The list of tests, and one of them.
    Tests,
    /// The flaky ones.
    Flaky,
    /// The broken ones.
    Broken,
    /// The slow ones.
    Slowest,
    /// The defects.
    Defects,
    /// All projects.
    Projects,
    /// What was taken in.
    Ingest,
    /// None of them.
    Elsewhere,
}

/// The pages of a project, in the order of the way through them.
const OF_PROJECT: [(Tab, &str, &str); 6] = [
    (Tab::Runs, "runs", "Runs"),
    (Tab::Tests, "tests", "Tests"),
    (Tab::Flaky, "flaky", "Flaky"),
    (Tab::Broken, "broken", "Broken"),
    (Tab::Slowest, "slowest", "Slowest"),
    (Tab::Defects, "defects", "Defects"),
];

/// A link of the way through the pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where to.
    pub to: String,
    /// What it says.
    pub text: String,
    /// Whether it is the page that is shown.
    pub current: bool,
}

/// What stands around a page.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The page's title.
    pub title: String,
    /// The project that is looked at.
    pub project: Option<String>,
    /// The pages.
    pub pages: Vec<Link>,
    /// The projects, for changing between them; empty where there is one at most.
    pub projects: Vec<Link>,
    /// Whether the sample is shown.
    pub sample: bool,
    /// Whether the figures are being folded again under other rules.
    pub folding: bool,
    /// What is searched for.
    pub search: String,
    /// The addresses of style, script and icon.
    pub assets: &'static assets::Addresses,
    /// Whether the page is one that goes on changing.
    pub live: bool,
}

impl Frame {
    /// The frame of a page about a project, or about all of them together.
    pub fn new(title: String, tab: Tab, project: Option<&str>, snapshot: &Snapshot, sample: bool) -> Self {
        // Where there is one project, its pages are never more than a step away.
        let only = || (snapshot.projects.len() == 1).then(|| snapshot.projects.keys().next().cloned()).flatten();
        let focus = project.map(str::to_owned).or_else(only);
        let link = |to: String, text: &str, current| Link { to, text: text.to_owned(), current };
        let mut pages = vec![link(address::overview(project), "Overview", tab == Tab::Overview)];
        if let Some(focus) = &focus {
            pages.extend(OF_PROJECT.map(|(of, path, text)| link(address::below(focus, path), text, tab == of)));
        }
        if snapshot.projects.len() > 1 {
            pages.push(link("/projects".to_owned(), "Projects", tab == Tab::Projects));
        }
        pages.push(link("/ingest".to_owned(), "Ingest", tab == Tab::Ingest));
        let mut projects = Vec::new();
        if snapshot.projects.len() > 1 {
            projects.push(link("/".to_owned(), "All projects", project.is_none()));
            let known = snapshot.projects.keys().take(IN_MENU);
            projects.extend(known.map(|key| link(address::overview(Some(key)), key, Some(key.as_str()) == project)));
        }
        Self {
            title,
            project: focus,
            pages,
            projects,
            sample,
            folding: snapshot.folding.is_some(),
            search: String::new(),
            assets: assets::addresses(),
            live: true,
        }
    }

    /// The frame of a page that is not about anything that is stored.
    pub fn bare(title: &str) -> Self {
        let overview = Link { to: "/".to_owned(), text: "Overview".to_owned(), current: false };
        Self {
            title: title.to_owned(),
            project: None,
            pages: vec![overview],
            projects: Vec::new(),
            sample: false,
            folding: false,
            search: String::new(),
            assets: assets::addresses(),
            live: false,
        }
    }

    /// The version that is shown at the foot.
    pub fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}
