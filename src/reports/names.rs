//! Names that differ from run to run made the same: random ids, addresses, time stamps, work spaces.
//!
//! A test is followed over time by its name. `case[Widget@6e576b5a]` is a new test at every run unless the
//! random part is replaced by a fixed one. Users add rules of their own; the default ones come after those.

use regex::{Regex, RegexSet};
use std::borrow::Cow;

/// What stands in a name where a random part was.
const MARK: &str = "*";

/// Rules for names of suites, classes and tests: a pattern, and what replaces it. These parts are never the same twice.
const RANDOM: &[(&str, &str)] = &[
    // Java's identity hash: `Widget@6e576b5a`. One of decimal digits alone may be a date or a version.
    (
        r"@(?:[a-f][0-9a-f]{4,15}|[0-9a-f][a-f][0-9a-f]{3,14}|[0-9a-f]{2}[a-f][0-9a-f]{2,13}|[0-9a-f]{3}[a-f][0-9a-f]{1,12}|[0-9a-f]{4,15}[a-f][0-9a-f]{0,11})\b",
        "@*",
    ),
    // Addresses of objects: `<object at 0x7f1c2a3b4c5d>`.
    (r"\bat 0x[0-9a-fA-F]{6,16}\b", "at 0x*"),
    // A stress run of nextest names its suites `binary@stress-0`, `binary@stress-1`, …
    (r"@stress-\d+$", ""),
];

/// Rules for parts that are random in one project and a parameter's value in another.
const DOUBTFUL: &[(&str, &str)] = &[
    // UUIDs.
    (r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b", MARK),
    // Addresses.
    (r"\b0x[0-9a-fA-F]{6,16}\b", "0x*"),
    // Moments to a part of a second: nobody types these, clocks do.
    (r"\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}[.,]\d+(Z|[+-]\d{2}:?\d{2})?", MARK),
    // Temporary directories, as programs make them.
    (r"/tmp/(?:tmp[A-Za-z0-9_.-]{4,}|pytest-[A-Za-z0-9_.-]+|[A-Za-z0-9_.-]*[0-9]{3}[A-Za-z0-9_.-]*)", "/tmp/*"),
];

/// Rules for source files: the work space a CI system checks out into is not part of a file's name.
const FILES: &[(&str, &str)] = &[
    (r"^(file://)?/(home|Users)/runner/work/\d+/s/", ""),
    (r"^(file://)?/(home|Users)/runner/work/[^/]+/[^/]+/", ""),
    (
        r"^(file://)?/(github/workspace|builds/[^/]+/[^/]+|__w/\d+/s|__w/[^/]+/[^/]+|(home/circleci|Users/distiller|root)/project|(opt/atlassian|bitbucket)/pipelines/agent/build|home/travis/build/[^/]+/[^/]+|drone/src)/",
        "",
    ),
    (r"^(file://)?/home/vsts/work/\d+/s/", ""),
    (r"^.*/jenkins[^/]*/(agent/)?workspace/[^/]+/", ""),
    (r"^(file://)?/(var/lib/buildkite-agent|buildkite)/builds/[^/]+/[^/]+/[^/]+/", ""),
    (r"^.*/buildagent/work/[0-9a-f]+/", ""),
    (r"^[A-Za-z]:[\\/]a[\\/](_work[\\/]\d+[\\/]s|[^\\/]+[\\/][^\\/]+|\d+[\\/]s)[\\/]", ""),
    (r"^\./", ""),
];

/// How names are made the same in every run.
#[derive(Debug, Clone)]
pub struct NameRules {
    own: Vec<(Regex, String)>,
    random: Rules,
    doubtful: Rules,
    files: Rules,
}

/// A rule of the user's that is no regular expression.
#[derive(Debug, Clone, thiserror::Error)]
#[error("name rule {pattern:?}: {source}")]
pub struct BadNameRule {
    pattern: String,
    source: regex::Error,
}

impl NameRules {
    /// The user's rules, each a regular expression and its replacement (`$1` is the first group), then the
    /// default ones.
    ///
    /// # Errors
    /// A pattern that is no regular expression, or one that is too large.
    pub fn new<'r>(own: impl IntoIterator<Item = (&'r str, &'r str)>) -> Result<Self, BadNameRule> {
        Ok(Self { own: compiled(own)?, ..Self::default() })
    }

    /// Whether the user's rules can be used. Making the default ones takes milliseconds, and every command checks its
    /// settings.
    ///
    /// # Errors
    /// As for [`NameRules::new`].
    pub fn check<'r>(own: impl IntoIterator<Item = (&'r str, &'r str)>) -> Result<(), BadNameRule> {
        compiled(own).map(drop)
    }

    /// The name of a suite or a class without its random parts.
    pub fn name<'n>(&self, name: &'n str) -> Cow<'n, str> {
        let name = self.by_own_rules(name);
        if may_be_random(&name) { self.doubtful.apply(self.random.apply(name)) } else { name }
    }

    /// The name of a test without its random parts; where some of these may be a parameter's value, the name with them
    /// too.
    pub fn test<'n>(&self, name: &'n str) -> (Cow<'n, str>, Option<String>) {
        let name = self.by_own_rules(name);
        if !may_be_random(&name) {
            return (name, None);
        }
        let name = self.random.apply(name);
        let replaced = match self.doubtful.apply(Cow::Borrowed(&*name)) {
            Cow::Owned(replaced) => Some(replaced),
            Cow::Borrowed(_) => None,
        };
        match replaced {
            Some(replaced) => (replaced.into(), Some(name.into_owned())),
            None => (name, None),
        }
    }

    fn by_own_rules<'n>(&self, name: &'n str) -> Cow<'n, str> {
        let mut name = Cow::Borrowed(name);
        for (pattern, replacement) in &self.own {
            if pattern.is_match(&name) {
                name = Cow::Owned(pattern.replace_all(&name, replacement.as_str()).into_owned());
            }
        }
        name
    }

    /// The name of a suite without its random parts. RSpec's reports bear the number of the process that
    /// `parallel_tests` ran them in, and which tests it got differs from run to run; those of unittest-xml-reporting
    /// bear the moment at which they were made.
    pub fn suite<'n>(&self, name: &'n str) -> Cow<'n, str> {
        let name = self.name(name);
        match name.strip_prefix("rspec") {
            Some(number) if is_number(number) => return "rspec".into(),
            _ => {}
        }
        match name.rsplit_once('-') {
            Some((suite, moment)) if !suite.is_empty() && is_moment(moment) => Cow::Owned(suite.to_owned()),
            _ => name,
        }
    }

    /// A file's name without the work space it was checked out into.
    pub fn file<'n>(&self, file: &'n str) -> Cow<'n, str> {
        if file.starts_with(['/', '.', 'f']) || file.as_bytes().get(1) == Some(&b':') {
            self.files.apply(Cow::Borrowed(file))
        } else {
            Cow::Borrowed(file)
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether these are the digits of a moment to the second: `20260131083059`.
fn is_moment(text: &str) -> bool {
    let within = |from: usize, most: &str| text.get(from..from + 2).is_some_and(|part| part <= most);
    text.len() == 14
        && is_number(text)
        && text.starts_with("20")
        && within(4, "12")
        && within(6, "31")
        && within(8, "23")
        && within(10, "59")
        && within(12, "59")
}

fn compiled<'r>(own: impl IntoIterator<Item = (&'r str, &'r str)>) -> Result<Vec<(Regex, String)>, BadNameRule> {
    let rule = |(pattern, replacement): (&str, &str)| match Regex::new(pattern) {
        Ok(regex) => Ok((regex, replacement.to_owned())),
        Err(source) => Err(BadNameRule { pattern: pattern.to_owned(), source }),
    };
    own.into_iter().map(rule).collect()
}

