//! Which call fails, and how.

/// A fault: calls are counted from the moment it is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which calls are counted: those whose `METHOD PATH` contains this; all where it is empty.
    pub on: &'static str,
    /// The call that fails, from 1.
    pub call: usize,
    /// How.
    pub kind: Kind,
    /// Whether every call after it fails too.
    pub for_ever: bool,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The engine answers 500; nothing was done.
    Refused,
    /// The connection is closed; nothing was done.
    Reset,
    /// It was done, and the connection is closed before the answer.
    LostAnswer,
    /// It was done, and the answer breaks off in the middle.
    Half,
    /// The answer says that it was done, in words that are none; nothing was done.
    Garbage,
    /// There is no answer.
    Hang,
}

#[derive(Debug, Default)]
pub struct Faults {
    fault: Option<Fault>,
    calls: usize,
    is_met: bool,
}

impl Faults {
    pub fn order(&mut self, fault: Fault) {
        *self = Self { fault: Some(fault), ..Self::default() };
    }

    pub fn heal(&mut self) -> bool {
        self.fault = None;
        std::mem::take(&mut self.is_met)
    }

    pub fn calls(&self) -> usize {
        self.calls
    }

    /// Counts a call and tells whether it fails.
    pub fn next(&mut self, call: &str) -> Option<Kind> {
        if !call.contains(self.fault.map_or("", |fault| fault.on)) {
            return None;
        }
        self.calls += 1;
        let fault = self.fault?;
        let fails = self.calls == fault.call || fault.for_ever && self.calls > fault.call;
        self.is_met |= fails;
        fails.then_some(fault.kind)
    }
}
