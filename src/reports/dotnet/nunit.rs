//! What only NUnit 3 has: suites of many kinds inside each other, which can fail by themselves.

use super::{Attributes, Place, Reader, base_name};
use crate::reports::run::{OUTSIDE, Outside, Record};
use crate::reports::unreadable::Unreadable;
use crate::reports::xml::{Tag, Token};

impl Reader<'_> {
    pub(super) fn suite(&mut self, tag: &Tag<'_>, place: &Place) -> Result<(), Unreadable> {
        let attributes = self.attributes(tag)?;
        let mut inner = place.clone();
        match &*attributes.kind {
            "Assembly" => base_name(&attributes.name).clone_into(&mut inner.suite),
            "TestFixture" => {
                let arguments = attributes.name.find(['(', '<']).and_then(|at| attributes.name.get(at..));
                arguments.unwrap_or_default().clone_into(&mut inner.arguments);
            }
            _ => {}
        }
        self.run.started(attributes.start.clone(), None);
        inner.start = attributes.start.clone().or(inner.start);
        let before = (self.run.elements().tests, self.broken(), self.outside);
        let mut failure = None;
        loop {
            match self.xml.next()? {
                Token::Open(tag) if matches!(tag.name(), "failure" | "reason") => {
                    let mut budget = self.run.limits().kept_text;
                    failure = Some((tag.name() == "failure", self.xml.text(&mut budget)?));
                }
                Token::Open(tag) => self.element(&tag, &inner)?,
                Token::Text(_) => {}
                Token::Close | Token::End => break,
            }
        }
        let (tests, broken, outside) = before;
        if attributes.run_state == "NotRunnable" && self.run.elements().tests == tests {
            let message = failure.map(|(_, text)| text).filter(|text| !text.is_empty());
            return self.not_runnable(&attributes, &inner, message, tag.offset);
        }
        let explained = self.broken() > broken || self.outside > outside;
        if let Some((true, text)) = failure
            && (attributes.site == "TearDown" || attributes.site != "Child" && !explained)
        {
            let line = text.lines().next().unwrap_or_default().to_owned();
            let suite = if inner.suite.is_empty() { base_name(&attributes.name) } else { &inner.suite };
            // That of its tests, which have the arguments of a fixture in it; an assembly has none.
            let class = match (&*attributes.class, &*attributes.full_name) {
                (class, "") | (class @ "", _) => class,
                (_, full_name) => full_name,
            };
            let outside = Outside { suite, class, name: OUTSIDE, offset: tag.offset, message: Some(text) };
            self.fail_outside(outside, || {
                format!("{:?} failed outside of its tests: it counts as an error: {line}", attributes.name)
            })?;
        }
        Ok(())
    }

    /// An assembly that cannot be loaded, or a fixture that cannot be made, has no tests, and must not look like one
    /// without any.
    fn not_runnable(
        &mut self,
        attributes: &Attributes<'_>,
        place: &Place,
        message: Option<String>,
        offset: usize,
    ) -> Result<(), Unreadable> {
        self.run.warn("suite_error", offset, || {
            format!("{:?} cannot be run, and none of its tests is here: it counts as an error", attributes.name)
        });
        let suite = if place.suite.is_empty() { base_name(&attributes.name) } else { &place.suite };
        let outside = Outside { suite, class: &attributes.class, name: "[not runnable]", offset, message };
        self.run.add(Record { reported_start: place.start.clone(), ..outside.into() })
    }
}
