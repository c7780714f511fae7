//! What the binary is made of: licences and sources, held to deny.toml without `cargo deny` being installed.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

#[test]
fn every_dependency_comes_from_the_registry_under_a_licence_that_deny_toml_allows() {
    let allowed = allowed_licences();
    // Cargo puts the program in TARGET/PROFILE/: only what is built for this target counts.
    let target = Path::new(env!("CARGO_BIN_EXE_qastack")).ancestors().nth(2).and_then(Path::file_name).unwrap();
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "cargo metadata lists {} packages", packages.len());
    for package in packages.iter().filter(|package| package["name"] != "qastack") {
        let name = &package["name"];
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(is_allowed(licence, &allowed), "{name} is licensed {licence:?}; deny.toml does not allow that");
        let source = package["source"].as_str().unwrap_or_default();
        assert!(source.starts_with("registry+"), "{name} comes from {source:?}, not from the registry");
    }
}

#[test]
fn a_licence_expression_is_read_as_its_words_say() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for good in ["MIT", "GPL-3.0 OR MIT", "MIT/GPL-3.0", "(GPL-3.0 OR MIT) AND ISC", "ISC AND MIT"] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "", "MIT-0"] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}

/// The list `allow` of deny.toml: one quoted name a line.
fn allowed_licences() -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml")).unwrap();
    let (_, list) = text.split_once("allow = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be fulfilled with these licences alone. OR binds less tightly than AND; the slash
/// is how OR was written once.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ");
    if let Some(choices) = split_outside_parentheses(&expression, " OR ") {
        return choices.iter().any(|choice| is_allowed(choice, allowed));
    }
    if let Some(parts) = split_outside_parentheses(&expression, " AND ") {
        return parts.iter().all(|part| is_allowed(part, allowed));
    }
    match expression.trim().strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => is_allowed(inner, allowed),
        None => allowed.iter().any(|licence| licence == expression.trim()),
    }
}

/// The parts between these words, or nothing where the words are not there.
fn split_outside_parentheses(expression: &str, word: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    for piece in expression.split_inclusive(word) {
        let part = parts.last_mut()?;
        part.push_str(piece);
        if part.ends_with(word) && part.matches('(').count() == part.matches(')').count() {
            part.truncate(part.len() - word.len());
            parts.push(String::new());
        }
    }
    (parts.len() > 1).then_some(parts)
}
