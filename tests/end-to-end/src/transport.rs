//! The simulator as a transport: no socket, so that time can be simulated.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use graph::{Response, Transport, TransportError};
use graph_simulator::Simulator;

/// Asks a simulator in the same process.
#[derive(Debug, Clone)]
pub struct InProcess(pub Arc<Simulator>);

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: http::Request<Bytes>) -> Result<Response, TransportError> {
        let answer = self.0.answer(request).await;
        let body: graph::Body = match answer.transport {
            graph_simulator::Transport::ResetBefore => return Err(TransportError::Reset),
            graph_simulator::Transport::Whole => stream::iter([Ok(answer.body)]).boxed(),
            graph_simulator::Transport::ResetAfter(sent) => {
                let sent = answer.body.slice(..sent.min(answer.body.len()));
                stream::iter([Ok(sent), Err(TransportError::Body)]).boxed()
            }
        };
        Ok(Response { status: answer.status, headers: answer.headers, body })
    }
}
