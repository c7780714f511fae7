//! The documents made from the code. `QASTACK_WRITE_DOCUMENTS=1 cargo test documents::` writes them anew.

use qastack::exit_code::TABLE;
use std::fmt::Write;
use std::path::Path;

#[test]
fn the_table_of_exit_codes_is_the_one_in_the_code() {
    let mut page = String::from(
        "# Exit codes\n\n\
         0 means that what was asked for is so. Every other code has one meaning for every command, and each kind of\n\
         trouble has a word of its own: `error.code` in what `--json` prints. Made from `src/exit_code.rs`.\n\n\
         | exit code | `error.code` | meaning |\n|---:|---|---|\n| 0 | | all is as asked |\n",
    );
    for (_, word, exit, meaning) in TABLE {
        writeln!(page, "| {exit} | `{word}` | {meaning} |").unwrap();
    }
    is_the_document("docs/exit-codes.md", &page);
}

#[test]
fn the_rules_about_defects_are_the_ones_in_the_code() {
    let figures = serde_json::json!({ "figures": { "defects": qastack::quality::DefectRules::default() } });
    let rules = serde_yaml::to_string(&figures).unwrap();
    let page = format!(
        "# What counts as a defect, and as one from production\n\n\
         These are the rules as they stand without any setting, in the words of `qastack.yaml`. A rule matches when one of\n\
         its globs (`any_of`) matches the defect's `field`, without regard to case: `key`, `title`, `type`, `severity`,\n\
         `status`, `resolution`, `phase`, `environment`, `version`, `component`, `label`, or the name of a custom field. A\n\
         list in the settings takes the place of the whole list here. `denominator` is `total` or `pre_release`. Made from\n\
         `src/quality/defects.rs`.\n\n```yaml\n{rules}```\n"
    );
    is_the_document("docs/defect-rules.md", &page);
}

/// Fails where the document differs from what the code says, or writes it where that is asked for.
fn is_the_document(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("QASTACK_WRITE_DOCUMENTS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, expected, "{name} is not what the code says; QASTACK_WRITE_DOCUMENTS=1 writes it");
}

#[test]
fn the_readme_names_every_setting_with_its_default() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let defaults = serde_json::to_value(qastack::settings::StackSettings::default()).unwrap();
    // Lists of rules are no cell of a table: they have a document of their own, held to the code below.
    let defaults = {
        let mut defaults = defaults;
        defaults["figures"].as_object_mut().unwrap().remove("defects").expect("the rules about defects");
        assert!(readme.contains("| `figures.defects` | [docs/defect-rules.md](docs/defect-rules.md) | "));
        defaults
    };
    for (group, value) in defaults.as_object().unwrap() {
        match value.as_object() {
            None => has_row(&readme, group, value),
            Some(keys) => keys.iter().for_each(|(key, value)| has_row(&readme, &format!("{group}.{key}"), value)),
        }
    }
}

fn has_row(readme: &str, key: &str, default: &serde_json::Value) {
    // Written as one would write it in the file: no quotes around words.
    let shown = match default {
        serde_json::Value::String(word) => word.clone(),
        serde_json::Value::Object(_) => default.to_string().replace('"', "").replace(':', ": ").replace(',', ", "),
        other => other.to_string(),
    };
    let row = format!("| `{key}` | `{shown}` | ");
    assert!(readme.contains(&row), "the settings in README.md have no row that begins\n{row}");
}

#[test]
fn the_completions_are_scripts_that_know_the_commands_and_their_flags() {
    for (shell, known) in [("bash", "qastack__subcmd__push"), ("fish", "__fish_qastack"), ("zsh", "#compdef qastack")] {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_qastack")).args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains(known), "{shell}: {script:.200}");
        assert!(script.contains("report-project"), "{shell} knows no flags");
        if shell == "bash" {
            let checked = std::process::Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
            assert!(checked.status.success(), "{checked:?}");
        }
    }
}
