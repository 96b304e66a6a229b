//! What the SDK and this crate tell a subscriber that wants to know everything.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod bed;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archive::store::Store;
use aws_fake::{Effect, Fault};
use bed::{BUCKET, Bed};
use graph::{AssertionSource, ClientAuth};
use queue::{Options, Outgoing, Queue};
use secrecy::ExposeSecret;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_content_secret_or_token_is_traced() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
    let subscriber = subscriber.with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let bed = Bed::new().await;
    let store = bed.clients.store(BUCKET, "");
    bed.fake.overwrite_object(BUCKET, "found", "canary found");
    bed.fake.set_secret("secret", "canary-secret");
    bed.fake.create_queue("work", Options::default());
    let queue = bed.clients.queue(bed.server.queue_url("work"));
    let mut tokens = Vec::new();
    for effect in [None, Some(Effect::LoseAnswer), Some(Effect::internal_error())] {
        let fail = |fake: &aws_fake::AwsFake| effect.iter().for_each(|effect| fake.plan(Fault::new(effect.clone())));
        fail(&bed.fake);
        let _ = store.put_new("put", "canary put".into()).await;
        fail(&bed.fake);
        assert_eq!(store.get("found").await.unwrap().unwrap().bytes, "canary found");
        fail(&bed.fake);
        let _ = bed.clients.client_secret("secret").reload().await;
        fail(&bed.fake);
        tokens.push(bed.clients.web_identity().assertion("audience").await.unwrap());
        fail(&bed.fake);
        queue.send(vec![Outgoing { body: "canary sent".to_owned(), delay: Duration::ZERO }]).await.unwrap();
    }

    let traced = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    // That it was traced at all.
    assert!(traced.contains("GetSecretValue") && traced.contains("PutObject"));
    assert!(!traced.contains("canary"));
    for token in tokens {
        let signature = token.expose_secret().rsplit('.').next().unwrap();
        assert!(!traced.contains(signature));
    }
}
