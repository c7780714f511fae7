//! Defects from the trackers: what their exports say, what the rules make of it, and what the exporter counts.

use super::program::Served;
use super::running::Running;
use crate::http;
use serde_json::{Value, json};
use std::path::Path;

/// Each list with its format, the key of its first defect, its entries that are no bugs by `only`, and how many of
/// the rest count as production, pre-release and not valid: worked out by hand from what the lists say.
const LISTS: [(&str, &str, &str, &str, [u64; 4]); 7] = [
    ("jira.csv", "jira-csv", "SHOP-1", "type=bug", [1, 2, 1, 1]),
    ("jira-search.json", "jira-json", "SHOP-1", "type=bug", [1, 2, 1, 1]),
    ("github-gh.json", "github-json", "acme/shop#1", "label=bug", [1, 2, 1, 1]),
    ("github-rest.json", "github-json", "acme/shop#1", "type=bug", [1, 2, 1, 1]),
    ("gitlab.csv", "gitlab-csv", "acme/web/shop#1", "label=bug", [1, 2, 1, 1]),
    ("gitlab-rest.json", "gitlab-json", "acme/web/shop#1", "label=bug", [1, 2, 1, 1]),
    ("plain.json", "json", "A-1", "type=bug", [0, 2, 1, 1]),
];

fn list(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/defects").join(name)).unwrap()
}

fn defects(served: &Served, project: &str) -> Vec<Value> {
    let answer = http::get(&served.address, &format!("/api/v1/projects/{project}/defects"));
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"))
}

#[test]
fn every_trackers_export_is_previewed_and_brought_in_as_it_says() {
    let served = Served::start();
    for (name, format, key, only, [others, production, pre_release, invalid]) in LISTS {
        served.write(name, &list(name));
        let project = name.replace('.', "-");
        let import = ["import", "defects", name, "--only", only, "--report-project", &project, "--token-file", "token"];
        let preview = served.json(&[&import[..], &["--dry-run"]].concat(), 0);
        let data = &preview["data"];
        assert_eq!(data["files"][0]["format"], format, "{name}");
        let counts = json!({
            "production": production, "pre_release": pre_release, "invalid": invalid, "no_defects": others,
        });
        assert_eq!(data["counts"], counts, "{name}: {preview:#}");
        assert_eq!(data["defects"][0]["key"], key, "{name}");
        assert_eq!(http::get(&served.address, &format!("/api/v1/projects/{project}/defects")).status, 404);
        let imported = served.json(&import, 0);
        assert_eq!(imported["data"]["receipt"]["production"], production, "{name}: {imported:#}");
        assert_eq!(imported["data"]["receipt"]["added"], production + pre_release + invalid);
        let again = served.json(&import, 0);
        assert_eq!(again["data"]["receipt"]["unchanged"], production + pre_release + invalid, "{name}: {again:#}");
        // What the exporter keeps is what the list said, field by field.
        let kept = defects(&served, &project);
        let first = &kept.iter().find(|one| one["defect"]["key"] == key).unwrap()["defect"];
        assert_eq!(first["title"], "Checkout, at night, fails", "{name}");
        assert_eq!(first["created_at"], 1_769_871_840, "{name}");
        let of_day = first["resolved_at"].as_i64().unwrap() / 86_400;
        assert_eq!(of_day, 1_770_022_800 / 86_400, "{name}");
    }
}

#[test]
fn the_reasons_are_named_and_fields_that_mean_nothing_to_us_too() {
    let served = Served::start();
    served.write("jira.csv", &list("jira.csv"));
    let preview = served.json(&["import", "defects", "jira.csv", "--dry-run"], 0);
    let reasons: Vec<_> =
        preview["data"]["defects"].as_array().unwrap().iter().map(|one| one["rule"].clone()).collect();
    let expected = json!([
        "found in a production environment",
        null,
        "resolution says it is no defect",
        "labelled as escaped",
        null
    ]);
    assert_eq!(Value::Array(reasons), expected);
    let others = preview["data"]["files"][0]["other_columns"].as_array().unwrap();
    assert!(others.contains(&"Project key".into()) && !others.contains(&"Description".into()), "{others:?}");
    let words = served.command(&["import", "defects", "jira.csv", "--dry-run"]);
    let shown = String::from_utf8(words.stdout).unwrap();
    assert!(shown.contains("SHOP-3  not valid    resolution says it is no defect"), "{shown}");
    assert!(shown.ends_with("5 defects: 2 from production, 2 from before the release, 1 not valid\nnothing was sent: this was a dry run\n"), "{shown}");
    assert!(String::from_utf8_lossy(&words.stderr).contains("kept for rules to ask for: "));
}

