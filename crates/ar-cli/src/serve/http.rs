//! Requests and answers: routes, who may ask, and how much at a time.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body as Stream, Bytes, HttpBody};
use axum::extract::{MatchedPath, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Frame, SizeHint};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use utoipa::{OpenApi, ToSchema};

use super::body::{Answer, Body, spooled};
use super::classify::{self, ClassifyAnswer, ClassifyRequest};
use super::complete::{self, CompleteAnswer, CompleteRequest};
use super::conditional::{self, ConditionalAnswer, ConditionalRequest};
use super::fault::{ErrorBody, Fault};
use super::limits::Limits;
use super::metrics::Metrics;
use super::page;
use super::queue::Queue;
use super::sample::{self, SampleAnswer, SampleRequest};
use super::score::{self, ScoreAnswer, ScoreHow, ScoreRequest};
use super::served::{Description, Examples, Sees, Served, Summary};
use crate::error::nearest;
use crate::host;

/// What answers.
pub(crate) struct Service {
    pub(crate) models: Vec<Arc<Served>>,
    pub(crate) limits: Limits,
    /// Of rows to score, and of all else.
    pub(crate) scores: Queue,
    pub(crate) walks: Queue,
    /// Bytes of bodies and of answers that may be in memory.
    pub(crate) bytes: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
    /// SHA-256 of the token, if one is asked for.
    pub(crate) token: Option<[u8; 32]>,
    /// Names that a request may call this server by; any where there are none.
    pub(crate) hosts: Vec<String>,
    /// The origin whose pages may ask, besides our own.
    pub(crate) origin: Option<HeaderValue>,
    pub(crate) is_ending: AtomicBool,
}

/// What the content of answers is.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "chainrule serve",
        description = "Exact log-likelihoods of autoregressive models: score, complete, draw, classify. Numbers are those of the \
                       commands of the same names, to the bit. Nats throughout.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        models,
        model,
        examples,
        sees,
        score_rows,
        complete_rows,
        sample_rows,
        conditional_of_row,
        classify_rows,
        healthz,
        metrics
    ),
    components(schemas(
        Models,
        Summary,
        Description,
        Examples,
        Sees,
        ScoreRequest,
        ScoreAnswer,
        CompleteRequest,
        CompleteAnswer,
        SampleRequest,
        SampleAnswer,
        ConditionalRequest,
        ConditionalAnswer,
        ClassifyRequest,
        ClassifyAnswer,
        ErrorBody
    ))
)]
struct Document;

type Shared = State<Arc<Service>>;

/// All routes.
pub(crate) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/", get(|| asset(Path("index.html".to_owned()))))
        .route("/page/{file}", get(asset))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .route("/v1/openapi.json", get(openapi))
        .route("/v1/models", get(models))
        .route("/v1/models/{name}", get(model))
        .route("/v1/models/{name}/examples", get(examples))
        .route("/v1/models/{name}/sees", get(sees))
        .route("/v1/models/{name}/score", post(score_rows))
        .route("/v1/models/{name}/complete", post(complete_rows))
        .route("/v1/models/{name}/sample", post(sample_rows))
        .route("/v1/models/{name}/conditional", post(conditional_of_row))
        .route("/v1/models/{name}/classify", post(classify_rows))
        .fallback(async || not_there(StatusCode::NOT_FOUND, "no such address"))
        .method_not_allowed_fallback(async || {
            not_there(StatusCode::METHOD_NOT_ALLOWED, "the address is not asked this way")
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&service), guard))
        .with_state(service)
}

fn not_there(status: StatusCode, message: &str) -> Fault {
    Fault::new(status, "request", message, "GET /v1/openapi.json lists what there is")
}

/// Of a body that is too large so much is read, and for so long, before that is said.
const DRAINED: usize = 64 << 20;
const DRAIN: Duration = Duration::from_secs(3);

