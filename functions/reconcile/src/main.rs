//! Reconcile on Lambda: wiring.

use lambda::{Failure, Parts, SetUpError, serve, start_logs};
use reconcile::Deps;
use settings::{AwsSettings, Rules};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    start_logs();
    let deps = lambda::logged(deps().await);
    let deps = &deps;
    serve(async |invocation| {
        let deps = deps.as_ref().map_err(Failure::from)?;
        let answer = reconcile::handle(invocation.payload.get().as_bytes(), invocation.deadline, deps);
        Box::pin(answer).await.map_err(|error| Failure::new(error.error_type(), &error))
    })
    .await
}

async fn deps() -> Result<Deps, SetUpError> {
    let ((tenant, aws, rules), parts) = Parts::load::<(domain::TenantId, AwsSettings, Rules)>().await?;
    Ok(Deps {
        stores: parts.stores(&aws),
        tenant,
        queue: parts.queue(&aws),
        clock: parts.clock,
        random: parts.random,
        rules,
        producer: wiring::producer(env!("CARGO_PKG_NAME")),
    })
}
