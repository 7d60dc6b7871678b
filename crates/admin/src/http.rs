//! Routes and their answers.

use std::io;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::header::{X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Json, Redirect, Response};
use axum::routing::get;
use axum::{Router, body::Body};

use crate::patience::{CONNECTIONS_MAX, PATIENCE, Patient};
use crate::{Source, csv, metrics};

/// The read-only HTTP service:
///
/// | path | answer |
/// |---|---|
/// | `/` | the dashboard |
/// | `/metrics` | Prometheus' text format |
/// | `/stats;csv`, `/stats?;csv`, and whatever else holds `;csv` | HAProxy's CSV |
/// | `/api/v1/status` | [`crate::model::Status`] as JSON |
/// | `/healthz` | 200: this service answers |
///
/// What would change something is refused with 405.
pub fn router(source: Arc<dyn Source>) -> Router {
    Router::new()
        .route("/", get(|| asset("text/html; charset=utf-8", include_str!("dashboard/index.html"))))
        .route("/style.css", get(|| asset("text/css; charset=utf-8", include_str!("dashboard/style.css"))))
        .route("/app.js", get(|| asset("text/javascript; charset=utf-8", include_str!("dashboard/app.js"))))
        .route("/metrics", get(prometheus))
        .route("/api/v1/status", get(json))
        .route("/healthz", get(|| asset("text/plain; charset=utf-8", "ok\n")))
        .fallback(stats)
        .layer(from_fn(read_only))
        .layer(from_fn(harden))
        .with_state(source)
}

/// Serves [`router`] on `listener`, which must be non-blocking, until the runtime ends.
pub async fn serve(listener: std::net::TcpListener, source: Arc<dyn Source>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let listener = Patient::new(listener, CONNECTIONS_MAX, PATIENCE);
    axum::serve(listener, router(source)).await
}

async fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-cache")], text).into_response()
}

async fn prometheus(State(source): State<Arc<dyn Source>>) -> Response {
    let text = metrics::render(&source.status());
    (uncached(metrics::CONTENT_TYPE), text).into_response()
}

async fn json(State(source): State<Arc<dyn Source>>) -> Response {
    (uncached("application/json"), Json(source.status())).into_response()
}

/// HAProxy takes `;csv` anywhere after the path it was given, and people gave it many.
async fn stats(State(source): State<Arc<dyn Source>>, request: Request<Body>) -> Response {
    let uri = request.uri();
    if uri.path_and_query().is_some_and(|target| target.as_str().contains(";csv")) {
        return (uncached("text/plain; charset=utf-8"), csv::render(&source.status())).into_response();
    }
    if uri.path() == "/stats" || uri.path().starts_with("/stats;") {
        return Redirect::to("/").into_response();
    }
    let sentence = "There is nothing here. Try /, /metrics, /stats;csv or /api/v1/status.\n";
    (StatusCode::NOT_FOUND, sentence).into_response()
}

fn uncached(content_type: &'static str) -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ])
}

async fn read_only(request: Request<Body>, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let sentence = "This address only shows. Changes go through the control socket: see `perron server --help`.\n";
    (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")], sentence).into_response()
}

async fn harden(request: Request<Body>, next: Next) -> Response {
    let mut response = next.run(request).await;
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
