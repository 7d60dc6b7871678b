use std::fmt;

/// What is known of a server's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Status {
    /// No check has answered yet: it takes no traffic.
    #[default]
    Unknown,
    /// Its checks pass, or it has none.
    Up,
    /// Its checks fail.
    Down,
}

impl Status {
    /// The word in logs, `status` and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Unknown => "unknown",
            Status::Up => "up",
            Status::Down => "down",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// What an administrator wants of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum AdminState {
    /// It serves when its checks pass.
    #[default]
    Ready,
    /// It is checked and finishes what it has, and gets nothing new.
    Drain,
    /// It is neither checked nor given anything.
    Maintenance,
}

impl AdminState {
    /// The word in logs, `status`, the API and the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            AdminState::Ready => "ready",
            AdminState::Drain => "drain",
            AdminState::Maintenance => "maintenance",
        }
    }

    /// The one that leaves a server less.
    #[must_use]
    pub const fn stricter(self, other: AdminState) -> AdminState {
        match (self, other) {
            (AdminState::Maintenance, _) | (_, AdminState::Maintenance) => AdminState::Maintenance,
            (AdminState::Drain, _) | (_, AdminState::Drain) => AdminState::Drain,
            (AdminState::Ready, AdminState::Ready) => AdminState::Ready,
        }
    }

    /// The state that `word` names.
    pub fn from_word(word: &str) -> Option<AdminState> {
        match word {
            "ready" => Some(AdminState::Ready),
            "drain" => Some(AdminState::Drain),
            "maintenance" => Some(AdminState::Maintenance),
            _ => None,
        }
    }
}

impl fmt::Display for AdminState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}
