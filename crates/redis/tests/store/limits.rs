//! The rate limits of several connections and processes.

use std::{
    env,
    process::{Command, Stdio},
    time::Duration,
};

use clerk_actor_tokens_policy::{
    RateLimitStore,
    rate_limit::{Cell, Taken},
};
use clerk_actor_tokens_redis::{RedisConfig, RedisRateLimitStore, RedisReceipt};
use futures_util::future::join_all;

use crate::server::{Server, connected, until};

const HOUR: Duration = Duration::from_secs(3600);

/// Takes one unit of each cell.
pub(crate) async fn take(
    store: &RedisRateLimitStore,
    cells: &[Cell<'_>],
) -> Result<RedisReceipt, (usize, Duration)> {
    match store.take(cells).await.unwrap() {
        Taken::Yes(receipt) => Ok(receipt),
        Taken::No { rule, retry_after } => Err((rule, retry_after)),
    }
}

/// Takes units until none is left, and returns how many there were.
pub(crate) async fn take_all(store: &RedisRateLimitStore, cell: Cell<'_>) -> u32 {
    let mut count = 0;
    while take(store, &[cell]).await.is_ok() {
        count += 1;
    }
    count
}

#[tokio::test]
async fn refusal_names_the_longest_wait_and_takes_nothing() {
    let server = Server::start();
    let store = RedisRateLimitStore::new(&server.connect().await);
    let cells = [
        Cell::new("actor", HOUR, 2),
        Cell::new("subject", 2 * HOUR, 1),
        Cell::new("global", HOUR, 3),
    ];
    take(&store, &cells).await.unwrap();
    let (rule, wait) = take(&store, &cells).await.unwrap_err();
    assert_eq!(rule, 1);
    assert!(
        wait <= 2 * HOUR && wait > 2 * HOUR - Duration::from_secs(60),
        "{wait:?}"
    );
    // Nothing was taken of the other cells.
    take(&store, &[cells[0], cells[2]]).await.unwrap();
    assert_eq!(take(&store, &[cells[0]]).await.unwrap_err().0, 0);
    assert_eq!(take_all(&store, cells[2]).await, 1);
}

#[tokio::test]
async fn call_without_limits_passes() {
    let server = Server::start();
    let store = RedisRateLimitStore::new(&server.connect().await);
    take(&store, &[]).await.unwrap();
    assert_eq!(server.count("evalsha"), 0);
}

#[tokio::test]
async fn units_given_back_can_be_taken_in_another_process() {
    let server = Server::start();
    let [one, other] = [server.connect().await, server.connect().await];
    let [one, other] = [
        RedisRateLimitStore::new(&one),
        RedisRateLimitStore::new(&other),
    ];
    let cell = Cell::new("actor", HOUR, 4);
    let mut receipts = Vec::new();
    for _ in 0..4 {
        receipts.push(take(&one, &[cell]).await.unwrap());
    }
    assert_eq!(take_all(&other, cell).await, 0);
    drop(receipts.pop());
    for receipt in receipts {
        one.give_back(receipt);
    }
    until(async || server.count("evalsha") == 4 + 1 + 3).await;
    assert_eq!(take_all(&other, cell).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_are_given_back_from_a_thread_without_a_runtime() {
    let server = Server::start();
    let store = RedisRateLimitStore::new(&server.connect().await);
    let cell = Cell::new("actor", HOUR, 1);
    let receipt = take(&store, &[cell]).await.unwrap();
    let other = store.clone();
    std::thread::spawn(move || other.give_back(receipt))
        .join()
        .unwrap();
    until(async || server.count("evalsha") == 2).await;
    take(&store, &[cell]).await.unwrap();
}

#[tokio::test]
async fn keys_expire_when_their_cells_are_full() {
    let server = Server::start();
    let store = RedisRateLimitStore::new(&server.connect().await);
    let short = Duration::from_millis(20);
    take(
        &store,
        &[Cell::new("a", short, 5), Cell::new("b", short, 1)],
    )
    .await
    .unwrap();
    // Whatever the load of the machine, a key lives no longer than its cell needs.
    let size = || {
        redis::cmd("DBSIZE")
            .query::<u64>(&mut server.admin())
            .unwrap()
    };
    until(async || size() == 0).await;

    take(&store, &[Cell::new("c", HOUR, 5)]).await.unwrap();
    for key in keys(&server).iter().filter(|key| key.contains("limits")) {
        let left: i64 = redis::cmd("PTTL")
            .arg(key)
            .query(&mut server.admin())
            .unwrap();
        assert!(left > 0 && left <= 3_600_000, "{left}");
    }
}

#[tokio::test]
async fn keys_of_a_call_are_in_one_slot_and_of_a_bounded_number() {
    let server = Server::start();
    let store = RedisRateLimitStore::new(&server.connect().await);
    for n in 0..10 {
        let actor = format!("0:actor:user_{n}");
        take(
            &store,
            &[Cell::new(&actor, HOUR, 5), Cell::new("1:global:", HOUR, 99)],
        )
        .await
        .unwrap();
    }
    let keys: Vec<_> = keys(&server)
        .into_iter()
        .filter(|key| key.contains("limits"))
        .collect();
    assert_eq!(keys.len(), 10 + 1);
    let cluster = Server::start_with(&["--cluster-enabled", "yes"]);
    let slot = |key: &String| -> u16 {
        let mut keyslot = redis::cmd("CLUSTER");
        keyslot
            .arg("KEYSLOT")
            .arg(key)
            .query(&mut cluster.admin())
            .unwrap()
    };
    let first = slot(&keys[0]);
    assert!(keys.iter().all(|key| slot(key) == first));
}

pub(crate) fn keys(server: &Server) -> Vec<String> {
    redis::cmd("KEYS")
        .arg("*")
        .query(&mut server.admin())
        .unwrap()
}

#[tokio::test]
async fn namespaces_and_databases_do_not_share_units() {
    let server = Server::start();
    let cell = Cell::new("actor", HOUR, 1);
    for config in [
        server.config(),
        server.config().namespace("staging"),
        server.config().hash_key("secret"),
        RedisConfig::new(&format!("{}?db=3", server.url())).unwrap(),
    ] {
        let store = RedisRateLimitStore::new(&connected(config).await);
        assert_eq!(take_all(&store, cell).await, 1);
    }
}

const WORKERS: usize = 4;

/// Takes units in 64 clones at once, and prints how many it got. Started by the next test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of another test"]
async fn worker() {
    let Ok(url) = env::var("WORKER_REDIS_URL") else {
        return;
    };
    let config = RedisConfig::new(&url)
        .unwrap()
        .command_limit(Duration::from_secs(10));
    let store = RedisRateLimitStore::new(&connected(config).await);
    let clones = (0..64).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut count = 0;
            for turn in 0..5 {
                let actor = format!("actor {}", (n + turn) % 16);
                let cells = [Cell::new(&actor, HOUR, 40), Cell::new("global", HOUR, 500)];
                count += u32::from(take(&store, &cells).await.is_ok());
            }
            count
        })
    });
    let counts = join_all(clones).await;
    println!(
        "admitted {}",
        counts.into_iter().map(Result::unwrap).sum::<u32>()
    );
}

#[test]
fn processes_with_64_clones_each_admit_exactly_the_burst() {
    let server = Server::start();
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            Command::new(env::current_exe().unwrap())
                .args(["--ignored", "--exact", "--nocapture", "limits::worker"])
                .env("WORKER_REDIS_URL", server.url())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let admitted = workers.into_iter().map(|worker| {
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success());
        let output = String::from_utf8(output.stdout).unwrap();
        let count = output.split("admitted ").nth(1).unwrap();
        count
            .split_whitespace()
            .next()
            .unwrap()
            .parse::<u32>()
            .unwrap()
    });
    // 1280 calls: 16 actors may have 40 units each, all together 500.
    assert_eq!(admitted.sum::<u32>(), 500);
}
