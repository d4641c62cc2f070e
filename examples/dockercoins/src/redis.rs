//! A Redis client: the RESP2 protocol (redis.io, "Serialization protocol"), a command at a time.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::http::connect;

const PORT: u16 = 6379;
/// Largest value that is read.
const MAX_VALUE_BYTES: usize = 1024 * 1024;

/// A connection to the server named `redis`.
pub struct Redis {
    reader: BufReader<TcpStream>,
}

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Nil,
    Integer(i64),
    Text(Vec<u8>),
}

impl Reply {
    /// As a number: integers, and texts that spell one; nothing there counts as 0.
    pub fn number(&self) -> i64 {
        match self {
            Reply::Nil => 0,
            Reply::Integer(n) => *n,
            Reply::Text(text) => std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).unwrap_or(0),
        }
    }
}

impl Redis {
    /// Connects.
    pub fn connect(host: &str) -> io::Result<Redis> {
        Ok(Redis { reader: BufReader::new(connect(host, PORT)?) })
    }

    /// Sends one command and reads its reply.
    pub fn command(&mut self, words: &[&[u8]]) -> io::Result<Reply> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        self.reader.get_mut().write_all(&bytes)?;
        self.reply()
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, format!("redis said {line:?}"));
        let number = |text: &str| text.parse::<i64>().map_err(|_| malformed());
        match line.split_at_checked(1) {
            Some(("+", text)) => Ok(Reply::Text(text.as_bytes().to_vec())),
            Some((":", text)) => Ok(Reply::Integer(number(text)?)),
            Some(("-", text)) => Err(io::Error::other(format!("redis: {text}"))),
            Some(("$", text)) => match number(text)? {
                -1 => Ok(Reply::Nil),
                length => {
                    let length = usize::try_from(length).ok().filter(|l| *l <= MAX_VALUE_BYTES).ok_or_else(malformed)?;
                    let mut value = vec![0; length + 2];
                    self.reader.read_exact(&mut value)?;
                    value.truncate(length);
                    Ok(Reply::Text(value))
                }
            },
            _ => Err(malformed()),
        }
    }
}
