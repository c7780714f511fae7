//! Of which kinds each stored defect is, in memory: a page of a rare kind among very many defects of one day reads those
//! that it shows, and no others.

use crate::quality::{Classification, DefectKind};

const KINDS: [DefectKind; 4] = [DefectKind::Production, DefectKind::PreRelease, DefectKind::Invalid, DefectKind::Open];

/// The defects of a project by their numbers in the store, each with a bit for every kind it is of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DefectKinds(Vec<(i64, u8)>);

impl DefectKinds {
    /// Notes what the rules make of a defect; new ones nearly always have the highest number so far.
    pub(super) fn note(&mut self, id: i64, class: &Classification) {
        let kinds = KINDS.iter().filter(|kind| kind.holds(class)).fold(0, |kinds, kind| kinds | bit(*kind));
        if self.0.last().is_none_or(|(last, _)| *last < id) {
            return self.0.push((id, kinds));
        }
        match self.0.binary_search_by_key(&id, |(known, _)| *known) {
            Ok(index) => self.0[index].1 = kinds,
            Err(index) => self.0.insert(index, (id, kinds)),
        }
    }

    /// Whether a defect is of a kind. One that is not known yet is counted nowhere yet, either.
    pub(super) fn holds(&self, id: i64, kind: DefectKind) -> bool {
        let index = self.0.binary_search_by_key(&id, |(known, _)| *known);
        index.is_ok_and(|index| self.0[index].1 & bit(kind) != 0)
    }
}

fn bit(kind: DefectKind) -> u8 {
    1 << kind as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::{Defect, DefectRules};

    #[test]
    fn a_defect_is_of_the_kinds_that_it_was_noted_with_last_in_whatever_order_they_come() {
        let defect = |resolution: &str| Defect { resolution: resolution.to_owned(), ..Defect::default() };
        let classes = DefectRules::default().classify(&[defect(""), defect("duplicate")]).unwrap();
        let mut kinds = DefectKinds::default();
        for (id, class) in [(5, 0), (9, 1), (2, 1), (7, 1), (9, 0)] {
            kinds.note(id, &classes[class]);
        }
        let of = |kind| (0..10).filter(|id| kinds.holds(*id, kind)).collect::<Vec<_>>();
        assert_eq!((of(DefectKind::PreRelease), of(DefectKind::Open)), (vec![5, 9], vec![5, 9]));
        assert_eq!((of(DefectKind::Invalid), of(DefectKind::Production)), (vec![2, 7], vec![]));
    }
}
