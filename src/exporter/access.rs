//! Who may do what: tokens, of which only a hash is kept. Who reads may send one as a password, too.
//!
//! Every token is compared as SHA-256 and in constant time. Without a token nothing is taken in; where none is
//! configured at all, the answer says how to configure one. It must never log or answer a token.

use super::problem::Problem;
use crate::store::{Scope, Token};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use std::fmt;
use std::io;
use std::path::Path;
use subtle::ConstantTimeEq;

/// The SHA-256 of a token: all that is ever kept of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// The tokens that open the door.
#[derive(Debug, Clone, Default)]
pub struct Access {
    admin: Option<TokenHash>,
}

/// Shorter tokens can be guessed; 128 bits need 22 characters of base64.
const SHORTEST: usize = 16;

impl Access {
    /// Only the administrator's token, or none at all.
    pub fn new(admin: Option<TokenHash>) -> Self {
        Self { admin }
    }

    /// Whether a request holds a token that is known, whatever it is good for.
    pub fn knows(&self, headers: &HeaderMap, find: impl FnOnce(&TokenHash) -> Option<Token>) -> bool {
        bearer(headers)
            .map(TokenHash::of)
            .is_some_and(|hash| self.admin.is_some_and(|admin| hash.is(&admin)) || find(&hash).is_some())
    }

    /// Whether there is a token that lets things in.
    pub fn has_token(&self) -> bool {
        self.admin.is_some()
    }

    /// Lets the holder of a token pass who may do this, to this project where it is about one.
    ///
    /// # Errors
    /// 401 without a token, with one that is not known, and where none is configured; 403 with one that may not.
    pub fn authorize(
        &self,
        headers: &HeaderMap,
        scope: Scope,
        project: Option<&str>,
        find: impl FnOnce(&TokenHash) -> Option<Token>,
    ) -> Result<Holder, Problem> {
        // A browser sends a password by itself wherever it is led, so that a password may only ever read.
        let secret = bearer(headers)
            .map(str::to_owned)
            .or_else(|| user(headers).map(|(_, password)| password).filter(|_| scope == Scope::Read));
        let Some(secret) = secret else {
            return Err(match (&self.admin, scope) {
                (Some(_), Scope::Read) => refused("a token is needed", scope)
                    .hint("Send Authorization: Bearer TOKEN; in a browser, the token is the password, of any user."),
                (Some(_), _) => refused("a token is needed", scope).hint("Send Authorization: Bearer TOKEN."),
                (None, _) => none_configured(scope),
            });
        };
        let hash = TokenHash::of(&secret);
        if self.admin.is_some_and(|admin| hash.is(&admin)) {
            return Ok(Holder { id: None });
        }
        let Some(token) = find(&hash) else {
            return Err(match self.admin {
                Some(_) => refused("the token is not known", scope),
                None => none_configured(scope),
            });
        };
        // A token for one project may do nothing that is about all of them.
        let covers = project.map_or(token.project.is_none(), |project| token.covers(project));
        if !token.may(scope) || !covers {
            let detail = format!("the token {:?} may not do this", token.name);
            return Err(Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail)
                .hint("Ask an administrator for a token with the scope and the project: qastack token create."));
        }
        Ok(Holder { id: Some(token.id) })
    }
}

/// Who holds the token of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The number of the token in the store; nothing for the administrator's own.
    pub id: Option<i64>,
}

/// A new token: 256 random bits, with a beginning that secret scanners can look for.
///
/// # Errors
/// The system gives no randomness.
pub fn new_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(format!("qastack_{}", URL_SAFE_NO_PAD.encode(bytes)))
}

fn none_configured(scope: Scope) -> Problem {
    let detail = match scope {
        Scope::Read => "no token is configured, and reading needs one from beyond this machine",
        _ => "no token is configured, so nothing is taken in",
    };
    refused(detail, scope).hint("Write a token to a file and name it in admin_token_file or QASTACK_ADMIN_TOKEN_FILE.")
}

