//! Logs as lines with the times at which the engine took them in.

use super::failure::Call;
use crate::engine::{LogLine, LogsWanted};
use crate::error::Result;
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

/// Longer lines are given in parts, so that a log without line ends is no reason to hold it all.
const LONGEST_LINE: usize = 1 << 20;

/// The lines of stdout and stderr together.
pub fn lines(docker: &Docker, container: &str, wanted: LogsWanted) -> BoxStream<'static, Result<LogLine>> {
    let since = wanted.since.map_or(0, |at| i32::try_from(at.as_second()).unwrap_or(i32::MAX));
    let tail = wanted.tail.map_or_else(|| "all".to_owned(), |count| count.to_string());
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .follow(wanted.follow)
        .since(since)
        .tail(&tail)
        .build();
    let container = container.to_owned();
    let frames = docker.logs(&container, Some(options));
    let frames = frames.map(move |frame| frame.call(|| format!("read the log of {container}")).map(Some));
    let mut parts = Parts::default();
    // The end of the stream ends the lines that have no end of their own.
    frames
        .chain(stream::once(async { Ok(None) }))
        .flat_map(move |frame| {
            stream::iter(match frame {
                Ok(Some(frame)) => parts.take(frame).into_iter().map(Ok).collect::<Vec<_>>(),
                Ok(None) => parts.rest().into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            })
        })
        .boxed()
}

/// What has come of lines whose end has not, of each of the two streams.
#[derive(Debug, Default)]
struct Parts([Vec<u8>; 2]);

impl Parts {
    fn take(&mut self, frame: LogOutput) -> Vec<LogLine> {
        let part = &mut self.0[usize::from(matches!(frame, LogOutput::StdErr { .. }))];
        part.extend_from_slice(&frame.into_bytes());
        let mut lines = Vec::new();
        while let Some(end) = part.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = part.drain(..=end).collect();
            lines.push(line_of(&line[..end]));
        }
        if part.len() > LONGEST_LINE {
            lines.push(line_of(&std::mem::take(part)));
        }
        lines
    }

    fn rest(&mut self) -> Vec<LogLine> {
        self.0.iter_mut().filter(|part| !part.is_empty()).map(|part| line_of(&std::mem::take(part))).collect()
    }
}

/// A line as the engine gives it: its time, a space, the text.
fn line_of(bytes: &[u8]) -> LogLine {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_suffix('\r').unwrap_or(&text);
    let timed = text.split_once(' ').and_then(|(time, rest)| Some((time.parse().ok()?, rest)));
    match timed {
        Some((at, rest)) => LogLine { at: Some(at), text: rest.to_owned() },
        None => match text.parse() {
            Ok(at) => LogLine { at: Some(at), text: String::new() },
            Err(_) => LogLine { at: None, text: text.to_owned() },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(text: &str) -> LogOutput {
        LogOutput::StdOut { message: text.to_owned().into() }
    }

    #[test]
    fn frames_become_lines_with_their_times() {
        let mut parts = Parts::default();
        let first = parts.take(out("2026-11-24T10:00:00.5Z one\n2026-11-24T10:00:01Z t"));
        assert_eq!(first.len(), 1);
        assert_eq!((first[0].text.as_str(), first[0].at), ("one", "2026-11-24T10:00:00.5Z".parse().ok()));
        let other = LogOutput::StdErr { message: "2026-11-24T10:00:01Z beside\n".into() };
        assert_eq!(parts.take(other)[0].text, "beside", "the streams do not mix");
        let texts: Vec<String> =
            parts.take(out("wo\r\nno time\n2026-11-24T10:00:02Z \nlast")).into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["two", "no time", ""]);
        assert_eq!(parts.rest()[0].text, "last");
        assert!(parts.rest().is_empty());
    }
}
