//! A project's defects: what counted as production, what does not count at all, and the rule that decided.

use super::address;
use super::frame::{Frame, Link, Tab};
use super::rows::DefectRow;
use super::view::show;
use super::words;
use crate::exporter::api::query_invalid;
use crate::exporter::problem::Problem;
use crate::exporter::{Asking, Exporter};
use crate::quality::{DefectKind, LeakageDenominator};
use crate::store::StoreError;
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

/// Defects of a page.
const PAGE: usize = 50;

/// Which defects are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefectsQuery {
    #[serde(default)]
    show: Choice,
    #[serde(default)]
    from: u32,
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Choice {
    #[default]
    All,
    Production,
    PreRelease,
    Invalid,
    Open,
}

impl Choice {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::All, "all", "All"),
        (Self::Production, "production", "Production"),
        (Self::PreRelease, "pre-release", "Before the release"),
        (Self::Open, "open", "Open"),
        (Self::Invalid, "invalid", "Do not count"),
    ];

    fn kind(self) -> Option<DefectKind> {
        match self {
            Self::All => None,
            Self::Production => Some(DefectKind::Production),
            Self::PreRelease => Some(DefectKind::PreRelease),
            Self::Invalid => Some(DefectKind::Invalid),
            Self::Open => Some(DefectKind::Open),
        }
    }
}

#[derive(Template)]
#[template(path = "page/defects.html")]
struct Defects {
    frame: Frame,
    choices: Vec<Link>,
    chosen: String,
    formula: &'static str,
    defects: Vec<DefectRow>,
    newer: Option<String>,
    older: Option<String>,
}

/// `GET /projects/{project}/defects`.
pub async fn list(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    query: Result<Query<DefectsQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    let Query(DefectsQuery { show: choice, from }) = query.map_err(query_invalid)?;
    let from = from as usize;
    show(&exporter, &asking, Some(project), move |view| {
        let project = view.project()?;
        let page = view.reader.defect_page(project, choice.kind(), from, PAGE)?;
        if from > 0 && page.defects.is_empty() {
            return Err(StoreError::Unknown { what: format!("defect {} in this list", from + 1) });
        }
        let here = address::below(project, "defects");
        let word = |choice| Choice::ALL.iter().find(|known| known.0 == choice).map_or("all", |known| known.1);
        let at = |choice: Choice, from: usize| {
            let from = Some(from).filter(|from| *from > 0).map(|from| from.to_string());
            let choice = Some(choice).filter(|choice| *choice != Choice::All).map(word);
            address::with_query(&here, &[("show", choice), ("from", from.as_deref())])
        };
        Ok(Defects {
            frame: view.frame(format!("Defects of {project}"), Tab::Defects),
            choices: Choice::ALL
                .map(|(of, _, text)| Link { to: at(of, 0), text: text.to_owned(), current: of == choice })
                .to_vec(),
            chosen: words::counted(page.chosen, "defect", "defects"),
            formula: match view.rules().defects.denominator {
                LeakageDenominator::Total => "production defects / valid defects",
                LeakageDenominator::PreRelease => "production defects / valid defects found before the release",
            },
            newer: (from > 0).then(|| at(choice, from.saturating_sub(PAGE))),
            older: ((from + page.defects.len()) < page.chosen as usize).then(|| at(choice, from + PAGE)),
            defects: page.defects.iter().map(DefectRow::of).collect(),
        })
    })
    .await
}
