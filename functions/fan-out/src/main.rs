//! Fan-out on Lambda: wiring.

use fan_out::{Deps, FanOutError, Invocation};
use lambda::{Failure, Parts, SetUpError, serve, start_logs};
use settings::{AwsSettings, GraphSettings, Rules};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    start_logs();
    let deps = lambda::logged(deps().await);
    let deps = &deps;
    serve(async |invocation| {
        let deps = deps.as_ref().map_err(Failure::from)?;
        let lambda::Invocation { payload, request_id, deadline } = invocation;
        let answer = fan_out::handle(payload.get().as_bytes(), Invocation { request_id: &request_id, deadline }, deps);
        let failure = |error: FanOutError| {
            Failure::new(error.error_type(), &error).credential_refused(error.is_credential_refused())
        };
        Box::pin(answer).await.map_err(failure)
    })
    .await
}

async fn deps() -> Result<Deps, SetUpError> {
    let ((graph, aws, rules), parts) = Parts::load::<(GraphSettings, AwsSettings, Rules)>().await?;
    Ok(Deps {
        graph: parts.graph(&graph, graph.pace.share())?,
        stores: parts.stores(&aws),
        tenant: graph.tenant_id,
        queue: parts.queue(&aws),
        clock: parts.clock,
        random: parts.random,
        rules,
        requests_per_second: graph.pace.requests_per_second,
        producer: wiring::producer(env!("CARGO_PKG_NAME")),
    })
}
