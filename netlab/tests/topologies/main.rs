//! Every topology of the catalogue with real packets: that what it promises happens, by counts, and nothing else.

mod chance;
mod common;
mod every;
mod flows;
mod fragments;
mod pairs;
mod rates;
mod simulated;
mod sizes;
