//! The fuzzers' seed corpus: every seed is read by the ordinary tests as well.

use qastack::exporter::defect_list;
use qastack::reports::{Limits, read};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_seed_is_read_or_refused_and_every_target_has_seeds() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |directory: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz.join(directory)).expect("a directory");
        let stem = |entry: fs::DirEntry| entry.path().file_stem().expect("a stem").to_string_lossy().into_owned();
        entries.map(|entry| stem(entry.expect("an entry"))).collect()
    };
    let targets = names("fuzz_targets");
    assert_eq!(targets, names("corpus"));
    for target in targets.iter().filter(|target| *target != "defects") {
        let mut read_in_full = 0;
        for entry in fs::read_dir(fuzz.join("corpus").join(target)).expect("a corpus") {
            let bytes = fs::read(entry.expect("an entry").path()).expect("a seed");
            if let Ok(run) = read(&bytes, &Limits::default()) {
                let format = serde_json::to_value(run.format).expect("a word");
                assert_eq!(format, target.as_str());
                read_in_full += 1;
            }
        }
        assert!(read_in_full > 0, "no seed of {target} is a report");
    }
}

#[test]
fn every_seed_of_a_defect_list_is_read_and_stays_as_it_is_on_its_way_to_the_exporter() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/defects");
    let mut formats = BTreeSet::new();
    for entry in fs::read_dir(corpus).expect("a corpus") {
        let path = entry.expect("an entry").path();
        let list = defect_list::read(&fs::read(&path).expect("a seed"), 1_772_452_800);
        let list = list.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let again = defect_list::read(&defect_list::write(&list.defects), 1_772_452_800).expect("a list of ours");
        assert_eq!(again.defects, list.defects, "{}", path.display());
        formats.insert(list.format.word());
    }
    assert_eq!(formats.len(), 7, "{formats:?}");
}
