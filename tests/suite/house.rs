//! The invariants of ARCHITECTURE.md, read off the source: who may import what, who may print, and that
//! every room stands on the map. It reads text only, so that it also sees code behind a `cfg`.

use std::fs;
use std::path::{Path, PathBuf};

/// The longest a file may be: past this nobody reads it in one sitting.
const LONGEST_FILE: usize = 600;

#[test]
fn only_the_docker_engine_room_imports_bollard() {
    nobody_says(&["bollard"], |path| !path.starts_with("src/engine/docker"));
}

#[test]
fn only_output_prints() {
    // The lints forbid the macros too; asking whether there is a terminal is not printing.
    let printing = [
        "print!",
        "println!",
        "eprint!",
        "eprintln!",
        "dbg!",
        "stdout().lock",
        "stdout().write",
        "stderr().lock",
        "stderr().write",
    ];
    nobody_says(&printing, |path| !path.starts_with("src/output"));
}

#[test]
fn only_the_store_speaks_sql() {
    nobody_says(&["rusqlite"], |path| !path.starts_with("src/store"));
}

#[test]
fn the_pure_rooms_do_no_input_or_output_and_read_no_clock() {
    let impure = [
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "std::thread",
        "tokio",
        "reqwest",
        "SystemTime",
        "Instant",
        "Timestamp::now",
        "Zoned::now",
        "io::stdin",
    ];
    nobody_says(&impure, |path| in_one_of(path, &["stack", "reports", "quality"]));
}

#[test]
fn the_exporters_rooms_do_not_know_that_docker_or_grafana_exist() {
    let rooms = ["exporter", "store", "reports", "quality"];
    let foreign = ["docker", "grafana", "bollard", "crate::engine", "crate::lifecycle", "crate::stack", "crate::cli"];
    nobody_says(&foreign, |path| in_one_of(path, &rooms));
}

#[test]
fn the_architecture_names_every_room() {
    let map = read(Path::new("ARCHITECTURE.md"));
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name != "lib.rs" {
            assert!(map.contains(&format!("`src/{name}")), "ARCHITECTURE.md does not say what src/{name} is for");
        }
    }
}

#[test]
fn every_setting_is_in_its_table() {
    let stack = serde_json::to_value(qastack::settings::StackSettings::default()).unwrap();
    let serve = serde_json::to_value(qastack::settings::ServeSettings::default()).unwrap();
    // The figures' own keys are the same in both files, and explained in one.
    for (document, settings, within) in [("README.md", stack, None), ("docs/serve.md", serve, Some("figures"))] {
        let table = read(&root().join(document));
        let is_told = |path: &str| table.contains(&format!("| `{path}` |"));
        let missing: Vec<String> = keys("", &settings)
            .into_iter()
            .filter(|path| within.is_none_or(|within| !path.starts_with(&format!("{within}."))))
            .filter(|path| !ancestors(path).any(is_told))
            .collect();
        assert_eq!(missing, [""; 0], "keys that {document} does not tell");
    }
}

/// The paths of everything that is no mapping, or an empty one.
fn keys(path: &str, value: &serde_json::Value) -> Vec<String> {
    match value.as_object().filter(|mapping| !mapping.is_empty()) {
        Some(mapping) => {
            let below = |key: &String| if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            mapping.iter().flat_map(|(key, value)| keys(&below(key), value)).collect()
        }
        None => vec![path.to_owned()],
    }
}

/// A path, and those of the mappings it is in: a table may tell of a whole mapping in one line.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('.').map(|(above, _)| above))
}

#[test]
fn every_file_says_first_what_it_is_for_and_is_read_in_one_sitting() {
    for folder in ["src", "tests", "benches"] {
        for path in rust_files(&root().join(folder)) {
            let text = read(&path);
            let name = path.strip_prefix(root()).unwrap().display();
            assert!(text.starts_with("//!"), "{name} does not begin with what it is for (//!)");
            let lines = text.lines().count();
            assert!(lines <= LONGEST_FILE, "{name} has {lines} lines; split it by meaning");
        }
    }
}

#[test]
fn the_scan_sees_code_and_not_comments_or_unit_tests() {
    let text = "//! bollard, said in a comment\nuse bollard::Docker; // why\nlet a = \"http://bollard\";\n\
                #[cfg(test)]\nmod tests {\n    use bollard::models;\n}\n";
    assert_eq!(lines_that_say(text, "bollard"), [2]);
    assert_eq!(lines_that_say("struct DockerImage;", "docker"), [1]);
    assert_eq!(lines_that_say("let instant_noodles = 1;\nuse std::time::Instant;", "Instant"), [2]);
    assert_eq!(lines_that_say("println!(\"x\");", "print!"), [0_usize; 0]);
}

/// Fails with every line of the files chosen that says one of these words in code.
fn nobody_says(words: &[&str], chosen: impl Fn(&Path) -> bool) {
    let mut found = Vec::new();
    for path in rust_files(&root().join("src")) {
        let name = path.strip_prefix(root()).unwrap();
        if chosen(name) {
            let text = read(&path);
            for word in words {
                found.extend(
                    lines_that_say(&text, word).iter().map(|line| format!("{}:{line}: {word}", name.display())),
                );
            }
        }
    }
    assert!(found.is_empty(), "said where it must not be:\n{}", found.join("\n"));
}

/// The numbers of the lines whose code says the word; comments and the unit tests at a file's end are left out.
///
/// A plain lower-case word (`docker`) is also found inside a name (`DockerImage`); any other stands by itself.
fn lines_that_say(text: &str, word: &str) -> Vec<usize> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let inside_names = word.chars().all(|c| c.is_ascii_lowercase());
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    let stands_by_itself = |line: &str, at: usize| {
        !line[..at].chars().next_back().is_some_and(part_of_a_name)
            && !line[at + word.len()..].chars().next().is_some_and(part_of_a_name)
    };
    let says = |line: &str| match inside_names {
        true => line.to_lowercase().contains(word),
        false => line.match_indices(word).any(|(at, _)| stands_by_itself(line, at)),
    };
    code.lines()
        .enumerate()
        .filter(|(_, line)| says(line.split("//").next().unwrap_or_default()))
        .map(|(index, _)| index + 1)
        .collect()
}

fn in_one_of(path: &Path, rooms: &[&str]) -> bool {
    let is_unit_test = path.file_stem().is_some_and(|stem| stem == "tests");
    !is_unit_test
        && rooms.iter().any(|room| {
            path.starts_with(Path::new("src").join(room)) || path == Path::new("src").join(format!("{room}.rs"))
        })
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let is_rust = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
    walkdir::WalkDir::new(folder)
        .into_iter()
        .filter_map(Result::ok)
        .map(walkdir::DirEntry::into_path)
        .filter(|path| is_rust(path))
        .collect()
}

fn read(path: &Path) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
