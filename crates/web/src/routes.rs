//! Routes requests of endpoints to their handlers.

use std::future::Future;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawPathParams, RawQuery, State};
use axum::response::IntoResponse;
use axum::routing::{MethodFilter, on};
use axum::{Json, Router};
use kugetsu_api::endpoint::{Endpoint, ListEndpoint, Method, Route, StreamEndpoint};
use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_engine::runners::access::RunnerAccess;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api_error::ApiError;
use crate::app_state::AppState;
use crate::callers::OfRunner;
use crate::json_list::JsonList;
use crate::ndjson::NdJson;

pub(crate) struct Routes(pub(crate) Router<AppState>);

impl Routes {
    /// Adds an endpoint. Its handler gets the declared request and returns the declared response.
    pub(crate) fn add<Request, Response, Handler, Pending>(
        self,
        endpoint: Endpoint<Request, Response>,
        handler: Handler,
    ) -> Self
    where
        Request: DeserializeOwned + Send + 'static,
        Response: Serialize + Send + 'static,
        Handler: Fn(AppState, Request) -> Pending + Clone + Send + Sync + 'static,
        Pending: Future<Output = Result<Response, ApiError>> + Send,
    {
        self.route(endpoint.route, move |app, request| {
            let response = handler(app, request);
            async move { response.await.map(Json) }
        })
    }

    pub(crate) fn add_list<Request, Item, Handler, Pending>(
        self,
        endpoint: ListEndpoint<Request, Item>,
        handler: Handler,
    ) -> Self
    where
        Request: DeserializeOwned + Send + 'static,
        Item: 'static,
        Handler: Fn(AppState, Request) -> Pending + Clone + Send + Sync + 'static,
        Pending: Future<Output = Result<JsonList<Item>, ApiError>> + Send,
    {
        self.route(endpoint.route, handler)
    }

    pub(crate) fn add_stream<Request, Item, Handler, Pending>(
        self,
        endpoint: StreamEndpoint<Request, Item>,
        handler: Handler,
    ) -> Self
    where
        Request: DeserializeOwned + Send + 'static,
        Item: 'static,
        Handler: Fn(AppState, Request) -> Pending + Clone + Send + Sync + 'static,
        Pending: Future<Output = Result<NdJson<Item>, ApiError>> + Send,
    {
        self.route(endpoint.route, handler)
    }

    /// Adds an endpoint for runners. Its handler also gets the right to act as the run's runner, which the request has
    /// to show.
    pub(crate) fn add_for_runner<Request, Response, Handler, Pending>(
        self,
        endpoint: Endpoint<Request, Response>,
        handler: Handler,
    ) -> Self
    where
        Request: DeserializeOwned + Send + 'static,
        Response: Serialize + Send + 'static,
        Handler: Fn(AppState, RunnerAccess, Request) -> Pending + Clone + Send + Sync + 'static,
        Pending: Future<Output = Result<Response, ApiError>> + Send,
    {
        self.route_for_runner(endpoint.route, move |app, access, request| {
            let response = handler(app, access, request);
            async move { response.await.map(Json) }
        })
    }

    /// As [`add_for_runner`](Self::add_for_runner), for a stream.
    pub(crate) fn add_stream_for_runner<Request, Item, Handler, Pending>(
        self,
        endpoint: StreamEndpoint<Request, Item>,
        handler: Handler,
    ) -> Self
    where
        Request: DeserializeOwned + Send + 'static,
        Item: 'static,
        Handler: Fn(AppState, RunnerAccess, Request) -> Pending + Clone + Send + Sync + 'static,
        Pending: Future<Output = Result<NdJson<Item>, ApiError>> + Send,
    {
        self.route_for_runner(endpoint.route, handler)
    }

    fn route_for_runner<Request, Response, Handler, Pending>(self, route: Route<Request>, handler: Handler) -> Self
    where
        Request: DeserializeOwned + Send + 'static,
        Response: IntoResponse,
        Handler: Fn(AppState, RunnerAccess, Request) -> Pending + Clone + Send + Sync + 'static,
        Pending: Future<Output = Result<Response, ApiError>> + Send,
    {
        let (path, filter) = (route.path, filter(route.method));
        let respond = move |State(app): State<AppState>,
                            OfRunner(access): OfRunner,
                            fields: RawPathParams,
                            RawQuery(query): RawQuery,
                            body: Result<Bytes, BytesRejection>| {
            let pending = decode(&route, &fields, query, body).map(|request| handler(app, access, request));
            async move { pending?.await }
        };
        Self(self.0.route(path, on(filter, respond)))
    }

    fn route<Request, Response, Handler, Pending>(self, route: Route<Request>, handler: Handler) -> Self
    where
        Request: DeserializeOwned + Send + 'static,
        Response: IntoResponse,
        Handler: Fn(AppState, Request) -> Pending + Clone + Send + Sync + 'static,
        Pending: Future<Output = Result<Response, ApiError>> + Send,
    {
        let (path, filter) = (route.path, filter(route.method));
        let respond = move |State(app): State<AppState>,
                            fields: RawPathParams,
                            RawQuery(query): RawQuery,
                            body: Result<Bytes, BytesRejection>| {
            let pending = decode(&route, &fields, query, body).map(|request| handler(app, request));
            async move { pending?.await }
        };
        Self(self.0.route(path, on(filter, respond)))
    }
}

fn filter(method: Method) -> MethodFilter {
    match method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
    }
}

fn decode<Request: DeserializeOwned>(
    route: &Route<Request>,
    fields: &RawPathParams,
    query: Option<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Request, ApiError> {
    let body = body.map_err(|rejection| invalid(&rejection.body_text()))?;
    let fields: Vec<(String, String)> =
        fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    route.decode(&fields, &query.unwrap_or_default(), &body).map_err(|why| invalid(&why))
}

fn invalid(why: &str) -> ApiError {
    Problem::new(ProblemKind::Usage, format!("invalid request: {why}")).into()
}

/// Runs work in a task of its own. The server drops a handler whose client disconnects, but the consequences of a stored
/// change must not be dropped with it. What the request names is looked up before: a lookup may take long, and a caller that has
/// given up waiting for it does not expect the change.
pub(crate) async fn detached<Output, Error>(
    work: impl Future<Output = Result<Output, Error>> + Send + 'static,
) -> Result<Output, ApiError>
where
    Output: Send + 'static,
    Error: Send + 'static,
    ApiError: From<Error>,
{
    let result = tokio::spawn(work).await;
    // The task has panicked; the daemon's log shows where.
    Ok(result.map_err(|error| Problem::new(ProblemKind::Failed, error.to_string()))??)
}
