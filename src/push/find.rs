//! Which files are meant: names, globs and directories become a list of files.
//!
//! In a directory a file counts as a report by how its content begins, never by its name alone.

use super::standard_input;
use crate::packed;
use crate::reports::{is_root, text_of};
use globset::{GlobBuilder, GlobMatcher};
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// Directories in which no report of this project lies.
const SKIPPED: [&str; 6] = ["node_modules", "vendor", "site-packages", "bower_components", "__pycache__", "venv"];

/// The link that Bazel leaves in a workspace to its reports.
const BAZEL: &str = "bazel-testlogs";

/// Levels of directories that are searched.
const DEEPEST: usize = 16;

/// How much of a file is looked at: a licence or a banner may stand before the first element.
const HEAD: u64 = 64 * 1024;

/// What the arguments mean.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The files, each once, in order.
    pub files: Vec<PathBuf>,
    /// Whether standard input is meant, too.
    pub standard_input: bool,
    /// Arguments that name nothing, each with what is wrong with it.
    pub missing: Vec<(String, &'static str)>,
}

/// Finds what the arguments name below the working directory; without arguments, every report below it.
pub fn find(arguments: &[PathBuf]) -> Found {
    let mut files = BTreeSet::new();
    let mut missing = Vec::new();
    if arguments.is_empty() {
        files.extend(reports_below(Path::new(".")));
    }
    for path in arguments.iter().filter(|path| path.as_os_str() != standard_input::ARGUMENT) {
        // A name that is no UTF-8 is a file's all the same; only a glob has to be a text.
        let argument = path.to_string_lossy();
        let (found, otherwise) = if path.is_dir() {
            (reports_below(path), "there is no test report in this directory")
        } else if path.exists() {
            // Named outright: whether it is a report is for the exporter to say.
            (vec![path.clone()], "")
        } else {
            match matching(&argument) {
                Some(found) => (found, "no file is named like this"),
                None => (Vec::new(), "there is no such file"),
            }
        };
        if found.is_empty() {
            missing.push((argument.into_owned(), otherwise));
        }
        files.extend(found);
    }
    let standard_input = arguments.iter().any(|path| path.as_os_str() == standard_input::ARGUMENT);
    Found { files: files.into_iter().collect(), standard_input, missing }
}

fn reports_below(directory: &Path) -> Vec<PathBuf> {
    walk(directory).filter(|path| looks_like_a_report(path)).collect()
}

/// The files below a directory. Links to files are followed, since reports are often linked to; of links to
/// directories only Bazel's, which has its reports nowhere else.
fn walk(directory: &Path) -> impl Iterator<Item = PathBuf> {
    below(directory)
        .flat_map(|entry| {
            let is_linked_directory = entry.path_is_symlink() && entry.file_name() == BAZEL && entry.path().is_dir();
            let linked = is_linked_directory.then(|| below(entry.path()).collect::<Vec<_>>());
            std::iter::once(entry).chain(linked.into_iter().flatten())
        })
        .filter(|entry| entry.file_type().is_file() || (entry.path_is_symlink() && entry.path().is_file()))
        .map(|entry| entry.path().strip_prefix("./").unwrap_or(entry.path()).to_owned())
}

fn below(directory: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    WalkDir::new(directory)
        .max_depth(DEEPEST)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !is_skipped(entry))
        .filter_map(Result::ok)
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
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    // What is packed bears the name of what is in it, and one more ending.
    let inner = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    let ending = inner.rsplit_once('.').map_or("", |(_, ending)| ending);
    if !["xml", "trx", "json", "jsonl", "ndjson"].contains(&ending) {
        return false;
    }
    let Ok(head) = head_of(path) else { return false };
    match ending {
        "xml" | "trx" => is_report_xml(&head)
            .unwrap_or_else(|| ["test", "junit", "report", "result"].iter().any(|word| inner.contains(word))),
        _ => is_report_json(&head),
    }
}

fn head_of(path: &Path) -> io::Result<String> {
    let mut head = Vec::new();
    packed::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(text_of(&head))
}

/// The first element decides, behind declarations and comments. Where there is none, the file is empty or was cut off, and
/// only its name says what it was to be.
fn is_report_xml(head: &str) -> Option<bool> {
    let mut rest = head;
    while let Some((_, after)) = rest.split_once('<') {
        rest = after;
        if rest.starts_with("!--") {
            rest = rest.split_once("-->").map_or("", |(_, after)| after);
        } else if !rest.starts_with(['?', '!']) {
            let end = rest.find(|c: char| c.is_whitespace() || c == '>' || c == '/').unwrap_or(rest.len());
            return Some(is_root(&rest[..end]));
        }
    }
    None
}

