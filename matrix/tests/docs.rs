//! docs/matrix.md says what is drawn: every recipe and every range, as the code has them.

use shingle_matrix::ranges::{OF_ALL, Range};
use shingle_matrix::recipes;

#[test]
fn the_page_lists_every_recipe_and_range() {
    let page = include_str!("../../docs/matrix.md");
    let listed = |name: &str, range: &Range| {
        let row =
            format!("| {} | {} to {} {} | {} |", range.what, range.low, range.high, range.unit, range.why);
        assert!(page.contains(&row), "docs/matrix.md lacks, for {name}:\n{row}");
    };
    for recipe in recipes::all() {
        let head = format!("**{}** ({}): {}.", recipe.name, recipe.topologies.join(", "), recipe.sentence);
        assert!(page.contains(&head), "docs/matrix.md lacks:\n{head}");
        recipe.ranges.iter().for_each(|range| listed(recipe.name, range));
    }
    OF_ALL.iter().for_each(|range| listed("all", range));
}
