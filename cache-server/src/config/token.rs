//! The token that peers on other hosts must present before they may update.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::ConfigError;
use crate::limits::{FILE_BYTES_MAX, TOKEN_BYTES_MAX};

/// A secret of 1 to 255 bytes. Never shown by `Debug`.
#[derive(Clone)]
pub struct Token(Vec<u8>);

impl Token {
    /// Reads a token file; one line end after the token does not belong to it.
    ///
    /// # Errors
    /// The file cannot be read, may be written by everybody, or holds nothing or more than 255 bytes.
    pub fn read(path: &Path) -> Result<Token, ConfigError> {
        let wrong = |problem: String| ConfigError::Token { path: path.to_owned(), problem };
        let unreadable =
            |error: std::io::Error| wrong(format!("cannot be read ({error}); check its name and owner"));
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.mode() & 0o777;
        if mode & 0o002 != 0 {
            return Err(wrong(format!(
                "may be written by everybody (mode {mode:03o}); run `chmod 600` on it"
            )));
        }
        if mode & 0o004 != 0 {
            tracing::warn!("token file {} can be read by everybody (mode {mode:03o})", path.display());
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
        Token::new(
            bytes.strip_suffix(b"\n").map_or(&bytes[..], |line| line.strip_suffix(b"\r").unwrap_or(line)),
        )
        .map_err(wrong)
    }

    /// A token of these bytes.
    ///
    /// # Errors
    /// A text that says what is wrong with the length.
    pub fn new(bytes: &[u8]) -> Result<Token, String> {
        match bytes.len() {
            1..=TOKEN_BYTES_MAX => Ok(Token(bytes.to_vec())),
            length => Err(format!(
                "holds {length} bytes: a token has 1 to {TOKEN_BYTES_MAX}, better 32 random characters"
            )),
        }
    }

    /// Whether this is what a peer presented. The time taken depends on the length presented only, not on how much
    /// of it is right.
    #[must_use]
    pub fn matches(&self, presented: &[u8]) -> bool {
        let mut difference = self.0.len() ^ presented.len();
        for (index, byte) in presented.iter().enumerate() {
            difference |= usize::from(self.0[index % self.0.len()] ^ byte);
        }
        std::hint::black_box(difference) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn matches_itself_only() {
        let token = Token::new(b"0123456789abcdef").unwrap();
        assert!(token.matches(b"0123456789abcdef"));
        for wrong in [&b""[..], b"0123456789abcde", b"0123456789abcdeg", b"0123456789abcdef0123456789abcdef"]
        {
            assert!(!token.matches(wrong));
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
    }

    #[test]
    fn reads_a_file_and_says_what_is_wrong_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let read = |bytes: &[u8]| {
            write(&path, bytes).unwrap();
            set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            Token::read(&path)
        };
        assert!(read(b"secret\n").unwrap().matches(b"secret"));
        assert!(read(b"secret\r\n").unwrap().matches(b"secret"));
        assert!(read(b"secret").unwrap().matches(b"secret"));
        assert!(read(b"\n").unwrap_err().to_string().contains("holds 0 bytes"));
        assert!(read(&[b'x'; 256]).unwrap_err().to_string().contains("holds 256 bytes"));
        set_permissions(&path, Permissions::from_mode(0o602)).unwrap();
        assert!(Token::read(&path).unwrap_err().to_string().contains("mode 602"));
        let absent = Token::read(&dir.path().join("absent")).unwrap_err().to_string();
        assert!(absent.contains("absent") && absent.contains("cannot be read"), "{absent}");
    }
}