/// What every page and answer says a browser may do with it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Lets those in who may ask, and notes what they asked.
async fn guard(State(service): Shared, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "other".to_owned());
    let method = request.method().clone();
    let origin = service.allowed(request.headers());
    let mut response = match service.admits(request.uri().path(), &method, request.headers()) {
        Err(fault) => fault.into_response(),
        Ok(()) if method == Method::OPTIONS && origin.is_some() => {
            let mut response = StatusCode::NO_CONTENT.into_response();
            let headers = response.headers_mut();
            let allowed = [
                (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
                (header::ACCESS_CONTROL_MAX_AGE, "600"),
            ];
            headers.extend(allowed.map(|(name, value)| (name, HeaderValue::from_static(value))));
            response
        }
        Ok(()) => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
    let (status, took) = (response.status().as_u16(), start.elapsed());
    service.metrics.answered(&route, status, took);
    // What is in the rows is nobody's business.
    tracing::info!(%method, route, status, milliseconds = took.as_secs_f64() * 1e3);
    response
}

impl Service {
    /// Whether a request may be answered.
    ///
    /// # Errors
    /// When it is for another server, nobody is let in any more, or it does not know the token.
    fn admits(&self, path: &str, method: &Method, headers: &HeaderMap) -> Result<(), Fault> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let is_ours = |host: &str| {
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            self.hosts.iter().any(|own| own.eq_ignore_ascii_case(name) || own == host)
        };
        if !self.hosts.is_empty() && !host.is_some_and(is_ours) {
            // A page of another site may have its name point at this machine.
            return Err(Fault::new(
                StatusCode::MISDIRECTED_REQUEST,
                "request",
                "asked for under a name that is not this machine's",
                "ask for it as localhost, or bind another address",
            ));
        }
        if !is_text(path) {
            return Err(not_there(StatusCode::NOT_FOUND, "no such address"));
        }
        if self.is_ending.load(Ordering::Relaxed) {
            return Err(Fault::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "the server is ending",
                "ask another one",
            ));
        }
        let is_open = !path.starts_with("/v1/") && path != "/metrics" || method == Method::OPTIONS;
        match &self.token {
            Some(token) if !is_open && !knows(headers, token) => Err(Fault::new(
                StatusCode::UNAUTHORIZED,
                "token",
                "not the token of this server",
                "send it as `Authorization: Bearer TOKEN`",
            )),
            _ => Ok(()),
        }
    }

    /// The request's origin, if it is the one that was named.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        self.origin.clone().filter(|own| own == origin)
    }

    fn find(&self, name: &str) -> Result<Arc<Served>, Fault> {
        let found = self.models.iter().find(|model| model.name == name);
        found.cloned().ok_or_else(|| {
            let names = self.models.iter().map(|model| model.name.as_str());
            let hint = match nearest(name, names.clone()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
            };
            Fault::new(StatusCode::NOT_FOUND, "run", format!("no run {name:?}"), hint)
        })
    }

    /// The body of a request, as it arrives, and what stands for it in memory.
    async fn body(&self, request: Request) -> Result<(Body, OwnedSemaphorePermit), Fault> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let most = self.limits.body;
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let too_large = || {
            Fault::too_large(
                format!("a body of more than {most} bytes"),
                "send the rows in several requests; --max-body says how much is taken",
            )
        };
        if length.is_some_and(|length| length > most) {
            // A client that is still sending would not hear it.
            let mut left = DRAINED;
            let drain = async {
                let mut stream = request.into_body();
                while let Some(Ok(frame)) = stream.frame().await {
                    left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                    if left == 0 {
                        break;
                    }
                }
            };
            let _ = tokio::time::timeout(DRAIN, drain).await;
            return Err(too_large());
        }
        let mut permit = self.reserve(0)?;
        let mut bytes = Vec::new();
        let mut stream = request.into_body();
        let read = async {
            while let Some(frame) = stream.frame().await {
                let gone = |_| {
                    Fault::new(
                        StatusCode::BAD_REQUEST,
                        "request",
                        "the body ends early",
                        "send all of it",
                    )
                };
                let Ok(data) = frame.map_err(gone)?.into_data() else { continue };
                if (bytes.len() + data.len()) as u64 > most {
                    return Err(too_large());
                }
                permit.merge(self.reserve(data.len())?);
                bytes.extend_from_slice(&data);
            }
            Ok(())
        };
        self.in_time(read).await??;
        let body = match kind.as_str() {
            "application/json" => Body::Json(bytes),
            "text/csv" => Body::Csv(bytes),
            "application/vnd.apache.arrow.stream" => Body::Arrow(spooled(&bytes, &self.limits)?),
            _ => {
                return Err(Fault::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "request",
                    format!("content-type {kind:?}"),
                    "send application/json; /score also takes text/csv and application/vnd.apache.arrow.stream",
                ));
            }
        };
        Ok((body, permit))
    }

    /// Room for so many bytes of a body or an answer.
    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Fault> {
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.bytes).try_acquire_many_owned(permits);
        permit.map_err(|_| Fault::busy("as many bytes of requests are in memory as may"))
    }

    /// What `f` comes to, if it does so in time.
    async fn in_time<T>(&self, f: impl Future<Output = T>) -> Result<T, Fault> {
        tokio::time::timeout(self.limits.time, f).await.map_err(|_| self.too_late())
    }

    /// 408.
    fn too_late(&self) -> Fault {
        Fault::new(
            StatusCode::REQUEST_TIMEOUT,
            "limit",
            format!("not done after {} s", self.limits.time.as_secs()),
            "ask for less at a time; --timeout says how long a request may take",
        )
    }

    /// What `work` makes of a request's body, in its turn.
    async fn ask<T: Answer>(
        self: Arc<Self>,
        queue: fn(&Self) -> &Queue,
        name: &str,
        request: Request,
        work: impl FnOnce(&Served, Body, &Limits) -> Result<T, Fault> + Send + 'static,
    ) -> Result<Response, Fault> {
        // Read first: a client that is still sending hears nothing.
        let body = self.body(request).await;
        let served = self.find(name)?;
        let (body, permit) = body?;
        let answered = self.turn(queue, move |service| {
            let answer = work(&served, body, &service.limits)?;
            service.metrics.rows.inc_by(answer.rows() as u64);
            drop(permit);
            serde_json::to_vec(&answer).map_err(|_| Fault::internal("an answer is no JSON"))
        });
        let bytes = answered.await?;
        let permit = self.reserve(bytes.len())?;
        Ok(json_body(Stream::new(Held { bytes: Full::from(bytes), _permit: permit })))
    }

    /// Runs `work` when it is its turn, unless nobody waits for it any more.
    async fn turn<T: Send + 'static>(
        self: &Arc<Self>,
        queue: fn(&Self) -> &Queue,
        work: impl FnOnce(&Self) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (answer, answered) = oneshot::channel();
        let service = Arc::clone(self);
        self.metrics.queue.inc();
        let answer = Arc::new(answer);
        let job = move || {
            if !answer.is_closed() {
                // Work in many steps is dropped where its time is over, or the one who asked has gone.
                let asked = Arc::clone(&answer);
                let outcome = host::while_wanted(move || !asked.is_closed(), || work(&service));
                let outcome = match outcome {
                    Ok(Some(outcome)) => outcome,
                    Ok(None) => Err(service.too_late()),
                    Err(words) => Err(Fault::internal(format!("internal error: {words}"))),
                };
                // Nobody may be there to hear it.
                let _ = Arc::into_inner(answer).map(|answer| answer.send(outcome));
            }
            service.metrics.queue.dec();
        };
        if let Err(fault) = queue(self).push(Box::new(job)) {
            self.metrics.queue.dec();
            return Err(fault);
        }
        let outcome = self.in_time(answered).await?;
        outcome.map_err(|_| Fault::internal("a request was lost"))?
    }
}

