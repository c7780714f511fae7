//! The one table of exit codes and error words that scripts may rely on.
//!
//! A kind of trouble has one [`Code`]: a documented word for `error.code` in the JSON envelope, and the
//! exit code of the process. Nothing else in the crate decides an exit code.

/// A kind of trouble, as a script sees it.
///
/// The word is `error.code` of the JSON envelope, the number the process' exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Something that should not happen: a defect of qastack itself.
    Unexpected,
    /// The command line was not understood.
    Usage,
    /// `status`: the stack is not running.
    NotRunning,
    /// `status`: a part of the stack is missing, unhealthy or shows nothing.
    Degraded,
    /// No container engine answers.
    EngineUnreachable,
    /// The engine answered a call with an error that has no code of its own.
    EngineFailed,
    /// A host port is taken.
    PortBusy,
    /// An image cannot be had or built.
    ImageUnavailable,
    /// A service died while it started, or was not ready in time.
    NotReady,
    /// Prometheus answered with an error, or shows something else than was configured.
    PrometheusFailed,
    /// Grafana answered with an error.
    GrafanaFailed,
    /// Grafana refuses the password.
    GrafanaPassword,
    /// A destructive command was not confirmed.
    ConfirmationNeeded,
    /// A setting is wrong.
    SettingsInvalid,
    /// Something of the same name exists and is not ours.
    NotOurs,
    /// Another run of qastack works on the same project.
    Locked,
    /// A report or a defect list cannot be used.
    ReportRejected,
    /// The store or the state directory is damaged, full, or of a newer version.
    StoreDamaged,
    /// The exporter does not answer.
    ExporterUnreachable,
    /// The exporter refuses the token.
    TokenRefused,
    /// A gate's threshold is passed.
    GateFailed,
    /// Ended by Ctrl-C.
    Interrupted,
    /// Ended by SIGTERM.
    Terminated,
}

/// A row of the table: the code, its word, its exit code, and what it means in one sentence.
pub type Row = (Code, &'static str, u8, &'static str);

/// Every code, once. `docs/exit-codes.md` is made from this table, and a test holds the two together.
pub const TABLE: &[Row] = &[
    (Code::Unexpected, "unexpected", 1, "a defect of qastack itself"),
    (Code::Usage, "usage", 2, "the command line was not understood"),
    (Code::NotRunning, "not_running", 3, "the stack is not running"),
    (Code::Degraded, "degraded", 3, "a part of the stack is missing, unhealthy or shows nothing"),
    (Code::EngineUnreachable, "engine_unreachable", 4, "no container engine answers"),
    (Code::EngineFailed, "engine_failed", 4, "the container engine answered with an error"),
    (Code::PortBusy, "port_busy", 5, "a host port is taken"),
    (Code::ImageUnavailable, "image_unavailable", 6, "an image cannot be had or built"),
    (Code::NotReady, "not_ready", 7, "a service died while it started, or was not ready in time"),
    (Code::PrometheusFailed, "prometheus_failed", 8, "Prometheus answered with an error"),
    (Code::GrafanaFailed, "grafana_failed", 8, "Grafana answered with an error"),
    (Code::GrafanaPassword, "grafana_password", 8, "Grafana refuses the password"),
    (Code::ConfirmationNeeded, "confirmation_needed", 9, "a destructive command was not confirmed"),
    (Code::SettingsInvalid, "settings_invalid", 10, "a setting is wrong"),
    (Code::NotOurs, "not_ours", 10, "something of the same name exists and is not ours"),
    (Code::Locked, "locked", 11, "another run of qastack works on the same project"),
    (Code::ReportRejected, "report_rejected", 12, "a report or a defect list cannot be used"),
    (Code::StoreDamaged, "store_damaged", 13, "the store or the state is damaged, full, or of a newer version"),
    (Code::ExporterUnreachable, "exporter_unreachable", 14, "the exporter does not answer"),
    (Code::TokenRefused, "token_refused", 14, "the exporter refuses the token"),
    (Code::GateFailed, "gate_failed", 20, "a threshold of the gate is passed"),
    (Code::Interrupted, "interrupted", 130, "ended by Ctrl-C"),
    (Code::Terminated, "terminated", 143, "ended by SIGTERM"),
];

impl Code {
    /// The word for `error.code`.
    pub fn word(self) -> &'static str {
        self.row().1
    }

    /// The exit code of the process.
    pub fn exit(self) -> u8 {
        self.row().2
    }

    /// What an exporter that did not start says with its exit code; none where the code says too little.
    pub fn of_a_start(exit: u8) -> Option<Self> {
        let telling = [Self::PortBusy, Self::SettingsInvalid, Self::Locked, Self::StoreDamaged];
        telling.into_iter().find(|code| code.exit() == exit)
    }

    /// Whether it says that a signal ended the run.
    pub fn is_a_signal(self) -> bool {
        matches!(self, Self::Interrupted | Self::Terminated)
    }

    fn row(self) -> &'static Row {
        // The table test holds that every code has a row; a missing one reads as the first, "unexpected".
        TABLE.iter().find(|row| row.0 == self).unwrap_or(&TABLE[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_word_stands_once_and_no_error_exits_with_zero() {
        let words: HashSet<_> = TABLE.iter().map(|row| row.1).collect();
        let codes: HashSet<_> = TABLE.iter().map(|row| row.0).collect();
        assert_eq!(words.len(), TABLE.len());
        assert_eq!(codes.len(), TABLE.len());
        assert!(TABLE.iter().all(|row| row.2 != 0));
    }

    #[test]
    fn the_numbers_scripts_rely_on_stay() {
        assert_eq!(Code::Degraded.exit(), 3);
        assert_eq!(Code::PortBusy.exit(), 5);
        assert_eq!(Code::GateFailed.exit(), 20);
        assert_eq!(Code::Interrupted.word(), "interrupted");
    }
}