#[test]
fn a_severity_goes_before_a_priority_and_labels_keep_their_spaces() {
    let served = Served::start();
    for name in ["jira.csv", "github-gh.json", "gitlab.csv"] {
        served.write(name, &list(name));
        served.json(&["import", "defects", name, "--token-file", "token", "--report-project", "web"], 0);
    }
    let kept = defects(&served, "web");
    let one = |key: &str| &kept.iter().find(|one| one["defect"]["key"] == key).unwrap()["defect"];
    assert_eq!(one("SHOP-1")["severity"], "S1");
    assert_eq!(one("SHOP-1")["labels"], json!(["ui", "night"]));
    for key in ["acme/shop#2", "acme/web/shop#2"] {
        assert_eq!(one(key)["labels"], json!(["bug", "good first issue"]), "{key}");
    }
    assert!(!kept.iter().any(|one| one.to_string().contains("It fails.")), "descriptions are not kept");
}

#[test]
fn columns_are_mapped_by_flags_and_by_the_settings() {
    let served = Served::start();
    served.write(
        "bugs.csv",
        "Nr,What,Where it hurt,Environment,Day\n1,a,LIVE,Chrome 120,2026-02-01\n2,b,test,Prod,2026-02-01\n",
    );
    let standing = |arguments: &[&str]| {
        let common = ["import", "defects", "bugs.csv", "--dry-run", "--map", "key=Nr", "--map", "created=Day"];
        let preview = served.json(&[&common[..], arguments].concat(), 0);
        preview["data"]["defects"][0]["standing"].clone()
    };
    assert_eq!(standing(&[]), "pre-release");
    assert_eq!(standing(&["--map", "environment=where it hurt"]), "production");
    served.write("qastack.yaml", "import: { columns: { environment: Where it hurt } }\n");
    assert_eq!(standing(&[]), "production");
    // Without the column the figures would be others than somebody wants.
    let typo = ["import", "defects", "bugs.csv", "--map", "key=Nr", "--map", "environment=Where it hurts"];
    let error = served.json(&typo, 12)["error"].take();
    assert_eq!(error["message"], "no list has the column \"Where it hurts\"");
    assert!(error["hint"].as_str().unwrap().contains("Day, Environment, Nr, What, Where it hurt"), "{error}");
    served.json(&["import", "defects", "bugs.csv", "--dry-run", "--map", "colour=Day"], 2);
}

