//! Images from real registries: with a login, behind a mirror, by digest, broken off, away; and in a file.

use super::docker::docker;
use super::registry::{Breaking, Registry, log_in};
use super::stack::{Finished, Stack, finish, needed};
use serde_json::Value;
use std::process::Command;
use std::sync::atomic::Ordering;

/// An image of its own for each test, since the engine is shared: Prometheus' with a label more.
fn image(stack: &Stack, name: &str) -> String {
    let reference = format!("{}-{name}:1", stack.project);
    let from = needed("QASTACK_TEST_IMAGE_PROMETHEUS");
    let recipe = format!("FROM {from}\nLABEL test={reference}\n");
    let path = stack.directory().join(name);
    std::fs::create_dir_all(&path).expect("a directory");
    std::fs::write(path.join("Dockerfile"), recipe).expect("a file");
    let built = Command::new("docker")
        .env("DOCKER_BUILDKIT", "0")
        .args(["build", "--quiet", "--tag", &reference])
        .arg(&path)
        .output()
        .expect("docker runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    reference
}

/// Forgets images whatever they are called, also while a failing test unwinds.
struct Forget(Vec<String>);

impl Drop for Forget {
    fn drop(&mut self) {
        for reference in &self.0 {
            let _ = Command::new("docker").args(["rmi", "--force", reference]).output();
        }
    }
}

fn with(stack: &Stack, arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
    let mut command = stack.command(arguments);
    command.envs(variables.iter().copied());
    finish(command)
}

#[test]
fn a_private_image_is_pulled_with_the_login_and_without_one_the_error_says_so() {
    let stack = Stack::new();
    let registry = Registry::with_login();
    let local = image(&stack, "private");
    let reference = registry.take(&local, "private/prometheus:1");
    let _forget = Forget(vec![local, reference.clone()]);
    let variables = [("QASTACK_IMAGES__PROMETHEUS", reference.as_str())];

    let refused = with(&stack, &["images", "pull", "--json"], &variables);
    assert_eq!(refused.code, 6, "{refused:#?}");
    let error = refused.envelope()["error"].take();
    assert!(error["message"].as_str().is_some_and(|text| text.contains(&reference)), "{error}");
    assert!(error["hint"].as_str().is_some_and(|text| text.contains("docker login")), "{error}");

    log_in(stack.directory(), &registry.address);
    let home = stack.directory().to_str().expect("text");
    // The password is one that engines misread in the common base64 alphabet.
    let variables = [variables[0], ("DOCKER_CONFIG", home)];
    let pulled = with(&stack, &["up", "--wait", "ready", "--json"], &variables);
    assert_eq!(pulled.code, 0, "{pulled:#?}");
    assert_eq!(stack.inspect("prometheus")["Config"]["Image"], reference.as_str());

    // The same login from a helper program, and a helper that fails is named.
    docker(&["rm", "--force", &stack.container("prometheus")]);
    docker(&["rmi", "--force", &reference]);
    let config = serde_json::json!({ "credHelpers": { registry.address.as_str(): "qastack-test" } });
    std::fs::write(stack.directory().join("config.json"), config.to_string()).expect("a file");
    let helper = stack.directory().join("docker-credential-qastack-test");
    let path = format!("{home}:{}", std::env::var("PATH").expect("a path"));
    let variables = [variables[0], variables[1], ("PATH", path.as_str())];
    executable(&helper, "#!/bin/sh\ncat >/dev/null\necho the keychain is locked >&2\nexit 1\n");
    let refused = with(&stack, &["images", "pull", "--json"], &variables);
    assert_eq!(refused.code, 6, "{refused:#?}");
    assert!(refused.stdout.contains("docker-credential-qastack-test failed: the keychain is locked"), "{refused:#?}");
    let login = serde_json::json!({ "ServerURL": registry.address, "Username": super::registry::LOGIN.0, "Secret": super::registry::LOGIN.1 });
    executable(&helper, &format!("#!/bin/sh\ncat >/dev/null\ncat <<'END'\n{login}\nEND\n"));
    let pulled = with(&stack, &["images", "pull", "--json"], &variables);
    assert_eq!(pulled.code, 0, "{pulled:#?}");
}

fn executable(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
}

#[test]
fn a_mirror_serves_hub_images_a_newer_one_is_brought_when_asked_and_a_registry_that_is_away_is_a_warning() {
    let stack = Stack::new();
    let registry = Registry::open();
    let mirror = registry.address.clone();
    let first = image(&stack, "first");
    let reference = registry.take(&first, "prom/prometheus:v0-test");
    let _forget = Forget(vec![first, reference.clone()]);
    let variables =
        [("QASTACK_IMAGES__PROMETHEUS", "prom/prometheus:v0-test"), ("QASTACK_IMAGES__MIRROR", mirror.as_str())];
    let grafana = registry.take(&needed("QASTACK_TEST_IMAGE_GRAFANA"), &needed("QASTACK_TEST_IMAGE_GRAFANA"));
    let _forget_too = Forget(vec![grafana]);

    let never = with(&stack, &["up", "--pull", "never", "--json"], &variables);
    assert_eq!(never.code, 6, "{never:#?}");
    assert!(
        never.envelope()["error"]["message"].as_str().is_some_and(|text| text.contains("nothing is to be pulled")),
        "{never:#?}"
    );
    assert_eq!(super::docker::objects_of(&stack.project), [""; 0]);

    let up = with(&stack, &["up", "--json"], &variables);
    assert_eq!(up.code, 0, "{up:#?}");
    let before = stack.inspect("prometheus");
    assert_eq!(before["Config"]["Image"], reference.as_str());

    // The name is given to another image: only asked for each time it is noticed, and the service runs it then.
    let second = image(&stack, "second");
    let tagged = Forget(vec![second.clone()]);
    docker(&["tag", &second, &reference]);
    docker(&["push", "--quiet", &reference]);
    docker(&["tag", before["Image"].as_str().expect("an id"), &reference]);
    assert_eq!(with(&stack, &["up", "--json"], &variables).envelope()["data"]["steps"], serde_json::json!([]));
    let always = with(&stack, &["up", "--pull", "always", "--json"], &variables);
    assert_eq!(always.code, 0, "{always:#?}");
    let steps = always.envelope()["data"]["steps"].take();
    assert_eq!(steps[0]["action"], "pull_image", "{steps:#}");
    assert_ne!(stack.inspect("prometheus")["Image"], before["Image"]);
    drop(tagged);

    drop(registry);
    let offline = with(&stack, &["up", "--pull", "always", "--json"], &variables);
    assert_eq!(offline.code, 0, "what is there is used: {offline:#?}");
    let warnings = offline.envelope()["warnings"].to_string();
    assert!(warnings.contains("the image that is here is used") && warnings.contains(&reference), "{warnings}");
    assert_eq!(offline.envelope()["data"]["steps"], serde_json::json!([]), "nothing changed");
}

#[test]
fn a_layer_that_breaks_off_is_got_again_and_progress_never_goes_back() {
    let stack = Stack::new();
    let registry = Registry::open();
    let local = image(&stack, "broken");
    let reference = registry.take(&local, "prometheus:broken");
    let proxy = Breaking::before(&registry, 256 << 10, 1);
    let through = reference.replace(&registry.address, &proxy.address);
    // What the engine has already it does not fetch again: a layer of its own makes it fetch.
    let fresh = fresh_layer(&stack, &registry, "fresh:1").replace(&registry.address, &proxy.address);
    let _forget = Forget(vec![local, reference, through, fresh.clone()]);

    let finished = with(&stack, &["images", "pull"], &[("QASTACK_IMAGES__PROMETHEUS", &fresh)]);
    assert_eq!(finished.code, 0, "{finished:#?}");
    assert_eq!(proxy.broken.load(Ordering::SeqCst), 1, "an answer was broken off");
    let percents: Vec<u8> = finished
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("prometheus: pull ")?.strip_suffix(" %")?.rsplit(' ').next()?.parse().ok())
        .collect();
    assert!(
        !percents.is_empty() && percents.is_sorted() && percents.last() == Some(&100),
        "{percents:?}: {finished:#?}"
    );

    // By its digest it is one image for ever.
    let list = stack_images(&with(&stack, &["images", "list", "--json"], &[("QASTACK_IMAGES__PROMETHEUS", &fresh)]));
    let digest = list["digests"][0].as_str().expect("a digest").to_owned();
    docker(&["rmi", &fresh]);
    let by_digest = [("QASTACK_IMAGES__PROMETHEUS", digest.as_str())];
    assert_eq!(with(&stack, &["images", "pull", "--json"], &by_digest).code, 0);
    let pinned = stack_images(&with(&stack, &["images", "list", "--json"], &by_digest));
    assert_eq!((&pinned["present"], &pinned["id"]), (&Value::Bool(true), &list["id"]));
    let refused = with(&stack, &["images", "save", "x.tar", "--json"], &by_digest);
    assert_eq!(refused.code, 6, "{refused:#?}");
    docker(&["rmi", &digest]);
}

