//! [`Proxy`], a TCP proxy whose connections can be cut.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

use crate::Result;

/// A proxy in front of a server of this machine.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    /// Whether connections pass. Setting it to false ends those that exist.
    is_open: Arc<watch::Sender<bool>>,
    _task: AbortOnDropHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(to: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let is_open = Arc::new(watch::Sender::new(true));
        let shared = Arc::clone(&is_open);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut is_open = shared.subscribe();
                tokio::spawn(async move {
                    let to = SocketAddr::from(([127, 0, 0, 1], to));
                    tokio::select! {
                        _ = is_open.wait_for(|is_open| !is_open) => {}
                        () = forward(stream, to) => {}
                    }
                });
            }
        });
        Ok(Self {
            port,
            is_open,
            _task: AbortOnDropHandle::new(task),
        })
    }

    /// Ends all connections, and every new one until [`heal`](Self::heal).
    pub(crate) fn cut(&self) {
        self.is_open.send_replace(false);
    }

    pub(crate) fn heal(&self) {
        self.is_open.send_replace(true);
    }
}

async fn forward(mut from: TcpStream, to: SocketAddr) {
    let Ok(mut to) = TcpStream::connect(to).await else {
        return;
    };
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let _ = copy_bidirectional(&mut from, &mut to).await;
}