/// Whether a path is UTF-8 when its `%xx` are bytes.
fn is_text(path: &str) -> bool {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        match (first, tail.get(..2).and_then(hex)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    std::str::from_utf8(&bytes).is_ok()
}

/// Whether a request knows the token: hashes are compared, whose every byte is looked at whatever the others are.
fn knows(headers: &HeaderMap, token: &[u8; 32]) -> bool {
    let given = headers.get(header::AUTHORIZATION).map_or(&[][..], HeaderValue::as_bytes);
    let is_bearer = given.len() > 7 && given[..7].eq_ignore_ascii_case(b"bearer ");
    let given: [u8; 32] = Sha256::digest(given.get(7..).unwrap_or_default()).into();
    bool::from(given.ct_eq(token)) && is_bearer
}

fn json(bytes: Vec<u8>) -> Response {
    json_body(Stream::from(bytes))
}

fn json_body(body: Stream) -> Response {
    let mut response = Response::new(body);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn json_of(value: &impl Serialize) -> Result<Response, Fault> {
    serde_json::to_vec(value).map(json).map_err(|_| Fault::internal("an answer is no JSON"))
}

async fn asset(Path(name): Path<String>) -> Result<Response, Fault> {
    let Some(asset) = page::asset(&name) else {
        let hint = "the page is at /";
        return Err(Fault::new(StatusCode::NOT_FOUND, "request", "no such file", hint));
    };
    let mut response = Response::new(Stream::from(asset.content));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    Ok(response)
}

/// An answer that counts among the bytes in memory until it is sent.
struct Held {
    bytes: Full<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.bytes).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes.size_hint()
    }
}

/// Whether the server is there.
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = String, content_type = "text/plain")))]
async fn healthz() -> &'static str {
    "ok\n"
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What has been asked and how long it took, in the text format of OpenMetrics.
#[utoipa::path(get, path = "/metrics", responses(
    (status = 200, body = String, content_type = "application/openmetrics-text"), (status = 401, body = ErrorBody)))]
