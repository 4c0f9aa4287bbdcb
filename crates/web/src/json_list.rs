//! Lists as JSON arrays that are sent page by page.

use std::marker::PhantomData;
use std::pin::Pin;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt as _};
use kugetsu_store::error::StoreError;
use serde::Serialize;

use crate::ndjson;

/// The response of a [`ListEndpoint`](kugetsu_api::endpoint::ListEndpoint): a JSON array with a line for each item.
pub(crate) struct JsonList<Item> {
    chunks: Pin<Box<dyn Stream<Item = Result<Vec<u8>, StoreError>> + Send>>,
    item: PhantomData<fn() -> Item>,
}

impl<Item: Serialize + Send + 'static> JsonList<Item> {
    /// Returns an error if the first page is one. A later error breaks the response off before the end of the array.
    pub(crate) async fn new(
        pages: impl Stream<Item = Result<Vec<Item>, StoreError>> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let mut pages = Box::pin(pages);
        let first = pages.next().await.transpose()?;
        let pages = futures::stream::iter(first.map(Ok)).chain(pages);
        let mut is_first = true;
        let chunks = pages.map(move |page| {
            let mut chunk = Vec::new();
            for item in page? {
                if !std::mem::take(&mut is_first) {
                    chunk.push(b',');
                }
                chunk.append(&mut ndjson::line(&item));
            }
            Ok(chunk)
        });
        let bracket = |text: &'static str| futures::stream::iter([Ok(text.as_bytes().to_vec())]);
        let chunks = Box::pin(bracket("[\n").chain(chunks).chain(bracket("]\n")));
        Ok(Self { chunks, item: PhantomData })
    }
}

impl<Item> IntoResponse for JsonList<Item> {
    fn into_response(self) -> Response {
        let log = |error: &StoreError| tracing::error!(%error, "breaking off a list");
        let body = Body::from_stream(self.chunks.map(move |chunk| chunk.inspect_err(log)));
        ([(CONTENT_TYPE, "application/json")], body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn body(pages: Vec<Result<Vec<u32>, StoreError>>) -> Result<String, axum::Error> {
        let list = JsonList::new(futures::stream::iter(pages)).await.expect("the first page can be read");
        let bytes = to_bytes(list.into_response().into_body(), usize::MAX).await?;
        Ok(String::from_utf8(bytes.to_vec()).expect("JSON is UTF-8"))
    }

    #[tokio::test]
    async fn list_is_a_json_array_with_a_line_for_each_item() {
        let text = body(vec![Ok(vec![1, 2]), Ok(vec![]), Ok(vec![3])]).await.unwrap();
        assert_eq!(text, "[\n1\n,2\n,3\n]\n");
        assert_eq!(serde_json::from_str::<Vec<u32>>(&text).unwrap(), [1, 2, 3]);
        assert_eq!(body(vec![]).await.unwrap(), "[\n]\n");
    }

    #[tokio::test]
    async fn failure_of_the_first_page_is_an_error_and_a_later_one_breaks_the_list_off() {
        let pages = futures::stream::iter([Err::<Vec<u32>, _>(StoreError::Closed)]);
        assert!(JsonList::new(pages).await.is_err());
        assert!(body(vec![Ok(vec![1]), Err(StoreError::Closed)]).await.is_err());
    }
}
