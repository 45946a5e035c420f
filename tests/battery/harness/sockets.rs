//! Real sockets and real TLS, with generated certificates, for the default transport.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use clerk_actor_tokens::{Client, RetryConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::{
    row::{Want, call, judge, key},
    script::{Op, Step, play},
};

/// What the peer does with a connection that it accepted.
#[derive(Clone, Debug)]
pub(crate) enum Accept {
    /// Closes it.
    Fin,
    /// Reads so many bytes, then resets it.
    Rst(usize),
    /// Nobody listens.
    Refuse,
    /// Plays a script, without TLS.
    Plain(Vec<Step>),
    /// Shows a certificate, then plays a script.
    Tls(Certificate, Vec<Step>),
    /// Reads the beginning of a handshake, then closes.
    FinInHandshake,
    /// Never says a word.
    Silent,
}

/// Which certificate a peer shows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Certificate {
    Good,
    WrongName,
    Expired,
    UnknownRoot,
    SelfSigned,
}

/// A row over sockets: how a call to `https` or `http` ends, and how often it connects.
pub(crate) struct SocketRow {
    pub(crate) name: &'static str,
    pub(crate) scheme: &'static str,
    pub(crate) host: &'static str,
    pub(crate) accept: Accept,
    pub(crate) want: Want,
    pub(crate) connections: Option<u32>,
}

/// The longest the connect phase of these rows takes; real time, for sockets know no other.
const CONNECT: Duration = Duration::from_millis(150);

impl SocketRow {
    pub(crate) fn check(&self) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        for op in [Op::Create, Op::Revoke] {
            let run = async {
                let bound = Duration::from_secs(10);
                let run = tokio::time::timeout(bound, self.run(op));
                run.await.map_err(|_| "no end".to_owned())?
            };
            runtime
                .block_on(run)
                .map_err(|why| format!("{op:?}: {why}"))?;
        }
        Ok(())
    }

    async fn run(&self, op: Op) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(|e| e.to_string())?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let authority = Authority::new();
        let client = self.client(address, &authority);
        let peer = Peer {
            accept: self.accept.clone(),
            op,
            ..Peer::default()
        };
        let serving = peer.clone();
        let server = tokio::spawn(async move {
            if !matches!(serving.accept, Accept::Refuse) {
                serving.serve(listener, authority).await;
            }
        });
        tokio::task::yield_now().await;
        let result = call(&client, op).await;
        server.abort();
        judge(op, self.want, &result, peer.requests.load(Ordering::SeqCst))?;
        let connected = peer.connections.load(Ordering::SeqCst);
        match self.connections {
            Some(wanted) if wanted != connected => Err(format!(
                "wanted {wanted} connections, saw {connected}: {result:?}"
            )),
            _ => Ok(()),
        }
    }

    fn client(&self, address: SocketAddr, authority: &Authority) -> Client {
        let (scheme, host, port) = (self.scheme, self.host, address.port());
        Client::builder(key())
            .base_url(format!("{scheme}://{host}:{port}/v1").parse().unwrap())
            .root_certificate(authority.root.der().to_vec())
            .connect_timeout(CONNECT)
            .retry(RetryConfig::default().initial_interval(Duration::ZERO))
            .build()
            .unwrap()
    }
}

#[derive(Clone)]
struct Peer {
    accept: Accept,
    op: Op,
    connections: Arc<AtomicU32>,
    requests: Arc<AtomicU32>,
}

impl Default for Peer {
    fn default() -> Self {
        let (connections, requests) = Default::default();
        Self {
            accept: Accept::Fin,
            op: Op::Create,
            connections,
            requests,
        }
    }
}

impl Peer {
    async fn serve(self, listener: TcpListener, authority: Authority) {
        let authority = Arc::new(authority);
        while let Ok((stream, _)) = listener.accept().await {
            self.connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(self.clone().meet(stream, Arc::clone(&authority)));
        }
    }

    async fn meet(self, stream: TcpStream, authority: Arc<Authority>) {
        match &self.accept {
            Accept::Fin => drop(stream),
            Accept::Rst(bytes) => {
                let script = [Step::Bytes(*bytes), Step::Reset];
                play(stream, &script, self.op, &self.requests).await;
            }
            Accept::Refuse => {}
            Accept::Plain(script) => play(stream, script, self.op, &self.requests).await,
            Accept::Tls(certificate, script) => {
                if let Ok(stream) = authority.acceptor(*certificate).accept(stream).await {
                    play(stream, script, self.op, &self.requests).await;
                }
            }
            Accept::FinInHandshake => {
                play(stream, &[Step::Bytes(5)], self.op, &self.requests).await;
            }
            Accept::Silent => play(stream, &[Step::Hang], self.op, &self.requests).await,
        }
    }
}

/// A certificate authority that the clients of these rows trust.
struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { root }
    }

    fn acceptor(&self, certificate: Certificate) -> TlsAcceptor {
        let name = match certificate {
            Certificate::WrongName => "elsewhere.example",
            _ => "localhost",
        };
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if matches!(certificate, Certificate::Expired) {
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let signed = match certificate {
            Certificate::UnknownRoot => params.signed_by(&key, &Self::new().root),
            Certificate::SelfSigned => params.self_signed(&key),
            _ => params.signed_by(&key, &self.root),
        };
        let chain = vec![CertificateDer::from(signed.unwrap())];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}
