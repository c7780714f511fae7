//! Lists of defects, and what they read: a tracker may have told a hundred thousand of them.

use super::{DAY, NOON, store};
use qastack::quality::{Defect, DefectKind, FigureName, Rules};
use qastack::store::{NewDefects, Store, StoreOptions};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

const KINDS: [DefectKind; 4] = [DefectKind::Production, DefectKind::PreRelease, DefectKind::Invalid, DefectKind::Open];

/// The `number`th defect: seven of them on each day, of all kinds, several at the same second.
fn defect(number: i64) -> Defect {
    let is = |every: i64| number % every == 0;
    Defect {
        key: format!("SHOP-{number:04}"),
        title: format!("Größe {number} \"bricht\" um"),
        environment: if is(3) { "production" } else { "qa" }.to_owned(),
        resolution: if is(5) { "Duplicate" } else { "" }.to_owned(),
        resolved_at: is(2).then_some(NOON),
        created_at: NOON - number / 7 * DAY - number % 3 * 60,
        ..Defect::default()
    }
}

async fn fill(store: &Store, count: i64) {
    let defects = (0..count).map(defect).collect();
    let new = NewDefects { project: "shop".into(), defects, bytes: 1, received_at: NOON };
    store.upsert_defects(new).await.unwrap();
}

#[tokio::test]
async fn the_pages_of_each_kind_are_those_of_all_defects_without_the_others() {
    let store = store();
    fill(&store, 300).await;
    let all = store.read_blocking(|reader| reader.defect_page("shop", None, 0, 1_000)).unwrap();
    assert_eq!((all.defects.len(), all.chosen), (300, 300));
    for kind in KINDS {
        let expected: Vec<_> = all.defects.iter().filter(|one| kind.holds(&one.class)).cloned().collect();
        assert!(expected.len() > 30, "{kind:?}");
        let mut shown = Vec::new();
        for from in (0..).step_by(7) {
            let page = store.read_blocking(|reader| reader.defect_page("shop", Some(kind), from, 7)).unwrap();
            assert_eq!(page.chosen, expected.len() as u64, "{kind:?}");
            if page.defects.is_empty() {
                break;
            }
            shown.extend(page.defects);
        }
        assert_eq!(shown, expected, "{kind:?}");
    }
}

/// A store in a file, with defects in it.
async fn filled_file(directory: &tempfile::TempDir, count: i64) -> (PathBuf, Store) {
    let path = directory.path().join("qastack.db");
    let store = Store::open(&path, StoreOptions::default()).unwrap();
    fill(&store, count).await;
    (path, store)
}

/// Makes the defects of all days but these unreadable, so that whoever reads one of them fails.
fn only_days(path: &Path, days: RangeInclusive<i64>) {
    let rows = rusqlite::Connection::open(path).unwrap();
    let (first, last) = (NOON - days.end() * DAY - DAY / 2, NOON - days.start() * DAY + DAY / 2);
    let sql = "UPDATE defect SET defect = '7' WHERE created_at < ?1 OR created_at >= ?2";
    assert!(rows.execute(sql, (first, last)).unwrap() > 600);
}

#[tokio::test]
async fn a_page_of_a_kind_reads_the_days_that_it_shows_and_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let (path, store) = filled_file(&directory, 700).await;
    let all = store.read_blocking(|reader| reader.defects("shop", 1_000)).unwrap();
    only_days(&path, 50..=50);
    for kind in KINDS {
        let newer = all[..350].iter().filter(|one| kind.holds(&one.class)).count();
        let expected: Vec<_> = all[350..357].iter().filter(|one| kind.holds(&one.class)).cloned().collect();
        let page = |from, limit| store.read_blocking(|reader| reader.defect_page("shop", Some(kind), from, limit));
        assert_eq!(page(newer, expected.len()).unwrap().defects, expected, "{kind:?}");
        assert!(
            page(newer - 1, 1).is_err() && page(newer, expected.len() + 1).is_err(),
            "{kind:?}: they are unreadable"
        );
    }
}

