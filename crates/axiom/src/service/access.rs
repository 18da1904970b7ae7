//! Who may ask: everyone on this machine, or whoever has the token.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use axum::http::{HeaderMap, StatusCode, header};
use sha2::{Digest as _, Sha256};

/// The environment variable that holds the token.
const VARIABLE: &str = "AXIOM_TOKEN";
/// Shorter tokens can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// Who may ask.
#[derive(Debug)]
pub(super) struct Access {
    /// Of the token, so that comparing takes the same time whatever is sent.
    hash: Option<[u8; 32]>,
}

impl Access {
    /// Everyone, if `token` is `None`.
    pub(super) fn new(token: Option<&str>) -> Self {
        Self { hash: token.map(hash) }
    }

    /// Why a request is refused, if it is.
    pub(super) fn refuse(&self, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
        let Some(expected) = self.hash else {
            // Programs do not send this header. Browsers do, for pages from anywhere.
            return headers
                .contains_key(header::ORIGIN)
                .then_some((StatusCode::FORBIDDEN, "requests of web pages need a token"));
        };
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = sent.and_then(|text| text.strip_prefix("Bearer "));
        if token.is_some_and(|token| hash(token.trim()) == expected) {
            return None;
        }
        let what = "the token is missing or wrong; send `Authorization: Bearer TOKEN`";
        Some((StatusCode::UNAUTHORIZED, what))
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The token: that of the file, or that of the environment.
pub(crate) fn token(file: Option<&std::path::Path>) -> Result<Option<String>> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the token from {}", path.display()))?,
        None => match std::env::var_os(VARIABLE) {
            Some(text) => {
                text.into_string().map_err(|_| anyhow::anyhow!("{VARIABLE} is not UTF-8"))?
            }
            None => return Ok(None),
        },
    };
    let token = text.trim();
    if token.len() < TOKEN_BYTES_MIN || !token.chars().all(|c| c.is_ascii_graphic()) {
        bail!("the token must have at least {TOKEN_BYTES_MIN} visible ASCII characters");
    }
    Ok(Some(token.to_string()))
}

/// Where to listen: `PORT` on this machine alone, or `ADDRESS:PORT`.
///
/// # Errors
/// If the address can be reached from elsewhere and there is no token.
pub(crate) fn address(listen: &str, token: Option<&str>) -> Result<SocketAddr> {
    let address = match listen.parse::<u16>() {
        Ok(port) => SocketAddr::from(([127, 0, 0, 1], port)),
        Err(_) => listen
            .replace("localhost", "127.0.0.1")
            .parse()
            .with_context(|| format!("`{listen}` is neither a port nor ADDRESS:PORT"))?,
    };
    if !address.ip().is_loopback() && token.is_none() {
        bail!(
            "{address} can be reached from other machines, and whoever reaches it runs programs \
             here: give a token with --token-file or {VARIABLE}, or listen on 127.0.0.1"
        );
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(access: &Access, name: header::HeaderName, value: &str) -> Option<u16> {
        let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
        access.refuse(&headers).map(|(status, _)| status.as_u16())
    }

    #[test]
    fn only_the_token_opens() {
        let access = Access::new(Some("0123456789abcdef"));
        assert_eq!(access.refuse(&HeaderMap::new()).unwrap().0, StatusCode::UNAUTHORIZED);
        for wrong in ["Bearer 0123456789abcdeF", "Bearer ", "0123456789abcdef", "Basic x"] {
            assert_eq!(refusal(&access, header::AUTHORIZATION, wrong), Some(401), "{wrong}");
        }
        assert_eq!(refusal(&access, header::AUTHORIZATION, "Bearer 0123456789abcdef"), None);
    }

    #[test]
    fn without_a_token_a_web_page_may_not_ask() {
        let access = Access::new(None);
        assert!(access.refuse(&HeaderMap::new()).is_none());
        assert_eq!(refusal(&access, header::ORIGIN, "https://example.com"), Some(403));
    }

    #[test]
    fn an_address_that_others_reach_needs_a_token() {
        for listen in ["8080", "127.0.0.1:8080", "localhost:8080", "[::1]:8080"] {
            assert!(address(listen, None).unwrap().ip().is_loopback(), "{listen}");
        }
        for listen in ["0.0.0.0:1", "192.168.1.7:1", "[::]:1"] {
            assert!(address(listen, None).unwrap_err().to_string().contains("token"), "{listen}");
            assert!(address(listen, Some("0123456789abcdef")).is_ok());
        }
        for listen in ["", "eighty", "1.2.3.4", "70000", ":80"] {
            assert!(address(listen, None).is_err(), "{listen}");
        }
    }
}
