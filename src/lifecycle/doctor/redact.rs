//! Takes secrets out of what leaves this machine: those that are known, and whatever is called like one.

use crate::secret::Secret;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

/// What stands where a secret was.
const REMOVED: &str = "(removed)";

/// Words in the name of a variable or a key whose value nobody else should read.
const TELLTALE: [&str; 7] = ["password", "passwd", "secret", "token", "credential", "authorization", "api_key"];

/// Takes out secrets.
#[derive(Debug, Default)]
pub struct Redactor {
    /// Each in every form it may be written in, the longest first.
    known: Vec<Secret>,
    /// The home directory, which tells a person's name.
    home: Option<String>,
}

impl Redactor {
    /// Knows these secrets. A password that everybody knows is none.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>, home: Option<String>) -> Self {
        let mut known: Vec<String> = Vec::new();
        for secret in secrets {
            let text = secret.expose();
            if text.is_empty() || text == "admin" {
                continue;
            }
            let quoted = Value::from(text).to_string();
            let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            known.extend([text.to_owned(), quoted.trim_matches('"').to_owned(), encoded, BASE64_STANDARD.encode(text)]);
        }
        known.sort_by_key(|text| std::cmp::Reverse(text.len()));
        known.dedup();
        Self { known: known.into_iter().map(Secret::new).collect(), home: home.filter(|home| home.len() > 1) }
    }

    /// A text without secrets, without the name of the one whose home it is, and without passwords in addresses.
    pub fn text(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for secret in &self.known {
            clean = clean.replace(secret.expose(), REMOVED);
        }
        if let Some(home) = &self.home {
            clean = clean.replace(home.as_str(), "~");
        }
        clean.lines().map(|line| without_address_password(&without_assignment(line))).collect::<Vec<_>>().join("\n")
    }

    /// A document without secrets: in every text, and whole where the key is called like a secret.
    pub fn json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.json(item)).collect(),
            Value::Object(fields) => {
                let clean = fields.iter().map(|(key, value)| {
                    let hidden = is_telltale(key) && (value.is_string() || value.is_number());
                    (key.clone(), if hidden { Value::from(REMOVED) } else { self.json(value) })
                });
                Value::Object(clean.collect())
            }
            other => other.clone(),
        }
    }
}

/// Whether a name says that its value is a secret; a path to a file with one is none.
fn is_telltale(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    !name.ends_with("file") && TELLTALE.iter().any(|word| name.contains(word))
}

/// `GF_SECURITY_ADMIN_PASSWORD=x`, as in an environment, and `password: x`, as in a log or a settings file.
fn without_assignment(line: &str) -> String {
    for separator in ['=', ':'] {
        let mut rest = line;
        let mut before = 0;
        while let Some(at) = rest.find(separator) {
            let name_begins =
                rest[..at].rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).map_or(0, |i| i + 1);
            let name = &rest[name_begins..at];
            let value = rest[at + 1..].trim_start();
            // `token: ` with nothing behind it, and `a::b`, assign nothing.
            if !name.is_empty() && is_telltale(name) && !value.is_empty() && !value.starts_with(separator) {
                let end = before + at + 1;
                return format!("{}{}{REMOVED}", &line[..end], if separator == ':' { " " } else { "" });
            }
            before += at + 1;
            rest = &rest[at + 1..];
        }
    }
    line.to_owned()
}

/// `https://user:password@host` without the password.
fn without_address_password(line: &str) -> String {
    let Some((before, after)) = line.split_once("://") else { return line.to_owned() };
    let authority_ends = after.find(['/', ' ', '"', '\'']).unwrap_or(after.len());
    let (authority, rest) = after.split_at(authority_ends);
    let authority = match authority.rsplit_once('@') {
        Some((login, host)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:{REMOVED}@{host}"),
            None => authority.to_owned(),
        },
        None => authority.to_owned(),
    };
    format!("{before}://{authority}{}", without_address_password(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_known_secret_is_taken_out_in_every_form_it_may_be_written_in() {
        let secret = Secret::new("p\"ss w/rd");
        let redactor = Redactor::new([&secret, &Secret::new("admin")], Some("/home/ann".to_owned()));
        let text = format!(
            "x p\"ss w/rd y {} z p%22ss+w%2Frd {} administrator",
            r#"p\"ss w/rd"#,
            BASE64_STANDARD.encode("p\"ss w/rd")
        );
        assert_eq!(redactor.text(&text), format!("x {REMOVED} y {REMOVED} z {REMOVED} {REMOVED} administrator"));
        assert_eq!(redactor.text("in /home/ann/x"), "in ~/x");
    }

    #[test]
    fn what_is_called_like_a_secret_goes_even_where_nobody_knows_it() {
        let redactor = Redactor::default();
        let clean = redactor.json(&json!({
            "Env": ["GF_SECURITY_ADMIN_PASSWORD=hunter2", "GF_SECURITY_ADMIN_PASSWORD__FILE=/run/x", "PATH=/bin"],
            "auth_token": "hunter2", "secretKey": "hunter2", "Image": "a/b:1", "tokens": 3, "proxy": "http://me:hunter2@proxy:3128/x",
        }));
        assert!(!clean.to_string().contains("hunter2"), "{clean:#}");
        assert_eq!(clean["Env"][1], "GF_SECURITY_ADMIN_PASSWORD__FILE=/run/x");
        assert_eq!((&clean["Env"][2], &clean["Image"]), (&json!("PATH=/bin"), &json!("a/b:1")));
        assert_eq!(clean["proxy"], "http://me:(removed)@proxy:3128/x");
        assert_eq!(redactor.text("Authorization: Bearer hunter2"), "Authorization: (removed)");
        assert_eq!(redactor.text("a token was made; level=info"), "a token was made; level=info");
    }
}
