//! Plans as users see them: what is there, what is asked for, and the steps between.

use super::*;
use crate::settings::{Published, StackSettings};
use crate::stack::{Names, ObservedGrafana, ObservedImage, ObservedNetwork, ObservedVolume, PickedPort};
use std::collections::BTreeSet;

fn run() -> labels::RunId {
    labels::RunId::new("r")
}

const TAG: &str = "0123456789ab";

fn spec_of(yaml: &str) -> StackSpec {
    StackSpec::new(&serde_yaml::from_str::<StackSettings>(yaml).expect("settings"), TAG)
}

fn spec() -> StackSpec {
    spec_of("{}")
}

/// What is there after an `up` of this spec.
fn running(spec: &StackSpec) -> Observed {
    let names = &spec.names;
    let image = |container: &ContainerSpec| ObservedImage {
        id: format!("sha256:{}", container.service),
        references: vec![container.image.reference().to_owned()],
        labels: if matches!(container.image, ImageSource::Build(_)) { labels::common(names) } else { BTreeMap::new() },
    };
    let container = |container: &ContainerSpec| ObservedContainer {
        id: format!("id-{}", container.service),
        name: names.container(container.service),
        labels: labels::container(&run(), names, container),
        state: State::Running,
        image_id: format!("sha256:{}", container.service),
        image: container.image.reference().to_owned(),
        health: Some("healthy".to_owned()),
        started_at: Some("2026-01-01T00:00:00Z".to_owned()),
        exit_code: None,
        out_of_memory: false,
        error: String::new(),
        restarts: 0,
        networks: BTreeMap::from([(names.network(), "net".to_owned())]),
        volumes: container.mounts.iter().map(|mount| names.volume(mount.part)).collect::<BTreeSet<_>>(),
        ports: vec![container.published],
    };
    let files = spec.containers.iter().flat_map(|container| {
        container.files.iter().map(|file| ((container.service, file.path.clone()), file.contents.clone()))
    });
    Observed {
        containers: spec.containers.iter().map(container).collect(),
        networks: vec![ObservedNetwork {
            id: "net".to_owned(),
            name: names.network(),
            labels: labels::network(&run(), names),
        }],
        volumes: spec
            .volume_parts()
            .into_iter()
            .map(|part| ObservedVolume { name: names.volume(part), labels: labels::volume(&run(), names, part) })
            .collect(),
        images: spec.containers.iter().map(image).collect(),
        files: files.collect(),
        secrets: SecretFile::ALL.into_iter().collect(),
        ..Observed::default()
    }
}

fn lines(plan: &Plan) -> String {
    let lines = plan.steps.iter().map(|step| format!("{} {}: {}", step.action.word(), step.object, step.reason));
    lines.collect::<Vec<_>>().join("\n")
}

fn up(spec: &StackSpec, observed: &Observed) -> String {
    lines(&plan_up(spec, observed).expect("a plan"))
}

#[test]
fn a_fresh_engine_gets_everything() {
    insta::assert_snapshot!(up(&spec(), &Observed::default()));
}

#[test]
fn a_stack_that_is_as_it_should_be_needs_nothing() {
    assert_eq!(up(&spec(), &running(&spec())), "");
}