#[tokio::test]
async fn a_page_of_a_rare_kind_reads_none_of_the_others_of_its_day() {
    let directory = tempfile::tempdir().unwrap();
    let (path, store) = filled_file(&directory, 7).await;
    let rows = rusqlite::Connection::open(&path).unwrap();
    let sql = "UPDATE defect SET defect = '7' WHERE key NOT IN ('SHOP-0000', 'SHOP-0005')";
    assert_eq!(rows.execute(sql, []).unwrap(), 5);
    let page = |kind| store.read_blocking(|reader| reader.defect_page("shop", Some(kind), 0, 10));
    assert_eq!(page(DefectKind::Invalid).unwrap().defects.len(), 2);
    assert!(page(DefectKind::Production).is_err());
}

#[tokio::test]
async fn the_pages_follow_a_defect_that_changes_a_restart_and_other_rules() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("qastack.db");
    let open = || Store::open(&path, StoreOptions::default()).unwrap();
    let keys = |store: &Store, kind| -> Vec<String> {
        let page = store.read_blocking(|reader| reader.defect_page("shop", Some(kind), 0, 10)).unwrap();
        page.defects.into_iter().map(|one| one.defect.key).collect()
    };
    let store = open();
    fill(&store, 7).await;
    assert_eq!(keys(&store, DefectKind::Invalid), ["SHOP-0000", "SHOP-0005"]);
    let mended = Defect { resolution: "Fixed".into(), ..defect(5) };
    let new = NewDefects { project: "shop".into(), defects: vec![mended], bytes: 1, received_at: NOON };
    store.upsert_defects(new).await.unwrap();
    assert_eq!(keys(&store, DefectKind::Invalid), ["SHOP-0000"]);
    store.close().await;
    drop(store);
    let store = open();
    assert_eq!(keys(&store, DefectKind::Invalid), ["SHOP-0000"]);
    let mut rules = Rules::default();
    rules.defects.production.clear();
    store.set_rules(rules).await.unwrap();
    assert_eq!(keys(&store, DefectKind::Production), Vec::<String>::new());
    assert_eq!(keys(&store, DefectKind::PreRelease).len(), 6);
}

#[tokio::test]
async fn an_explanation_and_a_search_read_the_newest_defects_and_say_how_many_are_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let (path, store) = filled_file(&directory, 700).await;
    let is_open = |number: &i64| number % 2 != 0 && number % 5 != 0;
    let open = (0..700).filter(is_open).count() as u64;
    only_days(&path, 0..=2);
    // The leakage's window is of 90 days.
    for (name, known) in [(FigureName::DefectLeakage, 7 * 90), (FigureName::OpenDefectAge, open)] {
        let why = store.read_blocking(|reader| reader.explain(name, None, NOON, 5)).unwrap();
        assert_eq!((why.defects.len(), why.left_out), (5, known - 5), "{name:?}");
        assert!(store.read_blocking(|reader| reader.explain(name, None, NOON, 30)).is_err(), "they are unreadable");
    }
    let found = |text| store.read_blocking(|reader| reader.find_defects("shop", text, 22));
    assert_eq!(found("größe").unwrap().len(), 21, "the titles of the others are gone");
    assert!(found("shop-0021").is_err(), "what is found is read");
}

#[tokio::test]
async fn a_search_looks_at_keys_and_titles_as_they_are_and_at_nothing_else() {
    let store = store();
    fill(&store, 30).await;
    for (text, expected) in [
        ("shop-0012", &["SHOP-0012"][..]),
        ("GRÖSSE 7 ", &[]),
        ("grÖße 7 ", &["SHOP-0007"]),
        ("7 \"BRICHT\"", &["SHOP-0007", "SHOP-0017", "SHOP-0027"]),
        ("production", &[]),
        ("title", &[]),
    ] {
        let found = store.read_blocking(|reader| reader.find_defects("shop", text, 10)).unwrap();
        let mut keys: Vec<_> = found.iter().map(|one| one.defect.key.as_str()).collect();
        keys.sort();
        assert_eq!(keys, expected, "{text}");
    }
}