fn is_report_json(head: &str) -> bool {
    let compact: String = head.chars().filter(|c| !c.is_whitespace()).collect();
    let has = |text: &str| compact.contains(text);
    let ctrf = has("\"results\":{") && ["\"tool\":{", "\"summary\":{", "\"tests\":["].into_iter().any(has);
    let playwright = compact.starts_with("{\"config\":{") && (has("\"projects\":[") || has("playwright"));
    // The go command's own words may stand before the first event.
    let go_test = has("{\"") && has("\"Action\":\"") && has("\"Package\":\"");
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
        let arguments: Vec<_> = arguments.iter().map(|argument| format!("{root}/{argument}").into()).collect();
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
    fn a_dash_is_standard_input_and_no_file() {
        let found = find(&["-".into(), "-".into()]);
        assert_eq!(found, Found { standard_input: true, ..Found::default() });
    }

    #[test]
    fn a_name_that_is_no_utf_8_is_a_files_all_the_same() {
        use std::os::unix::ffi::OsStrExt;
        let directory = directory(&[]);
        let path = directory.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9.xml"));
        std::fs::write(&path, "<testsuite/>").unwrap();
        for argument in [path.clone(), directory.path().to_owned(), directory.path().join("*.xml")] {
            assert_eq!(find(&[argument]), Found { files: vec![path.clone()], ..Found::default() });
        }
    }

    #[test]
    fn what_names_nothing_is_told() {
        let directory = directory(&[("empty/readme.txt", "x")]);
        let (found, missing) = names(&directory, &["none.xml", "*.none", "empty"]);
        assert_eq!((found.len(), missing), (0, 3));
    }

    #[test]
    fn what_adds_nothing_new_is_found_all_the_same() {
        let directory = directory(&[("target/TEST-a.xml", "<testsuite/>")]);
        for arguments in [["target", "target"], ["target/TEST-a.xml", "target"], ["target", "target/*.xml"]] {
            assert_eq!(names(&directory, &arguments), (vec!["target/TEST-a.xml".to_owned()], 0), "{arguments:?}");
        }
    }

    #[test]
    fn a_report_is_found_however_it_begins_and_one_that_was_cut_off_by_its_name() {
        let utf_16: Vec<u8> = "\u{feff}<testsuite/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let event = "{\"Action\":\"start\",\"Package\":\"p\"}\n";
        let comment = format!("<!-- {} --><testsuites/>", "licence ".repeat(700));
        let tests = format!("{{\"results\":{{\"tests\":[{}", "{\"name\":\"x\",\"status\":\"failed\"},".repeat(300));
        let directory = directory(&[
            ("banner.json", &format!("# example.com/p\n{event}")),
            ("mark.json", &format!("\u{feff}{event}")),
            ("comment.xml", &comment),
            ("ctrf.json", &tests),
            ("TEST-empty.xml", ""),
            ("TEST-cut.xml", "<?xml version='1.0'?>\n"),
            ("settings.xml", ""),
        ]);
        std::fs::write(directory.path().join("wide.xml"), utf_16).unwrap();
        let packed = zstd::encode_all(&b"<testsuite/>"[..], 1).unwrap();
        std::fs::write(directory.path().join("packed.xml.zst"), packed).unwrap();
        std::os::unix::fs::symlink("comment.xml", directory.path().join("link.xml")).unwrap();
        let found = names(&directory, &[""]).0;
        let expected = [
            "TEST-cut.xml",
            "TEST-empty.xml",
            "banner.json",
            "comment.xml",
            "ctrf.json",
            "link.xml",
            "mark.json",
            "packed.xml.zst",
            "wide.xml",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn of_links_to_directories_only_bazels_is_followed() {
        let directory = directory(&[("out/t/test.xml", "<testsuites/>"), ("work/readme", "")]);
        for link in ["bazel-testlogs", "bazel-out"] {
            std::os::unix::fs::symlink("../out", directory.path().join("work").join(link)).unwrap();
        }
        assert_eq!(names(&directory, &["work"]).0, ["work/bazel-testlogs/t/test.xml"]);
    }
}
