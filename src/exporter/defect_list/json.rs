//! Lists in JSON: an array of objects, the pages of a tracker's API, or an object for each line.
//!
//! Entries are read one at a time off the text, so that memory does not grow with the list, and each knows its line.

use super::dates::{Order, Orders};
use super::fields::{self, Draft, Field, FieldMap, LabelList};
use super::issues::{self, Shape};
use super::{Collector, DefectList, ListFormat, MOST_ROWS, Unusable};
use crate::quality::Defect;
use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// Lists may lie in lists, as the pages that a tool has slurped; deeper is nothing that one writes.
const DEEPEST: usize = 4;

pub(super) fn read(bytes: &[u8], received_at: i64, map: &FieldMap) -> Result<DefectList, Unusable> {
    let text = std::str::from_utf8(bytes).map_err(|error| Unusable::Malformed {
        line: 1 + memchr::memchr_iter(b'\n', &bytes[..error.valid_up_to()]).count() as u64,
        reason: "bytes that are no UTF-8".to_owned(),
    })?;
    let first = Reading::of(text, received_at, map, None).documents()?;
    match first.dates.needed() {
        None => first.finish(),
        // Only the whole list tells how these dates are meant.
        order => Reading::of(text, received_at, map, order).documents()?.finish(),
    }
}

fn malformed(error: &serde_json::Error, before: u64) -> Unusable {
    Unusable::Malformed { line: before + error.line() as u64, reason: error.to_string() }
}

struct Reading<'a> {
    collector: Collector,
    /// How dates are meant that could mean two days, where that is known.
    order: Option<Order>,
    /// What the dates tell about that.
    dates: Orders,
    map: &'a FieldMap,
    text: &'a str,
    /// A byte of the text and the line it stands on: entries come in order, and lines are counted on from there.
    place: (usize, u64),
    entries: u64,
    received_at: i64,
    /// What Jira calls its fields, by their ids.
    names: BTreeMap<String, String>,
    shape: Option<Shape>,
    pull_requests: u64,
    /// How many entries there are on all pages, where a page says so, and whether the last one says that there is another.
    announced: u64,
    goes_on: bool,
    /// Entries without a creation date, with their lines.
    undated: Vec<(u64, Defect)>,
    trouble: Option<Unusable>,
}

/// The objects that hold a list, by what they call it.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, alias = "defects", alias = "items", alias = "nodes")]
    issues: Option<&'a RawValue>,
    /// How many there are on all pages, as Jira tells it.
    total: Option<u64>,
    /// Whether there is a page after this one, as newer ones tell it.
    #[serde(rename = "isLast")]
    is_last: Option<bool>,
}

#[derive(Deserialize)]
struct Names {
    names: BTreeMap<String, String>,
}

impl<'a> Reading<'a> {
    fn of(text: &'a str, received_at: i64, map: &'a FieldMap, order: Option<Order>) -> Self {
        Self {
            collector: Collector::default(),
            order,
            dates: Orders::default(),
            map,
            text,
            place: (0, 1),
            entries: 0,
            received_at,
            names: BTreeMap::new(),
            shape: None,
            pull_requests: 0,
            announced: 0,
            goes_on: false,
            undated: Vec::new(),
            trouble: None,
        }
    }

    /// Reads all of the text: pages that were written one after the other, and an object for each line, are several
    /// documents.
    fn documents(mut self) -> Result<Self, Unusable> {
        for document in serde_json::Deserializer::from_str(self.text).into_iter::<&RawValue>() {
            let document = document.map_err(|error| malformed(&error, 0))?;
            self.look_for_names(document);
            self.document(document, 0)?;
        }
        Ok(self)
    }

    /// Jira tells the names of its fields behind the issues, so they are looked for before anything is read.
    fn look_for_names(&mut self, document: &RawValue) {
        // A list of maps would be taken for the fields of a struct, one after the other.
        if document.get().starts_with('{')
            && let Ok(Names { names }) = serde_json::from_str(document.get())
        {
            self.names.extend(names);
        }
    }

