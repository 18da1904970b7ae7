//! `axiom verify --listen`: the verifier for other programs, over HTTP.
//!
//! One thread carries the connections; the slots of the sandbox have a thread each, which take
//! their work from a bounded queue. Nothing of the judging is asynchronous. Not covered: TLS,
//! and clients that open connections without end. Where others can reach the service, put it
//! behind a proxy that does both.

mod access;
mod metrics;
mod queue;
mod run_code;
mod submissions;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use verify::{Limits, Verifier};

use self::access::Access;
pub(crate) use self::access::{address, token};
use self::metrics::{Gauges, Metrics};
use self::queue::{Job, Queue, Refusal, Reply, Work, Workers};

/// A client that sends its body more slowly is cut off.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// What is being judged when the service is told to end has so long.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// What a submission may ask for, and so how long a client that has left can keep a slot.
const LIMITS_MAX: Limits = Limits {
    cpu_ms: 60_000,
    test_cpu_ms: 60_000,
    wall_ms: 120_000,
    idle_ms: 120_000,
    memory_mib: 16 << 10,
    ..Limits::CAPS
};

/// How the service is started.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) address: SocketAddr,
    pub(crate) token: Option<String>,
    /// Submissions that may wait.
    pub(crate) queue: usize,
    /// Bytes of a request.
    pub(crate) body_bytes_max: usize,
}

/// What every request sees.
struct Service {
    verifier: Arc<Verifier>,
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    access: Access,
}

/// Serves until SIGINT or SIGTERM, and then until every answer has been sent. A second signal
/// ends it without the answers.
pub(crate) fn run(verifier: Verifier, options: &Options) -> Result<()> {
    let (verifier, metrics) = (Arc::new(verifier), Arc::new(Metrics::default()));
    let queue = Arc::new(Queue::new(options.queue));
    let workers = Workers::start(&queue, &verifier, &metrics).context("starting the slots")?;
    let access = Access::new(options.token.as_deref());
    let service = Service { verifier, queue: Arc::clone(&queue), metrics, access };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(serve(service, options));
    queue.close();
    drop(runtime);
    workers.join();
    served
}

async fn serve(service: Service, options: &Options) -> Result<()> {
    let address = options.address;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let mut stop = Stop::new()?;
    greet(&service, listener.local_addr()?);
    let routes = routes(Arc::new(service), options.body_bytes_max);
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let stopped = async move {
        // The sender is dropped only with the whole service.
        let _ = told.await;
    };
    let server = axum::serve(listener, routes).with_graceful_shutdown(stopped);
    let mut server = std::pin::pin!(server.into_future());
    tokio::select! {
        ended = &mut server => return ended.context("the service failed"),
        () = stop.wait() => {}
    }
    let _ = tell.send(());
    tokio::select! {
        ended = &mut server => ended.context("the service failed"),
        () = stop.wait() => Ok(()),
        () = tokio::time::sleep(DRAIN_MAX) => Ok(()),
    }
}

#[expect(clippy::print_stderr, reason = "says where it listens")]
fn greet(service: &Service, address: SocketAddr) {
    let facts = service.verifier.facts();
    eprintln!(
        "axiom: listening on http://{address}, sandbox {}, Python {}, {} slots",
        facts.tier, facts.python.version, facts.slots
    );
}

/// The signals that end the service.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn routes(service: Arc<Service>, body_bytes_max: usize) -> Router {
    let guard = middleware::from_fn_with_state(Arc::clone(&service), guard);
    Router::new()
        .route("/verify", post(submissions::answer))
        .route("/run_code", post(run_code::answer))
        .route("/metrics", get(show_metrics))
        .route_layer(guard)
        .route("/health", get(show_health))
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "no such path; see docs/service.md") })
        .with_state(service)
}

async fn guard(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    match service.access.refuse(request.headers()) {
        Some((status, what)) => refuse(status, what),
        None => next.run(request).await,
    }
}

async fn show_health(State(service): State<Arc<Service>>) -> Response {
    let facts = service.verifier.facts();
    let body = json!({
        "status": "ok",
        "sandbox": facts.tier.name(),
        "python": facts.python.version,
        "slots": facts.slots,
    });
    answer(StatusCode::OK, &body)
}

async fn show_metrics(State(service): State<Arc<Service>>) -> Response {
    let gauges = Gauges {
        waiting: service.queue.len(),
        capacity: service.queue.capacity(),
        slots: service.verifier.facts().slots,
        restarts: service.verifier.stats().restarts,
    };
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, service.metrics.text(gauges)).into_response()
}

/// The whole body of a request as text, or the refusal.
async fn text_of(request: Request) -> Result<String, Response> {
    let body = tokio::time::timeout(BODY_TIME_MAX, Bytes::from_request(request, &())).await;
    let bytes = match body {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(e)) => return Err(refuse(e.status(), &e.body_text())),
        Err(_) => return Err(refuse(StatusCode::REQUEST_TIMEOUT, "the body came too slowly")),
    };
    String::from_utf8(bytes.into())
        .map_err(|_| refuse(StatusCode::BAD_REQUEST, "the body is not UTF-8"))
}

/// Puts work into the queue; gives the refusal if it cannot.
fn enqueue(service: &Service, works: Vec<Work>, reply: &Reply) -> Option<Response> {
    let since = std::time::Instant::now();
    let job = |(index, work)| Job { index, work, reply: reply.clone(), since };
    let refusal = service.queue.push(works.into_iter().enumerate().map(job).collect()).err()?;
    service.metrics.refused();
    Some(match refusal {
        Refusal::Full { waiting } => {
            let slots = service.verifier.facts().slots;
            let wait = queue::retry_after(waiting, slots, service.metrics.mean_run());
            let what = "too many submissions wait; try again later, or send fewer at a time";
            let body = refuse(StatusCode::TOO_MANY_REQUESTS, what);
            ([(header::RETRY_AFTER, wait.to_string())], body).into_response()
        }
        Refusal::TooMany { capacity } => {
            let what = format!("more than the {capacity} submissions that may wait at a time");
            refuse(StatusCode::PAYLOAD_TOO_LARGE, &what)
        }
        Refusal::Closed => refuse(StatusCode::SERVICE_UNAVAILABLE, "the service is ending"),
    })
}

fn refuse(status: StatusCode, what: &str) -> Response {
    answer(status, &json!({ "error": what }))
}

fn answer(status: StatusCode, body: &Json) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, format!("{body}\n")).into_response()
}
