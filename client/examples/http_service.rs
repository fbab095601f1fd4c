//! The client for tokio inside an HTTP service: `GET /KEY` gives the value, `GET /healthz` the state of the server.
//! KEY is what stands behind the slash, byte for byte: `%20` is three bytes, no space.
//!
//! ```sh
//! cargo run --release --bin cache-server &
//! cargo run -p shingle-client --example http_service -- 127.0.0.1:7401 127.0.0.1:8080 &
//! curl -i http://127.0.0.1:8080/greeting     # 200 with the value, 404 where nothing is stored
//! curl -i http://127.0.0.1:8080/healthz      # 200 while the server answers, with what the client counted
//! kill %1
//! curl -i http://127.0.0.1:8080/greeting     # 503 at once: the server is gone
//! ```

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::io;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use shingle_client::{Client, GetError};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let cache = arguments.next().unwrap_or_else(|| "127.0.0.1:7401".into());
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let client = Client::connect(&cache).await?;
    let listener = TcpListener::bind(&listen).await?;
    println!("ready http={}", listener.local_addr()?);
    Ok(serve(listener, client).await?)
}

/// Serves HTTP until the listener fails.
pub(crate) async fn serve(listener: TcpListener, client: Client) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        // One socket and one driver task, however many connections there are.
        let client = client.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(&client, request));
            let connection = hyper::server::conn::http1::Builder::new();
            if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("connection ended: {error}");
            }
        });
    }
}

/// Answers one request. hyper drops this future when its client goes, which cancels the read.
async fn answer(client: &Client, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => health(client),
        (&Method::GET, path) => read(client, &path[1..]).await,
        _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET is served\n".into()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    Ok(response)
}

async fn read(client: &Client, key: &str) -> (StatusCode, Bytes) {
    match client.get(key).await {
        Ok(Some(value)) => (StatusCode::OK, value.into()),
        Ok(None) => (StatusCode::NOT_FOUND, format!("nothing is stored under {key:?}\n").into()),
        Err(error) => (status_of(&error), format!("{error}\n").into()),
    }
}

fn status_of(error: &GetError) -> StatusCode {
    match error {
        GetError::NotBegun(_) => StatusCode::BAD_REQUEST,
        // No whole answer came in time, though the server lives.
        GetError::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
        GetError::Silent { .. } | GetError::Unreachable | GetError::NoTurn { .. } => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// Whether reads are worth asking for, for a load balancer.
fn health(client: &Client) -> (StatusCode, Bytes) {
    let stats = client.stats();
    let status = if stats.state.answers() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{:?}\n{stats:#?}\n", stats.state).into())
}
