//! The cookie secrets all workers share: rotated by the control plane, taken over by workers without a lock.

use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use shingle_proto::cookie::CookieKeys;

/// 16 random bytes.
type Secret = [u8; 16];

/// The current secret and the one before, with a count of rotations that is odd while one is under way.
pub(crate) struct SharedSecrets {
    rotations: AtomicU64,
    words: [AtomicU64; 4],
}

/// A worker's copy of the keys, renewed by [`WorkerKeys::refresh`].
pub(crate) struct WorkerKeys {
    rotations: u64,
    keys: CookieKeys,
}

impl SharedSecrets {
    /// Draws the first secret from the kernel.
    ///
    /// # Errors
    /// `/dev/urandom` cannot be read.
    pub(crate) fn random() -> io::Result<SharedSecrets> {
        let secret = random_secret()?;
        let secrets = SharedSecrets { rotations: AtomicU64::new(0), words: Default::default() };
        secrets.store(secret, secret);
        Ok(secrets)
    }

    /// Makes a fresh secret the current one; the current one becomes the previous one. For one thread only.
    ///
    /// # Errors
    /// `/dev/urandom` cannot be read; nothing changed.
    pub(crate) fn rotate(&self) -> io::Result<()> {
        let (current, _) = self.load();
        self.store(random_secret()?, current);
        Ok(())
    }

    /// Keys of their own for a worker.
    pub(crate) fn keys(&self) -> WorkerKeys {
        loop {
            if let Some(keys) = self.try_keys() {
                return keys;
            }
            std::thread::yield_now();
        }
    }

    /// `None` when a rotation came in between.
    fn try_keys(&self) -> Option<WorkerKeys> {
        let rotations = self.rotations.load(Ordering::Acquire);
        let (current, previous) = self.load();
        fence(Ordering::Acquire);
        if rotations % 2 == 1 || self.rotations.load(Ordering::Relaxed) != rotations {
            return None;
        }
        let mut keys = CookieKeys::new(previous);
        keys.rotate(current);
        Some(WorkerKeys { rotations, keys })
    }

    fn load(&self) -> (Secret, Secret) {
        let word = |index: usize| self.words[index].load(Ordering::Relaxed).to_ne_bytes();
        let secret = |first| [word(first), word(first + 1)].as_flattened().try_into().expect("two words");
        (secret(0), secret(2))
    }

    fn store(&self, current: Secret, previous: Secret) {
        let rotations = self.rotations.load(Ordering::Relaxed);
        self.rotations.store(rotations + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        let bytes = [current, previous];
        for (word, bytes) in self.words.iter().zip(bytes.as_flattened().as_chunks().0) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
        self.rotations.store(rotations + 2, Ordering::Release);
    }
}

impl WorkerKeys {
    /// Takes over a rotation there was since; in the middle of one, the old keys do for another batch.
    #[inline]
    pub(crate) fn refresh(&mut self, secrets: &SharedSecrets) -> &CookieKeys {
        if secrets.rotations.load(Ordering::Relaxed) != self.rotations
            && let Some(newer) = secrets.try_keys()
        {
            *self = newer;
        }
        &self.keys
    }
}

fn random_secret() -> io::Result<Secret> {
    let mut secret = Secret::default();
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use shingle_proto::cookie::CookieState;

    use super::*;

    const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn workers_share_secrets_through_rotations() {
        let secrets = SharedSecrets::random().unwrap();
        let (mut one, mut other) = (secrets.keys(), secrets.keys());
        let cookie = one.refresh(&secrets).make(IP, 1000);
        assert_eq!(other.refresh(&secrets).check(&cookie, IP, 1000), CookieState::Valid);

        secrets.rotate().unwrap();
        // A worker that has not looked yet still knows the secret; one that has, knows it as the previous one.
        assert_eq!(one.keys.check(&cookie, IP, 1000), CookieState::Valid);
        assert_eq!(other.refresh(&secrets).check(&cookie, IP, 1000), CookieState::Valid);
        assert_ne!(other.keys.make(IP, 1000), cookie);

        secrets.rotate().unwrap();
        assert_eq!(one.refresh(&secrets).check(&cookie, IP, 1000), CookieState::Invalid);
    }

    #[test]
    fn servers_do_not_share_secrets() {
        let [one, other] = [(); 2].map(|()| SharedSecrets::random().unwrap().keys().keys);
        assert_eq!(other.check(&one.make(IP, 1000), IP, 1000), CookieState::Invalid);
    }
}
