//! `POST /verify`: what `axiom verify` reads, and what it writes.
//!
//! The answer has the shape of the request: an object for an object, an array for an array, and
//! lines for lines, in the same order. `Accept: application/x-ndjson` asks for lines whatever
//! was sent, each as soon as its verdict is known and so in any order: the id tells which it is.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::verify::Limits;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_stream::Stream;

use super::queue::{Bench, Work};
use super::{LIMITS_MAX, Service, answer as reply_with, enqueue, refuse, text_of};
use crate::commands::verify;

const LINES: &str = "application/x-ndjson";

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    One,
    Array,
    Lines,
}

pub(super) async fn answer(State(service): State<Arc<Service>>, request: Request) -> Response {
    judge(&service, request).await.unwrap_or_else(|refusal| refusal)
}

async fn judge(service: &Service, request: Request) -> Result<Response, Response> {
    let are_lines = says(request.headers(), &header::CONTENT_TYPE);
    let any_order = says(request.headers(), &header::ACCEPT);
    let body = text_of(request).await?;
    let bad = |what: String| refuse(StatusCode::BAD_REQUEST, &what);
    let (shape, texts) = split(&body, are_lines).map_err(bad)?;
    drop(body);
    let n = texts.len();
    let (reply, inbox) = unbounded_channel();
    let works = texts.into_iter().enumerate().map(|(i, text)| work(i + 1, text)).collect();
    if let Some(refusal) = enqueue(service, works, &reply) {
        return Ok(refusal);
    }
    drop(reply);
    let found = Found { inbox, held: BTreeMap::new(), next: 0, any_order };
    if any_order || shape == Shape::Lines {
        return Ok(([(header::CONTENT_TYPE, LINES)], Body::from_stream(found)).into_response());
    }
    let lines = found.all(n).await;
    Ok(match <[Json; 1]>::try_from(lines) {
        Ok([line]) if shape == Shape::One => {
            let unreadable = line.get("error").is_some();
            let status = if unreadable { StatusCode::BAD_REQUEST } else { StatusCode::OK };
            reply_with(status, &line)
        }
        Ok(lines) => reply_with(StatusCode::OK, &Json::Array(lines.into())),
        Err(lines) => reply_with(StatusCode::OK, &Json::Array(lines)),
    })
}

fn says(headers: &HeaderMap, name: &header::HeaderName) -> bool {
    let values = headers.get_all(name).iter();
    values.filter_map(|value| value.to_str().ok()).any(|value| value.contains(LINES))
}

/// Reading, judging and describing a submission is all done in its slot.
fn work(number: usize, text: String) -> Work {
    Box::new(move |bench: &Bench<'_>| {
        judged(bench, &text).unwrap_or_else(|e| {
            bench.metrics.unreadable();
            verify::unreadable(number, &e)
        })
    })
}

fn judged(bench: &Bench<'_>, text: &str) -> anyhow::Result<Json> {
    let (id, submission) = verify::parse(text)?;
    refuse_beyond(submission.limits)?;
    let found = bench.verifier.judge_in(bench.slot, &submission)?;
    bench.metrics.judged(found.verdict, Duration::from_secs_f64(found.wall_ms.max(0.0) / 1e3));
    Ok(verify::answer(&id, &found))
}

/// A client that leaves keeps a slot for as long as its program runs, so that has a bound.
fn refuse_beyond(mut limits: Limits) -> anyhow::Result<()> {
    let mut most = LIMITS_MAX;
    for ((name, value), (_, most)) in limits.named().into_iter().zip(most.named()) {
        let beyond = *value > *most;
        anyhow::ensure!(!beyond, "`{name}` is {value}; this service allows at most {most}");
    }
    Ok(())
}

