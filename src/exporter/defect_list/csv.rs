//! Separated values with a header row.

use super::dates::{Order, Orders};
use super::fields::{self, Draft, Field, FieldMap, LabelList};
use super::{Collector, DefectList, ListFormat, Unusable, issues};

pub(super) fn read(bytes: &[u8], received_at: i64, map: &FieldMap) -> Result<DefectList, Unusable> {
    let (separator, bytes) = separator(bytes);
    let before = u64::from(separator.is_some());
    let delimiter = separator.unwrap_or_else(|| delimiter(bytes));
    let mut reader = records(bytes, delimiter);
    let malformed = |error: &csv::Error| Unusable::Malformed {
        line: before + error.position().map_or(1, csv::Position::line),
        reason: error.to_string(),
    };
    let header = reader.byte_headers().map_err(|error| malformed(&error))?;
    let names: Vec<String> = header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let columns: Vec<Field> = names.iter().map(|name| map.field(name)).collect();
    if columns.iter().all(|column| *column == Field::Custom(String::new())) {
        return Err(Unusable::Empty);
    }
    let columns = fields::one_of_each(columns, |index| names[index].trim().to_owned());
    if !columns.contains(&Field::Key) {
        return Err(Unusable::NoKeyColumn);
    }
    let format = format(&names);
    // GitLab's labels may hold spaces, and nothing but a comma stands between two of them.
    let labels = if format == ListFormat::GitlabCsv { LabelList::Commas } else { LabelList::Guessed };
    let mut collector = Collector::default();
    names.iter().zip(&columns).for_each(|(name, column)| collector.see(name, column));
    let otherwise = if columns.contains(&Field::Created) {
        None
    } else {
        collector.warn(1, "the list has no column with the creation date; the defects count from now");
        Some(received_at)
    };
    let order = order(bytes, delimiter, &columns);
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => return Err(malformed(&error)),
        }
        let line = before + record.position().map_or(0, |position| first_line(bytes, position));
        if swallows_rows(&record, columns.len(), delimiter) {
            let reason = "a quotation mark that begins here is not closed: the rows after it would be lost".to_owned();
            return Err(Unusable::Malformed { line, reason });
        }
        if record.iter().all(|value| value.trim_ascii().is_empty()) {
            continue;
        }
        let mut draft = Draft::new(labels, order);
        let row = row(&mut draft, &columns, &record).and_then(|()| {
            draft.note().into_iter().for_each(|note| collector.warn(line, note));
            let mut defect = draft.finish(otherwise)?;
            if format == ListFormat::GitlabCsv {
                issues::name_by_address(&mut defect);
            }
            Ok(defect)
        });
        collector.take(line, row)?;
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

/// Whether a field holds lines that are rows of the list: its quotation mark was meant as a mark, and not to begin a text.
fn swallows_rows(record: &csv::ByteRecord, columns: usize, delimiter: u8) -> bool {
    let is_row = |line: &[u8]| memchr::memchr_iter(delimiter, line).count() + 1 == columns;
    // Fewer columns stand in many a text of more lines than one.
    columns > 2
        && record.iter().any(|field| field.split(|&byte| byte == b'\n').skip(1).filter(|line| is_row(line)).count() > 1)
}

fn row(draft: &mut Draft, columns: &[Field], record: &csv::ByteRecord) -> Result<(), String> {
    columns.iter().zip(record).try_for_each(|(column, value)| draft.set(column, &String::from_utf8_lossy(value)))
}

/// How dates are meant that could mean two days: as the other dates of the list.
fn order(bytes: &[u8], delimiter: u8, columns: &[Field]) -> Option<Order> {
    let dates: Vec<usize> = (0..columns.len()).filter(|&index| columns[index].is_date()).collect();
    // The first record that is malformed ends the reading that follows.
    let records = records(bytes, delimiter).into_byte_records().map_while(Result::ok);
    let mut orders = Orders::default();
    for record in records {
        let texts = dates.iter().filter_map(|&index| record.get(index));
        texts.for_each(|text| orders.see(&String::from_utf8_lossy(text)));
    }
    orders.order()
}