    fn document(&mut self, document: &'a RawValue, depth: usize) -> Result<(), Unusable> {
        let text = document.get();
        let line = self.line_of(text);
        match text.as_bytes().first() {
            Some(b'[') if depth < DEEPEST => {
                let mut list = serde_json::Deserializer::from_str(text);
                let read = Entries { reading: self, depth }.deserialize(&mut list);
                match (self.trouble.take(), read) {
                    (Some(trouble), _) => Err(trouble),
                    (None, Err(error)) => Err(malformed(&error, line - 1)),
                    (None, Ok(())) => Ok(()),
                }
            }
            Some(b'{') => match serde_json::from_str::<Page<'a>>(text) {
                Ok(Page { issues: Some(list), total, is_last }) if list.get().starts_with('[') => {
                    self.announced = self.announced.max(total.unwrap_or(0));
                    self.goes_on = is_last == Some(false);
                    self.document(list, depth + 1)
                }
                _ => self.entry(text, line),
            },
            _ => {
                self.entries += 1;
                let reason = format!("entry {} is no object", self.entries);
                self.collector.take(line, Err(reason))
            }
        }
    }

    fn entry(&mut self, text: &str, line: u64) -> Result<(), Unusable> {
        self.entries += 1;
        if self.entries > MOST_ROWS as u64 {
            return Err(Unusable::TooMany);
        }
        let object: Map<String, Value> = serde_json::from_str(text).map_err(|error| malformed(&error, line - 1))?;
        let shape = Shape::of(&object);
        self.shape.get_or_insert(shape);
        if issues::is_pull_request(&object) {
            self.pull_requests += 1;
            return Ok(());
        }
        let entry = self.entries;
        let told = |reason: String| format!("entry {entry}: {reason}");
        let mut draft = match self.draft(shape, &object) {
            Ok(draft) => draft,
            Err(reason) => return self.collector.take(line, Err(told(reason))),
        };
        if let Some(note) = draft.note() {
            self.collector.warn(line, told(note));
        }
        let has_date = draft.has_created();
        match draft.finish(Some(self.received_at)) {
            Err(reason) => self.collector.take(line, Err(told(reason))),
            Ok(mut defect) => {
                issues::complete(shape, &object, &mut defect);
                if has_date {
                    return self.collector.take(line, Ok(defect));
                }
                self.undated.push((line, defect));
                Ok(())
            }
        }
    }

    /// Reads an entry, as far as it goes: without a date it waits for the end of the list.
    fn draft(&mut self, shape: Shape, object: &Map<String, Value>) -> Result<Draft, String> {
        let mut draft = Draft::new(LabelList::Guessed, self.order);
        let mut fields = Vec::new();
        for (id, value) in issues::fields(shape, object) {
            let name = self.names.get(id).map_or(id, String::as_str);
            let texts = issues::texts(value);
            if texts.iter().all(String::is_empty) {
                self.collector.see_empty(name);
            } else {
                fields.push((id, name.to_owned(), value, texts));
            }
        }
        let columns = fields.iter().map(|(_, name, ..)| self.map.field(name)).collect();
        let columns = fields::one_of_each(columns, |index| fields[index].1.clone());
        for ((.., texts), _) in fields.iter().zip(&columns).filter(|(_, field)| field.is_date()) {
            texts.first().into_iter().for_each(|text| self.dates.see(text));
        }
        for ((id, name, value, texts), field) in fields.iter().zip(columns) {
            if matches!(field, Field::Custom(_)) && !shape.keeps(id) {
                continue;
            }
            self.collector.see(name, &field);
            match field {
                Field::Labels if value.is_array() => texts.iter().for_each(|text| draft.add_label(text)),
                Field::Custom(_) => draft.set(&field, &texts.join(", "))?,
                field => texts.first().map_or(Ok(()), |text| draft.set(&field, text))?,
            }
        }
        for (name, text) in issues::own_fields(object).filter(|_| shape == Shape::Plain) {
            draft.set(&Field::Custom(name.to_owned()), text)?;
        }
        Ok(draft)
    }

    /// The line that a part of the text begins on.
    fn line_of(&mut self, part: &str) -> u64 {
        let at = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.text.len());
        let (from, line) = if at < self.place.0 { (0, 1) } else { self.place };
        self.place = (at, line + memchr::memchr_iter(b'\n', &self.text.as_bytes()[from..at]).count() as u64);
        self.place.1
    }

    fn finish(mut self) -> Result<DefectList, Unusable> {
        // A list that tells no dates at all is one of now; one that tells some must tell all.
        let tells_dates = !self.collector.defects.is_empty();
        if !self.undated.is_empty() && !tells_dates {
            self.collector.warn(1, "the list tells no creation dates; the defects count from now");
        }
        for (line, defect) in std::mem::take(&mut self.undated) {
            let row = if tells_dates { Err(format!("{} has no creation date", defect.key)) } else { Ok(defect) };
            self.collector.take(line, row)?;
        }
        if self.goes_on || self.announced > self.entries {
            let of = if self.announced > self.entries { format!(" of {}", self.announced) } else { String::new() };
            let text =
                format!("it is a page with {}{of} issues: fetch the others too, or they do not count", self.entries);
            self.collector.warn(1, text);
        }
        if self.pull_requests > 0 {
            let text = match self.pull_requests {
                1 => "a pull request is left out: it is no issue".to_owned(),
                many => format!("{many} pull requests are left out: they are no issues"),
            };
            self.collector.warn(1, text);
        }
        let format = match self.shape {
            Some(Shape::Jira) => ListFormat::JiraJson,
            Some(Shape::Github) => ListFormat::GithubJson,
            Some(Shape::Gitlab) => ListFormat::GitlabJson,
            Some(Shape::Plain) | None => ListFormat::Json,
        };
        self.collector.finish(format, self.map)
    }
}

/// Reads the entries of a list one at a time.
struct Entries<'r, 'a> {
    reading: &'r mut Reading<'a>,
    depth: usize,
}

impl<'a> DeserializeSeed<'a> for Entries<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for Entries<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element::<&'a RawValue>()? {
            if let Err(trouble) = self.reading.document(entry, self.depth + 1) {
                self.reading.trouble = Some(trouble);
                return Err(serde::de::Error::custom("the list cannot be used"));
            }
        }
        Ok(())
    }
}