async fn metrics(State(service): Shared) -> Response {
    let mut response = Response::new(Stream::from(service.metrics.text()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
    response
}

async fn openapi() -> Result<Response, Fault> {
    json_of(&Document::openapi())
}

/// The runs that are served.
#[derive(Serialize, ToSchema)]
struct Models {
    models: Vec<Summary>,
}

/// The runs that are served.
#[utoipa::path(get, path = "/v1/models", responses((status = 200, body = Models), (status = 401, body = ErrorBody)))]
async fn models(State(service): Shared) -> Result<Response, Fault> {
    let models = service.models.iter().map(|model| model.summary()).collect();
    json_of(&Models { models })
}

/// What a run is: its model, its columns, what its rows are ranked among.
#[utoipa::path(get, path = "/v1/models/{name}", params(("name" = String, Path)), responses(
    (status = 200, body = Description), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn model(State(service): Shared, Path(name): Path<String>) -> Result<Response, Fault> {
    json_of(&service.find(&name)?.description())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HowMany {
    #[serde(default = "twelve")]
    count: usize,
}

fn twelve() -> usize {
    12
}

/// What a query says.
fn query<T>(query: Result<Query<T>, axum::extract::rejection::QueryRejection>) -> Result<T, Fault> {
    let hint = "GET /v1/openapi.json says what is expected";
    query.map(|Query(query)| query).map_err(|error| Fault::request(error.body_text(), hint))
}

/// Real events to start from, evenly spaced over the test split of the run's data.
#[utoipa::path(get, path = "/v1/models/{name}/examples",
    params(("name" = String, Path), ("count" = Option<u64>, Query, minimum = 0, description = "At most so many")),
    responses((status = 200, body = Examples), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 429, body = ErrorBody), (status = 408, body = ErrorBody)))]
async fn examples(
    State(service): Shared,
    Path(name): Path<String>,
    asked: Result<Query<HowMany>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Fault> {
    let served = service.find(&name)?;
    let HowMany { count } = query(asked)?;
    let examples = service.turn(|service| &service.walks, move |_| served.examples(count)).await?;
    json_of(&examples)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    variable: String,
}

/// What the conditional of a variable of an image may look at.
#[utoipa::path(get, path = "/v1/models/{name}/sees",
    params(("name" = String, Path), ("variable" = String, Query, description = "Its number, or its name")),
    responses((status = 200, body = Sees), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
async fn sees(
    State(service): Shared,
    Path(name): Path<String>,
    asked: Result<Query<Which>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Fault> {
    let served = service.find(&name)?;
    let variable = served.variable(&query(asked)?.variable)?;
    json_of(&served.sees(variable)?)
}

/// log p(x) of rows, and whether they are anomalies.
#[utoipa::path(post, path = "/v1/models/{name}/score", params(("name" = String, Path), ScoreHow),
    request_body(content((ScoreRequest = "application/json"), (String = "text/csv"),
        (Vec<u8> = "application/vnd.apache.arrow.stream"))),
    responses((status = 200, body = ScoreAnswer), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 408, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
async fn score_rows(
    State(service): Shared,
    Path(name): Path<String>,
    how: Result<Query<ScoreHow>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Response, Fault> {
    let how = query(how)?;
    let work =
        move |served: &Served, body, limits: &Limits| score::answer(served, body, how, limits);
    service.ask(|service| &service.scores, &name, request, work).await
}

/// Draws of what is not known, given what is.
#[utoipa::path(post, path = "/v1/models/{name}/complete", params(("name" = String, Path)), request_body = CompleteRequest,
    responses((status = 200, body = CompleteAnswer), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 408, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
async fn complete_rows(
    State(service): Shared,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let work = |served: &Served, body, limits: &Limits| complete::answer(served, &body, limits);
    service.ask(|service| &service.walks, &name, request, work).await
}

/// Draws from the model, under conditions if there are any.
#[utoipa::path(post, path = "/v1/models/{name}/sample", params(("name" = String, Path)), request_body = SampleRequest,
    responses((status = 200, body = SampleAnswer), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 408, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
async fn sample_rows(
    State(service): Shared,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let work = |served: &Served, body, limits: &Limits| sample::answer(served, &body, limits);
    service.ask(|service| &service.walks, &name, request, work).await
}

/// What the model expects of each variable.
#[utoipa::path(post, path = "/v1/models/{name}/conditional", params(("name" = String, Path)),
    request_body = ConditionalRequest,
    responses((status = 200, body = ConditionalAnswer), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 408, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
async fn conditional_of_row(
    State(service): Shared,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let work = |served: &Served, body, limits: &Limits| conditional::answer(served, &body, limits);
    service.ask(|service| &service.walks, &name, request, work).await
}

/// p(y | x) by Bayes' rule.
#[utoipa::path(post, path = "/v1/models/{name}/classify", params(("name" = String, Path)), request_body = ClassifyRequest,
    responses((status = 200, body = ClassifyAnswer), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 408, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
async fn classify_rows(
    State(service): Shared,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let work = |served: &Served, body, limits: &Limits| classify::answer(served, &body, limits);
    service.ask(|service| &service.walks, &name, request, work).await
}
