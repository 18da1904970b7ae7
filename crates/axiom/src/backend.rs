//! `--backend`: who runs the programs, where it is not this machine.
//!
//! This file speaks HTTP; what is asked and what an answer means is in `verify`'s `remote.rs`.

use std::time::Duration;

use anyhow::{Result, bail};
use ureq::Agent;
use ureq::http::Uri;
use verify::{PostError, Remote};

/// The environment variable that holds the service's token.
const VARIABLE: &str = "AXIOM_BACKEND_TOKEN";
/// What a request may take beyond the time of its program: its way, and the service's queue.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The largest answer, in bytes.
const ANSWER_MAX: u64 = 64 << 20;

/// Reads `http=URL`.
pub(crate) fn parse(text: &str) -> Result<Remote> {
    let Some(("http", url)) = text.split_once('=') else {
        bail!("`--backend {text}`: the only backend is `http=URL`, as in http=http://host:8080");
    };
    let uri: Uri = url.parse().map_err(|e| anyhow::anyhow!("`{url}` is not a URL: {e}"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http"), Some(_)) => {}
        (Some("https"), _) => {
            bail!("`{url}`: https is not built in; go through a proxy on this machine")
        }
        _ => bail!("`{url}` is not the URL of a service, as in http://host:8080"),
    }
    let path = url.trim_end_matches('/').trim_end_matches("/run_code");
    let url = format!("{path}/run_code");
    let token = match std::env::var_os(VARIABLE) {
        Some(token) => {
            Some(token.into_string().map_err(|_| anyhow::anyhow!("{VARIABLE} is not UTF-8"))?)
        }
        None => None,
    };
    let agent = Agent::new_with_config(
        Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .build(),
    );
    let name = url.clone();
    Ok(Remote::new(name, move |body, time| post(&agent, &url, token.as_deref(), (body, time))))
}

fn post(
    agent: &Agent,
    url: &str,
    token: Option<&str>,
    (body, time): (&str, Duration),
) -> Result<Vec<u8>, PostError> {
    let mut request = agent.post(url).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let sent = request.config().timeout_global(Some(time + WAIT_MAX)).build().send(body);
    // Whatever stands in the way of an answer may be gone later.
    let again = |e: ureq::Error| PostError::Again(e.to_string());
    let mut answer = sent.map_err(again)?;
    let status = answer.status();
    let read = answer.body_mut().with_config().limit(ANSWER_MAX).read_to_vec();
    let bytes = read.map_err(again)?;
    if status.is_success() {
        return Ok(bytes);
    }
    let said: String = String::from_utf8_lossy(&bytes).trim().chars().take(200).collect();
    let cause = format!("{url}: status {status}: {said}");
    match status.as_u16() {
        408 | 425 | 429 | 500.. => Err(PostError::Again(cause)),
        _ => Err(PostError::Never(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_backend_is_the_url_of_a_service() {
        for good in ["http=http://host:8080", "http=http://host/run_code", "http=http://h/a/"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for (bad, reason) in [
            ("docker", "the only backend"),
            ("http=https://host", "proxy"),
            ("http=host:80", "not the URL"),
            ("http=", "not a URL"),
        ] {
            let said = parse(bad).unwrap_err().to_string();
            assert!(said.contains(reason), "{bad}: {said}");
        }
    }
}