#[test]
fn what_cannot_be_used_ends_with_12_and_nothing_is_brought_in() {
    let served = Served::start();
    served.write("good.csv", "key,created\nA-1,2026-02-01\n");
    for (name, content, expected) in [
        ("empty.json", "[]", "no rows"),
        ("nothing.csv", "", "no rows"),
        ("page.html", "<html>Log in</html>", "XML or HTML"),
        ("sheet.xlsx", "PK\u{3}\u{4}", "spreadsheet"),
        ("cut.json", "[{\"key\": \"A-1\", \"created\": \"2026-02-01\"},\n{\"key\": ", "line 2"),
        ("refused.json", "{\"message\": \"Bad credentials\"}", "it has no key"),
        ("numbers.json", "[1, 2]", "entry 1 is no object"),
        ("undated.csv", "key,created\nA-1,soon\n", "\"soon\" cannot be read"),
    ] {
        served.write(name, content);
        let failed = served.json(&["import", "defects", "good.csv", name, "--token-file", "token"], 12);
        let message = failed["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(name) && message.contains(expected), "{name}: {message}");
    }
    served.json(&["import", "defects", "good.csv", "--only", "label=bug"], 12);
    assert_eq!(http::get(&served.address, "/api/v1/projects/default/defects").status, 404);
}

#[test]
fn pages_one_after_the_other_pages_in_a_list_and_an_object_a_line_are_all_read() {
    let entry = |number: u32| format!("{{\"key\": \"A-{number}\", \"created\": \"2026-02-0{number}\"}}");
    let exporter = Running::start();
    for (index, text) in [
        format!("[{}][{}]", entry(1), entry(2)),
        format!("[[{}],[{}]]", entry(1), entry(2)),
        format!("{}\n{}\n", entry(1), entry(2)),
        format!("{{\"issues\": [{}]}}\n{{\"issues\": [{}]}}", entry(1), entry(2)),
        format!("\u{feff}[{},{}]", entry(1), entry(2)),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = exporter.post(&format!("/api/v1/projects/p{index}/defects"), &text);
        assert_eq!(super::running::json(&answer)["added"], 2, "{text}: {answer:?}");
    }
}

#[test]
fn what_powershell_redirects_is_read_too() {
    let served = Served::start();
    let text: Vec<u8> =
        format!("\u{feff}{}", list("github-gh.json")).encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(served.directory.path().join("issues.json"), text).unwrap();
    let preview = served.json(&["import", "defects", "issues.json", "--dry-run"], 0);
    assert_eq!(preview["data"]["counts"]["production"], 2);
}

#[test]
fn a_raw_export_sent_over_http_counts_like_one_that_was_imported() {
    for (name, _, _, _, [others, production, pre_release, _]) in LISTS {
        let exporter = Running::start();
        let answer = exporter.post("/api/v1/projects/web/defects", &list(name));
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let valid = production + pre_release + others;
        assert_eq!(exporter.series("defect_leakage"), Some(production as f64 / valid as f64), "{name}");
    }
}

#[test]
fn an_exporter_with_other_rules_than_the_settings_here_is_told_of() {
    let served = Served::start();
    served.write("bugs.csv", "key,created,team\nA-1,2026-02-01,blue\n");
    served.write(
        "qastack.yaml",
        "figures: { defects: { production: [{ name: the blue team, field: team, any_of: [blue] }] } }\n",
    );
    let imported = served.json(&["import", "defects", "bugs.csv", "--token-file", "token"], 0);
    assert_eq!(imported["data"]["defects"][0]["rule"], "the blue team");
    assert!(imported["warnings"].to_string().contains("the exporter's own rules decide"), "{imported:#}");
}

/// The preview of a list that is written here.
fn preview(served: &Served, name: &str, content: &[u8]) -> (Value, String) {
    std::fs::write(served.directory.path().join(name), content).unwrap();
    let mut preview = served.json(&["import", "defects", name, "--dry-run"], 0);
    (preview["data"]["defects"].take(), preview["warnings"].to_string())
}

#[test]
fn where_a_defect_was_found_goes_before_what_somebody_typed_as_the_environment() {
    let served = Served::start();
    let list = b"Issue key,Issue Type,Environment,Custom field (Found in),Created\n\
        A-1,Bug,\"Windows 10, Chrome 120\",Production,2026-02-01\nA-2,Bug,Production,,2026-02-01\n\
        A-3,Bug,Chrome,Staging,2026-02-01\n";
    let (defects, _) = preview(&served, "found.csv", list);
    let standings: Vec<_> = defects.as_array().unwrap().iter().map(|one| one["standing"].clone()).collect();
    assert_eq!(standings, ["production", "production", "pre-release"]);
}

#[test]
fn a_spreadsheet_of_a_german_office_is_read_and_what_was_guessed_is_told() {
    let served = Served::start();
    let list = "Key;Title;Created;Escaped\nA-1;Gr\u{f6}\u{df}e;12/M\u{e4}r/26;ja\nA-2;y;12. Dezember 2025;nein\n\
        A-3;z;3.Okt.2025;vielleicht\n";
    let bytes: Vec<u8> = list.chars().map(|character| u32::from(character) as u8).collect();
    let (defects, warnings) = preview(&served, "german.csv", &bytes);
    assert_eq!(defects[0]["title"], "Gr\u{f6}\u{df}e", "{defects:#}");
    let standings: Vec<_> = defects.as_array().unwrap().iter().map(|one| one["standing"].clone()).collect();
    assert_eq!(standings, ["production", "pre-release", "pre-release"]);
    assert!(warnings.contains("Windows-1252") && warnings.contains("vielleicht"), "{warnings}");
}

#[test]
fn a_quotation_mark_that_is_never_closed_loses_no_rows_in_silence() {
    let served = Served::start();
    let rows: String = (3..50).map(|number| format!("A-{number},x,2026-02-01,note\n")).collect();
    served
        .write("quote.csv", &format!("key,title,created,note\nA-1,x,2026-02-01,n\nA-2,x,2026-02-01,\"5 inch\n{rows}"));
    let error = served.json(&["import", "defects", "quote.csv", "--dry-run"], 12)["error"].take();
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("line 3") && message.contains("quotation mark"), "{message}");
    // A text of several lines is a text.
    let text = b"key,title,created,note\nA-1,x,2026-02-01,\"one, two\nthree\nfour, five, six\"\n";
    assert_eq!(preview(&served, "text.csv", text).0.as_array().unwrap().len(), 1);
}

