//! A form with many files (`multipart/form-data`, RFC 7578), taken apart in memory.
//!
//! It must never know what the files mean: the part `meta` is handed on as it is, every other part is a file.

use super::problem::Problem;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use std::convert::Infallible;

/// Files that one upload may have. A build tool writes one for each class of tests.
const MOST_FILES: usize = 5_000;

/// Bytes that are taken apart at once.
const PIECE: usize = 64 * 1024;

/// A name that is shown is kept short.
const LONGEST_NAME: usize = 200;

/// A file of a form.
#[derive(Debug)]
pub struct FormFile {
    /// The name it was sent under, or the name of its field.
    pub name: String,
    /// Its bytes as sent.
    pub bytes: Bytes,
}

/// The boundary between the parts, where the body is a form.
///
/// # Errors
/// 400 for a form that names none.
pub fn boundary(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let is_form = media.get(..19).is_some_and(|begin| begin.eq_ignore_ascii_case("multipart/form-data"));
    if !is_form {
        return Ok(None);
    }
    multer::parse_boundary(media).map(Some).map_err(|_| malformed("its Content-Type names no boundary"))
}

/// Takes a form apart, and hands each file on as soon as it is whole. Returns the part `meta`, if there is one.
/// The body is there already, so this waits for nothing.
///
/// # Errors
/// 400 for what is no form, and for one without files; 413 for one with too many; what `take` says.
pub async fn take_apart<E: From<Problem>>(
    body: &Bytes,
    boundary: &str,
    mut take: impl FnMut(FormFile) -> Result<(), E>,
) -> Result<Option<Bytes>, E> {
    // In pieces, so that no more than the largest part is there twice.
    let pieces = (0..body.len()).step_by(PIECE).map(|from| body.slice(from..body.len().min(from + PIECE)));
    let mut parts = multer::Multipart::new(futures_util::stream::iter(pieces.map(Ok::<_, Infallible>)), boundary);
    let (mut meta, mut files) = (None, 0);
    while let Some(part) = parts.next_field().await.map_err(unreadable)? {
        let field = part.name().unwrap_or_default().to_owned();
        let name = part.file_name().filter(|name| !name.is_empty()).unwrap_or(&field);
        let name: String = name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
        let bytes = part.bytes().await.map_err(unreadable)?;
        if field == "meta" {
            if meta.replace(bytes).is_some() {
                return Err(malformed("it has more than one part named meta").into());
            }
            continue;
        }
        files += 1;
        if files > MOST_FILES {
            let detail = format!("the form has more than {MOST_FILES} files");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_files", detail)
                .hint("Send them in several uploads.")
                .into());
        }
        take(FormFile { name, bytes })?;
    }
    match files {
        0 => Err(malformed("it has no file").into()),
        _ => Ok(meta),
    }
}

fn unreadable(error: multer::Error) -> Problem {
    malformed(&error.to_string())
}

fn malformed(what: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "form_invalid", format!("the form cannot be used: {what}"))
        .hint("Send each report as a part of its own, as curl -F report=@junit.xml does.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "--x\r\nContent-Disposition: form-data; name=\"meta\"\r\n\r\n{}\r\n--x\r\n\
        Content-Disposition: form-data; name=\"report\"; filename=\"a.xml\"\r\nContent-Type: text/xml\r\n\r\n\
        one\r\n--\r\n\r\n--x\r\nContent-Disposition: form-data; name=\"report\"\r\n\r\ntwo\r\n--x--\r\n";

    async fn form(body: &'static str) -> Result<(Option<Bytes>, Vec<FormFile>), &'static str> {
        let mut files = Vec::new();
        let take = |file| {
            files.push(file);
            Ok::<_, Problem>(())
        };
        let meta = take_apart(&Bytes::from(body), "x", take).await.map_err(|problem| problem.code())?;
        Ok((meta, files))
    }

    #[tokio::test]
    async fn the_meta_part_and_the_files_are_told_apart() {
        let (meta, files) = form(BODY).await.unwrap();
        assert_eq!(meta.as_deref(), Some(&b"{}"[..]));
        let files: Vec<_> = files.iter().map(|file| (file.name.as_str(), &file.bytes[..])).collect();
        assert_eq!(files, [("a.xml", &b"one\r\n--\r\n"[..]), ("report", b"two")]);
    }

    #[tokio::test]
    async fn what_is_no_whole_form_is_refused() {
        let cut = BODY.strip_suffix("--x--\r\n").unwrap();
        let only_meta = "--x\r\nContent-Disposition: form-data; name=\"meta\"\r\n\r\n{}\r\n--x--\r\n";
        for body in ["", "hello", "--x--\r\n", only_meta, cut] {
            assert_eq!(form(body).await.unwrap_err(), "form_invalid", "{body:?}");
        }
    }

    #[test]
    fn a_form_says_what_stands_between_its_parts() {
        let boundary = |media: &str| {
            let headers = [(header::CONTENT_TYPE, media.parse().unwrap())].into_iter().collect();
            boundary(&headers).map_err(|problem| problem.code())
        };
        assert_eq!(boundary("Multipart/Form-Data; boundary=abc").unwrap().as_deref(), Some("abc"));
        assert_eq!(boundary("multipart/form-data; boundary=\"a b\"").unwrap().as_deref(), Some("a b"));
        assert_eq!(boundary("text/xml").unwrap(), None);
        assert_eq!(boundary("multipart/form-data").unwrap_err(), "form_invalid");
    }
}