impl Default for NameRules {
    fn default() -> Self {
        Self { own: Vec::new(), random: Rules::of(RANDOM), doubtful: Rules::of(DOUBTFUL), files: Rules::of(FILES) }
    }
}

/// A set that says in one pass which patterns match, so that an ordinary name costs one look.
#[derive(Debug, Clone)]
struct Rules {
    set: RegexSet,
    rules: Vec<(Regex, &'static str)>,
}

impl Rules {
    fn of(table: &[(&str, &'static str)]) -> Self {
        // The patterns are constants; a test holds that every one of them compiles.
        let rules = table.iter().filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, *with))).collect();
        let set = RegexSet::new(table.iter().map(|(pattern, _)| pattern)).unwrap_or_default();
        Self { set, rules }
    }

    fn apply<'n>(&self, mut name: Cow<'n, str>) -> Cow<'n, str> {
        if self.set.is_match(&name) {
            for (pattern, replacement) in &self.rules {
                if pattern.is_match(&name) {
                    name = Cow::Owned(pattern.replace_all(&name, *replacement).into_owned());
                }
            }
        }
        name
    }
}

/// Whether a default rule could match at all: each of them needs an `@`, a slash, a hyphen or `0x`. Most names
/// have none of these.
fn may_be_random(name: &str) -> bool {
    let name = name.as_bytes();
    memchr::memchr3(b'@', b'/', b'-', name).is_some()
        || memchr::memchr_iter(b'x', name).any(|at| at > 0 && name[at - 1] == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_parts_of_names_become_a_fixed_mark() {
        let rules = NameRules::default();
        for (name, expected) in [
            ("case[Widget@6e576b5a]", "case[Widget@*]"),
            ("reads <object at 0x7f1c2a3b4c5d>", "reads <object at 0x*>"),
            ("user 1f0c6d0e-9f4b-4f7e-8a3a-0c9d5a2b1e77 logs in", "user * logs in"),
            ("at 2024-05-01T10:11:12.345Z", "at *"),
            ("writes /tmp/pytest-of-root/a.txt", "writes /tmp/*/a.txt"),
            ("writes /tmp/tmp8c_k2x/a.txt", "writes /tmp/*/a.txt"),
            ("writes /tmp/junit4711889/a.txt", "writes /tmp/*/a.txt"),
            ("deep[Node@10f87f48]", "deep[Node@*]"),
            ("suite::bin@stress-3", "suite::bin"),
        ] {
            assert_eq!(rules.name(name), expected);
            assert_eq!(rules.test(name).0, expected);
        }
    }

    #[test]
    fn what_may_be_a_parameters_value_is_told_too() {
        let rules = NameRules::default();
        let both = "reads Widget@6e576b5a of 2024-05-01T10:11:12.5";
        assert_eq!(
            rules.test(both),
            ("reads Widget@* of *".into(), Some("reads Widget@* of 2024-05-01T10:11:12.5".into()))
        );
        assert_eq!(rules.test("reads Widget@6e576b5a"), ("reads Widget@*".into(), None));
        assert_eq!(rules.test("mask[0xff00ff00]"), ("mask[0x*]".into(), Some("mask[0xff00ff00]".into())));
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        let rules = NameRules::default();
        for name in [
            "adds 1 and 2",
            "test_value[3-4]",
            "a@b.example",
            "TestSum/case_12345",
            "größer – 日本語",
            "abc-def",
            // Values that somebody typed: with a fixed mark in their place two tests would be one.
            "opens[2024-01-01T00:00:00]",
            "reads /tmp/a.json",
            "installs pkg@20240101",
            "installs pkg@1.2.3",
        ] {
            assert_eq!(rules.name(name), name);
        }
    }

    #[test]
    fn what_a_producer_adds_to_the_name_of_a_suite_in_each_run_is_no_part_of_it() {
        let rules = NameRules::default();
        for (suite, expected) in [
            ("rspec", "rspec"),
            ("rspec2", "rspec"),
            ("rspec16", "rspec"),
            ("rspec2b", "rspec2b"),
            ("rspec 2", "rspec 2"),
            ("shop.CartTest-20261126163541", "shop.CartTest"),
            ("shop.CartTest-20261326163541", "shop.CartTest-20261326163541"),
            ("shop.CartTest-2026112616354", "shop.CartTest-2026112616354"),
            ("-20261126163541", "-20261126163541"),
        ] {
            assert_eq!(rules.suite(suite), expected);
        }
        for test in ["rspec2", "order-20261126163541"] {
            assert_eq!(rules.name(test), test, "a test may be called so");
        }
    }

    #[test]
    fn work_spaces_are_no_part_of_a_files_name() {
        let rules = NameRules::default();
        for file in [
            "/home/runner/work/shop/shop/tests/cart.php",
            "/builds/team/shop/tests/cart.php",
            "/var/lib/jenkins/workspace/shop_main/tests/cart.php",
            "/jenkins/workspace/shop/tests/cart.php",
            "../../jenkins/workspace/shop/tests/cart.php",
            "/buildagent/work/1f0c6d0e9f4b/tests/cart.php",
            "/home/jenkins/agent/workspace/shop_PR-8@2/tests/cart.php",
            "/Users/runner/work/shop/shop/tests/cart.php",
            "/Users/runner/work/1/s/tests/cart.php",
            "/__w/1/s/tests/cart.php",
            "/root/project/tests/cart.php",
            "/opt/atlassian/pipelines/agent/build/tests/cart.php",
            "/home/travis/build/acme/shop/tests/cart.php",
            "/drone/src/tests/cart.php",
            "/opt/buildagent/work/8d1e23ab/tests/cart.php",
            "file:///builds/team/shop/tests/cart.php",
            "./tests/cart.php",
            "tests/cart.php",
        ] {
            assert_eq!(rules.file(file), "tests/cart.php");
        }
        assert_eq!(rules.file(r"D:\a\shop\shop\tests\cart.cs"), r"tests\cart.cs");
        assert_eq!(rules.file("/opt/shop/tests/cart.php"), "/opt/shop/tests/cart.php");
    }

    #[test]
    fn own_rules_come_first_and_a_bad_one_is_named() {
        let rules = NameRules::new([(r"shard \d+/", "shard/")]).expect("compiles");
        assert_eq!(rules.name("shard 7/login"), "shard/login");
        let error = NameRules::new([("(", "")]).expect_err("is refused");
        assert!(error.to_string().starts_with("name rule \"(\""), "{error}");
    }

    #[test]
    fn every_default_rule_compiles() {
        let rules = NameRules::default();
        for (rules, table) in [(rules.random, RANDOM), (rules.doubtful, DOUBTFUL), (rules.files, FILES)] {
            assert_eq!((rules.rules.len(), rules.set.len()), (table.len(), table.len()));
        }
    }
}
