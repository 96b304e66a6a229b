//! The services as a program: prints what to export, and runs until it is interrupted.

use std::io::{self, Write};
use std::sync::Arc;

use aws_fake::{AwsFake, Server};
use clap::Parser;
use domain::{OsRandom, SystemClock};
use queue::Options;

/// S3, SQS, Secrets Manager and STS on loopback, in memory.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port; 0 for any that is free.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// A bucket. May be given several times.
    #[arg(long)]
    bucket: Vec<String>,
    /// A queue; its dead-letter queue is named `<queue>-dlq`. May be given several times.
    #[arg(long)]
    queue: Vec<String>,
    /// A secret, as name=value. May be given several times.
    #[arg(long)]
    secret: Vec<String>,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let fake = AwsFake::new(Arc::new(SystemClock), Arc::new(OsRandom));
    let server = Server::start(fake.clone(), arguments.port).await?;
    let mut out = io::stdout().lock();
    writeln!(out, "export AWS_ENDPOINT_URL={}", server.endpoint())?;
    writeln!(out, "export AWS_REGION=eu-central-1 AWS_ACCESS_KEY_ID=fake AWS_SECRET_ACCESS_KEY=fake")?;
    for bucket in &arguments.bucket {
        fake.create_bucket(bucket);
    }
    for queue in &arguments.queue {
        fake.create_queue(queue, Options::default());
        writeln!(out, "# queue {queue}: {}", server.queue_url(queue))?;
    }
    for secret in &arguments.secret {
        let (name, value) = secret.split_once('=').ok_or_else(|| io::Error::other("write --secret name=value"))?;
        fake.set_secret(name, value);
    }
    out.flush()?;
    drop(out);
    tokio::signal::ctrl_c().await
}
