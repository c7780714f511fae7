//! What runs the stack, as the user says it.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What runs the stack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// Docker where an engine answers; this program alone where there is none and nobody named one.
    #[default]
    Auto,
    /// A Docker engine, or an error.
    Docker,
    /// This program alone: the exporter with its page, as one process of this machine.
    Embedded,
}

impl EngineChoice {
    /// The word in the settings.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Docker => "docker",
            Self::Embedded => "embedded",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_and_the_file_say_the_same_words() {
        for choice in EngineChoice::value_variants() {
            let flag = choice.to_possible_value().expect("a word");
            assert_eq!(flag.get_name(), choice.word());
            assert_eq!(serde_json::to_value(choice).expect("a word"), choice.word());
        }
    }
}