#[test]
fn a_page_of_many_a_day_to_come_and_a_defect_opened_again_are_told_as_what_they_are() {
    let served = Served::start();
    let page =
        br#"{"total":300,"issues":[{"key":"S-1","fields":{"summary":"x","created":"2026-02-01T00:00:00.000+0000"}}]}"#;
    assert!(preview(&served, "page.json", page).1.contains("a page with 1 of 300 issues"));
    let last = br#"{"isLast":true,"issues":[{"key":"S-1","fields":{"summary":"x","created":"2026-02-01T00:00:00.000+0000"}}]}"#;
    assert!(!preview(&served, "last.json", last).1.contains("a page with"));
    let list = b"key,status,created,resolved\nA-1,Open,2099-01-01,\nA-2,Reopened,2026-02-01,2026-02-03\nA-3,Done,2026-02-01,2026-02-03\n";
    let (defects, warnings) = preview(&served, "list.csv", list);
    assert!(warnings.contains("1 of the defects, A-1 the first, are created in the future"), "{warnings}");
    let open: Vec<_> = defects.as_array().unwrap().iter().map(|one| one["open"].clone()).collect();
    assert_eq!(open, [json!(true), json!(true), json!(false)], "{defects:#}");
}

#[test]
fn defects_that_are_older_than_the_window_are_told_before_and_after_they_are_brought_in() {
    let served = Served::start();
    let today = jiff::Timestamp::now().strftime("%F");
    served
        .write("bugs.csv", &format!("key,environment,created\nA-1,qa,2020-02-01\nA-2,qa,{today}\nA-3,prod,{today}\n"));
    let told = |arguments: &[&str]| {
        let answer = served.json(&[arguments, &["--token-file", "token"]].concat(), 0);
        (answer["data"]["older_than_window"].clone(), answer["warnings"].to_string())
    };
    let text = |days| format!("1 of 3 valid defects is older than the window of {days} days (figures.leakage_window)");
    let (older, warnings) = told(&["import", "defects", "bugs.csv"]);
    assert!(older == 1 && warnings.contains(&text(90)), "{older} {warnings}");
    let (_, pushed) = told(&["push", "bugs.csv"]);
    assert!(pushed.contains(&format!("bugs.csv: {}", text(90))), "{pushed}");
    // The preview goes by the settings here.
    served.write("qastack.yaml", "figures: { leakage_window: 7d }\n");
    let (older, warnings) = told(&["import", "defects", "bugs.csv", "--dry-run"]);
    assert!(older == 1 && warnings.contains(&text(7)), "{older} {warnings}");
    served.write("qastack.yaml", "figures: { leakage_window: 3650d }\n");
    assert_eq!(told(&["import", "defects", "bugs.csv", "--dry-run"]), (0.into(), "[]".to_owned()));
}
