//! The engine is shared: compose's own commands see the stack, and nothing of a stranger's is ever touched.

use super::docker::{docker, inspect};
use super::stack::{Stack, needed};
use serde_json::Value;
use std::process::Command;

#[test]
fn compose_lists_the_project_and_its_containers() {
    let stack = Stack::new();
    stack.up();
    let projects: Value = serde_json::from_str(&compose(&["ls", "--format", "json"])).expect("JSON from compose ls");
    let project = projects.as_array().expect("projects").iter().find(|project| project["Name"] == stack.project);
    assert_eq!(project.unwrap_or(&Value::Null)["Status"], "running(3)", "{projects:#}");

    let mut services: Vec<String> =
        compose(&["-p", &stack.project, "ps", "--services"]).lines().map(str::to_owned).collect();
    services.sort();
    assert_eq!(services, ["grafana", "prometheus", "test-metrics"]);
}

#[test]
fn a_project_of_the_users_own_with_our_name_loses_nothing_to_down_with_volumes() {
    let stack = Stack::new();
    let theirs = Strangers::new(&stack.project);
    stack.up();
    stack.json(&["down", "--volumes"], 0);
    for name in [&theirs.container, &theirs.network, &theirs.volume] {
        assert!(!inspect(name).is_null(), "{name} is theirs");
    }
}

/// A container, a network and a volume that only compose's label calls by our project's name.
struct Strangers {
    container: String,
    network: String,
    volume: String,
}

impl Strangers {
    fn new(project: &str) -> Self {
        let [container, network, volume] = ["db", "backend", "db-data"].map(|name| format!("{project}-their-{name}"));
        let label = format!("com.docker.compose.project={project}");
        docker(&["volume", "create", "--label", &label, &volume]);
        docker(&["network", "create", "--label", &label, &network]);
        let mount = format!("{volume}:/data");
        let image = needed("QASTACK_TEST_IMAGE_PROMETHEUS");
        docker(&["create", "--name", &container, "--label", &label, "--network", &network, "--volume", &mount, &image]);
        Self { container, network, volume }
    }
}

impl Drop for Strangers {
    fn drop(&mut self) {
        for remove in [
            ["container", "rm", "--volumes", &self.container].as_slice(),
            &["network", "rm", &self.network],
            &["volume", "rm", &self.volume],
        ] {
            let _ = Command::new("docker").args(remove).output();
        }
    }
}

fn compose(arguments: &[&str]) -> String {
    let output = Command::new(needed("QASTACK_COMPOSE")).args(arguments).output().expect("compose runs");
    assert!(output.status.success(), "compose {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
