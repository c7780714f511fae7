//! A store that leaves as a file and takes another's place, while reports come in.

use super::{DAY, NOON, new_report, on_main, push, report};
use qastack::quality::Rules;
use qastack::store::{IfFull, NewToken, Scope, Store, StoreError, StoreOptions};
use std::path::{Path, PathBuf};

fn open(path: &Path, rules: Rules) -> Store {
    Store::open(path, StoreOptions { rules, ..StoreOptions::default() }).unwrap()
}

/// A store on disk with a flaky test, and a copy of it.
async fn copied(directory: &Path) -> (Store, PathBuf) {
    let store = open(&directory.join("one.db"), Rules::default());
    for (run, pays) in [("1", "FP"), ("2", "P")] {
        push(&store, on_main(run, "abc"), &[("pays", pays), ("adds", "P")]).await;
    }
    let copy = directory.join("copy.db");
    store.copy_to(&copy).await.unwrap();
    (store, copy)
}

/// What a store shows: figures, counters and its runs.
fn shown(store: &Store) -> String {
    let snapshot = store.snapshot();
    let runs = store.read_blocking(|reader| reader.projects()).unwrap();
    format!("{:?} {:?} {runs:?}", snapshot.figures(NOON), snapshot.ingest)
}

#[tokio::test]
async fn a_copy_is_one_moment_of_a_store_that_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("one.db"), Rules::default());
    let writing = tokio::spawn({
        let store = store.clone();
        async move {
            for number in 0..300 {
                push(&store, on_main(&number.to_string(), "abc"), &[("pays", "P")]).await;
            }
        }
    });
    let mut copies = 0;
    while !writing.is_finished() {
        let copy = directory.path().join(format!("copy-{copies}.db"));
        store.copy_to(&copy).await.unwrap();
        let copied = open(&copy, Rules::default());
        assert!(copied.read_blocking(|reader| reader.check_integrity()).unwrap().is_empty());
        let runs = copied.read_blocking(|reader| reader.projects()).unwrap().first().map_or(0, |project| project.runs);
        let counted: u64 = copied.snapshot().ingest.reports.values().sum();
        assert_eq!(runs, counted, "what is counted is what is there");
        copies += 1;
    }
    writing.await.unwrap();
    assert!(copies > 1, "it was copied while it was written to");
}

#[tokio::test]
async fn another_store_takes_the_place_of_an_empty_one_and_shows_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let (one, copy) = copied(directory.path()).await;
    for (name, other) in [
        ("on disk", open(&directory.path().join("other.db"), Rules::default())),
        ("in memory", Store::in_memory(StoreOptions::default()).unwrap()),
    ] {
        let copy_of_it = directory.path().join("copy-of-it.db");
        std::fs::copy(&copy, &copy_of_it).unwrap();
        other.replace_with(&copy_of_it, IfFull::Refuse).await.unwrap();
        assert_eq!(shown(&other), shown(&one), "{name}");
        // It goes on as the other would: the same push is known, the next one is counted.
        let again = other.ingest(new_report(on_main("2", "abc"), report(&[("pays", "P"), ("adds", "P")]))).await;
        assert!(again.unwrap().duplicate, "{name}");
        push(&other, on_main("3", "abc"), &[("pays", "P")]).await;
        assert_eq!(other.read_blocking(|reader| reader.projects()).unwrap()[0].runs, 3, "{name}");
    }
    // And after a restart.
    let other = open(&directory.path().join("third.db"), Rules::default());
    other.replace_with(&copy, IfFull::Refuse).await.unwrap();
    other.close().await;
    drop(other);
    assert_eq!(shown(&open(&directory.path().join("third.db"), Rules::default())), shown(&one));
}

#[tokio::test]
async fn a_store_that_is_not_empty_stays_unless_it_is_to_go() {
    let directory = tempfile::tempdir().unwrap();
    let (one, copy) = copied(directory.path()).await;
    let other = open(&directory.path().join("other.db"), Rules::default());
    let new =
        NewToken { name: "ci".into(), sha256: [7; 32], scopes: vec![Scope::Read], project: None, created_at: NOON };
    other.create_token(new).await.unwrap();
    let refused = other.replace_with(&copy, IfFull::Refuse).await;
    assert!(matches!(refused, Err(StoreError::NotEmpty)), "a token is something: {refused:?}");
    push(&other, on_main("9", "fff"), &[("walks", "P")]).await;
    let before = shown(&other);
    assert!(matches!(other.replace_with(&copy, IfFull::Refuse).await, Err(StoreError::NotEmpty)));
    assert_eq!(shown(&other), before);
    assert!(other.authenticate(&[7; 32], NOON).is_some());
    other.replace_with(&copy, IfFull::Replace).await.unwrap();
    assert_eq!(shown(&other), shown(&one));
    assert!(other.authenticate(&[7; 32], NOON).is_none(), "the tokens are those of the store that came");
}

#[tokio::test]
async fn what_is_no_whole_store_of_ours_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (one, copy) = copied(directory.path()).await;
    let before = shown(&one);
    let whole = std::fs::read(&copy).unwrap();
    let mut torn = whole.clone();
    for byte in &mut torn[5000..9000] {
        *byte ^= 0x55;
    }
    // `user_version` stands in the header at byte 60.
    let mut newer = whole.clone();
    newer[60..64].copy_from_slice(&999_u32.to_be_bytes());
    for (name, bytes) in [
        ("torn", &torn[..]),
        ("cut off", &whole[..whole.len() / 2]),
        ("newer", &newer),
        ("words", b"words, and enough of them to be seen as no database"),
        ("empty", b""),
    ] {
        let path = directory.path().join("bad.db");
        std::fs::write(&path, bytes).unwrap();
        let refused = one.replace_with(&path, IfFull::Replace).await;
        assert!(refused.is_err(), "{name}");
        assert_eq!(matches!(refused, Err(StoreError::Newer { found: 999, .. })), name == "newer", "{refused:?}");
        assert_eq!(shown(&one), before, "{name}");
    }
    push(&one, on_main("5", "abc"), &[("pays", "P")]).await;
    assert!(one.read_blocking(|reader| reader.check_integrity()).unwrap().is_empty());
}

#[tokio::test]
async fn the_figures_follow_the_rules_of_the_store_that_takes_another_in() {
    let directory = tempfile::tempdir().unwrap();
    let (_, copy) = copied(directory.path()).await;
    let rules = Rules { flake_window_days: 3, ..Rules::default() };
    let other = open(&directory.path().join("other.db"), rules.clone());
    other.replace_with(&copy, IfFull::Refuse).await.unwrap();
    let snapshot = other.snapshot();
    assert_eq!((snapshot.rules.version.clone(), snapshot.folding.clone()), (rules.version(), None));
    let later = snapshot.figures(NOON + 5 * DAY);
    assert_eq!(later.value(qastack::quality::FigureName::FlakeRate), None, "three days are over");
}