#[test]
fn a_changed_limit_recreates_only_its_service_and_says_which_key() {
    let observed = running(&spec());
    insta::assert_snapshot!(up(&spec_of("limits: { grafana: { memory: 1GiB } }"), &observed), @"
    remove_container qastack-grafana: memory limit 512 MiB -> 1 GiB: grafana is recreated, its volumes stay
    create_container qastack-grafana: in the place of the one that goes
    ensure_secrets qastack-grafana: made where they are missing
    start qastack-grafana: made anew
    ");
}

#[test]
fn a_changed_scrape_interval_is_a_reload() {
    let observed = running(&spec());
    insta::assert_snapshot!(up(&spec_of("scrape_interval: 30s"), &observed), @"
    put_files qastack-prometheus: changed: /etc/prometheus/prometheus.yml
    reload qastack-prometheus: its configuration changed
    ");
}

#[test]
fn where_the_next_scrape_is_far_away_prometheus_warms_up_again() {
    let spec = spec_of("scrape_interval: 2m");
    let mut observed = running(&spec);
    observed.containers[0].state = State::Exited;
    insta::assert_snapshot!(up(&spec, &observed), @"
    put_files qastack-test-metrics: its configuration
    ensure_secrets qastack-test-metrics: made where they are missing
    start qastack-test-metrics: exited
    put_files qastack-prometheus: warm-up configuration, since the next scrape is far away
    reload qastack-prometheus: its configuration changed
    settle qastack-prometheus: from the warm-up to the configured scrape interval
    ");
    insta::assert_snapshot!(up(&spec, &running(&spec_of("{}"))), @"
    put_files qastack-prometheus: warm-up configuration, since the next scrape is far away
    reload qastack-prometheus: its configuration changed
    settle qastack-prometheus: from the warm-up to the configured scrape interval
    ");
}

#[test]
fn a_changed_figures_setting_is_a_reload_of_the_exporter() {
    let observed = running(&spec());
    insta::assert_snapshot!(up(&spec_of("figures: { flake_window: 7d }"), &observed), @"
    put_files qastack-test-metrics: changed: /etc/qastack/serve.yaml
    reload qastack-test-metrics: its configuration changed
    ");
}

#[test]
fn a_new_release_replaces_the_exporter_and_its_image_and_leaves_the_others() {
    let observed = running(&spec());
    let next = StackSpec::new(&StackSettings::default(), "ba9876543210");
    insta::assert_snapshot!(up(&next, &observed), @"
    build_image qastack-test-metrics:ba9876543210: no image of this executable yet
    remove_container qastack-test-metrics: image qastack-test-metrics:0123456789ab -> qastack-test-metrics:ba9876543210: test-metrics is recreated, its volumes stay
    create_container qastack-test-metrics: in the place of the one that goes
    put_files qastack-test-metrics: its configuration
    ensure_secrets qastack-test-metrics: made where they are missing
    start qastack-test-metrics: made anew
    remove_image qastack-test-metrics:0123456789ab: superseded exporter image
    ");
}

#[test]
fn what_died_is_started_again_and_the_reason_says_how() {
    let mut observed = running(&spec());
    let grafana = observed.containers.iter_mut().find(|c| c.service() == Some(Service::Grafana)).expect("grafana");
    (grafana.state, grafana.exit_code, grafana.out_of_memory) = (State::Exited, Some(137), true);
    let prometheus =
        observed.containers.iter_mut().find(|c| c.service() == Some(Service::Prometheus)).expect("prometheus");
    (prometheus.state, prometheus.error) = (State::Created, "port is already allocated".to_owned());
    insta::assert_snapshot!(up(&spec(), &observed), @"
    put_files qastack-prometheus: warm-up configuration, for the first figures within seconds
    start qastack-prometheus: could not start: port is already allocated
    settle qastack-prometheus: from the warm-up to the configured scrape interval
    ensure_secrets qastack-grafana: made where they are missing
    start qastack-grafana: exited with exit code 137, out of memory
    ");
}

#[test]
fn what_grafana_lacks_and_what_prometheus_did_not_load_are_steps() {
    let mut observed = running(&spec());
    let lacking = vec![("data source qastack-prometheus".to_owned(), "create: missing".to_owned())];
    observed.grafana = Some(ObservedGrafana { lacking, ..ObservedGrafana::default() });
    observed.stale.insert(Service::Prometheus, "scrape_interval 1s -> 15s".to_owned());
    insta::assert_snapshot!(up(&spec(), &observed), @"
    reload qastack-prometheus: scrape_interval 1s -> 15s
    provision data source qastack-prometheus: create: missing
    ");
}

#[test]
fn leftovers_with_our_label_are_removed() {
    let mut observed = running(&spec());
    let mut old = observed.containers[0].clone();
    (old.id, old.name) = ("old".to_owned(), "qastack-exporter".to_owned());
    old.labels.insert(labels::SERVICE.to_owned(), "exporter".to_owned());
    observed.containers.push(old);
    assert_eq!(
        up(&spec(), &observed),
        "remove_container qastack-exporter: left over: no service of this stack runs in it"
    );
}

#[test]
fn nothing_of_others_is_touched_and_the_owner_is_named() {
    let whose = ("com.docker.compose.project".to_owned(), "theirs".to_owned());
    let mut observed = Observed::default();
    let name = spec().names.volume("grafana-data");
    observed.volumes.push(ObservedVolume { name: name.clone(), labels: BTreeMap::from([whose.clone()]) });
    let error = plan_up(&spec(), &observed).expect_err("refused");
    assert_eq!(error.code(), Code::NotOurs);
    assert!(error.message().contains(&name) && error.message().contains("theirs"), "{error}");
    assert!(plan_down("qastack", &observed, KeepOrRemove::Remove).is_empty());
}

#[test]
fn what_up_picked_is_remembered_and_forgotten_by_a_step_of_its_own() {
    let mut wanted = spec_of("ports: { grafana: 3001 }");
    let port = PickedPort { asked: Published::loopback(3000), picked: Published::loopback(3001) };
    wanted.remembered.ports.insert(Service::Grafana, port);
    let mut observed = running(&wanted);
    let remember = "create_volume qastack-remembered: remember: grafana on 127.0.0.1:3001 instead of 127.0.0.1:3000";
    assert_eq!(up(&wanted, &observed), remember);

    let mut labels = labels::volume(&run(), &wanted.names, Remembered::PART);
    labels.extend(wanted.volume_labels(Remembered::PART));
    observed.volumes.push(ObservedVolume { name: wanted.names.volume(Remembered::PART), labels });
    assert_eq!(up(&wanted, &observed), "");

    wanted.remembered.ports.clear();
    assert_eq!(
        up(&wanted, &observed),
        "remove_volume qastack-remembered: not so any more: grafana on 127.0.0.1:3001 instead of 127.0.0.1:3000"
    );
}

#[test]
fn a_password_that_everybody_knows_is_replaced_where_that_is_asked_and_only_then() {
    let mut spec = spec();
    let mut observed = running(&spec);
    observed.kept_password = Some(Secret::new(DEFAULT_PASSWORD));
    assert_eq!(up(&spec, &observed), "");
    spec.generates_password = true;
    assert_eq!(
        up(&spec, &observed),
        "ensure_secrets qastack-grafana: a password of its own in the place of the default one"
    );
    observed.kept_password = Some(Secret::new("not to be guessed"));
    assert_eq!(up(&spec, &observed), "");
}

#[test]
fn a_volume_of_another_project_of_ours_is_named_as_such() {
    let name = spec().names.volume("grafana-data");
    let labels = labels::common(&Names::new("theirs"));
    let observed = Observed { volumes: vec![ObservedVolume { name, labels }], ..Observed::default() };
    let error = plan_up(&spec(), &observed).expect_err("refused");
    assert_eq!(error.code(), Code::NotOurs);
    assert_eq!(error.message(), "the volume qastack-grafana-data is there and belongs to the qastack project theirs");
}

#[test]
fn down_keeps_the_data_unless_it_is_asked_to_go() {
    let observed = running(&spec());
    insta::assert_snapshot!(lines(&plan_down("qastack", &observed, KeepOrRemove::Keep)), @"
    remove_container qastack-test-metrics: runs
    remove_container qastack-prometheus: runs
    remove_container qastack-grafana: runs
    remove_network qastack-network: made by this stack
    ");
    let all = plan_down("qastack", &observed, KeepOrRemove::Remove);
    let volumes = all.steps.iter().filter(|step| matches!(step.action, Action::RemoveVolume(_))).count();
    assert_eq!(volumes, spec().volume_parts().len());
}

#[test]
fn a_compose_project_of_the_same_name_is_not_ours() {
    let mut observed = Observed::default();
    let compose = BTreeMap::from([("com.docker.compose.project".to_owned(), "qastack".to_owned())]);
    observed.volumes.push(ObservedVolume { name: "qastack_data".to_owned(), labels: compose.clone() });
    observed.networks.push(ObservedNetwork { id: "n".to_owned(), name: "qastack_default".to_owned(), labels: compose });
    assert!(plan_down("qastack", &observed, KeepOrRemove::Remove).is_empty());
    assert!(plan_up(&spec(), &observed).is_ok());
}

#[test]
fn grafana_writes_the_address_it_is_published_on_into_its_links() {
    for (port, expected) in [
        ("3001", "http://localhost:3001/"),
        ("0.0.0.0:3001", "http://localhost:3001/"),
        ("192.0.2.7:3001", "http://192.0.2.7:3001/"),
        ("[2001:db8::1]:3001", "http://[2001:db8::1]:3001/"),
    ] {
        let spec = spec_of(&format!("ports: {{ grafana: '{port}' }}"));
        assert_eq!(spec.container(Service::Grafana).environment["GF_SERVER_ROOT_URL"], expected);
    }
}

#[test]
fn the_hash_of_the_foreign_services_stays_from_release_to_release() {
    let spec = spec();
    let hashes = [Service::Prometheus, Service::Grafana].map(|service| spec.container(service).hash());
    insta::assert_snapshot!(hashes.join("\n"));
}

#[test]
fn a_label_that_another_release_wrote_in_another_order_is_no_difference() {
    let spec = spec();
    let mut observed = running(&spec);
    for container in &mut observed.containers {
        let written: serde_json::Value = serde_json::from_str(&container.labels[labels::SPEC]).expect("JSON");
        let keys = written.as_object().expect("an object").iter().rev();
        let reversed: serde_json::Value = keys.map(|(key, value)| (key.clone(), value.clone())).collect();
        assert_ne!(reversed.to_string(), written.to_string());
        assert_eq!(crate::stack::container::hash(&reversed), crate::stack::container::hash(&written));
        container.labels.insert(labels::SPEC.to_owned(), reversed.to_string());
    }
    assert_eq!(up(&spec, &observed), "");
}

#[test]
fn no_secret_is_in_what_a_container_is_made_from() {
    for container in &spec().containers {
        let text = container.canonical().to_string();
        assert!(!text.contains("\"GF_SECURITY_ADMIN_PASSWORD\""), "{text}");
    }
}
