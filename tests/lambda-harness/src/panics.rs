//! A function that panics at every event but `{}`, on the machinery that the real functions run on.

use lambda::{Failure, serve, start_logs};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::panic, reason = "what this function is for")]
async fn main() -> Result<(), lambda::Error> {
    start_logs();
    serve(async |invocation| match invocation.payload.get() {
        "{}" => Ok::<_, Failure>("alive"),
        event => panic!("the event was {event}"),
    })
    .await
}