fn refused(detail: &str, scope: Scope) -> Problem {
    let challenge = |challenge| (header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    let mut problem = Problem::new(StatusCode::UNAUTHORIZED, "token_refused", detail);
    if scope == Scope::Read {
        // With this a browser asks for a password, and sends it along from then on.
        let (name, value) = challenge("Basic realm=\"qastack\", charset=\"UTF-8\"");
        problem = problem.header(name, value);
    }
    let (name, value) = challenge("Bearer realm=\"qastack\"");
    problem.header(name, value)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The user and the password of a request, where it has them.
pub fn user(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, credentials) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let credentials = STANDARD.decode(credentials.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let credentials = String::from_utf8(credentials).ok()?;
    credentials.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

/// The answer to who is none of the users of the port, and holds no token.
pub fn user_needed() -> Problem {
    let basic = HeaderValue::from_static("Basic realm=\"qastack\", charset=\"UTF-8\"");
    Problem::new(StatusCode::UNAUTHORIZED, "user_needed", "a user's name and password are needed, or a token")
        .header(header::WWW_AUTHENTICATE, basic)
        .hint("The users are those of basic_auth_users in the web configuration.")
}

/// Reads the hash of the token that stands in a file, without the white space around it.
///
/// # Errors
/// The file cannot be read, or holds no usable token.
pub fn hash_of_file(path: &Path) -> io::Result<TokenHash> {
    let text = std::fs::read_to_string(path)?;
    let token = text.trim();
    if token.len() < SHORTEST || token.contains(char::is_whitespace) {
        let reason = format!("it has to hold one token of at least {SHORTEST} characters");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(TokenHash::of(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(access: &Access, authorization: Option<&str>) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        access.authorize(&headers, Scope::Ingest, None, |_| None).err().map(|problem| problem.code())
    }

    #[test]
    fn only_the_token_opens_the_door() {
        let access = Access::new(Some(TokenHash::of("correct horse")));
        assert_eq!(code(&access, Some("Bearer correct horse")), None);
        assert_eq!(code(&access, Some("bearer  correct horse ")), None);
        for wrong in [
            None,
            Some("Bearer"),
            Some("Bearer "),
            Some("Bearer wrong"),
            Some("Basic correct horse"),
            Some("correct horse"),
        ] {
            assert_eq!(code(&access, wrong), Some("token_refused"), "{wrong:?}");
        }
    }

    #[test]
    fn a_password_reads_and_does_nothing_else() {
        let access = Access::new(Some(TokenHash::of("correct horse")));
        let may = |scope, credentials: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(credentials)).parse().unwrap());
            access.authorize(&headers, scope, None, |_| None).is_ok()
        };
        assert!(may(Scope::Read, "anybody:correct horse") && may(Scope::Read, ":correct horse"));
        assert!(!may(Scope::Ingest, "anybody:correct horse") && !may(Scope::Admin, "anybody:correct horse"));
        assert!(!may(Scope::Read, "correct horse:") && !may(Scope::Read, "correct horse"));
        assert!(!may(Scope::Read, "anybody:wrong"));
    }

    fn token(scopes: &[Scope], project: Option<&str>) -> Token {
        Token {
            id: 7,
            name: "ci".to_owned(),
            scopes: scopes.to_vec(),
            project: project.map(str::to_owned),
            created_at: 0,
            last_used_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn a_token_may_what_its_scopes_and_its_project_say() {
        let access = Access::new(Some(TokenHash::of("correct horse")));
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, "Bearer abc".parse().unwrap());
        let may = |token: Token, scope, project| {
            access.authorize(&headers, scope, project, |hash| (*hash == TokenHash::of("abc")).then_some(token)).is_ok()
        };
        assert!(may(token(&[Scope::Ingest], None), Scope::Ingest, Some("web")));
        assert!(!may(token(&[Scope::Ingest], None), Scope::Read, Some("web")));
        assert!(!may(token(&[Scope::Ingest], None), Scope::Admin, None));
        assert!(may(token(&[Scope::Admin], None), Scope::Ingest, Some("web")));
        assert!(may(token(&[Scope::Ingest], Some("web")), Scope::Ingest, Some("web")));
        assert!(!may(token(&[Scope::Ingest], Some("web")), Scope::Ingest, Some("shop")));
        assert!(!may(token(&[Scope::Admin], Some("web")), Scope::Admin, None), "a project's admin makes no tokens");
    }

    #[test]
    fn every_new_secret_is_another_one() {
        let (one, other) = (new_secret().unwrap(), new_secret().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), "qastack_".len() + 43);
    }

    #[test]
    fn without_a_configured_token_every_token_is_refused() {
        assert_eq!(code(&Access::default(), Some("Bearer anything")), Some("token_refused"));
    }

    #[test]
    fn a_token_file_is_read_without_the_white_space_around_the_token() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        assert_eq!(hash_of_file(&path).unwrap(), TokenHash::of("0123456789abcdef"));
        for bad in ["", "\n", "short\n", "two words of enough length"] {
            std::fs::write(&path, bad).unwrap();
            assert!(hash_of_file(&path).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_hash_does_not_show_itself() {
        assert_eq!(format!("{:?}", TokenHash::of("x")), "TokenHash(…)");
    }
}
