//! The times of whole calls in memory. `benches/run` and `cargo bench -p bench_in_memory` measure more.

#[path = "in_memory/src/report/times.rs"]
mod times;

fn main() {
    times::print(&bench_in_memory::cases());
}
