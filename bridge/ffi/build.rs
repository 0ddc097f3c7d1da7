//! Makes the status codes of this crate from the table that the C library makes its own from.
use std::{env, fs, path::Path};

fn main() {
    let table = "../../include/sabot/status.def";
    println!("cargo:rerun-if-changed={table}");
    let text = fs::read_to_string(table).expect("include/sabot/status.def stands two folders above this crate");
    let mut code = String::new();
    let names = text.lines().filter_map(|line| line.strip_prefix("X(")?.split(',').next());
    for (number, name) in names.enumerate() {
        code += &format!("pub const {}: i32 = {number};\n", name.trim());
    }
    fs::write(Path::new(&env::var("OUT_DIR").unwrap()).join("status.rs"), code).unwrap();
}
