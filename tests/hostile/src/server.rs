//! Two HTTP servers on loopback: one that the egress policy allows, and one that nobody may reach.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Both servers. They live as long as the process.
pub(crate) struct Servers {
    /// The one that the policy allows. What it does stands in the path of the request.
    pub(crate) allowed: Server,
    /// The one that it does not.
    pub(crate) private: Server,
}

/// One server.
pub(crate) struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Servers {
    pub(crate) fn start() -> io::Result<Self> {
        let private = Server::start(|_, stream| respond(stream, "200 OK", "", b"the metadata"))?;
        let elsewhere = private.authority();
        let allowed = Server::start(move |request, stream| act(request, stream, &elsewhere))?;
        Ok(Servers { allowed, private })
    }

    /// A text with the servers' addresses in place of their names.
    pub(crate) fn fill_in(&self, text: &str) -> String {
        text.replace("{allowed}", &self.allowed.authority())
            .replace("{allowed_port}", &self.allowed.address.port().to_string())
            .replace("{private}", &self.private.authority())
            .replace("{private_port}", &self.private.address.port().to_string())
    }
}

impl Server {
    fn start(answer: impl Fn(&str, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> io::Result<Server> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let server = Server { address: listener.local_addr()?, connections: Arc::default() };
        let (connections, answer) = (server.connections.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                thread::spawn(move || {
                    let mut stream = stream?;
                    let request = read_request(&mut stream)?;
                    answer(&request, &mut stream)
                });
            }
        });
        Ok(server)
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// What the allowed server does for a path.
fn act(request: &str, stream: &mut TcpStream, elsewhere: &str) -> io::Result<()> {
    let path = request.split(' ').nth(1).unwrap_or("/");
    match path {
        "/drip" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")?;
            loop {
                stream.write_all(b".")?;
                thread::sleep(Duration::from_millis(5));
            }
        }
        "/drip-headers" => loop {
            stream.write_all(b"HTTP/1.1 200 OK\r\n".get(..1).unwrap_or_default())?;
            thread::sleep(Duration::from_millis(5));
        },
        "/silent" => loop {
            thread::sleep(Duration::from_secs(3_600));
        },
        "/endless" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[b'x'; 64 << 10])?;
            }
        }
        "/to-private" => respond(stream, "307 Elsewhere", &format!("location: http://{elsewhere}/\r\n"), b""),
        "/to-metadata" => {
            respond(stream, "307 Elsewhere", "location: http://169.254.169.254/latest/meta-data/\r\n", b"")
        }
        "/loop" => respond(stream, "307 Elsewhere", "location: /loop\r\n", b""),
        "/echo" => respond(stream, "200 OK", "", request.as_bytes()),
        "/echo-in-location" => {
            let secret = request.lines().find_map(|line| line.strip_prefix("x-canary: ")).unwrap_or_default();
            respond(stream, "307 Elsewhere", &format!("location: ftp://{secret}/\r\n"), b"")
        }
        _ => respond(stream, "200 OK", "", b"fine"),
    }
}

fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

/// The request line and headers. The body is read as far as it came with them.
fn read_request(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
