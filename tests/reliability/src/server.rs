//! An HTTP server on loopback that does to a request what its path says.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The server. Dropped, it takes no more connections; those there are end with their other sides.
pub(crate) struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> io::Result<Server> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let accepting = thread::Builder::new().name("server".into()).spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                // A connection that breaks is the other side's affair.
                let serve = move || drop(answer(stream));
                if let Err(error) = thread::Builder::new().name("connection".into()).spawn(serve) {
                    eprintln!("server: {error}");
                }
            }
        })?;
        Ok(Server { address, stop, accepting: Some(accepting) })
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let path = read_request(&mut stream)?;
    let respond = |stream: &mut TcpStream, head: &str, body: &[u8]| {
        stream.write_all(format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").as_bytes())?;
        stream.write_all(body)
    };
    match path.split('/').nth(1).unwrap_or("") {
        "ok" => respond(&mut stream, "200 OK\r\ncontent-length: 5", b"fine."),
        "close" => Ok(()),
        "junk" => stream.write_all(&[0x16, 0x03, 0x01, 0x00, 0xFF, 0xFE, b'\n', b'\n']),
        "half" => respond(&mut stream, "200 OK\r\ncontent-length: 1000", b"half"),
        "huge" => respond(&mut stream, "200 OK\r\ncontent-length: 1000000000", b""),
        "error" => respond(&mut stream, "500 No\r\ncontent-length: 2", b"no"),
        "bounce" => respond(&mut stream, &format!("307 On\r\nlocation: {path}\r\ncontent-length: 0"), b""),
        "stall" => until_closed(&mut stream),
        "drip" => {
            respond(&mut stream, "200 OK\r\ntransfer-encoding: chunked", b"")?;
            loop {
                stream.write_all(b"1\r\nx\r\n")?;
                thread::sleep(Duration::from_millis(5));
            }
        }
        _ => respond(&mut stream, "404 What\r\ncontent-length: 0", b""),
    }
}

/// Reads a request and gives its path.
fn read_request(stream: &mut TcpStream) -> io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok(head.split(' ').nth(1).unwrap_or("/").to_owned())
}

fn until_closed(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}
