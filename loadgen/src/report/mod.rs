//! Reports from a record: the table and words of the terminal, and the self-contained page.

pub(crate) mod causes;
pub mod html;
mod plot;
pub mod strategies;
pub mod terminal;
