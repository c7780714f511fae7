//! What the gate demands and what an import's columns mean, where a team has said so once and for all.

use crate::gate;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;

/// Limits by the word of the figure; a flag for the same figure takes their place.
pub type Limits = BTreeMap<String, Share>;

/// The limits of `qastack gate`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateSettings {
    /// What figures may be at most.
    pub max: Limits,
    /// What figures must be at least.
    pub min: Limits,
    /// How much more than on the base branch figures may be at most.
    pub max_increase: Limits,
    /// How much less than on the base branch figures may be at most.
    pub max_decrease: Limits,
}

impl GateSettings {
    /// The path and the trouble of a limit that no figure can have. What the leakage is a share of are the exporter's
    /// rules to say.
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let groups = [
            ("max", &self.max),
            ("min", &self.min),
            ("max_increase", &self.max_increase),
            ("max_decrease", &self.max_decrease),
        ];
        for (group, limits) in groups {
            for (word, share) in limits {
                gate::Limit::new(word, share.0).map_err(|what| (format!("gate.{group}.{word}"), what))?;
            }
        }
        Ok(())
    }
}

/// A number, which may be written as a percentage: `0.1` or `10%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(pub gate::Amount);

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.value)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = super::layers::scalar(deserializer)?;
        let expected = || de::Error::custom(format!("`{text}` is not a number such as 0.1 or 10%"));
        gate::Amount::read(&text).map(Self).ok_or_else(expected)
    }
}

/// What the columns of defect lists mean.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportSettings {
    /// The column of a field, where its name does not tell: `environment: Found in`.
    pub columns: BTreeMap<String, String>,
    /// Which entries are defects at all: each field has to match its glob, as in `label: bug`.
    pub only: BTreeMap<String, String>,
}
