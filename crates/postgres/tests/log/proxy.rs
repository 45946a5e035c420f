//! A proxy before the server, that breaks promises.

use std::{
    io::{self, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use tempfile::TempDir;

use crate::support::Server;

/// The name of the server's socket.
const SOCKET: &str = ".s.PGSQL.5432";

pub(crate) struct Proxy {
    folder: TempDir,
    swallows: Arc<Mutex<bool>>,
}

impl Proxy {
    /// Starts a pooler that gives each transaction another connection to the server, as PgBouncer does by default.
    pub(crate) fn pooler(server: &Server) -> Self {
        Self::start(server, 2)
    }

    /// Starts a proxy that can swallow results.
    pub(crate) fn swallowing(server: &Server) -> Self {
        Self::start(server, 1)
    }

    /// Starts it. Its threads end with the process.
    fn start(server: &Server, connections: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let (server, swallows) = (server.socket().join(SOCKET), Arc::new(Mutex::new(false)));
        let proxy = Self {
            folder,
            swallows: Arc::clone(&swallows),
        };
        thread::spawn(move || {
            for client in listener.incoming() {
                let (server, swallows) = (server.clone(), Arc::clone(&swallows));
                thread::spawn(move || serve(client.unwrap(), &server, connections, &swallows));
            }
        });
        proxy
    }

    /// Swallows each result from now on, after the server has sent it, and closes the connection.
    pub(crate) fn swallow(&self, is_on: bool) {
        *self.swallows.lock().unwrap() = is_on;
    }

    pub(crate) fn url(&self, server: &Server) -> String {
        let (old, new) = (server.socket().display(), self.folder.path().display());
        server.url().replace(&old.to_string(), &new.to_string())
    }
}

/// Serves a client by connections to the server in turn, until one is closed.
fn serve(
    mut client: UnixStream,
    server: &Path,
    connections: usize,
    swallows: &Mutex<bool>,
) -> io::Result<()> {
    let startup = startup(&mut client)?;
    let (mut servers, mut responses) = (Vec::new(), Vec::new());
    for _ in 0..connections {
        let mut server = UnixStream::connect(server)?;
        server.write_all(&startup)?;
        responses = until_ready(&mut server)?;
        servers.push(server);
    }
    client.write_all(&responses)?;
    for turn in 0.. {
        let server = &mut servers[turn % connections];
        let mut executes = false;
        loop {
            let message = message(&mut client)?;
            server.write_all(&message)?;
            executes |= message[0] == b'E';
            // A simple query, or the end of an extended one.
            if matches!(message[0], b'Q' | b'S') {
                break;
            }
        }
        let responses = until_ready(server)?;
        if executes && *swallows.lock().unwrap() {
            return Ok(());
        }
        client.write_all(&responses)?;
    }
    Ok(())
}

/// Reads the first message, which has no type. A request for TLS is refused.
fn startup(client: &mut UnixStream) -> io::Result<Vec<u8>> {
    const TLS: [u8; 4] = 80_877_103_u32.to_be_bytes();
    loop {
        let message = body(client, Vec::new())?;
        if message[4..] != TLS {
            return Ok(message);
        }
        client.write_all(b"N")?;
    }
}

fn until_ready(server: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let message = message(server)?;
        all.extend_from_slice(&message);
        if message[0] == b'Z' {
            return Ok(all);
        }
    }
}

fn message(from: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut kind = [0];
    from.read_exact(&mut kind)?;
    body(from, kind.to_vec())
}

/// Reads a length, which counts itself, and what follows.
fn body(from: &mut UnixStream, mut message: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    message.extend_from_slice(&length);
    from.take(u64::from(u32::from_be_bytes(length)) - 4)
        .read_to_end(&mut message)?;
    Ok(message)
}
