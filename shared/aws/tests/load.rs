//! Clients as a function has them: from the environment of their own process, over the SDK's own connector.
//!
//! A program of its own, without the test harness, because it runs itself again with another environment.
#![expect(clippy::print_stdout, reason = "the answers of the process it starts")]

use std::error::Error;
use std::process::Stdio;
use std::sync::Arc;

use archive::store::Store;
use aws::Clients;
use aws_fake::{AwsFake, Server};
use domain::{Env, OsRandom, ProcessEnv, SystemClock};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::Command;

/// What the started process does, if it is one.
const PART: &str = "LOAD_TEST_PART";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    match ProcessEnv.var(PART) {
        None => conduct().await,
        Some(bucket) => act(&bucket).await,
    }
}

/// Puts one object and says what came of it.
async fn act(bucket: &str) -> Result<(), Box<dyn Error>> {
    match Clients::load(Arc::new(SystemClock), Arc::new(OsRandom)).await {
        Ok(clients) => match clients.store(bucket, "").put_new("k", "x".into()).await {
            Ok(outcome) => println!("{outcome:?}"),
            Err(error) => println!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default()),
        },
        Err(error) => println!("{error}"),
    }
    Ok(())
}

async fn conduct() -> Result<(), Box<dyn Error>> {
    let fake = AwsFake::new(Arc::new(SystemClock), Arc::new(OsRandom));
    fake.create_bucket("bucket");
    let server = Server::start(fake.clone(), 0).await?;
    // A host name, below which the SDK would look for the bucket if it were not told better.
    let endpoint = server.endpoint().replace("127.0.0.1", "localhost");
    let region = ("AWS_REGION", "eu-west-1");
    let keys = [("AWS_ACCESS_KEY_ID", "key-of-a-role"), ("AWS_SECRET_ACCESS_KEY", "x"), region];

    // Every standard way to name the endpoint, with the bucket in the path.
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
        let said = run(&[&keys[..], &[(name, &endpoint)]].concat()).await?;
        check(&said, if name == "AWS_ENDPOINT_URL" { "Created" } else { "Exists" })?;
    }
    let calls = fake.calls();
    check(&format!("{calls:?}"), "bucket/k")?;
    check(&calls[0].access_key, "key-of-a-role")?;

    // Whatever machine this runs on must not lend its own.
    let bare = [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AWS_EC2_METADATA_DISABLED", "true")];
    check(&run(&bare).await?, "no AWS region is configured: set AWS_REGION")?;
    let said = run(&[&bare[..], &[region]].concat()).await?;
    check(&said, "the store refused it: not sent without AWS credentials")?;

    // An endpoint of TLS is greeted as one.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let tls = format!("https://{}", listener.local_addr()?);
    let greeted = async {
        let mut greeting = [0; 2];
        listener.accept().await?.0.read_exact(&mut greeting).await?;
        Ok::<_, Box<dyn Error>>(greeting)
    };
    let environment = [&keys[..], &[("AWS_ENDPOINT_URL", &tls)]].concat();
    let (said, greeting) = tokio::try_join!(run(&environment), greeted)?;
    check(&said, "no certain answer from the store: no answer")?;
    // The record of a handshake.
    check(&format!("{greeting:?}"), "[22, 3]")?;
    println!("load: ok");
    Ok(())
}

/// Runs this program with this environment and no other.
async fn run(environment: &[(&str, &str)]) -> Result<String, Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let mut command = Command::new(program);
    command.env_clear().env(PART, "bucket").env("HOME", "/nonexistent").envs(environment.iter().copied());
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    Ok(String::from_utf8(output.stdout)?)
}

fn check(said: &str, part: &str) -> Result<(), Box<dyn Error>> {
    if said.contains(part) { Ok(()) } else { Err(format!("expected {part:?} in {said:?}").into()) }
}
