//! Attempts of one test target that lie in files of their own.
//!
//! Bazel keeps the report of each failed attempt as `test_attempts/attempt_N.xml` beside the last one's `test.xml`.
//! Nothing in them says so; their place does. Outcomes are compared between attempts, and not within one.

use crate::store::RunMeta;
use std::path::Path;

/// The run that a file is of: an attempt of Bazel's stands beside the run as a part of its own.
pub fn run_of(path: &Path, meta: &RunMeta) -> RunMeta {
    let Some(attempt) = bazel(path) else { return meta.clone() };
    let attempt = format!("test attempt {attempt}");
    let shard = match &meta.shard {
        Some(shard) => format!("{shard}, {attempt}"),
        None => attempt,
    };
    RunMeta { shard: Some(shard), ..meta.clone() }
}

fn bazel(path: &Path) -> Option<u32> {
    let directory = path.parent()?.file_name()?;
    let name = path.file_name()?.to_str()?;
    let number = name.strip_prefix("attempt_")?.strip_suffix(".xml")?;
    (directory == "test_attempts").then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_failed_is_told_by_its_place() {
        let shard = |path: &str, shard: Option<&str>| {
            let meta = RunMeta { shard: shard.map(str::to_owned), ..RunMeta::default() };
            run_of(Path::new(path), &meta).shard
        };
        assert_eq!(shard("bazel-testlogs/a/b/test_attempts/attempt_2.xml", None).as_deref(), Some("test attempt 2"));
        assert_eq!(shard("t/test_attempts/attempt_1.xml", Some("3")).as_deref(), Some("3, test attempt 1"));
        for other in
            ["bazel-testlogs/a/b/test.xml", "attempt_1.xml", "test_attempts/attempt_x.xml", "test_attempts/1.xml"]
        {
            assert_eq!(shard(other, None), None, "{other}");
        }
    }
}