/// Defects as a list that [`super::read`] reads back as they are.
pub fn write(defects: &[Defect]) -> Vec<u8> {
    let moment = |seconds: i64| jiff::Timestamp::from_second(seconds).ok().map(|moment| moment.to_string());
    let list: Vec<Value> = defects
        .iter()
        .map(|defect| {
            let mut value = serde_json::to_value(defect).unwrap_or_default();
            value["created_at"] = json!(moment(defect.created_at));
            value["resolved_at"] = json!(defect.resolved_at.and_then(moment));
            value
        })
        .collect();
    json!({ "defects": list }).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::read;

    #[test]
    fn whether_an_issue_is_closed_may_be_said_without_a_date() {
        let text = br#"[{"number":1,"closed":false,"createdAt":"2026-01-31T00:00:00Z"},
            {"number":2,"closed":true,"createdAt":"2026-01-31T00:00:00Z"},
            {"number":3,"closed":true,"closedAt":"2026-02-01T00:00:00Z","state":"CLOSED","createdAt":"2026-01-31T00:00:00Z"}]"#;
        let list = read(text, 7).unwrap();
        let told: Vec<_> = list.defects.iter().map(|one| (one.resolved_at, one.status.as_str())).collect();
        assert_eq!(told, [(None, ""), (None, "Closed"), (Some(1_769_904_000), "CLOSED")]);
        assert!(list.warnings.is_empty(), "{:?}", list.warnings);
    }

    #[test]
    fn of_several_creation_dates_the_plainest_that_is_there_counts() {
        let text = br#"[{"key":"A","reported":"Anna","created":"2026-01-31","detected":"2024-01-01","resolved":"soon"},
            {"key":"B","detected":"2026-01-31","created":null}]"#;
        let list = read(text, 7).unwrap();
        assert_eq!(list.defects.iter().map(|one| one.created_at).collect::<Vec<_>>(), [1_769_817_600; 2]);
        assert!(list.warnings[0].text.starts_with("entry 1: left empty: the resolved date"), "{:?}", list.warnings);
    }

    #[test]
    fn a_date_that_could_mean_two_days_is_meant_as_the_others_of_its_list() {
        let days = |text: &str| {
            let list = read(text.as_bytes(), 7).unwrap();
            assert!(list.warnings.is_empty(), "{:?}", list.warnings);
            list.defects.iter().map(|one| (one.created_at, one.resolved_at)).collect::<Vec<_>>()
        };
        // What decides comes last, on a line of its own, or in the other of the two dates.
        let told = days(r#"[{"key":"A","created":"03/04/2026"},{"key":"B","created":"13/04/2026"}]"#);
        assert_eq!(told, [(1_775_174_400, None), (1_776_038_400, None)]);
        let told = days("{\"key\":\"A\",\"created\":\"03/04/2026\"}\n{\"key\":\"B\",\"created\":\"04/13/2026\"}\n");
        assert_eq!(told, [(1_772_582_400, None), (1_776_038_400, None)]);
        let told = days(r#"{"defects":[{"key":"A","created":"03/04/2026","resolved":"13/04/2026"}]}"#);
        assert_eq!(told, [(1_775_174_400, Some(1_776_038_400))]);
        let told =
            days(r#"[{"key":"A","resolved":"03/04/2026","created":"2026-03-01"},{"key":"B","created":"13/04/2026"}]"#);
        assert_eq!(told, [(1_772_323_200, Some(1_775_174_400)), (1_776_038_400, None)]);
    }

    #[test]
    fn a_date_that_could_mean_two_days_in_all_of_its_list_is_told_and_not_guessed() {
        let text = r#"[{"key":"A","created":"03/04/2026"},
            {"key":"B","created":"2026-04-03","resolved":"05/06/2026"}]"#;
        let list = read(text.as_bytes(), 7).unwrap();
        assert_eq!((list.defects.len(), list.left_out, list.defects[0].resolved_at), (1, 1, None));
        let told: Vec<_> = list.warnings.iter().map(|one| (one.line, one.text.as_str())).collect();
        let both =
            |what: &str| format!("the {what} could mean two days, and the other dates of the list do not tell which");
        assert_eq!((told.len(), told[0].0, told[1].0), (2, 1, 2), "{told:?}");
        assert!(told[0].1.contains(&both("created date \"03/04/2026\"")), "{told:?}");
        assert!(told[1].1.contains(&both("resolved date \"05/06/2026\"")), "{told:?}");
        let contradicting = r#"[{"key":"A","created":"03/04/2026"},{"key":"B","created":"13/04/2026"},{"key":"C","created":"04/13/2026"}]"#;
        let list = read(contradicting.as_bytes(), 7).unwrap();
        assert_eq!((list.defects.len(), list.left_out), (2, 1));
        let alone = read(br#"[{"key":"A","created":"03/04/2026"}]"#, 7).unwrap_err();
        assert!(alone.to_string().contains("could mean two days"), "{alone}");
    }
}
