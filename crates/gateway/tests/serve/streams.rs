//! An HTTP/2 peer that ignores the limits.

use super::*;

/// An HTTP/2 client that ignores the limits of the server.
struct RawHttp2(TcpStream);

/// `GET http://x/held`, without the dynamic table.
const HEADERS: &[u8] = b"\x82\x86\x04\x05/held\x01\x01x";

impl RawHttp2 {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;

    async fn connect(server: &Server) -> Self {
        let mut stream = server.connect().await;
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let mut raw = Self(stream);
        raw.send(&Self::frame(Self::SETTINGS, 0, 0, b""))
            .await
            .unwrap();
        raw
    }

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    async fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        self.0.write_all(frames).await
    }

    /// Returns the kind of the next frame, its flags, its stream and its payload.
    async fn next(&mut self) -> io::Result<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        timeout(LONG, self.0.read_exact(&mut head))
            .await
            .expect("a frame")?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Ok((head[3], head[4], stream, payload))
    }
}

#[tokio::test]
async fn streams_above_the_limit_of_a_connection_are_refused() {
    let held = Held::new();
    let server = Server::start(router(&held), options()).await;
    let mut raw = RawHttp2::connect(&server).await;
    let mut frames = Vec::new();
    for stream in (1..1001).step_by(2) {
        // END_STREAM and END_HEADERS.
        frames.extend(RawHttp2::frame(RawHttp2::HEADERS, 5, stream, HEADERS));
    }
    frames.extend(RawHttp2::frame(RawHttp2::PING, 0, 0, b"all sent"));
    raw.send(&frames).await.unwrap();
    let mut refused = 0;
    loop {
        let (kind, flags, _, payload) = raw.next().await.unwrap();
        match kind {
            RawHttp2::RST_STREAM => {
                assert_eq!(payload, 7_u32.to_be_bytes(), "REFUSED_STREAM");
                refused += 1;
            }
            RawHttp2::PING if flags == 1 => break,
            RawHttp2::GOAWAY => panic!("GOAWAY {payload:?}"),
            _ => {}
        }
    }
    held.wait_for(100).await;
    assert_eq!(refused, 400);
    drop(raw);
    // The peer is gone, and so are its requests.
    held.wait_for(0).await;
    server.stop().await;
}

#[tokio::test]
async fn flood_of_reset_streams_closes_the_connection() {
    let held = Held::new();
    let server = Server::start(router(&held), options()).await;
    let mut raw = RawHttp2::connect(&server).await;
    let mut frames = Vec::new();
    for stream in (1..20_001).step_by(2) {
        frames.extend(RawHttp2::frame(RawHttp2::HEADERS, 5, stream, HEADERS));
        frames.extend(RawHttp2::frame(
            RawHttp2::RST_STREAM,
            0,
            stream,
            &8_u32.to_be_bytes(),
        ));
    }
    // It fails once the server has closed the connection.
    let _ = raw.send(&frames).await;
    let reason = loop {
        match raw.next().await {
            Ok((RawHttp2::GOAWAY, _, _, payload)) => break payload[4..8].to_vec(),
            Ok(_) => {}
            // The rest of the flood resets the connection, which may lose the frame.
            Err(_) => break 11_u32.to_be_bytes().to_vec(),
        }
    };
    assert_eq!(reason, 11_u32.to_be_bytes(), "ENHANCE_YOUR_CALM");
    held.wait_for(0).await;
    let mut other = server.connect().await;
    assert!(get_over(&mut other, "/").await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}
