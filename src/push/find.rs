//! Which files are meant: names, globs and directories become a list of files.
//!
//! In a directory a file counts as a report by how its content begins, never by its name alone.

use crate::reports::is_root;
use globset::{GlobBuilder, GlobMatcher};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// Directories in which no report of this project lies.
const SKIPPED: [&str; 6] = ["node_modules", "vendor", "site-packages", "bower_components", "__pycache__", "venv"];

/// Levels of directories that are searched.
const DEEPEST: usize = 16;

/// What the arguments mean.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The files, each once, in order.
    pub files: Vec<PathBuf>,
    /// Arguments that name nothing.
    pub missing: Vec<String>,
}

/// Finds what the arguments name below the working directory; without arguments, every report below it.
pub fn find(arguments: &[String]) -> Found {
    let mut files = BTreeSet::new();
    let mut missing = Vec::new();
    if arguments.is_empty() {
        files.extend(reports_below(Path::new(".")));
    }
    for argument in arguments {
        let path = Path::new(argument);
        let before = files.len();
        let known = if path.is_dir() {
            files.extend(reports_below(path));
            files.len() > before
        } else if path.exists() {
            // Named outright: whether it is a report is for the exporter to say.
            files.insert(path.to_owned());
            true
        } else {
            match matching(argument) {
                Some(found) if !found.is_empty() => {
                    files.extend(found);
                    true
                }
                _ => false,
            }
        };
        if !known {
            missing.push(argument.clone());
        }
    }
    Found { files: files.into_iter().collect(), missing }
}

fn reports_below(directory: &Path) -> Vec<PathBuf> {
    walk(directory).filter(|path| looks_like_a_report(path)).collect()
}

fn walk(directory: &Path) -> impl Iterator<Item = PathBuf> {
    WalkDir::new(directory)
        .max_depth(DEEPEST)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !is_skipped(entry))
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix("./").unwrap_or(entry.path()).to_owned())
}

fn is_skipped(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    entry.file_type().is_dir() && (name.starts_with('.') || SKIPPED.contains(&name.as_ref()))
}

/// The files a glob names; nothing where the text is no glob.
fn matching(pattern: &str) -> Option<Vec<PathBuf>> {
    if !pattern.contains(['*', '?', '[', '{']) {
        return None;
    }
    let glob: GlobMatcher =
        GlobBuilder::new(pattern.trim_start_matches("./")).literal_separator(true).build().ok()?.compile_matcher();
    // The search begins at the last directory before the first special character.
    let special = pattern.find(['*', '?', '[', '{'])?;
    let start = match pattern[..special].rfind('/') {
        Some(0) => Path::new("/"),
        Some(end) => Path::new(&pattern[..end]),
        None => Path::new("."),
    };
    Some(walk(start).filter(|path| glob.is_match(path.strip_prefix("./").unwrap_or(path))).collect())
}

fn looks_like_a_report(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    if !["xml", "trx", "json", "jsonl", "ndjson"].contains(&extension.as_str()) {
        return false;
    }
    let Ok(head) = head_of(path) else { return false };
    if extension == "xml" || extension == "trx" { is_report_xml(&head) } else { is_report_json(&head) }
}

fn head_of(path: &Path) -> io::Result<String> {
    let mut head = Vec::new();
    File::open(path)?.take(4096).read_to_end(&mut head)?;
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// The first element decides, behind declarations and comments.
fn is_report_xml(head: &str) -> bool {
    let mut rest = head;
    while let Some((_, after)) = rest.split_once('<') {
        rest = after;
        if rest.starts_with("!--") {
            rest = rest.split_once("-->").map_or("", |(_, after)| after);
        } else if !rest.starts_with(['?', '!']) {
            let end = rest.find(|c: char| c.is_whitespace() || c == '>' || c == '/').unwrap_or(rest.len());
            return is_root(&rest[..end]);
        }
    }
    false
}

fn is_report_json(head: &str) -> bool {
    let compact: String = head.chars().filter(|c| !c.is_whitespace()).collect();
    let has = |text: &str| compact.contains(text);
    let ctrf = has("\"results\":{") && (has("\"tool\":{") || has("\"summary\":{"));
    let playwright = compact.starts_with("{\"config\":{") && (has("\"projects\":[") || has("playwright"));
    let go_test = compact.starts_with('{') && has("\"Action\":\"") && has("\"Package\":\"");
    ctrf || playwright || go_test
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        directory
    }

    fn names(directory: &tempfile::TempDir, arguments: &[&str]) -> (Vec<String>, usize) {
        let root = directory.path().to_str().unwrap();
        let arguments: Vec<String> = arguments.iter().map(|argument| format!("{root}/{argument}")).collect();
        let found = find(&arguments);
        let names = found.files.iter().map(|path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        (names.collect(), found.missing.len())
    }

    #[test]
    fn in_a_directory_reports_are_told_by_their_content() {
        let directory = directory(&[
            ("target/surefire-reports/TEST-a.xml", "<?xml version='1.0'?>\n<!-- <x> --><testsuite name='a'/>"),
            ("pom.xml", "<project/>"),
            ("results.trx", "\u{feff}<TestRun id='1'>"),
            ("ctrf/ctrf-report.json", "{\"results\": {\"tool\": {\"name\": \"x\"}}}"),
            ("package.json", "{\"name\": \"x\"}"),
            ("go.jsonl", "{\"Time\":\"t\",\"Action\":\"start\",\"Package\":\"p\"}\n"),
            ("notes.txt", "<testsuite/>"),
            ("node_modules/x/junit.xml", "<testsuite/>"),
            (".cache/junit.xml", "<testsuite/>"),
        ]);
        let (found, missing) = names(&directory, &["."]);
        let found: Vec<&str> = found.iter().map(|name| name.trim_start_matches("./")).collect();
        assert_eq!(found, ["ctrf/ctrf-report.json", "go.jsonl", "results.trx", "target/surefire-reports/TEST-a.xml"]);
        assert_eq!(missing, 0);
    }

    #[test]
    fn every_root_that_is_read_is_found_in_a_directory() {
        let roots = ["testsuites", "testsuite", "testcase", "testrun", "TestRun", "test-run", "assemblies", "assembly"];
        let files: Vec<_> = roots.iter().map(|root| (format!("{root}.xml"), format!("<{root} name='x'/>"))).collect();
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(names(&directory(&files), &["."]).0.len(), roots.len());
    }

    #[test]
    fn globs_cross_directories_only_with_two_stars() {
        let directory = directory(&[("a/one.xml", "x"), ("a/b/two.xml", "x"), ("a/b/three.txt", "x")]);
        assert_eq!(names(&directory, &["a/*.xml"]).0, ["a/one.xml"]);
        assert_eq!(names(&directory, &["a/**/*.xml"]).0, ["a/b/two.xml", "a/one.xml"]);
    }

    #[test]
    fn a_file_named_outright_is_taken_as_it_is_and_each_file_once() {
        let directory = directory(&[("a.xml", "no report")]);
        assert_eq!(names(&directory, &["a.xml", "a.xml", "*.xml"]).0, ["a.xml"]);
    }

    #[test]
    fn what_names_nothing_is_told() {
        let directory = directory(&[("empty/readme.txt", "x")]);
        let (found, missing) = names(&directory, &["none.xml", "*.none", "empty"]);
        assert_eq!((found.len(), missing), (0, 3));
    }
}
