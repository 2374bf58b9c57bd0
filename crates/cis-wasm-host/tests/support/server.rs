//! HTTP servers on loopback, a thread for each connection.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The request line and the headers, with their line ends.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The method and the path.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or("").trim_end_matches(" HTTP/1.1")
    }
}

/// A server that lives as long as the test program.
pub struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// A server on 127.0.0.1 that lets `answer` write the response of each request.
    pub fn start(answer: impl Fn(&Seen, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Server {
        Server::start_at(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, answer)
    }

    /// The same on another address and port.
    pub fn start_at(
        ip: IpAddr,
        port: u16,
        answer: impl Fn(&Seen, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Server {
        Server::serve(TcpListener::bind((ip, port)).unwrap(), answer)
    }

    /// The same on every address of this machine.
    pub fn start_everywhere(
        answer: impl Fn(&Seen, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Server {
        // A machine without IPv6 has no dual-stack socket.
        let listener = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0"));
        Server::serve(listener.unwrap(), answer)
    }

    fn serve(
        listener: TcpListener,
        answer: impl Fn(&Seen, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Server {
        let server =
            Server { address: listener.local_addr().unwrap(), connections: Arc::default(), seen: Arc::default() };
        let (connections, seen, answer) = (server.connections.clone(), server.seen.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (seen, answer) = (seen.clone(), answer.clone());
                thread::spawn(move || {
                    let mut stream = stream?;
                    let request = read_request(&mut stream)?;
                    seen.lock().unwrap().push(request.clone());
                    answer(&request, &mut stream)
                });
            }
        });
        server
    }

    /// A server that answers every request with this.
    pub fn answering(response: Vec<u8>) -> Server {
        Server::start(move |_, stream| stream.write_all(&response))
    }

    /// `127.0.0.1:PORT`.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `http://127.0.0.1:PORT` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests that came in whole, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn read_request(stream: &mut impl Read) -> io::Result<Seen> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    };
    let mut seen = Seen { head: String::from_utf8_lossy(&bytes[..end]).into_owned(), body: bytes.split_off(end) };
    let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
    while seen.body.len() < length {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => seen.body.extend_from_slice(&buffer[..read]),
        }
    }
    Ok(seen)
}

/// Reads one request from any stream: for servers that are not a [`Server`].
pub fn read_one(stream: &mut impl Read) -> io::Result<Seen> {
    read_request(stream)
}

/// A whole response. `headers` are lines, each with its line end.
pub fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A response that sends on to `location`.
pub fn redirect(status: u16, location: &str) -> Vec<u8> {
    response(&format!("{status} Elsewhere"), &format!("location: {location}\r\n"), b"not this one")
}

/// Waits until the other side has closed the connection.
pub fn wait_for_close(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}
