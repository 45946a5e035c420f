//! Failures to resolve a host name.

use std::{
    future::ready,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use clerk_actor_tokens::Body;
use hyper_util::{
    client::legacy::{
        self,
        connect::{HttpConnector, dns::Name},
    },
    rt::TokioExecutor,
};
use tokio::net::{TcpListener, TcpSocket};

use super::{
    Runnable,
    connecting::{SECTION, https},
};
use crate::{
    harness::{
        caller::Caller,
        checks::{attempts, connections, timed_out, took},
        row::paused,
        run::{NS, OK, Run},
        script::{Op, Seen, Step, play},
        sockets::{Accept, CONNECT, Certificate},
        split::{Log, Split},
        transport_kind::TransportKind,
    },
    in_memory::pool,
};

type Check = fn(TransportKind) -> Result<(), String>;

pub(crate) fn rows(over: TransportKind) -> Vec<Runnable> {
    let rows: [(&str, Check); 3] = [
        ("DNS failure", dns_failure),
        ("DNS hangs", dns_hangs),
        ("the first address refuses connections", second_address),
    ];
    let runnable = |(name, check): (&str, Check)| -> Runnable {
        (SECTION, over.name(name), Box::new(move || check(over)))
    };
    rows.into_iter().map(runnable).collect()
}

/// Returns a transport for plain HTTP that resolves each name with `resolve`.
fn resolving<F, S>(over: TransportKind, op: Op, resolve: F) -> (Split, Arc<Log>)
where
    F: FnMut(Name) -> S + Clone + Send + Sync + 'static,
    S: Future<Output = io::Result<std::vec::IntoIter<SocketAddr>>> + Send + 'static,
{
    let connector = HttpConnector::new_with_resolver(tower::service_fn(resolve));
    match over {
        TransportKind::Hyper => {
            let client: legacy::Client<_, Body> =
                legacy::Client::builder(TokioExecutor::new()).build(connector);
            Split::new(op, client)
        }
        TransportKind::Pooled => Split::new(op, pool(connector)),
    }
}

fn to_localhost() -> Caller {
    Caller {
        base_url: "http://localhost".into(),
        ..Caller::default()
    }
}

/// A name that does not resolve is looked up in each attempt.
fn dns_failure(over: TransportKind) -> Result<(), String> {
    for op in [Op::Create, Op::Revoke] {
        let looked_up = Arc::<AtomicU32>::default();
        let count = Arc::clone(&looked_up);
        let split = resolving(over, op, move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            ready(Err(io::Error::other("no such name")))
        });
        let run = paused(to_localhost().run(op, split, Arc::default()))?;
        run.judge((NS, 0))
            .and_then(|()| attempts(3)(&run))
            .map_err(|why| format!("{op:?}: {why}"))?;
        let looked_up = looked_up.load(Ordering::SeqCst);
        if looked_up != 3 {
            return Err(format!("{op:?}: looked up {looked_up} times"));
        }
    }
    Ok(())
}

/// The system looks names up on a blocking thread of the runtime. The only one is occupied.
fn dns_hangs(over: TransportKind) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .map_err(|error| error.to_string())?;
    let success = || {
        let script = vec![Step::Request, Step::Respond, Step::Hang];
        Accept::Tls(Certificate::Valid, script)
    };
    let (release, occupied) = std::sync::mpsc::channel::<()>();
    runtime.spawn_blocking(move || occupied.recv());
    let hangs = https("DNS hangs", success(), (NS, 0), Some(0))
        .also(timed_out(true))
        .also(attempts(3))
        .also(took(3 * CONNECT..=16 * CONNECT))
        .over(over)
        .check_on(&runtime);
    drop(release);
    hangs?;
    // Without the occupied thread the call succeeds.
    https("DNS responds", success(), (OK, 1), Some(1))
        .over(over)
        .check_on(&runtime)
}

/// The first address of a name refuses connections.
fn second_address(over: TransportKind) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    for op in [Op::Create, Op::Revoke] {
        let run = runtime.block_on(to_second_address(over, op));
        let run = run.map_err(|error| error.to_string())?;
        run.judge((OK, 1))
            .and_then(|()| connections(1)(&run))
            .map_err(|why| format!("{op:?}: {why}"))?;
    }
    Ok(())
}

async fn to_second_address(over: TransportKind, op: Op) -> io::Result<Run> {
    // Bound, so that no other process uses the port. It never listens.
    let dead = TcpSocket::new_v4()?;
    dead.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let alive = TcpListener::bind("127.0.0.1:0").await?;
    let addresses = vec![dead.local_addr()?, alive.local_addr()?];
    let seen = Arc::<Seen>::default();
    let peer = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = alive.accept().await {
            peer.connections.fetch_add(1, Ordering::SeqCst);
            play(
                stream,
                &[Step::Request, Step::Respond, Step::Hang],
                op,
                &peer,
            )
            .await;
        }
    });
    let split = resolving(over, op, move |_| ready(Ok(addresses.clone().into_iter())));
    let run = to_localhost().run(op, split, seen).await;
    drop(dead);
    Ok(run)
}
