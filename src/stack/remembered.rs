//! What `up` chose by itself and has to know again: ports that `--auto-port` picked, and that Grafana has a password
//! of its own.
//!
//! It is written as labels of one volume that holds nothing: the engine keeps it without a container and after `down`,
//! and it can be asked for in one call. Labels cannot be changed, so a new choice replaces the volume.

use super::Service;
use super::labels::Labels;
use crate::settings::{Ports, Published};
use std::collections::BTreeMap;

/// A port that was picked in the place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PickedPort {
    /// What the settings asked for.
    pub asked: Published,
    /// What was picked, since that was taken.
    pub picked: Published,
}

/// What `up` chose by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Services that are published elsewhere than the settings ask.
    pub ports: BTreeMap<Service, PickedPort>,
    /// Whether the secrets volume holds a password for Grafana that nobody can guess.
    pub own_password: bool,
}

impl Remembered {
    /// The part of the volume whose labels it is.
    pub const PART: &'static str = "remembered";

    const PORT: &'static str = "dev.qastack.picked-port.";
    const PASSWORD: &'static str = "dev.qastack.grafana-password";
    const OWN: &'static str = "own";

    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As labels.
    pub fn labels(&self) -> Labels {
        let ports = self.ports.iter();
        let mut labels: Labels = ports
            .map(|(service, port)| (format!("{}{service}", Self::PORT), format!("{}={}", port.asked, port.picked)))
            .collect();
        if self.own_password {
            labels.insert(Self::PASSWORD.to_owned(), Self::OWN.to_owned());
        }
        labels
    }

    /// From labels; what cannot be read is not remembered.
    pub fn from_labels(labels: &Labels) -> Self {
        let port = |service: Service| {
            let (asked, picked) = labels.get(&format!("{}{service}", Self::PORT))?.split_once('=')?;
            Some((service, PickedPort { asked: asked.parse().ok()?, picked: picked.parse().ok()? }))
        };
        Self {
            ports: Service::ALL.into_iter().filter_map(port).collect(),
            own_password: labels.get(Self::PASSWORD).is_some_and(|word| word == Self::OWN),
        }
    }

    /// Puts the picked ports in the place of those that the settings ask for. A pick is forgotten where the settings
    /// ask for something else by now, where `named` says that the user named this very port, and where another service
    /// needs it.
    pub fn apply_to(&mut self, ports: &mut Ports, named: &[Service]) {
        let asked = Service::ALL.map(|service| ports.of(service));
        self.ports.retain(|service, port| {
            let taken = Service::ALL.into_iter().any(|other| other != *service && asked[other as usize] == port.picked);
            port.asked == asked[*service as usize] && !named.contains(service) && !taken
        });
        for (service, port) in &self.ports {
            *ports.of_mut(*service) = port.picked;
        }
    }

    /// In words, for the reason of a step.
    pub fn in_words(&self) -> String {
        let ports = self.ports.iter();
        let mut words: Vec<String> =
            ports.map(|(service, port)| format!("{service} on {} instead of {}", port.picked, port.asked)).collect();
        if self.own_password {
            words.push("Grafana has a password of its own".to_owned());
        }
        words.join("; ")
    }
}

impl Ports {
    /// Where a service is published.
    pub fn of(&self, service: Service) -> Published {
        match service {
            Service::TestMetrics => self.test_metrics,
            Service::Prometheus => self.prometheus,
            Service::Grafana => self.grafana,
        }
    }

    /// The same, to change it.
    pub fn of_mut(&mut self, service: Service) -> &mut Published {
        match service {
            Service::TestMetrics => &mut self.test_metrics,
            Service::Prometheus => &mut self.prometheus,
            Service::Grafana => &mut self.grafana,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(service: Service, asked: &str, picked: &str) -> Remembered {
        let port = PickedPort { asked: asked.parse().expect("a port"), picked: picked.parse().expect("a port") };
        Remembered { ports: BTreeMap::from([(service, port)]), own_password: false }
    }

    #[test]
    fn labels_bring_back_what_was_chosen() {
        let mut remembered = picked(Service::Grafana, "3000", "0.0.0.0:3001");
        assert_eq!(Remembered::from_labels(&remembered.labels()), remembered);
        remembered.own_password = true;
        assert_eq!(Remembered::from_labels(&remembered.labels()), remembered);
        assert!(Remembered::from_labels(&Labels::new()).is_empty());
        let broken = Labels::from([(format!("{}grafana", Remembered::PORT), "soon".to_owned())]);
        assert!(Remembered::from_labels(&broken).is_empty());
    }

    #[test]
    fn a_picked_port_stays_while_the_settings_ask_for_the_same() {
        let mut ports = Ports::default();
        picked(Service::Grafana, "3000", "3001").apply_to(&mut ports, &[]);
        assert_eq!(ports.grafana, Published::loopback(3001));
        assert_eq!(ports.prometheus, Ports::default().prometheus);
    }

    #[test]
    fn a_picked_port_is_forgotten_when_the_user_says_otherwise() {
        let wants = |ports: &str| serde_yaml::from_str::<Ports>(ports).expect("ports");
        for (mut ports, named) in [
            (wants("grafana: 3005"), &[][..]),
            (wants("grafana: 3000"), &[Service::Grafana][..]),
            (wants("{ grafana: 3000, prometheus: 3001 }"), &[][..]),
        ] {
            let asked = ports.clone();
            let mut remembered = picked(Service::Grafana, "3000", "3001");
            remembered.apply_to(&mut ports, named);
            assert_eq!(ports, asked);
            assert!(remembered.is_empty());
        }
    }
}
