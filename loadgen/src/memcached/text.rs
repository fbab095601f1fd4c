//! Lines of memcached's text protocol, read strictly: what is not exactly an answer to a get is an error.

use std::io::Write as _;

use super::limits::{KEY_BYTES_MAX, LINE_BYTES_MAX};

/// A line of an answer to a get, without its `\r\n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// `VALUE key flags bytes`: a block of that many bytes and `\r\n` follow.
    Value {
        /// The key.
        key: &'a [u8],
        /// Length of the value.
        bytes: usize,
    },
    /// `END`
    End,
    /// `ERROR`, `CLIENT_ERROR text` or `SERVER_ERROR text`
    Error,
}

/// One answer that stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A value, with or without `END` after it.
    Value {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// `END` alone: the last key asked for is not stored.
    End,
    /// An error line.
    Error,
}

/// The first line in `bytes` and how many bytes it takes with its `\r\n`; `None` while it is not all there.
///
/// # Errors
/// A line that is no answer to a get, or longer than any such line.
pub fn line(bytes: &[u8]) -> Result<Option<(Line<'_>, usize)>, Malformed> {
    let seen = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = seen.iter().position(|byte| *byte == b'\n') else {
        return if seen.len() == LINE_BYTES_MAX { Err(Malformed) } else { Ok(None) };
    };
    let text = seen[..end].strip_suffix(b"\r").ok_or(Malformed)?;
    let line = match text {
        b"END" => Line::End,
        b"ERROR" => Line::Error,
        _ if text.starts_with(b"CLIENT_ERROR ") || text.starts_with(b"SERVER_ERROR ") => Line::Error,
        _ => value_line(text).ok_or(Malformed)?,
    };
    Ok(Some((line, end + 1)))
}

/// A whole message of a UDP answer: nothing may be missing, and nothing may follow.
///
/// # Errors
/// Anything else.
pub fn message(bytes: &[u8]) -> Result<Message<'_>, Malformed> {
    let (line, used) = line(bytes)?.ok_or(Malformed)?;
    let rest = &bytes[used..];
    match line {
        Line::Value { key, bytes } => {
            let (value, rest) = rest.split_at_checked(bytes).ok_or(Malformed)?;
            match rest {
                b"\r\n" | b"\r\nEND\r\n" => Ok(Message::Value { key, value }),
                _ => Err(Malformed),
            }
        }
        Line::End if rest.is_empty() => Ok(Message::End),
        Line::Error if rest.is_empty() => Ok(Message::Error),
        Line::End | Line::Error => Err(Malformed),
    }
}

/// The key of a message of which only the beginning is there.
pub fn key_of_first_piece(bytes: &[u8]) -> Option<&[u8]> {
    match line(bytes) {
        Ok(Some((Line::Value { key, .. }, _))) => Some(key),
        _ => None,
    }
}

/// Writes a `set` with its value.
pub fn write_set(key: &[u8], value: &[u8], expires: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"set ");
    out.extend_from_slice(key);
    write!(out, " 0 {expires} {}\r\n", value.len()).expect("a Vec takes all");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Bytes that are no answer of memcached's to a get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

fn value_line(text: &[u8]) -> Option<Line<'_>> {
    let mut words = text.strip_prefix(b"VALUE ")?.split(|byte| *byte == b' ');
    let key = words.next().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()))?;
    number(words.next()?)?;
    let bytes = number(words.next()?)? as usize;
    words.next().is_none().then_some(Line::Value { key, bytes })
}

/// A decimal number of 32 bits without sign.
fn number(digits: &[u8]) -> Option<u32> {
    let all_digits = digits.iter().all(u8::is_ascii_digit) && (1..=10).contains(&digits.len());
    all_digits.then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_as_memcached_1_6_sends_them() {
        let value = Message::Value { key: b"a", value: b"xyz" };
        assert_eq!(message(b"VALUE a 0 3\r\nxyz\r\nEND\r\n"), Ok(value));
        assert_eq!(message(b"VALUE a 0 3\r\nxyz\r\n"), Ok(value));
        assert_eq!(message(b"VALUE a 7 0\r\n\r\n"), Ok(Message::Value { key: b"a", value: b"" }));
        assert_eq!(message(b"END\r\n"), Ok(Message::End));
        for error in [&b"ERROR\r\n"[..], b"CLIENT_ERROR bad command line format\r\n", b"SERVER_ERROR x\r\n"] {
            assert_eq!(message(error), Ok(Message::Error));
        }
    }

    #[test]
    fn what_is_not_exactly_an_answer_is_malformed() {
        let wrong: &[&[u8]] = &[
            b"",
            b"\r\n",
            b"END\n",
            b"END \r\n",
            b"end\r\n",
            b"ERRORS\r\n",
            b"END\r\nEND\r\n",
            b"VALUE a 0 3\r\nxyz",
            b"VALUE a 0 3\r\nxyz\r",
            b"VALUE a 0 3\r\nxyzz\r\n",
            b"VALUE a 0 3\r\nxy\r\n",
            b"VALUE a 0 3\r\nxyz\r\nEND",
            b"VALUE a 0 3\r\nxyz\r\nEND\r\n\r\n",
            b"VALUE a 0 3 4\r\nxyz\r\n",
            b"VALUE a 0\r\nxyz\r\n",
            b"VALUE  0 3\r\nxyz\r\n",
            b"VALUE a -0 3\r\nxyz\r\n",
            b"VALUE a 0 +3\r\nxyz\r\n",
            b"VALUE a 0 99999999999\r\nxyz\r\n",
            b"VALUE a 0 4294967295\r\nxyz\r\n",
        ];
        for bytes in wrong {
            assert_eq!(message(bytes), Err(Malformed), "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(line(&[b'x'; LINE_BYTES_MAX]), Err(Malformed), "no line is as long as that");
        assert_eq!(line(b"VALUE a 0 3\r"), Ok(None));
    }

    #[test]
    fn a_set_as_the_protocol_wants_it() {
        let mut out = Vec::new();
        write_set(b"item:0", b"ab\r\nc", 60, &mut out);
        assert_eq!(out, b"set item:0 0 60 5\r\nab\r\nc\r\n");
    }
}