fn records(bytes: &[u8], delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).trim(csv::Trim::Headers).from_reader(bytes)
}

/// Excel's first line that says the separator, `sep=;`, and what follows it.
fn separator(bytes: &[u8]) -> (Option<u8>, &[u8]) {
    let Some(end) = memchr::memchr(b'\n', bytes) else { return (None, bytes) };
    let line = bytes[..end].trim_ascii_end();
    match line.trim_ascii_start().to_ascii_lowercase().as_slice() {
        [b's', b'e', b'p', b'=', separator] => (Some(*separator), &bytes[end + 1..]),
        // The separator is a tab, which counts as white space at the end of a line.
        b"sep=" => (Some(b'\t'), &bytes[end + 1..]),
        _ => (None, bytes),
    }
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

    #[test]
    fn the_line_in_which_excel_says_the_separator_is_no_header() {
        for text in [
            "sep=;\r\nkey;created\r\nA-1;2026-01-31\r\nA-2;someday\r\n",
            "\u{feff}SEP=\t\nkey\tcreated\nA-1\t2026-01-31\nA-2\tsomeday\n",
        ] {
            let list = read(text.as_bytes(), 7).unwrap();
            assert_eq!((list.defects.len(), list.warnings[0].line), (1, 4), "{text}");
        }
    }

    #[test]
    fn a_date_that_could_mean_two_days_is_meant_as_the_others_of_its_list() {
        let text = "key;created;resolved\nA-1;02/11/2026;\nA-2;13/11/2026;03/12/2026\n";
        let list = read(text.as_bytes(), 7).unwrap();
        let dates: Vec<_> = list.defects.iter().map(|defect| (defect.created_at, defect.resolved_at)).collect();
        assert_eq!(dates, [(1_793_577_600, None), (1_794_528_000, Some(1_796_256_000))]);
        assert!(list.warnings.is_empty(), "{:?}", list.warnings);
        let list = read(b"key,created\nA-1,02/11/2026\nA-2,13/11/2026\nA-3,11/13/2026\n", 7).unwrap();
        assert_eq!((list.defects.len(), list.left_out), (2, 1), "the others contradict each other");
        assert!(list.warnings[0].text.contains("could mean two days"), "{:?}", list.warnings);
    }

    #[test]
    fn of_several_creation_dates_the_plainest_counts() {
        let text = "key,Reported,created,detected\nA-1,Anna,2026-01-31,2024-01-01\n";
        let list = read(text.as_bytes(), 7).unwrap();
        assert_eq!(list.defects[0].created_at, 1_769_817_600);
        assert_eq!(list.other_columns, ["Reported", "detected"]);
        let list = read(b"key,created,created\nA-1,2026-01-31,2024-01-01\n", 7).unwrap();
        assert_eq!(list.defects[0].created_at, 1_769_817_600, "the first of two equal ones");
    }

    #[test]
    fn what_is_said_of_the_resolution_costs_no_defect() {
        let text = "key,created,resolved,closed\nA,2026-01-31,TBD,\nB,2026-01-31,,yes\nC,2026-01-31,,no\n\
                    D,2026-01-31,2026-02-01,2026-03-01\n";
        let list = read(text.as_bytes(), 7).unwrap();
        let told: Vec<_> = list.defects.iter().map(|one| (one.resolved_at, one.status.as_str())).collect();
        assert_eq!(told, [(None, ""), (None, "Closed"), (None, ""), (Some(1_769_904_000), "")]);
        assert_eq!((list.left_out, list.warnings.len(), list.warnings[0].line), (0, 1, 2));
        assert!(list.warnings[0].text.contains("resolved date \"TBD\""), "{}", list.warnings[0].text);
    }
}
