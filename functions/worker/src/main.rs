//! The worker on Lambda: wiring.

use std::sync::Arc;

use lambda::{Failure, Parts, SetUpError, batch, response, serve, start_logs};
use settings::{AwsSettings, GraphSettings, Rules};
use worker::{Deps, Quiet};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    start_logs();
    let deps = lambda::logged(deps().await);
    let deps = &deps;
    serve(async |invocation| {
        let deps = deps.as_ref().map_err(Failure::from)?;
        let failed = worker::handle(batch(&invocation.payload)?, invocation.deadline, deps).await;
        Ok(response(failed))
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
        progress: Arc::new(Quiet),
    })
}
