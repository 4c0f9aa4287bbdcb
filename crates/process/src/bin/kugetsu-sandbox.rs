//! The helper of sandboxes in tests. In kugetsu, the program itself is the helper.

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    if let (Some(plan), Some(channel)) = (numbers.next(), numbers.next()) {
        kugetsu_process::sandbox::enter(plan, channel);
    }
}
