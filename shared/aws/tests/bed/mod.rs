//! The services on loopback, and clients of them.
#![allow(dead_code, reason = "each test program uses its part")]

use std::sync::Arc;

use aws::Clients;
use aws_fake::{AwsFake, Server, SteppingClock};
use domain::{Clock, Random, SeededRandom};

pub(crate) const BUCKET: &str = "archive";

/// Fresh services. They end with it.
pub(crate) struct Bed {
    pub(crate) fake: AwsFake,
    pub(crate) server: Server,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) clients: Clients,
}

impl Bed {
    pub(crate) async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SteppingClock::new("2026-11-24T03:00:00Z".parse().unwrap()));
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(7));
        let fake = AwsFake::new(Arc::clone(&clock), Arc::clone(&random));
        fake.create_bucket(BUCKET);
        let server = Server::start(fake.clone(), 0).await.unwrap();
        let clients = Clients::emulated(&server.endpoint(), "tester", Arc::clone(&clock), random).await;
        Self { fake, server, clock, clients }
    }

    /// How often this operation was called.
    pub(crate) fn count(&self, action: &str) -> usize {
        self.fake.calls().iter().filter(|call| call.action == action).count()
    }
}
