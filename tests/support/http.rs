//! A server of HTTP/1.1 that does as it is told, whether that is proper or not.
#![allow(dead_code, reason = "each test uses its part")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What arrived.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A field of the form.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let pairs = self.body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| unescaped(value)).next()
    }
}

pub(crate) fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex = std::str::from_utf8(&after[..2]).unwrap();
                bytes.push(u8::from_str_radix(hex, 16).unwrap());
                rest = &after[2..];
                continue;
            }
            other => bytes.push(other),
        }
        rest = after;
    }
    String::from_utf8(bytes).unwrap()
}

/// What goes back.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Status, headers, body.
    Full(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// A body that is announced longer than it is.
    Cut(Vec<u8>),
    /// The same after a while.
    Late(Duration, Box<Self>),
    /// The first piece, then the second for ever.
    Endless(&'static str, &'static str),
    /// The connection is closed without a word.
    Nothing,
}

impl Reply {
    pub(crate) fn json(body: &str) -> Self {
        Self::status(200, body)
    }

    pub(crate) fn status(status: u16, body: &str) -> Self {
        let content = vec![("Content-Type", "application/json".to_owned())];
        Self::Full(status, content, body.as_bytes().to_vec())
    }
}

/// A server on a free loopback port; it ends with the test.
pub(crate) struct Server {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

pub(crate) trait Both: Read + Write + Send {}
impl<T: Read + Write + Send> Both for T {}

type Wrap = Arc<dyn Fn(TcpStream) -> Option<Box<dyn Both>> + Send + Sync>;

impl Server {
    pub(crate) fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::wrapped(Arc::new(|stream| Some(Box::new(stream))), handler)
    }

    /// With something, such as TLS, between the connection and HTTP.
    pub(crate) fn wrapped(
        wrap: Wrap,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let handler = Arc::new(handler);
        let kept = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (handler, seen, wrap) = (handler.clone(), kept.clone(), wrap.clone());
                thread::spawn(move || {
                    let Some(mut stream) = wrap(stream) else { return };
                    if let Some(request) = read(&mut *stream) {
                        seen.lock().unwrap().push(request.clone());
                        write(&mut *stream, handler(&request));
                    }
                });
            }
        });
        Self { port, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn read(stream: &mut dyn Both) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).ok()?;
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    Some(Request { line, headers, body: String::from_utf8(body).ok()? })
}

fn write(stream: &mut dyn Both, reply: Reply) {
    // A client that has gone away is no fault of the server.
    let _sent = match reply {
        Reply::Full(status, headers, body) => {
            let mut head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n",
                body.len()
            );
            for (name, value) in headers {
                head.push_str(&[name, ": ", &value, "\r\n"].concat());
            }
            head.push_str("\r\n");
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body))
        }
        Reply::Cut(body) => {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len() + 100
            );
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body))
        }
        Reply::Late(wait, reply) => {
            thread::sleep(wait);
            return write(stream, *reply);
        }
        Reply::Endless(first, again) => {
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
            let mut sent =
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(first.as_bytes()));
            let block = again.repeat(1000);
            while sent.is_ok() {
                sent = stream.write_all(block.as_bytes());
            }
            sent
        }
        Reply::Nothing => Ok(()),
    };
    let _flushed = stream.flush();
}

/// Asks a server at another port the same, without the beginning of the path.
pub(crate) fn passed_on(request: &Request, port: u16, prefix: &str) -> Reply {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let path = request.line.split(' ').nth(1).unwrap();
    let Some(path) = path.strip_prefix(prefix) else {
        return Reply::Full(404, Vec::new(), b"404 page not found".to_vec());
    };
    let head = format!(
        "POST {path} HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        request.body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(request.body.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let content = vec![("Content-Type", "application/json".to_owned())];
    Reply::Full(status, content, answer[end + 4..].to_vec())
}
