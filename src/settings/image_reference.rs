//! The grammar of image references, so that a misspelt one is refused before anything is touched.

/// `[REGISTRY[:PORT]/]NAME[:TAG][@DIGEST]`, as the engine's own grammar has it.
pub(super) fn is_image_reference(reference: &str) -> bool {
    let (rest, digest) = match reference.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (reference, None),
    };
    let last_slash = rest.rfind('/').map_or(0, |place| place + 1);
    let (path, tag) = match rest[last_slash..].split_once(':') {
        Some((_, tag)) => (&rest[..rest.len() - tag.len() - 1], Some(tag)),
        None => (rest, None),
    };
    let (registry, path) = match path.split_once('/') {
        Some((first, others)) if names_a_registry(path) => (Some(first), others),
        _ => (None, path),
    };
    let is_component = |text: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(text.chars().next())
            && edge(text.chars().next_back())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
    };
    let is_registry = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c));
    let is_tag = |text: &str| {
        (1..=128).contains(&text.len())
            && !text.starts_with(['.', '-'])
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let is_digest = |text: &str| {
        text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()))
    };
    path.split('/').all(is_component)
        && registry.is_none_or(is_registry)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

/// Whether the first part is a registry's address; without one an image is Docker Hub's.
pub(super) fn names_a_registry(reference: &str) -> bool {
    let first = reference.split_once('/').map(|(first, _)| first);
    first.is_some_and(|first| first.contains(['.', ':']) || first == "localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_references_follow_the_engines_grammar() {
        let digest = format!("a/b@sha256:{}", "0".repeat(64));
        for good in
            ["grafana/grafana:12.4.0", "prom", "localhost:5000/a/b:1", "ghcr.io/x/y-z_1:V2", "[::1]:5000/a", &digest]
        {
            assert!(is_image_reference(good), "{good}");
        }
        for bad in ["", "UPPER/case", "a b", "a:", "a:b:c d", "a//b", "-a", "a@sha256:12", ":tag", "no such:image:ref"]
        {
            assert!(!is_image_reference(bad), "{bad}");
        }
    }
}
