//! The stories: one a file.

mod bad_path;
mod balancer;
mod corrupting;
mod flipped_sysctl;
mod fragment_limit;
mod low_volume_client;
mod pause;
mod reordering;
mod transit_gateway;
mod window;

use crate::story::Story;

/// All stories, in the order in which they are told.
pub static ALL: &[&Story] = &[
    &fragment_limit::STORY,
    &low_volume_client::STORY,
    &flipped_sysctl::STORY,
    &transit_gateway::STORY,
    &reordering::STORY,
    &pause::STORY,
    &bad_path::STORY,
    &corrupting::STORY,
    &balancer::STORY,
    &window::STORY,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_word_and_differ_and_each_story_expects_something() {
        for (index, story) in ALL.iter().enumerate() {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
            assert!(story.name.bytes().all(plain), "{}", story.name);
            assert!(ALL[..index].iter().all(|other| other.name != story.name), "{} twice", story.name);
            assert!(!story.expectations.is_empty(), "{} expects nothing", story.name);
            let in_short = story.expectations.iter().any(|expectation| !expectation.full_only);
            assert!(in_short, "{} has no short form", story.name);
        }
    }
}
