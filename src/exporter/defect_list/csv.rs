//! Separated values with a header row.

use super::fields::{self, Draft, Field, FieldMap, LabelList};
use super::{Collector, DefectList, ListFormat, Unusable, issues};

pub(super) fn read(bytes: &[u8], received_at: i64, map: &FieldMap) -> Result<DefectList, Unusable> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter(bytes))
        .flexible(true)
        .trim(csv::Trim::Headers)
        .from_reader(bytes);
    let malformed = |error: &csv::Error| Unusable::Malformed {
        line: error.position().map_or(1, csv::Position::line),
        reason: error.to_string(),
    };
    let header = reader.byte_headers().map_err(|error| malformed(&error))?;
    let names: Vec<String> = header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let columns: Vec<Field> = names.iter().map(|name| map.field(name)).collect();
    if columns.iter().all(|column| *column == Field::Custom(String::new())) {
        return Err(Unusable::Empty);
    }
    let columns = only_one_key(columns, &names);
    if !columns.contains(&Field::Key) {
        return Err(Unusable::NoKeyColumn);
    }
    let format = format(&names);
    let mut collector = Collector::default();
    names.iter().zip(&columns).for_each(|(name, column)| collector.see(name, column));
    let otherwise = if columns.contains(&Field::Created) {
        None
    } else {
        collector.warn(1, "the list has no column with the creation date; the defects count from now");
        Some(received_at)
    };
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => return Err(malformed(&error)),
        }
        let line = record.position().map_or(0, |position| first_line(bytes, position));
        if record.iter().all(|value| value.trim_ascii().is_empty()) {
            continue;
        }
        collector.take(line, row(format, &columns, &record, otherwise))?;
    }
    collector.finish(format, map)
}

/// Whose export it is, by the columns that only this tracker writes.
fn format(names: &[String]) -> ListFormat {
    let has = |name: &str| names.iter().any(|column| column.trim().eq_ignore_ascii_case(name));
    if has("Issue key") && has("Issue Type") {
        ListFormat::JiraCsv
    } else if has("Issue ID") && has("URL") && has("Created At (UTC)") {
        ListFormat::GitlabCsv
    } else {
        ListFormat::Csv
    }
}

/// The line a record begins on. The reader counts the empty lines before a record to it.
fn first_line(bytes: &[u8], position: &csv::Position) -> u64 {
    let from = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let empty = bytes.get(from..).unwrap_or_default().iter().take_while(|byte| matches!(byte, b'\n' | b'\r'));
    position.line() + empty.filter(|&&byte| byte == b'\n').count() as u64
}

fn row(
    format: ListFormat,
    columns: &[Field],
    record: &csv::ByteRecord,
    otherwise: Option<i64>,
) -> Result<crate::quality::Defect, String> {
    // GitLab's labels may hold spaces, and nothing but a comma stands between two of them.
    let labels = if format == ListFormat::GitlabCsv { LabelList::Commas } else { LabelList::Guessed };
    let mut draft = Draft::new(labels);
    for (column, value) in columns.iter().zip(record) {
        draft.set(column, &String::from_utf8_lossy(value))?;
    }
    let mut defect = draft.finish(otherwise)?;
    if format == ListFormat::GitlabCsv {
        issues::name_by_address(&mut defect);
    }
    Ok(defect)
}

/// Of several columns that could be the key, the one that says so most plainly is, and the others are fields of their
/// own.
fn only_one_key(columns: Vec<Field>, names: &[String]) -> Vec<Field> {
    let name = |index: usize| names.get(index).map_or("", |name| name.trim());
    let key = (0..columns.len()).filter(|&i| columns[i] == Field::Key).min_by_key(|&i| fields::plainness(name(i)));
    let field = |(index, column)| match column {
        Field::Key if Some(index) != key => Field::Custom(name(index).to_owned()),
        column => column,
    };
    columns.into_iter().enumerate().map(field).collect()
}