fn stack_images(finished: &Finished) -> Value {
    let images = finished.envelope()["data"]["images"].take();
    images
        .as_array()
        .expect("images")
        .iter()
        .find(|image| image["service"] == "prometheus")
        .expect("prometheus")
        .clone()
}

/// Pushes an image of a few random mebibytes, which no engine has yet, and forgets it here.
fn fresh_layer(stack: &Stack, registry: &Registry, name: &str) -> String {
    let path = stack.directory().join("layer");
    let mut bytes = vec![0_u8; 4 << 20];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").expect("random bytes"), &mut bytes)
        .expect("bytes");
    std::fs::write(&path, bytes).expect("a file");
    let local = format!("{}-fresh:1", stack.project);
    let tar = stack.directory().join("layer.tar");
    let packed = Command::new("tar").arg("-C").arg(stack.directory()).arg("-cf").arg(&tar).arg("layer").status();
    assert!(packed.expect("tar runs").success());
    docker(&["import", tar.to_str().expect("text"), &local]);
    let reference = registry.take(&local, name);
    docker(&["rmi", &local]);
    reference
}

#[test]
fn one_file_carries_the_images_to_an_engine_that_has_none() {
    let stack = Stack::new();
    let local = image(&stack, "carried");
    let _forget = Forget(vec![local.clone()]);
    let variables = [("QASTACK_IMAGES__PROMETHEUS", local.as_str())];
    let saved = with(&stack, &["images", "save", "stack.tar", "--json"], &variables);
    assert_eq!(saved.code, 0, "{saved:#?}");
    let id = saved.envelope()["data"]["images"][0]["id"].clone();
    let file = stack.directory().join("stack.tar");
    let whole = std::fs::read(&file).expect("the file");

    docker(&["rmi", &local]);
    let mut damaged = whole.clone();
    let middle = damaged.len() - (1 << 20);
    damaged[middle] ^= 1;
    std::fs::write(&file, &damaged).expect("a file");
    let refused = with(&stack, &["images", "load", "stack.tar", "--json"], &variables);
    assert_eq!(refused.code, 6, "{refused:#?}");
    assert!(
        refused.envelope()["error"]["message"].as_str().is_some_and(|text| text.contains("damaged")),
        "{refused:#?}"
    );
    assert_eq!(stack_images(&with(&stack, &["images", "list", "--json"], &variables))["present"], false);

    std::fs::write(&file, &whole).expect("a file");
    let loaded = with(&stack, &["images", "load", "stack.tar", "--json"], &variables);
    assert_eq!(loaded.code, 0, "{loaded:#?}");
    let there = stack_images(&with(&stack, &["images", "list", "--json"], &variables));
    assert_eq!((&there["present"], &there["id"]), (&Value::Bool(true), &id));
    let up = with(&stack, &["up", "--pull", "never", "--wait", "ready", "--json"], &variables);
    assert_eq!(up.code, 0, "{up:#?}");
}