/// The submissions of a body. What is malformed is one, too: its answer says so.
fn split(body: &str, are_lines: bool) -> Result<(Shape, Vec<String>), String> {
    let text = body.trim();
    let lines = || text.lines().filter(|line| !line.trim().is_empty()).map(str::to_string);
    if text.is_empty() {
        return Err("the body is empty: send a submission, an array, or one a line".to_string());
    }
    if are_lines {
        return Ok((Shape::Lines, lines().collect()));
    }
    if text.starts_with('[') {
        let items: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|e| format!("the array is not JSON: {e}"))?;
        return match items.len() {
            0 => Err("the array is empty".to_string()),
            _ => Ok((Shape::Array, items.iter().map(|item| item.get().to_string()).collect())),
        };
    }
    if lines().count() == 1 || serde_json::from_str::<&RawValue>(text).is_ok() {
        return Ok((Shape::One, vec![text.to_string()]));
    }
    Ok((Shape::Lines, lines().collect()))
}

/// Answers as they come, in order or not.
struct Found {
    inbox: UnboundedReceiver<(usize, Json)>,
    /// Those that came before their turn.
    held: BTreeMap<usize, Json>,
    next: usize,
    any_order: bool,
}

impl Found {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Json>> {
        loop {
            if let Some(line) = self.held.remove(&self.next) {
                self.next += 1;
                return Poll::Ready(Some(line));
            }
            match std::task::ready!(self.inbox.poll_recv(context)) {
                Some((_, line)) if self.any_order => return Poll::Ready(Some(line)),
                Some((index, line)) => drop(self.held.insert(index, line)),
                None if self.held.is_empty() => return Poll::Ready(None),
                None => drop(self.held.insert(self.next, unanswered())),
            }
        }
    }

    /// All `n` of them in order; what the end of the service left out says so.
    async fn all(mut self, n: usize) -> Vec<Json> {
        let mut lines = Vec::with_capacity(n);
        while let Some(line) = std::future::poll_fn(|context| self.poll(context)).await {
            lines.push(line);
        }
        lines.resize_with(n, unanswered);
        lines
    }
}

fn unanswered() -> Json {
    json!({ "error": "the service ended before this one was judged, or failed at it" })
}

impl Stream for Found {
    type Item = Result<String, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let line = std::task::ready!(self.get_mut().poll(context));
        Poll::Ready(line.map(|line| Ok(format!("{line}\n"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, are_lines: bool, shape: Shape, texts: &[&str]) {
        let found = split(body, are_lines).unwrap();
        assert_eq!(
            (found.0, found.1.iter().map(String::as_str).collect::<Vec<_>>()),
            (shape, texts.to_vec())
        );
    }

    #[test]
    fn a_body_is_an_object_an_array_or_lines() {
        check("{\"a\":\n 1}\n", false, Shape::One, &["{\"a\":\n 1}"]);
        check(" [{\"a\":1}, 2\n]", false, Shape::Array, &["{\"a\":1}", "2"]);
        check("{\"a\":1}\n\n{\"b\":2}\n", false, Shape::Lines, &["{\"a\":1}", "{\"b\":2}"]);
        check("{\"a\":1}\n", true, Shape::Lines, &["{\"a\":1}"]);
        check("[1]\n[2]\n", true, Shape::Lines, &["[1]", "[2]"]);
        check("{\"a\":\n", false, Shape::One, &["{\"a\":"]);
        check("{\"a\":\n{}\n", false, Shape::Lines, &["{\"a\":", "{}"]);
        for body in ["", " \n", "[]", "[1", "[1] 2"] {
            assert!(split(body, false).is_err(), "{body}");
        }
    }

    #[test]
    fn no_body_makes_the_reader_panic() {
        let mut random = ::verify::fuzz::Random(3);
        let one = r#"{"id":1,"program":"f=1","entry_point":"f","limits":{"cpu_ms":9},"tests":[
            {"args":[1,{"$set":[2]}],"expected":{"$int":"7"}},"assert f(1) == {'a': -1}"]}"#;
        let seeds = [one.replace('\n', ""), format!("[{one},{one}]"), format!("{one}\n{one}")];
        for i in 0..20_000 {
            let mut bytes = seeds[i % 3].clone().into_bytes();
            ::verify::fuzz::mutate(&mut bytes, seeds[(i + 1) % 3].as_bytes(), &mut random);
            let body = String::from_utf8_lossy(&bytes);
            let texts = split(&body, i % 2 == 0).map(|(_, texts)| texts).unwrap_or_default();
            for text in texts {
                // Either reading will do.
                let _ = verify::parse(&text);
            }
        }
    }
}
