//! Requests of HTTP. Redirections are followed here, so that a token goes to the server that it is for and to no other.

use std::time::Duration;

use ureq::http::header::ETAG;
use ureq::http::{HeaderMap, HeaderName, Method, Request, Response};
use ureq::{Agent, Body};

use crate::error::FetchError;

const MOST_REDIRECTIONS: usize = 10;

/// The time in which a server has to be reached, and to begin its answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time for one answer's body. A longer file comes in several answers, each from where the last one ended.
const BODY: Duration = Duration::from_secs(15 * 60);

pub(crate) struct Client {
    agent: Agent,
    /// The wait after a failure, which grows with the failures in a row.
    pub(crate) pause: Duration,
}

/// How far redirections are followed.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Follow {
    Everywhere,
    /// To the same server alone.
    Home,
}

impl Client {
    /// A client for an address; servers on this machine are asked without a proxy.
    pub(crate) fn new(url: &str) -> Client {
        let is_local = is_local(url);
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_recv_body(Some(BODY))
            .user_agent(concat!("trickbag/", env!("CARGO_PKG_VERSION")));
        if is_local {
            config = config.proxy(None);
        }
        let pause = if is_local { Duration::ZERO } else { Duration::from_secs(1) };
        Client { agent: config.build().into(), pause }
    }

    /// The answer to a request, after redirections. `etag` and `x-…` of the answers on the way are in it too where the last
    /// one lacks them: a hub says there what a file is.
    pub(crate) fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, String)],
        token: Option<&str>,
        follow: Follow,
    ) -> Result<Response<Body>, FetchError> {
        let home = authority(url).to_owned();
        let (mut at, mut passed) = (url.to_owned(), HeaderMap::new());
        for _ in 0..=MOST_REDIRECTIONS {
            let unreachable = |reason: String| FetchError::Unreachable { url: at.clone(), reason };
            let mut request = Request::builder().method(method.clone()).uri(&at);
            request = request.header("accept-encoding", "identity");
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            if let Some(token) = token.filter(|_| authority(&at) == home) {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let request = request.body(()).map_err(|error| unreachable(error.to_string()))?;
            let mut answer =
                self.agent.run(request).map_err(|error| unreachable(error.to_string()))?;
            let tells = |name: &HeaderName| *name == ETAG || name.as_str().starts_with("x-");
            for (name, value) in answer.headers().iter().filter(|(name, _)| tells(name)) {
                passed.entry(name).or_insert_with(|| value.clone());
            }
            let is_redirection = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let next = is_redirection.then(|| text(answer.headers(), "location")).flatten();
            let next = next.map(|to| joined(&at, to));
            match next {
                Some(next) if follow == Follow::Everywhere || authority(&next) == home => at = next,
                _ => {
                    for (name, value) in &passed {
                        answer.headers_mut().entry(name).or_insert_with(|| value.clone());
                    }
                    return Ok(answer);
                }
            }
        }
        let reason = format!("more than {MOST_REDIRECTIONS} redirections");
        Err(FetchError::Answer { url: url.to_owned(), reason })
    }
}

/// A header as text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Scheme, host and port of an address.
fn authority(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    &url[..end]
}

fn is_local(url: &str) -> bool {
    let authority = authority(url);
    let host = authority.rsplit("://").next().unwrap_or(authority);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

/// The address that a redirection from `at` names.
fn joined(at: &str, to: &str) -> String {
    if to.contains("://") {
        return to.to_owned();
    }
    if to.starts_with('/') {
        return format!("{}{to}", authority(at));
    }
    let folder = at.rfind('/').filter(|&end| end >= authority(at).len());
    format!("{}/{to}", folder.map_or(at, |end| &at[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_and_joined() {
        assert_eq!(authority("https://hub.co/a/b?c"), "https://hub.co");
        assert_eq!(authority("http://127.0.0.1:80"), "http://127.0.0.1:80");
        for (to, expected) in [
            ("/x/y", "https://hub.co/x/y"),
            ("https://cdn.co/z", "https://cdn.co/z"),
            ("y", "https://hub.co/a/y"),
        ] {
            assert_eq!(joined("https://hub.co/a/b", to), expected);
        }
        assert!(is_local("http://127.0.0.1:8000/a") && is_local("http://localhost/a"));
        assert!(!is_local("https://127.example.org.co/a") || is_local("http://127.0.0.9"));
        assert!(!is_local("https://huggingface.co/127."));
    }
}