/// The separator that stands most often in the header row.
fn delimiter(bytes: &[u8]) -> u8 {
    let header = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| header.iter().filter(|&&byte| byte == separator).count();
    [b',', b';', b'\t'].into_iter().rev().max_by_key(|&separator| count(separator)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::super::read as read_list;
    use super::*;

    fn read(bytes: &[u8], received_at: i64) -> Result<DefectList, Unusable> {
        read_list(bytes, received_at)
    }

    #[test]
    fn a_plain_list_is_read_whatever_the_separator_and_the_case_of_its_header() {
        for text in [
            "key,title,severity,environment,created,resolved\nA-1,\"one, two\",high,production,2026-01-31,\n",
            "Key;Title;Severity;Environment;Created At;Resolved At\nA-1;one, two;high;production;2026-01-31;\n",
            "\u{feff}KEY\tSummary\tPriority\tfound_in\tcreated\tclosed\r\nA-1\tone, two\thigh\tproduction\t2026-01-31\t\r\n",
        ] {
            let list = read(text.as_bytes(), 7).unwrap();
            let defect = &list.defects[0];
            assert_eq!((defect.key.as_str(), defect.title.as_str()), ("A-1", "one, two"), "{text}");
            assert_eq!((defect.severity.as_str(), defect.environment.as_str()), ("high", "production"));
            assert_eq!((defect.created_at, defect.resolved_at), (1_769_817_600, None));
            assert!(list.warnings.is_empty(), "{:?}", list.warnings);
        }
    }

    #[test]
    fn jiras_own_export_is_read_with_its_repeated_columns() {
        let text = "Summary,Issue key,Issue id,Issue Type,Status,Priority,Resolution,Created,Resolved,Labels,Labels,\
                    Custom field (Found in)\nBroken,SHOP-7,10007,Bug,Done,High,Fixed,31/Jan/26 3:04 PM,\
                    02/Feb/26 9:00 AM,escaped,ui,Live\n";
        let list = read(text.as_bytes(), 7).unwrap();
        let defect = &list.defects[0];
        assert_eq!(defect.key, "SHOP-7");
        assert_eq!(defect.labels, ["escaped", "ui"]);
        assert_eq!(defect.environment, "Live", "a field that somebody added is known by its own name");
        assert_eq!(defect.fields["Issue id"], "10007");
        assert!(defect.resolved_at.is_some());
    }

    #[test]
    fn a_row_that_cannot_be_used_is_left_out_with_its_line() {
        let text = "key,created\nA-1,2026-01-31\n,2026-01-31\nA-3,someday\n\nA-1,2026-02-01\n";
        let list = read(text.as_bytes(), 7).unwrap();
        assert_eq!((list.defects.len(), list.left_out), (1, 2));
        assert_eq!(list.defects[0].created_at, 1_769_904_000, "the later row counts");
        let lines: Vec<u64> = list.warnings.iter().map(|warning| warning.line).collect();
        assert_eq!(lines, [3, 4, 6]);
        assert!(list.warnings[1].text.contains("someday"), "{}", list.warnings[1].text);
    }

    #[test]
    fn a_list_of_which_nothing_can_be_used_is_an_error() {
        assert_eq!(read(b"", 7), Err(Unusable::Empty));
        assert_eq!(read(b"key,created\n", 7), Err(Unusable::Empty));
        assert_eq!(read(b"colour,size\nred,3\n", 7), Err(Unusable::NoKeyColumn));
        assert!(matches!(read(b"<testsuite/>", 7), Err(Unusable::SomethingElse { .. })));
        assert!(matches!(read(b"PK\x03\x04xl", 7), Err(Unusable::SomethingElse { .. })));
        assert!(matches!(read(b"key,created\nA,x\nB,y\n", 7), Err(Unusable::NoUsableRow { rows: 2, line: 2, .. })));
    }

    #[test]
    fn without_a_column_for_it_the_creation_date_is_now_and_says_so() {
        let list = read(b"id,escaped\n1,yes\n2,no\n", 1234).unwrap();
        assert_eq!(list.defects[0].created_at, 1234);
        assert_eq!((list.defects[0].phase.as_str(), list.defects[1].phase.as_str()), ("production", ""));
        assert_eq!(list.warnings.len(), 1);
    }
}
