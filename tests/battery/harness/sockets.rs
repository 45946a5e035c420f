//! Real sockets and real TLS, with generated certificates, for the default transport.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use clerk_actor_tokens::{
    RetryConfig,
    transport::{HyperTransport, PooledTransport, TransportConfig},
};
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
    caller::Caller,
    checks::Check,
    over::Over,
    run::{Run, Want},
    script::{Op, Seen, Step, play},
    settling::Split,
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
    /// The same, and chooses HTTP/2.
    TlsHttp2(Vec<Step>),
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
    pub(crate) over: Over,
    pub(crate) scheme: &'static str,
    pub(crate) host: &'static str,
    pub(crate) accept: Accept,
    pub(crate) want: Want,
    pub(crate) also: Vec<Check>,
}

/// The longest the connect phase of these rows takes; real time, for sockets know no other.
pub(crate) const CONNECT: Duration = Duration::from_millis(300);

impl SocketRow {
    /// Runs over another transport.
    pub(crate) fn over(mut self, over: Over) -> Self {
        self.over = over;
        self
    }

    /// Something else is wanted, too.
    pub(crate) fn also(mut self, check: Check) -> Self {
        self.also.push(check);
        self
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        self.check_on(&runtime.map_err(|error| error.to_string())?)
    }

    /// Runs it for both operations.
    pub(crate) fn check_on(&self, runtime: &tokio::runtime::Runtime) -> Result<(), String> {
        for op in [Op::Create, Op::Revoke] {
            runtime
                .block_on(self.run(op))
                .and_then(|run| {
                    run.judge(self.want)?;
                    self.also.iter().try_for_each(|check| check(&run))
                })
                .map_err(|why| format!("{op:?}: {why}"))?;
        }
        Ok(())
    }

    async fn run(&self, op: Op) -> Result<Run, String> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(|e| e.to_string())?;
        let address = listener.local_addr().map_err(|e| e.to_string())?;
        let authority = Authority::new();
        let config = TransportConfig::default()
            .root_certificate_der(authority.root.der().to_vec())
            .connect_timeout(CONNECT);
        let split = match self.over {
            Over::Client => HyperTransport::new(&config).map(|it| Split::new(op, it)),
            Over::Pool => PooledTransport::new(&config).map(|it| Split::new(op, it)),
        };
        let split = split.map_err(|error| error.to_string())?;
        let peer = Peer {
            accept: self.accept.clone(),
            op,
            seen: Arc::default(),
        };
        let seen = Arc::clone(&peer.seen);
        let server = tokio::spawn(async move {
            if !matches!(peer.accept, Accept::Refuse) {
                peer.serve(listener, authority).await;
            }
        });
        tokio::task::yield_now().await;
        let run = self.caller(address).run(op, split, seen).await;
        server.abort();
        Ok(run)
    }

    fn caller(&self, address: SocketAddr) -> Caller {
        let (scheme, host, port) = (self.scheme, self.host, address.port());
        Caller {
            base_url: format!("{scheme}://{host}:{port}/v1"),
            call_timeout: Duration::from_secs(10),
            retry: RetryConfig::default().initial_interval(Duration::ZERO),
            ..Caller::default()
        }
    }
}

#[derive(Clone)]
struct Peer {
    accept: Accept,
    op: Op,
    seen: Arc<Seen>,
}

impl Peer {
    async fn serve(self, listener: TcpListener, authority: Authority) {
        let authority = Arc::new(authority);
        while let Ok((stream, _)) = listener.accept().await {
            self.seen.connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(self.clone().meet(stream, Arc::clone(&authority)));
        }
    }

    async fn meet(self, stream: TcpStream, authority: Arc<Authority>) {
        match &self.accept {
            Accept::Fin => drop(stream),
            Accept::Rst(bytes) => {
                let script = [Step::Bytes(*bytes), Step::Reset];
                play(stream, &script, self.op, &self.seen).await;
            }
            Accept::Refuse => {}
            Accept::Plain(script) => play(stream, script, self.op, &self.seen).await,
            Accept::Tls(certificate, script) => {
                let acceptor = authority.acceptor(*certificate, &[]);
                if let Ok(stream) = acceptor.accept(stream).await {
                    play(stream, script, self.op, &self.seen).await;
                }
            }
            Accept::TlsHttp2(script) => {
                let acceptor = authority.acceptor(Certificate::Good, &[b"h2"]);
                if let Ok(stream) = acceptor.accept(stream).await {
                    play(stream, script, self.op, &self.seen).await;
                }
            }
            Accept::FinInHandshake => {
                play(stream, &[Step::Bytes(5)], self.op, &self.seen).await;
            }
            Accept::Silent => play(stream, &[Step::Hang], self.op, &self.seen).await,
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

    fn acceptor(&self, certificate: Certificate, protocols: &[&[u8]]) -> TlsAcceptor {
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
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}
